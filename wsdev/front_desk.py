"""Each request is judged here: answered with plain HTTP, or let in as a device."""

from __future__ import annotations

import ipaddress
import logging
import os
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, quote_plus, unquote

from wsdev import answers
from wsdev.access import AccessRefused, Admission, Doorkeeper
from wsdev.callers import Caller, IPAddress, caller_of, local_trust_reason, peer_ip
from wsdev.codes import REFUSALS
from wsdev.journal_interface import Journal
from wsdev.logs import log
from wsdev.metrics import Metrics
from wsdev.peer_owner import is_own_process
from wsdev.protocol import DEVICE_PATH_PREFIX, HEALTH_PATH, PAGE_PATH, TOKENS_PATH, DeviceClass
from wsdev.records import Refusal, storable
from wsdev.request_head import Fields, Request
from wsdev.sanitize import printable
from wsdev.settings import ServeSettings
from wsdev.token_format import without_tokens
from wsdev.tokens import TokenBook

RETRY_AFTER_DRAIN: Final = 5
"""Seconds after which a gateway that restarts should be back."""

RETRY_AFTER_STALL: Final = 10
"""Seconds after which a disk may take more again."""


MOST_ENCODED: Final = 8
"""How often a target may be percent-encoded over itself and still be shown whole."""


class Visitor(NamedTuple):
    """Who stands at the desk.

    Attributes:
        address: The socket's other end.
        peer, local: Both ends of the socket, host and port.
        id: The connection's, for the log and the refusal.
    """

    id: str
    address: IPAddress
    peer: tuple[str, int]
    local: tuple[str, int]


NO_ADDRESS: Final = ipaddress.IPv4Address(0)
NOBODY: Final = Visitor("", NO_ADDRESS, ("", 0), ("", 0))


def visitor_at(peer: Any, local: Any) -> Visitor:
    """Somebody new, by the two ends of a socket as asyncio gives them.

    A peer that reset the connection before it was accepted has no name any more.
    """
    number = os.urandom(6).hex()
    if isinstance(peer, tuple) and isinstance(local, tuple):
        return Visitor(number, peer_ip(peer[0]) or NO_ADDRESS, peer[:2], local[:2])
    return Visitor(number, NO_ADDRESS, ("", 0), ("", 0))


PORT_CHECKS: Final = {"no_request", "tls_cut"}
"""How one who only looks whether the port is open leaves: for ever, so it is no warning."""


class LetIn(NamedTuple):
    """The verdict that lets a device in."""

    device_class: DeviceClass
    admission: Admission
    user_agent: str | None


def _origin_form(target: str) -> str:
    """Path and query of a target, also of one with scheme and host (RFC 9112 section 3.2.2)."""
    scheme, mark, rest = target.partition("://")
    if mark and scheme.lower() in {"http", "https", "ws", "wss"}:
        return "/" + rest.partition("/")[2]
    return target


def redacted_target(target: str) -> str:
    """A request target fit for a log: a token in it is taken out, however it is spelled."""
    path, mark, query = target.partition("?")
    if not mark:
        return _without_encoded_tokens(path)
    pairs = parse_qsl(query, keep_blank_values=True, encoding="latin-1")
    shown = (
        # Also what only looks like it, as access_token: somebody's secret, in the wrong place.
        f"{quote_plus(key)}={'…' if key.lower().endswith('token') else quote_plus(value)}"
        for key, value in pairs
    )
    return _without_encoded_tokens(f"{path}?{'&'.join(shown)}")


def _without_encoded_tokens(text: str) -> str:
    """``text`` as it is, or decoded if only so a token shows, which is taken out."""
    plain = text
    for _ in range(MOST_ENCODED):
        before, plain = plain, unquote(plain)
        if plain == before:
            shown = without_tokens(plain)
            return text if shown == plain else shown
    return without_tokens(text.partition("%")[0]) + "…"


def user_agent(fields: Fields) -> str | None:
    """The program at the other end, as it says."""
    return ", ".join(fields.get_all("User-Agent")) or None


class FrontDesk:
    """Judges requests by the settings, the token book and the quotas.

    Attributes:
        draining: The gateway shuts down: everything but ``/healthz`` gets 503.
        trouble: Why the gateway is degraded, other than by its journal; empty when all is well.
        doorkeeper: Who counts connections and wrong tokens.
    """

    def __init__(
        self,
        settings: ServeSettings,
        tokens: TokenBook,
        journal: Journal,
        metrics: Metrics,
        *,
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
    ) -> None:
        self.draining = False
        self.trouble = ""
        self.doorkeeper = Doorkeeper(settings.limits(), tokens, wall_clock)
        self._settings = settings
        self._tokens = tokens
        self._journal = journal
        self._metrics = metrics
        self._clock = clock
        self._wall_clock = wall_clock
        self._folder = printable(str(settings.state_folder()))
        self._scheme = "wss" if settings.tls_cert else "ws"
        self._classes: Mapping[str, DeviceClass] = settings.classes()
        self._class_paths = [cls.path for cls in self._classes.values()]

    def judge(
        self, request: Request, visitor: Visitor, check_upgrade: Callable[[Request], str | None]
    ) -> bytes | LetIn:
        """The whole HTTP answer, or the way in for a device.

        Args:
            check_upgrade: Gives the refusal's code for a request that is no WebSocket upgrade.
        """
        if request.method not in {"GET", "HEAD"}:
            return self.refuse("method_not_allowed", visitor, request)
        hosts = request.fields.get_all("Host")
        if len(hosts) > 1 or (not hosts and request.protocol == "HTTP/1.1"):
            return self.refuse("no_host", visitor, request)
        caller = caller_of(visitor.address, request.fields, self._settings.trusted_proxy)
        path, _, query = _origin_form(request.target).partition("?")
        head_only = request.method == "HEAD"
        if path == HEALTH_PATH:
            return self._dated(answers.health(*self.health(), head_only=head_only))
        try:
            if self.draining:
                raise AccessRefused("draining", retry_after=RETRY_AFTER_DRAIN)
            if path.startswith(DEVICE_PATH_PREFIX):
                class_name = path.removeprefix(DEVICE_PATH_PREFIX)
                code = (
                    "unknown_class" if class_name not in self._classes else check_upgrade(request)
                )
                if code is not None:
                    raise AccessRefused(code)
                return self._admit(request, class_name, query, caller, visitor)
            if path == TOKENS_PATH:
                return self._hand_out_tokens(request, caller, visitor)
            if path == PAGE_PATH:
                return self._page(hosts, caller, visitor, head_only=head_only)
            raise AccessRefused("not_found")
        except AccessRefused as refused:
            return self.refuse(refused.code, visitor, request, caller, refused)

    def health(self) -> tuple[str, str]:
        """``ok``, ``degraded`` or ``draining``, and why; fit for anybody who asks."""
        if self.draining:
            return "draining", "the gateway is shutting down"
        if trouble := self.trouble or self._journal.trouble:
            # Anybody may ask: where the files are on this host is for its log only.
            return "degraded", trouble.replace(self._folder, "…")
        return "ok", ""

    def _hands_out_tokens(self) -> bool:
        policy = self._settings.public_tokens
        return policy == "open" or (policy == "window" and self._tokens.window_left() > 0)

    def _trusted_local(self, visitor: Visitor, request: Request) -> bool:
        return (
            self._settings.trust_local
            # With a host in the target the Host header means nothing (RFC 9112 section 3.2.2).
            and request.target.startswith("/")
            and local_trust_reason(visitor.address, request.fields) is None
            and is_own_process(visitor.peer, visitor.local)
        )

    def _admit(
        self, request: Request, class_name: str, query: str, caller: Caller, visitor: Visitor
    ) -> LetIn:
        admission = self.doorkeeper.admit(
            class_name,
            caller,
            request.fields,
            query,
            trusted_local=lambda: self._trusted_local(visitor, request),
            now=self._clock(),
        )
        if self._journal.is_full:
            raise AccessRefused("cannot_record", retry_after=RETRY_AFTER_STALL)
        return LetIn(self._classes[class_name], admission, user_agent(request.fields))

    def _hand_out_tokens(self, request: Request, caller: Caller, visitor: Visitor) -> bytes:
        self.doorkeeper.may_fetch_tokens(
            caller,
            window_open=self._hands_out_tokens(),
            trusted_local=lambda: self._trusted_local(visitor, request),
            now=self._clock(),
        )
        known = self._tokens.public_tokens()
        listed = {name: known.get(name, []) for name in self._classes}
        log(
            logging.INFO,
            "tokens_given",
            address=str(caller.address),
            user_agent=user_agent(request.fields),
        )
        head_only = request.method == "HEAD"
        return self._dated(answers.tokens(listed, self._wall_clock(), head_only=head_only))

    def _dated(self, answer: bytes) -> bytes:
        return answers.dated(answer, self._wall_clock())

    def _page(
        self, hosts: list[str], caller: Caller, visitor: Visitor, *, head_only: bool
    ) -> bytes:
        host, port = visitor.local
        own = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        page = answers.page(
            address=str(caller.address),
            base_url=f"{self._scheme}://{hosts[0] if hosts else own}",
            class_paths=self._class_paths,
            handing_out=self._hands_out_tokens(),
            head_only=head_only,
        )
        return self._dated(page)

    def left_early(self, visitor: Visitor, size: int) -> None:
        """A connection broke after ``size`` bytes, with nothing to answer yet."""
        if size:
            self.broke("head_cut", visitor, bytes=size)
        else:
            self.broke("no_request", visitor)

    def broke(self, code: str, visitor: Visitor, **details: object) -> None:
        """The lines of a connection that nothing can be answered to, in the journal and the log.

        Args:
            code: A key of :data:`wsdev.codes.BREAKS`.
            details: For the log, which leaves those out that are None.
        """
        if self.draining:
            return  # what the gateway drops when it stops is no news
        address = str(visitor.address)
        self._journal.refuse(Refusal(visitor.id, address, code, status=0))
        self._metrics.broke(code)
        level = logging.INFO if code in PORT_CHECKS else logging.WARNING
        log(level, "broken", address=address, code=code, **details, request_id=visitor.id)

    def refuse(
        self,
        code: str,
        visitor: Visitor,
        request: Request | None = None,
        caller: Caller | None = None,
        refused: AccessRefused | None = None,
    ) -> bytes:
        """The answer to a request that is refused; also its lines in the journal and the log."""
        tail = "" if refused is None else refused.token_tail
        path = None if request is None else redacted_target(request.target)
        agent = None if request is None else user_agent(request.fields)
        refusal = Refusal(
            request_id=visitor.id,
            address=str(visitor.address if caller is None else caller.address),
            code=code,
            status=REFUSALS[code].status,
            via=str(visitor.address) if caller is not None and caller.forwarded else None,
            path=None if path is None else storable(path),
            token_tail=tail or None,
            user_agent=None if agent is None else storable(agent),
        )
        self._journal.refuse(refusal)
        self._metrics.refused(code)
        log(
            logging.WARNING,
            "refused",
            address=refusal.address,
            code=code,
            status=refusal.status,
            path=path,
            token=f"…{tail}" if tail else None,
            request_id=visitor.id,
            via=refusal.via,
            user_agent=agent,
        )
        said = answers.refusal(
            code,
            visitor.id,
            class_paths=self._class_paths,
            retry_after=None if refused is None else refused.retry_after,
            head_only=request is not None and request.method == "HEAD",
        )
        return self._dated(said)
