"""Virtual devices: what a pico or a camera says, and how it obeys."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

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
    """

    def __init__(
        self, device_class: DeviceClass, name: str, random: Callable[[], float], now: float
    ) -> None:
        self.device_class = device_class
        self.name = name
        self._random = random
        self._started = now
        # Another one each run: the gateway takes a repeated id for the same message.
        self._run = f"{int(random() * 2**32):08x}"
        self._sequence = 0
        self._pictures = 0
        self._servos = dict.fromkeys(_SERVOS, 90)

    def hello(self, session: DeviceSession) -> None:
        """Say who it is."""
        session.hello(self.name, FIRMWARE_VERSION)

    def measure(self, now: float) -> Telemetry:
        """The next telemetry message, with an ``id`` of its own."""
        self._sequence += 1
        uptime = now - self._started
        data: dict[str, Any] = {
            "temperature_c": round(24 + 3 * math.sin(uptime / 60) + self._random(), 2),
            "rssi_dbm": round(-55 - 10 * self._random()),
            **self._servos,
        }
        return Telemetry(
            data=data,
            id=f"{self._run}-{self._sequence}",
            seq=self._sequence,
            uptime_ms=round(uptime * 1000),
        )

    def send_picture(self, session: DeviceSession, now: float) -> int:
        """Announce and send the next picture; returns its size in bytes."""
        from wsdev.pictures import HEIGHT, WIDTH, make_picture  # noqa: PLC0415  (loads Pillow)

        self._pictures += 1
        picture = make_picture(self._pictures, clean_name(self.name))
        session.send(
            Frame(
                size=len(picture),
                width=WIDTH,
                height=HEIGHT,
                timestamp=round((now - self._started) * 1000),
            )
        )
        session.send_binary(picture)
        return len(picture)

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
        elif kind == "capture_photo" and self.device_class.name == ESP32CAM.name:
            done = f"picture of {self.send_picture(session, now)} bytes sent"
        session.acknowledge(
            command_id=command_id if isinstance(command_id, str) else None, command_type=kind
        )
        return done
