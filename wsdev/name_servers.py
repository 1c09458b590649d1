"""The DNS servers of this host, each asked directly: which of them is silent, which one fails.

The system's resolver tells one word for all of them. Asked is only after it gave none.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import struct
from pathlib import Path
from typing import Final

from wsdev.diagnosis.facts import DnsServer
from wsdev.resolver import socket_address

SETTINGS: Final = Path("/etc/resolv.conf")

MAX_SERVERS: Final = 3
"""As many as glibc asks (MAXNS in resolv.h)."""

_PORT: Final = 53
_A_QUESTION_IN: Final = struct.pack("!HH", 1, 1)

# RFC 1035 section 4.1.1.
_CODES: Final = {
    0: "NOERROR",
    1: "FORMERR",
    2: "SERVFAIL",
    3: "NXDOMAIN",
    4: "NOTIMP",
    5: "REFUSED",
}


def listed_servers(settings: Path = SETTINGS) -> list[str]:
    """The addresses of the DNS servers in resolv.conf(5); none if it cannot be read."""
    try:
        lines = settings.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    words = [line.split() for line in lines]
    return [line[1] for line in words if len(line) > 1 and line[0] == "nameserver"][:MAX_SERVERS]


async def ask_servers(host: str, patience: float) -> list[DnsServer]:
    """What each DNS server of this host says to a question for ``host``, all asked at once."""
    try:
        query = make_query(host)
    except UnicodeError:
        return []
    return list(await asyncio.gather(*(_ask(ip, query, patience) for ip in listed_servers())))


def make_query(host: str) -> bytes:
    """A question for the IPv4 address of ``host`` (RFC 1035 section 4.1).

    Raises:
        UnicodeError: not a name (IDNA).
    """
    head = struct.pack("!HHHHHH", secrets.randbits(16), 0x0100, 1, 0, 0, 0)
    labels = [label for label in host.encode("idna").split(b".") if label]
    return head + b"".join(bytes([len(one)]) + one for one in labels) + b"\0" + _A_QUESTION_IN


async def _ask(ip: str, query: bytes, patience: float) -> DnsServer:
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.connect(socket_address(ip, _PORT))
            async with asyncio.timeout(patience):
                await loop.sock_sendall(sock, query)
                return DnsServer(ip, read_code(query, await loop.sock_recv(sock, 512)))
    except TimeoutError:
        return DnsServer(ip, trouble="no answer")
    except ConnectionRefusedError:
        return DnsServer(ip, trouble="nothing listens there")
    except OSError as exc:
        return DnsServer(ip, trouble=exc.strerror or "cannot be asked")


def read_code(query: bytes, reply: bytes) -> str:
    """The response code of a reply: ``SERVFAIL``; empty if it is no reply to ``query``."""
    if len(reply) < 12 or reply[:2] != query[:2] or not reply[2] & 0x80:
        return ""
    code = reply[3] & 0x0F
    return _CODES.get(code, f"code {code}")
