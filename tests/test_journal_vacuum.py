"""Giving free space back: in steps, beside a writer, and to nothing that is no journal."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from made_journal import MadeJournal, made_journal

from wsdev.errors import JournalError
from wsdev.journal_query import Wanted
from wsdev.journal_reader import JournalReader
from wsdev.journal_vacuum import PAGES_AT_ONCE, vacuum


@pytest.fixture
def hollow(tmp_path: Path) -> Iterator[MadeJournal]:
    """A journal of which most was deleted."""
    with made_journal(tmp_path) as journal:
        session = journal.connect()
        journal.messages(session, 10_000, body="x" * 200)
        journal.messages(session, 10)
        journal.forget(10_002)
        yield journal


def count(folder: Path) -> int:
    with JournalReader(folder) as reader:
        return sum(len(page.entries) for page in reader.entries(Wanted()))


def no_progress(done: int, total: int) -> None:
    """Nobody looks."""


def test_free_pages_are_given_back_and_nothing_else(hollow: MadeJournal) -> None:
    kept = count(hollow.folder)
    before, after = vacuum(hollow.folder, lambda: None, no_progress)
    assert before > 2_000_000
    assert after < 100_000
    assert hollow.file.path.stat().st_size == after
    assert hollow.file.space.free_pages()[0] == 0
    assert count(hollow.folder) == kept
    db = sqlite3.connect(hollow.file.path)
    assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()


def test_space_goes_in_small_steps_and_progress_is_told(hollow: MadeJournal) -> None:
    told: list[tuple[int, int]] = []
    sizes: list[int] = []
    vacuum(
        hollow.folder,
        lambda: sizes.append(hollow.file.space.free_pages()[1]),
        lambda done, total: told.append((done, total)),
    )
    steps = [before - after for before, after in pairwise(sizes)]
    assert len(steps) > 5
    assert min(steps[:-1]) >= PAGES_AT_ONCE
    assert max(steps) <= PAGES_AT_ONCE + 1  # a page of pointers goes with those it points at
    assert told == sorted(told)
    assert told[-1][0] == told[-1][1]


def test_gateway_records_between_two_steps(hollow: MadeJournal) -> None:
    before = count(hollow.folder)
    steps = 0

    def record() -> None:
        nonlocal steps
        steps += 1
        hollow.message(1)

    vacuum(hollow.folder, record, no_progress)
    assert steps
    assert count(hollow.folder) == before + steps


def test_journal_without_free_pages_is_left_as_it_is(tmp_path: Path) -> None:
    with made_journal(tmp_path) as journal:
        journal.start()
        before, after = vacuum(tmp_path, lambda: None, no_progress)
    assert before == after


def test_missing_journal_is_told_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(JournalError) as caught:
        vacuum(tmp_path, lambda: None, no_progress)
    assert caught.value.code == "missing"
    assert list(tmp_path.iterdir()) == []


def test_file_of_another_program_is_not_touched(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "journal.db")
    db.execute("CREATE TABLE theirs (a)")
    db.commit()
    db.close()
    content = (tmp_path / "journal.db").read_bytes()
    with pytest.raises(JournalError) as caught:
        vacuum(tmp_path, lambda: None, no_progress)
    assert caught.value.code == "foreign"
    assert (tmp_path / "journal.db").read_bytes() == content
