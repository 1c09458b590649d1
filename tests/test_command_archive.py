from __future__ import annotations

from pathlib import Path

import pytest
from made_journal import START, made_journal

from wsdev.command_archive import FileArchive
from wsdev.command_records import CommandState
from wsdev.errors import JournalError


def test_what_is_queued_comes_in_the_order_in_which_it_was_asked_for(tmp_path: Path) -> None:
    with made_journal(tmp_path) as journal:
        for name in ("c-2", "c-1", "c-3"):
            journal.command(name, queue_until=START + 60_000)
        journal.command("c-2", "sent", session="s")
        journal.command("c-2", queue_until=START + 60_000)  # put back
        journal.command("c-3", "cancelled")
        first, second = FileArchive(tmp_path).queued()
    assert [first.id, second.id] == ["c-2", "c-1"]
    assert (first.asked, first.sent, first.queue_until) == (START / 1000, None, START / 1000 + 60)
    assert (first.device, first.by, first.timeout) == ("kitchen", "me", 10.0)
    assert first.command == {"type": "servo"}


def test_nothing_is_queued_where_there_is_no_journal(tmp_path: Path) -> None:
    assert FileArchive(tmp_path).queued() == []
    with pytest.raises(JournalError):
        FileArchive(tmp_path).find("c-1")


def test_command_is_found_by_its_id(tmp_path: Path) -> None:
    with made_journal(tmp_path) as journal:
        journal.command("c-1", queue_until=START + 60_000)
        journal.command("c-1", "sent", session="s-1")
        journal.command("c-1", "failed", detail='{"jam":true}')
        found = FileArchive(tmp_path).find("c-1")
        assert FileArchive(tmp_path).find("c-2") is None
    assert found is not None
    assert (found.state, found.session, found.detail) == (CommandState.FAILED, "s-1", {"jam": True})
    assert (found.sent, found.ended) == (START / 1000 + 1, START / 1000 + 2)


def test_device_was_last_seen_with_its_own_last_message(tmp_path: Path) -> None:
    with made_journal(tmp_path) as journal:
        session = journal.connect()
        journal.message(session)
        last = journal.message(session, "command")
        journal.disconnect(session, last)
        seen = FileArchive(tmp_path).last_seen("kitchen")
        assert FileArchive(tmp_path).last_seen("hall") is None
    assert seen == ((START + 3000) / 1000, (START + 1000) / 1000)


def test_device_that_said_nothing_was_seen_when_it_came(tmp_path: Path) -> None:
    with made_journal(tmp_path) as journal:
        session = journal.connect()
        journal.disconnect(session)
        seen = FileArchive(tmp_path).last_seen("kitchen")
    assert seen == ((START + 1000) / 1000, START / 1000)
