"""Name, route and TCP of a probe: every address of a name is tried, and each outcome kept."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from typing import Any, Final

from wsdev.diagnosis.facts import AddressFacts, NameFacts, NameTrouble, TcpOutcome
from wsdev.resolver import resolve

MAX_ADDRESSES: Final = 16
"""Of one name: a name with more is a CDN's, and the first tell enough."""

# Addresses made for documentation (RFC 5737, RFC 3849): nothing is sent to them, the kernel only
# tells whether it would know a way.
_ELSEWHERE: Final = {"IPv4": "192.0.2.1", "IPv6": "2001:db8::1"}

_OUTCOMES: Final = {
    errno.ECONNREFUSED: TcpOutcome.REFUSED,
    errno.ETIMEDOUT: TcpOutcome.UNANSWERED,
    errno.EHOSTUNREACH: TcpOutcome.REJECTED,
    errno.EHOSTDOWN: TcpOutcome.REJECTED,
    errno.ECONNRESET: TcpOutcome.REJECTED,
    errno.ENETUNREACH: TcpOutcome.UNREACHABLE,
    errno.ENETDOWN: TcpOutcome.UNREACHABLE,
}


async def look_up(host: str, port: int, patience: float) -> NameFacts:
    """What the name means, and from which address of ours each of its addresses is reached."""
    loop = asyncio.get_running_loop()
    facts = NameFacts(host)
    started = loop.time()
    try:
        infos = await resolve(host, port, patience)
    except TimeoutError:
        facts.trouble = NameTrouble.UNANSWERED
        facts.system_says = f"no answer within {patience:g} s"
    except socket.gaierror as exc:
        no_server = exc.errno in (socket.EAI_AGAIN, socket.EAI_FAIL, socket.EAI_SYSTEM)
        facts.trouble = NameTrouble.UNANSWERED if no_server else NameTrouble.UNKNOWN
        facts.system_says = exc.strerror or str(exc)
    except UnicodeError as exc:
        facts.trouble = NameTrouble.MALFORMED
        facts.system_says = str(exc.__cause__ or exc)
    else:
        seen = dict.fromkeys(_scoped(info[4]) for info in infos)
        facts.addresses = [AddressFacts(ip, port) for ip in list(seen)[:MAX_ADDRESSES]]
    facts.seconds = loop.time() - started
    return facts


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
        address.source = source_address(address.ip)
        if address.source is None:
            address.outcome = TcpOutcome.UNREACHABLE


def source_address(ip: str, port: int = 9) -> str | None:
    """The address of this host from which ``ip`` is reached; None without a route."""
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.connect(_sockaddr(ip, port))
            return str(sock.getsockname()[0])
    except OSError:
        return None


async def try_all(facts: NameFacts, patience: float) -> socket.socket | None:
    """Ask every address for a connection, all at once; None if none gives one.

    The first in the name's order that gives one is kept, since that is what a device takes.
    """
    tried = [address for address in facts.addresses if address.outcome is None]
    sockets = await asyncio.gather(*(_try(address, patience) for address in tried))
    kept = next((sock for sock in sockets if sock is not None), None)
    for sock in sockets:
        if sock is not None and sock is not kept:
            sock.close()
    return kept


async def _try(address: AddressFacts, patience: float) -> socket.socket | None:
    """Ask one address, and keep how it took that."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    try:
        async with asyncio.timeout(patience):
            sock = await open_socket(address.ip, address.port)
        address.outcome = TcpOutcome.CONNECTED
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


async def open_socket(ip: str, port: int) -> socket.socket:
    """A connected socket.

    Raises:
        OSError: the system's own.
    """
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, _sockaddr(ip, port))
    except BaseException:
        sock.close()
        raise
    return sock


def _sockaddr(ip: str, port: int) -> tuple[Any, ...]:
    """With the scope of a link-local address (``fe80::1%eth0``) as a number."""
    plain, mark, scope = ip.partition("%")
    if not mark:
        return (ip, port)
    try:
        index = int(scope) if scope.isdigit() else socket.if_nametoindex(scope)
    except OSError:
        index = 0
    return (plain, port, 0, index)
