"""Virtual devices: what a pico or a camera says, and how it obeys."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

from wsdev.device_profile import PLAIN, DeviceProfile
from wsdev.device_session import DeviceSession
from wsdev.protocol import (
    ESP32CAM,
    Command,
    DeviceClass,
    DeviceMessage,
    Frame,
    GatewayMessage,
    Telemetry,
    Unknown,
    clean_name,
)

FIRMWARE_VERSION: Final = "wsdev-simulator"

_SERVOS: Final = ("servo1", "servo2")


class VirtualDevice:
    """A device without hardware.

    Args:
        random: Gives a number from 0 to 1, for the noise in measured values.
        profile: Whose words it uses.
        padding: Bytes of filler in what it measures.
        clock_error: Seconds by which its clock is off.

    Attributes:
        is_camera: Whether it sends pictures instead of telemetry.
    """

    def __init__(
        self,
        device_class: DeviceClass,
        name: str,
        random: Callable[[], float],
        now: float,
        *,
        profile: DeviceProfile = PLAIN,
        padding: int = 0,
        clock_error: float = 0.0,
    ) -> None:
        self.device_class = device_class
        self.is_camera = device_class.name == ESP32CAM.name
        self.name = name
        self.profile = profile
        self._random = random
        self._padding = "x" * padding
        self._clock_error = clock_error
        self._pictures = 0
        self.reboot(now)

    def reboot(self, now: float) -> None:
        """Begin anew, with nothing remembered."""
        self._started = now - self._clock_error
        # Another one each run: the gateway takes a repeated id for the same message.
        self._run = f"{int(self._random() * 2**32):08x}"
        self._sequence = 0
        self._servos = dict.fromkeys(_SERVOS, 90)

    def hello(self, session: DeviceSession, now: float) -> None:
        """Say who it is."""
        if self.profile.hello:
            session.send(self.fill(self.profile.hello, now))
        else:
            session.hello(self.name, FIRMWARE_VERSION)

    def fill(self, message: dict[str, Any], now: float, size: int = 0) -> dict[str, Any]:
        """A message of the profile's with the placeholders filled in.

        Args:
            size: Bytes of the picture that follows.
        """
        self._sequence += 1
        uptime = now - self._started
        values: dict[str, Any] = {
            "$name": self.name,
            "$id": f"{self._run}-{self._sequence}",
            "$seq": self._sequence,
            "$uptime_ms": round(uptime * 1000),
            "$uptime_s": round(uptime, 1),
            "$size": size,
        }
        filled: dict[str, Any] = _filled(message, values)
        return filled

    def measure(self, now: float, *, padding: int = 0) -> Telemetry:
        """The next telemetry message, with an ``id`` of its own.

        Args:
            padding: Bytes of filler in this one.
        """
        self._sequence += 1
        uptime = now - self._started
        data: dict[str, Any] = {
            # Cut to what a sensor tells: round() to a digit takes as long as all else here.
            "temperature_c": int(2400 + 300 * math.sin(uptime / 60) + 100 * self._random()) / 100,
            "rssi_dbm": -55 - int(10 * self._random()),
            **self._servos,
        }
        if padding or self._padding:
            data["padding"] = "x" * padding or self._padding
        return Telemetry(
            data=data,
            id=f"{self._run}-{self._sequence}",
            seq=self._sequence,
            uptime_ms=round(uptime * 1000),
        )

    def send_picture(self, session: DeviceSession, now: float) -> int:
        """Announce and send the next picture; returns its size in bytes."""
        from wsdev.pictures import make_picture  # noqa: PLC0415  (loads Pillow)

        self._pictures += 1
        picture = make_picture(self._pictures, clean_name(self.name))
        session.send(self.announce(picture, now))
        session.send_binary(picture)
        return len(picture)

    def announce(self, picture: bytes, now: float) -> Frame:
        """What is said before a picture of :mod:`wsdev.pictures`."""
        from wsdev.pictures import HEIGHT, WIDTH  # noqa: PLC0415  (loads Pillow)

        return Frame(
            size=len(picture),
            width=WIDTH,
            height=HEIGHT,
            timestamp=round((now - self._started) * 1000),
        )

    @property
    def sends_pictures(self) -> bool:
        """Whether there are pictures among what it says of itself."""
        return self.is_camera or any(saying.with_picture for saying in self.profile.says)

    def obey(
        self, message: DeviceMessage | GatewayMessage, session: DeviceSession, now: float
    ) -> str | None:
        """Carry out a command and acknowledge it; what it did in words, None if it was none.

        Knows the servo controller's ``servo`` and the camera's ``capture_photo``, in the gateway's
        own form and in the operator's; acknowledges anything else as done too.
        """
        command_id: Any
        if isinstance(message, Command):
            kind, wanted, command_id = message.name or "command", message.args, message.id
        elif isinstance(message, Unknown):
            kind = message.type or str(message.body.get("action", ""))
            wanted, command_id = message.body.get("command"), message.body.get("id")
        else:
            return None
        if not kind:
            return None
        done = f"command {kind}"
        if kind == "servo" and isinstance(wanted, dict):
            for servo in _SERVOS:
                if isinstance(wanted.get(servo), int):
                    self._servos[servo] = wanted[servo]
            done = "servos at " + ", ".join(f"{angle}°" for angle in self._servos.values())
        elif kind == "capture_photo" and self.is_camera:
            done = f"picture of {self.send_picture(session, now)} bytes sent"
        by_id = self.profile.acks_by_id and isinstance(command_id, str)
        session.acknowledge(command_id=command_id if by_id else None, command_type=kind)
        return done


def _filled(value: Any, values: dict[str, Any]) -> Any:
    if isinstance(value, str):
        return values.get(value, value)
    if isinstance(value, dict):
        return {key: _filled(part, values) for key, part in value.items()}
    return value
