"""Which user owns the other end of a loopback connection (Linux).

A reverse proxy on the host connects from loopback too, but as its own user: the difference
between "the operator's own program" and "the world, through nginx".
"""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
from pathlib import Path
from typing import Final

PROC_NET: Final = Path("/proc/net")

_UID, _INODE = 6, 8
"""Columns of /proc/net/tcp and tcp6, counted from the local address: proc(5)."""

_MAPPED: Final = ipaddress.IPv6Address("::ffff:0:0").packed[:12]
"""What stands before an IPv4 address in tcp6: the row of a dual-stack socket (RFC 4291)."""


def _row_key(packed: bytes, port: int) -> str:
    """An address as the kernel prints it: 32-bit words in host byte order, hex."""
    words = struct.unpack(f"!{len(packed) // 4}I", packed)
    native = "".join(f"{socket.htonl(word):08X}" for word in words)
    return f"{native}:{port:04X}"


def _row_keys(*ends: tuple[str, int]) -> set[tuple[str, ...]]:
    """Both addresses of a row, in each of the forms in which it can stand there."""
    packed = [ipaddress.ip_address(address.partition("%")[0]).packed for address, _ in ends]
    forms = [packed]
    if all(len(address) == 4 for address in packed):
        forms.append([_MAPPED + address for address in packed])
    ports = [port for _, port in ends]
    return {tuple(map(_row_key, form, ports)) for form in forms}


def is_own_process(
    peer: tuple[str, int], local: tuple[str, int], proc_net: Path = PROC_NET
) -> bool:
    """Whether a loopback peer runs as our own user.

    Args:
        peer: Address and port of the other end, as our socket gives them.
        local: Our own end.

    Returns:
        True also where the system does not tell (no /proc). False when it does, and lists no
        such socket: then the peer is gone, or is not what it seems.
    """
    wanted = _row_keys(peer, local)
    told = False
    for table in ("tcp", "tcp6"):
        try:
            text = (proc_net / table).read_text("ascii")
        except OSError:
            continue
        told = True
        for key in wanted:
            # A search, since a busy host has thousands of rows.
            start = text.find(" ".join(("", *key, "")))
            if start >= 0:
                row = text[start : text.find("\n", start)].split()
                # Without an inode the socket has no process any more, and its user means nothing:
                # older kernels show root.
                return row[_INODE] != "0" and int(row[_UID]) == os.geteuid()
    return not told
