from __future__ import annotations

import gc
import os
import stat
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from journal_bench import (
    JPEG,
    NOW,
    OTHER,
    PATIENCE,
    PICTURE,
    TELEMETRY,
    Clock,
    Listener,
    Loop,
    a_refusal,
    an_end,
    bytes_on_disk,
    held_file,
    rows,
    say,
    start_of,
    writing,
)

from wsdev import journal_schema
from wsdev.errors import JournalError, LocalError, StateFolderError
from wsdev.journal import FileJournal
from wsdev.journal_group import SessionKey
from wsdev.journal_queue import GROUP_ROWS
from wsdev.journal_schema import FILE_NAME, PICTURES_FOLDER, suspicion
from wsdev.journal_tail import NOTE_AFTER
from wsdev.limits import Limits
from wsdev.picture_store import picture_name
from wsdev.protocol import MessageId
from wsdev.records import PicturesKept
from wsdev.token_format import new_token


def bodies(folder: Path) -> list[str]:
    return [body for (body,) in rows(folder, "SELECT body FROM messages ORDER BY sequence")]


def runs(folder: Path) -> list[tuple[Any, ...]]:
    return rows(folder, "SELECT sequence, end_sequence, how FROM runs ORDER BY sequence")


# An ack means on disk


def test_sender_is_told_once_its_messages_are_on_disk(tmp_path: Path) -> None:
    class Looks(Listener):
        def recorded(self, rows: int, size: int, ids: Sequence[MessageId]) -> None:
            super().recorded(rows, size, ids)
            assert bodies(tmp_path)[-1].endswith(f'"id":{ids[-1]}}}')

    with writing(tmp_path) as (journal, loop):
        key, hears = journal.start_session(start_of()), Looks()
        sizes = [len(say(journal, key, hears, number)) for number in range(100)]
        loop.run_until(lambda: hears.rows == 100)
        assert (hears.size, hears.ids) == (sum(sizes), list(range(100)))
    assert not loop.faults


def test_lone_message_is_written_at_once(tmp_path: Path) -> None:
    with writing(tmp_path) as (journal, loop):
        key, hears = journal.start_session(start_of()), Listener()
        for number in range(5):
            say(journal, key, hears, number)
            loop.run_until(lambda: len(hears.ids) == number + 1)  # noqa: B023


def test_group_is_bounded(tmp_path: Path) -> None:
    groups: list[int] = []
    with writing(tmp_path, on_commit=lambda _, rows: groups.append(rows)) as (journal, loop):
        key, hears = journal.start_session(start_of()), Listener()
        with held_file(tmp_path):
            for number in range(3 * GROUP_ROWS):
                say(journal, key, hears, number)
        loop.run_until(lambda: len(hears.ids) == 3 * GROUP_ROWS)
    assert max(groups) == GROUP_ROWS
    assert sum(groups) == 3 * GROUP_ROWS + 2  # the session's start, the run's end
    assert hears.ids == list(range(3 * GROUP_ROWS))


def test_groups_are_few_while_more_and_more_comes(tmp_path: Path) -> None:
    groups: list[int] = []
    said = 0
    with writing(tmp_path, on_commit=lambda _, rows: groups.append(rows)) as (journal, loop):
        key, hears = journal.start_session(start_of()), Listener()
        pause = threading.Event()
        while len(groups) < 20:
            for _ in range(20):
                say(journal, key, hears, said)
                said += 1
            pause.wait(0.001)  # as bytes come from a network: a little, again and again
        loop.run_until(lambda: len(hears.ids) == said)
    assert hears.ids == list(range(said))
    assert said / len(groups) > 10


def test_commits_are_timed(tmp_path: Path) -> None:
    seconds: list[float] = []
    with writing(tmp_path, on_commit=lambda took, _: seconds.append(took)) as (journal, loop):
        journal.start_session(start_of())
        loop.run_until_recorded(journal)
    assert seconds
    assert all(0 < took < PATIENCE for took in seconds)


def test_call_comes_after_all_before_it_is_told(tmp_path: Path) -> None:
    heard: list[object] = []

    class Notes(Listener):
        def recorded(self, rows: int, size: int, ids: Sequence[MessageId]) -> None:
            heard.extend(ids)

    with writing(tmp_path) as (journal, loop):
        key, notes = journal.start_session(start_of()), Notes()
        say(journal, key, notes, 1)
        say(journal, key, Notes(), 2)
        journal.when_recorded(lambda: heard.append("recorded"))
        loop.run_until(lambda: len(heard) == 3)
    assert heard == [1, 2, "recorded"]


def test_close_records_what_waits_and_ends_the_run(tmp_path: Path) -> None:
    with writing(tmp_path) as (journal, _):
        key, hears = journal.start_session(start_of()), Listener()
        said = [say(journal, key, hears, number) for number in range(2000)]
        journal.end_session(key, an_end())
    assert bodies(tmp_path) == said
    assert hears.ids == []  # nobody ran the loop any more
    assert runs(tmp_path) == [(1, 2004, "stopped")]
    assert rows(tmp_path, "SELECT end_sequence, last_message FROM sessions") == [(2003, 2002)]


def test_loop_that_has_ended_stops_nothing(tmp_path: Path) -> None:
    def ended(call: Callable[..., object], *_: Any) -> None:
        raise RuntimeError("Event loop is closed")

    journal = FileJournal(tmp_path).start(ended)
    say(journal, journal.start_session(start_of()), Listener(), 1)
    assert journal.close() == 0
    assert len(bodies(tmp_path)) == 1


def test_journal_that_never_began_is_closed_well(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path)
    journal.refuse(a_refusal())
    assert journal.close() == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [FILE_NAME]
    assert runs(tmp_path) == [(1, 3, "stopped")]


def test_power_may_be_trusted(tmp_path: Path) -> None:
    with writing(tmp_path, full_sync=False) as (journal, loop):
        journal.refuse(a_refusal())
        loop.run_until_recorded(journal)
    assert rows(tmp_path, "SELECT count(*) FROM refusals") == [(1,)]


# Restarts


def test_numbers_go_on_after_a_restart(tmp_path: Path) -> None:
    for number in range(3):
        with writing(tmp_path) as (journal, _):
            assert journal.set_aside is None
            assert journal.lost_sessions == 0
            key = journal.start_session(start_of(session=f"s{number}"))
            say(journal, key, Listener(), number)
            journal.end_session(key, an_end())
    assert runs(tmp_path) == [(1, 5, "stopped"), (6, 10, "stopped"), (11, 15, "stopped")]
    query = "SELECT s.session, m.sequence FROM messages m JOIN sessions s ON m.session = s.sequence"
    assert rows(tmp_path, query) == [("s0", 3), ("s1", 8), ("s2", 13)]


def test_sessions_without_an_end_are_lost_with_their_server(tmp_path: Path) -> None:
    clock = Clock()
    with writing(tmp_path, wall_clock=clock) as (journal, _):
        for device in ("one", "two"):
            say(journal, journal.start_session(start_of(device)), Listener(), 1)
    clock.milliseconds += 86_400_000
    with writing(tmp_path, wall_clock=clock) as (journal, _):
        assert journal.lost_sessions == 2
    query = "SELECT ended, closed_by, reason, last_message FROM sessions ORDER BY sequence"
    assert rows(tmp_path, query) == [
        (NOW, "lost", "lost with the server", 3), (NOW, "lost", "lost with the server", 5)
    ]  # fmt: skip


def test_message_sent_again_is_acknowledged_once_more_and_recorded_once(tmp_path: Path) -> None:
    for _ in range(3):
        with writing(tmp_path) as (journal, loop):
            hears = Listener()
            for _ in range(2):
                key = journal.start_session(start_of())
                for _ in range(2):
                    say(journal, key, hears, 7)
                journal.end_session(key, an_end())
            loop.run_until(lambda: hears.ids == [7] * 4)  # noqa: B023
    assert len(bodies(tmp_path)) == 1


def test_message_said_before_the_name_is_known_when_it_comes_again_under_it(
    tmp_path: Path,
) -> None:
    with writing(tmp_path) as (journal, loop):
        other, hears = journal.start_session(start_of("other")), Listener()
        say(journal, other, hears, 0)
        loop.run_until(lambda: hears.ids)
        early = journal.start_session(start_of("pico-1"))
        say(journal, early, hears, 1)
        journal.rename_session(early, "kitchen")
        journal.end_session(early, an_end())
        again = journal.start_session(start_of("pico-2"))
        journal.rename_session(again, "kitchen")
        loop.run_until_recorded(journal)
        say(journal, again, hears, 1)
        loop.run_until(lambda: hears.ids == [0, 1, 1])
    assert len(bodies(tmp_path)) == 2


def test_wall_clock_that_jumps_back_a_day_changes_no_order(tmp_path: Path) -> None:
    clock = Clock()
    with writing(tmp_path, wall_clock=clock, keep=3600) as (journal, loop):
        key, hears = journal.start_session(start_of()), Listener()
        for number in range(4):
            clock.milliseconds -= 86_400_000 * (-1) ** number
            say(journal, key, hears, number)
            loop.run_until_recorded(journal)
    found = rows(tmp_path, "SELECT id, time FROM messages ORDER BY sequence")
    assert found == [(number, NOW - 86_400_000 * ((number + 1) % 2)) for number in range(4)]


# What is in the way


def test_what_is_no_journal_is_told(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text("dear diary" * 1000)
    with writing(tmp_path) as (journal, _):
        assert journal.set_aside is not None
        assert journal.set_aside.kept_as.read_text() == "dear diary" * 1000


def test_start_that_fails_lets_go_of_the_file(tmp_path: Path) -> None:
    (tmp_path / PICTURES_FOLDER).symlink_to(PICTURES_FOLDER)  # to itself
    for _ in range(2):
        with pytest.raises(StateFolderError):
            FileJournal(tmp_path)
    gc.collect()
    assert not list(tmp_path.glob(f"{FILE_NAME}-*"))  # the last connection takes them with it
    (tmp_path / PICTURES_FOLDER).unlink()
    with writing(tmp_path):
        pass
    assert [how for _, _, how in runs(tmp_path)] == ["lost", "lost", "stopped"]


# Trouble


def test_journal_that_cannot_write_keeps_all_and_goes_on_by_itself(tmp_path: Path) -> None:
    with writing(tmp_path) as (journal, loop):
        key, hears = journal.start_session(start_of()), Listener()
        loop.run_until_recorded(journal)
        with held_file(tmp_path):
            said = [say(journal, key, hears, number) for number in range(10)]
            wait_until(lambda: journal.trouble)
            assert "another process is writing" in journal.trouble
            assert hears.ids == []
            assert journal.waiting == (10, sum(map(len, said)))
        loop.run_until(lambda: len(hears.ids) == 10)
        assert (journal.trouble or "", journal.waiting) == ("", (0, 0))
    assert bodies(tmp_path) == said


def test_close_gives_up_on_a_disk_that_takes_nothing_and_says_how_much(tmp_path: Path) -> None:
    loop, hears = Loop(), Listener()
    journal = FileJournal(tmp_path).start(loop)
    key = journal.start_session(start_of())
    loop.run_until_recorded(journal)
    with held_file(tmp_path):
        for number in range(GROUP_ROWS + 10):
            say(journal, key, hears, number)
        assert journal.close() == GROUP_ROWS + 11
    assert journal.trouble
    assert bodies(tmp_path) == []
    with writing(tmp_path) as (after, _):
        assert after.lost_sessions == 1


@pytest.mark.from_source
def test_close_tries_once_more_what_the_disk_has_refused_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wsdev.journal.RETRY_SECONDS", PATIENCE)
    journal = FileJournal(tmp_path).start(Loop())
    with held_file(tmp_path):
        text = say(journal, journal.start_session(start_of()), Listener(), 1)
        wait_until(lambda: bool(journal.trouble))
    assert journal.close() == 0
    assert bodies(tmp_path) == [text]


def test_close_has_no_more_patience_than_it_is_given(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path).start(Loop())
    with held_file(tmp_path):
        journal.refuse(a_refusal())
        assert journal.close(patience=0.01) == 2
    for thread in threading.enumerate():
        if thread.name == "journal":
            thread.join(PATIENCE)


def is_full(journal: FileJournal) -> bool:
    """Asked anew: it changes in another thread."""
    return journal.is_full


def large_and_damaged(folder: Path, monkeypatch: pytest.MonkeyPatch, *pages: int) -> bytes:
    """A journal that passes for one too large to be looked through, with pages of rubbish."""
    with writing(folder) as (journal, loop):
        key, hears = journal.start_session(start_of()), Listener()
        for number in range(3000):
            say(journal, key, hears, number)
        loop.run_until_recorded(journal)
        journal.end_session(key, an_end())
    path = folder / FILE_NAME
    monkeypatch.setattr(journal_schema, "CHECKED_WHOLE", 0)
    content = bytearray(path.read_bytes())
    for page in pages or range(20, len(content) // 4096):
        content[page * 4096 : (page + 1) * 4096] = os.urandom(4096)
    path.write_bytes(content)
    return bytes(content)


def is_set_aside_by_the_next_start(folder: Path, content: bytes) -> bool:
    with writing(folder) as (journal, loop):
        assert not suspicion(folder / FILE_NAME).exists()
        say(journal, journal.start_session(start_of()), Listener(), 1)
        loop.run_until_recorded(journal)
        aside = journal.set_aside
    return aside is not None and aside.kept_as.read_bytes() == content


def test_large_journal_that_shows_its_damage_at_the_start_is_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = large_and_damaged(tmp_path, monkeypatch)
    assert is_set_aside_by_the_next_start(tmp_path, content)


def test_damage_that_is_met_in_a_large_journal_is_mended_by_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large_and_damaged(tmp_path, monkeypatch, 20, 21, 22)
    clock = Clock(NOW + 10_000)
    with writing(tmp_path, wall_clock=clock, clock=clock, keep=1) as (journal, _):
        assert journal.set_aside is None
        wait_until(lambda: "damaged" in journal.trouble)
    content = (tmp_path / FILE_NAME).read_bytes()
    assert is_set_aside_by_the_next_start(tmp_path, content)


def test_full_journal_says_so_and_leaves_refusals_out(tmp_path: Path) -> None:
    limits = Limits(unrecorded_rows=10, unrecorded_bytes=1000)
    with writing(tmp_path, limits=limits) as (journal, loop):
        key = journal.start_session(start_of())
        loop.run_until_recorded(journal)
        assert not is_full(journal)
        # Nobody runs the loop: for it, nothing is recorded yet.
        for number in range(9):
            journal.refuse(a_refusal(f"r{number}"))
        assert not is_full(journal)
        journal.refuse(a_refusal("r9"))
        assert is_full(journal)
        journal.refuse(a_refusal("r10"))
        assert journal.left_out == 1
        loop.run_until_recorded(journal)
        assert not is_full(journal)
        journal.record(key, OTHER, b"x" * 1000, None, None)
        assert is_full(journal)
        assert journal.waiting == (1, 1000)
        journal.refuse(a_refusal("r11"))
        assert journal.left_out == 2
        loop.run_until_recorded(journal)
        assert not is_full(journal)
    found = rows(tmp_path, "SELECT request_id FROM refusals ORDER BY sequence")
    assert found == [(f"r{number}",) for number in range(10)]


@pytest.mark.parametrize("alone", [True, False])
def test_row_that_cannot_be_written_is_left_out_and_stops_nothing(
    tmp_path: Path, alone: bool
) -> None:
    with writing(tmp_path) as (journal, loop):
        key, hears, poisoner = journal.start_session(start_of()), Listener(), Listener()
        loop.run_until_recorded(journal)
        with held_file(tmp_path):  # so that all of it is one group
            said = [] if alone else [say(journal, key, hears, number) for number in range(3)]
            journal.record(key, 2**64, b'{"poison":1}', 7, poisoner)
            journal.record(key, TELEMETRY, b'{"id":8}', 8, poisoner)
            if not alone:
                journal.start_session(start_of("\ud800"))
                said += [say(journal, key, hears, number) for number in range(3, 6)]
        loop.run_until_recorded(journal)
        assert (journal.trouble, journal.waiting) == ("", (0, 0))
        assert (poisoner.rows, poisoner.ids) == (2, [8])
        assert len(hears.ids) == len(said)
        say(journal, journal.start_session(start_of("porch")), hears, 9)
        loop.run_until(lambda: 9 in hears.ids)
        faults = {type(fault) for fault in loop.faults}
        assert faults == {OverflowError} if alone else {OverflowError, UnicodeEncodeError}
    assert [body for body in bodies(tmp_path) if body != '{"id":8}'][:-1] == said
    # Numbers that were given up are nobody else's.
    query = "SELECT s.device, m.id FROM messages m JOIN sessions s ON m.session = s.sequence"
    assert ("porch", 9) in rows(tmp_path, query)
    assert ("kitchen", 9) not in rows(tmp_path, query)


def test_message_of_a_session_that_was_left_out_is_nobody_elses(tmp_path: Path) -> None:
    with writing(tmp_path) as (journal, loop):
        lost, hears = journal.start_session(start_of("\udcff")), Listener()
        loop.run_until(lambda: loop.faults)
        other = journal.start_session(start_of("other"))
        say(journal, lost, hears, 1)
        say(journal, other, hears, 2)
        journal.end_session(lost, an_end())
        loop.run_until(lambda: hears.rows == 2)
    assert hears.ids == [2]
    query = "SELECT m.id FROM messages m JOIN sessions s ON m.session = s.sequence"
    assert rows(tmp_path, query) == [(2,)]


def test_row_that_sqlite_refuses_is_left_out_too(tmp_path: Path) -> None:
    with writing(tmp_path) as (journal, loop):
        key, hears = journal.start_session(start_of()), Listener()
        journal.end_session(key, an_end(closed_by="nobody"))
        say(journal, key, hears, 1)
        loop.run_until(lambda: hears.ids)
        (fault,) = loop.faults
        assert isinstance(fault, LocalError)
        assert fault.code == "unfit"
    assert len(bodies(tmp_path)) == 1


def test_fault_at_one_sender_is_told_and_not_for_the_others_to_suffer(tmp_path: Path) -> None:
    class Broken(Listener):
        def recorded(self, rows: int, size: int, ids: Sequence[MessageId]) -> None:
            raise ZeroDivisionError

    with writing(tmp_path) as (journal, loop):
        key, hears = journal.start_session(start_of()), Listener()
        with held_file(tmp_path):
            say(journal, key, Broken(), 1)
            say(journal, key, hears, 2)
        loop.run_until_recorded(journal)
        assert hears.ids == [2]
        loop.run_until(lambda: loop.faults)
        assert [type(fault) for fault in loop.faults] == [ZeroDivisionError]
        assert journal.waiting == (0, 0)


# Keeping it small, beside the writing


def test_old_rows_go_while_new_ones_come(tmp_path: Path) -> None:
    clock = Clock()
    steps: list[float] = []
    options: dict[str, Any] = {"keep": 3600, "on_step": steps.append}
    options |= {"wall_clock": clock, "clock": clock}  # one as steady as the other
    with writing(tmp_path, **options) as (journal, loop):
        key, hears = journal.start_session(start_of()), Listener()
        for hour in range(4):
            clock.milliseconds = NOW + hour * 3_600_000
            for number in range(1000):
                say(journal, key, hears, hour * 1000 + number)
            loop.run_until_recorded(journal)
        wait_until(lambda: rows(tmp_path, "SELECT min(id) >= 1000 FROM messages") == [(1,)])
        assert journal.trouble == ""
    assert rows(tmp_path, "SELECT max(id) FROM messages") == [(3999,)]
    assert steps
    assert all(0 < took < PATIENCE for took in steps)


def wait_until(is_true: Callable[[], object]) -> None:
    """Look now and then at what another thread does in its own time."""
    never = threading.Event()
    for _ in range(int(PATIENCE * 50)):
        if is_true():
            return
        never.wait(0.02)
    pytest.fail("it did not come true")


def test_picture_that_cannot_be_deleted_is_trouble_and_holds_no_ack_up(tmp_path: Path) -> None:
    with writing(tmp_path, pictures=PicturesKept(last=1)) as (journal, loop):
        key, hears = journal.start_session(start_of()), Listener()
        journal.record(key, PICTURE, JPEG, None, hears)
        loop.run_until_recorded(journal)
        path = tmp_path / PICTURES_FOLDER / picture_name(3)
        path.unlink()
        path.mkdir()
        journal.record(key, PICTURE, JPEG, None, hears)
        loop.run_until(lambda: hears.rows == 2)
        wait_until(lambda: "Is a directory" in journal.trouble)
        say(journal, key, hears, 1)
        loop.run_until(lambda: hears.ids == [1])
        path.rmdir()
        wait_until(lambda: not journal.trouble)


def test_fault_in_the_housework_is_told_once_and_stops_no_writing(tmp_path: Path) -> None:
    broken = threading.Event()

    def wall_clock() -> float:
        if broken.is_set() and threading.current_thread().name == "journal":
            raise ZeroDivisionError
        return NOW / 1000

    with writing(tmp_path, wall_clock=wall_clock) as (journal, loop):
        key, hears = journal.start_session(start_of()), Listener()
        broken.set()
        for number in range(3):
            say(journal, key, hears, number)
            loop.run_until(lambda: len(hears.ids) == number + 1)  # noqa: B023
        loop.run_until(lambda: loop.faults)
        assert "see the log" in journal.trouble
        broken.clear()
        wait_until(lambda: not journal.trouble)
    assert [type(fault) for fault in loop.faults] == [ZeroDivisionError]


# No secret, whatever they say


@pytest.mark.parametrize("first", ["w", r"\u0077"])
def test_token_is_nowhere_in_the_file(tmp_path: Path, first: str) -> None:
    token = first + new_token("pico")[1:]
    with writing(tmp_path, pictures=PicturesKept(last=1)) as (journal, loop):
        key, hears = journal.start_session(start_of()), Listener()
        for kind in range(1, 80):
            if kind not in {PICTURE, 14}:
                journal.record(key, kind, f'{{"a":"{token}"}}'.encode(), token, hears)
        loop.run_until_recorded(journal)
        assert (tmp_path / f"{FILE_NAME}-wal").stat().st_size
        assert token[9:].encode() not in bytes_on_disk(tmp_path)
    assert token[9:].encode() not in bytes_on_disk(tmp_path)


def test_files_are_for_this_user_only(tmp_path: Path) -> None:
    umask = os.umask(0)
    try:
        with writing(tmp_path, pictures=PicturesKept(last=1)) as (journal, loop):
            journal.record(journal.start_session(start_of()), PICTURE, JPEG, None, None)
            loop.run_until_recorded(journal)
            found = {stat.S_IMODE(p.stat().st_mode) for p in tmp_path.rglob("*") if p.is_file()}
            assert found == {0o600}
    finally:
        os.umask(umask)


# Any order of things


@dataclass
class Model:
    """What the journal should hold, in the order of the calls."""

    order: list[tuple[str, object]] = field(default_factory=list)
    acks: list[MessageId] = field(default_factory=list)
    said: dict[str, set[str]] = field(default_factory=dict)


class Both:
    """Does the same to a journal and to a model of it."""

    def __init__(self, journal: FileJournal, model: Model, hears: Listener) -> None:
        self._journal = journal
        self._model = model
        self._hears = hears
        self._there: list[tuple[SessionKey, str, list[str]]] = []
        self._has_spoken: set[str] = set()

    def start(self, device: str) -> None:
        session = f"s{len(self._model.order)}"
        key = self._journal.start_session(start_of(device, session))
        self._there.append((key, session, [device]))
        self._model.order.append(("start", session))

    def refuse(self) -> None:
        request = f"r{len(self._model.order)}"
        self._journal.refuse(a_refusal(request))
        self._model.order.append(("refusal", request))

    def end(self, who: int) -> None:
        if self._there:
            key, session, _ = self._there.pop(who % len(self._there))
            self._journal.end_session(key, an_end(session))
            self._model.order.append(("end", session))

    def rename(self, who: int, name: str) -> None:
        if self._there:
            key, session, names = self._there[who % len(self._there)]
            # Who has two names is known by the one or the other.
            if session not in self._has_spoken:
                self._journal.rename_session(key, name)
                names.append(name)

    def mumble(self, who: int, text: str) -> None:
        if self._there:
            key, _, _ = self._there[who % len(self._there)]
            self._journal.record(key, OTHER, text.encode(), None, self._hears)
            self._model.order.append(("message", text))

    def say(self, who: int, number: int) -> None:
        if self._there:
            key, session, names = self._there[who % len(self._there)]
            self._has_spoken.add(session)
            text = say(self._journal, key, self._hears, number)
            self._model.acks.append(number)
            known = self._model.said.setdefault(names[-1], set())
            if text not in known:
                known.add(text)
                self._model.order.append(("message", text))

    def end_all(self) -> None:
        while self._there:
            self.end(0)


who = st.integers(0, 9)
devices = st.sampled_from(["one", "two"])
calls = st.lists(
    st.one_of(
        st.tuples(st.just(Both.start), devices),
        st.tuples(st.just(Both.say), who, st.integers(0, 5)),
        st.tuples(st.just(Both.rename), who, devices),
        st.tuples(st.just(Both.mumble), who, st.text(max_size=3)),
        st.tuples(st.just(Both.end), who),
        st.tuples(st.just(Both.refuse)),
    ),
    max_size=30,
)


@examples(max_examples=40)
@given(runs_of_calls=st.lists(calls, min_size=1, max_size=3))
def test_any_sequence_of_calls_is_recorded_in_its_order(
    tmp_path_factory: pytest.TempPathFactory, runs_of_calls: list[list[tuple[Any, ...]]]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    model, hears = Model(), Listener()
    for wanted in runs_of_calls:
        with writing(folder) as (journal, loop):
            model.order.append(("run", "started"))
            both = Both(journal, model, hears)
            for call, *arguments in wanted:
                call(both, *arguments)
            both.end_all()
            loop.run_until_recorded(journal)
        model.order.append(("run", "stopped"))
        assert not loop.faults
    assert hears.ids == model.acks
    assert in_order(folder) == model.order


def in_order(folder: Path) -> list[tuple[str, object]]:
    """All that is in the journal, by its numbers."""
    found = rows(
        folder,
        "SELECT sequence, 'run', 'started' FROM runs"
        " UNION ALL SELECT end_sequence, 'run', how FROM runs"
        " UNION ALL SELECT sequence, 'start', session FROM sessions"
        " UNION ALL SELECT end_sequence, 'end', reason FROM sessions WHERE session = reason"
        " UNION ALL SELECT sequence, 'refusal', request_id FROM refusals"
        " UNION ALL SELECT sequence, 'message', body FROM messages ORDER BY 1",
    )
    assert [number for number, _, _ in found] == list(range(1, len(found) + 1))
    return [(word, what) for _, word, what in found]


# What an operator or a disk may do


@pytest.mark.parametrize("what", ["removed", "replaced"])
def test_nothing_is_acknowledged_into_a_file_that_nobody_finds(tmp_path: Path, what: str) -> None:
    journal, loop = FileJournal(tmp_path), Loop()
    journal.start(loop)
    key, hears = journal.start_session(start_of()), Listener()
    loop.run_until_recorded(journal)
    path = tmp_path / FILE_NAME
    if what == "replaced":
        path.with_name("new").write_bytes(path.read_bytes())
        path.with_name("new").rename(path)
    else:
        path.unlink()
    say(journal, key, hears, 1)
    wait_until(lambda: "removed or replaced" in journal.trouble)
    assert journal.close() > 0
    assert not hears.rows


def test_session_that_was_quiet_for_long_is_lost_with_its_last_message(tmp_path: Path) -> None:
    journal, loop = FileJournal(tmp_path, full_sync=False), Loop()
    journal.start(loop)
    quiet, hears = journal.start_session(start_of("quiet")), Listener()
    text = say(journal, quiet, hears, 1)
    busy = journal.start_session(start_of("busy"))
    for number in range(2 * NOTE_AFTER + GROUP_ROWS):
        journal.record(busy, OTHER, b"", None, None)
        if number % 10_000 == 0:
            loop.run_until_recorded(journal)
    loop.run_until_recorded(journal)
    with (tmp_path / FILE_NAME).open("rb"):  # as a crash leaves it: a copy of the open files
        copy = tmp_path / "copy"
        copy.mkdir()
        for name in (FILE_NAME, f"{FILE_NAME}-wal"):
            (copy / name).write_bytes((tmp_path / name).read_bytes())
    journal.close()

    with writing(copy) as (after, loop):
        assert after.lost_sessions == 2
        again = after.start_session(start_of("quiet"))
        after.record(again, TELEMETRY, text.encode(), 1, hears)
        loop.run_until(lambda: hears.ids == [1, 1])
    last = "SELECT last_message FROM sessions WHERE device = 'quiet' ORDER BY sequence"
    assert rows(copy, last)[0] == (4,) or rows(copy, last)[0] == (3,)
    assert len(rows(copy, "SELECT 1 FROM messages WHERE id = 1")) == 1


def test_device_without_a_name_is_known_within_its_session(tmp_path: Path) -> None:
    with writing(tmp_path) as (journal, loop):
        hears = Listener()
        key = journal.start_session(start_of("pico-1", has_name=False))
        text = say(journal, key, hears, 1)
        journal.record(key, TELEMETRY, text.encode(), 1, hears)
        journal.rename_session(key, "kitchen")
        journal.record(key, TELEMETRY, text.encode(), 1, hears)
        later = journal.start_session(start_of("pico-2", has_name=False))
        journal.record(later, TELEMETRY, text.encode(), 1, hears)
        loop.run_until(lambda: hears.ids == [1] * 4)
    # Who the second one is, nobody can know.
    assert bodies(tmp_path) == [text, text]


def test_names_that_are_made_up_do_not_crowd_out_what_devices_said(tmp_path: Path) -> None:
    with writing(tmp_path) as (journal, loop):
        for number in range(50):
            key = journal.start_session(start_of(f"pico-{number}", has_name=False))
            say(journal, key, Listener(), number)
        loop.run_until_recorded(journal)
        assert not journal._windows._windows


@pytest.mark.from_source
def test_writer_that_ends_is_trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal, loop = FileJournal(tmp_path), Loop()

    def end(*_: object) -> None:
        raise SystemExit

    monkeypatch.setattr(journal, "_keep_house", end)
    journal.start(loop)
    wait_until(lambda: "writer has ended" in journal.trouble)
    journal.close()


def test_pictures_that_cannot_be_kept_hold_no_ack_up(tmp_path: Path) -> None:
    (tmp_path / PICTURES_FOLDER).write_text("in the way")
    with writing(tmp_path, pictures=PicturesKept(last=1)) as (journal, loop):
        key, hears = journal.start_session(start_of()), Listener()
        journal.record(key, PICTURE, JPEG, None, hears)
        say(journal, key, hears, 1)
        loop.run_until(lambda: hears.rows == 2)
        assert "pictures cannot be kept" in journal.trouble
        (tmp_path / PICTURES_FOLDER).unlink()
        journal.record(key, PICTURE, JPEG, None, hears)
        loop.run_until(lambda: hears.rows == 3)
        assert not journal.trouble
    kept = rows(tmp_path, "SELECT picture IS NULL FROM messages WHERE sha256 IS NOT NULL")
    assert kept == [(1,), (0,)]


def test_pictures_of_a_journal_that_is_set_aside_are_kept(tmp_path: Path) -> None:
    with writing(tmp_path, pictures=PicturesKept(last=5)) as (journal, loop):
        journal.record(journal.start_session(start_of()), PICTURE, JPEG, None, None)
        loop.run_until_recorded(journal)
    (tmp_path / FILE_NAME).unlink()
    with writing(tmp_path) as (journal, _):
        assert journal.pictures_aside is not None
        assert [path.read_bytes() for path in journal.pictures_aside.iterdir()] == [JPEG]
    with writing(tmp_path) as (journal, _):
        assert journal.pictures_aside is None


def test_damage_in_what_a_device_said_before_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> list[int]:
        raise JournalError("damaged", code="damaged")

    with writing(tmp_path) as (journal, loop):
        monkeypatch.setattr(journal._file.tail, "resendable", fail)
        key, hears = journal.start_session(start_of()), Listener()
        say(journal, key, hears, 1)
        loop.run_until(lambda: hears.ids == [1])
    assert suspicion(tmp_path / FILE_NAME).exists()
