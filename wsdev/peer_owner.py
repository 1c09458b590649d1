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

_LOCAL, _REMOTE, _UID = 1, 2, 7
"""Columns of /proc/net/tcp and tcp6: proc(5)."""


def _row_key(address: str, port: int) -> str:
    """An address as the kernel prints it: 32-bit words in host byte order, hex."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    words = struct.unpack(f"!{len(ip.packed) // 4}I", ip.packed)
    native = "".join(f"{socket.htonl(word):08X}" for word in words)
    return f"{native}:{port:04X}"


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
    wanted = (_row_key(*peer), _row_key(*local))
    told = False
    for table in ("tcp", "tcp6"):
        try:
            rows = (proc_net / table).read_text("ascii").splitlines()[1:]
        except OSError:
            continue
        told = True
        for row in rows:
            columns = row.split()
            if (columns[_LOCAL], columns[_REMOTE]) == wanted:
                return int(columns[_UID]) == os.geteuid()
    return not told
