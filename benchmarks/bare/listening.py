"""The listening socket of the bare peers that are written in Python."""

from __future__ import annotations

import socket
import sys
from typing import Final

LOOPBACK: Final = "127.0.0.1"
BACKLOG: Final = 2048


def create_socket() -> socket.socket:
    """A socket that listens on a free port of loopback."""
    return socket.create_server((LOOPBACK, 0), backlog=BACKLOG)


def tell_port(sock: socket.socket) -> None:
    """Print the port, which says that the server is ready."""
    sys.stdout.write(f"{sock.getsockname()[1]}\n")
    sys.stdout.flush()
