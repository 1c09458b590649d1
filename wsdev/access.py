"""Who may come in: the peer's address, the headers and the token become a verdict with a reason.

Pure: time is passed in. Headers are decoded as ISO-8859-1 and read with ``get_all``, since a peer
may repeat any of them and ``get`` raises on repeats.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import parse_qsl

from websockets.datastructures import Headers

from wsdev.codes import REFUSALS
from wsdev.errors import MistypedToken, Side, WsdevError
from wsdev.limits import Limits
from wsdev.token_format import parse_token

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

MINUTE: Final = 60
REMEMBERED_ADDRESSES: Final = 10_000  # a RateWindow full of them takes 5 MB


class AccessRefused(WsdevError):
    """A request that is not let in.

    Args:
        code: A key of :data:`wsdev.codes.REFUSALS`, which has the status, cause and hint.
        retry_after: Seconds after which another try makes sense, if that is known.
        token_tail: The last four characters of a token, for the log. Empty for what is not one.
    """

    side = Side.PEER

    def __init__(self, code: str, *, retry_after: int | None = None, token_tail: str = "") -> None:
        kind = REFUSALS[code]
        super().__init__(kind.message, kind.hint, code=code)
        self.retry_after = retry_after
        self.token_tail = token_tail


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


@dataclass(frozen=True, slots=True)
class Caller:
    """Where a request comes from: the address that counts, and the other end of the socket.

    ``forwarded``: they differ, since a trusted proxy reports the address.
    """

    address: IPAddress
    peer: IPAddress
    forwarded: bool


def caller_of(peer: IPAddress, headers: Headers, trusted_proxies: Sequence[IPNetwork]) -> Caller:
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
    x_forwarded = [hop for line in headers.get_all("X-Forwarded-For") for hop in line.split(",")]
    forwarded = [hop for line in headers.get_all("Forwarded") for hop in _forwarded_hops(line)]
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


def local_trust_reason(peer: IPAddress, headers: Headers) -> str | None:
    """None when all but the owner of the peer's process speaks for local trust, else why not.

    ``peer`` is the socket's other end as :func:`parse_ip` gives it, never a forwarded address.
    The reason is a word for the log: ``not_loopback``, ``forwarded`` (a proxy left its header),
    ``foreign_host`` (DNS rebinding; also no Host, or several), ``foreign_origin`` (a page in the
    operator's browser; also ``null``, ``file://``, or several).
    """
    if not peer.is_loopback:
        return "not_loopback"
    if any(map(_PROXY_HEADER.fullmatch, headers)):
        return "forwarded"
    hosts = headers.get_all("Host")
    if len(hosts) != 1 or not _is_loopback_host(hosts[0]):
        return "foreign_host"
    origins = headers.get_all("Origin")
    if origins:
        origin = _ORIGIN.fullmatch(origins[0])
        if len(origins) != 1 or origin is None or not _is_loopback_host(origin[1]):
            return "foreign_origin"
    return None


class KnownToken(Protocol):
    """A token of the book: its public id, what it lets in, its last four characters.

    ``name`` is the one device name that it admits, or None; ``state`` at Unix seconds is
    ``active``, ``retiring``, ``retired`` or ``revoked``.
    """

    @property
    def id(self) -> str: ...
    @property
    def device_class(self) -> str: ...
    @property
    def name(self) -> str | None: ...
    @property
    def tail(self) -> str: ...
    def state(self, now: float, /) -> str: ...


class TokenLookup(Protocol):
    """Finds a token among all ever made, in constant time; None if it is not there."""

    def find(self, token: bytes, /) -> KnownToken | None: ...


_BEARER = re.compile(r"bearer[ \t]+([!-~]+)", re.ASCII | re.IGNORECASE)


def presented_token(headers: Headers, query: str) -> bytes | None:
    """The token of ``Authorization: Bearer`` (RFC 6750), else of ``?token=``, else None.

    Identical repeats are one: a device library repeats its header after each reconnect. The
    header wins over the query, which is the target's raw one, even when it is malformed.

    Raises:
        AccessRefused: ``token_malformed`` (not ``Bearer``, empty, or not printable ASCII), or
            ``authorization_conflict`` (repeats that differ).
    """
    values = set(headers.get_all("Authorization")) or {
        f"Bearer {value}"
        for name, value in parse_qsl(query, keep_blank_values=True, encoding="latin-1")
        if name == "token"
    }
    if not values:
        return None
    if len(values) > 1:
        raise AccessRefused("authorization_conflict")
    if bearer := _BEARER.fullmatch(values.pop()):
        return bearer[1].encode("ascii")
    raise AccessRefused("token_malformed")


def may_use_name(name: str, pinned_name: str | None, is_claimed: bool) -> bool:
    """Whether ``name``, already cleaned, is open to whoever was admitted with ``pinned_name``.

    A name is claimed when some device token is pinned to it.
    """
    return not is_claimed if pinned_name is None else name == pinned_name


_Key = tuple[int, int]
_EVERYBODY_ELSE: Final[_Key] = (0, 0)


def _key(address: IPAddress) -> _Key:
    """What counts as one address: for IPv6 its /64, the least that a provider gives to a site."""
    if isinstance(address, ipaddress.IPv4Address):
        return 4, int(address)
    return 6, int(address) >> 64


class RateWindow:
    """Counts events per address: ``limit`` within a minute of the first, then a minute's block.

    Events during a block do not prolong it. Floods from many addresses find bounds: at most
    ``capacity`` are counted and as many blocked. The oldest count gives way to a newcomer, a
    block never does, so no flood frees an address that is blocked. Once ``capacity`` are blocked,
    all others share one count. A limit of 0 is no limit.
    """

    def __init__(self, limit: int, capacity: int = REMEMBERED_ADDRESSES) -> None:
        self._limit = limit
        self._capacity = capacity
        # Entries end in the order in which they came. A plain dict is slow to lose its first.
        self._counts: OrderedDict[_Key, tuple[float, int]] = OrderedDict()
        self._blocks: OrderedDict[_Key, float] = OrderedDict()

    def hit(self, address: IPAddress, now: float) -> int:
        """Count an event at ``now``: 0 if within the limit, else seconds to wait, 1 to 60."""
        if not self._limit:
            return 0
        self._forget(now)
        key = _key(address)
        if key not in self._blocks and len(self._blocks) >= self._capacity:
            key = _EVERYBODY_ELSE
        if key in self._blocks:
            return min(MINUTE, math.ceil(self._blocks[key] - now))
        ends, count = self._counts.get(key, (now + MINUTE, 0))
        if count >= self._limit:
            del self._counts[key]
            self._blocks[key] = now + MINUTE
            return MINUTE
        self._counts[key] = ends, count + 1
        if len(self._counts) > self._capacity:
            self._counts.popitem(last=False)
        return 0

    def _forget(self, now: float) -> None:
        while self._counts and next(iter(self._counts.values()))[0] <= now:
            self._counts.popitem(last=False)
        while self._blocks and next(iter(self._blocks.values())) <= now:
            self._blocks.popitem(last=False)


@dataclass(frozen=True, slots=True)
class Admission:
    """Somebody who is let in; ``token_id`` is None for one trusted locally without a token."""

    token_id: str | None
    pinned_name: str | None
    caller: Caller


class Doorkeeper:
    """Applies the policy. ``wall_clock`` gives Unix seconds, ``now`` is monotonic seconds."""

    def __init__(
        self, limits: Limits, tokens: TokenLookup, wall_clock: Callable[[], float]
    ) -> None:
        self._tokens = tokens
        self._wall_clock = wall_clock
        self._connections: dict[_Key, int] = {}
        self._max_connections = limits.connections_per_address
        self._wrong_tokens = RateWindow(limits.wrong_tokens_per_minute)
        self._token_requests = RateWindow(limits.token_requests_per_minute)

    def admit(
        self,
        device_class: str,
        caller: Caller,
        headers: Headers,
        query: str,
        *,
        trusted_local: Callable[[], bool],
        now: float,
    ) -> Admission:
        """Let a device in at the path of ``device_class``; a token that is sent must be good.

        Mistyped, unknown and retired tokens count against the address, and over the limit get
        ``too_many_attempts``. A good token is let in even then: behind one NAT a single broken
        device would lock out every good one, while 128 random bits are not guessed at any rate.
        What the limit bounds is noise. Missing, malformed and wrong-class tokens do not count.

        ``trusted_local`` is the verdict on local trust, the owner of the peer's process included.
        It is asked only when no token was sent.

        Raises:
            AccessRefused: ``too_many_connections``, those of :func:`presented_token`,
                ``token_missing``, ``token_mistyped``, ``token_unknown``, ``token_retired``,
                ``too_many_attempts`` or ``wrong_class``.
        """
        # A loopback address that a proxy reports is the proxy's own, not this machine's.
        free = caller.address.is_loopback and not caller.forwarded
        connected = self._connections.get(_key(caller.address), 0)
        if not free and 0 < self._max_connections <= connected:
            raise AccessRefused("too_many_connections")
        token = presented_token(headers, query)
        if token is None:
            if trusted_local():
                return Admission(None, None, caller)
            raise AccessRefused("token_missing")
        known = self._tokens.find(token)
        if known is None:
            raise self._wrong_token(caller, now, *_not_in_book(token))
        if known.state(self._wall_clock()) not in {"active", "retiring"}:
            raise self._wrong_token(caller, now, "token_retired", known.tail)
        if known.device_class != device_class:
            raise AccessRefused("wrong_class", token_tail=known.tail)
        return Admission(known.id, known.name, caller)

    def may_fetch_tokens(
        self, caller: Caller, *, window_open: bool, trusted_local: Callable[[], bool], now: float
    ) -> None:
        """Return if the class tokens may be told; a locally trusted request never counts.

        Raises:
            AccessRefused: ``too_many_requests`` or ``tokens_closed``.
        """
        if trusted_local():
            return
        if wait := self._token_requests.hit(caller.address, now):
            raise AccessRefused("too_many_requests", retry_after=wait)
        if not window_open:
            raise AccessRefused("tokens_closed")

    def connected(self, address: IPAddress) -> None:
        """Count a connection that was admitted, until :meth:`disconnected`."""
        key = _key(address)
        self._connections[key] = self._connections.get(key, 0) + 1

    def disconnected(self, address: IPAddress) -> None:
        """Count it no more; KeyError if none is connected from ``address``."""
        key = _key(address)
        left = self._connections.pop(key) - 1
        if left:
            self._connections[key] = left

    def _wrong_token(self, caller: Caller, now: float, code: str, tail: str) -> AccessRefused:
        if wait := self._wrong_tokens.hit(caller.address, now):
            return AccessRefused("too_many_attempts", retry_after=wait, token_tail=tail)
        return AccessRefused(code, token_tail=tail)


def _not_in_book(token: bytes) -> tuple[str, str]:
    """The refusal's code and the tail for a token that no entry matches."""
    try:
        return "token_unknown", parse_token(token.decode("ascii")).tail
    except MistypedToken:
        return "token_mistyped", ""
