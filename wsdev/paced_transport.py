"""A transport that sends as small devices do: in pieces, with pauses, or not at all for a while."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Final, cast

from wsdev.link import Hold, Link
from wsdev.session import Session

_END_OF_HEAD: Final = b"\r\n\r\n"
_MASK: Final = 4


class PacedTransport:
    """Stands between a link and its transport, and cuts what is written.

    A piece leaves the process before the next is written: one TCP segment each, Nagle's algorithm
    being off in asyncio.

    Args:
        piece: The most bytes of one; 0: any number.
        pause: Seconds between two.
        lines: Of the request's head, a piece is a line.
        apart: Of frames, head and payload are a piece each.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        *,
        piece: int = 0,
        pause: float = 0.0,
        lines: bool = False,
        apart: bool = False,
    ) -> None:
        self._transport = transport
        self.is_closing = transport.is_closing
        self._is_plain = not (piece or pause or lines or apart)
        self._piece = piece
        self._pause = pause
        self._lines = lines
        self._apart = apart
        self._is_head = True
        self._waiting: deque[bytes] = deque()
        self._pump: asyncio.Handle | None = None
        self._is_held = False
        self._then_end = False

    def __getattr__(self, name: str) -> Any:
        # What is not about writing goes straight to the transport.
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send, in pieces."""
        if self._is_plain and not self._is_held and not self._waiting:
            self._transport.write(data)
            return
        self._waiting.extend(self._cut(data))
        self._go_on()

    def write_eof(self) -> None:
        """Half-close behind what waits."""
        self._then_end = True
        self._go_on()

    def hold(self) -> None:
        """Send nothing until :meth:`release`."""
        self._is_held = True

    def release(self) -> None:
        """Send on."""
        self._is_held = False
        self._go_on()

    def get_write_buffer_size(self) -> int:
        """Bytes that wait, here and below."""
        return sum(map(len, self._waiting)) + self._transport.get_write_buffer_size()

    def _cut(self, data: bytes) -> Iterator[bytes]:
        parts = [data]
        if self._is_head:
            self._is_head = not data.endswith(_END_OF_HEAD)
            parts = data.splitlines(keepends=True) if self._lines else parts
        elif self._apart:
            parts = _heads_and_payloads(data)
        for part in parts:
            step = self._piece or len(part)
            yield from (part[start : start + step] for start in range(0, len(part), step))

    def _go_on(self) -> None:
        if self._pump is None and not self._is_held:
            self._send_one()

    def _send_one(self) -> None:
        self._pump = None
        if self._is_held or self._transport.is_closing():
            return
        if not self._waiting:
            if self._then_end:
                self._transport.write_eof()
            return
        self._transport.write(self._waiting.popleft())
        # The loop sends at its next turn at the latest, before what is called two turns later.
        loop = asyncio.get_running_loop()
        if self._pause:
            self._pump = loop.call_later(self._pause, self._send_one)
        else:
            self._pump = loop.call_soon(loop.call_soon, self._send_one)


def _heads_and_payloads(data: bytes) -> list[bytes]:
    """Whole masked frames, cut between head and payload (RFC 6455 section 5.2)."""
    parts = []
    start = 0
    while start < len(data):
        size = data[start + 1] & 0x7F
        wide = {126: 2, 127: 8}.get(size, 0)
        if wide:
            size = int.from_bytes(data[start + 2 : start + 2 + wide], "big")
        payload = start + 2 + wide + _MASK
        parts += [data[start:payload], data[payload : payload + size]]
        start = payload + size
    return [part for part in parts if part]


class PacedLink(Link):
    """A link whose transport is paced.

    Args:
        pace: Makes the one transport of the other.
    """

    __slots__ = ("_pace", "paced")

    def __init__(
        self,
        session: Session,
        clock: Callable[[], float],
        buffer: memoryview,
        pace: Callable[[asyncio.Transport], PacedTransport],
    ) -> None:
        super().__init__(session, clock, buffer)
        self._pace = pace
        self.paced: PacedTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start, at the given pace."""
        # uvloop's transports behave as asyncio.Transport without being subclasses of it.
        self.paced = self._pace(cast(asyncio.Transport, transport))
        super().connection_made(cast(asyncio.BaseTransport, self.paced))

    def hold_all(self) -> None:
        """Neither read nor send."""
        self.hold(Hold.PAUSE)
        if self.paced is not None:
            self.paced.hold()

    def release_all(self) -> None:
        """Read and send on."""
        self.release(Hold.PAUSE)
        if self.paced is not None:
            self.paced.release()
