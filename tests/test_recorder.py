"""From the journal's entries of a session to its recording."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from made_journal import START
from made_recording import read

from wsdev.journal_entries import Entry, GatewayEntry, MessageEntry, SessionEntry
from wsdev.protocol import ESP32CAM, PICO
from wsdev.recorder import Recorder, Tally
from wsdev.recording_format import MAX_MESSAGE, write_line

TOKEN = "wsd_pico_2peweNtEeAlrnSQHBIKlUx3ztfFA"


def connected(device_class: str = "pico", **more: Any) -> SessionEntry:
    fields: dict[str, Any] = {"via": None, "user_agent": "uP", "token": "t-1", **more}
    return SessionEntry(
        1, START, "connected", "5e55", "kitchen", device_class, "192.0.2.7", **fields
    )


def disconnected(after: float = 9, **more: Any) -> SessionEntry:
    fields: dict[str, Any] = {"close_code": 1000, "reason": "done", "closed_by": "peer", **more}
    return SessionEntry(
        99, START + round(after * 1000), "disconnected", "5e55", "kitchen", "pico", "192.0.2.7",
        None, "uP", "t-1", **fields,
    )  # fmt: skip


def message(
    event: str,
    body: str | None,
    after: float = 1,
    *,
    direction: str = "in",
    message_id: str | int | None = None,
    size: int | None = None,
    cut: bool = False,
    sha256: str | None = None,
    picture: str | None = None,
) -> MessageEntry:
    return MessageEntry(
        2, START + round(after * 1000), event, direction, "5e55", "kitchen", "pico", "192.0.2.7",
        message_id, body, len(body or "") if size is None else size, cut, sha256, picture,
    )  # fmt: skip


def recorded(
    *entries: Entry, read_picture: Callable[[str], bytes | None] = lambda _: None, **window: int
) -> tuple[list[dict[str, Any]], Tally]:
    """The lines behind the header, and the tally."""
    recorder = Recorder(read_picture, **window)
    lines = [line for entry in entries for line in recorder.take(entry)]
    text = "".join(map(write_line, [*lines, *recorder.stop()]))
    assert read(text)  # it is one that can be read
    return [json.loads(line) for line in text.splitlines()][1:], recorder.tally


def test_header_says_whose_session_it_is_and_not_where_it_was() -> None:
    (header,) = Recorder(lambda _: None).take(connected(user_agent=f"uP {TOKEN}"))
    text = write_line(header)
    assert json.loads(text) == {
        "wsrec": 1,
        "device": "kitchen",
        "class": "pico",
        "started": "2024-01-01T08:00:00.000Z",
        "session": "5e55",
        "user_agent": "uP wsd_…",
        "wsdev": "0.1.0",
    }
    assert "192.0.2" not in text
    assert "t-1" not in text


@pytest.mark.parametrize(
    "event", ["telemetry", "sensor_data", "heartbeat", "status", "test", "log"]
)
@pytest.mark.parametrize("message_id", [7, "m-7"])
def test_ack_that_the_journal_implies_is_written(event: str, message_id: str | int) -> None:
    lines, tally = recorded(connected(), message(event, "{}", message_id=message_id))
    assert lines[:2] == [
        {"t": 1.0, "dir": "in", "kind": event, "json": {}},
        {"t": 1.0, "dir": "out", "kind": "ack", "json": {"type": "ack", "id": message_id}},
    ]
    assert (tally.from_device, tally.implied) == (1, 1)


def test_pong_that_the_journal_implies_is_written_with_its_timestamp() -> None:
    lines, _ = recorded(connected(), message("ping", '{"type":"ping","timestamp":4}'))
    assert lines[1]["json"] == {"type": "pong", "timestamp": 4}


@pytest.mark.parametrize(
    "entry",
    [
        message("telemetry", "{}"),
        message("ack", '{"type":"ack","status":"success"}', message_id="c-1"),
        message("ping", '{"type":"ping","timestamp":[]}'),  # of a later version
        message("ping", '{"type":"pung"}'),
        message("other", '{"type":"new"}'),
    ],
)
def test_nothing_is_implied_by(entry: MessageEntry) -> None:
    lines, tally = recorded(connected(), entry)
    assert len(lines) == 2
    assert tally.implied == 0


def test_command_is_the_operators_and_not_waited_for() -> None:
    lines, _ = recorded(connected(), message("command", '{"type":"servo"}', direction="out"))
    assert lines[0]["expected"] is False
    assert "operator" in lines[0]["note"]


def test_message_that_is_cut_is_left_out_with_the_error_that_answers_it() -> None:
    error = '{"type":"error","code":"too_deep"}'
    lines, tally = recorded(
        connected(),
        message("bad", '{"a', size=70_000, cut=True),
        message("error", error, direction="out"),
        message("bad", "{"),
        message("error", error, direction="out"),
    )
    assert (lines[0]["cut"], lines[0]["size"]) == (True, 70_000)
    assert [line.get("expected", True) for line in lines] == [True, False, True, True, True]
    assert tally.cut == 1


def test_answer_that_is_cut_is_not_waited_for() -> None:
    lines, _ = recorded(connected(), message("error", '{"t', direction="out", size=99, cut=True))
    assert (lines[0]["expected"], lines[0]["cut"]) == (False, True)


def test_picture_that_was_kept_is_in_it() -> None:
    entry = message("picture", None, size=4, sha256="ab", picture="/a.jpg")
    lines, tally = recorded(connected(), entry, read_picture={"/a.jpg": b"\xff\xd8\xff\xd9"}.get)
    assert base64.b64decode(lines[0]["base64"]) == b"\xff\xd8\xff\xd9"
    assert (tally.kept, tally.not_kept) == (1, 0)


@pytest.mark.parametrize("data", [None, b"short"])
def test_picture_that_is_not_at_hand_is_told_in_its_line(data: bytes | None) -> None:
    entry = message("picture", None, size=400, sha256="ab", picture="/a.jpg")
    lines, tally = recorded(connected(), entry, read_picture=lambda _: data)
    assert (lines[0]["size"], lines[0]["sha256"]) == (400, "ab")
    assert "not kept" in lines[0]["note"]
    assert tally.not_kept == 1


def test_no_token_gets_into_it() -> None:
    body = json.dumps({"type": "log", "message": TOKEN})
    recorder = Recorder(lambda _: None)
    entries = [
        connected(),
        message("log", body),
        message("log", body, cut=True, size=99),
        message("error", body, direction="out"),
        message("error", body, direction="out", cut=True, size=99),
        disconnected(reason=TOKEN),
    ]
    text = "".join(write_line(line) for entry in entries for line in recorder.take(entry))
    assert text.count("wsd_…") == 5
    assert TOKEN[9:] not in text


# Time


def test_clock_that_is_set_back_does_not_turn_a_recording_around() -> None:
    lines, _ = recorded(
        connected(), message("other", "{}", 5), message("other", "{}", 2), disconnected(6)
    )
    assert [line["t"] for line in lines] == [5, 5, 6]


def test_part_of_a_session_keeps_its_hello() -> None:
    lines, tally = recorded(
        connected(),
        message("connect", '{"type":"connect"}', 0),
        message("connection_ack", '{"type":"connection_ack"}', 0, direction="out"),
        message("other", "{}", 10),
        message("other", "{}", 20),
        message("other", "{}", 30),
        disconnected(40),
        since=START + 15_000,
        until=START + 25_000,
    )
    assert [(line.get("kind"), line["t"]) for line in lines[:-1]] == [
        ("connect", 0),
        ("connection_ack", 0),
        ("other", 5),
    ]
    assert lines[-1] == {"t": 5, "end": "open"}
    assert (tally.left_out, tally.absent, tally.started) == (2, 0, START + 15_000)


# The end


def test_messages_that_the_journal_has_not_are_counted() -> None:
    _, tally = recorded(connected(), message("other", "{}"), disconnected(messages_in=4))
    assert tally.absent == 3


def test_recording_of_a_session_that_goes_on_is_open() -> None:
    lines, tally = recorded(connected(), message("other", "{}", 3))
    assert lines[-1] == {"t": 3, "end": "open"}
    assert tally.end is not None


def test_nothing_comes_behind_the_end() -> None:
    recorder = Recorder(lambda _: None)
    for entry in (connected(), disconnected()):
        assert recorder.take(entry)
    assert not recorder.take(message("other", "{}"))
    assert not recorder.stop()


def test_entries_of_others_are_passed() -> None:
    assert not Recorder(lambda _: None).take(GatewayEntry(1, START, "started", "0.1.0"))


@pytest.mark.parametrize(
    ("closed_by", "end"), [("peer", "device"), ("path", "path"), ("lost", "lost"), (None, "lost")]
)
def test_who_ended_it_is_told(closed_by: str | None, end: str) -> None:
    lines, _ = recorded(connected(), disconnected(closed_by=closed_by, close_code=1001))
    assert lines == [{"t": 9, "end": end, "code": 1001, "reason": "done"}]


WELCOME = {
    "type": "connection_ack",
    "device": "kitchen",
    "session": "5e55",
    "server_time": 1,
    "ping_interval": 20,
}


@pytest.mark.parametrize(
    ("welcome", "largest"),
    [
        (None, PICO.max_message),
        ('{"type":"connection_ack"}', PICO.max_message),
        (json.dumps({**WELCOME, "max_message_bytes": 1024}), 1024),
    ],
)
def test_message_over_the_limit_is_made_where_the_gateway_closed_for_one(
    welcome: str | None, largest: int
) -> None:
    greeting = [] if welcome is None else [message("connection_ack", welcome, direction="out")]
    closed = disconnected(closed_by="here", close_code=1009)
    lines, tally = recorded(connected(), *greeting, closed)
    assert (lines[-2]["kind"], lines[-2]["size"]) == ("binary", largest + 1)
    assert lines[-1] == {"t": 9, "end": "gateway", "code": 1009, "reason": "done"}
    assert tally.has_stand_in


def test_no_message_is_made_that_a_recording_cannot_have() -> None:
    welcome = json.dumps({**WELCOME, "max_message_bytes": MAX_MESSAGE})
    closed = disconnected(closed_by="here", close_code=1009)
    lines, _ = recorded(
        connected(ESP32CAM.name), message("connection_ack", welcome, direction="out"), closed
    )
    assert len(lines) == 2
    assert lines[-1]["expected"] is False


def test_text_that_is_no_utf8_is_made_where_the_gateway_closed_for_one() -> None:
    closed = disconnected(closed_by="here", close_code=1007, messages_in=1)
    lines, tally = recorded(connected(), closed)
    assert (lines[0]["kind"], lines[0]["base64"]) == ("text", "/w==")
    assert tally.absent == 0


@pytest.mark.parametrize("code", [1002, 1012, 4408, 4409, 4413, 4501])
def test_close_for_what_is_not_in_the_journal_is_not_waited_for(code: int) -> None:
    lines, _ = recorded(connected(), disconnected(closed_by="here", close_code=code))
    assert (lines[-1]["code"], lines[-1]["expected"]) == (code, False)


def test_close_for_a_name_that_is_not_allowed_is_waited_for() -> None:
    lines, _ = recorded(connected(), disconnected(closed_by="here", close_code=4503))
    assert "expected" not in lines[-1]
