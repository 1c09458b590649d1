"""Who is calling: addresses, hops behind trusted proxies, and what speaks for local trust.

A peer may repeat any header.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from wsdev.request_head import Fields

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


def parse_ip(text: str) -> IPAddress | None:
    """The address that ``text`` spells, or None.

    An IPv4-mapped IPv6 address (what a dual-stack socket reports) becomes the IPv4 address; a
    scope id (``%eth0``) is dropped.
    """
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv4Address):
        return address
    return address.ipv4_mapped or ipaddress.IPv6Address(int(address))


@lru_cache(maxsize=1024)
def peer_ip(text: str) -> IPAddress | None:
    """The same for a socket's other end: the same ones come again and again."""
    return parse_ip(text)


_AUTHORITY = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^:\[\]]+))(?::[0-9]{0,5})?")
_LOOPBACK_NAME = re.compile(r"(?:[a-z0-9_-]+\.)*localhost\.?", re.ASCII | re.IGNORECASE)


def _without_port(authority: str) -> str:
    """The host of ``host[:port]`` or ``[v6][:port]``; empty for anything else."""
    match = _AUTHORITY.fullmatch(authority)
    return (match[1] or match[2]) if match else ""


def _is_loopback_host(authority: str) -> bool:
    """Whether it is a loopback address, ``localhost``, or below that (RFC 6761 section 6.3)."""
    host = _without_port(authority)
    address = parse_ip(host)
    if address is not None:
        return address.is_loopback
    return _LOOPBACK_NAME.fullmatch(host) is not None


class Caller(NamedTuple):
    """Where a request comes from: the address that counts, and the other end of the socket.

    ``forwarded``: they differ, since a trusted proxy reports the address.
    """

    address: IPAddress
    peer: IPAddress
    forwarded: bool


def caller_of(peer: IPAddress, fields: Fields, trusted_proxies: Sequence[IPNetwork]) -> Caller:
    """The caller behind ``peer``, an address as :func:`parse_ip` gives it.

    Each hop was written by the one to the right of it, so the rightmost that is no trusted proxy
    is the last that can be known. A hop without an address (``unknown``, ``_hidden``, nonsense)
    ends the walk at the proxy that wrote it.

    A proxy that writes one of ``X-Forwarded-For`` and ``Forwarded`` (RFC 7239) passes the other
    on as the client sent it. So when both are there and disagree, neither counts and the caller
    is the proxy: a stranger can hide behind it that way, but not pass for somebody else.
    """
    if not any(peer in network for network in trusted_proxies):
        return Caller(peer, peer, forwarded=False)
    x_forwarded = [hop for line in fields.get_all("X-Forwarded-For") for hop in line.split(",")]
    forwarded = [hop for line in fields.get_all("Forwarded") for hop in _forwarded_hops(line)]
    found = {_walk(peer, hops, trusted_proxies) for hops in (x_forwarded, forwarded) if hops}
    address = found.pop() if len(found) == 1 else peer
    return Caller(address, peer, forwarded=address != peer)


def _walk(peer: IPAddress, hops: list[str], trusted_proxies: Sequence[IPNetwork]) -> IPAddress:
    address = peer
    for hop in reversed(hops):
        if not any(address in network for network in trusted_proxies):
            break
        # IPv6 is bare in X-Forwarded-For and bracketed in Forwarded; some proxies add a port.
        previous = parse_ip(hop.strip()) or parse_ip(_without_port(hop.strip()))
        if previous is None:
            break
        address = previous
    return address


_FORWARDED_PAIR = re.compile(
    r"""[ \t]*([!#$%&'*+.^_`|~0-9A-Za-z-]+)=("(?:[^"\\]|\\.)*"|[^ \t",;]+)[ \t]*([;,]|\Z)"""
)


def _forwarded_hops(line: str) -> list[str]:
    """The ``for=`` of each element of a ``Forwarded`` line; empty where there is none.

    A line that breaks the grammar is one empty hop: a client's unclosed quote could otherwise
    swallow what the proxy appended.
    """
    hops = []
    hop = ""
    position = 0
    while pair := _FORWARDED_PAIR.match(line, position):
        name, value, separator = pair.groups()
        if name.lower() == "for":
            hop = re.sub(r"\\(.)", r"\1", value[1:-1]) if value[0] == '"' else value
        if separator != ";":
            hops.append(hop)
            hop = ""
        if not separator:
            return hops
        position = pair.end()
    return [""]


_PROXY_HEADER = re.compile(r"forwarded|x-real-ip|via|(?:x-forwarded-|cf-).*", re.IGNORECASE)
_ORIGIN = re.compile(r"(?:http|ws)s?://(.+)", re.ASCII | re.IGNORECASE)


def local_trust_reason(peer: IPAddress, fields: Fields) -> str | None:
    """None when all but the owner of the peer's process speaks for local trust, else why not.

    ``peer`` is the socket's other end as :func:`parse_ip` gives it, never a forwarded address.
    The reason is a word for the log: ``not_loopback``, ``forwarded`` (a proxy left its header),
    ``foreign_host`` (DNS rebinding; also no Host, or several), ``foreign_origin`` (a page in the
    operator's browser; also ``null``, ``file://``, or several).
    """
    if not peer.is_loopback:
        return "not_loopback"
    if any(map(_PROXY_HEADER.fullmatch, fields)):
        return "forwarded"
    hosts = fields.get_all("Host")
    if len(hosts) != 1 or not _is_loopback_host(hosts[0]):
        return "foreign_host"
    origins = fields.get_all("Origin")
    if origins:
        origin = _ORIGIN.fullmatch(origins[0])
        if len(origins) != 1 or origin is None or not _is_loopback_host(origin[1]):
            return "foreign_origin"
    return None
