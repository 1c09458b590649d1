"""A device and a gateway joined in memory: no socket, no sleep, the bytes cut anywhere.

The idea is h11's ConnectionPair. Here are also the raw bytes of clients that are not ours.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from itertools import cycle, pairwise
from typing import NamedTuple

from websockets.utils import accept_key

from wsdev import answers
from wsdev.device_session import DeviceSession
from wsdev.events import BadMessageReceived, Event, HeadRejected, MessageReceived, RequestReceived
from wsdev.gateway_session import GatewaySession
from wsdev.protocol import PICO, Command, Connect, DeviceClass, Log, Telemetry, Unknown
from wsdev.session import Session, SessionPolicy

# Ways to cut a stream


Cut = Callable[[bytes, int], list[bytes]]
"""Takes bytes and their offset in the stream; gives them back in pieces."""


def whole(data: bytes, _offset: int) -> list[bytes]:
    """As they came."""
    return [data]


def bytewise(data: bytes, _offset: int) -> list[bytes]:
    """One byte at a time, as a MicroPython client over a bad Wi-Fi may seem to send."""
    return [data[i : i + 1] for i in range(len(data))]


def cut_at(*positions: int) -> Cut:
    """Cut at these offsets of the stream."""

    def cut(data: bytes, offset: int) -> list[bytes]:
        inside = sorted({p - offset for p in positions if 0 < p - offset < len(data)})
        return [data[a:b] for a, b in pairwise([0, *inside, len(data)])]

    return cut


def cut_by(sizes: Sequence[int]) -> Cut:
    """Pieces of these sizes, over and over."""

    def cut(data: bytes, _offset: int) -> list[bytes]:
        pieces, start, size = [], 0, cycle(sizes)
        while start < len(data):
            end = start + next(size)
            pieces.append(data[start:end])
            start = end
        return pieces

    return cut


# What was told


def told(events: Sequence[Event]) -> list[object]:
    """Events in a form that compares: errors by their fields, requests without random keys."""
    return [_comparable(event) for event in events]


def _comparable(event: Event) -> object:
    if isinstance(event, RequestReceived):
        return ("request", event.request.method, event.request.target)
    if isinstance(event, BadMessageReceived):
        return ("bad", event.error.code, event.error.cause, event.error.hint, event.text)
    return event


# The pair


class FakeClock:
    """Time that stands still until it is told otherwise."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class SessionPair:
    """Both ends of a conversation, each with an owner that does the least that is needed.

    The gateway's owner lets in what :meth:`GatewaySession.check_upgrade` lets pass, greets with the
    name ``kitchen`` and acknowledges at once; the device's owner carries out each command.
    """

    def __init__(
        self,
        *,
        device_class: DeviceClass = PICO,
        policy: SessionPolicy | None = None,
        headers: Sequence[tuple[str, str]] = (),
        to_gateway: Cut = whole,
        to_device: Cut = whole,
    ) -> None:
        self.clock = FakeClock(1000.0)
        self.wall_clock = FakeClock(1_800_000_000.0)
        policy = policy or SessionPolicy(wall_clock=self.wall_clock)
        self.gateway = GatewaySession(policy, self.clock())
        self.device = DeviceSession(
            policy, f"ws://gateway:3000{device_class.path}", device_class, headers, self.clock()
        )
        self.device_class = device_class
        self.at_gateway: list[Event] = []
        self.at_device: list[Event] = []
        self.bytes_to_gateway = 0
        self.bytes_to_device = 0
        self._cut_to_gateway = to_gateway
        self._cut_to_device = to_device

    def settle(self) -> None:
        """Carry bytes both ways until both ends are silent."""
        while self.carry_to_gateway() or self.carry_to_device():
            pass

    def carry_to_gateway(self) -> bool:
        """Carry what the device wants to say; whether that was anything."""
        data, eof = _outgoing(self.device)
        for piece in self._cut_to_gateway(data, self.bytes_to_gateway) if data else ():
            self._gateway_owner(self.gateway.receive(piece, self.clock()))
        self.bytes_to_gateway += len(data)
        if eof:
            self._gateway_owner(self.gateway.receive_eof(self.clock()))
        return bool(data) or eof

    def carry_to_device(self) -> bool:
        """Carry what the gateway wants to say; whether that was anything."""
        data, eof = _outgoing(self.gateway)
        for piece in self._cut_to_device(data, self.bytes_to_device) if data else ():
            self._device_owner(self.device.receive(piece, self.clock()))
        self.bytes_to_device += len(data)
        if eof:
            self._device_owner(self.device.receive_eof(self.clock()))
        return bool(data) or eof

    def _gateway_owner(self, events: Sequence[Event]) -> None:
        for event in events:
            self.at_gateway.append(event)
            if isinstance(event, RequestReceived):
                self._gateway_owner(verdict(self.gateway, event, self.device_class, self.clock()))
            elif isinstance(event, HeadRejected):
                self.gateway.answer(answers.refusal(event.code, "r-1"), self.clock())
            elif isinstance(event, MessageReceived):
                message = event.message
                if isinstance(message, Connect):
                    self.gateway.welcome("kitchen", "s-1")
                elif isinstance(message, Telemetry | Log) and message.id is not None:
                    self.gateway.ack(message.id)

    def _device_owner(self, events: Sequence[Event]) -> None:
        for event in events:
            self.at_device.append(event)
            if isinstance(event, MessageReceived):
                message = event.message
                if isinstance(message, Command):
                    self.device.acknowledge(command_id=message.id, command_type=None)
                elif isinstance(message, Unknown) and "action" in message.body:
                    self.device.acknowledge(command_id=None, command_type=message.body["action"])


def _outgoing(session: Session) -> tuple[bytes, bool]:
    """The bytes that a session wants to send, and whether it half-closes behind them."""
    out = session.data_to_send()
    assert b"" not in out[:-1], "bytes after a half-close"
    return b"".join(out), bool(out) and out[-1] == b""


def verdict(
    gateway: GatewaySession, event: RequestReceived, device_class: DeviceClass, now: float
) -> list[Event]:
    """Answer a request as the protocol alone demands."""
    code = gateway.check_upgrade(event.request)
    if code is None:
        return gateway.accept(device_class, now)
    gateway.answer(answers.refusal(code, "r-1"), now)
    return []


# Raw bytes, as clients send them that are not ours


UPGRADE_LINES = (
    "GET /ws/pico HTTP/1.1",
    "Host: 192.168.4.1:3000",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
)
"""With the sample key of RFC 6455 section 1.3."""


def head(*lines: str) -> bytes:
    """A request head of these lines."""
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode("latin-1")


UPGRADE = head(*UPGRADE_LINES)

TEXT, BINARY, CONT, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10


def masked(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    mask: bytes = b"\x00\x00\x00\x00",
    length_size: int | None = None,
    declared: int | None = None,
) -> bytes:
    """A client's frame (RFC 6455 section 5.2), correct or not.

    Args:
        rsv: The three reserved bits, 4 for RSV1.
        length_size: Bytes of extended length, 0, 2 or 8; the shortest form if not given.
        declared: A length that is not the payload's.
    """
    length = len(payload) if declared is None else declared
    if length_size is None:
        length_size = 0 if length < 126 else 2 if length < 65536 else 8
    short, extended = {
        0: (length, b""),
        2: (126, struct.pack("!H", length & 0xFFFF)),
        8: (127, struct.pack("!Q", length)),
    }[length_size]
    body = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload)) if any(mask) else payload
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    return bytes([first, 0x80 | (short & 0x7F)]) + extended + mask + body


def close_payload(code: int, reason: str = "") -> bytes:
    """What a close frame carries."""
    return struct.pack("!H", code) + reason.encode()


def unmasked(opcode: int, payload: bytes = b"") -> bytes:
    """A gateway's frame of less than 64 KiB."""
    if len(payload) < 126:
        return bytes([0x80 | opcode, len(payload)]) + payload
    return bytes([0x80 | opcode, 126]) + struct.pack("!H", len(payload)) + payload


def frames_in(data: bytes) -> list[tuple[int, bytes]]:
    """Opcode and payload of the whole, final, unmasked frames that a gateway sent."""
    found = []
    while data:
        assert data[0] & 0xF0 == 0x80, "not a final frame, or reserved bits"
        assert data[1] < 127, "masked, or over 64 KiB"
        start = 4 if data[1] == 126 else 2
        length = struct.unpack("!H", data[2:4])[0] if start == 4 else data[1]
        found.append((data[0] & 0x0F, data[start : start + length]))
        data = data[start + length :]
    return found


class Heard(NamedTuple):
    """What a gateway made of raw bytes."""

    session: GatewaySession
    events: list[Event]
    answer: bytes
    half_closed: bool


def gateway_hears(
    data: bytes,
    cut: Cut = whole,
    *,
    device_class: DeviceClass = PICO,
    policy: SessionPolicy | None = None,
) -> Heard:
    """Give a new gateway session these bytes; what can be upgraded is let in."""
    policy = policy or SessionPolicy(wall_clock=lambda: 0.0)
    session = GatewaySession(policy, 0.0)
    told_so_far: list[Event] = []
    for piece in cut(data, 0):
        events = session.receive(piece, 0.0)
        for event in events:
            told_so_far.append(event)
            if isinstance(event, RequestReceived):
                told_so_far += verdict(session, event, device_class, 0.0)
            elif isinstance(event, HeadRejected):
                session.answer(answers.refusal(event.code, "r-1"), 0.0)
    answer, half_closed = _outgoing(session)
    return Heard(session, told_so_far, answer, half_closed)


def open_gateway(
    *, device_class: DeviceClass = PICO, policy: SessionPolicy | None = None
) -> GatewaySession:
    """A gateway session that a device with the sample key was let into at time 0."""
    heard = gateway_hears(UPGRADE, device_class=device_class, policy=policy)
    return heard.session


def switching_protocols(device: DeviceSession) -> bytes:
    """Take the device's upgrade request; the 101 that answers it."""
    request, _ = _outgoing(device)
    key = request.partition(b"Sec-WebSocket-Key: ")[2].partition(b"\r\n")[0].decode()
    return head(
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {accept_key(key)}",
    )


def take(session: Session) -> bytes:
    """The bytes that a session wants to send now, a half-close left out."""
    return _outgoing(session)[0]
