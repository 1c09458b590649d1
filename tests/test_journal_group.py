from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journal_bench import (
    BAD,
    JPEG,
    NOW,
    OTHER,
    PICTURE,
    TELEMETRY,
    Listener,
    a_refusal,
    an_end,
    bytes_on_disk,
    rows,
    start_of,
)

from wsdev.journal_file import JournalFile
from wsdev.journal_group import Group, Happening, Message, SessionKey
from wsdev.picture_store import PictureStore, picture_name
from wsdev.protocol import MessageId
from wsdev.records import FROM_DEVICE, PicturesKept
from wsdev.resends import MOST, ResendWindows
from wsdev.token_format import new_token


class Bench:
    """A journal's file, and what groups for it need."""

    def __init__(self, folder: Path, kept: PicturesKept, record_bytes: int = 100) -> None:
        self.folder = folder
        self.file = JournalFile(folder)
        self.pictures = PictureStore(folder / "pictures", kept, self.file.camera_of)
        self.windows = ResendWindows(lambda device: self.file.tail.resendable(device, MOST))
        self.sequence = self.file.last_sequence()
        self.record_bytes = record_bytes
        self.open_sessions: set[SessionKey] = set()

    def fill(self, *things: Message | Happening) -> Group:
        group = Group(
            self.sequence, self.windows, self.pictures, self.record_bytes, self.open_sessions
        )
        group.fill(things)
        return group

    def write(self, *things: Message | Happening) -> Group:
        """A group that is on disk."""
        group = self.fill(*things)
        with self.file.writing():
            group.write(self.file)
        group.committed()
        self.sequence = group.sequence
        return group

    def fail(self, *things: Message | Happening) -> Group:
        """A group that was written but did not get onto the disk."""
        group = self.fill(*things)
        with suppress(KeyError), self.file.writing():
            group.write(self.file)
            raise KeyError
        group.undo()
        return group

    def messages(self, columns: str = "sequence, body") -> list[tuple[Any, ...]]:
        return rows(self.folder, f"SELECT {columns} FROM messages ORDER BY sequence")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path, PicturesKept(last=10))
    with closing(bench.file):
        yield bench


def started(key: SessionKey, when: int = NOW) -> Happening:
    return lambda group: group.start_session(key, when, start_of(key.device))


def renamed(key: SessionKey, name: str) -> Happening:
    return lambda group: group.rename_session(key, name)


def ended(key: SessionKey) -> Happening:
    return lambda group: group.end_session(key, NOW, an_end())


def telemetry(
    key: SessionKey, message_id: MessageId | None, listener: Listener | None = None
) -> Message:
    return key, TELEMETRY, message_id, f'{{"id":{message_id!r}}}'.encode(), NOW, listener


def told(group: Group) -> dict[object, tuple[int, int, list[MessageId]]]:
    return {
        sender: (len(sizes), sum(sizes), ids)
        for sender, (sizes, ids) in group.told.items()
        if sender
    }


def test_things_are_numbered_in_their_order(bench: Bench) -> None:
    key = SessionKey("kitchen")
    group = bench.write(
        started(key),
        telemetry(key, 1),
        (key, BAD, None, b"{", NOW, None),
        lambda group: group.refuse(NOW, a_refusal()),
        telemetry(key, 2),
        ended(key),
        lambda group: group.end_run(NOW),
    )
    assert group.sequence == 7
    query = "SELECT sequence, device, end_sequence, last_message FROM sessions"
    assert rows(bench.folder, query) == [(1, "kitchen", 6, 5)]
    assert bench.messages("sequence, session, kind, id, body") == [
        (2, 1, TELEMETRY, 1, '{"id":1}'),
        (3, 1, BAD, None, "{"),
        (5, 1, TELEMETRY, 2, '{"id":2}'),
    ]
    assert rows(bench.folder, "SELECT sequence, request_id FROM refusals") == [(4, "badcafe00001")]


def test_senders_are_told_of_all_and_asked_to_acknowledge_what_has_an_id(bench: Bench) -> None:
    one, other = SessionKey("one"), SessionKey("other")
    hears, also_hears = Listener(), Listener()
    group = bench.write(
        started(one),
        started(other),
        telemetry(one, 1, hears),
        (one, OTHER, None, b"12345", NOW, hears),
        telemetry(other, "x", also_hears),
        (one, FROM_DEVICE["ack"], "c-1", b"{}", NOW, hears),
        (one, FROM_DEVICE["binary"], None, b"123", NOW, hears),
        (one, 66, None, b'{"to":"the device"}', NOW, None),
    )
    assert told(group) == {hears: (4, 18, [1]), also_hears: (1, 10, ["x"])}
    assert group.size == 18 + 10 + 19


def test_message_sent_again_is_acknowledged_and_not_recorded_twice(bench: Bench) -> None:
    key, hears = SessionKey("kitchen"), Listener()
    first = bench.write(started(key), telemetry(key, 1, hears), telemetry(key, 1, hears))
    assert told(first) == {hears: (2, 16, [1, 1])}
    again = bench.write(telemetry(key, 1, hears))
    assert told(again) == {hears: (1, 8, [1])}
    later = SessionKey("kitchen")
    bench.write(ended(key), started(later), telemetry(later, 1, hears))
    assert len(bench.messages()) == 1


def test_message_sent_again_after_a_restart_is_not_recorded_twice(tmp_path: Path) -> None:
    for _ in range(3):
        bench, key, hears = Bench(tmp_path, PicturesKept()), SessionKey("kitchen"), Listener()
        with closing(bench.file):
            group = bench.write(
                started(key), *(telemetry(key, number, hears) for number in range(60)), ended(key)
            )
        assert told(group) == {hears: (60, 530, list(range(60)))}
    assert len(rows(tmp_path, "SELECT * FROM messages")) == 60


def test_same_words_of_another_device_or_without_an_id_are_recorded(bench: Bench) -> None:
    one, other = SessionKey("one"), SessionKey("other")
    bench.write(started(one), started(other), telemetry(one, 1), telemetry(other, 1))
    bench.write(telemetry(one, None), telemetry(one, None))
    assert len(bench.messages()) == 4


def test_same_id_with_other_words_is_recorded(bench: Bench) -> None:
    key, hears = SessionKey("kitchen"), Listener()
    bench.write(started(key), telemetry(key, 1, hears))
    group = bench.write((key, TELEMETRY, 1, b'{"after":"a reboot"}', NOW, hears))
    assert told(group) == {hears: (1, 20, [1])}
    assert len(bench.messages()) == 2


def test_what_did_not_get_onto_the_disk_is_not_remembered(bench: Bench) -> None:
    key, hears = SessionKey("kitchen"), Listener()
    things = (started(key), telemetry(key, 1, hears), telemetry(key, 2, hears))
    bench.fail(*things)
    bench.fail(*things)
    group = bench.write(*things)
    assert told(group) == {hears: (2, 16, [1, 2])}
    assert bench.messages() == [(2, '{"id":1}'), (3, '{"id":2}')]


def test_group_tried_again_is_the_same_though_a_device_is_renamed_in_it(bench: Bench) -> None:
    key, other = SessionKey("pico-1"), SessionKey("kitchen")
    bench.write(started(other), telemetry(other, 1))
    things = (started(key), telemetry(key, 1), renamed(key, "porch"), renamed(key, "kitchen"))
    bench.fail(*things)
    assert key.device == "pico-1"
    bench.write(*things)
    assert key.device == "kitchen"
    # It was not yet the kitchen when it said this.
    assert len(bench.messages()) == 2
    bench.write(telemetry(key, 1))
    assert len(bench.messages()) == 2
    query = "SELECT device FROM sessions ORDER BY sequence"
    assert rows(bench.folder, query) == [("kitchen",), ("kitchen",)]


def test_group_that_is_given_up_tells_its_senders_and_acknowledges_nothing(bench: Bench) -> None:
    key, hears = SessionKey("kitchen"), Listener()
    group = bench.fill(telemetry(key, 1, hears))
    group.give_up()
    assert told(group) == {hears: (1, 8, [])}


@pytest.mark.parametrize(
    ("message_id", "kept"),
    [
        (0, 0),
        (2**63 - 1, 2**63 - 1),
        (2**63, str(2**63)),
        (2**64 - 1, str(2**64 - 1)),
        (-(2**63) + 1, -(2**63) + 1),
        (-(2**63), str(-(2**63))),
        ("", ""),
        ("\0", "\0"),
        ("\N{GRINNING FACE}\u202e\x1b", "\N{GRINNING FACE}\u202e\x1b"),
        ("x" * 128, "x" * 128),
    ],
)
def test_any_id_is_kept_and_acknowledged_as_it_was(
    bench: Bench, message_id: MessageId, kept: MessageId
) -> None:
    key, hears = SessionKey("kitchen"), Listener()
    cut = key, FROM_DEVICE["ack"], message_id, b"x" * 101, NOW, hears
    group = bench.write(started(key), telemetry(key, message_id, hears), cut)
    assert told(group)[hears][2] == [message_id]
    assert bench.messages("id") == [(kept,), (kept,)]


@given(data=st.binary(max_size=40))
def test_any_bytes_become_text(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    bench = Bench(tmp_path_factory.mktemp("any"), PicturesKept())
    with closing(bench.file):
        bench.write((SessionKey("kitchen"), BAD, None, data, NOW, None))
        assert bench.messages("body, size") == [(data.decode("utf-8", "replace"), None)]


def test_long_text_that_is_not_acknowledged_is_cut_and_keeps_its_size(bench: Bench) -> None:
    key = SessionKey("kitchen")
    long = "\N{EURO SIGN}" * 100
    for kind, message_id in ((BAD, None), (OTHER, None), (TELEMETRY, None)):
        bench.write((key, kind, message_id, long.encode(), NOW, None))
    assert bench.messages("body, size") == [("\N{EURO SIGN}" * 33, 300)] * 3


def test_text_at_the_limit_is_whole(bench: Bench) -> None:
    bench.write((SessionKey("kitchen"), BAD, None, b"x" * 100, NOW, None))
    assert bench.messages("body, size") == [("x" * 100, None)]


def test_acknowledged_text_is_never_cut(bench: Bench) -> None:
    text = b'{"data":"' + b"x" * 1000 + b'"}'
    bench.write((SessionKey("kitchen"), TELEMETRY, 1, text, NOW, None))
    assert bench.messages("body, size") == [(text.decode(), None)]


def test_no_token_gets_into_the_file_wherever_it_stands(bench: Bench) -> None:
    key = SessionKey("kitchen")
    tokens = [new_token("pico") for _ in range(130)]
    for before, token in enumerate(tokens):
        text = b"." * before + token.encode() + b"." * (130 - before)
        bench.write(
            (key, OTHER, None, text, NOW, None),
            (key, TELEMETRY, 1, text, NOW, None),
            (key, TELEMETRY, token, text, NOW, None),
            (key, FROM_DEVICE["ack"], token, b"{}", NOW, None),
            (key, FROM_DEVICE["ack"], token, text, NOW, None),
        )
    found = bytes_on_disk(bench.folder)
    assert len(bench.messages()) == 5 * len(tokens) - 130  # the same words, but for the token
    for token in tokens:
        assert token.encode()[:14] not in found
        assert token.encode()[9:20] not in found


def test_binary_is_recorded_as_a_fact(bench: Bench) -> None:
    bench.write((SessionKey("porch"), FROM_DEVICE["binary"], None, b"\0\xff", NOW, None))
    digest = hashlib.sha256(b"\0\xff").digest()
    columns = "id, body, size, sha256, picture"
    assert bench.messages(columns) == [(None, None, 2, digest, None)]


def test_picture_is_kept_beside_its_row(bench: Bench) -> None:
    bench.write((SessionKey("porch"), PICTURE, None, JPEG, NOW, None))
    digest = hashlib.sha256(JPEG).digest()
    assert bench.messages("size, sha256, picture") == [(len(JPEG), digest, picture_name(1))]
    assert (bench.folder / "pictures" / picture_name(1)).read_bytes() == JPEG
    assert bench.pictures.bytes == len(JPEG)


def test_picture_of_a_group_that_failed_is_written_again_under_its_name(bench: Bench) -> None:
    picture = (SessionKey("porch"), PICTURE, None, JPEG, NOW, None)
    bench.fail(picture)
    bench.write(picture)
    assert [path.name for path in (bench.folder / "pictures").iterdir()] == [picture_name(1)]
    assert bench.pictures.bytes == len(JPEG)


def test_pictures_that_come_together_are_kept_as_seldom_as_others(tmp_path: Path) -> None:
    bench = Bench(tmp_path, PicturesKept(every=10))
    one, other = SessionKey("one"), SessionKey("other")
    with closing(bench.file):
        bench.write(
            *((one, PICTURE, None, JPEG, NOW + 1000 * second, None) for second in range(21)),
            (other, PICTURE, None, JPEG, NOW, None),
        )
        assert len(bench.messages()) == 22
        kept = [(picture_name(number),) for number in (1, 11, 21, 22)]
        assert rows(tmp_path, "SELECT picture FROM messages WHERE picture NOT NULL") == kept


def test_calls_for_later_are_kept_in_order(bench: Bench) -> None:
    calls = [lambda: None, lambda: None]
    group = bench.write(*[lambda group, call=call: group.then.append(call) for call in calls])
    assert group.then == calls
    assert group.sequence == 0


def test_times_of_a_group_are_marked_from_the_earliest_to_the_latest(bench: Bench) -> None:
    key = SessionKey("kitchen")
    bench.write(started(key, NOW + 5), (key, OTHER, None, b"", NOW - 86_400_000, None))
    query = "SELECT * FROM blocks"
    assert rows(bench.folder, query) == [(1, NOW - 86_400_000, NOW + 5)]
    bench.write((key, OTHER, None, b"", NOW - 86_400_001, None))
    assert rows(bench.folder, query) == [(1, NOW - 86_400_001, NOW + 5)]


@pytest.mark.parametrize("has_name", [True, False])
def test_what_was_given_up_is_recorded_when_it_comes_again(bench: Bench, has_name: bool) -> None:
    key = SessionKey("kitchen", has_name=has_name)
    bench.write(started(key))
    bench.fill(telemetry(key, 1)).give_up()
    assert bench.messages() == []
    bench.write(telemetry(key, 1))
    bench.write(telemetry(key, 1))
    assert len(bench.messages()) == 1
