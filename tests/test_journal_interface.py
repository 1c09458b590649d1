"""The contract of a journal, held to each that there is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from journal_bench import (
    OTHER,
    TELEMETRY,
    Listener,
    Loop,
    a_refusal,
    an_end,
    start_of,
    writing,
)

from benchmarks.unjournalled import NoJournal
from wsdev.journal_interface import Journal

Open = Callable[[Path], AbstractContextManager[tuple[Journal, Loop]]]


@contextmanager
def none(_: Path) -> Iterator[tuple[Journal, Loop]]:
    journal, loop = NoJournal(), Loop()
    journal.start(loop)
    yield journal, loop


@pytest.fixture(params=[writing, none])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Journal, Loop]]:
    with request.param(tmp_path) as pair:
        yield pair


def test_each_sender_is_told_of_its_own_messages(opened: tuple[Journal, Loop]) -> None:
    journal, loop = opened
    one, other = Listener(), Listener()
    keys = [journal.start_session(start_of(device)) for device in ("one", "other")]
    journal.record(keys[0], TELEMETRY, b"{}", 1, one)
    journal.record(keys[1], TELEMETRY, b"[]", "b", other)
    journal.record(keys[0], TELEMETRY, b"{ }", None, one)
    journal.record(keys[0], OTHER, b"{  }", 4, one)
    loop.run_until(lambda: one.rows == 3 and other.rows == 1)
    assert (one.ids, one.size) == ([1], 9)
    assert (other.ids, other.size) == (["b"], 2)


def test_no_sender_is_told_within_the_call(opened: tuple[Journal, Loop]) -> None:
    journal, loop = opened
    hears = Listener()
    key = journal.start_session(start_of())
    journal.record(key, TELEMETRY, b"{}", 1, hears)
    assert not hears.rows
    loop.run_until(lambda: hears.rows)


def test_call_for_later_comes_after_the_acks_of_what_was_before(
    opened: tuple[Journal, Loop],
) -> None:
    journal, loop = opened
    hears, seen = Listener(), []
    key = journal.start_session(start_of())
    for number in range(10):
        journal.record(key, TELEMETRY, b"{%d}" % number, number, hears)
    journal.when_recorded(lambda: seen.append(list(hears.ids)))
    loop.run_until(lambda: seen)
    assert seen == [list(range(10))]


def test_all_else_is_taken_in_silence(opened: tuple[Journal, Loop]) -> None:
    journal, loop = opened
    key = journal.start_session(start_of())
    journal.rename_session(key, "porch")
    journal.note_version(key, "1.4.2")
    journal.refuse(a_refusal())
    journal.end_session(key, an_end())
    done: list[bool] = []
    journal.when_recorded(lambda: done.append(True))
    loop.run_until(lambda: done)
    assert (journal.trouble, journal.is_full, journal.left_out) == ("", False, 0)
    assert journal.waiting == (0, 0)
