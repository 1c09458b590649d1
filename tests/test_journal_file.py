from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journal_bench import NOW, OTHER, a_refusal, an_end, held_file, rows, start_of

from wsdev.errors import JournalError
from wsdev.journal_file import JournalFile
from wsdev.journal_schema import FILE_NAME


@pytest.fixture
def file(tmp_path: Path) -> Iterator[JournalFile]:
    with closing(JournalFile(tmp_path)) as file:
        yield file


# Transactions


def test_transaction_that_raises_never_was(file: JournalFile, tmp_path: Path) -> None:
    def fail() -> None:
        with file.writing():
            file.start_run(1, NOW, "1.0")
            file.mark_times(1, 1, NOW, NOW)
            raise KeyError

    for _ in range(2):
        with pytest.raises(KeyError):
            fail()
    assert file.last_sequence() == 0
    with file.writing():
        file.start_run(1, NOW, "1.0")
        file.mark_times(1, 1, NOW, NOW)
    with pytest.raises(KeyError):
        fail_with_a_new_block(file)
    with file.writing():
        file.mark_times(5001, 5001, NOW + 1, NOW + 1)
    assert rows(tmp_path, "SELECT * FROM blocks") == [(1, NOW, NOW), (5001, NOW + 1, NOW + 1)]


def fail_with_a_new_block(file: JournalFile) -> None:
    with file.writing():
        file.mark_times(5001, 5001, NOW, NOW)
        raise KeyError


def test_file_that_another_program_holds_is_busy_and_free_again(
    file: JournalFile, tmp_path: Path
) -> None:
    with held_file(tmp_path), pytest.raises(JournalError) as caught, file.writing():
        pass
    assert caught.value.code == "busy"
    with file.writing():
        file.start_run(1, NOW, "1.0")
    assert file.last_sequence() == 1


@pytest.mark.parametrize("full_sync", [True, False])
def test_rows_are_there_when_it_is_opened_again(tmp_path: Path, full_sync: bool) -> None:
    for number in (1, 2):
        with closing(JournalFile(tmp_path, full_sync=full_sync)) as file:
            assert file.path == tmp_path / FILE_NAME
            assert file.set_aside is None
            with file.writing():
                file.add_refusal(number, NOW, a_refusal())
    assert rows(tmp_path, "SELECT sequence FROM refusals") == [(1,), (2,)]


def test_highest_number_is_found_in_every_table(file: JournalFile) -> None:
    assert file.last_sequence() == 0
    with file.writing():
        file.start_run(1, NOW, "1.0")
    assert file.last_sequence() == 1
    with file.writing():
        file.start_sessions([(2, NOW, start_of())])
    assert file.last_sequence() == 2
    with file.writing():
        file.add_refusal(3, NOW, a_refusal())
    assert file.last_sequence() == 3
    with file.writing():
        file.add_message((4, 2, NOW, OTHER, None, "cut"), 1000, None, None)
    assert file.last_sequence() == 4
    with file.writing():
        file.end_session(2, 5, NOW, an_end(), 4)
    assert file.last_sequence() == 5
    with file.writing():
        file.end_run(6, NOW, "stopped")
    assert file.last_sequence() == 6


@pytest.mark.parametrize("count", [0, 1, 49, 50, 51, 149, 500])
def test_any_number_of_messages_goes_in_at_once(
    file: JournalFile, tmp_path: Path, count: int
) -> None:
    with file.writing():
        file.add_messages([(n, 7, NOW, OTHER, str(n), f"body {n}") for n in range(1, count + 1)])
    found = rows(tmp_path, "SELECT sequence, id, body FROM messages ORDER BY sequence")
    assert found == [(n, str(n), f"body {n}") for n in range(1, count + 1)]


@pytest.mark.parametrize("count", [0, 1, 50, 101])
def test_any_number_of_sessions_starts_at_once(
    file: JournalFile, tmp_path: Path, count: int
) -> None:
    with file.writing():
        file.start_sessions([(n, NOW + n, start_of(f"pico-{n}")) for n in range(1, count + 1)])
    found = rows(tmp_path, "SELECT sequence, started, device FROM sessions ORDER BY sequence")
    assert found == [(n, NOW + n, f"pico-{n}") for n in range(1, count + 1)]


def test_session_is_told_from_start_to_end(file: JournalFile, tmp_path: Path) -> None:
    with file.writing():
        start = start_of("pico-1", via="10.0.0.1", user_agent="curl", token="t-123456")
        file.start_sessions([(1, NOW, start)])
        file.rename_session(1, "kitchen")
        file.note_version(1, "1.4.2")
        file.end_session(1, 9, NOW + 5, an_end("\0\N{SNOWMAN}"), 4)
    assert rows(tmp_path, "SELECT * FROM sessions") == [
        (1, NOW, "c0ffee000001", "kitchen", "pico", "192.0.2.7", "10.0.0.1", "curl", "t-123456",
         9, NOW + 5, 1000, "\0\N{SNOWMAN}", "peer", 1.5, 1, 2, 3, 4, 0.25, 4, "1.4.2")
    ]  # fmt: skip


def test_refusal_is_kept_whole(file: JournalFile, tmp_path: Path) -> None:
    more = {"via": "10.0.0.1", "path": "/ws/x", "token_tail": "abcd", "user_agent": "curl"}
    with file.writing():
        file.add_refusal(3, NOW, a_refusal(**more))
    assert rows(tmp_path, "SELECT * FROM refusals") == [
        (3, NOW, "badcafe00001", "203.0.113.9", "10.0.0.1", "/ws/x", "token_missing", 401, "abcd",
         "curl")
    ]  # fmt: skip


# Blocks


@given(
    st.lists(
        st.tuples(st.integers(1, 700), st.lists(st.integers(-500, 500), min_size=1, max_size=4)),
        min_size=1,
        max_size=12,
    )
)
def test_each_row_is_within_the_times_of_its_block(
    tmp_path_factory: pytest.TempPathFactory, groups: list[tuple[int, list[int]]]
) -> None:
    folder = tmp_path_factory.mktemp("blocks")
    with closing(JournalFile(folder)) as file:
        sequence = 0
        times: dict[int, int] = {}
        for count, jumps in groups:
            first, sequence = sequence + 1, sequence + count
            whens = [NOW + jump for jump in jumps]
            times |= {number: whens[number % len(whens)] for number in range(first, sequence + 1)}
            with file.writing():
                file.mark_times(first, sequence, min(whens), max(whens))
    blocks = rows(folder, "SELECT * FROM blocks ORDER BY sequence")
    starts = [start for start, _, _ in blocks] + [sequence + 1]
    assert starts[0] == 1
    for (start, earliest, latest), (_, end) in zip(blocks, pairwise(starts), strict=True):
        assert all(earliest <= times[number] <= latest for number in range(start, end))
        assert end - start < 1700
    assert all(end - start > 300 for start, end in pairwise(starts[:-1]))


def test_block_is_gone_on_with_after_a_restart(tmp_path: Path) -> None:
    for number in (1, 2, 1002):
        with closing(JournalFile(tmp_path)) as file, file.writing():
            file.mark_times(number, number, NOW + number, NOW + number)
    assert rows(tmp_path, "SELECT * FROM blocks") == [
        (1, NOW + 1, NOW + 2), (1002, NOW + 1002, NOW + 1002),
    ]  # fmt: skip


# After a crash


def test_nothing_is_lost_after_a_clean_end(file: JournalFile) -> None:
    with file.writing():
        assert file.lose_open(1) == (1, 0)
        file.start_run(1, NOW, "1.0")
        file.end_run(2, NOW, "stopped")
        assert file.lose_open(3) == (3, 0)


def test_open_sessions_and_the_run_end_at_the_time_of_the_last_thing(
    file: JournalFile, tmp_path: Path
) -> None:
    with file.writing():
        file.start_run(1, NOW, "1.0")
        file.start_sessions([(2, NOW + 1, start_of("one"))])
        file.start_sessions([(3, NOW + 2, start_of("two"))])
        file.start_sessions([(4, NOW + 99, start_of("from the future"))])
        file.start_sessions([(5, NOW + 3, start_of("ended"))])
        file.add_messages([(n, 2, NOW + 3, OTHER, None, "") for n in (6, 7)])
        file.end_session(5, 8, NOW + 4, an_end(), None)
        file.mark_times(1, 8, NOW, NOW + 10)
    with file.writing():
        assert file.lose_open(9) == (13, 3)
    query = "SELECT sequence, end_sequence, ended, closed_by, reason, last_message FROM sessions"
    assert rows(tmp_path, query) == [
        (2, 9, NOW + 10, "lost", "lost with the server", 7),
        (3, 10, NOW + 10, "lost", "lost with the server", None),
        (4, 11, NOW + 99, "lost", "lost with the server", None),
        (5, 8, NOW + 4, "peer", "bye", None),
    ]
    query = "SELECT sequence, end_sequence, ended, how FROM runs"
    assert rows(tmp_path, query) == [(1, 12, NOW + 10, "lost")]


def test_run_that_was_lost_without_sessions_ends_too(file: JournalFile, tmp_path: Path) -> None:
    with file.writing():
        file.start_run(1, NOW, "1.0")
        file.mark_times(1, 1, NOW, NOW)
        assert file.lose_open(2) == (3, 0)
    assert rows(tmp_path, "SELECT end_sequence, how FROM runs") == [(2, "lost")]


def test_camera_of_a_picture_is_known(file: JournalFile) -> None:
    with file.writing():
        file.start_sessions([(1, NOW, start_of("porch"))])
        file.add_message((2, 1, NOW, 13, None, None), 9, b"digest", "2.jpg")
        file.add_message((3, 1, NOW, 13, None, None), 9, b"digest", None)
    assert [file.camera_of(number) for number in (1, 2, 3, 4)] == [None, "porch", None, None]
