from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from journal_bench import NOW, OTHER, a_refusal, an_end, rows, start_of

from wsdev.journal_file import JournalFile


@pytest.fixture
def file(tmp_path: Path) -> Iterator[JournalFile]:
    with closing(JournalFile(tmp_path)) as file:
        yield file


def fill(file: JournalFile, count: int, start: int = 1) -> None:
    """Messages of a kilobyte in blocks of a thousand."""
    with file.writing():
        file.add_messages([
            (n, 1, NOW, OTHER, None, f"{n:01000}") for n in range(start, start + count)
        ])  # fmt: skip
        for first in range(start, start + count, 1000):
            file.mark_times(first, min(first + 999, start + count - 1), NOW, NOW + first)


def test_rows_from_a_clock_that_was_ahead_are_as_old_as_those_after_them(
    file: JournalFile,
) -> None:
    year = 365 * 86_400_000
    with file.writing():
        file.mark_times(1, 1000, NOW + year, NOW + year)
        file.mark_times(1001, 2000, NOW + 1, NOW + 2)
    assert file.space.oldest_block(NOW + 10) == (1001, NOW + 2)
    assert file.space.oldest_block(NOW) == (1001, None)
    assert file.space.oldest_block(NOW + year) == (1001, NOW + year)


def test_only_block_has_no_end(file: JournalFile) -> None:
    assert file.space.oldest_block(NOW + 10) is None
    fill(file, 1000)
    assert file.space.oldest_block(NOW + 10) == (None, NOW + 1)
    fill(file, 1000, 1001)
    assert file.space.oldest_block(NOW + 10) == (1001, NOW + 1)


def test_block_ends_after_an_hour_however_few_rows_it_has(file: JournalFile) -> None:
    hour = 3_600_000
    with file.writing():
        file.mark_times(1, 1, NOW, NOW)
        file.mark_times(2, 2, NOW + hour - 1, NOW + hour - 1)
        file.mark_times(3, 3, NOW + hour, NOW + hour)
    assert file.space.oldest_block(NOW + 2 * hour) == (3, NOW + hour - 1)


def test_oldest_messages_go_first_and_so_many_at_once(file: JournalFile, tmp_path: Path) -> None:
    fill(file, 2000)
    with file.writing():
        file.add_message((5000, 1, NOW, 13, None, None), 9, b"digest", "5000.jpg")
        assert file.space.drop_before(1001, 400) == (400, [])
    assert rows(tmp_path, "SELECT min(sequence), count(*) FROM messages") == [(401, 1601)]
    assert rows(tmp_path, "SELECT count(*) FROM blocks") == [(2,)]
    with file.writing():
        assert file.space.drop_before(1001, 2000) == (600, [])
    assert rows(tmp_path, "SELECT min(sequence), count(*) FROM messages") == [(1001, 1001)]
    assert rows(tmp_path, "SELECT sequence FROM blocks") == [(1001,)]


def test_all_else_from_before_goes_with_its_block(file: JournalFile, tmp_path: Path) -> None:
    with file.writing():
        file.start_run(1, NOW, "1.0")
        file.end_run(2, NOW, "lost")
        file.start_run(3, NOW, "1.0")
        file.add_refusal(4, NOW, a_refusal())
        file.start_sessions([(5, NOW, start_of("short"))])
        file.end_session(5, 6, NOW, an_end(), None)
        file.start_sessions([(7, NOW, start_of("long"))])
        file.start_sessions([(8, NOW, start_of("still there"))])
        file.add_message((9, 7, NOW, 13, None, None), 9, b"digest", "9.jpg")
        file.mark_times(1, 9, NOW, NOW)
        file.mark_times(1001, 1001, NOW, NOW)
        file.end_session(7, 1001, NOW, an_end(), 9)
        file.add_refusal(1002, NOW, a_refusal())
    with file.writing():
        assert file.space.drop_before(1001, 100) == (1, ["9.jpg"])
    assert rows(tmp_path, "SELECT sequence FROM runs") == [(3,)]
    assert rows(tmp_path, "SELECT sequence FROM refusals") == [(1002,)]
    assert rows(tmp_path, "SELECT sequence FROM sessions ORDER BY 1") == [(7,), (8,)]
    assert rows(tmp_path, "SELECT count(*) FROM messages") == [(0,)]


def test_free_pages_are_given_back_a_few_at_a_time(file: JournalFile) -> None:
    fill(file, 2000)
    used = file.space.used_bytes()
    assert used > 2_000_000
    assert file.space.free_pages()[0] == 0
    with file.writing():
        file.space.drop_before(1001, 2000)
    assert file.space.used_bytes() < used * 0.6
    free, pages = file.space.free_pages()
    file.space.give_back(64)
    assert file.space.free_pages()[0] == free - 64
    assert 64 <= pages - file.space.free_pages()[1] <= 66
    file.space.give_back(10_000)
    assert file.space.free_pages()[0] == 0
    file.space.give_back(1)
