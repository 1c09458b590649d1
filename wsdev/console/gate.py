"""Who may use the console.

Three ways in, and a device token is none of them:

- **Local trust**, by the very rule of the device plane: a loopback peer of our own user, a loopback
  ``Host``, no foreign ``Origin``, no forwarding header. ``--no-trust-local`` ends it.
- **An operator token** as ``Authorization: Bearer``.
- **A session cookie**, for the page, after a login with such a token.

The first and the last are sent by a browser without anybody's will, so a page of somebody else
could use them (cross-site request forgery). Against that:

- What a browser says of a request's origin has to be our own: ``Sec-Fetch-Site``, which every
  current browser sends and no page can set, is ``same-origin`` (or ``none``, typed by the user,
  for reading), and ``Origin``, if there is one, is this very host and port where anything changes.
- What changes something has to carry ``X-Wsdev: 1`` or a JSON body. Neither can cross origins
  without a preflight, and none is ever answered. This also holds for browsers without
  ``Sec-Fetch-Site``.
- The cookie is ``SameSite=Strict`` and ``HttpOnly``.

A foreign name that points here (DNS rebinding) has a foreign ``Host``, which ends local trust, and
another cookie jar.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
from collections.abc import Callable
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final

from starlette.requests import HTTPConnection, Request

from wsdev.access import AccessRefused, presented_token
from wsdev.callers import Caller, IPAddress, caller_of, local_trust_reason, parse_ip
from wsdev.codes import REFUSALS
from wsdev.console.logins import LIFETIME, Logins
from wsdev.console.problems import NotServed
from wsdev.errors import WsdevError
from wsdev.peer_owner import is_own_process
from wsdev.quotas import RateWindow
from wsdev.request_head import Fields
from wsdev.settings import ServeSettings
from wsdev.tokens import TokenBook, TokenKind, TokenRecord

COOKIE: Final = "wsdev_session"
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})

_SCHEMES: Final = ("http", "https")
_OWN_SITE: Final = frozenset({"same-origin", "none"})


class Way(enum.StrEnum):
    """How somebody came in."""

    LOCAL = "local"
    TOKEN = "token"
    SESSION = "session"


@dataclass(frozen=True, slots=True)
class Operator:
    """Somebody who may use the console.

    Attributes:
        token: The id of the token, None for local trust.
        name: Of the token, or its id; for the journal.
    """

    way: Way
    token: str | None = None
    name: str = "local"


class Gate:
    """Judges requests.

    Args:
        clock: Monotonic seconds.
        wall_clock: Unix seconds.
    """

    def __init__(
        self,
        settings: ServeSettings,
        book: TokenBook,
        logins: Logins,
        *,
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
        tls: bool,
    ) -> None:
        self.logins = logins
        self._trust_local = settings.trust_local
        self._proxies = settings.trusted_proxy
        self._book = book
        self._clock = clock
        self._wall_clock = wall_clock
        self._tls = tls
        # The prefix makes browsers keep it to this very host and to TLS (RFC 6265bis 4.1.3.2).
        self._cookie = f"__Host-{COOKIE}" if tls else COOKIE
        self._wrong = RateWindow(settings.limits().wrong_tokens_per_minute)

    async def admit(self, request: HTTPConnection) -> Operator:
        """Who it is that asks.

        Raises:
            NotServed: nobody who may: 401, 403, 400 or 429.
        """
        fields = _fields(request)
        token = _token(fields)
        if token is not None:
            record = self._good(token, request, fields)
            return Operator(Way.TOKEN, record.id, record.name or record.id)
        operator = self._session(request) or await self._local(request, fields)
        if operator is None:
            raise NotServed(
                401,
                "operator_token_missing",
                "the console needs an operator token from here",
                "make one on the gateway's host with wsdev tokens create --operator, and send it as"
                " Authorization: Bearer <token>, or log in with it at the page",
                headers={"WWW-Authenticate": "Bearer"},
            )
        self._check_site(request, fields)
        return operator

    def still_admits(self, operator: Operator) -> bool:
        """Whether somebody who came in may stay: for what lasts, asked every second."""
        return operator.token is None or self._book.is_live(operator.token)

    # Sessions

    def log_in(self, request: Request, token: str) -> tuple[Operator, str]:
        """Begin a session with an operator token; returns its cookie too.

        Raises:
            NotServed: the token is not good, or the page is not ours.
        """
        fields = _fields(request)
        self._check_site(request, fields)
        record = self._good(token.strip().encode("utf-8", "replace"), request, fields)
        cookie = self._cookie_line(self.logins.open(record.id), LIFETIME)
        return Operator(Way.SESSION, record.id, record.name or record.id), cookie

    def log_out(self, request: Request) -> str:
        """End the request's session, if it has one; returns the cookie that takes it away."""
        self._check_site(request, _fields(request))
        for session_id in self._session_ids(request):
            self.logins.close(session_id)
        return self._cookie_line("", 0)

    def _cookie_line(self, value: str, seconds: int) -> str:
        secure = "; Secure" if self._tls else ""
        return (
            f"{self._cookie}={value}; Max-Age={seconds}; Path=/; HttpOnly; SameSite=Strict{secure}"
        )

    def _session_ids(self, request: HTTPConnection) -> list[str]:
        found = []
        for line in request.headers.getlist("cookie"):
            try:
                morsel = SimpleCookie(line).get(self._cookie)
            except CookieError:
                continue
            if morsel is not None and morsel.value:
                found.append(morsel.value)
        return found

    def _session(self, request: HTTPConnection) -> Operator | None:
        for session_id in self._session_ids(request):
            login = self.logins.find(session_id)
            if login is None:
                continue
            record = self._book.record(login.token)
            if record is not None and record.is_live(self._wall_clock()):
                return Operator(Way.SESSION, record.id, record.name or record.id)
            self.logins.close(session_id)
        return None

    # Local trust

    async def _local(self, request: HTTPConnection, fields: Fields) -> Operator | None:
        peer = _peer(request)
        if (
            not self._trust_local
            or peer is None
            # With a host in the target the Host header means nothing (RFC 9112 section 3.2.2).
            or not request.scope.get("raw_path", b"/").startswith(b"/")
            or local_trust_reason(peer, fields) is not None
            or not await _is_own_user(request.scope)
        ):
            return None
        return Operator(Way.LOCAL)

    # Forgery

    @staticmethod
    def _check_site(request: HTTPConnection, fields: Fields) -> None:
        changes = request.scope["method"] not in SAFE_METHODS
        sites = fields.get_all("Sec-Fetch-Site")
        is_ours = all(site in (_OWN_SITE - {"none"} if changes else _OWN_SITE) for site in sites)
        if changes and is_ours:
            # Either scheme: a proxy may speak TLS for us. Sec-Fetch-Site tells the two apart.
            own = {f"{scheme}://{host}" for host in fields.get_all("Host") for scheme in _SCHEMES}
            is_ours = set(fields.get_all("Origin")) <= own
        if not is_ours:
            raise NotServed(
                403,
                "foreign_site",
                "a page of another site asked for this",
                "open the console itself in the browser",
            )
        if changes and not _is_deliberate(fields):
            raise NotServed(
                403,
                "forgery_guard",
                "a change needs the header X-Wsdev: 1, or a JSON body",
                "add -H 'X-Wsdev: 1'; with an operator token it is not needed",
            )

    # Tokens

    def _good(self, token: bytes, request: HTTPConnection, fields: Fields) -> TokenRecord:
        """The operator token's record. A good one counts even while its address is blocked."""
        record = self._book.find(token)
        if record is None:
            # Made a moment ago, perhaps, by the command beside us.
            with contextlib.suppress(WsdevError):
                self._book.catch_up()
            record = self._book.find(token)
        if (
            record is not None
            and record.kind is TokenKind.OPERATOR
            and record.is_live(self._wall_clock())
        ):
            return record
        caller = self._caller(request, fields)
        wait = 0 if caller is None else self._wrong.hit(caller.address, self._clock())
        if wait:
            raise NotServed(
                429,
                "too_many_attempts",
                "too many wrong tokens from this address",
                "wait a minute, then use the right token",
                headers={"Retry-After": str(wait)},
            )
        ended = record is not None and record.kind is TokenKind.OPERATOR
        raise NotServed(
            401,
            "token_retired" if ended else "operator_token_unknown",
            "this operator token has ended" if ended else "this is no operator token of the host's",
            "make one on the gateway's host: wsdev tokens create --operator",
            headers={"WWW-Authenticate": 'Bearer error="invalid_token"'},
        )

    def _caller(self, request: HTTPConnection, fields: Fields) -> Caller | None:
        peer = _peer(request)
        return None if peer is None else caller_of(peer, fields, self._proxies)


def _fields(request: HTTPConnection) -> Fields:
    return Fields(
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in request.scope["headers"]
    )


def _token(fields: Fields) -> bytes | None:
    try:
        return presented_token(fields, "")
    except AccessRefused as refused:
        status = REFUSALS[refused.code].status
        raise NotServed(status, refused.code, refused.cause, refused.hint) from None


def _peer(request: HTTPConnection) -> IPAddress | None:
    client = request.scope.get("client")
    return None if client is None else parse_ip(client[0])


def _is_deliberate(fields: Fields) -> bool:
    if fields.get_all("X-Wsdev") == ["1"]:
        return True
    types = fields.get_all("Content-Type")
    return len(types) == 1 and types[0].partition(";")[0].strip().lower() == "application/json"


async def _is_own_user(scope: Any) -> bool:
    """Whether the peer is of our user: found once for a connection, in a thread.

    The kernel's table of sockets has a row for each device.
    """
    known = scope.get("state", {}).get("connection", {})
    if "own_user" not in known:
        ends = tuple(scope["client"]), tuple(scope["server"])
        loop = asyncio.get_running_loop()
        known["own_user"] = await loop.run_in_executor(None, is_own_process, *ends)
    return bool(known["own_user"])
