"""Which entries are wanted, and which parts of the journal need a look for them."""

from __future__ import annotations

import re
from ipaddress import ip_network
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_journal import START, MadeJournal, made_journal

from wsdev.journal_entries import RefusalEntry
from wsdev.journal_query import (
    LAST,
    Range,
    Wanted,
    clip,
    make_sources,
    session_ranges,
    time_ranges,
    union,
)
from wsdev.journal_reader import JournalReader

RANGES = st.lists(
    st.tuples(st.integers(1, 60), st.integers(0, 12)).map(lambda pair: (pair[0], sum(pair))),
    max_size=8,
).map(sorted)


def numbers(ranges: list[Range]) -> set[int]:
    return {number for low, high in ranges for number in range(low, high + 1)}


@given(RANGES)
def test_union_has_the_same_numbers_in_separate_ranges(ranges: list[Range]) -> None:
    joined = union(ranges)
    assert numbers(joined) == numbers(ranges)
    assert all(before[1] + 1 < after[0] for before, after in pairwise(joined))


def test_union_leaves_empty_ranges_out() -> None:
    assert union([(1, 0), (5, 4), (7, 7)]) == [(7, 7)]


@given(RANGES, st.integers(1, 60), st.integers(0, 30))
def test_clip_is_the_smallest_range_with_all_that_is_inside(
    ranges: list[Range], low: int, length: int
) -> None:
    joined = union(ranges)
    inside = numbers(joined) & set(range(low, low + length + 1))
    found = clip(joined, low, low + length)
    assert found == ((min(inside), max(inside)) if inside else None)


def refusal(path: str | None) -> RefusalEntry:
    return RefusalEntry(1, 0, "refused", "id", "192.0.2.1", None, path, "code", 401, None, None)


@pytest.mark.parametrize("path", ["/ws/pico", "/ws/pico/", "/ws/pico?token=wsd_…"])
def test_refusal_is_of_the_class_in_its_path(path: str) -> None:
    assert Wanted(device_classes=frozenset({"pico"})).fits(refusal(path))


@pytest.mark.parametrize("path", [None, "", "/", "/ws/pico2", "/ws/esp32cam", "/x/ws/pico"])
def test_refusal_with_another_path_is_of_no_such_class(path: str | None) -> None:
    assert not Wanted(device_classes=frozenset({"pico"})).fits(refusal(path))


def test_pattern_must_be_found_somewhere() -> None:
    assert Wanted(pattern=re.compile("^/ws/", re.MULTILINE)).fits(refusal("/ws/pico"))
    assert not Wanted(pattern=re.compile("^ws/", re.MULTILINE)).fits(refusal("/ws/pico"))


def sources_of(wanted: Wanted, journal: MadeJournal) -> list[str]:
    with JournalReader(journal.folder) as reader, reader.reading() as db:
        return [source.name for source in make_sources(db, wanted)[0]]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Wanted(), "messages starts ends refusals commands run_starts run_ends"),
        (Wanted(kinds=frozenset({"message"})), "messages"),
        (Wanted(kinds=frozenset({"command"})), "commands"),
        (Wanted(devices=frozenset({"kitchen"})), "messages starts ends commands"),
        (Wanted(session="c0ffee"), "messages starts ends commands"),
        (Wanted(device_classes=frozenset({"pico"})), "messages starts ends refusals"),
        (Wanted(networks=frozenset({ip_network("192.0.2.0/24")})), "messages starts ends refusals"),
        (Wanted(request_id="c0ffee"), "starts ends refusals"),
        (Wanted(kinds=frozenset({"message"}), request_id="c0ffee"), ""),
    ],
)
def test_only_tables_that_can_have_what_is_wanted_are_read(
    tmp_path: Path, wanted: Wanted, expected: str
) -> None:
    with made_journal(tmp_path) as journal:
        assert sources_of(wanted, journal) == expected.split()


def test_time_leads_to_blocks_also_when_the_clock_jumped_back(tmp_path: Path) -> None:
    with made_journal(tmp_path) as journal:
        session = journal.connect()
        journal.messages(session, 2000)
        first_hour = journal.last
        journal.now += 3_600_000
        journal.messages(session, 2000)
        later = journal.last
        journal.now = START
        journal.messages(session, 2000)
        journal.messages(session, 2000)
        with JournalReader(tmp_path) as reader, reader.reading() as db:
            everything = time_ranges(db, Wanted())
            late = time_ranges(db, Wanted(since=START + 3_600_000))
            early = time_ranges(db, Wanted(until=START + 60_000))
    assert everything == [(1, LAST)]
    assert clip(late, first_hour + 1, later) == (first_hour + 1, later)
    assert clip(late, later + 1, later + 2000) is None
    assert clip(early, first_hour + 1, later) is None
    assert clip(early, later + 1, later + 2000) is not None
    assert late[-1][1] == early[-1][1] == LAST  # the last block grows


def test_journal_without_blocks_is_looked_through_whole(tmp_path: Path) -> None:
    with made_journal(tmp_path), JournalReader(tmp_path) as reader, reader.reading() as db:
        assert time_ranges(db, Wanted(since=1)) == [(1, LAST)]


def test_messages_are_looked_for_where_their_sessions_have_some(tmp_path: Path) -> None:
    with made_journal(tmp_path) as journal:
        silent = journal.connect("kitchen")
        journal.disconnect(silent)
        short = journal.connect("kitchen")
        message = journal.message(short)
        journal.disconnect(short, message)
        journal.connect("other")
        still_open = journal.connect("kitchen")
        wanted = Wanted(devices=frozenset({"kitchen"}))
        with JournalReader(tmp_path) as reader, reader.reading() as db:
            _, values = make_sources(db, wanted)
            found = session_ranges(db, wanted, values, journal.last)
    assert found == [(short, message), (still_open, LAST)]
