"""The form of a recording: what is written is read, and what cannot be meant is told."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_recording import HEADER, OPEN, file_of, heard, made_recording, read, said

from wsdev import recording_format
from wsdev.errors import RecordingError
from wsdev.recording_format import (
    MAX_MESSAGE,
    VERSION,
    End,
    Header,
    Message,
    answer_of,
    spoken,
    write_line,
)


def fails(text: str | bytes, code: str) -> RecordingError:
    with pytest.raises(RecordingError) as caught:
        read(text)
    assert caught.value.code == code
    assert caught.value.cause.startswith("made.wsrec")
    assert caught.value.hint
    return caught.value


# What is written is read


TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text("aé\x1b"),
        lambda inner: st.lists(inner) | st.dictionaries(st.text("ab"), inner),
    ).map(json.dumps),
)


@given(TEXTS)
def test_any_text_comes_back_to_the_byte(text: str) -> None:
    line = write_line(Message(0.5, "in", "other", **spoken(text)))
    assert line[:-1].isprintable()
    (_, found), _ = read(file_of() + line + json.dumps(OPEN))[1:]
    assert isinstance(found, Message)
    assert found.data() == text.encode()


def test_compact_json_stands_in_the_file_as_json() -> None:
    assert spoken('{"a":1}') == {"json": {"a": 1}}


@pytest.mark.parametrize("text", ['{"a": 1}', '{"a":1.50}', '{"a":1,"a":2}', "{", '"\\ud800"', ""])
def test_text_that_our_codec_would_write_otherwise_stands_as_text(text: str) -> None:
    assert spoken(text) == {"text": text}


def test_lines_come_with_their_numbers_in_the_file() -> None:
    text = file_of(said(type="connect", device="kitchen")) + "\n" + json.dumps(OPEN) + "\n\n"
    assert [(number, type(meaning)) for number, meaning in read(text)] == [
        (1, Header),
        (2, Message),
        (4, End),
    ]


def test_notes_and_unknown_fields_are_passed() -> None:
    header = {**HEADER, "wiring": "new"}
    note = {"note": "here the radio broke"}
    line = {**said(type="connect"), "rssi": -60}
    found = read(file_of(note, line, {**OPEN, "mood": 1}, header=header))
    assert [number for number, _ in found] == [1, 3, 4]


def test_binary_message_is_kept_as_base64_behind_all_else() -> None:
    line = write_line(Message(0, "in", "picture", base64=b"\xff\xd8\xff\xd9", size=4))
    assert line == '{"t":0,"dir":"in","kind":"picture","size":4,"base64":"/9j/2Q=="}\n'
    (_, found), _ = read(file_of() + line + json.dumps(OPEN))[1:]
    assert isinstance(found, Message)
    assert found.is_binary
    assert found.data() == b"\xff\xd8\xff\xd9"


def test_text_that_is_no_utf8_goes_out_as_text() -> None:
    message = Message(0, "in", "text", base64=b"\xff")
    assert message.data() == b"\xff"
    assert not message.is_binary


def test_outline_counts_what_a_replay_does() -> None:
    about, _ = made_recording(
        said(type="connect", device="kitchen"),
        heard(type="connection_ack"),
        {**heard(type="command", id="c"), "expected": False},
        {"t": 1, "dir": "in", "kind": "picture", "size": 700},
        {"t": 1, "dir": "in", "kind": "other", "text": '{"a', "size": 70_000, "cut": True},
        {"t": 2, "end": "gateway", "code": 1009},
    )
    assert (about.sent, about.made, about.cut, about.answers, about.other) == (2, 1, 1, 1, 1)
    assert (about.last_sent, about.greets) == (5, True)
    assert about.end.is_asked_for


@pytest.mark.parametrize(
    "end",
    [
        OPEN,
        {"t": 1, "end": "device", "code": 1000},
        {"t": 1, "end": "gateway"},
        {"t": 1, "end": "gateway", "code": 1012, "expected": False},
    ],
)
def test_only_an_end_by_the_gateway_is_asked_for(end: dict[str, Any]) -> None:
    assert not made_recording(end)[0].end.is_asked_for


def test_answer_may_be_given_as_text() -> None:
    line = {"t": 0, "dir": "out", "kind": "ack", "text": '{"type": "ack", "id": 7}'}
    _, found = made_recording(line, OPEN)
    message = found[1].meaning
    assert isinstance(message, Message)
    assert answer_of(message) == {"type": "ack", "id": 7}


# What cannot be meant


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        "hello",
        "[]",
        "{}",
        '{"wsrec":"1"}',
        '{"wsrec":true}',
        '{"wsrec":0}',
        b"\x00\xff\xfe",
        "[" * 100_000,
        "SQLite format 3\0",
    ],
)
def test_another_file_is_no_recording(text: str | bytes) -> None:
    assert "is no recording" in fails(text, "not_a_recording").cause


def test_newer_version_is_refused_whatever_else_it_has() -> None:
    error = fails(json.dumps({"wsrec": VERSION + 1, "device": {"all": "new"}}), "newer")
    assert str(VERSION + 1) in error.cause
    assert "update" in error.hint


def test_recording_without_its_end_was_cut() -> None:
    text = file_of(said(type="connect"))
    assert "after line 2" in fails(text, "cut").cause


def test_line_cut_in_its_middle_is_told_with_its_number() -> None:
    assert "line 2" in fails(file_of(said(type="connect"))[:-9], "bad_line").cause


@pytest.mark.parametrize(
    "line",
    [
        {"t": 0},
        {"dir": "in", "kind": "connect", "json": {}},
        {"t": -1, "dir": "in", "kind": "connect", "json": {}},
        {"t": 1e300, "dir": "in", "kind": "connect", "json": {}},
        {"t": "0", "dir": "in", "kind": "connect", "json": {}},
        {"t": 0, "dir": "up", "kind": "connect", "json": {}},
        {"t": 0, "dir": "in", "kind": "connect"},
        {"t": 0, "dir": "in", "kind": "connect", "json": {}, "text": "{}"},
        {"t": 0, "dir": "in", "kind": "connect", "size": 7},
        {"t": 0, "dir": "in", "kind": "picture", "size": -1},
        {"t": 0, "dir": "in", "kind": "picture", "size": MAX_MESSAGE + 1},
        {"t": 0, "dir": "in", "kind": "picture", "base64": "no base64!"},
        {"t": 0, "dir": "out", "kind": "ack"},
        {"t": 0, "dir": "out", "kind": "ack", "text": "not JSON"},
        {"t": 0, "dir": "out", "kind": "ack", "json": [7]},
        {"t": -1, "end": "open"},
        {"t": 0, "end": "nobody"},
    ],
)
def test_line_that_cannot_be_meant_is_told_with_its_number(line: dict[str, Any]) -> None:
    assert "line 3" in fails(file_of({"note": "x"}, line, OPEN), "bad_line").cause


@pytest.mark.parametrize("line", ["[]", "7", "{", "nonsense", "[" * 100_000])
def test_line_that_is_no_object_is_told_with_its_number(line: str) -> None:
    assert "line 2" in fails(file_of() + line + "\n", "bad_line").cause


def test_lines_behind_the_end_are_a_merge_gone_wrong() -> None:
    assert "line 3" in fails(file_of(OPEN, said(type="connect"), OPEN), "bad_line").cause


def test_class_that_cannot_be_one_is_told() -> None:
    fails(file_of(OPEN, header={**HEADER, "class": "../etc"}), "bad_line")


def test_line_without_end_is_not_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording_format, "MAX_LINE", 200)
    fails(file_of(said(type="connect", device="x" * 300)), "line_too_long")
    fails("x" * 300, "not_a_recording")


def test_what_a_file_says_is_printable_in_an_error() -> None:
    error = fails(file_of({"t": 0, "dir": "\x1b]0;x\x07", "kind": "a"}), "bad_line")
    assert error.cause.isprintable()


# The contract


PAGE = (Path(__file__).parents[1] / "docs/recordings.md").read_text("utf-8")


def test_page_lists_all_fields_of_each_line() -> None:
    _, header, message, end = re.split(r"^\| field \| meaning \|$", PAGE, flags=re.MULTILINE)
    for table, kind in ((header, Header), (message, Message), (end, End)):
        rows = re.findall(r"^\| (`.*?) \| ", table, re.MULTILINE)
        listed = re.findall(r"`(\w+)`", " ".join(rows))
        assert sorted(listed) == sorted(f.encode_name for f in msgspec.structs.fields(kind))


def test_example_of_the_page_is_a_recording() -> None:
    (example,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert len(read(example)) == 4
    assert f"version of the form: {VERSION}" in PAGE
