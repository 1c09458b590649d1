"""One HTTP request of a probe, with all that came back, HTTP or not."""

from __future__ import annotations

import asyncio
import socket
import ssl
from dataclasses import dataclass
from typing import Final

import h11
import msgspec

from wsdev import __version__
from wsdev.diagnosis.facts import AddressFacts, Answer, Ending, HttpFacts, Refusal
from wsdev.reach import open_socket
from wsdev.token_format import without_tokens
from wsdev.urls import GatewayAddress

MAX_ANSWER: Final = 64 * 1024
"""Bytes read of an answer; a gateway's are under 1 KiB, and a stranger's may never end."""

KEPT_OF_BODY: Final = 2048
"""Characters of a body that are kept: enough for a gateway's words and a portal's title."""

MAX_REFUSAL: Final = 8 * 1024
"""Bytes of a body that may be a gateway's refusal: those are under 1 KiB."""

KEPT_HEADERS: Final = 40
KEPT_OF_HEADER: Final = 300
"""Characters of a header's value that are kept: a long ``Location``."""

KEPT_FIRST_BYTES: Final = 128
"""Of what is no HTTP answer: enough for a greeting."""


@dataclass(frozen=True, slots=True)
class Way:
    """How a probe reaches what it looks at: the address that works, and TLS if it is used."""

    gateway: GatewayAddress
    address: AddressFacts
    tls: ssl.SSLContext | None
    patience: float


@dataclass(slots=True)
class Look:
    """What a request brought.

    Attributes:
        body: Whole, up to :data:`MAX_ANSWER`; ``facts`` keeps the start of it only.
        tls_reason: OpenSSL's reason, if TLS failed after its handshake, as TLS 1.3 does when it
            lacks the client's certificate.
    """

    facts: HttpFacts
    body: bytes = b""
    tls_reason: str = ""


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def get(way: Way, path: str, streams: Streams | None = None) -> Look:
    """GET ``path``, without a token.

    Args:
        streams: A connection to use and close, else a new one.
    """
    loop = asyncio.get_running_loop()
    look = Look(HttpFacts(path))
    started = loop.time()
    ended: Ending | None = None
    raw = bytearray()
    try:
        async with asyncio.timeout(way.patience):
            reader, writer = streams or await open_streams(way)
            try:
                writer.write(_request(way.gateway, path))
                ended = await _read(reader, raw)
            finally:
                writer.transport.abort()
    except TimeoutError:
        ended = Ending.SILENCE
    except OSError as exc:
        look.tls_reason = (exc.reason or "") if isinstance(exc, ssl.SSLError) else ""
        ended = Ending.RESET
    look.facts.seconds = loop.time() - started
    look.facts.answer, look.body = parse_answer(bytes(raw))
    if look.facts.answer is None:
        look.facts.first_bytes = without_tokens(raw.decode("latin-1"))[:KEPT_FIRST_BYTES]
        look.facts.ended = Ending.GARBAGE if _is_broken(bytes(raw)) else ended
    return look


async def open_streams(way: Way) -> Streams:
    """A connection to the address that works, with TLS if it is used.

    Raises:
        OSError: TCP or TLS failed.
    """
    return await over(await open_socket(way.address.ip, way.address.port), way)


async def over(sock: socket.socket, way: Way) -> Streams:
    """Streams over a connected socket, with TLS if it is used.

    Raises:
        OSError: TLS failed.
    """
    name = way.gateway.server_name if way.tls else None
    return await asyncio.open_connection(sock=sock, ssl=way.tls, server_hostname=name)


def _request(gateway: GatewayAddress, path: str) -> bytes:
    lines = (
        f"GET {path} HTTP/1.1",
        f"Host: {gateway.host_header}",
        f"User-Agent: wsdev/{__version__}",
        "Accept-Encoding: identity",
        "Connection: close",
    )
    return "\r\n".join(lines).encode("utf-8", "replace") + b"\r\n\r\n"


async def _read(reader: asyncio.StreamReader, raw: bytearray) -> Ending | None:
    """Read until the answer is whole or the other end stops; what came stays in ``raw``."""
    try:
        while len(raw) < MAX_ANSWER:
            part = await reader.read(MAX_ANSWER)
            if not part:
                return Ending.CLOSED
            raw += part
            if _is_all(bytes(raw)):
                return None
    except ConnectionError:
        return Ending.RESET
    return None


def _is_broken(raw: bytes) -> bool:
    """Whether this is no HTTP answer, whatever may follow."""
    events, is_valid = _events(raw, ended=False)
    return not is_valid and not events


def _is_all(raw: bytes) -> bool:
    """Whether nothing more is worth waiting for, with the connection still open."""
    events, is_valid = _events(raw, ended=False)
    return not is_valid or (bool(events) and isinstance(events[-1], h11.EndOfMessage))


def _events(raw: bytes, *, ended: bool) -> tuple[list[h11.Event], bool]:
    """The HTTP events in ``raw``, those before the error if it breaks HTTP; and if it does not."""
    http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_ANSWER)
    http.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
    http.send(h11.EndOfMessage())
    found: list[h11.Event] = []
    if raw[:5] != b"HTTP/"[: len(raw)]:
        return found, False
    try:
        if raw:  # none would say that the other end has closed
            http.receive_data(raw)
        if ended:
            http.receive_data(b"")
        while True:
            event = http.next_event()
            if not isinstance(event, h11.Event):  # NEED_DATA, PAUSED
                return found, True
            found.append(event)
            if isinstance(event, (h11.EndOfMessage, h11.ConnectionClosed)):
                return found, True
    except h11.RemoteProtocolError:
        return found, False


def parse_answer(raw: bytes) -> tuple[Answer | None, bytes]:
    """The HTTP answer at the start of ``raw`` and its body so far; None if there is none.

    What may be kept of it is short, and holds nothing that looks like a token.
    """
    events, _ = _events(raw, ended=True)
    heads = [event for event in events if isinstance(event, h11.Response)]
    if not heads:
        return None, b""
    body = b"".join(bytes(event.data) for event in events if isinstance(event, h11.Data))
    head = heads[0]
    headers = [(name.decode("ascii"), value.decode("latin-1")) for name, value in head.headers]
    answer = make_answer(head.status_code, bytes(head.reason).decode("latin-1"), headers, body)
    answer.http_version = head.http_version.decode("ascii")
    return answer, body


def make_answer(status: int, reason: str, headers: list[tuple[str, str]], body: bytes) -> Answer:
    """An answer of which all parts are known; a gateway's words in it are understood."""
    start = without_tokens(body[:MAX_REFUSAL].decode("utf-8", "replace"))[:KEPT_OF_BODY]
    kept = [
        (name[:KEPT_OF_HEADER], without_tokens(value)[:KEPT_OF_HEADER])
        for name, value in headers[:KEPT_HEADERS]
    ]
    reason = without_tokens(reason)[:KEPT_OF_HEADER]
    return Answer(status, reason, "1.1", kept, start, parse_refusal(body))


def parse_refusal(body: bytes) -> Refusal | None:
    """A gateway's refusal, if ``body`` is one."""
    if len(body) > MAX_REFUSAL:
        return None
    try:
        return msgspec.json.decode(body, type=Refusal)
    except (msgspec.MsgspecError, RecursionError):
        return None
