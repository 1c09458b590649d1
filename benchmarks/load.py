"""The load: raw sockets with bytes made in advance, cheap enough not to be the bottleneck."""

from __future__ import annotations

import base64
import os
import select
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle, islice
from typing import Final

import msgspec
from websockets.frames import Frame, Opcode

from benchmarks.servers import DEVICE_CLASS, LOOPBACK, PATIENCE, BenchmarkError, Server

MESSAGE_BYTES: Final = 118
BURST: Final = 50
"""Handshakes on their way at once: a small fleet that comes back after a power cut."""

_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
_TEXT_FRAME: Final = 0x81
_END_OF_HEAD: Final = b"\r\n\r\n"


# Bytes


def upgrade_request(server: Server, token: str, path: str = f"/ws/{DEVICE_CLASS}") -> bytes:
    """The request of a device; without a token if that is empty."""
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {LOOPBACK}:{server.port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
        "Sec-WebSocket-Version: 13",
        "User-Agent: benchmark",
    ]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    return "\r\n".join(lines).encode() + _END_OF_HEAD


def text_frame(message: object) -> bytes:
    """A masked frame, as a client must send it (RFC 6455 section 5.3)."""
    return Frame(Opcode.TEXT, msgspec.json.encode(message)).serialize(mask=True)


def telemetry(number: int) -> dict[str, object]:
    """A message of :data:`MESSAGE_BYTES` in JSON, with an id that no other one has."""
    return {
        "type": "telemetry",
        "id": f"{number:010d}",
        "data": {"temperature": 21.5, "humidity": 40.25, "rssi": -61},
        "uptime_ms": 12345678900,
    }


# Connections


def connect(server: Server) -> socket.socket:
    """A TCP connection whose every step is bounded in time."""
    sock = socket.create_connection((LOOPBACK, server.port), PATIENCE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def reset(sockets: Sequence[socket.socket]) -> None:
    """Drop connections with a TCP reset, which leaves no port waiting."""
    for sock in sockets:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        sock.close()


def _read_head(sock: socket.socket) -> bytes:
    data = b""
    while _END_OF_HEAD not in data:
        more = sock.recv(4096)
        if not more:
            break
        data += more
    return data


def _expect(status: int, answer: bytes) -> None:
    if not answer.startswith(b"HTTP/1.1 %d " % status):
        raise BenchmarkError(f"{status} expected, but got {answer[:80]!r}")


def open_devices(server: Server, count: int, devices: list[socket.socket]) -> None:
    """Let ``count`` devices in, a burst at a time, and append their sockets to ``devices``."""
    request = upgrade_request(server, server.token)
    for start in range(0, count, BURST):
        burst = [connect(server) for _ in range(min(BURST, count - start))]
        devices += burst
        for sock in burst:
            sock.sendall(request)
        for sock in burst:
            _expect(101, _read_head(sock))


def be_refused(server: Server, request: bytes, status: int, count: int) -> None:
    """Ask ``count`` times and read each answer to its end."""
    for start in range(0, count, BURST):
        burst = [connect(server) for _ in range(min(BURST, count - start))]
        for sock in burst:
            sock.sendall(request)
        for sock in burst:
            _expect(status, _read_head(sock))
            while sock.recv(4096):
                pass
            sock.close()


@contextmanager
def connected_devices(server: Server, count: int) -> Iterator[list[socket.socket]]:
    """So many devices that are let in; gone again after the block."""
    before = server.open_files()
    devices: list[socket.socket] = []
    try:
        open_devices(server, count, devices)
        yield devices
    finally:
        reset(devices)
    server.wait_for_open_files(before)


# Messages


def _check_answer(frame: bytes, wanted: bytes) -> None:
    # Short and unmasked: two bytes of head, then the text.
    if len(frame) < 2 or frame[0] != _TEXT_FRAME or frame[1] != len(frame) - 2:
        raise BenchmarkError(f"not one whole text frame: {frame[:40]!r}")
    if wanted not in frame:
        raise BenchmarkError(f"not the answer: {frame[:80]!r}")


def say_hello(devices: Sequence[socket.socket], answer: bytes) -> None:
    """Let each device tell a name of its own and wait for ``answer`` in what comes back."""
    for number, sock in enumerate(devices):
        sock.sendall(text_frame({"type": "connect", "device": f"device-{number}", "id": "hello"}))
    for sock in devices:
        if answer not in sock.recv(4096):
            raise BenchmarkError("no answer to connect")


_ACK: Final = b'"type":"ack"'


def pace(
    devices: Sequence[socket.socket], frames: Sequence[bytes], *, burst: int, rate: float
) -> float:
    """Send all ``frames``, ``burst`` at once from one device after the other, at a steady rate.

    Args:
        rate: Messages a second, all devices together.

    Returns:
        Seconds until the last one is answered.
    """
    waiting = iter(frames)
    turns = cycle(devices)
    by_file = {sock.fileno(): sock for sock in devices}
    tails = dict.fromkeys(by_file, b"")
    started = last = time.monotonic()
    sent, unanswered = 0, len(frames)
    with select.epoll() as poll:
        for file in by_file:
            poll.register(file, select.EPOLLIN)
        while unanswered:
            now = time.monotonic()
            while sent < len(frames) and sent <= (now - started) * rate:
                next(turns).sendall(b"".join(islice(waiting, burst)))
                sent += burst
            for file, _ in poll.poll(0.001):
                data = tails[file] + by_file[file].recv(65536)
                answered = data.count(_ACK)
                tails[file] = data[data.rfind(_ACK) + len(_ACK) :] if answered else data
                unanswered -= answered
                last = now
            if now - last > PATIENCE:
                raise BenchmarkError(f"{unanswered} messages are not answered")
    return time.monotonic() - started


def exchange(devices: Sequence[socket.socket], frames: Sequence[bytes]) -> None:
    """Send all ``frames``, one in flight on each connection, until the last is answered."""
    waiting = iter(frames)
    by_file = {sock.fileno(): sock for sock in devices}
    with select.epoll() as poll:
        for sock, frame in zip(devices, waiting, strict=False):
            poll.register(sock, select.EPOLLIN)
            sock.sendall(frame)
        unanswered = len(frames)
        while unanswered:
            ready = poll.poll(PATIENCE)
            if not ready:
                raise BenchmarkError(f"{unanswered} messages are not answered")
            for file, _ in ready:
                sock = by_file[file]
                _check_answer(sock.recv(4096), b'"ack"')
                unanswered -= 1
                if further := next(waiting, None):
                    sock.sendall(further)
