from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsdev.event_stream import MOST_OF_EVENT, EventStream, ServerEvent, StreamTooLarge


def events(*pieces: bytes) -> list[ServerEvent]:
    stream = EventStream()
    return [event for piece in pieces for event in stream.feed(piece)]


def test_event_has_its_name_and_all_lines_of_its_data() -> None:
    text = b"event: message\ndata: one\ndata:two\ndata:  three\n\n"
    assert events(text) == [("message", "one\ntwo\n three")]


def test_event_without_a_name_is_a_message_and_one_without_data_is_none() -> None:
    assert events(b"data\n\nevent: x\n\ndata: y\n\n") == [("message", ""), ("message", "y")]


def test_comments_and_unknown_fields_are_left_alone() -> None:
    assert events(b": still here\n\nfoo: bar\ndata: x\n\n") == [("message", "x")]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["lf", "crlf", "cr"])
def test_each_end_of_a_line_is_known_wherever_it_is_cut(end: bytes) -> None:
    text = end.join([b"event: a", b"data: 1", b"", b"data: 2", b"", b": done"])
    whole = events(text)
    assert whole == [("a", "1"), ("message", "2")]
    assert events(*(text[i : i + 1] for i in range(len(text)))) == whole


def test_lines_of_unicode_are_no_ends() -> None:
    assert events("data: a\u2028b\x85c\u000bd\n\n".encode()) == [
        ("message", "a\u2028b\x85c\u000bd")
    ]


def test_byte_order_mark_is_no_part_of_the_first_field() -> None:
    assert events(b"\xef\xbb\xbfdata: x\n\n") == [("message", "x")]


def test_bytes_that_are_no_text_do_not_end_the_stream() -> None:
    assert events(b"data: \xff\n\ndata: x\n\n") == [("message", "\ufffd"), ("message", "x")]


def test_last_id_and_retry_are_kept() -> None:
    stream = EventStream()
    stream.feed(b"retry: 2000\nid: 7\ndata: x\n\nid: 8\0\nretry: soon\nretry: 99999999999\n\n")
    assert (stream.last_id, stream.retry) == ("7", 2.0)
    stream.feed(b"id\nretry: 900000\n\n")
    assert (stream.last_id, stream.retry) == ("", 60.0)


def test_number_of_an_event_counts_once_it_has_come_whole() -> None:
    stream = EventStream()
    stream.feed(b"id: 7\ndata: x\n\nid: 8\ndata: y\n")
    assert stream.last_id == "7"
    stream.feed(b"\n")
    assert stream.last_id == "8"
    stream.feed(b"id: 9\n\ndata: z\n\n")
    assert stream.last_id == "9", "of one without data too, and for those after it"


@pytest.mark.parametrize(
    "piece",
    [b"x" * 1000, b"data: " + b"x" * 1000 + b"\n", b"data\n" * 1000],
    ids=["a line", "an event", "empty lines"],
)
def test_stream_without_end_is_given_up(piece: bytes) -> None:
    with pytest.raises(StreamTooLarge):
        events(*[piece] * (MOST_OF_EVENT // 900))


@given(st.lists(st.binary(max_size=20), max_size=10), st.integers(1, 7))
def test_what_comes_of_it_does_not_depend_on_the_pieces(parts: list[bytes], size: int) -> None:
    text = b"\n".join([b"data: " + part for part in parts]) + b"\n\n\n"
    assert events(text) == events(*(text[i : i + size] for i in range(0, len(text), size)))
