from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from harness import bearer, upgrade_head

from wsdev.codec import BadMessage, decode_from_device
from wsdev.codes import CloseCode
from wsdev.command_records import CommandChange
from wsdev.events import (
    BadMessageReceived,
    BinaryReceived,
    Closed,
    ClosedBy,
    MessageReceived,
    RequestReceived,
)
from wsdev.gateway_session import GatewaySession
from wsdev.journal_group import Sender, SessionKey
from wsdev.journal_interface import Journal
from wsdev.link import Link
from wsdev.protocol import ESP32CAM, MessageId
from wsdev.records import KIND_NAMES, Refusal, SessionEnd, SessionStart
from wsdev.session import SessionPolicy
from wsdev.session_record import (
    REMEMBERED_RTTS,
    UNRECORDED_BYTES,
    UNRECORDED_ROWS,
    SessionRecord,
)
from wsdev.token_format import new_token


class Notebook:
    """A journal that notes down what it is told, and has nothing on disk until it says so."""

    def __init__(self) -> None:
        self.trouble = ""
        self.is_full = False
        self.waiting = (0, 0)
        self.left_out = 0
        self.told: list[tuple[Any, ...]] = []

    def start(self, notify: Callable[..., object]) -> object:
        return self

    def start_session(self, start: SessionStart) -> SessionKey:
        self.told.append(("start", start))
        return SessionKey(start.device)

    def rename_session(self, session: SessionKey, device: str) -> None:
        self.told.append(("rename", device))

    def note_version(self, session: SessionKey, version: str | None) -> None:
        self.told.append(("version", version))

    def end_session(self, session: SessionKey, end: SessionEnd) -> None:
        self.told.append(("end", end))

    def refuse(self, refusal: Refusal) -> None: ...

    def change_command(self, change: CommandChange) -> None: ...

    def when_recorded(self, call: Callable[[], None]) -> None: ...

    def record(
        self,
        session: SessionKey,
        kind: int,
        data: bytes,
        message_id: MessageId | None,
        sender: Sender | None,
    ) -> None:
        self.told.append((KIND_NAMES[kind], data, message_id, sender))

    @property
    def end(self) -> SessionEnd:
        ((_, end),) = [told for told in self.told if told[0] == "end"]
        assert isinstance(end, SessionEnd)
        return end


class Wire(asyncio.Transport):
    """A transport that notes down what is written, and whether it is read."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self._is_read = True

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        self._is_read = False

    def resume_reading(self) -> None:
        self._is_read = True

    def is_read(self) -> bool:
        return self._is_read


START = SessionStart("c0ffee000001", "kitchen", "esp32cam", "192.0.2.7")


class Setup:
    """The record of a device that was let in at 100 s."""

    def __init__(self) -> None:
        self.journal = Notebook()
        self.wire = Wire()
        self.session = GatewaySession(SessionPolicy(), 100.0)
        self.link = Link(self.session, lambda: 100.0)
        self.link.connection_made(self.wire)
        (event,) = self.session.receive(upgrade_head("/ws/esp32cam", bearer("x")), 100.0)
        assert isinstance(event, RequestReceived)
        assert self.session.check_upgrade(event.request) is None
        self.session.accept(ESP32CAM, 100.0)
        self.link.flush()
        self.wire.writes.clear()
        journal: Journal = self.journal
        self.record = SessionRecord(journal, self.session, self.link, START, 100.0)

    def say(self, text: bytes) -> MessageId | None:
        return self.record.took_message(MessageReceived(decode_from_device(text), text))

    def say_much(self, count: int, size: int = 40) -> None:
        for _ in range(count):
            self.say(b'{"type":"log","message":"' + b"x" * (size - 27) + b'"}')


@pytest.fixture
def setup() -> Setup:
    return Setup()


def test_session_starts_with_its_record(setup: Setup) -> None:
    assert setup.journal.told == [("start", START)]
    setup.record.renamed("porch")
    assert setup.journal.told[1:] == [("rename", "porch")]


@pytest.mark.parametrize(
    ("text", "kind", "message_id"),
    [
        (b'{"type":"connect","device":"a","id":1}', "connect", None),
        (b'{"type":"connection"}', "connection", None),
        (b'{"type":"telemetry","data":{},"id":1}', "telemetry", 1),
        (b'{"type":"telemetry","data":{},"id":0}', "telemetry", 0),
        (b'{"type":"telemetry","data":{},"id":""}', "telemetry", ""),
        (b'{"type":"telemetry","data":{},"id":18446744073709551615}', "telemetry", 2**64 - 1),
        (b'{"type":"telemetry","data":{},"id":null}', "telemetry", None),
        (b'{"type":"sensor_data","id":"a"}', "sensor_data", "a"),
        (b'{"type":"heartbeat","id":1}', "heartbeat", 1),
        (b'{"type":"status","id":1}', "status", 1),
        (b'{"type":"test","id":1}', "test", 1),
        (b'{"type":"log","message":"m","id":"l-1"}', "log", "l-1"),
        (b'{"type":"ack","status":"success","id":"c-1"}', "ack", "c-1"),
        (b'{"type":"ping","id":1}', "ping", None),
        (b'{"type":"pong"}', "pong", None),
        (b'{"type":"frame","size":1}', "frame", None),
        (b'{"type":"servo_state","id":1}', "other", None),
    ],
)
def test_message_is_recorded_as_its_kind_with_its_id(
    setup: Setup, text: bytes, kind: str, message_id: MessageId | None
) -> None:
    assert setup.say(text) == message_id
    assert setup.journal.told[1:] == [(kind, text, message_id, setup.record)]


def test_bad_message_and_its_answer_are_recorded(setup: Setup) -> None:
    error = BadMessage("wrong", "do better", code="bad_json")
    setup.record.took_bad_message(BadMessageReceived(error, b"{"))
    bad, answer = setup.journal.told[1:]
    assert bad == ("bad", b"{", None, setup.record)
    assert (answer[0], answer[2], answer[3]) == ("error", None, None)
    assert json.loads(answer[1])["code"] == "bad_json"


def test_whole_picture_is_told_from_other_binary(setup: Setup) -> None:
    whole, cut = b"\xff\xd8\xff\xd9", b"\xff\xd8\xff"
    assert setup.record.took_binary(BinaryReceived(whole, None))
    assert not setup.record.took_binary(BinaryReceived(cut, None))
    assert [told[:2] for told in setup.journal.told[1:]] == [("picture", whole), ("binary", cut)]


def test_what_is_said_to_the_device_waits_for_nobody(setup: Setup) -> None:
    for _ in range(2 * UNRECORDED_ROWS):
        setup.record.sent("command", b"{}")
    assert setup.journal.told[-1] == ("command", b"{}", None, None)
    assert setup.wire.is_read()


# Acks


def test_nothing_is_acknowledged_before_it_is_on_disk(setup: Setup) -> None:
    setup.say(b'{"type":"telemetry","data":{},"id":1}')
    setup.link.flush()
    assert setup.wire.writes == []


def test_what_is_on_disk_is_acknowledged_in_order_and_in_one_write(setup: Setup) -> None:
    setup.record.recorded(3, 300, [1, "a", 2**64 - 1])
    (data,) = setup.wire.writes
    texts = [b'{"type":"ack","id":%s}' % text for text in (b"1", b'"a"', b"18446744073709551615")]
    assert data == b"".join(bytes([0x81, len(text)]) + text for text in texts)


def test_what_has_no_id_is_answered_with_nothing(setup: Setup) -> None:
    setup.record.recorded(3, 300, [])
    assert setup.wire.writes == []


def test_ack_for_a_device_that_is_gone_is_dropped(setup: Setup) -> None:
    setup.say(b'{"type":"telemetry","data":{},"id":1}')
    setup.link.connection_lost(None)
    setup.record.recorded(1, 37, [1])
    assert setup.wire.writes == []


# A device that says more than the disk takes


def test_device_with_much_unrecorded_is_not_read_until_half_is_on_disk(setup: Setup) -> None:
    setup.say_much(UNRECORDED_ROWS - 1)
    assert setup.wire.is_read()
    setup.say_much(1)
    assert not setup.wire.is_read()
    setup.record.recorded(UNRECORDED_ROWS // 2 - 1, 40 * (UNRECORDED_ROWS // 2 - 1), [])
    assert not setup.wire.is_read()
    setup.record.recorded(1, 40, [])
    assert setup.wire.is_read()


def test_device_with_many_bytes_unrecorded_is_not_read_until_half_is_on_disk(
    setup: Setup,
) -> None:
    part = UNRECORDED_BYTES // 4
    for _ in range(3):
        setup.record.took_binary(BinaryReceived(bytes(part), None))
    assert setup.wire.is_read()
    setup.record.took_binary(BinaryReceived(bytes(part), None))
    assert not setup.wire.is_read()
    setup.record.recorded(1, part, [])
    assert not setup.wire.is_read()
    setup.record.recorded(1, part, [])
    assert setup.wire.is_read()


def test_device_that_meets_a_full_journal_waits_for_its_message(setup: Setup) -> None:
    setup.journal.is_full = True
    setup.say_much(1)
    assert not setup.wire.is_read()
    setup.record.recorded(1, 40, [])
    assert setup.wire.is_read()


# The end


def test_end_tells_how_long_how_much_and_why(setup: Setup) -> None:
    for rtt in (0.5, 0.125, 0.25):
        setup.record.took_pong(rtt)
    setup.session.receive(b"\x81\x82\x00\x00\x00\x00{}", 101.0)
    setup.record.ended(Closed(1001, "going to sleep", ClosedBy.PEER), 107.5)
    end = setup.journal.end
    assert (end.code, end.reason, end.closed_by) == (1001, "going to sleep", "peer")
    assert (end.seconds, end.median_rtt) == (7.5, 0.25)
    assert (end.messages_in, end.messages_out) == (1, 1)
    assert end.bytes_in == setup.session.bytes_received > 100
    assert end.bytes_out == setup.session.bytes_sent > 100


def test_device_that_was_never_pinged_has_no_round_trip(setup: Setup) -> None:
    setup.record.ended(Closed(CloseCode.ABNORMAL, "", ClosedBy.PATH), 100.0)
    assert setup.journal.end.median_rtt is None
    assert setup.journal.end.closed_by == "path"


def test_median_is_of_the_latest_round_trips(setup: Setup) -> None:
    for _ in range(10 * REMEMBERED_RTTS):
        setup.record.took_pong(8.0)
    for number in range(REMEMBERED_RTTS):
        setup.record.took_pong(number / 64)
    setup.record.ended(Closed(1000, "", ClosedBy.HERE), 200.0)
    assert setup.journal.end.median_rtt == 0.5


def test_token_in_a_reason_is_not_recorded(setup: Setup) -> None:
    token = new_token("pico")
    setup.record.ended(Closed(1000, f"my token is {token}", ClosedBy.PEER), 200.0)
    assert setup.journal.end.reason == "my token is wsd_…"
