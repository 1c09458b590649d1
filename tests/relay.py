"""A TCP relay that behaves as bad paths and middleboxes do: cuts, delays, buffers, drops.

It stands on a free port of 127.0.0.1 and is gone when its block ends. Times are those of the path
that it imitates, in seconds; nothing here waits for readiness.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass

LOOPBACK = "127.0.0.1"

CLOSE, PING, PONG = 0x8, 0x9, 0xA

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Rules:
    """What a path does to a connection. ``up`` is from the client, ``down`` to it.

    Attributes:
        only_upgrades: Leave connections alone that do not ask for a WebSocket.
        rewrite: Changes the request's head (the first segment of the client).
        cut_after_up, cut_after_down: End the connection after so many bytes that way.
        cut_after: End it after so many seconds.
        cut_when_idle: End it after so many seconds without a byte either way.
        reset: Ends with RST instead of FIN.
        hold_up, hold_down: Hold back what goes that way until it is so many bytes, as buffering
            proxies do.
        delay: Each piece that goes up is that much later, in seconds.
        stop_after_down: Forward nothing more that way after so many bytes, and say nothing.
        drop_up: Which frames (opcode, bytes of payload) of the client are lost.
        drop_down: Which frames of the server are lost.
    """

    only_upgrades: bool = True
    rewrite: Callable[[bytes], bytes] | None = None
    cut_after_up: int | None = None
    cut_after_down: int | None = None
    cut_after: float | None = None
    cut_when_idle: float | None = None
    reset: bool = False
    hold_up: int = 0
    hold_down: int = 0
    delay: float = 0.0
    stop_after_down: int | None = None
    drop_up: Callable[[int, int], bool] | None = None
    drop_down: Callable[[int, int], bool] | None = None


def frames_over(size: int) -> Callable[[int, int], bool]:
    """Frames with more than ``size`` bytes of payload."""
    return lambda _, length: length > size


def frames_of(opcode: int) -> Callable[[int, int], bool]:
    """Frames with that opcode."""
    return lambda found, _: found == opcode


def every(count: int, opcode: int) -> Callable[[int, int], bool]:
    """Each ``count``-th of the frames with that opcode."""
    numbers: Iterator[int] = itertools.count(1)
    return lambda found, _: found == opcode and next(numbers) % count == 0


@contextlib.asynccontextmanager
async def relaying(target: int, rules: Rules) -> AsyncIterator[int]:
    """A relay to the port ``target`` of 127.0.0.1; gives its own port."""
    connections: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await _Connection(reader, writer, rules).run(target)
        writer.transport.abort()
        connections.discard(task)

    server = await asyncio.start_server(serve, LOOPBACK, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        while connections:
            for task in list(connections):
                task.cancel()
            await asyncio.wait(connections)


class _Cut(Exception):
    """The connection ends here."""


class _Connection:
    """One connection through the relay."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, rules: Rules
    ) -> None:
        self._client = reader, writer
        self._rules = rules
        self._loop = asyncio.get_running_loop()
        self._last_byte = self._loop.time()

    async def run(self, target: int) -> None:
        reader, writer = self._client
        first = await reader.readuntil(b"\r\n\r\n")
        if self._rules.only_upgrades and b"upgrade: websocket" not in first.lower():
            self._rules = Rules()
        if self._rules.rewrite is not None:
            first = self._rules.rewrite(first)
        from_server, to_server = await asyncio.open_connection(LOOPBACK, target)
        try:
            await self._carry(reader, first, to_server, from_server, writer)
        finally:
            to_server.transport.abort()

    async def _carry(
        self,
        reader: asyncio.StreamReader,
        first: bytes,
        to_server: asyncio.StreamWriter,
        from_server: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        rules = self._rules
        up = _Way(
            to_server,
            cut_after=rules.cut_after_up,
            hold=rules.hold_up,
            drop=rules.drop_up,
            delay=rules.delay,
        )
        down = _Way(
            writer,
            cut_after=rules.cut_after_down,
            stop_after=rules.stop_after_down,
            hold=rules.hold_down,
            drop=rules.drop_down,
        )
        ways = [
            asyncio.create_task(self._one_way(reader, up, first)),
            asyncio.create_task(self._one_way(from_server, down, b"")),
        ]
        if rules.cut_after is not None or rules.cut_when_idle is not None:
            ways.append(asyncio.create_task(self._watch()))
        try:
            done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_EXCEPTION)
            if any(isinstance(task.exception(), _Cut) for task in done):
                self._cut(writer)
        finally:
            for task in ways:
                task.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _one_way(self, reader: asyncio.StreamReader, way: _Way, first: bytes) -> None:
        data = first or await reader.read(65536)
        while data:
            self._last_byte = self._loop.time()
            await way.carry(data)
            data = await reader.read(65536)
        raise _Cut  # the relay passes an end on as its own end

    async def _watch(self) -> None:
        """Cut when it is time."""
        began = self._loop.time()
        while True:
            now = self._loop.time()
            ends = [began + self._rules.cut_after] if self._rules.cut_after is not None else []
            if self._rules.cut_when_idle is not None:
                ends.append(self._last_byte + self._rules.cut_when_idle)
            if min(ends) <= now:
                raise _Cut
            await asyncio.sleep(min(ends) - now)

    def _cut(self, writer: asyncio.StreamWriter) -> None:
        if self._rules.reset:
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            writer.transport.abort()
        else:
            writer.close()


class _Way:
    """One direction: counts, buffers, drops and delays."""

    def __init__(
        self,
        writer: asyncio.StreamWriter,
        *,
        cut_after: int | None,
        stop_after: int | None = None,
        hold: int = 0,
        drop: Callable[[int, int], bool] | None = None,
        delay: float = 0.0,
    ) -> None:
        self._writer = writer
        self._cut_after = cut_after
        self._stop_after = stop_after
        self._hold = hold
        self._frames = _Frames(drop) if drop is not None else None
        self._delay = delay
        self._held = b""
        self._carried = 0

    async def carry(self, data: bytes) -> None:
        """Pass on what the rules let through.

        Raises:
            _Cut: it was too much.
        """
        if self._frames is not None:
            data = self._frames.without_dropped(data)
        self._held += data
        if len(self._held) < self._hold:
            return
        data, self._held = self._held, b""
        if self._delay:
            await asyncio.sleep(self._delay)
        if self._stop_after is not None:
            data = data[: max(0, self._stop_after - self._carried)]
        self._carried += len(data)
        if self._cut_after is not None and self._carried > self._cut_after:
            self._writer.write(data[: len(data) - (self._carried - self._cut_after)])
            raise _Cut
        self._writer.write(data)
        await self._writer.drain()


class _Frames:
    """WebSocket frames after an HTTP head, some of which are dropped (RFC 6455 section 5.2)."""

    def __init__(self, drop: Callable[[int, int], bool]) -> None:
        self._drop = drop
        self._is_head = True
        self._waiting = b""

    def without_dropped(self, data: bytes) -> bytes:
        self._waiting += data
        out = b""
        if self._is_head:
            head, end, rest = self._waiting.partition(b"\r\n\r\n")
            if not end:
                return b""
            self._is_head, self._waiting, out = False, rest, head + end
        while (frame := self._next_frame()) is not None:
            opcode, length, whole = frame
            if not self._drop(opcode, length):
                out += whole
        return out

    def _next_frame(self) -> tuple[int, int, bytes] | None:
        """Opcode, bytes of payload and the whole; None while more has to come."""
        data = self._waiting
        if len(data) < 2:
            return None
        length, start = data[1] & 0x7F, 2
        if length >= 126:
            more = 2 if length == 126 else 8
            if len(data) < start + more:
                return None
            length, start = int.from_bytes(data[start : start + more], "big"), start + more
        end = start + (4 if data[1] & 0x80 else 0) + length
        if len(data) < end:
            return None
        self._waiting = data[end:]
        return data[0] & 0x0F, length, data[:end]
