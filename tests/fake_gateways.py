"""Servers that a device may meet instead of a gateway: silent, foreign, rude or endless.

Each is a real server on a free port of 127.0.0.1, gone when its block ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import trustme
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as serve_websocket

LOOPBACK = "127.0.0.1"

TLS_PATIENCE = 10.0
"""Seconds after which a silent visitor of :func:`tls_serving` is left."""

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def serving(behaviour: Behaviour, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server that treats each connection by ``behaviour``; gives its port."""
    visits: set[asyncio.Task[None]] = set()
    before = asyncio.all_tasks()

    async def visit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        visits.add(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await behaviour(reader, writer)
        except asyncio.CancelledError:
            writer.transport.abort()  # the block ends; asyncio.streams would report an error
        finally:
            visits.discard(task)
            writer.close()

    server = await asyncio.start_server(visit, LOOPBACK, 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        # A connection that is still being accepted would stumble over a closed server.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        for task in list(visits):
            task.cancel()
        await settled(before)
        server.close()


async def settled(before: set[asyncio.Task[Any]]) -> None:
    """Return once the tasks that were not there ``before`` have ended, asyncio's own too."""
    while after := asyncio.all_tasks() - before:
        await asyncio.wait(after, return_when=asyncio.FIRST_COMPLETED)


async def _request(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


async def stay_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take all and say nothing."""
    await reader.read(-1)


async def be_ssh(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Speak first, and another language."""
    writer.write(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n")
    await writer.drain()
    await reader.read(-1)


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read the request and close without a word."""
    await _request(reader)


async def hang_up_in_the_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Begin an answer and close in the middle of its head."""
    await _request(reader)
    writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgr")
    await writer.drain()


async def complain_about_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A web server without TLS that gets a ClientHello."""
    await reader.read(1)
    writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    await writer.drain()


def answer(status: str, body: bytes, *headers: str) -> Behaviour:
    """A web server that always gives this answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    whole = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _request(reader)
        writer.write(whole)
        await writer.drain()

    return behave


class EndlessAnswer:
    """An answer of ``/public/tokens`` that never ends; ``sent`` counts its bytes."""

    def __init__(self) -> None:
        self.sent = 0
        self.was_left = asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
        block = b'"pico_tokens":[' + b" " * 65536
        try:
            while True:
                writer.write(block)
                await writer.drain()
                self.sent += len(block)
        finally:
            self.was_left.set()


@contextlib.contextmanager
def full_backlog() -> Iterator[int]:
    """A port at which a SYN gets no answer: what a firewall that drops looks like."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind((LOOPBACK, 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        for _ in range(4):  # Linux takes one more than the backlog
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                waiting.connect((LOOPBACK, port))
        yield port


@contextlib.contextmanager
def tls_serving(context: ssl.SSLContext) -> Iterator[int]:
    """A small HTTPS server that sends its alerts, which asyncio's does not; gives its port."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        thread = threading.Thread(target=_serve_tls, args=(listener, context))
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def _serve_tls(listener: socket.socket, context: ssl.SSLContext) -> None:
    while True:
        try:
            visitor, _ = listener.accept()
        except OSError:
            return  # shut down
        visitor.settimeout(TLS_PATIENCE)
        with visitor, contextlib.suppress(OSError):
            tls = context.wrap_socket(visitor, server_side=True)
            with tls:
                tls.recv(4096)
                tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


def closed_port() -> int:
    """A port at which nothing listens."""
    with socket.socket() as sock:
        sock.bind((LOOPBACK, 0))
        return int(sock.getsockname()[1])


@contextlib.asynccontextmanager
async def upgrading(
    talk: Callable[[ServerConnection], Awaitable[None]], **options: object
) -> AsyncIterator[int]:
    """A WebSocket server of another kind, which talks as told; gives its port."""
    async with serve_websocket(talk, LOOPBACK, 0, **options) as server:  # type: ignore[arg-type]
        yield next(iter(server.sockets)).getsockname()[1]


async def say_nothing(connection: ServerConnection) -> None:
    """Upgrade, then be silent."""
    await connection.wait_closed()


class Issuer:
    """A certificate authority of its own, and contexts of servers that it vouches for."""

    def __init__(self) -> None:
        self.authority = trustme.CA()

    def context(self, name: str) -> ssl.SSLContext:
        """A server's context with a certificate for ``name``."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert(name).configure_cert(context)
        return context

    def pem(self) -> bytes:
        """The authority's own certificate."""
        return self.authority.cert_pem.bytes()

    def trust(self) -> ssl.SSLContext:
        """A client's context that trusts this authority alone."""
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        return context
