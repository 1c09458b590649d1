"""What /proc tells of sockets and processes (Linux). Elsewhere, nothing is told: no error."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from wsdev.findings.facts import FileLimits, Listening

PROC: Final = Path("/proc")

PROXIES: Final = frozenset({
    "nginx", "haproxy", "caddy", "apache2", "httpd", "traefik", "envoy", "lighttpd", "h2o",
})  # fmt: skip
PROXY_PORTS: Final = (80, 443)

_LOCAL, _STATE, _INODE = 1, 3, 9
"""Columns of /proc/net/tcp and tcp6: proc(5)."""

_LISTEN: Final = "0A"


def listening_sockets(proc: Path = PROC) -> list[Listening]:
    """All listening TCP sockets of this network, with their programs where those can be seen."""
    found: list[tuple[str, int, str]] = []
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in (proc / "net" / table).read_text("ascii").splitlines()[1:]:
                columns = line.split()
                if columns[_STATE] == _LISTEN:
                    address, _, port = columns[_LOCAL].partition(":")
                    found.append((_address(address), int(port, 16), columns[_INODE]))
    owners = _owners({inode for _, _, inode in found}, proc)
    sockets = []
    for address, number, inode in found:
        pid = owners.get(inode)
        sockets.append(Listening(address, number, pid, process_name(pid, proc) if pid else None))
    return sockets


def _address(text: str) -> str:
    """An address as the kernel prints it: 32-bit words in host byte order, hex."""
    words = [int(text[start : start + 8], 16) for start in range(0, len(text), 8)]
    packed = struct.pack(f"={len(words)}I", *words)
    return socket.inet_ntop(socket.AF_INET if len(words) == 1 else socket.AF_INET6, packed)


def _owners(inodes: set[str], proc: Path) -> dict[str, int]:
    """The process of each socket, where this user may see it."""
    owners: dict[str, int] = {}
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    for pid in _processes(proc):
        with contextlib.suppress(OSError):
            for entry in os.scandir(proc / str(pid) / "fd"):
                with contextlib.suppress(OSError):
                    inode = wanted.get(os.readlink(entry.path))
                    if inode is not None:
                        owners.setdefault(inode, pid)
    return owners


def _processes(proc: Path) -> list[int]:
    try:
        return sorted(int(name) for name in os.listdir(proc) if name.isdecimal())
    except OSError:
        return []


def process_name(pid: int, proc: Path = PROC) -> str | None:
    """The name of a process's program; None if it is gone."""
    try:
        return (proc / str(pid) / "comm").read_text("utf-8", "replace").strip()
    except OSError:
        return None


def process_user(pid: int, proc: Path = PROC) -> int | None:
    """Whose process it is; None if it is gone."""
    try:
        return (proc / str(pid)).stat().st_uid
    except OSError:
        return None


def proxies_in_front(sockets: Iterable[Listening], proc: Path = PROC) -> list[Listening]:
    """The sockets on ports 80 and 443 of programs that are known as proxies.

    The owner of a socket is hidden from other users. Then a proxy that runs at all is taken for it.
    """
    standing = [sock for sock in sockets if sock.port in PROXY_PORTS]
    if not standing:
        return []
    names = {process_name(pid, proc) for pid in _processes(proc)} & PROXIES
    running = sorted(name for name in names if name)
    found = []
    for sock in standing:
        if sock.owner in PROXIES:
            found.append(sock)
        elif sock.owner is None and running:
            found.append(Listening(sock.address, sock.port, None, " or ".join(running)))
    return found


_MOST_FILES = re.compile(r"^Max open files +(\d+|unlimited)", re.MULTILINE)


def file_limits(pid: int, proc: Path = PROC) -> FileLimits | None:
    """How many files a process may open, and has; None if it is another user's, or gone."""
    try:
        text = (proc / str(pid) / "limits").read_text("ascii")
    except OSError:
        return None
    match = _MOST_FILES.search(text)
    if match is None:
        return None
    most = 1 << 30 if match[1] == "unlimited" else int(match[1])
    try:
        used: int | None = len(os.listdir(proc / str(pid) / "fd"))
    except OSError:
        used = None
    return FileLimits(most, used)


def default_interfaces(proc: Path = PROC) -> list[str]:
    """The interfaces of the default routes of IPv4: the way to the rest of the world."""
    try:
        lines = (proc / "net" / "route").read_text("ascii").splitlines()[1:]
    except OSError:
        return []
    rows = [line.split() for line in lines]
    return [row[0] for row in rows if len(row) > 7 and row[1] == row[7] == "00000000"]
