"""Commands in the journal's file: as it is written, after a crash, when what is old goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from journal_bench import rows
from made_journal import START, made_journal

from wsdev.journal_file import JournalFile

STATES = "SELECT id, state, reason, is_open FROM commands ORDER BY sequence"


def states(folder: Path) -> list[tuple[Any, ...]]:
    return rows(folder, STATES)


def crashed(folder: Path) -> int:
    """Begin another run after one that has no end; gives the next number."""
    file = JournalFile(folder)
    begun = file.begin_run(START + 999_000, "0.1.0")
    file.close()
    return begun.sequence


def test_only_the_latest_state_is_open_and_no_end_is(tmp_path: Path) -> None:
    with made_journal(tmp_path) as journal:
        journal.command("c-1")
        journal.command("c-1", "sent")
        journal.command("c-2")
        assert [row[3] for row in states(tmp_path)] == [0, 1, 1]
        journal.command("c-1", "acknowledged")
        assert [row[3] for row in states(tmp_path)] == [0, 0, 1, 0]


def test_crash_loses_what_was_sent_and_keeps_what_was_queued(tmp_path: Path) -> None:
    with made_journal(tmp_path) as journal:
        journal.start()
        journal.command("c-sent", queue_until=START)
        journal.command("c-sent", "sent")
        journal.command("c-queued", queue_until=START)
        journal.command("c-in-line")
        journal.command("c-done")
        journal.command("c-done", "acknowledged")
        before = journal.last
    assert crashed(tmp_path) == before + 4  # two ends of commands, of the run, and the new run
    assert states(tmp_path)[-2:] == [
        ("c-sent", "lost", "lost with the server", 0),
        ("c-in-line", "expired", "the server ended before it was sent", 0),
    ]
    assert rows(tmp_path, "SELECT id FROM commands WHERE is_open") == [("c-queued",)]


def test_retention_takes_commands_that_are_over_only(tmp_path: Path) -> None:
    with made_journal(tmp_path) as journal:
        journal.command("c-old")
        journal.command("c-waits")
        journal.command("c-old", "cancelled")
        last = journal.command("c-new")
        journal.forget(last)
    assert [row[0] for row in states(tmp_path)] == ["c-waits", "c-new"]
