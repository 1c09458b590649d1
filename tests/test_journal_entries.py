"""The entries of the journal as documents: names, times, escapes, what a search sees."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsdev.codes import BREAKS, REFUSALS
from wsdev.journal_entries import (
    ENTRY_TYPES,
    FIELDS,
    KINDS,
    CommandEntry,
    GatewayEntry,
    MessageEntry,
    RefusalEntry,
    SessionEntry,
    document,
    entry_of,
    iso,
    json_line,
    texts,
)

START = SessionEntry(
    1, 1_800_000_000_007, "connected", "5e55", "kitchen", "pico", "192.0.2.7", None, "uP", "t-1"
)
END = SessionEntry(
    2, 0, "disconnected", "5e55", "kitchen", "pico", "192.0.2.7", None, "uP", "t-1",
    4408, "no sign of life", "here", 3.5, 1, 2, 3, 4, 0.01,
)  # fmt: skip
REFUSAL = RefusalEntry(
    3, 0, "refused", "c0ffee", "192.0.2.8", None, "/ws/pico", "token_mistyped", 401, None, "curl"
)
MESSAGE = MessageEntry(
    4, 0, "telemetry", "in", "5e55", "kitchen", "pico", "192.0.2.7", 77, '{"a":1}', 7,
    False, None, None,
)  # fmt: skip
GATEWAY = GatewayEntry(5, 0, "started", "0.1.0")
COMMAND = CommandEntry(
    6, 0, "queued", "kitchen", "c-1", "servo", "me", '{"type":"servo"}', 10.0, 1_800_000_000_007
)


def test_document_begins_with_what_all_kinds_have() -> None:
    for entry in (START, END, REFUSAL, MESSAGE, GATEWAY, COMMAND):
        found = document(entry)
        assert list(found)[:4] == ["sequence", "time", "kind", "event"]
        assert set(found) <= set(FIELDS)
        assert found["kind"] in KINDS


def test_document_says_class_as_the_command_line_does() -> None:
    assert document(START)["class"] == "pico"
    assert "device_class" not in document(MESSAGE)


def test_document_of_a_refusal_has_the_words_that_its_client_was_shown() -> None:
    found = document(REFUSAL)
    assert found["message"] == REFUSALS["token_mistyped"].message
    assert found["hint"] == REFUSALS["token_mistyped"].hint
    later = document(msgspec.structs.replace(REFUSAL, code="of_a_later_version"))
    assert list(later) == list(found)
    assert (later["message"], later["hint"]) == (None, None)


def test_document_of_what_broke_before_its_request_is_explained() -> None:
    found = document(msgspec.structs.replace(REFUSAL, event="broken", code="head_cut", status=None))
    assert (found["status"], found["message"]) == (None, BREAKS["head_cut"].message)


def test_document_of_a_session_has_the_cause_of_its_end_in_one_word() -> None:
    assert document(START)["cause"] is None
    assert document(END)["cause"] == "no_sign_of_life"
    foreign = msgspec.structs.replace(END, close_code=3003)
    assert document(foreign)["cause"] == "close_3003"
    lost = msgspec.structs.replace(END, close_code=None, closed_by="lost")
    assert document(lost)["cause"] == "gateway_lost"


def test_documents_of_one_kind_have_the_same_fields() -> None:
    assert list(document(START)) == list(document(END))
    assert document(START)["close_code"] is None
    assert document(END)["close_code"] == 4408


@pytest.mark.parametrize(
    ("milliseconds", "expected"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_800_000_000_007, "2027-01-15T08:00:00.007Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
    ],
)
def test_time_is_iso_8601_in_utc_with_milliseconds(milliseconds: int, expected: str) -> None:
    assert iso(milliseconds) == expected


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_json_line_is_exact_and_has_nothing_that_a_terminal_obeys(text: str) -> None:
    line = json_line({"body": text})
    assert json.loads(line) == {"body": text}
    assert line.isprintable()


@pytest.mark.parametrize("text", ["\x1b]0;x\x07", "\x9b31m", "\u202e", "\x7f", "\U000e0041"])
def test_control_characters_are_escapes_in_json(text: str) -> None:
    line = json_line(text)
    assert line.isprintable()
    assert json.loads(line) == text


def test_readable_letters_stay_readable_in_json() -> None:
    assert json_line("日本語 é") == '"日本語 é"'


def test_end_of_a_time_in_the_queue_is_a_time() -> None:
    assert document(COMMAND)["queue_until"] == "2027-01-15T08:00:00.007Z"
    assert document(COMMAND)["command_type"] == "servo"


def test_search_sees_words_ids_and_codes_each_on_a_line() -> None:
    assert {"kitchen", "pico", "192.0.2.7", '{"a":1}', "77"} <= set(texts(MESSAGE).splitlines())
    assert {"4408", "no sign of life", "no_sign_of_life"} <= set(texts(END).splitlines())
    assert {"kitchen", "c-1", "servo", "me", "queued"} <= set(texts(COMMAND).splitlines())
    assert {"401", "token_mistyped", "c0ffee"} <= set(texts(REFUSAL).splitlines())


def test_search_sees_no_times_and_amounts() -> None:
    assert not re.search("1800000000007|^1$", texts(START), re.MULTILINE)
    assert "3.5" not in texts(END).splitlines()


def test_docs_list_every_field_of_every_kind() -> None:
    page = (Path(__file__).parents[1] / "docs" / "logs.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
    assert sorted(rows) == sorted(FIELDS)
    for entry_type in ENTRY_TYPES:
        assert f"`{entry_type.kind}`" in page


def test_entry_comes_back_out_of_its_document() -> None:
    for entry in (START, END, REFUSAL, MESSAGE, GATEWAY, COMMAND):
        told = json.loads(json_line(document(entry)))
        told.pop("picture", None)  # a console does not tell it
        assert entry_of(told) == entry


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "mood"}, {"kind": None}, {"kind": ["message"]}, {"time": None}, {"time": "soon"},
        {"time": 5}, {"time": "2024-01-01"}, {"sequence": "x"}, {"size": None},
        {"time": "0001-01-01T00:00:00Z"}, {"time": "9999-12-31T23:59:59Z"}, {"size": 10**400},
    ],
    ids=repr,
)  # fmt: skip
def test_document_that_is_no_entry_is_none(changes: dict[str, object]) -> None:
    assert entry_of({**document(MESSAGE), **changes}) is None
