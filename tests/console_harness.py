"""A gateway and its console in this process, on free ports."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from harness import BINARY, PATIENCE, Device, RunningGateway, bearer, frame, running_gateway

from wsdev.command_archive import FileArchive
from wsdev.command_desk import CommandDesk
from wsdev.console import serving
from wsdev.console.plane import GatewayParts, Plane
from wsdev.interfaces import listen

JPEG = b"\xff\xd8 the first picture \xff\xd9"
OTHER_JPEG = b"\xff\xd8 another picture \xff\xd9"

GUARD = {"X-Wsdev": "1"}


@dataclass
class RunningConsole:
    """A console beside a gateway.

    Attributes:
        client: Presents an operator token.
        stranger: Presents nothing.
        token: The operator token.
    """

    gateway: RunningGateway
    plane: Plane
    client: httpx.AsyncClient
    stranger: httpx.AsyncClient
    token: str
    port: int
    parts: GatewayParts
    tls: ssl.SSLContext | None
    _serving: contextlib.AsyncExitStack

    async def start(self) -> None:
        """Serve again on the same port, as a gateway does that was restarted."""
        sockets = listen(("127.0.0.1",), self.port)
        self.plane = await self._serving.enter_async_context(
            serving.serving(self.parts, sockets, self.tls)
        )

    async def stop(self) -> None:
        """Be gone for a while; the gateway and its devices stay."""
        await self._serving.aclose()

    @property
    def url(self) -> str:
        return str(self.client.base_url)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A bare connection."""
        return await asyncio.open_connection("127.0.0.1", self.port, limit=2**22)

    async def ask(self, method: str, path: str, headers: str = "") -> Raw:
        """Open a connection and send a request head with the operator token."""
        reader, writer = await self.connect()
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        head += f"Authorization: Bearer {self.token}\r\n{headers}\r\n"
        writer.write(head.encode())
        return Raw(reader, writer)

    async def recorded(self) -> None:
        """Return once all that happened is on disk."""
        await self.gateway.all_recorded()


@dataclass
class Raw:
    """A bare connection with a request on it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def until(self, mark: bytes) -> bytes:
        """All up to the mark."""
        async with asyncio.timeout(PATIENCE):
            return await self.reader.readuntil(mark)

    async def rest(self) -> bytes:
        """All until the other end closes."""
        async with asyncio.timeout(PATIENCE):
            return await self.reader.read()

    async def close(self) -> None:
        """Cut it."""
        self.writer.transport.abort()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()


@contextlib.asynccontextmanager
async def running_console(
    folder: Path, *, tls: tuple[ssl.SSLContext, ssl.SSLContext] | None = None, **settings: Any
) -> AsyncIterator[RunningConsole]:
    """A gateway and its console; without ``trust_local=True`` a token is needed."""
    async with running_gateway(folder, **settings) as gateway:
        core = gateway.gateway
        desk = CommandDesk(
            gateway.hub,
            gateway.journal,
            FileArchive(gateway.folder),
            clock=gateway.clock,
            wall_clock=gateway.wall_clock,
        )
        parts = GatewayParts(
            core._settings,
            gateway.book,
            gateway.hub,
            desk,
            core.metrics,
            gateway.folder,
            core.desk.health,
            gateway.clock,
            gateway.wall_clock,
        )
        _, token = gateway.book.create_operator(name="alice")
        sockets = listen(("127.0.0.1",), 0)
        port = sockets[0].getsockname()[1]
        base = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        verify: ssl.SSLContext | bool = tls[1] if tls else False
        async with (
            contextlib.AsyncExitStack() as stack,
            httpx.AsyncClient(
                base_url=base, headers=bearer(token), verify=verify, timeout=PATIENCE
            ) as client,
            httpx.AsyncClient(base_url=base, verify=verify, timeout=PATIENCE) as stranger,
        ):
            own_tls = tls[0] if tls else None
            plane = await stack.enter_async_context(serving.serving(parts, sockets, own_tls))
            yield RunningConsole(
                gateway, plane, client, stranger, token, port, parts, own_tls, stack
            )


async def send_picture(console: RunningConsole, device: Device, data: bytes) -> None:
    """Send a binary message, and return once the gateway has it."""
    await device.write(frame(BINARY, data))
    await device.telemetry(f"after-{id(data)}")


async def until(is_so: Callable[[], bool]) -> None:
    """Return once something holds that nobody tells of."""
    async with asyncio.timeout(PATIENCE):
        while not is_so():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


class Events:
    """A stream of server-sent events as a client reads it."""

    def __init__(self, raw: Raw) -> None:
        self.raw = raw

    @classmethod
    @contextlib.asynccontextmanager
    async def of(
        cls, console: RunningConsole, query: str = "", headers: str = ""
    ) -> AsyncIterator[Events]:
        """Events from now on."""
        raw = await console.ask("GET", f"/api/events{query}", headers)
        try:
            head = await raw.until(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 "), head
            assert b"content-type: text/event-stream" in head
            events = cls(raw)
            assert await events.block() == ["retry: 2000"]
            yield events
        finally:
            await raw.close()

    async def block(self) -> list[str]:
        """The lines of the next block, out of its chunk."""
        text = b""
        while not text.endswith(b"\n\n"):
            line = await self.raw.until(b"\n")
            if not line.endswith(b"\r\n"):  # else a chunk's size, or its end
                text += line
        return text.decode().strip().split("\n")

    async def next(self, *wanted: str) -> tuple[str, dict[str, Any], int]:
        """The next event of those names: name, data, number."""
        while True:
            fields = dict(line.split(": ", 1) for line in await self.block() if line[0] != ":")
            if "event" in fields and (not wanted or fields["event"] in wanted):
                return fields["event"], json.loads(fields["data"]), int(fields.get("id", 0))
