"""One connection at the gateway: its request goes to the desk, then its device is served."""

from __future__ import annotations

import ipaddress
import logging
import secrets
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from websockets.http11 import Request

from wsdev.access import Admission, may_use_name
from wsdev.callers import parse_ip
from wsdev.codes import CloseCode
from wsdev.events import (
    BadMessageReceived,
    BinaryReceived,
    Closed,
    Event,
    HeadRejected,
    MessageReceived,
    PongReceived,
    RequestReceived,
)
from wsdev.front_desk import FrontDesk, LetIn, Visitor
from wsdev.gateway_session import GatewaySession
from wsdev.hub import Hub, Member
from wsdev.limits import Limits
from wsdev.link import Hold, Link
from wsdev.logs import is_logged, log
from wsdev.protocol import (
    CommandAck,
    Connect,
    DeviceClass,
    LegacyTelemetry,
    Log,
    Telemetry,
    clean_name,
    is_whole_jpeg,
    message_type,
)
from wsdev.session import SessionPolicy
from wsdev.tokens import TokenBook

_NO_ADDRESS: Final = ipaddress.IPv4Address(0)

KEPT: Final = (Telemetry, LegacyTelemetry, Log)
"""The messages that are acknowledged once they are kept."""

_INFO, _WARNING = logging.INFO, logging.WARNING


def _needs_own_token(name: str) -> str:
    return f"the name {name} needs its own device token"


class Surroundings(Protocol):
    """What a connection needs of the gateway around it."""

    limits: Limits
    policy: SessionPolicy
    desk: FrontDesk
    tokens: TokenBook
    hub: Hub
    now: Callable[[], float]

    def entered(self, connection: Connection, /) -> str | None:
        """Count a new socket; the code of its refusal if there are too many."""

    def left(self, connection: Connection, /) -> None:
        """A socket is gone."""

    def throttle(self, connection: Connection, until: float, /) -> None:
        """Call ``budget_refilled`` at ``until``."""

    def settle_name(self, newcomer: Connection, wanted: str, /, *, greet: bool) -> None:
        """Find out who may bear ``wanted``; ends in ``name_settled``."""


class Connection:
    """The gateway's half of a link: policy around a :class:`GatewaySession`.

    Attributes:
        link: The way to close and to hold.
        visitor: Who is at the other end; its id is the ``request_id`` of a refusal and the
            ``session`` of a welcome.
        member: The device in the hub, while it is let in.
    """

    __slots__ = (
        "_admission",
        "_budget",
        "_budget_at",
        "_gateway",
        "_held",
        "_paid",
        "_session",
        "_told_throttled",
        "link",
        "member",
        "visitor",
    )

    def __init__(self, gateway: Surroundings, session: GatewaySession, link: Link) -> None:
        self.link = link
        self.visitor = Visitor(secrets.token_hex(6), _NO_ADDRESS, ("", 0), ("", 0))
        self.member: Member | None = None
        self._gateway = gateway
        self._session = session
        self._admission: Admission | None = None
        self._held: list[Event] | None = None
        self._budget = float(gateway.limits.messages_per_minute)
        self._budget_at = session.last_received
        self._paid = 0
        self._told_throttled = False

    @property
    def token_id(self) -> str | None:
        """The token that let the device in."""
        return None if self._admission is None else self._admission.token_id

    @property
    def device_class(self) -> DeviceClass | None:
        """The device's class, once let in."""
        return self._session.device_class

    # The transport

    def link_made(self) -> None:
        """A socket came in; only its address is known yet."""
        peer = self.link.extra_info("peername")
        local = self.link.extra_info("sockname")
        # A peer that reset the connection before it was accepted has no name any more.
        if isinstance(peer, tuple) and isinstance(local, tuple):
            address = parse_ip(peer[0]) or _NO_ADDRESS
            self.visitor = Visitor(self.visitor.id, address, peer[:2], local[:2])
        code = self._gateway.entered(self)
        if code is not None:
            self._answer(self._gateway.desk.refuse(code, self.visitor))

    def link_lost(self) -> None:
        """The socket is gone."""
        self._gateway.left(self)
        if self._admission is not None:
            self._gateway.desk.doorkeeper.disconnected(self._admission.caller.address)

    def send_text(self, text: bytes) -> None:
        """Send a text message to the device."""
        self._session.send_text(text)
        self.link.flush()

    def last_proof(self) -> float:
        """Monotonic time of the last byte from the device."""
        return self._session.last_received

    def ask_for_proof(self) -> None:
        """Ping the device now, and listen even if its budget is spent: it would seem silent."""
        self.link.release(Hold.RATE)
        self._session.ping(self._gateway.now())
        self.link.flush()

    def close(self, code: int, reason: str) -> None:
        """Close the connection."""
        self.link.close(code, reason)

    # Events

    def handle(self, events: Sequence[Event]) -> None:
        """Act on what the session tells, in order; while a name is being settled, keep it."""
        for event in events:
            if self._held is not None:
                if not isinstance(event, Closed):
                    self._held.append(event)
                    continue
                held, self._held = self._held, None
                for earlier in held:
                    self._act(earlier)
            self._act(event)
            if self.member is None and self._admission is not None:
                return  # closed: what the device said after that was not heard
        if self.member is not None:
            self._pay_for_messages()

    def _act(self, event: Event) -> None:
        if isinstance(event, MessageReceived):
            self._take_message(event)
        elif isinstance(event, BinaryReceived):
            self._take_binary(event)
        elif isinstance(event, PongReceived):
            if self.member is not None:
                self.member.rtt = event.rtt
        elif isinstance(event, BadMessageReceived):
            self._log(_WARNING, "bad_message", code=event.error.code, size=len(event.text))
        elif isinstance(event, RequestReceived):
            self._take_request(event.request)
        elif isinstance(event, HeadRejected):
            self._answer(self._gateway.desk.refuse(event.code, self.visitor))
        elif isinstance(event, Closed):
            self._closed(event)

    def _log(self, level: int, event: str, **fields: object) -> None:
        member = self.member
        assert member is not None
        log(
            level,
            event,
            device=member.name,
            address=member.address,
            session=self.visitor.id,
            **fields,
        )

    # The request

    def _take_request(self, request: Request) -> None:
        verdict = self._gateway.desk.judge(request, self.visitor, self._session.check_upgrade)
        if isinstance(verdict, LetIn):
            self._let_in(verdict)
        else:
            self._answer(verdict)

    def _answer(self, response: bytes) -> None:
        self._session.answer(response, self._gateway.now())

    def _let_in(self, verdict: LetIn) -> None:
        gateway = self._gateway
        admission = self._admission = verdict.admission
        gateway.desk.doorkeeper.connected(admission.caller.address)
        behind_the_head = self._session.accept(verdict.device_class, gateway.now())
        self.member = Member(
            f"{verdict.device_class.name}-{self.visitor.id}",
            verdict.device_class.name,
            self.visitor.id,
            str(admission.caller.address),
            gateway.policy.wall_clock(),
            self,
            owns_name=admission.pinned_name is not None,
        )
        gateway.hub.join(self.member)
        self._log(
            _INFO,
            "connected",
            device_class=verdict.device_class.name,
            token=admission.token_id or "none, trusted as local",
            via=str(self.visitor.address) if admission.caller.forwarded else None,
            user_agent=verdict.user_agent,
        )
        if admission.pinned_name is not None:
            self._claim(admission.pinned_name)
        self.handle(behind_the_head)

    # The name

    def _greet(self, hello: Connect) -> None:
        assert self.member is not None
        assert self._admission is not None
        pinned = self._admission.pinned_name
        wanted = clean_name(hello.device) or pinned or self.member.name
        self._log(_INFO, "hello", wants=hello.device, version=hello.version)
        if not may_use_name(wanted, pinned, self._gateway.tokens.is_claimed(wanted)):
            self.link.close(
                CloseCode.NOT_ALLOWED,
                f"this token is for the name {pinned}" if pinned else _needs_own_token(wanted),
            )
        elif self._claim(wanted, greet=True):
            self._session.welcome(self.member.name, self.visitor.id)

    def _claim(self, wanted: str, *, greet: bool = False) -> bool:
        """Take the name if it is free; else hold this link until the gateway has settled it."""
        assert self.member is not None
        holder = self._gateway.hub.get(wanted)
        if holder is self.member:
            return True
        if holder is not None and self.member.owns_name and not holder.owns_name:
            # It came with a class token, before the name had a token of its own.
            holder.port.close(CloseCode.NOT_ALLOWED, _needs_own_token(wanted))
            holder = None
        if holder is None:
            self._rename(wanted)
            return True
        self._held = []
        self.link.hold(Hold.NAME)
        self._gateway.settle_name(self, wanted, greet=greet)
        return False

    def _rename(self, name: str) -> None:
        assert self.member is not None
        self._gateway.hub.rename(self.member, name)

    def name_settled(self, name: str, *, greet: bool) -> None:
        """The gateway found a name for this device; go on where the link was held."""
        self._rename(name)
        if greet:
            self._session.welcome(name, self.visitor.id)
        held, self._held = self._held or [], None
        self.link.release(Hold.NAME)
        self.link.dispatch(held)

    # The conversation

    def _take_message(self, event: MessageReceived) -> None:
        message = event.message
        if isinstance(message, Connect):
            self._greet(message)
            return
        message_id = message.id if isinstance(message, KEPT) else None
        if is_logged(_INFO):
            self._log(
                _INFO,
                "message",
                type=message_type(message),
                id=message_id,
                size=len(event.text),
            )
        if message_id is not None:
            self._session.ack(message_id)
        elif isinstance(message, CommandAck):
            self._take_command_ack(message)

    def _take_command_ack(self, ack: CommandAck) -> None:
        assert self.member is not None
        if self._gateway.hub.acknowledged(self.member, ack) is None:
            self._log(_INFO, "ack_of_nothing", id=ack.id, type=ack.command_type)

    def _take_binary(self, event: BinaryReceived) -> None:
        if is_logged(_INFO):
            announced = None if event.frame is None else event.frame.size
            whole = is_whole_jpeg(event.data)
            self._log(_INFO, "binary", size=len(event.data), jpeg=whole, announced=announced)

    def _closed(self, event: Closed) -> None:
        if self.member is None:
            return  # it left before it was let in
        self._log(
            _INFO,
            "disconnected",
            code=event.code,
            reason=event.reason or None,
            by=event.by.value,
            messages=self._session.messages_received,
            bytes=self._session.bytes_received,
        )
        self._gateway.hub.leave(self.member)
        self.member = None

    # The message budget

    def _pay_for_messages(self) -> None:
        """Pay for what came since the last call; in debt, the link does not read."""
        limit = self._gateway.limits.messages_per_minute
        count = self._session.charged - self._paid
        if not limit or not count:
            return
        self._paid += count
        now = self._session.last_received
        per_second = limit / 60
        refilled = self._budget + (now - self._budget_at) * per_second
        self._budget = min(float(limit), refilled) - count
        self._budget_at = now
        if self._budget < 0:
            self.link.hold(Hold.RATE)
            self._gateway.throttle(self, now + 1 - self._budget / per_second)
            if not self._told_throttled:
                self._told_throttled = True
                self._log(_WARNING, "throttled", messages_per_minute=limit)

    def budget_refilled(self) -> None:
        """Read on."""
        self.link.release(Hold.RATE)
