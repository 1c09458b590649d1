"""A gateway in this process, and small clients that can do what no library would.

Nothing here sleeps: readiness and log lines are events, and time is a clock that tests move on.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import json
import logging
import os
import socket
import sqlite3
import ssl
import struct
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from wsdev.codes import REFUSALS
from wsdev.command_archive import FileArchive
from wsdev.command_desk import CommandDesk
from wsdev.hub import Hub, Member
from wsdev.journal import FileJournal
from wsdev.logs import LOGGER, ConsoleFormatter, JsonFormatter
from wsdev.metrics import Metrics
from wsdev.server import Gateway
from wsdev.settings import ServeSettings
from wsdev.tokens import TokenBook

PATIENCE = 20.0
"""Seconds after which a test that waits for something has failed; never a time to wait."""

FAR = "203.0.113.9"
"""An address of another network (RFC 5737): what a peer that is not local looks like."""

Headers = Mapping[str, str] | Sequence[tuple[str, str]]


class Clock:
    """Real seconds that a test can move on; for deadlines that nobody wants to wait for."""

    def __init__(self, start: float | None = None) -> None:
        self._start, self._real_start = start, time.monotonic()
        self.skew = 0.0

    def __call__(self) -> float:
        if self._start is None:
            return time.monotonic() + self.skew
        return self._start + time.monotonic() - self._real_start + self.skew

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.skew += seconds


# The log


class LogLines(logging.Handler):
    """The gateway's log lines: what they mean, and their text in both formats."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[dict[str, Any]] = []
        self.text = io.StringIO()
        self._formatters = (JsonFormatter(), ConsoleFormatter(colours=False))
        self._came = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        as_json, for_eyes = (formatter.format(record) for formatter in self._formatters)
        self.lines.append(json.loads(as_json))
        self.text.write(f"{as_json}\n{for_eyes}\n")
        self._came.set()

    def all(self, event: str, **fields: object) -> list[dict[str, Any]]:
        """The lines of that event with these fields, so far."""
        wanted = {"event": event, **fields}
        return [line for line in self.lines if wanted.items() <= line.items()]

    async def wait_for(self, event: str, *, count: int = 1, **fields: object) -> dict[str, Any]:
        """The line number ``count`` of that event with these fields, once it is there."""
        async with asyncio.timeout(PATIENCE):
            while len(found := self.all(event, **fields)) < count:
                self._came.clear()
                await self._came.wait()
        return found[count - 1]


@contextlib.contextmanager
def captured_log() -> Iterator[LogLines]:
    """All that wsdev logs from DEBUG up."""
    handler = LogLines()
    before = LOGGER.handlers[:], LOGGER.level, LOGGER.propagate
    LOGGER.handlers[:], LOGGER.propagate = [handler], False
    LOGGER.setLevel(logging.DEBUG)
    try:
        yield handler
    finally:
        LOGGER.handlers[:], LOGGER.propagate = before[0], before[2]
        LOGGER.setLevel(before[1])


# The gateway


class Masked(socket.socket):
    """A socket whose peer looks as if it were elsewhere."""

    seen_as: tuple[str, int]

    def getpeername(self) -> tuple[str, int]:
        return self.seen_as


class Listener(socket.socket):
    """A listening socket on loopback whose peers can look as if they came from elsewhere.

    ``seen_as`` is the address that the gateway sees from now on; None for the real one.
    ``nameless`` makes a peer that was gone before it was accepted.
    """

    seen_as: str | None = None
    nameless = False

    def accept(self) -> tuple[socket.socket, Any]:
        sock, address = super().accept()
        if self.nameless:
            return sock, None
        if self.seen_as is not None:
            address = self.seen_as, address[1]
            # With TLS the loop asks the socket itself.
            sock = Masked(sock.family, sock.type, sock.proto, sock.detach())
            sock.seen_as = address
        return sock, address


@dataclass
class RunningGateway:
    """A gateway that accepts connections on ``port``, with all that a test may want to hold."""

    gateway: Gateway
    commands: CommandDesk
    book: TokenBook
    journal: FileJournal
    listener: Listener
    clock: Clock
    wall_clock: Clock
    log: LogLines
    folder: Path
    trust: ssl.SSLContext | None
    port: int

    @property
    def hub(self) -> Hub:
        return self.gateway.hub

    def token(self, device_class: str = "pico", name: str | None = None) -> str:
        """A token: the class's own, or a new one for the device of that name."""
        if name is None:
            return self.book.public_tokens()[device_class][0]
        return self.book.create(device_class, name=name)[1]

    def member(self, name: str) -> Member:
        """The connected device of that name."""
        member = self.hub.get(name)
        assert member is not None, f"{name} is not there, but {[m.name for m in self.hub]}"
        return member

    def is_at_ease(self) -> bool:
        """Whether nobody is connected and nothing is counted any more."""
        return not len(self.gateway) and not len(self.hub)

    async def all_recorded(self) -> None:
        """Return once all that happened is on disk."""
        done = asyncio.Event()
        self.journal.when_recorded(done.set)
        async with asyncio.timeout(PATIENCE):
            await done.wait()

    async def send(self, request: bytes) -> Answer:
        """The answer to raw bytes."""
        async with RawClient.connect(self) as client:
            await client.write(request)
            return await client.answer()

    async def get(self, target: str = "/", headers: Headers = (), *, method: str = "GET") -> Answer:
        """The answer to a plain HTTP request."""
        return await self.send(head(target, headers, method=method))

    async def upgrade(self, target: str = "/ws/pico", headers: Headers = ()) -> Answer:
        """The answer to a WebSocket handshake."""
        return await self.send(upgrade_head(target, headers))

    def device(self, device_class: str = "pico", **knobs: Any) -> Any:
        """A connected :class:`Device` of that class as an async context manager."""
        return Device.connected(self, device_class, **knobs)


def settings_for_tests(
    *, limits: Mapping[str, float] | None = None, **changes: Any
) -> ServeSettings:
    """Settings in which a token is needed even from this host."""
    changes.setdefault("trust_local", False)
    return ServeSettings(limit=tuple((limits or {}).items()), **changes)


@contextlib.contextmanager
def open_journal(
    folder: Path, wall_clock: Callable[[], float], settings: ServeSettings
) -> Iterator[FileJournal]:
    """The journal of a state folder, writing; closed with all of it on disk."""
    journal = FileJournal(
        folder,
        wall_clock=wall_clock,
        keep=settings.journal_keep,
        most=settings.journal_max,
        pictures=settings.record_pictures,
        limits=settings.limits(),
    )
    try:
        yield journal.start(asyncio.get_running_loop().call_soon_threadsafe)
    finally:
        assert not journal.close(), journal.trouble


@contextlib.contextmanager
def held_journal(folder: Path) -> Iterator[None]:
    """Another program holds the journal's file: nothing can be written while the block runs."""
    path = folder / "journal.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=PATIENCE)) as db:
        db.execute("BEGIN IMMEDIATE")
        yield


@contextlib.asynccontextmanager
async def running_gateway(
    folder: Path,
    *,
    policy: Mapping[str, float] | None = None,
    tls: tuple[ssl.SSLContext, ssl.SSLContext] | None = None,
    max_connections: int = 1000,
    **settings: Any,
) -> AsyncIterator[RunningGateway]:
    """A gateway on a free port of 127.0.0.1, ready when this yields, gone when it ends.

    Args:
        folder: For the token book.
        policy: Changed fields of :class:`~wsdev.session.SessionPolicy`.
        tls: The server's context and one for clients that trusts it.
        settings: Fields of :class:`ServeSettings`; ``limits`` is a mapping of changed limits.
    """
    clock, wall_clock = Clock(), Clock(start=1_800_000_000.0)
    serve = settings_for_tests(**settings)
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(captured_log())
        book = stack.enter_context(TokenBook.open(folder / "state", clock=wall_clock))
        book.ensure_classes(serve.classes())
        journal = stack.enter_context(open_journal(folder / "state", wall_clock, serve))
        hub = Hub(max_command=serve.limits().command_bytes)
        archive = FileArchive(folder / "state")
        desk = CommandDesk(hub, journal, archive, clock=clock, wall_clock=wall_clock)
        gateway = Gateway(
            serve,
            book,
            hub,
            journal,
            Metrics(serve.classes()),
            clock=clock,
            wall_clock=wall_clock,
            max_connections=max_connections,
        )
        gateway.policy = replace(gateway.policy, **(policy or {}))  # type: ignore[arg-type]
        listener = Listener(socket.AF_INET, socket.SOCK_STREAM)
        listener.bind(("127.0.0.1", 0))
        port = int(listener.getsockname()[1])
        listener.listen()
        listener.setblocking(False)
        stack.enter_context(contextlib.closing(listener))
        await gateway.start([listener], tls[0] if tls else None)
        trust = tls[1] if tls else None
        try:
            yield RunningGateway(
                gateway,
                desk,
                book,
                journal,
                listener,
                clock,
                wall_clock,
                log,
                folder / "state",
                trust,
                port,
            )
        finally:
            await gateway.drain(0)


# Clients


def head(
    target: str, headers: Headers = (), *, method: str = "GET", version: str = "HTTP/1.1"
) -> bytes:
    """A request head; ``Host`` is added unless it is among ``headers``."""
    pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
    if not any(name.lower() == "host" for name, _ in pairs):
        pairs.insert(0, ("Host", "127.0.0.1"))
    lines = [f"{method} {target} {version}", *(f"{name}: {value}" for name, value in pairs)]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


UPGRADE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": base64.b64encode(bytes(16)).decode(),
    "Sec-WebSocket-Version": "13",
}


def upgrade_head(target: str = "/ws/pico", headers: Headers = ()) -> bytes:
    """A WebSocket handshake; ``headers`` come on top."""
    pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
    return head(target, [*UPGRADE.items(), *pairs])


def bearer(token: str) -> dict[str, str]:
    """The header that presents ``token``."""
    return {"Authorization": f"Bearer {token}"}


def frame(opcode: int, payload: bytes, *, fin: bool = True) -> bytes:
    """A client's frame with an all-zero mask, as some devices send it."""
    first = bytes([(0x80 if fin else 0) | opcode])
    if len(payload) < 126:
        size = bytes([0x80 | len(payload)])
    elif len(payload) < 65536:
        size = struct.pack("!BH", 0x80 | 126, len(payload))
    else:
        size = struct.pack("!BQ", 0x80 | 127, len(payload))
    return first + size + bytes(4) + payload


TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA


def text_frame(message: object) -> bytes:
    """A message as a client's text frame."""
    text = message if isinstance(message, str) else json.dumps(message)
    return frame(TEXT, text.encode())


@dataclass(frozen=True)
class Answer:
    """An HTTP answer, read until the gateway closed."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str:
        """The one value of a header, whose name has to match case by case."""
        (value,) = [value for key, value in self.headers if key == name]
        return value

    @property
    def json(self) -> dict[str, Any]:
        body = json.loads(self.body)
        assert isinstance(body, dict)
        return body


def parsed_answer(data: bytes) -> Answer:
    """An HTTP answer's parts; what stands behind its length is an error."""
    raw_head, _, body = data.partition(b"\r\n\r\n")
    status_line, *lines = raw_head.decode("ascii").split("\r\n")
    headers = [(name, value) for name, _, value in (line.partition(": ") for line in lines)]
    return Answer(int(status_line.split()[1]), headers, body)


def check_refusal(gateway: RunningGateway, answer: Answer, code: str) -> dict[str, Any]:
    """Hold a refusal to its contract: status, JSON, headers, log line; returns that line."""
    kind = REFUSALS[code]
    assert (answer.status, answer.json["code"]) == (kind.status, code)
    assert answer.json["status"] == "error"
    assert (answer.json["message"], answer.json["hint"]) == (kind.message, kind.hint)
    assert answer.header("Content-Type") == "application/json"
    assert answer.header("Content-Length") == str(len(answer.body))
    assert answer.header("Connection").startswith("close")
    assert len(answer.body) < 1024
    names = {name.lower() for name, _ in answer.headers}
    assert not names & {"access-control-allow-origin", "transfer-encoding", "location"}
    (line,) = gateway.log.all("refused", request_id=answer.json["request_id"])
    assert (line["code"], line["status"]) == (code, kind.status)
    return line


class RawClient:
    """A TCP (or TLS) connection to a gateway."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    @contextlib.asynccontextmanager
    async def connect(
        cls,
        gateway: RunningGateway,
        *,
        receive_buffer: int | None = None,
        tls: bool = True,
        source: str | None = None,
    ) -> AsyncIterator[Self]:
        """Connect; the connection is dropped when the block ends.

        Args:
            receive_buffer: Bytes that the kernel takes for a client that does not read.
            tls: Speak TLS if the gateway does.
            source: Our own address, one of 127.0.0.0/8.
        """
        sock = socket.socket()
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source is not None:
            sock.bind((source, 0))
        sock.setblocking(False)
        try:
            loop = asyncio.get_running_loop()
            await loop.sock_connect(sock, ("127.0.0.1", gateway.port))
            trust = gateway.trust if tls else None
            reader, writer = await asyncio.open_connection(
                sock=sock,
                ssl=trust,
                server_hostname="localhost" if trust else None,
                limit=2**10 if receive_buffer else 2**20,
            )
        except BaseException:
            sock.close()
            raise
        client = cls(reader, writer)
        try:
            yield client
        finally:
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def write(self, data: bytes) -> None:
        """Send bytes at once."""
        self.writer.write(data)
        await self.writer.drain()

    async def read_head(self) -> bytes:
        """The answer's head."""
        async with asyncio.timeout(PATIENCE):
            return await self.reader.readuntil(b"\r\n\r\n")

    async def read_to_end(self) -> bytes:
        """All bytes until the gateway closes."""
        async with asyncio.timeout(PATIENCE):
            return await self.reader.read()

    async def answer(self) -> Answer:
        """The HTTP answer, which the gateway ends by closing."""
        return parsed_answer(await self.read_to_end())


@dataclass(frozen=True)
class Frame:
    """A frame from the gateway: whole, since it never fragments."""

    opcode: int
    payload: bytes


class Device(RawClient):
    """A WebSocket client on bare frames; ``answers_pings`` can be turned off."""

    answers_pings = True

    @classmethod
    @contextlib.asynccontextmanager
    async def connected(
        cls,
        gateway: RunningGateway,
        device_class: str = "pico",
        *,
        token: str | None = None,
        headers: Headers = (),
        name: str | None = None,
        also: bytes = b"",
        **knobs: Any,
    ) -> AsyncIterator[Self]:
        """A device that was let in.

        Args:
            token: The class's own if left out; empty for none.
            name: Says hello as this, and reads the answer.
            also: Bytes that go out together with the handshake.
        """
        token = gateway.token(device_class) if token is None else token
        pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
        if token:
            pairs += bearer(token).items()
        async with cls.connect(gateway, **knobs) as device:
            await device.write(upgrade_head(f"/ws/{device_class}", pairs) + also)
            answer = await device.read_head()
            assert answer.startswith(b"HTTP/1.1 101 "), answer
            if name is not None:
                assert (await device.hello(name))["type"] == "connection_ack"
            yield device

    async def send(self, *messages: object) -> None:
        """Send messages, all in one segment."""
        await self.write(b"".join(map(text_frame, messages)))

    async def hello(self, name: str, **fields: object) -> dict[str, Any]:
        """Say hello; the gateway's answer."""
        await self.send({"type": "connect", "device": name, **fields})
        return await self.receive()

    async def telemetry(self, message_id: str | int) -> None:
        """Send a measurement and wait until it is acknowledged."""
        await self.send({"type": "telemetry", "data": {}, "id": message_id})
        assert await self.receive() == {"type": "ack", "id": message_id}

    async def read_frame(self) -> Frame:
        """The next frame, whatever it is."""
        async with asyncio.timeout(PATIENCE):
            first, size = await self.reader.readexactly(2)
            assert first & 0x80, "the gateway never fragments"
            if size == 126:
                (size,) = struct.unpack("!H", await self.reader.readexactly(2))
            elif size == 127:
                (size,) = struct.unpack("!Q", await self.reader.readexactly(8))
            return Frame(first & 0x0F, await self.reader.readexactly(size))

    async def receive(self) -> dict[str, Any]:
        """The next message; pings before it are answered, if this device does that."""
        while (got := await self.read_frame()).opcode != TEXT:
            assert got.opcode == PING, got
            if self.answers_pings:
                await self.write(frame(PONG, got.payload))
        message = json.loads(got.payload)
        assert isinstance(message, dict)
        return message

    async def closed(self) -> tuple[int, str]:
        """The code and reason with which the gateway closes; messages before it are passed over."""
        while (got := await self.read_frame()).opcode != CLOSE:
            if got.opcode == PING and self.answers_pings:
                await self.write(frame(PONG, got.payload))
        return int.from_bytes(got.payload[:2], "big"), got.payload[2:].decode()

    async def was_cut(self) -> bool:
        """Whether the connection ends in a TCP reset, without a close frame."""
        try:
            while (await self.read_frame()).opcode != CLOSE:
                pass
        except ConnectionResetError:
            return True
        except asyncio.IncompleteReadError:
            return False
        return False

    async def stay(self) -> None:
        """Answer pings until cancelled or closed: a live device that has nothing to say."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionResetError):
            while True:
                first, size = await self.reader.readexactly(2)
                payload = await self.reader.readexactly(size)
                if first & 0x0F == PING:
                    await self.write(frame(PONG, payload))


@contextlib.asynccontextmanager
async def staying(*devices: Device) -> AsyncIterator[None]:
    """Keep devices alive in the background."""
    tasks = [asyncio.create_task(device.stay()) for device in devices]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


AS_NOBODY = """
import encodings.idna, os, socket, sys
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
"""
"""The head of a child's program that goes on as user nobody; root can run it.

What is imported after it may be out of reach: Python can be in a folder of root's.
"""


def is_root() -> bool:
    """Whether :data:`AS_NOBODY` can be run."""
    return os.geteuid() == 0
