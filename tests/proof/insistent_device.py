"""A device that insists: it sends again, byte for byte, what it has no ack for, until it has one.

Each of its messages follows from its number, so what it ever sent is known without keeping it.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from wsdev.client import DeviceConnection, connect
from wsdev.errors import PathError
from wsdev.events import Closed, Event, MessageReceived
from wsdev.protocol import ESP32CAM, PICO, Ack, DeviceClass
from wsdev.session import SessionPolicy
from wsdev.urls import GatewayAddress

PATIENCE = 60.0
"""Seconds after which something has failed; a machine under load is slow, not wrong."""

ACKNOWLEDGED = ("telemetry", "sensor_data", "heartbeat", "status", "test", "log")

_LONG = " and so on" * 300
"""Makes a message of 3 KB of one in sixteen: the file grows, and checkpoints come."""


def small_picture(number: int) -> bytes:
    """What passes for a JPEG: both markers, and bytes that no other picture has."""
    return b"\xff\xd8" + random.Random(number).randbytes(2000) + b"\xff\xd9"


@dataclass(eq=False)
class InsistentDevice:
    """A device and what it knows of its messages.

    Attributes:
        window: Messages in flight at most.
        says: What is in its messages beside their number; two devices may say the same.
        pictures_after: Each so many messages a picture, which has no ack; 0 for none.
        sent_again: Of its latest so many messages it sends some again though they were acked.
        sent: Messages 0 to ``sent - 1`` were sent at least once.
        acked: Those that were acknowledged.
        acks: How many acks came, those for repeats among them.
    """

    name: str
    device_class: DeviceClass
    window: int
    says: str = ""
    pictures_after: int = 0
    sent_again: int = 40
    sent: int = 0
    acks: int = 0
    acked: set[int] = field(default_factory=set)

    # Its messages

    def message_id(self, number: int) -> str | int:
        """The ``id`` of a message; half of the devices count, the others use words."""
        return number if self.device_class is ESP32CAM else f"{self.says or self.name}-{number}"

    def number(self, message_id: str | int) -> int:
        """The number of the message with that ``id``."""
        number = message_id if isinstance(message_id, int) else int(message_id.rpartition("-")[2])
        assert self.message_id(number) == message_id, message_id
        return number

    def message(self, number: int) -> bytes:
        """A message as it goes out, each time."""
        kind = ACKNOWLEDGED[number % len(ACKNOWLEDGED)]
        words = f"{self.says or self.name} {number}{_LONG * (number % 16 == 0)}"
        body: dict[str, Any] = {"type": kind, "id": self.message_id(number)}
        if kind == "log":
            body |= {"message": words}
        else:
            body |= {"data": {"celsius": number / 8, "words": words}}
        return json.dumps(body).encode()

    def unacked(self) -> list[int]:
        """What was sent and has no ack, the oldest first."""
        return [n for n in range(self.sent) if n not in self.acked]

    # The conversation

    async def talk(
        self,
        address: GatewayAddress,
        *,
        most: int | None = None,
        on_ack: Callable[[], None] | None = None,
    ) -> Closed | None:
        """Connect, send again what is due, and go on until closed, or all of ``most`` is acked.

        Args:
            most: Messages in all, over all conversations.
            on_ack: Is called with each ack.

        Returns:
            How the gateway closed; None if it did not, or was not there.
        """
        try:
            policy = SessionPolicy()
            async with connect(address, self.device_class, None, policy=policy) as link:
                link.session.hello(self.name, "proof")
                again = self.unacked()
                self._send(link, [*self._some_acked(), *again, *again[::7]])
                while most is None or len(self.acked) < most:
                    self._top_up(link, most)
                    event = await link.next_event()
                    if isinstance(event, Closed):
                        return event
                    if self._heard(event) and on_ack is not None:
                        on_ack()
        except PathError:
            pass  # killed during the handshake
        return None

    def _some_acked(self) -> list[int]:
        recent = range(max(0, self.sent - self.sent_again), self.sent)
        return [number for number in recent if number in self.acked][::3]

    def _top_up(self, link: DeviceConnection, most: int | None) -> None:
        room = self.window - (self.sent - len(self.acked))
        if 2 * room < self.window:
            return
        end = self.sent + room if most is None else min(self.sent + room, most)
        fresh = range(self.sent, end)
        self.sent = end
        self._send(link, [n for n in fresh for _ in range(2 if n % 11 == 0 else 1)])

    def _send(self, link: DeviceConnection, numbers: Iterable[int]) -> None:
        for number in numbers:
            link.session.send_text(self.message(number))
            if self.pictures_after and number % self.pictures_after == 0:
                link.session.send_binary(small_picture(number))
        link.flush()

    def _heard(self, event: Event) -> bool:
        """Take an ack; whether it was one."""
        if not isinstance(event, MessageReceived) or not isinstance(event.message, Ack):
            return False
        number = self.number(event.message.id)
        assert number < self.sent, "an ack for what was never sent"
        self.acks += 1
        self.acked.add(number)
        return True


def made_fleet(**habits: Any) -> list[InsistentDevice]:
    """Devices of each kind: patient and hasty ones, and two cameras that say the same."""
    return [
        InsistentDevice("patient", PICO, window=1, **habits),
        InsistentDevice("steady", PICO, window=16, **habits),
        InsistentDevice("hasty", PICO, window=200, **habits),
        InsistentDevice("porch", ESP32CAM, window=40, says="door", pictures_after=50, **habits),
        InsistentDevice("garage", ESP32CAM, window=40, says="door", pictures_after=70, **habits),
    ]


def address_of(port: int) -> GatewayAddress:
    """A gateway on this machine."""
    return GatewayAddress("127.0.0.1", port)


async def talk_all(
    fleet: Iterable[InsistentDevice],
    port: int,
    *,
    more: int | None = None,
    on_ack: Callable[[], None] | None = None,
) -> list[Closed | None]:
    """Let all devices talk at once until closed, or until ``more`` of each are acked."""

    def end(device: InsistentDevice) -> int | None:
        return None if more is None else device.sent + more

    async with asyncio.timeout(PATIENCE):
        return await asyncio.gather(
            *(d.talk(address_of(port), most=end(d), on_ack=on_ack) for d in fleet)
        )
