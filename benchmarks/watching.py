"""Viewers of the console: raw sockets that ask for a stream, and read it or do not."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.load import END_OF_HEAD, READ_SIZE, reset
from benchmarks.servers import LOOPBACK, PATIENCE, BenchmarkError, Server
from wsdev.console.cameras import BOUNDARY
from wsdev.tokens import TokenBook

EVENTS: Final = "/api/events"

PICTURE_END: Final = f"--{BOUNDARY}\r\n".encode()
"""Is sent once before all pictures, and behind each."""

TOO_SLOW: Final = b": too slow"
"""How the console takes leave of a viewer that is too far behind."""

SMALL_WINDOW: Final = 4096
"""Bytes that the system keeps for a viewer that reads nothing."""

_SOCKETS: Final = Path("/proc/net/tcp")
_MOMENT: Final = 0.3
"""Seconds after which what was pushed would have gone out: events come ten times a second."""


def pictures_of(device: str) -> str:
    """Where a camera's pictures are streamed."""
    return f"/api/devices/{device}/stream.mjpeg"


def operator_token(server: Server) -> str:
    """A new token for the server's console."""
    assert server.folder is not None
    with TokenBook.open(server.folder, create=False) as book:
        return book.create_operator(name="benchmark")[1]


@contextmanager
def watching(
    server: Server, path: str, token: str, count: int = 1, window: int | None = None
) -> Iterator[list[socket.socket]]:
    """Viewers that asked for ``path`` and were let in; gone again after the block.

    Args:
        token: Of an operator.
        window: Bytes for what is not read yet; None for as many as the system thinks fit.
    """
    if not server.console_port:
        raise BenchmarkError("the server has no console")
    viewers: list[socket.socket] = []
    before = server.open_sockets()
    try:
        while len(viewers) < count:
            viewers.append(_viewer(server, path, token, window))
        yield viewers
    finally:
        reset(viewers)
    server.wait_for_sockets(before)


def _viewer(server: Server, path: str, token: str, window: int | None) -> socket.socket:
    sock = socket.socket()
    try:
        sock.settimeout(PATIENCE)
        if window is not None:  # before the connection, or it does not count
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        sock.connect((LOOPBACK, server.console_port))
        head = f"GET {path} HTTP/1.1\r\nHost: {LOOPBACK}:{server.console_port}\r\n"
        sock.sendall(f"{head}Authorization: Bearer {token}\r\n\r\n".encode())
        answer = b""
        while not answer.endswith(END_OF_HEAD):  # and no byte of the stream behind it
            answer += sock.recv(1) or END_OF_HEAD
        if not answer.startswith(b"HTTP/1.1 200 "):
            raise BenchmarkError(f"the console does not let a viewer in: {answer[:80]!r}")
    except BaseException:
        sock.close()
        raise
    return sock


def hold_up(viewer: socket.socket, push: Callable[[], None]) -> None:
    """Push until the server can hand nothing more to the system for a viewer that reads nothing.

    The system takes some megabytes before that, and the server would notice nothing.
    """
    full = -1
    while (size := unread(viewer)) > full:
        full = size
        push()
        deadline = time.monotonic() + _MOMENT
        while unread(viewer) <= full and time.monotonic() < deadline:
            time.sleep(0.005)


def read_up_to(viewer: socket.socket, mark: bytes) -> None:
    """Read what a viewer has not read, and so prove that it was held up and not let go.

    Raises:
        BenchmarkError: the console gave it up.
    """
    kept = b""
    while mark not in kept:
        piece = viewer.recv(READ_SIZE)
        kept = kept[-len(mark) :] + piece
        if not piece or TOO_SLOW in kept:
            raise BenchmarkError("the viewer was cut off while it was measured beside")


def unread(viewer: socket.socket) -> int:
    """Bytes that the system keeps at the other end for a viewer on this host."""
    ends = [f":{name[1]:04X}" for name in (viewer.getpeername(), viewer.getsockname())]
    for line in _SOCKETS.read_text(encoding="ascii").splitlines()[1:]:
        _, local, remote, _, queues, *_ = line.split()
        if [local[-5:], remote[-5:]] == ends:
            return int(queues.partition(":")[0], 16)
    raise BenchmarkError("a viewer was cut off")
