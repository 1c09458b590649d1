"""Name, route and TCP of a probe: every address of a name is tried, and each outcome kept."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import os
import re
import socket
from typing import Any, Final

from wsdev.diagnosis.facts import AddressFacts, NameFacts, NameTrouble, TcpOutcome
from wsdev.name_servers import ask_servers
from wsdev.resolver import resolve, socket_address
from wsdev.tcp import connect_tcp

MAX_ADDRESSES: Final = 16
"""Of one name: a name with more is a CDN's, and the first tell enough."""

GRACE: Final = 2.0
"""Seconds that the other addresses have once one took the connection: a lost SYN is sent again
after 1 s (RFC 6298 section 2)."""

SHARE_OF_RESOLVER: Final = 0.8
"""Of the patience for a name; the rest is for asking the DNS servers why."""

# Addresses made for documentation (RFC 5737, RFC 3849): nothing is sent to them, the kernel only
# tells whether it would know a way.
_ELSEWHERE: Final = {"IPv4": "192.0.2.1", "IPv6": "2001:db8::1"}

_ANY_PORT: Final = 9  # discard

_OUTCOMES: Final = {
    errno.ECONNREFUSED: TcpOutcome.REFUSED,
    errno.ETIMEDOUT: TcpOutcome.UNANSWERED,
    errno.EHOSTUNREACH: TcpOutcome.REJECTED,
    errno.EHOSTDOWN: TcpOutcome.REJECTED,
    errno.ECONNRESET: TcpOutcome.REJECTED,
    errno.ENONET: TcpOutcome.REJECTED,
    errno.ENOPROTOOPT: TcpOutcome.REJECTED,  # ICMP protocol unreachable
    errno.ENETUNREACH: TcpOutcome.TURNED_BACK,  # this host's own routes were looked at before
    errno.ENETDOWN: TcpOutcome.UNREACHABLE,
}

# What makes this host unable to ask at all.
_HELPLESS: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_NOT_ASKED: Final = frozenset({socket.EAI_MEMORY, socket.EAI_SYSTEM})


async def look_up(host: str, port: int, patience: float) -> NameFacts:
    """What the name means, and from which address of ours each of its addresses is reached."""
    loop = asyncio.get_running_loop()
    facts = NameFacts(host)
    if slip := slip_in_address(host):
        facts.trouble, facts.system_says = NameTrouble.MALFORMED, slip
        return facts
    started = loop.time()
    try:
        infos = await resolve(host, port, patience * SHARE_OF_RESOLVER)
    except TimeoutError:
        facts.trouble = NameTrouble.UNANSWERED
        facts.system_says = f"no answer within {patience * SHARE_OF_RESOLVER:g} s"
    except socket.gaierror as exc:
        facts.trouble = _trouble(exc)
        facts.system_says = exc.strerror or str(exc)
    except OSError as exc:
        facts.trouble = NameTrouble.NOT_ASKED
        facts.system_says = exc.strerror or str(exc)
    except UnicodeError as exc:
        facts.trouble = NameTrouble.MALFORMED
        facts.system_says = str(exc.__cause__ or exc)
    else:
        seen = dict.fromkeys(_scoped(info[4]) for info in infos)
        facts.addresses = [AddressFacts(ip, port) for ip in list(seen)[:MAX_ADDRESSES]]
    if facts.trouble is NameTrouble.UNANSWERED:
        left = patience - (loop.time() - started)
        facts.servers = await ask_servers(host, min(left, patience * (1 - SHARE_OF_RESOLVER)))
    facts.seconds = loop.time() - started
    return facts


def slip_in_address(host: str) -> str:
    """What is wrong with numbers and dots that are no IPv4 address; empty for all else.

    The system would take ``10.1`` for 10.0.0.1 and ``192.168.1.010`` for 192.168.1.8: inet_aton(3).
    """
    if not re.fullmatch(r"[0-9.]+", host):
        return ""
    try:
        ipaddress.IPv4Address(host)
    except ValueError as exc:
        return str(exc)
    return ""


def _trouble(error: socket.gaierror) -> NameTrouble:
    if error.errno in (socket.EAI_AGAIN, socket.EAI_FAIL):
        return NameTrouble.UNANSWERED
    if error.errno in _NOT_ASKED:
        return NameTrouble.NOT_ASKED
    # glibc's own; it is not in every system's socket module.
    if error.errno == getattr(socket, "EAI_NODATA", None):
        return NameTrouble.WITHOUT_ADDRESS
    return NameTrouble.UNKNOWN


def _scoped(sockaddr: tuple[Any, ...]) -> str:
    """The address, with its scope if it is a link-local one."""
    scope = sockaddr[3] if len(sockaddr) > 3 else 0
    return f"{sockaddr[0]}%{scope}" if scope else str(sockaddr[0])


def find_routes(facts: NameFacts) -> None:
    """Fill in the source address of each address, and which families have a way out at all.

    An address without a route is not tried any more.
    """
    facts.routed_families = [
        family for family, ip in _ELSEWHERE.items() if source_address(ip) is not None
    ]
    for address in facts.addresses:
        try:
            address.source = _find_source(address.ip)
        except OSError as exc:
            helpless = exc.errno in _HELPLESS
            address.outcome = TcpOutcome.FAILED if helpless else TcpOutcome.UNREACHABLE
            address.system_says = exc.strerror or str(exc)


def source_address(ip: str) -> str | None:
    """The address of this host from which ``ip`` is reached; None without a route."""
    try:
        return _find_source(ip)
    except OSError:
        return None


def _find_source(ip: str) -> str:
    """The kernel's choice; connecting a UDP socket sends nothing."""
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.connect(socket_address(ip, _ANY_PORT))
        return str(sock.getsockname()[0])


async def try_all(facts: NameFacts, patience: float) -> socket.socket | None:
    """Ask every address for a connection, all at once; None if none gives one.

    The first in the name's order that gives one is kept, since that is what a device takes. Once
    one did, the others have :data:`GRACE` seconds.
    """
    tried = [address for address in facts.addresses if address.outcome is None]
    deadlines: set[asyncio.Timeout] = set()
    sockets = await asyncio.gather(*(_try(address, patience, deadlines) for address in tried))
    kept = next((sock for sock in sockets if sock is not None), None)
    for sock in sockets:
        if sock is not None and sock is not kept:
            sock.close()
    return kept


async def _try(
    address: AddressFacts, patience: float, deadlines: set[asyncio.Timeout]
) -> socket.socket | None:
    """Ask one address, and keep how it took that.

    Args:
        deadlines: Those of all addresses that are being asked.
    """
    loop = asyncio.get_running_loop()
    started = loop.time()
    try:
        async with asyncio.timeout(patience) as deadline:
            deadlines.add(deadline)
            try:
                sock = await open_socket(address.ip, address.port)
            finally:
                deadlines.remove(deadline)
        address.outcome = TcpOutcome.CONNECTED
        _hurry(deadlines)
        return sock
    except OSError as exc:  # TimeoutError is one
        address.outcome = (
            TcpOutcome.UNANSWERED
            if isinstance(exc, TimeoutError)
            else _OUTCOMES.get(exc.errno or 0, TcpOutcome.FAILED)
        )
        address.system_says = os.strerror(exc.errno) if exc.errno else ""
        if exc.errno == errno.EACCES and address.family == "IPv6":
            address.outcome = TcpOutcome.REJECTED  # ICMPv6: administratively prohibited
        return None
    finally:
        address.seconds = loop.time() - started


def _hurry(deadlines: set[asyncio.Timeout]) -> None:
    latest = asyncio.get_running_loop().time() + GRACE
    for deadline in deadlines:
        if not deadline.expired() and (deadline.when() or latest) > latest:
            deadline.reschedule(latest)


async def open_socket(ip: str, port: int) -> socket.socket:
    """A connected socket.

    Raises:
        OSError: the system's own.
    """
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    return await connect_tcp(family, socket_address(ip, port))
