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

from benchmarks.servers import DEVICE_CLASS, LOOPBACK, PATIENCE, BenchmarkError, Server

BURST: Final = 50
"""Handshakes on their way at once: a small fleet that comes back after a power cut."""

READ_SIZE: Final = 65536

_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
END_OF_HEAD: Final = b"\r\n\r\n"


# Connections


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
    if server.dialect.subprotocol:
        lines.append(f"Sec-WebSocket-Protocol: {server.dialect.subprotocol}")
    if token:
        lines.append(f"Authorization: Bearer {token}")
    return "\r\n".join(lines).encode() + END_OF_HEAD


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


def _read_until(sock: socket.socket, wanted: bytes) -> bytes:
    data = b""
    while wanted not in data:
        more = sock.recv(4096)
        if not more:
            break
        data += more
    return data


def _expect_status(status: int, sock: socket.socket) -> None:
    answer = _read_until(sock, END_OF_HEAD)
    if not answer.startswith(b"HTTP/1.1 %d " % status):
        raise BenchmarkError(f"{status} expected, but got {answer[:80]!r}")


def _ask(devices: Sequence[socket.socket], questions: Sequence[tuple[bytes, bytes]]) -> None:
    """Each device says something, then each waits for what is to be in the answer."""
    for sock, (frame, _) in zip(devices, questions, strict=True):
        sock.sendall(frame)
    for sock, (_, wanted) in zip(devices, questions, strict=True):
        if wanted not in (answer := _read_until(sock, wanted)):
            raise BenchmarkError(f"{wanted!r} expected, but got {answer[:80]!r}")


def open_devices(server: Server, count: int, devices: list[socket.socket]) -> None:
    """Let ``count`` devices in, a burst at a time, and append their sockets to ``devices``."""
    request = upgrade_request(server, server.token)
    for start in range(0, count, BURST):
        burst = [connect(server) for _ in range(min(BURST, count - start))]
        devices += burst
        for sock in burst:
            sock.sendall(request)
        for sock in burst:
            _expect_status(101, sock)
        _ask(burst, [server.dialect.login(start + place) for place in range(len(burst))])


def be_refused(server: Server, request: bytes, status: int, count: int) -> None:
    """Ask ``count`` times and read each answer to its end."""
    for start in range(0, count, BURST):
        burst = [connect(server) for _ in range(min(BURST, count - start))]
        for sock in burst:
            sock.sendall(request)
        for sock in burst:
            _expect_status(status, sock)
            while sock.recv(4096):
                pass
            sock.close()


@contextmanager
def connected_devices(server: Server, count: int) -> Iterator[list[socket.socket]]:
    """So many devices that are let in; gone again after the block."""
    before = server.open_sockets()
    devices: list[socket.socket] = []
    try:
        open_devices(server, count, devices)
        yield devices
    finally:
        reset(devices)
    server.wait_for_sockets(before)


# Messages


def say_hello(server: Server, devices: Sequence[socket.socket]) -> None:
    """Let each device say what it says before it falls silent, and wait for the answers."""
    _ask(devices, [server.dialect.hello(number) for number in range(len(devices))])


def settle(server: Server, device: socket.socket, number: int) -> None:
    """Wait for the ack of one message: all that came before it is done, and recorded if it is."""
    _ask([device], [(server.dialect.acked(number), server.dialect.ack)])


class AckCounter:
    """Counts the acks that come, also those that are cut in two."""

    def __init__(self, ack: bytes, devices: Sequence[socket.socket]) -> None:
        self._ack = ack
        self._by_file = {sock.fileno(): sock for sock in devices}
        self._tails = dict.fromkeys(self._by_file, b"")

    def read(self, file: int) -> int:
        """How many more acks are whole after what has come on that connection."""
        more = self._by_file[file].recv(READ_SIZE)
        if not more:
            raise BenchmarkError("the server closed a connection")
        data = self._tails[file] + more
        count = data.count(self._ack)
        self._tails[file] = data[data.rfind(self._ack) + len(self._ack) :] if count else data
        return count


def pace(
    devices: Sequence[socket.socket],
    frames: Sequence[bytes],
    *,
    ack: bytes,
    answers: int,
    rate: float,
    burst: int = 1,
) -> None:
    """Send all ``frames``, ``burst`` at once from one device after the other, at a steady rate.

    Args:
        ack: What is in each answer, once.
        answers: How many there will be; returns when the last has come.
        rate: Messages a second, all devices together.

    Raises:
        BenchmarkError: it takes far longer than it should.
    """
    waiting = iter(frames)
    turns = cycle(devices)
    counted = AckCounter(ack, devices)
    started = last = time.monotonic()
    sent = 0
    with select.epoll() as poll:
        for sock in devices:
            poll.register(sock, select.EPOLLIN)
        while answers > 0 or sent < len(frames):
            now = time.monotonic()
            while sent < len(frames) and sent <= (now - started) * rate:
                next(turns).sendall(b"".join(islice(waiting, burst)))
                sent += burst
                last = now
            for file, _ in poll.poll(0.001):
                answers -= counted.read(file)
                last = now
            if now - last > PATIENCE:
                raise BenchmarkError(f"{answers} messages are not answered")
    if time.monotonic() - started > 1.5 * len(frames) / rate + 0.1:
        raise BenchmarkError(f"it does not keep up with {rate:.0f} messages a second")


def exchange(devices: Sequence[socket.socket], frames: Sequence[bytes], ack: bytes) -> None:
    """Send all ``frames``, one in flight on each connection, until the last is answered."""
    waiting = iter(frames)
    by_file = {sock.fileno(): sock for sock in devices}
    counted = AckCounter(ack, devices)
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
                for _ in range(counted.read(file)):
                    unanswered -= 1
                    if further := next(waiting, None):
                        by_file[file].sendall(further)
