"""The grammar of the wire: one conversation as a state machine, for either end.

Bytes and time in, events and bytes out: no socket, no clock, no sleep. Frames are the business of
`wire`; this module adds the contract around them: hello, keepalive, messages, acknowledgements,
closing. All times are monotonic seconds.
"""

from __future__ import annotations

import enum
import struct
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from websockets.frames import Opcode

from wsdev.codec import BadMessage, encode
from wsdev.codes import CloseCode
from wsdev.events import (
    BadMessageReceived,
    BinaryReceived,
    Closed,
    ClosedBy,
    Event,
    MessageReceived,
    PongReceived,
    TimeUp,
)
from wsdev.frames import WireFrame
from wsdev.limits import Limits
from wsdev.protocol import DEAD_AFTER, PING_AFTER, DeviceMessage, Frame, GatewayMessage, Ping
from wsdev.wire import Wire

# Plain numbers: to find the member of an enum takes longer than to compare it.
_CONT, _TEXT, _BINARY, _CLOSE, _PONG = map(
    int, (Opcode.CONT, Opcode.TEXT, Opcode.BINARY, Opcode.CLOSE, Opcode.PONG)
)

MAX_CLOSE_REASON: Final = 123
"""Bytes: a control frame holds 125, two of them the code (RFC 6455 section 5.5)."""


class State(enum.IntEnum):
    """Where a conversation stands."""

    HANDSHAKE = 0
    OPEN = 1
    CLOSING = 2  # the last word is said or heard; the transport may linger
    CLOSED = 3


TRANSITIONS: Final[dict[State, frozenset[State]]] = {
    State.HANDSHAKE: frozenset({State.OPEN, State.CLOSING, State.CLOSED}),
    State.OPEN: frozenset({State.CLOSING, State.CLOSED}),
    State.CLOSING: frozenset({State.CLOSED}),
    State.CLOSED: frozenset(),
}

# To look a member up in its enum takes longer than all else that is done with it for a message.
_OPEN: Final = State.OPEN
_TEXT_FRAME: Final = Opcode.TEXT


@dataclass(frozen=True, slots=True)
class SessionPolicy:
    """What all sessions of one program share.

    Attributes:
        ping_after: Seconds of silence before a ping.
        dead_after: Seconds of silence after which the peer is taken for dead.
        wall_clock: Unix time, for ``server_time`` only; never for a deadline.
        compression: Offer or accept permessage-deflate (RFC 7692).
    """

    limits: Limits = Limits()
    ping_after: float = PING_AFTER
    dead_after: float = DEAD_AFTER
    wall_clock: Callable[[], float] = time.time
    compression: bool = False


class Session(ABC):
    """What both ends of a conversation have in common.

    Attributes:
        state: See :data:`TRANSITIONS`.
        due: No call of :meth:`tick` before this time can have any effect.
        last_received: When the peer last gave a sign of life.
        bytes_received, messages_received, bytes_sent, messages_sent: Totals.
        charged: Messages, control frames and empty fragments: all that costs us work for next to
            no bytes of the peer's, and so counts against its budget.
        unsent: What :meth:`data_to_send` will give.
    """

    __slots__ = (
        "_announced",
        "_listening_since",
        "_may_send",
        "_more_quiet",
        "_parts",
        "_ping_count",
        "_ping_payload",
        "_ping_sent",
        "_text_parts",
        "_wire",
        "bytes_received",
        "bytes_sent",
        "charged",
        "due",
        "last_received",
        "messages_received",
        "messages_sent",
        "policy",
        "state",
        "unsent",
    )

    def __init__(self, policy: SessionPolicy, now: float) -> None:
        self.policy = policy
        self.state = State.HANDSHAKE
        self.last_received = self._listening_since = now
        self.due = now + policy.limits.handshake_timeout
        self.bytes_received = 0
        self.messages_received = 0
        self.bytes_sent = 0
        self.messages_sent = 0
        self.charged = 0
        self._wire: Wire | None = None
        self._may_send = False
        self.unsent: list[bytes] = []
        self._parts: bytearray | None = None
        self._text_parts = False
        self._announced: Frame | None = None
        self._more_quiet = 0.0  # than the policy's, before the first ping
        self._ping_sent: float | None = None
        self._ping_payload = b""
        self._ping_count = 0

    # Bytes in

    def receive(self, data: bytes, now: float) -> list[Event]:
        """Take bytes from the peer, cut anywhere; return what they mean."""
        self.last_received = now
        self.bytes_received += len(data)
        if self.state is _OPEN:
            wire = self._wire
            assert wire is not None
            return self._take_frames(wire, wire.receive(data), now)
        if self.state is State.HANDSHAKE:
            return self._receive_handshake(data, now)
        if self.state is State.CLOSING and self._wire is not None:
            self._wire.receive_close(data)
            self.unsent += self._wire.data_to_send()
        # Else: after a refusal some clients write frames as if they were in. Junk, dropped.
        return []

    def receive_eof(self, now: float) -> list[Event]:
        """The peer half-closed or the transport is lost; idempotent."""
        return self.lost(now)

    def lost(self, now: float) -> list[Event]:
        """The transport is gone; the conversation ends if it had not."""
        ended = self.state >= State.CLOSING
        self._go(State.CLOSED)
        return [] if ended else [Closed(CloseCode.ABNORMAL, "", ClosedBy.PATH)]

    # Bytes out

    def data_to_send(self) -> list[bytes]:
        """The bytes to send since the last call; ``b""`` asks for a half-close."""
        out, self.unsent = self.unsent, []
        for data in out:
            self.bytes_sent += len(data)
        return out

    def send(self, message: msgspec.Struct | dict[str, Any]) -> None:
        """Send a message as one text frame; nothing happens unless open."""
        self.send_text(encode(message))

    def send_text(self, text: bytes) -> None:
        """Send UTF-8 text as one frame; nothing happens unless open."""
        if self._may_send:
            self.messages_sent += 1
            wire = self._wire
            assert wire is not None
            self.unsent.append(wire.frame(_TEXT_FRAME, text))

    def send_binary(self, data: bytes) -> None:
        """Send a binary message as one frame; nothing happens unless open."""
        if self._may_send:
            self.messages_sent += 1
            self.unsent.append(self._frames().frame(Opcode.BINARY, data))

    def ping(self, now: float) -> None:
        """Ask for a sign of life now; the answer comes as :class:`PongReceived`."""
        if self._may_send:
            self._ping_count += 1
            self._ping_payload = struct.pack("!I", self._ping_count)[: self._ping_size()]
            self._ping_sent = now
            self.unsent.append(self._frames().frame(Opcode.PING, self._ping_payload))

    def close(self, code: int, reason: str, now: float) -> list[Event]:
        """Close with ``code`` and ``reason`` (cut to 123 bytes); nothing happens unless open."""
        if not self._may_send:
            return []
        wire = self._frames()
        reason = reason.encode()[:MAX_CLOSE_REASON].decode(errors="ignore")
        wire.close(code, reason)
        self.unsent += wire.data_to_send()
        self._start_closing(now)
        return [Closed(code, reason, ClosedBy.HERE)]

    # Time

    def tick(self, now: float, *, deaf: bool = False) -> list[Event]:
        """Let time pass: keepalive and deadlines. Sets :attr:`due` to the next useful time.

        Args:
            deaf: What the peer sends is not being read, so its silence proves nothing. It is
                pinged all the same: its answers then wait to be read.
        """
        if now < self.due:
            return []
        if self.state is State.OPEN:
            return self._keep_alive(now, deaf)
        if self.state is State.HANDSHAKE:
            return self._handshake_timed_out(now)
        self.due = float("inf")
        self._go(State.CLOSED)
        return [TimeUp()]

    def _keep_alive(self, now: float, deaf: bool) -> list[Event]:
        # Compared as sums, as `due` is: a difference can round to just before the deadline.
        dies = max(self.last_received, self._listening_since)
        dies += self.policy.dead_after + self._more_quiet
        if now >= dies and not deaf:
            reason = f"no sign of life for {now - self.last_received:.0f} s"
            return self.close(CloseCode.NO_SIGN_OF_LIFE, reason, now)
        if self._ping_sent is not None and self._ping_sent > self.last_received:
            ask = self._ping_sent + self.policy.ping_after
        else:
            ask = self.last_received + self.policy.ping_after + self._more_quiet
        if now >= ask:
            self.ping(now)
            ask = now + self.policy.ping_after
        self.due = ask if deaf else min(dies, ask)
        return []

    def listen_again(self, now: float) -> None:
        """What the peer sends is read again: its silence counts from now on."""
        self._listening_since = now

    # To be filled in by each end

    @abstractmethod
    def _receive_handshake(self, data: bytes, now: float) -> list[Event]:
        """Take bytes before the conversation is open."""

    @abstractmethod
    def _handshake_timed_out(self, now: float) -> list[Event]:
        """The peer was too slow before the conversation was open."""

    @abstractmethod
    def _decode(self, text: bytes) -> DeviceMessage | GatewayMessage:
        """The message in a text frame; raises BadMessage."""

    @abstractmethod
    def _answer_ping(self, ping: Ping) -> None:
        """Answer an application ping."""

    @abstractmethod
    def _answer_bad(self, error: BadMessage) -> None:
        """Tell the peer what was wrong with its message."""

    def _ping_size(self) -> int:
        return 4

    # Frames

    def _open(self, wire: Wire, now: float) -> None:
        """The conversation begins."""
        self._go(State.OPEN)
        self.due = now + min(self.policy.ping_after, self.policy.dead_after)
        self._wire = wire
        self._may_send = wire.is_open

    def _frames(self) -> Wire:
        assert self._wire is not None
        return self._wire

    def _take_frames(self, wire: Wire, frames: Sequence[WireFrame], now: float) -> list[Event]:
        events: list[Event] = []
        if not wire.is_silent:
            self.unsent += wire.data_to_send()
            self._may_send = wire.is_open
        for opcode, is_final, payload in frames:
            if opcode == _TEXT and is_final and payload:  # nearly always
                self._take_message(True, payload, events, now)
            else:
                self._take(opcode, is_final, payload, events, now)
            if self.state is not _OPEN:
                return events
        if wire.is_silent:
            return events
        sent = wire.close_sent_for_error
        if sent is not None:
            self._start_closing(now)
            events.append(Closed(sent.code, sent.reason, ClosedBy.HERE))
        return events

    def _take(
        self, opcode: int, is_final: bool, payload: bytes, events: list[Event], now: float
    ) -> None:
        if not payload or opcode >= _CLOSE:
            self.charged += 1
        if opcode in (_TEXT, _BINARY):
            if is_final:
                self._take_message(opcode == _TEXT, payload, events, now)
            else:
                # One growing buffer: many tiny fragments cost no more than their bytes.
                self._parts = bytearray(payload)
                self._text_parts = opcode == _TEXT
        elif opcode == _CONT:
            assert self._parts is not None  # the parser refuses a continuation of nothing
            self._parts += payload
            if is_final:
                data, self._parts = bytes(self._parts), None
                self._take_message(self._text_parts, data, events, now)
        elif opcode == _PONG:
            if self._ping_sent is not None and payload == self._ping_payload:
                events.append(PongReceived(now - self._ping_sent))
                self._ping_sent = None
        elif opcode == _CLOSE:
            close = self._frames().close_received
            assert close is not None
            self._start_closing(now)
            events.append(Closed(close.code, close.reason, ClosedBy.PEER))

    def _take_message(self, is_text: bool, data: bytes, events: list[Event], now: float) -> None:
        self.messages_received += 1
        if data:
            self.charged += 1
        if not is_text:
            events.append(BinaryReceived(data, self._announced))
            self._announced = None
            return
        if not data.isascii():
            try:
                str(data, "utf-8")
            except UnicodeDecodeError:
                events.append(self._fail(CloseCode.INVALID_DATA, "text is not UTF-8", now))
                return
        try:
            message = self._decode(data)
        except BadMessage as error:
            self._answer_bad(error)
            events.append(BadMessageReceived(error, data))
            return
        # Not isinstance: msgspec's classes are slow at that, and here is no subclass.
        if type(message) is Frame:
            self._announced = message
        elif type(message) is Ping:
            self._answer_ping(message)
        events.append(MessageReceived(message, data))

    def _fail(self, code: int, reason: str, now: float) -> Closed:
        """Fail the connection (RFC 6455 section 7.1.7)."""
        wire = self._frames()
        wire.fail(code, reason)
        self.unsent += wire.data_to_send()
        self._start_closing(now)
        return Closed(code, reason, ClosedBy.HERE)

    def _start_closing(self, now: float) -> None:
        self._go(State.CLOSING)
        self._parts = None
        self.due = now + self.policy.limits.linger

    def _go(self, state: State) -> None:
        if state is not self.state:
            assert state in TRANSITIONS[self.state], f"{self.state.name} to {state.name}"
            self.state = state
            self._may_send = False
