from __future__ import annotations

import logging
import math
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET
from session_pair import (
    TEXT,
    UPGRADE,
    Cut,
    SessionPair,
    bytewise,
    close_payload,
    cut_at,
    cut_by,
    frames_in,
    masked,
    open_gateway,
    switching_protocols,
    take,
    told,
    unmasked,
    whole,
)

from wsdev.codec import decode_from_gateway, message_type
from wsdev.codes import CloseCode
from wsdev.device_session import DeviceSession
from wsdev.events import (
    BinaryReceived,
    Closed,
    ClosedBy,
    Event,
    MessageReceived,
    Opened,
    PongReceived,
    TimeUp,
)
from wsdev.gateway_session import GatewaySession
from wsdev.limits import Limits
from wsdev.protocol import (
    DEAD_AFTER,
    ESP32CAM,
    PICO,
    PING_AFTER,
    Ack,
    Command,
    CommandAck,
    ConnectionAck,
    DeviceClass,
    Frame,
    Heartbeat,
    Log,
    Ping,
    Pong,
    Telemetry,
    Unknown,
)
from wsdev.session import MAX_CLOSE_REASON, TRANSITIONS, Session, SessionPolicy, State

PICTURE = b"\xff\xd8 a very small picture \xff\xd9"
LINGER = Limits().linger
SENDABLE = sorted(set(CloseCode) - {CloseCode.NO_STATUS, CloseCode.ABNORMAL})


# The whole conversation


def device_speaks(pair: SessionPair) -> list[Callable[[], None]]:
    """All that a device says between hello and goodbye, one step each."""
    device = pair.device
    return [
        partial(device.hello, "kitchen", "2.0"),
        partial(device.send, Telemetry({"celsius": 21.5}, id="t-1", seq=1, uptime_ms=1234)),
        partial(device.send, Telemetry({"celsius": 21.6})),
        partial(device.send, Heartbeat({"heap": 166_000})),
        partial(device.send, Log("Grüße, 世界", "warning", id=7)),
        partial(device.send, {"type": "firmware", "note": "not in this version"}),
        partial(device.send, Ping(timestamp="12:30")),
        partial(device.send, Frame(len(PICTURE), 640, 480, timestamp=5, fps=12.5)),
        partial(device.send_binary, PICTURE),
        partial(device.send_binary, b"not announced"),
        partial(device.send_text, b'{"type":"telemetry"'),
        partial(device.send_text, b'{"type":"log","level":"info"}'),
        partial(device.ping, pair.clock()),
    ]


def gateway_speaks(pair: SessionPair) -> list[Callable[[], None]]:
    gateway = pair.gateway
    return [
        partial(gateway.ping, pair.clock()),
        partial(gateway.send, Command("c-1", "servo", {"servo1": 90})),
        partial(gateway.send, {"action": "capture_photo", "quality": 10}),
        partial(gateway.send, Ping()),
    ]


def converse(to_gateway: Cut = whole, to_device: Cut = whole) -> SessionPair:
    """From the upgrade to the goodbye, each word carried before the next is said."""
    pair = SessionPair(
        headers=[("Authorization", "Bearer x")], to_gateway=to_gateway, to_device=to_device
    )
    pair.settle()
    for step in (*device_speaks(pair), *gateway_speaks(pair)):
        step()
        pair.settle()
    pair.at_device += pair.device.close(CloseCode.GOING_AWAY, "battery", pair.clock())
    pair.settle()
    return pair


@pytest.fixture(scope="module")
def uncut() -> SessionPair:
    return converse()


def kinds(events: list[Event]) -> list[str]:
    return [
        message_type(event.message) if isinstance(event, MessageReceived) else type(event).__name__
        for event in events
    ]


def test_gateway_hears_all_that_the_device_says_in_order(uncut: SessionPair) -> None:
    assert kinds(uncut.at_gateway) == [
        "RequestReceived", "connect", "telemetry", "telemetry", "heartbeat", "log", "firmware",
        "ping", "frame", "BinaryReceived", "BinaryReceived", "BadMessageReceived",
        "BadMessageReceived", "PongReceived", "ack", "ack", "pong", "Closed",
    ]  # fmt: skip
    assert uncut.at_gateway[-1] == Closed(CloseCode.GOING_AWAY, "battery", ClosedBy.PEER)
    announced, unannounced = (e for e in uncut.at_gateway if isinstance(e, BinaryReceived))
    assert announced.data == PICTURE
    assert announced.frame is not None
    assert (announced.frame.width, announced.frame.fps) == (640, 12.5)
    assert unannounced == BinaryReceived(b"not announced", None)


def test_device_hears_each_answer_that_is_due_and_no_other(uncut: SessionPair) -> None:
    messages = [e.message for e in uncut.at_device if isinstance(e, MessageReceived)]
    assert messages[:4] == [
        ConnectionAck("kitchen", "s-1", uncut.wall_clock(), PING_AFTER, PICO.max_message),
        Ack("t-1"),
        Ack(7),
        Pong("12:30", uncut.wall_clock()),
    ]
    assert kinds(uncut.at_device) == [
        "Opened", "connection_ack", "ack", "ack", "pong", "error", "error", "PongReceived",
        "command", "", "ping", "Closed",
    ]  # fmt: skip


def test_a_command_is_answered_with_its_id_or_its_type(uncut: SessionPair) -> None:
    acks = [
        e.message
        for e in uncut.at_gateway
        if isinstance(e, MessageReceived) and isinstance(e.message, CommandAck)
    ]
    assert acks == [
        CommandAck("success", id="c-1"),
        CommandAck("success", command_type="capture_photo"),
    ]


def test_nothing_but_the_cut_is_needed_to_get_a_whole_conversation_byte_by_byte(
    uncut: SessionPair,
) -> None:
    cut = converse(bytewise, bytewise)
    assert told(cut.at_gateway) == told(uncut.at_gateway)
    assert told(cut.at_device) == told(uncut.at_device)


def test_events_are_the_same_wherever_the_bytes_to_the_gateway_are_cut(uncut: SessionPair) -> None:
    expected = told(uncut.at_gateway), told(uncut.at_device)
    for position in range(1, uncut.bytes_to_gateway):
        pair = converse(to_gateway=cut_at(position))
        assert (told(pair.at_gateway), told(pair.at_device)) == expected, position


def test_events_are_the_same_wherever_the_bytes_to_the_device_are_cut(uncut: SessionPair) -> None:
    expected = told(uncut.at_gateway), told(uncut.at_device)
    for position in range(1, uncut.bytes_to_device):
        pair = converse(to_device=cut_at(position))
        assert (told(pair.at_gateway), told(pair.at_device)) == expected, position


sizes = st.lists(st.integers(1, 300), min_size=1, max_size=8)


@given(sizes, sizes)
@settings(max_examples=40)
def test_events_are_the_same_in_any_pieces(to_gateway: list[int], to_device: list[int]) -> None:
    plain = converse()
    pair = converse(cut_by(to_gateway), cut_by(to_device))
    assert told(pair.at_gateway) == told(plain.at_gateway)
    assert told(pair.at_device) == told(plain.at_device)


@given(sizes)
@settings(max_examples=40)
def test_a_device_that_says_all_at_once_is_heard_the_same(pieces: list[int]) -> None:
    heard = []
    for cut in (whole, cut_by(pieces)):
        pair = SessionPair(to_gateway=cut)
        pair.settle()
        for step in device_speaks(pair):
            step()
        # The goodbye stands behind messages that want answers.
        pair.device.close(CloseCode.NORMAL, "", pair.clock())
        pair.settle()
        heard.append(told(pair.at_gateway))
    assert heard[0] == heard[1]
    assert heard[0][-1] == Closed(CloseCode.NORMAL, "", ClosedBy.PEER)


def test_a_compressed_conversation_says_the_same(uncut: SessionPair) -> None:
    policy = SessionPolicy(compression=True, wall_clock=uncut.wall_clock)
    for cut in (whole, bytewise):
        pair = SessionPair(policy=policy, to_gateway=cut, to_device=cut)
        pair.settle()
        for step in (*device_speaks(pair), *gateway_speaks(pair)):
            step()
            pair.settle()
        assert told(pair.at_gateway) == told(uncut.at_gateway)[:-1]
        assert told(pair.at_device) == told(uncut.at_device)[:-1]


def test_totals_count_bytes_and_messages(uncut: SessionPair) -> None:
    assert uncut.gateway.bytes_received == uncut.bytes_to_gateway
    assert uncut.device.bytes_received == uncut.bytes_to_device
    assert uncut.gateway.messages_received == 15
    assert uncut.device.messages_received == 9


def test_headers_with_their_token_never_reach_a_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        pair = SessionPair(headers=[("Authorization", "Bearer wsd_pico_canary")])
        pair.settle()
    assert pair.at_device == [Opened()]
    assert "canary" not in caplog.text


# Closing


@pytest.mark.parametrize("code", SENDABLE)
@pytest.mark.parametrize("closer", ["gateway", "device"])
def test_each_side_can_close_with_each_code(closer: str, code: CloseCode) -> None:
    pair = SessionPair()
    pair.settle()
    ends = {"gateway": (pair.gateway, pair.at_device), "device": (pair.device, pair.at_gateway)}
    session, heard_by_other = ends[closer]
    assert session.close(code, "that is why", pair.clock()) == [
        Closed(code, "that is why", ClosedBy.HERE)
    ]
    pair.settle()
    assert heard_by_other[-1] == Closed(code, "that is why", ClosedBy.PEER)
    assert (heard_by_other.count(heard_by_other[-1])) == 1
    # The gateway half-closes, and the device sees the end (RFC 6455 section 7.1.1).
    assert pair.gateway.state is State.CLOSING
    assert pair.device.state is State.CLOSED


def test_both_may_close_at_the_same_moment() -> None:
    pair = SessionPair()
    pair.settle()
    at_gateway = pair.gateway.close(CloseCode.RESTART, "", pair.clock())
    at_device = pair.device.close(CloseCode.NORMAL, "", pair.clock())
    pair.settle()
    assert at_gateway == [Closed(CloseCode.RESTART, "", ClosedBy.HERE)]
    assert at_device == [Closed(CloseCode.NORMAL, "", ClosedBy.HERE)]
    assert not any(isinstance(event, Closed) for event in pair.at_gateway + pair.at_device)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
def test_a_long_reason_is_cut_between_characters(reason: str) -> None:
    session = open_gateway()
    (closed,) = session.close(CloseCode.POLICY, reason, 0.0)
    assert isinstance(closed, Closed)
    assert reason.startswith(closed.reason)
    encoded = closed.reason.encode()
    assert len(encoded) <= MAX_CLOSE_REASON
    assert len(encoded) > MAX_CLOSE_REASON - 4 or closed.reason == reason
    assert take(session).endswith(encoded)


def test_after_the_goodbye_the_transport_lingers_and_then_time_is_up() -> None:
    session = open_gateway()
    session.close(CloseCode.NORMAL, "", 5.0)
    assert session.due == 5.0 + LINGER
    assert session.tick(4.9 + LINGER) == []
    assert session.tick(5.0 + LINGER) == [TimeUp()]
    assert session.state is State.CLOSED
    assert session.tick(1e9) == []


def test_nothing_can_be_said_after_the_goodbye() -> None:
    session = open_gateway()
    session.close(CloseCode.NORMAL, "", 0.0)
    take(session)
    say_everything(session, 0.0)
    assert session.data_to_send() == []
    assert session.close(CloseCode.POLICY, "again", 0.0) == []


def test_nothing_can_be_said_after_the_transport_is_lost() -> None:
    session = open_gateway()
    take(session)
    session.lost(0.0)
    say_everything(session, 0.0)
    assert session.data_to_send() == []
    assert session.close(CloseCode.POLICY, "", 0.0) == []


def say_everything(session: GatewaySession, now: float) -> None:
    session.ack("t-1")
    session.welcome("kitchen", "s-1")
    session.send(Pong())
    session.send_text(b"{}")
    session.send_binary(b"")
    session.ping(now)


def test_a_lost_transport_is_told_once() -> None:
    session = open_gateway()
    assert session.lost(1.0) == [Closed(CloseCode.ABNORMAL, "", ClosedBy.PATH)]
    assert session.lost(1.0) == []
    assert session.receive_eof(1.0) == []
    assert session.close(CloseCode.NORMAL, "", 1.0) == []


def test_a_transport_lost_after_the_goodbye_is_no_news() -> None:
    session = open_gateway()
    session.receive(masked(8, close_payload(1000)), 0.0)
    assert session.lost(0.5) == []
    assert session.state is State.CLOSED


def test_what_the_peer_says_after_our_goodbye_is_dropped() -> None:
    session = open_gateway()
    session.close(CloseCode.RESTART, "", 0.0)
    take(session)
    assert session.receive(masked(TEXT, b'{"type":"ping"}') * 3, 0.1) == []
    assert session.receive(b"\xff" * 50, 0.2) == []
    assert frames_in(take(session)) == []
    assert session.state is State.CLOSING


@pytest.mark.parametrize("wanting_an_answer", [b'{"type":"ping"}', b"{oops", b'{"type":"log"}'])
@pytest.mark.parametrize(
    ("last_word", "closed"),
    [
        (masked(8, close_payload(1000)), Closed(1000, "", ClosedBy.PEER)),
        (
            b"\xff\xff",
            Closed(CloseCode.PROTOCOL_ERROR, "invalid opcode", ClosedBy.HERE),
        ),
    ],
)
def test_a_message_right_before_the_last_word_is_heard(
    wanting_an_answer: bytes, last_word: bytes, closed: Closed
) -> None:
    session = open_gateway()
    events = session.receive(masked(TEXT, wanting_an_answer) + last_word, 0.0)
    assert len(events) == 2
    assert events[-1] == closed
    session.ack("harmless")
    take(session)


# Keepalive


@pytest.mark.parametrize("device_class", [PICO, ESP32CAM])
def test_silence_is_answered_with_a_ping_of_four_bytes(device_class: DeviceClass) -> None:
    session = open_gateway(device_class=device_class)
    assert session.due == PING_AFTER
    assert session.tick(PING_AFTER) == []
    assert frames_in(take(session)) == [(9, b"\x00\x00\x00\x01")]
    assert session.due == 2 * PING_AFTER
    assert session.tick(2 * PING_AFTER) == []
    assert frames_in(take(session)) == [(9, b"\x00\x00\x00\x02")]
    assert session.due == DEAD_AFTER


def test_a_class_may_want_empty_pings() -> None:
    session = open_gateway(device_class=DeviceClass("old", ping_payload=0))
    session.tick(PING_AFTER)
    assert frames_in(take(session)) == [(9, b"")]
    assert session.receive(masked(10), 20.25) == [PongReceived(0.25)]


def test_a_frozen_peer_is_dead_within_45_seconds() -> None:
    session = open_gateway()
    session.tick(20.0)
    session.tick(40.0)
    take(session)
    (closed,) = session.tick(45.0)
    assert closed == Closed(CloseCode.NO_SIGN_OF_LIFE, "no sign of life for 45 s", ClosedBy.HERE)
    assert frames_in(take(session))[0][0] == 8
    assert session.tick(45.0 + LINGER) == [TimeUp()]


def test_a_pong_gives_the_round_trip_time() -> None:
    session = open_gateway()
    session.ping(3.0)
    assert session.receive(masked(10, b"\x00\x00\x00\x01"), 3.25) == [PongReceived(0.25)]


def test_a_pong_that_nobody_asked_for_is_a_sign_of_life_and_no_more() -> None:
    session = open_gateway()
    assert session.receive(masked(10, b"hello"), 10.0) == []
    session.ping(11.0)
    assert session.receive(masked(10, b"\x00\x00\x00\x09"), 12.0) == []
    assert session.receive(masked(10, b"\x00\x00\x00\x01") * 2, 13.0) == [PongReceived(2.0)]
    assert session.last_received == 13.0


def test_the_answer_to_an_older_ping_gives_no_round_trip_time() -> None:
    session = open_gateway()
    session.ping(0.0)
    session.ping(5.0)
    assert session.receive(masked(10, b"\x00\x00\x00\x01"), 5.1) == []
    assert session.receive(masked(10, b"\x00\x00\x00\x02"), 5.25) == [PongReceived(0.25)]


@pytest.mark.parametrize("sign", [b"\x81", masked(TEXT, b"{}"), masked(10), masked(9)])
def test_any_byte_is_a_sign_of_life(sign: bytes) -> None:
    session = open_gateway()
    session.tick(20.0)
    session.tick(40.0)
    session.receive(sign, 44.0)
    take(session)
    assert session.tick(45.0) == []
    assert session.state is State.OPEN
    assert session.due <= 64.0


# An interval of the device's own


def with_interval(wanted: object, *, now: float = 0.0, **limits: float) -> GatewaySession:
    policy = SessionPolicy(Limits(**limits))  # type: ignore[arg-type]
    session = open_gateway(policy=policy)
    session.receive(masked(TEXT, b'{"type":"connect"}'), now)
    session.grant_ping_interval(wanted)
    return session


def granted(session: GatewaySession) -> float:
    welcome = decode_from_gateway(session.welcome("kitchen", "s-1"))
    assert isinstance(welcome, ConnectionAck)
    take(session)
    return welcome.ping_interval


@pytest.mark.parametrize("interval", [5, 10.0, 600])
def test_device_that_asks_for_an_interval_is_pinged_then_and_dead_25_s_later(
    interval: float,
) -> None:
    session = with_interval(interval, now=3.0)
    assert granted(session) == interval
    assert tick_when_due(session, until=3.0 + interval - 0.5) < 3.0 + interval
    assert take(session) == b""
    assert session.tick(3.0 + interval) == []
    assert frames_in(take(session)) == [(9, b"\x00\x00\x00\x01")]
    assert session.tick(3.0 + interval + PING_AFTER) == []
    assert frames_in(take(session)) == [(9, b"\x00\x00\x00\x02")]
    (closed,) = session.tick(3.0 + interval + DEAD_AFTER - PING_AFTER)
    assert isinstance(closed, Closed)
    assert closed.code == CloseCode.NO_SIGN_OF_LIFE


def test_answered_ping_is_followed_by_a_whole_interval_of_silence() -> None:
    session = with_interval(600)
    session.tick(600.0)
    take(session)
    assert session.receive(masked(10, b"\x00\x00\x00\x01"), 600.5) == [PongReceived(0.5)]
    tick_when_due(session, until=1200.0)
    assert take(session) == b""
    session.tick(1200.5)
    assert frames_in(take(session)) == [(9, b"\x00\x00\x00\x02")]


@pytest.mark.parametrize(
    ("wanted", "gets"),
    [(1, 5.0), (0, 5.0), (-3, 5.0), (1e300, 3600.0), (10**30, 3600.0), (float("inf"), 3600.0)],
)
def test_interval_out_of_bounds_becomes_the_bound(wanted: float, gets: float) -> None:
    assert granted(with_interval(wanted)) == gets


@pytest.mark.parametrize("wanted", [None, UNSET, "600", True, [600], {}])
def test_interval_that_is_no_number_is_no_wish(wanted: object) -> None:
    assert granted(with_interval(wanted)) == PING_AFTER


def test_operator_may_forbid_an_interval_of_their_own() -> None:
    assert granted(with_interval(600, longest_ping_interval=0)) == PING_AFTER
    assert granted(with_interval(600, longest_ping_interval=60)) == 60


def test_hello_without_a_wish_takes_an_earlier_one_back() -> None:
    session = with_interval(600)
    session.tick(0.0)
    session.grant_ping_interval(UNSET)
    session.tick(0.0)
    assert session.due == PING_AFTER
    assert granted(session) == PING_AFTER


def test_a_wall_clock_that_jumps_a_day_disconnects_nobody() -> None:
    pair = SessionPair()
    pair.settle()
    pair.wall_clock.now += 86_400
    pair.clock.now += 1.0
    assert pair.gateway.tick(pair.clock()) == []
    assert pair.device.tick(pair.clock()) == []
    pair.device.hello("kitchen", "1")
    pair.settle()
    (ack,) = (e.message for e in pair.at_device if isinstance(e, MessageReceived))
    assert isinstance(ack, ConnectionAck)
    assert ack.server_time == pair.wall_clock()


def test_two_ends_with_nothing_to_say_stay_together() -> None:
    pair = SessionPair()
    pair.settle()
    for _ in range(500):
        pair.clock.now = min(pair.gateway.due, pair.device.due)
        assert pair.gateway.tick(pair.clock()) == []
        assert pair.device.tick(pair.clock()) == []
        pair.settle()
    assert pair.clock() > 1000.0 + 50 * PING_AFTER
    assert pair.gateway.state is State.OPEN
    assert pair.device.state is State.OPEN


@given(st.lists(st.floats(0.001, 44.9), max_size=10), st.booleans())
def test_death_comes_on_time_to_one_who_ticks_only_when_due(gaps: list[float], asks: bool) -> None:
    session = open_gateway()
    now = 0.0
    for gap in gaps:
        now = tick_when_due(session, until=now + gap)
        session.receive(masked(10), now)
        if asks:
            session.ping(now)
    assert session.state is State.OPEN
    # One float before the deadline it lives, and asking it then makes no difference.
    assert tick_when_due(session, until=math.nextafter(now + DEAD_AFTER, 0.0)) < now + DEAD_AFTER
    (closed,) = session.tick(now + DEAD_AFTER)
    assert isinstance(closed, Closed)
    assert closed.code == CloseCode.NO_SIGN_OF_LIFE


def tick_when_due(session: Session, until: float) -> float:
    """Tick at each time that is due, and only then."""
    while session.due <= until:
        due = session.due
        assert session.tick(due) == []
        assert session.due > due, "a tick that was due has been done"
    return until


# Anything, in any order

operations = st.one_of(
    st.tuples(st.just("receive"), st.binary(max_size=40)),
    st.tuples(
        st.just("receive"),
        st.sampled_from([
            UPGRADE, masked(TEXT, b'{"type":"ping"}'), masked(TEXT, b"{"), masked(TEXT, b"\xff"),
            masked(8), masked(8, close_payload(4501)), masked(9, b"x"), unmasked(TEXT, b"{}"),
            unmasked(8, close_payload(4501)), unmasked(10, b"\x00\x00\x00\x01"), b"",
        ]),
    ),
    st.tuples(st.just("wait"), st.floats(0, 50)),
    st.tuples(
        st.sampled_from(["tick", "say", "ping", "close", "lost", "eof"]), st.just(b"")
    ),
)  # fmt: skip


class Ordeal:
    """Does anything to a session in any order, and watches that the rules hold."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.now = 0.0
        self.events: list[Event] = []
        self._plain: dict[str, Callable[[], list[Event]]] = {
            "tick": self._tick,
            "say": self._say,
            "ping": self._ping,
            "close": lambda: session.close(CloseCode.RESTART, "", self.now),
            "lost": lambda: session.lost(self.now),
            "eof": lambda: session.receive_eof(self.now),
        }

    def do(self, operation: str, argument: bytes | float) -> None:
        before = self.session.state
        self.events += self._do(operation, argument)
        after = self.session.state
        assert after is before or after in _reachable(before)

    def _do(self, operation: str, argument: bytes | float) -> list[Event]:
        session, now = self.session, self.now
        if isinstance(argument, bytes) and operation == "receive":
            return session.receive(argument, now)
        if operation == "wait":
            self.now += float(argument)
        elif operation in self._plain:
            return self._plain[operation]()
        return []

    def _say(self) -> list[Event]:
        session = self.session
        session.send_text(b"{}")
        session.send_binary(b"x")
        if isinstance(session, GatewaySession):
            session.ack(1)
        elif isinstance(session, DeviceSession):
            session.hello("kitchen", "1")
        return []

    def _ping(self) -> list[Event]:
        self.session.ping(self.now)
        return []

    def _tick(self) -> list[Event]:
        session = self.session
        early, state = self.now < session.due, session.state
        session.data_to_send()
        events = session.tick(self.now)
        if early:
            assert events == []
            assert session.data_to_send() == []
            assert session.state is state
        elif session.state is not State.HANDSHAKE:
            assert session.due > self.now, "a tick that was due has been done"
        return events

    def check(self) -> None:
        ends = [i for i, event in enumerate(self.events) if isinstance(event, Closed)]
        assert len(ends) <= 1
        if ends:
            assert all(isinstance(event, TimeUp) for event in self.events[ends[0] + 1 :])
        assert sum(isinstance(event, TimeUp) for event in self.events) <= 1


def _reachable(state: State) -> set[State]:
    found = set(TRANSITIONS[state])
    for step in TRANSITIONS[state]:
        found |= _reachable(step)
    return found


@given(st.lists(operations, max_size=25), st.booleans())
@settings(max_examples=150)
def test_no_order_of_things_breaks_the_gateways_session(
    todo: list[tuple[str, bytes | float]], opened: bool
) -> None:
    session = open_gateway() if opened else GatewaySession(SessionPolicy(), 0.0)
    ordeal = Ordeal(session)
    for operation, argument in todo:
        ordeal.do(operation, argument)
    ordeal.check()


@given(st.lists(operations, max_size=25), st.booleans())
@settings(max_examples=150)
def test_no_order_of_things_breaks_the_devices_session(
    todo: list[tuple[str, bytes | float]], opened: bool
) -> None:
    session = DeviceSession(SessionPolicy(), "ws://gateway:3000/ws/pico", PICO, (), 0.0)
    ordeal = Ordeal(session)
    if opened:
        ordeal.do("receive", switching_protocols(session))
    for operation, argument in todo:
        ordeal.do(operation, argument)
    ordeal.check()


def test_states_only_go_forward() -> None:
    assert set(TRANSITIONS) == set(State)
    assert all(after > before for before in State for after in TRANSITIONS[before])
    assert TRANSITIONS[State.CLOSED] == frozenset()


def test_an_operators_own_object_is_passed_on_as_it_is(uncut: SessionPair) -> None:
    own = [
        e.message
        for e in uncut.at_device
        if isinstance(e, MessageReceived) and isinstance(e.message, Unknown)
    ]
    assert own == [Unknown("", {"action": "capture_photo", "quality": 10})]
