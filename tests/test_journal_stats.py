"""The journal in numbers, and that they are right without counting every message."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st
from made_journal import START, MadeJournal, made_journal

from wsdev.journal_query import Wanted
from wsdev.journal_reader import JournalReader
from wsdev.journal_stats import Amounts, Run, Stats, gather


def stats_of(journal: MadeJournal) -> Stats:
    with JournalReader(journal.folder) as reader:
        return gather(reader)


def test_empty_journal_is_all_zero(tmp_path: Path) -> None:
    with made_journal(tmp_path) as journal:
        found = stats_of(journal)
    assert (found.messages, found.sessions, found.sessions_open, found.refusals) == (0, 0, 0, 0)
    assert (found.oldest, found.newest, found.last_run) == (None, None, None)
    assert found.by_class == found.top_devices == []
    assert found.file_bytes > 0
    assert found.sessions_lost == 0


def test_sessions_are_added_up_by_class_and_by_device(tmp_path: Path) -> None:
    with made_journal(tmp_path) as journal:
        for _ in range(2):
            journal.disconnect(journal.connect("kitchen"))
        journal.connect("kitchen")
        journal.connect("camera", "esp32cam")
        found = stats_of(journal)
    assert (found.sessions, found.sessions_open) == (4, 2)
    assert found.by_class == [
        Amounts("esp32cam", 1, 1, 0, 0, 0, 0, 0),
        Amounts("pico", 3, 1, 0, 24, 6912, 6, 420),
    ]
    assert [row.name for row in found.top_devices] == ["kitchen", "camera"]


def test_lost_sessions_are_counted_apart(tmp_path: Path) -> None:
    with made_journal(tmp_path) as journal:
        journal.disconnect(journal.connect("kitchen"))
        journal.connect("kitchen")
        with journal.file.writing():
            journal.file.lose_open(journal.last + 1)
        found = stats_of(journal)
    assert (found.sessions, found.sessions_open, found.sessions_lost) == (2, 0, 1)
    assert found.top_devices == [Amounts("kitchen", 2, 0, 1, 12, 3456, 3, 210)]


def test_only_the_devices_with_most_bytes_are_named(tmp_path: Path) -> None:
    with made_journal(tmp_path) as journal:
        for number in range(8):
            session = journal.connect(f"dev-{number}")
            if number == 6:
                journal.disconnect(session)
        found = stats_of(journal)
    assert len(found.top_devices) == 5
    assert found.top_devices[0].name == "dev-6"


def test_refusals_are_counted_by_code_the_most_first(tmp_path: Path) -> None:
    with made_journal(tmp_path) as journal:
        for code in ("full", "token_missing", "token_missing"):
            journal.refuse(code)
        found = stats_of(journal)
    assert found.refusals == 3
    assert list(found.refusals_by_code.items()) == [("token_missing", 2), ("full", 1)]


def test_last_run_tells_how_it_ended(tmp_path: Path) -> None:
    with made_journal(tmp_path) as journal:
        journal.start("1.0")
        journal.stop()
        stopped = stats_of(journal)
        journal.start("1.1")
        running = stats_of(journal)
    assert stopped.last_run == Run(START, "1.0", START + 1000, "stopped")
    assert running.last_run == Run(START + 2000, "1.1", None, None)
    assert (running.oldest, running.newest) == (START, START + 2000)


def test_pictures_are_counted_with_their_bytes(tmp_path: Path) -> None:
    with made_journal(tmp_path) as journal:
        camera = journal.connect("camera", "esp32cam")
        journal.picture(camera, b"12345")
        journal.picture(camera, b"123")
        journal.picture(camera, b"gone", kept=False)
        found = stats_of(journal)
    assert (found.pictures, found.picture_bytes, found.messages) == (2, 8, 3)


def test_free_pages_are_told_from_used_ones(tmp_path: Path) -> None:
    with made_journal(tmp_path) as journal:
        journal.messages(journal.connect(), 3000, body="x" * 200)
        before = stats_of(journal)
        journal.messages(1, 1)
        journal.forget(3002)
        after = stats_of(journal)
        files = [tmp_path / "journal.db", tmp_path / "journal.db-wal"]
        sizes = tuple(file.stat().st_size for file in files)
    assert before.free_bytes == 0
    assert after.free_bytes > 400_000
    assert after.used_bytes < before.used_bytes
    assert after.file_bytes + after.wal_bytes >= after.used_bytes + after.free_bytes
    assert (after.file_bytes, after.wal_bytes) == sizes


@given(
    st.lists(st.sampled_from(["connect", "end", "messages", "refuse", "run", "stop"]), max_size=30),
    st.integers(0, 20),
)
def test_messages_are_counted_without_reading_them(steps: list[str], forgotten: int) -> None:
    with TemporaryDirectory() as folder, made_journal(Path(folder)) as journal:
        keys: list[int] = []
        running = False
        for step in steps:
            match step:
                case "connect":
                    keys.append(journal.connect())
                case "end" if keys:
                    journal.disconnect(keys.pop())
                case "messages" if keys:
                    journal.messages(keys[-1], 3)
                case "refuse":
                    journal.refuse()
                case "run" if not running:
                    journal.start()
                    running = True
                case "stop" if running:
                    journal.stop()
                    running = False
        journal.forget(forgotten)
        with JournalReader(journal.folder) as reader:
            pages = list(reader.entries(Wanted(kinds=frozenset({"message"}))))
            assert gather(reader).messages == sum(len(page.entries) for page in pages)
