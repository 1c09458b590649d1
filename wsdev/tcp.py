"""Connecting over TCP; nothing is left open when it fails."""

from __future__ import annotations

import asyncio
import socket
from typing import Any, Final

_IP_BIND_ADDRESS_NO_PORT: Final = 24


async def connect_tcp(
    family: int, address: tuple[Any, ...], source: str | None = None
) -> socket.socket:
    """A connected socket that does not block.

    Args:
        family: ``AF_INET`` or ``AF_INET6``.
        address: As :func:`socket.getaddrinfo` gives it for the family.
        source: The local IPv4 address to connect from (Linux); None: the system chooses.

    Raises:
        OSError: the system's own.
    """
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        if source is not None:
            # The port is chosen when the other end is known: one may serve several (ip(7)).
            sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
            sock.bind((source, 0))
        await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock
