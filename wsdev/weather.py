"""Bad weather for virtual devices: what goes wrong, how often and for how long; seeded.

Each weather is a TOML file in ``wsdev/weathers``, or one of the user's own; its fields are those of
:class:`Weather`. No clock and no socket: the fleet asks when the next trouble comes and acts on it.
"""

from __future__ import annotations

import enum
import random
from typing import Final

import msgspec

from wsdev.data_files import DataFolder, Seconds, parse
from wsdev.errors import UsageError


class What(enum.StrEnum):
    """A kind of trouble."""

    RESET = "reset"
    """The link ends with a TCP reset, without a close frame."""
    VANISH = "vanish"
    """The link ends and nobody is told: what is sent to it is never read."""
    HALF_OPEN = "half_open"
    """The link is dead both ways, and neither end knows."""
    STALL = "stall"
    """Nothing leaves and nothing is read for a while."""
    REBOOT = "reboot"
    """As if the power failed: no close, and what was not acknowledged yet is forgotten."""


class Trouble(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something that happens now and then.

    Attributes:
        every: Mean seconds between two of them at one device; they come at random (Poisson).
        lasts: Shortest and longest seconds of a stall, or until a device is back.
        share: Of the whole fleet, hit at the same moment; 0: each device for itself.
    """

    what: What
    every: Seconds
    lasts: tuple[Seconds, Seconds] = (Seconds(0.5), Seconds(2))
    share: float = 0.0


class Weather(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a fleet has to live with.

    Attributes:
        summary: In one line.
        trouble: What happens.
        piece: Bytes that leave at once; 0: all there are.
        pause: Seconds between two pieces.
        clock_off: The most seconds by which a device's clock is off, either way; the times that it
            tells are, and its uptime runs by it.
    """

    summary: str
    trouble: tuple[Trouble, ...] = ()
    piece: int = 0
    pause: Seconds = Seconds(0)
    clock_off: Seconds = Seconds(0)


FAIR: Final = Weather("nothing goes wrong")


class Forecast:
    """When what happens at one device, or to the fleet: the same for the same seed.

    Args:
        seed: The run's.
        who: Tells the devices apart.
    """

    def __init__(self, seed: int, who: str) -> None:
        self._random = random.Random(f"{seed} {who}")

    def wait(self, trouble: Trouble) -> float:
        """Seconds until the next one."""
        return self._random.expovariate(1 / trouble.every)

    def duration(self, trouble: Trouble) -> float:
        """Seconds that it lasts."""
        return self._random.uniform(*trouble.lasts)

    def clock_error(self, weather: Weather) -> float:
        """Seconds by which the device's clock is off."""
        return self._random.uniform(-weather.clock_off, weather.clock_off)

    def is_hit(self, trouble: Trouble) -> bool:
        """Whether a device is among those that the fleet's trouble hits."""
        return self._random.random() < trouble.share

    def jitter(self) -> float:
        """A number from 0 to 1."""
        return self._random.random()


def parse_weather(text: str, where: str) -> Weather:
    """The weather in a TOML text; ``where`` is its file, for errors.

    Raises:
        UsageError: no TOML, an unknown field, or a value that cannot be meant.
    """
    weather = parse(text, Weather, where)
    for trouble in weather.trouble:
        if trouble.every <= 0:
            raise _unfit(where, f"{trouble.what}: every is more than 0 s")
        if trouble.lasts[0] > trouble.lasts[1]:
            raise _unfit(where, f"{trouble.what}: lasts is [shortest, longest]")
        if not 0 <= trouble.share <= 1:
            raise _unfit(where, f"{trouble.what}: share is from 0 to 1")
    if weather.piece < 0:
        raise _unfit(where, "piece is a number of bytes")
    return weather


def _unfit(where: str, cause: str) -> UsageError:
    return UsageError(f"{where}: {cause}", "see the fields in docs/fleets.md")


WEATHERS: Final = DataFolder("weather", "weathers", parse_weather)
