from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Sequence
from dataclasses import replace

import pytest

from wsdev.codes import CloseCode
from wsdev.events import Closed, ClosedBy, Event, TimeUp
from wsdev.gateway_session import GatewaySession
from wsdev.limits import Limits
from wsdev.link import MANY_FRAMES, READ_SIZE, WRITE_HIGH_WATER, Hold, Link, read_buffer
from wsdev.session import SessionPolicy, State

pytestmark = pytest.mark.from_source  # its session is a class of the test's

POLICY = SessionPolicy(limits=replace(Limits(), queue_bytes=100_000, stall_timeout=10.0))


class FakeSocket:
    def __init__(self) -> None:
        self.options: list[tuple[int, int, bytes]] = []

    def setsockopt(self, level: int, option: int, value: bytes) -> None:
        self.options.append((level, option, value))


class Transport(asyncio.Transport):
    """A transport that writes down what it is told."""

    def __init__(self, *, can_half_close: bool = True) -> None:
        self.socket = FakeSocket()
        super().__init__({"peername": ("192.0.2.7", 1), "socket": self.socket})
        self.writes: list[bytes] = []
        self.calls: list[str] = []
        self.unread = 0
        self.high = 0
        self._can_half_close = can_half_close

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.high = high or 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))

    def get_write_buffer_size(self) -> int:
        return self.unread

    def can_write_eof(self) -> bool:
        return self._can_half_close

    def write_eof(self) -> None:
        self.calls.append("write_eof")

    def close(self) -> None:
        self.calls.append("close")

    def abort(self) -> None:
        self.calls.append("abort")

    def is_closing(self) -> bool:
        return "close" in self.calls or "abort" in self.calls

    def pause_reading(self) -> None:
        self.calls.append("pause")

    def resume_reading(self) -> None:
        self.calls.append("resume")


class Session(GatewaySession):
    """A session whose words and events are given by the test."""

    __slots__ = ("charges", "on_receive", "on_tick", "saw_deaf", "seen", "to_say")

    def __init__(self) -> None:
        super().__init__(POLICY, 0.0)
        self.to_say: list[bytes] = []
        self.on_receive: list[Event] = []
        self.on_tick: list[Event] = []
        self.charges = 0
        self.seen: list[bytes] = []
        self.saw_deaf: list[bool] = []

    def receive(self, data: bytes, now: float) -> list[Event]:
        self.seen.append(data)
        self.charged += self.charges
        return self.on_receive

    def tick(self, now: float, *, deaf: bool = False) -> list[Event]:
        self.saw_deaf.append(deaf)
        return self.on_tick

    def data_to_send(self) -> list[bytes]:
        said, self.to_say = self.to_say, []
        return said


class Owner:
    def __init__(self) -> None:
        self.told: list[object] = []

    def link_made(self) -> None:
        self.told.append("made")

    def handle(self, events: Sequence[Event]) -> None:
        self.told.extend(events)

    def link_lost(self) -> None:
        self.told.append("lost")


class Setup:
    """A link between a fake transport and a fake session, at a time that the test sets."""

    def __init__(self, *, can_half_close: bool = True) -> None:
        self.now = 100.0
        self.session = Session()
        self.owner = Owner()
        self.transport = Transport(can_half_close=can_half_close)
        self.link = Link(self.session, lambda: self.now)
        self.link.attach(self.owner)
        self.link.connection_made(self.transport)

    def flush(self, *words: bytes) -> None:
        self.session.to_say = list(words)
        self.link.flush()


def receive(link: Link, data: bytes) -> None:
    """Let bytes come as an event loop does."""
    link.get_buffer(-1)[: len(data)] = data
    link.buffer_updated(len(data))


@pytest.fixture
def setup() -> Setup:
    return Setup()


def test_owner_is_told_of_the_beginning_the_events_and_the_end(setup: Setup) -> None:
    closed = Closed(1000, "", ClosedBy.PEER)
    setup.session.on_receive = [closed]
    receive(setup.link, b"bytes")
    setup.link.connection_lost(None)
    assert setup.session.seen == [b"bytes"]
    assert setup.owner.told == ["made", closed, Closed(1006, "", ClosedBy.PATH), "lost"]


def test_links_can_share_the_buffer_that_they_read_into() -> None:
    buffer = read_buffer()
    assert len(buffer) == READ_SIZE
    one, other = Session(), Session()
    for session, data in ((one, b"first"), (other, b"2nd"), (one, b"3")):
        receive(Link(session, lambda: 0.0, buffer), data)
    assert (one.seen, other.seen) == ([b"first", b"3"], [b"2nd"])


def test_link_without_an_owner_holds_its_tongue() -> None:
    link = Link(Session(), lambda: 0.0)
    link.connection_made(transport := Transport())
    link.connection_lost(None)
    assert transport.writes == []
    assert link.extra_info("peername") is None


def test_words_of_one_turn_leave_in_one_write(setup: Setup) -> None:
    setup.flush(b"one")
    setup.flush(b"two", b"three")
    setup.flush()
    assert setup.transport.writes == [b"one", b"twothree"]


def test_half_close_follows_the_last_word(setup: Setup) -> None:
    setup.flush(b"last", b"")
    assert setup.transport.writes == [b"last"]
    assert setup.transport.calls == ["write_eof"]


def test_tls_closes_instead_after_the_last_word() -> None:
    setup = Setup(can_half_close=False)
    setup.flush(b"last", b"")
    assert setup.transport.writes == [b"last"]
    assert setup.transport.calls == ["close"]
    setup.flush(b"too late")
    assert setup.transport.writes == [b"last"]


def test_half_close_of_the_peer_ends_the_conversation(setup: Setup) -> None:
    setup.link.eof_received()
    assert setup.owner.told == ["made", Closed(1006, "", ClosedBy.PATH)]
    setup.link.connection_lost(None)
    assert setup.owner.told[2:] == ["lost"]


def test_transport_is_dropped_when_nothing_more_is_expected(setup: Setup) -> None:
    setup.session.on_tick = [TimeUp()]
    setup.session.due = 100.0
    setup.link.sweep(100.0)
    assert setup.transport.calls == ["abort"]


def test_sweep_is_due_for_a_deadline_or_a_stall(setup: Setup) -> None:
    setup.session.due = 200.0
    assert not setup.link.is_due(199.9)
    assert setup.link.is_due(200.0)
    setup.link.pause_writing()
    assert setup.link.is_due(100.0)
    setup.link.sweep(100.0)
    assert setup.session.saw_deaf == []


# Holding


def test_reading_goes_on_when_the_last_reason_is_gone(setup: Setup) -> None:
    setup.link.hold(Hold.RATE)
    setup.link.hold(Hold.NAME)
    setup.link.hold(Hold.RATE)
    setup.link.release(Hold.RATE)
    assert setup.transport.calls == ["pause"]
    setup.link.release(Hold.RATE)
    setup.link.release(Hold.UNREAD)
    assert setup.transport.calls == ["pause"]
    setup.link.release(Hold.NAME)
    assert setup.transport.calls == ["pause", "resume"]


def test_closing_transport_is_neither_paused_nor_resumed(setup: Setup) -> None:
    setup.transport.close()
    setup.link.hold(Hold.RATE)
    setup.link.release(Hold.RATE)
    assert setup.transport.calls == ["close"]


@pytest.mark.parametrize("why", [None, Hold.RATE, Hold.NAME, Hold.UNREAD])
def test_session_knows_when_its_peer_is_not_heard(why: Hold | None, setup: Setup) -> None:
    if why is not None:
        setup.link.hold(why)
    setup.session.due = 100.0
    setup.link.sweep(100.0)
    assert setup.session.saw_deaf == [why is not None]


async def test_others_have_a_turn_after_many_frames_in_one_read(setup: Setup) -> None:
    receive(setup.link, b"few")
    assert setup.transport.calls == []
    setup.session.charges = MANY_FRAMES + 1
    receive(setup.link, b"many")
    assert setup.transport.calls == ["pause"]
    await asyncio.sleep(0)
    assert setup.transport.calls == ["pause", "resume"]


# A peer that does not read


def test_peer_that_does_not_read_is_not_read(setup: Setup) -> None:
    assert setup.transport.high == WRITE_HIGH_WATER
    setup.link.pause_writing()
    assert setup.transport.calls == ["pause"]
    setup.link.resume_writing()
    assert setup.transport.calls == ["pause", "resume"]
    assert setup.link.stalled_since is None


def test_unread_data_over_the_limit_is_cut(setup: Setup) -> None:
    setup.session.state = State.OPEN
    setup.link.pause_writing()
    setup.transport.unread = 100_000
    setup.flush(b"x")
    assert not setup.transport.is_closing()
    setup.transport.unread = 100_001
    setup.flush(b"x")
    assert setup.transport.calls[-1] == "abort"
    (closed,) = [event for event in setup.owner.told if isinstance(event, Closed)]
    assert (closed.code, closed.by) == (CloseCode.TOO_SLOW, ClosedBy.HERE)


def test_stall_over_the_limit_is_cut(setup: Setup) -> None:
    setup.session.state = State.OPEN
    setup.session.due = 1000.0
    setup.link.pause_writing()
    setup.link.sweep(109.9)
    assert not setup.transport.is_closing()
    setup.link.sweep(110.0)
    assert setup.transport.calls[-1] == "abort"
    (closed,) = [event for event in setup.owner.told if isinstance(event, Closed)]
    assert (closed.code, closed.reason) == (4413, "nothing read for 10 s")


def test_slow_reader_is_not_cut_while_it_reads(setup: Setup) -> None:
    setup.session.state = State.OPEN
    setup.session.due = 1000.0
    setup.transport.unread = 70_000
    setup.link.pause_writing()
    for now, unread in ((109.0, 69_000), (118.0, 68_999), (127.0, 68_998)):
        setup.transport.unread = unread
        setup.link.sweep(now)
        assert not setup.transport.is_closing()
    # What we add is no sign of its reading; what it reads of that is.
    setup.flush(b"x" * 1000)
    setup.transport.unread = 69_997
    setup.link.sweep(136.0)
    setup.link.sweep(145.9)
    assert not setup.transport.is_closing()
    setup.link.sweep(146.0)
    assert setup.transport.calls[-1] == "abort"


def test_reader_that_catches_up_is_not_cut(setup: Setup) -> None:
    setup.link.pause_writing()
    setup.link.resume_writing()
    setup.now = 105.0
    setup.link.pause_writing()
    setup.session.due = 1000.0
    setup.link.sweep(112.0)
    assert not setup.transport.is_closing()


# Cutting


def test_cut_is_told_once_and_says_nothing_to_the_peer(setup: Setup) -> None:
    setup.session.state = State.OPEN
    setup.link.cut(4413, "a reason")
    setup.link.cut(4413, "a reason")
    setup.link.connection_lost(None)
    assert setup.owner.told == ["made", Closed(4413, "a reason", ClosedBy.HERE), "lost"]
    assert setup.transport.writes == []
    assert setup.transport.socket.options == []


def test_cut_before_the_conversation_is_no_news(setup: Setup) -> None:
    setup.link.cut(4413, "a reason")
    assert setup.owner.told == ["made"]
    assert setup.transport.calls == ["abort"]


def test_reset_makes_the_kernel_drop_the_connection(setup: Setup) -> None:
    setup.link.abort(reset=True)
    no_linger = struct.pack("ii", 1, 0)
    assert setup.transport.socket.options == [(socket.SOL_SOCKET, socket.SO_LINGER, no_linger)]
    assert setup.transport.calls == ["abort"]


def test_nothing_can_be_done_to_a_link_that_is_gone(setup: Setup) -> None:
    setup.link.connection_lost(None)
    setup.link.abort(reset=True)
    setup.link.hold(Hold.RATE)
    setup.link.release(Hold.RATE)
    setup.link.close(1000, "")
    setup.flush(b"x")
    assert setup.transport.calls == []
    assert setup.transport.writes == []


def test_transport_tells_of_its_peer(setup: Setup) -> None:
    assert setup.link.extra_info("peername") == ("192.0.2.7", 1)
    assert setup.link.extra_info("nothing") is None


@pytest.mark.parametrize(
    ("error", "was_reset"),
    [(ConnectionResetError(), True), (BrokenPipeError(), False), (None, False)],
)
def test_end_in_a_reset_is_told_from_other_ends(error: Exception | None, was_reset: bool) -> None:
    link = Link(GatewaySession(POLICY, 0.0), lambda: 0.0)
    link.connection_made(Transport())
    link.connection_lost(error)
    assert link.was_reset is was_reset
