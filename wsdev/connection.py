"""One connection at the gateway: its request goes to the desk, then its device is served."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from wsdev.access import Admission, may_use_name
from wsdev.codec import message_type
from wsdev.codes import BROKEN_CLOSES, CloseCode, explain_close
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
from wsdev.front_desk import NOBODY, FrontDesk, LetIn, visitor_at
from wsdev.gateway_session import GatewaySession
from wsdev.hub import Hub, Member, Traffic
from wsdev.journal_interface import Journal
from wsdev.limits import Limits
from wsdev.link import Hold, Link
from wsdev.logs import is_logged, log
from wsdev.metrics import Metrics
from wsdev.protocol import CommandAck, Connect, DeviceClass, clean_name
from wsdev.protocol import Connection as OlderConnect
from wsdev.quotas import MessageBudget
from wsdev.records import storable
from wsdev.request_head import Request
from wsdev.session import SessionPolicy
from wsdev.session_record import SessionRecord, start_of
from wsdev.token_format import without_tokens
from wsdev.tokens import TokenBook

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
    journal: Journal
    metrics: Metrics
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
        "_gateway",
        "_held",
        "_paid",
        "_record",
        "_session",
        "_told_throttled",
        "link",
        "member",
        "visitor",
    )

    def __init__(self, gateway: Surroundings, session: GatewaySession, link: Link) -> None:
        self.link = link
        self.visitor = NOBODY
        self.member: Member | None = None
        self._gateway = gateway
        self._session = session
        self._admission: Admission | None = None
        self._held: list[Event] | None = None
        self._budget = MessageBudget(gateway.limits.messages_per_minute, session.last_received)
        self._record: SessionRecord | None = None
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
        ends = self.link.extra_info("peername"), self.link.extra_info("sockname")
        self.visitor = visitor_at(*ends)
        if (code := self._gateway.entered(self)) is not None:
            self._answer(self._gateway.desk.refuse(code, self.visitor))

    def link_lost(self) -> None:
        """The socket is gone."""
        self._gateway.left(self)
        if self._admission is not None:
            self._gateway.desk.doorkeeper.disconnected(self._admission.caller.address)

    def send_text(self, text: bytes) -> None:
        """Send a command to the device."""
        self._session.send_text(text)
        self.link.flush()
        if self._record is not None:
            self._record.sent("command", text)

    def last_proof(self) -> float:
        """Monotonic time of the last byte from the device."""
        return self._session.last_received

    def traffic(self) -> Traffic:
        """What went over the connection so far."""
        return self._recording().traffic()

    def round_trips(self) -> Sequence[float]:
        """Seconds of the device's latest pongs, the oldest first."""
        return self._recording().round_trips()

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
            if type(event) is MessageReceived:
                self._take_message(event)
            else:
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
            self._take_pong(event)
        elif isinstance(event, BadMessageReceived):
            self._recording().took_bad_message(event)
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
        gateway, agent = self._gateway, verdict.user_agent
        now = gateway.now()
        admission = self._admission = verdict.admission
        gateway.desk.doorkeeper.connected(admission.caller.address)
        behind_the_head = self._session.accept(verdict.device_class, now)
        self.member = Member(
            f"{verdict.device_class.name}-{self.visitor.id}",
            verdict.device_class.name,
            self.visitor.id,
            str(admission.caller.address),
            gateway.policy.wall_clock(),
            self,
            owns_name=admission.pinned_name is not None,
            token=admission.token_id,
        )
        gateway.hub.join(self.member)
        gateway.metrics.joined(verdict.device_class.name)
        via = str(self.visitor.address) if admission.caller.forwarded else None
        start = start_of(self.member, via, agent)
        self._record = SessionRecord(gateway.journal, self._session, self.link, start, now)
        self._log(
            _INFO,
            "connected",
            device_class=verdict.device_class.name,
            token=admission.token_id or "none, trusted as local",
            via=via,
            user_agent=agent,
        )
        if admission.pinned_name is not None:
            self._claim(admission.pinned_name)
        self.handle(behind_the_head)

    # The name

    def _greet(self, hello: Connect) -> None:
        assert self.member is not None
        assert self._admission is not None
        pinned = self._admission.pinned_name
        # A name is shown to everybody: no token becomes one.
        wanted = clean_name(without_tokens(hello.device)) or pinned or self.member.name
        self._log(_INFO, "hello", wants=hello.device, version=hello.version)
        self._session.grant_ping_interval(hello.ping_interval)
        version = None if hello.version is None else storable(str(hello.version), 64)
        if version != self.member.version:
            self.member.version = version
            self._recording().said_version(version)
        if not may_use_name(wanted, pinned, self._gateway.tokens.is_claimed(wanted)):
            self.link.close(
                CloseCode.NOT_ALLOWED,
                f"this token is for the name {pinned}" if pinned else _needs_own_token(wanted),
            )
        elif self._claim(wanted, greet=True):
            self._welcome()

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

    def _welcome(self) -> None:
        assert self.member is not None
        text = self._session.welcome(self.member.name, self.visitor.id)
        self._recording().sent("connection_ack", text)

    def _rename(self, name: str) -> None:
        assert self.member is not None
        if name != self.member.name:
            self._gateway.hub.rename(self.member, name)
            self._recording().renamed(name)

    def name_settled(self, name: str, *, greet: bool) -> None:
        """The gateway found a name for this device; go on where the link was held."""
        self._rename(name)
        if greet:
            self._welcome()
        held, self._held = self._held or [], None
        self.link.release(Hold.NAME)
        self.link.dispatch(held)

    # The conversation

    def _take_message(self, event: MessageReceived) -> None:
        assert self._record is not None
        message = event.message
        message_id = self._record.took_message(event)
        if type(message) is Connect or type(message) is OlderConnect:  # isinstance would be slow
            self._greet(message)
            return
        if is_logged(_INFO):
            size = len(event.text)
            self._log(_INFO, "message", type=message_type(message), id=message_id, size=size)
        if type(message) is CommandAck:
            self._take_command_ack(message)

    def _take_command_ack(self, ack: CommandAck) -> None:
        assert self.member is not None
        if self._gateway.hub.acknowledged(self.member, ack) is None:
            self._log(_INFO, "ack_of_nothing", id=ack.id, type=ack.command_type)

    def _recording(self) -> SessionRecord:
        assert self._record is not None
        return self._record

    def _take_pong(self, event: PongReceived) -> None:
        if self.member is not None:
            self.member.rtt = event.rtt
            self._recording().took_pong(event.rtt)
            self._gateway.metrics.round_trip(event.rtt)

    def _take_binary(self, event: BinaryReceived) -> None:
        whole = self._recording().took_binary(event)
        if whole and self.member is not None:
            self._gateway.hub.show(self.member, event.data)
        if is_logged(_INFO):
            announced = None if event.frame is None else event.frame.size
            self._log(_INFO, "binary", size=len(event.data), jpeg=whole, announced=announced)

    def _closed(self, event: Closed) -> None:
        if self.member is None:
            self._gateway.desk.left_early(self.visitor, self._session.bytes_received)
            return
        self._log(
            _WARNING if event.code in BROKEN_CLOSES else _INFO,
            "disconnected",
            code=event.code,
            cause=explain_close(event.code).word,
            reason=event.reason or None,
            by=event.by.value,
            messages=self._session.messages_received,
            bytes=self._session.bytes_received,
        )
        gateway, member = self._gateway, self.member
        self._recording().ended(event, gateway.now())
        gateway.metrics.left(member.device_class, event.code)
        gateway.hub.leave(member)
        self.member = None

    # The message budget

    def _pay_for_messages(self) -> None:
        """Pay for what came since the last call; in debt, the link does not read."""
        count = self._session.charged - self._paid
        if not count:
            return
        self._paid += count
        now = self._session.last_received
        wait = self._budget.pay(count, now)
        if wait:
            self.link.hold(Hold.RATE)
            self._gateway.throttle(self, now + wait)
            if not self._told_throttled:
                self._told_throttled = True
                limit = self._gateway.limits.messages_per_minute
                self._log(_WARNING, "throttled", messages_per_minute=limit)

    def budget_refilled(self) -> None:
        """Read on."""
        self.link.release(Hold.RATE)
