"""The gateway's end of a conversation: the request head, the upgrade, answers to a device."""

from __future__ import annotations

from typing import Final

from websockets.protocol import SERVER

from wsdev.codec import BadMessage, decode_from_device, encode
from wsdev.events import Event, HeadRejected, RequestReceived
from wsdev.protocol import (
    SHORTEST_PING_INTERVAL,
    Ack,
    ConnectionAck,
    DeviceClass,
    DeviceMessage,
    ErrorMessage,
    MessageId,
    Ping,
    Pong,
)
from wsdev.request_head import Request
from wsdev.session import Session, SessionPolicy, State
from wsdev.upgrade import Agreed, agree, read_request
from wsdev.wire import Wire

_TLS_HANDSHAKE_RECORD: Final = 0x16
"""First byte of a TLS ClientHello (RFC 8446 section 5.1): https:// or wss:// on a plain port."""

_METHODS: Final = (b"GET", b"HEAD")
_LONGEST_METHOD: Final = 16


def error_message(error: BadMessage) -> ErrorMessage:
    """What a device is told about a message of its that is against the contract."""
    return ErrorMessage(error.code, error.cause, error.hint)


class GatewaySession(Session):
    """One device as the gateway sees it.

    The owner answers :class:`RequestReceived` with :meth:`accept` or :meth:`answer`, greets with
    :meth:`welcome`, and calls :meth:`ack` once a message is kept. The gateway never speaks first.
    """

    __slots__ = ("_agreed", "_has_asked", "_head", "device_class")

    device_class: DeviceClass | None

    def __init__(self, policy: SessionPolicy, now: float) -> None:
        super().__init__(policy, now)
        self.device_class = None
        self._head: bytearray | None = bytearray()
        self._has_asked = False
        self._agreed: Agreed | None = None

    # The request head

    def _receive_handshake(self, data: bytes, now: float) -> list[Event]:
        head = self._head
        if head is None or not data:
            return []
        seen = max(0, len(head) - 3)
        head += data
        if self._has_asked:
            return []  # behind the head: it waits for the verdict
        end = head.find(b"\r\n\r\n", seen)
        code = self._reject_early(head, end)
        if code is not None:
            self._head = None
            return [HeadRejected(code)]
        if end < 0:
            return []
        self._head = head[end + 4 :]
        request = read_request(bytes(head[: end + 4]))
        if isinstance(request, str):
            self._head = None
            return [HeadRejected(request)]
        self._has_asked = True
        return [RequestReceived(request)]

    def _reject_early(self, head: bytearray, end: int) -> str | None:
        """The refusal that the bytes so far deserve, whole head or not."""
        limits = self.policy.limits
        if head[0] == _TLS_HANDSHAKE_RECORD:
            return "tls_on_plain_port"
        space = head.find(b" ", 0, _LONGEST_METHOD)
        if space >= 0 and head[:space].isalpha() and bytes(head[:space]) not in _METHODS:
            return "method_not_allowed"
        # Without its end, a head has at least all but the last three bytes. The same bytes get the
        # same verdict however they are cut.
        size = len(head) - 3 if end < 0 else end
        if size > limits.head_bytes or head.count(b"\n", 0, max(0, size)) > limits.head_lines:
            return "head_too_large"
        return None

    def _handshake_timed_out(self, now: float) -> list[Event]:
        self._head = None
        return [HeadRejected("head_timeout")]

    def check_upgrade(self, request: Request) -> str | None:
        """The key of codes.REFUSALS for a request that cannot become a WebSocket, else None.

        What it finds is kept for :meth:`accept`.
        """
        agreed = agree(request, compression=self.policy.compression)
        if isinstance(agreed, str):
            return agreed
        self._agreed = agreed
        return None

    def accept(self, device_class: DeviceClass, now: float) -> list[Event]:
        """Let in what :meth:`check_upgrade` passed: 101, then what came behind the head.

        The answer carries three headers and stays under 512 bytes: some clients read it into a
        small buffer and match names case by case.
        """
        agreed, rest = self._agreed, self._head
        assert agreed is not None
        self.unsent.append(agreed.answer)
        wire = Wire(SERVER, device_class.max_message, extensions=agreed.extensions)
        self._head = self._agreed = None
        self.device_class = device_class
        self._open(wire, now)
        return self._take_frames(wire, wire.receive(bytes(rest)), now) if rest else []

    def answer(self, response: bytes, now: float) -> None:
        """Answer with plain HTTP and half-close; what comes after is dropped."""
        if self.state is State.HANDSHAKE:
            self._head = self._agreed = None
            self.unsent += (response, b"")
            self._start_closing(now)

    # The conversation

    def grant_ping_interval(self, wanted: object) -> None:
        """Ping after so many seconds of silence as the device wants, within bounds.

        It counts as dead as long after the first ping as any other device does. The last hello
        counts, so one without a wish takes an earlier one back.

        Args:
            wanted: As it came; what is no number is no wish.
        """
        usual = self.policy.ping_after
        longest = self.policy.limits.longest_ping_interval
        granted = usual
        if isinstance(wanted, (int, float)) and not isinstance(wanted, bool) and longest:
            granted = max(min(SHORTEST_PING_INTERVAL, usual), float(min(wanted, longest)))
        self._more_quiet = granted - usual
        self.due = self.last_received  # to be reckoned anew

    def welcome(self, name: str, session_id: str) -> bytes:
        """Answer ``connect``: the name as given, and what the device should know.

        Returns:
            The text of the answer.
        """
        assert self.device_class is not None
        text = encode(
            ConnectionAck(
                device=name,
                session=session_id,
                server_time=self.policy.wall_clock(),
                ping_interval=self.policy.ping_after + self._more_quiet,
                max_message_bytes=self.device_class.max_message,
            )
        )
        self.send_text(text)
        return text

    def ack(self, message_id: MessageId) -> None:
        """Tell the device that its message is kept."""
        self.send_text(encode(Ack(message_id)))

    def _decode(self, text: bytes) -> DeviceMessage:
        return decode_from_device(text)

    def _answer_ping(self, ping: Ping) -> None:
        self.send(Pong(ping.timestamp, self.policy.wall_clock()))

    def _answer_bad(self, error: BadMessage) -> None:
        self.send(error_message(error))

    def _ping_size(self) -> int:
        return 4 if self.device_class is None else self.device_class.ping_payload
