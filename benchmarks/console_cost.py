"""What the console costs the devices' way while nobody watches."""

from __future__ import annotations

import time
import timeit
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.contestants import NO_MESSAGE_LIMIT, WITH_CONSOLE, gateway
from benchmarks.dialects import MESSAGE_BYTES, picture
from benchmarks.figures import Figure, Result, Table, Target
from benchmarks.message_cost import MICROS, acked_micros
from benchmarks.scale import Scale
from benchmarks.servers import on_core
from benchmarks.turns import take_turns
from wsdev.console.away import Away
from wsdev.console.cameras import Cameras
from wsdev.console.feed import Feed
from wsdev.hub import Hub, Member, Traffic

TARGET_NANOS: Final = 1000.0
"""Under a microsecond, that is."""

_WITH: Final = "wsdev with its console"
_WITHOUT: Final = "wsdev, --no-console"

_MORE_ROUNDS: Final = 2
"""Times as many as of other measures, of an eighth each: it is a small difference."""

_AT_ONCE: Final = 1000
"""Times that something is done between two looks at the clock."""

_BATCHES: Final = 20
"""In a round, of which the median is taken."""

_CHANGES: Final = 3
"""Of a device that comes, gets its name, and leaves."""


def measure_console(core: int, scale: Scale) -> Result:
    """CPU time per message with and without the console, and what it adds to an event."""
    table = _beside_each_other(core, scale)
    with on_core(core):
        added = {
            "a picture": _added(_show, 1, scale.rounds),
            "a device's coming, naming or leaving": _added(_visit, _CHANGES, scale.rounds),
        }
    rows = [[what, f"{min(figure.rounds):.0f}", figure.text(0)] for what, figure in added.items()]
    events = Table(
        "Console without a viewer: ns that it adds to an event, in one process",
        ["event", "least", "median (range)"],
        rows,
        ["A message adds nothing: nothing of the console is called (a test holds that)."],
    )
    targets = [
        Target(f"console, no viewer: more for {what}", TARGET_NANOS, "ns", figure)
        for what, figure in added.items()
    ]
    return Result([table, events], targets)


def _beside_each_other(core: int, scale: Scale) -> Table:
    contestants = [
        gateway(*NO_MESSAGE_LIMIT, *WITH_CONSOLE, name=_WITH),
        gateway(*NO_MESSAGE_LIMIT, name=_WITHOUT),
    ]
    numbers = count()
    amount = scale.messages // 8
    turns = take_turns(
        contestants,
        core,
        scale.rounds * _MORE_ROUNDS,
        lambda server: {MICROS: acked_micros(server, scale.devices, amount, numbers)},
    )
    ours, other = turns.figure(MICROS, _WITH), turns.figure(MICROS, _WITHOUT)
    assert isinstance(ours, Figure)
    assert isinstance(other, Figure)
    return Table(
        f"Console without a viewer: µs of CPU per acknowledged message of {MESSAGE_BYTES} bytes",
        ["gateway", "median (range)", "more than without"],
        [[_WITH, str(ours), str(ours.minus(other))], [_WITHOUT, str(other), ""]],
    )


class _Port:
    """A device's end, of which nothing is asked here."""

    def send_text(self, text: bytes) -> None:
        """Send nothing."""

    def traffic(self) -> Traffic:
        """There is none."""
        return Traffic(0, 0, 0, 0)

    def last_proof(self) -> float:
        """Long ago."""
        return 0.0

    def round_trips(self) -> Sequence[float]:
        """There are none."""
        return ()

    def ask_for_proof(self) -> None:
        """Nobody answers."""

    def close(self, code: int, reason: str) -> None:
        """It is not open."""


def _show(hub: Hub) -> Callable[[], None]:
    """A camera's picture."""
    member = Member("camera", "esp32cam", "c0ffee", "192.0.2.1", 0.0, _Port())
    hub.join(member)
    return partial(hub.show, member, picture())


def _visit(hub: Hub) -> Callable[[], None]:
    """Three changes of one device."""

    def visit() -> None:
        member = Member("pico-c0ffee", "pico", "c0ffee", "192.0.2.1", 0.0, port)
        hub.join(member)
        hub.rename(member, "kitchen")
        hub.leave(member)

    port = _Port()
    return visit


def listen_as_a_console(hub: Hub) -> None:
    """Let a console's parts listen, for as long as the hub lives."""
    Feed(Path(), hub)
    Cameras(hub, time.monotonic)
    Away(hub, Path(), time.monotonic, time.time)


def _added(event: Callable[[Hub], Callable[[], None]], events: int, rounds: int) -> Figure:
    """Nanoseconds that each of so many events takes more in a hub that a console listens to."""
    alone, heard = Hub(max_command=4096), Hub(max_command=4096)
    listen_as_a_console(heard)
    less, more = event(alone), event(heard)
    batches = [
        [(_seconds(more) - _seconds(less)) / events * 1e9 for _ in range(_BATCHES)]
        for _ in range(rounds)
    ]
    return Figure([median(batch) for batch in batches])


def _seconds(call: Callable[[], None]) -> float:
    return timeit.timeit(call, timer=time.process_time, number=_AT_ONCE) / _AT_ONCE
