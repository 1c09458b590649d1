"""The console on its sockets: uvicorn in the gateway's own event loop, within bounds.

uvicorn has no deadline for a request's head and none for a client that stops reading, and its
signal handlers would replace the gateway's. All three are mended here. Nothing that a client of the
console does may hurt a device: there are few connections, each with bounded memory and patience.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Iterator, Sequence
from http import HTTPStatus
from typing import Any, Final, cast

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from wsdev.console import problems
from wsdev.console.app import Application
from wsdev.console.away import Away
from wsdev.console.cameras import Cameras
from wsdev.console.feed import Feed
from wsdev.console.gate import Gate
from wsdev.console.logins import Logins
from wsdev.console.plane import GatewayParts, Plane
from wsdev.errors import AddressInUse, AddressUnavailable
from wsdev.interfaces import listen
from wsdev.logs import LOGGER, log, log_fault
from wsdev.settings import ServeSettings

MOST_CONNECTIONS: Final = 256
"""Sockets at a time: some pages with a tile for each camera, and programs."""

SPARE_CONNECTIONS: Final = 32
"""Beyond those, which are told that it is full; further ones are dropped."""

HEAD_BYTES: Final = 16 * 1024
HEAD_SECONDS: Final = 10.0
"""For a whole request head, from the first byte of it, or from the connection on."""

STALL_SECONDS: Final = 30.0
"""For which a client may read nothing of what waits for it; then it is cut off."""

KEEP_ALIVE: Final = 30
END_SECONDS: Final = 2.0
"""For answers that are under way when the gateway stops."""


def open_sockets(settings: ServeSettings) -> list[socket.socket]:
    """The console's listening sockets.

    Raises:
        AddressInUse, AddressUnavailable: with what to do about it.
    """
    hint = "choose another --console-port, or leave the console out with --no-console"
    try:
        return listen((settings.console_host,), settings.console_port)
    except AddressInUse as error:
        raise AddressInUse(f"{error.cause} (the console's)", hint) from None
    except AddressUnavailable as error:
        cause = error.cause.replace("--host", "--console-host")
        raise AddressUnavailable(
            cause, "use --console-host with an address of this host, or --no-console"
        ) from None


class _Protocol(H11Protocol):
    """uvicorn's, with deadlines; the server looks at them every tick."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        # What is known of the connection, for all its requests.
        self.app_state = {**self.app_state, "connection": {}}
        self._asked_since: float | None = self.loop.time()
        self._unread_since: float | None = None
        self._closing_since: float | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS + SPARE_CONNECTIONS:
            transport.abort()
        elif len(self.connections) > MOST_CONNECTIONS:
            transport.write(
                _raw_problem(503, "full", "the console has too many connections", "close some")
            )
            transport.close()

    def data_received(self, data: bytes) -> None:
        if self._asked_since is None and not self._is_busy():
            self._asked_since = self.loop.time()
        super().data_received(data)

    def pause_writing(self) -> None:
        self._unread_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        self._unread_since = None
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, or a head that is too large, in our own words."""
        self.transport.write(_raw_problem(400, "bad_request", msg, "speak HTTP/1.1"))
        self.transport.close()

    def _is_busy(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # there is none before the first request
        return cycle is not None and not cycle.response_complete

    def check(self, now: float) -> None:
        """Cut off a client whose time is over."""
        if self._is_busy():
            self._asked_since = None
        closing = self.transport.is_closing()
        if closing and self._closing_since is None:
            self._closing_since = now
        for cause, since, patience in (
            ("slow_head", self._asked_since, HEAD_SECONDS),
            ("unread", self._unread_since, STALL_SECONDS),
            ("slow_end", self._closing_since, HEAD_SECONDS),
        ):
            if since is not None and now - since > patience:
                address = None if self.client is None else self.client[0]
                log(logging.INFO, "console_cut", address=address, cause=cause)
                self.transport.abort()
                return


def _raw_problem(status: int, code: str, detail: str, hint: str) -> bytes:
    """A problem document as a whole answer, for where there is no application to ask."""
    answer = problems.answer(status, code, detail, hint, {"Connection": "close"})
    head = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}".encode()]
    head += [name + b": " + value for name, value in answer.raw_headers]
    return b"\r\n".join([*head, b"", bytes(answer.body)])


class _Server(uvicorn.Server):
    """uvicorn's, without signal handlers, on sockets that are already there.

    Attributes:
        ready: It accepts connections.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections."""
        config, loop = self.config, asyncio.get_running_loop()

        def make() -> asyncio.Protocol:
            return _Protocol(config=config, server_state=self.server_state, app_state={})

        self.servers = [
            await loop.create_server(
                make,
                sock=sock,
                ssl=config.ssl,
                ssl_handshake_timeout=HEAD_SECONDS if config.ssl else None,
            )
            for sock in sockets or []
        ]
        self.started = True
        self.ready.set()

    async def stop(self, serving: asyncio.Task[None]) -> None:
        """End, and cut off what does not."""
        self.should_exit = True
        await serving
        for connection in list(self.server_state.connections):
            cast(_Protocol, connection).transport.abort()
        while tasks := list(self.server_state.tasks):
            await asyncio.wait(tasks)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the gateway."""
        yield

    async def on_tick(self, counter: int) -> bool:
        """Also look at the connections' deadlines, twice a second."""
        if counter % 5 == 0:
            now = asyncio.get_running_loop().time()
            for connection in list(self.server_state.connections):
                cast(_Protocol, connection).check(now)
        return await super().on_tick(counter)


class _LogHandler(logging.Handler):
    """What uvicorn has to say, as lines of our log."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1] is not None:
            log_fault("fault", record.exc_info[1], doing="console")
        else:
            log(logging.DEBUG, "console", says=record.getMessage().strip())


@contextlib.contextmanager
def _quiet_uvicorn() -> Iterator[None]:
    logger = logging.getLogger("uvicorn")
    before = logger.handlers[:], logger.propagate, logger.level
    logger.handlers[:], logger.propagate = [_LogHandler()], False
    # At DEBUG and below it tells of every connection; warnings of it are a client's faults.
    logger.setLevel(max(LOGGER.getEffectiveLevel(), logging.INFO))
    try:
        yield
    finally:
        logger.handlers[:], logger.propagate = before[:2]
        logger.setLevel(before[2])


@contextlib.asynccontextmanager
async def serving(
    parts: GatewayParts, sockets: Sequence[socket.socket], tls: ssl.SSLContext | None = None
) -> AsyncIterator[Plane]:
    """The console while the block runs: ready when it begins, gone when it ends."""
    gate = Gate(
        parts.settings,
        parts.book,
        Logins(parts.clock),
        clock=parts.clock,
        wall_clock=parts.wall_clock,
        tls=tls is not None,
    )
    feed, cameras = Feed(parts.folder, parts.hub), Cameras(parts.hub, parts.clock)
    away = Away(parts.hub, parts.folder, parts.clock, parts.wall_clock)
    plane = Plane(parts, gate, feed, cameras, away)
    server = _Server(_config(Application(plane), tls))
    with _quiet_uvicorn():
        task = asyncio.create_task(server.serve(list(sockets)))
        await server.ready.wait()
        try:
            yield plane
        finally:
            plane.end_streams()
            await server.stop(task)
            await plane.close()


def _config(app: Application, tls: ssl.SSLContext | None) -> uvicorn.Config:
    config = uvicorn.Config(
        app,
        http=_Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=int(END_SECONDS),
        h11_max_incomplete_event_size=HEAD_BYTES,
    )
    config.load()
    config.ssl = tls
    return config
