"""What this machine can hold of a fleet: open files, and local ports to connect from."""

from __future__ import annotations

import ipaddress
import resource
from pathlib import Path
from typing import Final

from wsdev.errors import UsageError

SPARE_FILES: Final = 64
"""Open files that the program needs besides its connections."""

_PORT_RANGE: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
_USUAL_RANGE: Final = (32768, 60999)

_LOOPBACK: Final = ipaddress.IPv4Address("127.0.0.1")
_SHARE: Final = 0.7
"""Of an address's ports: the rest is in TIME-WAIT, or other programs'."""


def make_room(files: int) -> None:
    """Lift the limit of open files so that ``files`` fit.

    Raises:
        UsageError: it cannot be lifted so far.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = files + SPARE_FILES
    if soft >= wanted or soft == resource.RLIM_INFINITY:
        return
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise UsageError(
            f"--count needs {wanted} open files, and this user may have {hard}",
            f"ulimit -Hn {wanted} as root, or LimitNOFILE={wanted} in a systemd unit",
            code="too_few_files",
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def local_ports() -> int:
    """How many connections can go from one local address to one remote address and port."""
    try:
        first, last = map(int, _PORT_RANGE.read_text().split())
    except (OSError, ValueError):
        first, last = _USUAL_RANGE
    return last - first + 1


def source_addresses(target: str, count: int, ports: int) -> list[str]:
    """The local addresses to connect from; empty lets the system choose.

    On the loopback network, which is this host as a whole (RFC 1122 section 3.2.1.3), more of them
    can be had: each has ports of its own.

    Args:
        target: The gateway's address.
        count: Connections.
        ports: :func:`local_ports`.

    Raises:
        UsageError: too many for the one address that there is.
    """
    each = int(ports * _SHARE)
    if count <= each:
        return []
    address = ipaddress.ip_address(target)
    if address.version == 4 and address.is_loopback:
        return [str(_LOOPBACK + number) for number in range(-(-count // each))]
    raise UsageError(
        f"--count {count} needs more local ports than there are: {each} of {ports} can be used",
        "sysctl -w net.ipv4.ip_local_port_range='1024 65535', or run a part from another host",
        code="too_few_ports",
    )
