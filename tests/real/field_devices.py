"""The device libraries that are out there, each with its own way of speaking WebSocket.

A :class:`Library` is a table row, read from the library's source: what it sends, in which pieces,
and what it cannot take. A :class:`FieldDevice` speaks and reads as its row says, over a plain
blocking socket; what would break the library raises :class:`Indigestible`. The two firmwares at
the end use such a device for the conversation that they are known to hold.
"""

from __future__ import annotations

import base64
import enum
import hashlib
import json
import random
import re
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

PATIENCE = 20.0
"""Seconds without a byte after which a test has failed; no library's own timeout is judged."""

MAX_TEXT = 4096
"""Bytes of one text frame to any device."""

SAMPLE_KEY = "dGhlIHNhbXBsZSBub25jZQ=="
"""RFC 6455 section 1.3; some firmware sends one constant key for ever."""

_ACCEPT_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

NORMAL_CLOSURE = struct.pack("!H", 1000)


class Opcode(enum.IntEnum):
    """RFC 6455 section 5.2."""

    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


class Segments(enum.Enum):
    """How the request head is cut into writes, each a TCP segment of its own."""

    ONE = re.compile(rb".+", re.DOTALL)
    LINES = re.compile(rb".*?\r\n", re.DOTALL)
    WORDS = re.compile(rb"\r\n|: |[^\r\n:]+|:")


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """One way of speaking.

    Attributes:
        head: Header lines in the library's order. Those with ``{token}`` need one.
        segments: How the head is written.
        frame_in_pieces: Frame header, mask and payload are written on their own.
        zero_mask: Frames are "masked" with zeros.
        fragment_size: Bytes above which a message is sent in fragments.
        long_length_from: Payload bytes from which the 64-bit length is used.
        largest_inbound: Bytes of a frame above which the library gives up.
        largest_outbound: Bytes that fit in its send buffer.
        checks_accept: It compares Sec-WebSocket-Accept.
        close_payload: What its close frame holds; None if it only drops the connection.
        answers_close: It answers a close frame before it drops the connection.
        repeats_authorization: Each reconnect sends the header once more.
        token_in_query: It cannot set headers.
    """

    name: str
    head: tuple[str, ...]
    segments: Segments = Segments.ONE
    frame_in_pieces: bool = False
    zero_mask: bool = False
    fragment_size: int | None = None
    long_length_from: int = 0x10000
    largest_inbound: int | None = None
    largest_outbound: int | None = None
    checks_accept: bool = True
    close_payload: bytes | None = NORMAL_CLOSURE
    answers_close: bool = True
    repeats_authorization: bool = False
    token_in_query: bool = False


LINKS2004 = Library(
    name="Links2004 arduinoWebSockets",
    head=(
        "Host: {host}:{port}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Protocol: arduino",
        "Origin: file://",
        "User-Agent: arduino-WebSocket-Client",
        "Authorization: Bearer {token}",
    ),
    largest_inbound=15 * 1024,
)

GILMAIMON = Library(
    name="gilmaimon ArduinoWebsockets",
    head=(
        "Host: {host}",
        "Sec-WebSocket-Key: {key}",
        "Authorization: Bearer {token}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "User-Agent: TinyWebsockets Client",
        "Origin: https://github.com/gilmaimon/TinyWebsockets",
    ),
    frame_in_pieces=True,
    repeats_authorization=True,
)

ESP_IDF = Library(
    name="esp_websocket_client",
    head=(
        "Connection: Upgrade",
        "Host: {host}:{port}",
        "User-Agent: ESP32 Websocket Client",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: {key}",
        "Authorization: Bearer {token}",
    ),
    frame_in_pieces=True,
    fragment_size=1024,
)

MICROPYTHON_AIOHTTP = Library(
    name="MicroPython aiohttp",
    head=(
        "Host: {host}:{port}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Version: 13",
        "Origin: http://{host}:{port}",
        "Authorization: Bearer {token}",
    ),
    segments=Segments.LINES,
    frame_in_pieces=True,
    zero_mask=True,
    long_length_from=0xFFFF,
    checks_accept=False,
    close_payload=b"",
    answers_close=False,
)

UWEBSOCKETS = Library(
    name="uwebsockets",
    head=(
        "Host: {host}:{port}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Version: 13",
        "Origin: http://{host}:{port}",
        "Authorization: Bearer {token}",
    ),
    segments=Segments.LINES,
    frame_in_pieces=True,
    checks_accept=False,
)

ARDUINO_HTTP_CLIENT = Library(
    name="ArduinoHttpClient",
    head=(
        "Host: {authority}",
        "User-Agent: Arduino/2.2.0",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Version: 13",
    ),
    segments=Segments.WORDS,
    frame_in_pieces=True,
    long_length_from=0xFFFF,
    largest_outbound=128,
    checks_accept=False,
    close_payload=None,
    answers_close=False,
    token_in_query=True,
)

LIBRARIES = (
    LINKS2004,
    GILMAIMON,
    ESP_IDF,
    MICROPYTHON_AIOHTTP,
    UWEBSOCKETS,
    ARDUINO_HTTP_CLIENT,
)


class Indigestible(AssertionError):
    """The gateway sent what the library cannot take."""


class Refused(Exception):
    """An answer other than 101. The connection stays open until the device drops it."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(status, body)
        self.status = status
        self.body = body


class ClosedByGateway(Exception):
    """A close frame came."""

    def __init__(self, payload: bytes) -> None:
        self.code = struct.unpack("!H", payload[:2])[0] if payload else None
        self.reason = payload[2:].decode()
        super().__init__(self.code, self.reason)


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame from the gateway."""

    opcode: Opcode
    payload: bytes


class Wire:
    """A connected socket that writes each piece as a segment and reads lines and counts."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._socket = socket.create_connection(address, PATIENCE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray()

    def write(self, *pieces: bytes) -> None:
        """Write each piece on its own."""
        for piece in pieces:
            self._socket.sendall(piece)

    def _fill(self) -> None:
        data = self._socket.recv(65536)
        if not data:
            raise EOFError(bytes(self._buffer))
        self._buffer += data

    def read(self, size: int) -> bytes:
        """Exactly ``size`` bytes; EOFError if the connection ends before."""
        while len(self._buffer) < size:
            self._fill()
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def read_line(self) -> bytes:
        """A line with its end; EOFError if the connection ends before."""
        while b"\n" not in self._buffer:
            self._fill()
        return self.read(self._buffer.index(b"\n") + 1)

    def read_to_end(self) -> bytes:
        """All bytes until the other end closes."""
        try:
            while True:
                self._fill()
        except EOFError:
            return self.read(len(self._buffer))

    def close(self) -> None:
        """Drop the connection."""
        self._socket.close()


class FieldDevice:
    """A device that uses ``library``.

    Args:
        address: Where the gateway listens.
        path: With the device class.
        token: Sent as the library can; none is sent if it is empty.
        seen_as: Host and port as the device was told, behind a router that maps ports.
        rng: Gives the masks.

    Attributes:
        answer_head: The head of the gateway's answer.
    """

    def __init__(
        self,
        library: Library,
        address: tuple[str, int],
        path: str,
        token: str = "",
        *,
        seen_as: tuple[str, int] | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self.library = library
        self.answer_head = b""
        self._address = address
        self._host, self._port = seen_as or address
        self._path = f"{path}?token={token}" if token and library.token_in_query else path
        self._token = token
        self._rng = rng or random.Random(len(library.name))
        self._attempts = 0
        self._wire: Wire | None = None

    def __enter__(self) -> FieldDevice:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.drop()

    @property
    def wire(self) -> Wire:
        """The socket, for what no library would do."""
        assert self._wire is not None, "not connected"
        return self._wire

    # Coming and going

    def request_head(self) -> bytes:
        """The head of this attempt."""
        authority = self._host if self._port in {80, 443} else f"{self._host}:{self._port}"
        lines = [f"GET {self._path} HTTP/1.1"]
        for template in self.library.head:
            line = template.format(
                host=self._host,
                port=self._port,
                authority=authority,
                key=SAMPLE_KEY,
                token=self._token,
            )
            if "{token}" not in template:
                lines.append(line)
            elif self._token:
                repeats = self._attempts if self.library.repeats_authorization else 1
                lines += [line] * repeats
        return "\r\n".join([*lines, "", ""]).encode()

    def connect(self) -> FieldDevice:
        """Shake hands as the library does.

        Raises:
            Refused: with the status and the body as the library would read them.
            Indigestible: the library would not take the 101 for one.
        """
        self.drop()
        self._attempts += 1
        self._wire = wire = Wire(self._address)
        wire.write(*self.library.segments.value.findall(self.request_head()))
        lines = [wire.read_line()]
        while lines[-1] != b"\r\n":
            lines.append(wire.read_line())
        self.answer_head = b"".join(lines)
        if not lines[0].startswith(b"HTTP/1.1 101 "):
            raise Refused(int(lines[0].split()[1]), wire.read(_content_length(lines)))
        accept = base64.b64encode(hashlib.sha1(f"{SAMPLE_KEY}{_ACCEPT_GUID}".encode()).digest())
        if self.library.checks_accept and b"Sec-WebSocket-Accept: %s\r\n" % accept not in lines:
            raise Indigestible(f"{self.library.name} finds no right Accept in {lines}")
        return self

    def close(self) -> bytes | None:
        """Close as the library does; the payload of the gateway's close frame, if it waits."""
        if self.library.close_payload is None:
            self.drop()
            return None
        self._send(Opcode.CLOSE, self.library.close_payload)
        while (frame := self.read_frame()).opcode is not Opcode.CLOSE:
            pass
        assert self.wire.read_to_end() == b"", "the gateway spoke on after its close frame"
        self.drop()
        return frame.payload

    def drop(self) -> None:
        """Lose power."""
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    # Speaking

    def send(self, message: dict[str, Any]) -> None:
        """Send a JSON message."""
        self.send_data(Opcode.TEXT, json.dumps(message).encode())

    def send_data(
        self, opcode: Opcode, data: bytes, *, between: Callable[[], None] | None = None
    ) -> int:
        """Send a message, in fragments if the library does; the number of frames.

        Args:
            between: Called after each fragment but the last.
        """
        largest = self.library.largest_outbound
        assert largest is None or len(data) <= largest, f"{len(data)} bytes do not fit its buffer"
        size = self.library.fragment_size or max(1, len(data))
        starts = range(0, max(1, len(data)), size)
        for start in starts:
            kind = opcode if start == 0 else Opcode.CONTINUATION
            last = start == starts[-1]
            self._send(kind, data[start : start + size], fin=last)
            if between is not None and not last:
                between()
        return len(starts)

    def ping(self, payload: bytes = b"") -> None:
        """Send a protocol ping."""
        self._send(Opcode.PING, payload)

    def _send(self, opcode: Opcode, payload: bytes, *, fin: bool = True) -> None:
        mask = bytes(4) if self.library.zero_mask else self._rng.randbytes(4)
        header = frame_header(self.library, opcode, len(payload), fin=fin)
        pieces = [header, mask, _masked(payload, mask)]
        self.wire.write(*(pieces if self.library.frame_in_pieces else [b"".join(pieces)]))

    # Listening

    def receive(self) -> dict[str, Any]:
        """The next JSON message; pings are answered, pongs passed over.

        Raises:
            ClosedByGateway: after the library's answer to that.
        """
        while True:
            frame = self.read_frame()
            if frame.opcode is Opcode.TEXT:
                message: dict[str, Any] = json.loads(frame.payload)
                return message
            if frame.opcode is Opcode.PING:
                self._send(Opcode.PONG, frame.payload)
            elif frame.opcode is Opcode.CLOSE:
                if self.library.answers_close:
                    self._send(Opcode.CLOSE, frame.payload)
                raise ClosedByGateway(frame.payload)

    def answer_ping(self) -> bytes:
        """Wait for a ping of the gateway and answer it; its payload."""
        frame = self.read_frame()
        assert frame.opcode is Opcode.PING, frame
        self._send(Opcode.PONG, frame.payload)
        return frame.payload

    def read_frame(self) -> Frame:
        """The next frame.

        Raises:
            Indigestible: fragmented, masked, compressed, or larger than the library takes.
        """
        first, second = self.wire.read(2)
        if first & 0xF0 != 0x80 or first & 0x0F == Opcode.CONTINUATION:
            raise Indigestible(f"a fragment or an extension: first byte {first:#04x}")
        if second & 0x80:
            raise Indigestible("a masked frame")
        size = second
        if size == 126:
            (size,) = struct.unpack("!H", self.wire.read(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", self.wire.read(8))
        if size > min(MAX_TEXT, self.library.largest_inbound or MAX_TEXT):
            raise Indigestible(f"a frame of {size} bytes")
        return Frame(Opcode(first & 0x0F), self.wire.read(size))


def frame_header(library: Library, opcode: Opcode, size: int, *, fin: bool = True) -> bytes:
    """The header of a masked frame, without the mask."""
    first = (0x80 if fin else 0) | opcode
    if size < 126:
        return struct.pack("!BB", first, 0x80 | size)
    if size < library.long_length_from:
        return struct.pack("!BBH", first, 0x80 | 126, size)
    return struct.pack("!BBQ", first, 0x80 | 127, size)


def _masked(payload: bytes, mask: bytes) -> bytes:
    stream = (mask * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload) ^ int.from_bytes(stream)).to_bytes(len(payload))


def _content_length(lines: list[bytes]) -> int:
    """The length of the body; the name is matched case by case, as the poorest clients do."""
    found = [line for line in lines if line.startswith(b"Content-Length: ")]
    if len(found) != 1:
        raise Indigestible(f"no Content-Length in {lines}")
    return int(found[0].removeprefix(b"Content-Length: "))


# Plain HTTP


def get_to_the_end(address: tuple[str, int], path: str) -> tuple[int, bytes]:
    """GET as MicroPython's requests: HTTP/1.0, no port in Host, the body is all until the end.

    Raises:
        Indigestible: a chunked body or a redirect.
    """
    wire = Wire(address)
    try:
        wire.write(b"GET ", path.encode(), b" HTTP/1.0\r\n", b"Host: %s\r\n" % address[0].encode())
        wire.write(b"\r\n")
        status = int(wire.read_line().split(None, 2)[1])
        while (line := wire.read_line()) != b"\r\n":
            if line.startswith((b"Transfer-Encoding:", b"Location:")):
                raise Indigestible(line.decode())
        return status, wire.read_to_end()
    finally:
        wire.close()


def get_by_length(address: tuple[str, int], path: str) -> tuple[int, bytes]:
    """GET as ArduinoHttpClient: HTTP/1.1 word by word, the body is as long as the header says.

    Raises:
        Indigestible: no ``Content-Length`` in this very spelling.
    """
    wire = Wire(address)
    try:
        head = (
            f"GET {path} HTTP/1.1\r\nHost: {address[0]}:{address[1]}\r\nConnection: close\r\n\r\n"
        )
        wire.write(*Segments.WORDS.value.findall(head.encode()))
        lines = [wire.read_line()]
        while lines[-1] != b"\r\n":
            lines.append(wire.read_line())
        return int(lines[0].split()[1]), wire.read(_content_length(lines))
    finally:
        wire.close()


# Firmware


@dataclass(frozen=True, slots=True)
class ServoController:
    """The MicroPython servo controller: what its main loop sends."""

    device: FieldDevice
    name: str = "pico"
    version: str = "2.0"

    def hello(self) -> dict[str, Any]:
        """Say who it is; the answer."""
        self.device.send({"type": "connect", "device": self.name, "version": self.version})
        return self.device.receive()

    def log(self, message: str, level: str = "info") -> None:
        """Send a line of its log; no answer is expected."""
        self.device.send({"type": "log", "message": message, "level": level})

    def ping(self, timestamp: int) -> dict[str, Any]:
        """Ask whether the host is there; the answer."""
        self.device.send({"type": "ping", "timestamp": timestamp})
        return self.device.receive()

    def pong(self) -> None:
        """Answer an application ping; it does so unasked after a reboot too."""
        self.device.send({"type": "pong"})

    def acknowledge(self, command_type: str, status: str, detail: str) -> None:
        """Tell what became of a command."""
        ack = {"type": "ack", "command_type": command_type, "status": status, "detail": detail}
        self.device.send(ack)


@dataclass(frozen=True, slots=True)
class Camera:
    """The camera firmware on gilmaimon's library."""

    device: FieldDevice
    name: str = "esp32cam"

    def hello(self) -> dict[str, Any]:
        """Say who it is, in its own word for ``connect``; the answer."""
        self.device.send({"type": "connection", "device": self.name, "version": "1.0"})
        return self.device.receive()

    def heartbeat(self) -> None:
        """Say that it is there; no answer is expected."""
        self.device.send({"type": "heartbeat", "uptime": 30000, "free_heap": 150000})

    def log(self, message: str) -> None:
        """Send a line of its log."""
        self.device.send({"type": "log", "message": message, "level": "info"})

    def picture(self, jpeg: bytes, *, size: int | None = None) -> None:
        """Announce a picture and send it; ``size`` is what it says instead of the length."""
        announced = {"size": len(jpeg) if size is None else size, "width": 640, "height": 480}
        self.device.send({"type": "frame", **announced, "timestamp": 12345, "fps": 12.5})
        self.device.send_data(Opcode.BINARY, jpeg)
