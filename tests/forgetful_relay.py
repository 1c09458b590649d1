"""A way to a gateway that loses silent connections, as some NATs and load balancers do."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from fake_gateways import LOOPBACK, settled


class _Connection:
    """One connection through the relay: bytes both ways, until it is forgotten."""

    def __init__(self, forget_after: float) -> None:
        self._forget_after = forget_after
        self._loop = asyncio.get_running_loop()
        self._last = self._loop.time()
        self.is_forgotten = False

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass bytes on; once forgotten, take them and let nobody know."""
        while data := await reader.read(65536):
            now = self._loop.time()
            self.is_forgotten |= now - self._last >= self._forget_after
            self._last = now
            if not self.is_forgotten:
                writer.write(data)
                await writer.drain()
        if not self.is_forgotten:
            writer.close()


@contextlib.asynccontextmanager
async def forgetful_relay(port: int, forget_after: float) -> AsyncIterator[int]:
    """A relay to ``port`` that forgets a connection ``forget_after`` seconds after its last byte.

    It looks at the time only when something is said, as a forgotten connection is found out only
    then. Gives its port.
    """
    tasks: set[asyncio.Task[None]] = set()
    before = asyncio.all_tasks()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        inner, outer = await asyncio.open_connection(LOOPBACK, port)
        connection = _Connection(forget_after)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(connection.pass_on(reader, outer))
                group.create_task(connection.pass_on(inner, writer))
        except* (ConnectionError, asyncio.CancelledError):
            pass  # the block ends, or one end reset: as good as an end
        finally:
            tasks.discard(task)
            for end in (outer, writer):
                end.transport.abort()

    server = await asyncio.start_server(relay, LOOPBACK, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await settled(before)
