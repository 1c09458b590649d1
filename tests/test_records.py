from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsdev.protocol import DeviceMessage
from wsdev.records import (
    ACKNOWLEDGED,
    BINARY,
    FIRST_TO_DEVICE,
    FROM_DEVICE,
    KIND_NAMES,
    MAX_TEXT,
    PICTURE,
    TO_DEVICE,
    PicturesKept,
    storable,
)
from wsdev.token_format import new_token

any_text = st.text(st.characters() | st.characters(categories=["Cs"]))


@given(any_text)
def test_any_text_becomes_storable(text: str) -> None:
    kept = storable(text)
    assert kept.encode().decode() == kept
    assert len(kept) <= MAX_TEXT


@given(st.text(max_size=MAX_TEXT))
def test_valid_short_text_stays_as_it_is(text: str) -> None:
    assert storable(text) == text or "wsd_" in text


def test_header_bytes_beyond_ascii_do_not_break_the_text() -> None:
    header = b"agent \xff\xfe \xc3\xa9".decode("ascii", "surrogateescape")
    assert storable(header).startswith("agent \N{REPLACEMENT CHARACTER}")


@pytest.mark.parametrize("before", range(MAX_TEXT - 40, MAX_TEXT + 2))
def test_token_at_the_cut_leaves_nothing_of_itself(before: int) -> None:
    token = new_token("pico")
    kept = storable("x" * before + token)
    assert "wsd_pico" not in kept
    assert token[9:14] not in kept


def test_limit_can_be_another_one() -> None:
    assert storable("abcdef", 3) == "abc"


def test_kinds_are_numbers_of_their_own_on_their_own_side() -> None:
    assert len(KIND_NAMES) == len(FROM_DEVICE) + len(TO_DEVICE)
    assert max(FROM_DEVICE.values()) < FIRST_TO_DEVICE < min(TO_DEVICE.values())


def test_numbers_in_old_files_keep_their_meaning() -> None:
    assert KIND_NAMES == {
        1: "connect", 2: "connection", 3: "telemetry", 4: "sensor_data", 5: "heartbeat",
        6: "status", 7: "test", 8: "log", 9: "ack", 10: "ping", 11: "pong", 12: "frame",
        13: "picture", 14: "binary", 15: "other", 16: "bad",
        65: "connection_ack", 66: "command", 67: "error",
    }  # fmt: skip


def test_each_message_of_the_contract_has_a_kind() -> None:
    tags = {
        str(kind.__struct_config__.tag)
        for kind in DeviceMessage.__args__
        if kind.__struct_config__.tag is not None
    }
    assert tags < FROM_DEVICE.keys()
    assert FROM_DEVICE.keys() - tags == {"picture", "binary", "other", "bad"}


def test_what_is_acknowledged_is_what_the_contract_says() -> None:
    assert {KIND_NAMES[kind] for kind in ACKNOWLEDGED} == {
        "telemetry", "sensor_data", "heartbeat", "status", "test", "log",
    }  # fmt: skip
    assert {KIND_NAMES[kind] for kind in BINARY} == {"picture", "binary"}
    assert PICTURE in BINARY


@pytest.mark.parametrize(
    ("kept", "any_are"),
    [
        (PicturesKept(), False),
        (PicturesKept(last=1), True),
        (PicturesKept(every=0.5), True),
        (PicturesKept(last=3, every=10), True),
    ],
)
def test_no_pictures_are_kept_unless_asked_for(kept: PicturesKept, any_are: bool) -> None:
    assert bool(kept) is any_are
