"""Who may come in: the peer's address, the headers and the token become a verdict with a reason.

Pure: time is passed in. A peer may repeat any header.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple, Protocol
from urllib.parse import parse_qsl

from wsdev.callers import Caller, IPAddress
from wsdev.codes import REFUSALS
from wsdev.errors import MistypedToken, PeerError
from wsdev.limits import Limits
from wsdev.quotas import RateWindow, SiteKey, site_key
from wsdev.request_head import Fields
from wsdev.token_format import parse_token


class AccessRefused(PeerError):
    """A request that is not let in.

    Args:
        code: A key of :data:`wsdev.codes.REFUSALS`, which has the status, cause and hint.
        retry_after: Seconds after which another try makes sense, if that is known.
        token_tail: The last four characters of a token, for the log. Empty for what is not one.
    """

    def __init__(self, code: str, *, retry_after: int | None = None, token_tail: str = "") -> None:
        kind = REFUSALS[code]
        super().__init__(kind.message, kind.hint, code=code)
        self.retry_after = retry_after
        self.token_tail = token_tail


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


def presented_token(fields: Fields, query: str) -> bytes | None:
    """The token of ``Authorization: Bearer`` (RFC 6750), else of ``?token=``, else None.

    Identical repeats are one: a device library repeats its header after each reconnect. The
    header wins over the query, which is the target's raw one, even when it is malformed.

    Raises:
        AccessRefused: ``token_malformed`` (not ``Bearer``, empty, or not printable ASCII; with a
            tail, if only ``Bearer`` is missing), or ``authorization_conflict`` (repeats that
            differ).
    """
    values = set(fields.get_all("Authorization")) or {
        f"Bearer {value}"
        for name, value in parse_qsl(query, keep_blank_values=True, encoding="latin-1")
        if name == "token"
    }
    if not values:
        return None
    if len(values) > 1:
        raise AccessRefused("authorization_conflict")
    value = values.pop()
    if bearer := _BEARER.fullmatch(value):
        return bearer[1].encode("ascii")
    raise AccessRefused("token_malformed", token_tail=_tail(value))


def may_use_name(name: str, pinned_name: str | None, is_claimed: bool) -> bool:
    """Whether ``name``, already cleaned, is open to whoever was admitted with ``pinned_name``.

    A name is claimed when some device token is pinned to it.
    """
    return not is_claimed if pinned_name is None else name == pinned_name


class Admission(NamedTuple):
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
        self._connections: dict[SiteKey, int] = {}
        self._max_connections = limits.connections_per_address
        self._wrong_tokens = RateWindow(limits.wrong_tokens_per_minute)
        self._token_requests = RateWindow(limits.token_requests_per_minute)

    def admit(
        self,
        device_class: str,
        caller: Caller,
        fields: Fields,
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
        connected = self._connections.get(site_key(caller.address), 0)
        if not free and 0 < self._max_connections <= connected:
            raise AccessRefused("too_many_connections")
        token = presented_token(fields, query)
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
        key = site_key(address)
        self._connections[key] = self._connections.get(key, 0) + 1

    def disconnected(self, address: IPAddress) -> None:
        """Count it no more; KeyError if none is connected from ``address``."""
        key = site_key(address)
        left = self._connections.pop(key) - 1
        if left:
            self._connections[key] = left

    def _wrong_token(self, caller: Caller, now: float, code: str, tail: str) -> AccessRefused:
        if wait := self._wrong_tokens.hit(caller.address, now):
            return AccessRefused("too_many_attempts", retry_after=wait, token_tail=tail)
        return AccessRefused(code, token_tail=tail)


def _not_in_book(token: bytes) -> tuple[str, str]:
    """The refusal's code and the tail for a token that no entry matches."""
    tail = _tail(token.decode("ascii"))
    return ("token_unknown" if tail else "token_mistyped"), tail


def _tail(text: str) -> str:
    """The last characters of a token; empty for what is none."""
    try:
        return parse_token(text).tail
    except MistypedToken:
        return ""
