"""Reading the journal: order, choice, the end of it, beside a writer, and what follows."""

from __future__ import annotations

import contextlib
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from hashlib import sha256
from ipaddress import ip_address, ip_network
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from harness import AS_NOBODY, is_root
from hypothesis import given, settings
from hypothesis import strategies as st
from made_journal import START, MadeJournal, made_journal

from wsdev.errors import JournalError
from wsdev.journal_entries import (
    Entry,
    GatewayEntry,
    MessageEntry,
    RefusalEntry,
    SessionEntry,
)
from wsdev.journal_query import Wanted
from wsdev.journal_reader import JournalReader


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[MadeJournal]:
    with made_journal(tmp_path) as made:
        yield made


@pytest.fixture
def reader(journal: MadeJournal) -> Iterator[JournalReader]:
    with JournalReader(journal.folder) as opened:
        yield opened


def read(reader: JournalReader, wanted: Wanted = Wanted(), **span: int) -> list[Entry]:  # noqa: B008
    return [entry for page in reader.entries(wanted, **span) for entry in page.entries]


def numbers(entries: list[Entry]) -> list[int]:
    return [entry.sequence for entry in entries]


# What there is


def test_everything_comes_in_the_order_of_its_numbers(
    journal: MadeJournal, reader: JournalReader
) -> None:
    journal.start()
    session = journal.connect()
    journal.refuse()
    journal.now = START - 86_400_000  # the clock is set back a day
    last = journal.message(session)
    journal.disconnect(session, last)
    journal.stop()
    found = read(reader)
    assert numbers(found) == [1, 2, 3, 4, 5, 6]
    assert [(entry.kind, entry.event) for entry in found] == [
        ("gateway", "started"),
        ("session", "connected"),
        ("refusal", "refused"),
        ("message", "telemetry"),
        ("session", "disconnected"),
        ("gateway", "stopped"),
    ]


def test_session_is_told_whole_at_its_end(journal: MadeJournal, reader: JournalReader) -> None:
    session = journal.connect(via="203.0.113.1", user_agent="uP", token="t-1")
    journal.disconnect(session, code=4408)
    start, end = read(reader)
    name = f"{session:012x}"
    assert start == SessionEntry(
        1, START, "connected", name, "kitchen", "pico", "192.0.2.7", "203.0.113.1", "uP", "t-1"
    )
    assert end == SessionEntry(
        2, START + 1000, "disconnected", name, "kitchen", "pico", "192.0.2.7", "203.0.113.1", "uP",
        "t-1", 4408, "bye", "peer", 62.4, 12, 3456, 3, 210, 0.0123,
    )  # fmt: skip


def test_refusal_and_run_are_told_whole(journal: MadeJournal, reader: JournalReader) -> None:
    journal.start("9.9")
    request = journal.refuse(via="203.0.113.1", token_tail="abcd", user_agent="curl")
    started, refused = read(reader)
    assert started == GatewayEntry(1, START, "started", "9.9")
    assert refused == RefusalEntry(
        2, START + 1000, "refused", request, "198.51.100.9", "203.0.113.1", "/ws/pico",
        "token_mistyped", 401, "abcd", "curl",
    )  # fmt: skip


@pytest.mark.parametrize("message_id", [None, "a-1", 7, -(2**62)])
def test_message_has_its_session_and_its_exact_body(
    journal: MadeJournal, reader: JournalReader, message_id: str | int | None
) -> None:
    session = journal.connect()
    body = '{"note":"ü\u202e\\u0000"}\n'
    journal.message(session, "log", body, message_id)
    message = read(reader)[-1]
    assert message == MessageEntry(
        2, START + 1000, "log", "in", f"{session:012x}", "kitchen", "pico", "192.0.2.7",
        message_id, body, len(body.encode()), False, None, None,
    )  # fmt: skip
    assert isinstance(message, MessageEntry)
    assert type(message.id) is type(message_id)


def test_message_to_a_device_is_told_from_one_of_it(
    journal: MadeJournal, reader: JournalReader
) -> None:
    journal.message(journal.connect(), "command")
    message = read(reader)[-1]
    assert isinstance(message, MessageEntry)
    assert (message.event, message.direction) == ("command", "out")


def test_cut_message_says_how_long_it_was(journal: MadeJournal, reader: JournalReader) -> None:
    journal.cut(journal.connect(), "beginn", 70_000)
    message = read(reader)[-1]
    assert isinstance(message, MessageEntry)
    assert (message.body, message.size, message.cut) == ("beginn", 70_000, True)


def test_picture_has_its_file_while_that_is_there(
    journal: MadeJournal, reader: JournalReader
) -> None:
    session = journal.connect("camera", "esp32cam")
    kept = journal.picture(session, b"one")
    journal.picture(session, b"two", kept=False)
    first, second = read(reader)[1:]
    assert isinstance(first, MessageEntry)
    assert isinstance(second, MessageEntry)
    assert (first.picture, second.picture) == (str(kept), None)
    assert (first.body, first.size, first.cut) == (None, 3, False)
    assert first.sha256 == sha256(b"one").hexdigest()


def test_kind_of_a_later_version_is_shown_by_its_number(
    journal: MadeJournal, reader: JournalReader
) -> None:
    session = journal.connect()
    with journal.file.writing():
        journal.file.add_messages([(2, session, START, 40, None, "{}")])
    assert read(reader)[-1].event == "kind-40"


def test_message_whose_session_is_gone_is_shown_all_the_same(
    journal: MadeJournal, reader: JournalReader
) -> None:
    journal.message(99)
    (message,) = read(reader)
    assert isinstance(message, MessageEntry)
    assert message.device is None


def test_empty_journal_has_nothing(reader: JournalReader) -> None:
    assert read(reader) == []
    assert reader.last_sequence() == 0
    assert reader.start_of_last(Wanted(), 5, 0) == 1


def test_devices_are_named_once(journal: MadeJournal, reader: JournalReader) -> None:
    assert reader.devices() == []
    for name in ("yard", "kitchen", "yard"):
        journal.connect(name)
    assert reader.devices() == ["kitchen", "yard"]


# What is wanted


@pytest.fixture
def busy(journal: MadeJournal) -> MadeJournal:
    journal.start()  # 1
    kitchen = journal.connect("kitchen", "pico", "192.0.2.7")  # 2
    garden = journal.connect("garden", "esp32cam", "2001:db8::7")  # 3
    journal.refuse(address="192.0.2.8", path="/ws/pico")  # 4
    journal.refuse(address="not an address", path="/ws/esp32cam")  # 5
    journal.message(kitchen, body='{"t":21}')  # 6
    journal.message(garden, "command", '{"action":"Capture"}')  # 7
    journal.disconnect(kitchen, 6)  # 8
    journal.message(garden, "log", '{"message":"dark"}', "m-1")  # 9
    return journal


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Wanted(kinds=frozenset({"gateway"})), [1]),
        (Wanted(kinds=frozenset({"session", "refusal"})), [2, 3, 4, 5, 8]),
        (Wanted(devices=frozenset({"kitchen"})), [2, 6, 8]),
        (Wanted(devices=frozenset({"Kitchen"})), []),
        (Wanted(devices=frozenset({"kitchen", "garden"})), [2, 3, 6, 7, 8, 9]),
        (Wanted(device_classes=frozenset({"pico", "esp32cam"})), [2, 3, 4, 5, 6, 7, 8, 9]),
        (Wanted(networks=frozenset(map(ip_network, ("192.0.2.8", "2001:db8::/32")))), [3, 4, 7, 9]),
        (Wanted(device_classes=frozenset({"pico"})), [2, 4, 6, 8]),
        (Wanted(device_classes=frozenset({"esp32cam"}), kinds=frozenset({"message"})), [7, 9]),
        (Wanted(networks=frozenset({ip_network("192.0.2.0/24")})), [2, 4, 6, 8]),
        (Wanted(networks=frozenset({ip_network("192.0.2.7")})), [2, 6, 8]),
        (Wanted(networks=frozenset({ip_network("2001:db8::/32")})), [3, 7, 9]),
        (
            Wanted(devices=frozenset({"garden"}), networks=frozenset({ip_network("192.0.2.0/24")})),
            [],
        ),
        (Wanted(since=START + 5000), [6, 7, 8, 9]),
        (Wanted(until=START + 5000), [1, 2, 3, 4, 5]),
        (Wanted(since=START + 2000, until=START + 3000), [3]),
        (Wanted(pattern=re.compile("garden")), [3, 7, 9]),
        (Wanted(pattern=re.compile("capture")), []),
        (Wanted(pattern=re.compile("capture", re.IGNORECASE)), [7]),
        (Wanted(pattern=re.compile("^m-1$", re.MULTILINE)), [9]),
        (Wanted(request_id="000000000002"), [2, 8]),
        (Wanted(request_id="r00000000005"), [5]),
        (Wanted(request_id="nobody"), []),
        (Wanted(session="000000000003"), [3, 7, 9]),
        (Wanted(session="000000000002", since=START + 5000), [6, 8]),
        (Wanted(session="nobody"), []),
    ],
)
def test_only_what_is_wanted_is_read(
    busy: MadeJournal, reader: JournalReader, wanted: Wanted, expected: list[int]
) -> None:
    assert numbers(read(reader, wanted)) == expected


def test_of_sessions_only_the_broken_can_be_read(
    journal: MadeJournal, reader: JournalReader
) -> None:
    for code in (1000, 1001, 1005, 1006, 1012, 3000, 4409):  # ends 2, 4, 6, 8, 10, 12, 14
        journal.disconnect(journal.connect(), code=code)
    journal.connect()  # 15
    with journal.file.writing():
        journal.file.lose_open(16)
    wanted = Wanted(kinds=frozenset({"session"}), broken_only=True)
    assert numbers(read(reader, wanted)) == [8, 14, 16]


def test_what_broke_before_its_request_has_no_status(
    journal: MadeJournal, reader: JournalReader
) -> None:
    journal.broke("no_request")
    (broken,) = read(reader)
    assert isinstance(broken, RefusalEntry)
    assert (broken.event, broken.code, broken.status) == ("broken", "no_request", None)


def test_renamed_device_is_found_by_its_last_name(
    journal: MadeJournal, reader: JournalReader
) -> None:
    session = journal.connect("kitchen")
    journal.message(session)
    with journal.file.writing():
        journal.file.rename_session(session, "kitchen-2")
    assert numbers(read(reader, Wanted(devices=frozenset({"kitchen-2"})))) == [1, 2]
    assert read(reader, Wanted(devices=frozenset({"kitchen"}))) == []


def test_part_of_the_journal_can_be_read(busy: MadeJournal, reader: JournalReader) -> None:
    assert numbers(read(reader, first=4, last=6)) == [4, 5, 6]
    assert numbers(read(reader, first=8, last=1000)) == [8, 9]
    assert read(reader, first=10) == []


def test_last_ones_are_found_from_the_end(busy: MadeJournal, reader: JournalReader) -> None:
    assert reader.start_of_last(Wanted(), 2, 9) == 8
    assert reader.start_of_last(Wanted(devices=frozenset({"kitchen"})), 2, 9) == 6
    assert reader.start_of_last(Wanted(), 50, 9) == 1
    assert reader.start_of_last(Wanted(), 0, 9) == 10
    assert reader.start_of_last(Wanted(), 1, 5) == 5


# A long journal


def test_long_journal_comes_in_pages_without_loss(
    journal: MadeJournal, reader: JournalReader
) -> None:
    session = journal.connect()
    for _ in range(5):
        journal.messages(session, 5000)
        journal.refuse()
    pages = list(reader.entries(Wanted()))
    assert [number for page in pages for number in numbers(page.entries)] == list(range(1, 25_007))
    assert max(len(page.entries) for page in pages) <= 2100
    assert [page.reached for page in pages] == sorted(page.reached for page in pages)
    assert pages[-1].reached == journal.last


def test_page_of_large_bodies_is_small(journal: MadeJournal, reader: JournalReader) -> None:
    journal.messages(journal.connect(), 50, body="x" * 500_000)
    pages = list(reader.entries(Wanted()))
    assert sum(len(page.entries) for page in pages) == 51
    assert max(len(page.entries) for page in pages) <= 10


def test_reading_holds_no_transaction_between_two_pages(
    journal: MadeJournal, reader: JournalReader
) -> None:
    session = journal.connect()
    journal.messages(session, 5000)
    pages = reader.entries(Wanted())
    next(pages)
    journal.messages(session, 5000)
    db = sqlite3.connect(journal.file.path)
    busy, _, _ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    db.close()
    assert not busy
    assert sum(len(page.entries) for page in pages)


def test_entries_end_with_what_there_was_at_the_beginning(
    journal: MadeJournal, reader: JournalReader
) -> None:
    session = journal.connect()
    journal.messages(session, 3000)
    pages = reader.entries(Wanted())
    next(pages)
    journal.messages(session, 3000)
    assert max(page.reached for page in pages) == 3001


def test_last_ones_of_a_device_that_left_long_ago_are_found(
    journal: MadeJournal, reader: JournalReader
) -> None:
    rare = journal.connect("rare")
    journal.disconnect(rare, journal.message(rare))
    journal.messages(journal.connect("chatty"), 60_000)
    wanted = Wanted(devices=frozenset({"rare"}))
    assert reader.start_of_last(wanted, 2, journal.last) == 2
    assert numbers(read(reader, wanted)) == [1, 2, 3]


def test_times_are_found_where_they_are_after_the_clock_jumped(
    journal: MadeJournal, reader: JournalReader
) -> None:
    session = journal.connect()
    journal.messages(session, 20_000)
    journal.now += 86_400_000
    journal.messages(session, 3)
    journal.now = START + 50_000
    journal.messages(session, 20_000)
    tomorrow = read(reader, Wanted(since=START + 86_400_000))
    assert numbers(tomorrow) == [20_002, 20_003, 20_004]
    assert len(read(reader, Wanted(since=START + 50_000))) == 20_003


def test_retention_at_work_leaves_a_session_that_is_still_open(
    journal: MadeJournal, reader: JournalReader
) -> None:
    session = journal.connect()
    journal.messages(session, 30_000)
    journal.now += 1_000_000
    journal.messages(session, 10)
    journal.forget(30_002)
    assert numbers(read(reader)) == [1, *range(30_002, 30_012)]
    assert numbers(read(reader, Wanted(until=START + 1000))) == [1]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["connect", "disconnect", "message", "many", "refuse", "jump"]),
        st.integers(0, 3),
    ),
    max_size=25,
)
WANTED = st.builds(
    Wanted,
    kinds=st.sets(st.sampled_from(["session", "refusal", "message"]), min_size=1).map(frozenset),
    devices=st.frozensets(st.sampled_from(["dev-0", "dev-1", "dev-9"]), max_size=2),
    device_classes=st.frozensets(st.sampled_from(["pico", "esp32cam"])),
    networks=st.frozensets(st.sampled_from([ip_network("192.0.2.0/31"), ip_network("192.0.2.3")])),
    since=st.sampled_from([None, START + 7000]),
    until=st.sampled_from([None, START + 40_000]),
)


def happen(journal: MadeJournal, steps: list[tuple[str, int]]) -> None:
    sessions: list[tuple[int, int | None]] = []
    for step, number in steps:
        if step == "connect":
            device_class = "esp32cam" if number == 3 else "pico"
            key = journal.connect(f"dev-{number}", device_class, f"192.0.2.{number}")
            sessions.append((key, None))
        elif step == "refuse":
            journal.refuse(address=f"192.0.2.{number}", path=f"/ws/{'x' if number else 'pico'}")
        elif step == "jump":
            journal.now = START + number * 20_000
        elif sessions:
            key, last = sessions.pop(number % len(sessions))
            if step == "disconnect":
                journal.disconnect(key, last)
                continue
            journal.messages(key, 700 if step == "many" else 1)
            sessions.append((key, journal.last))


def is_wanted(entry: Entry, wanted: Wanted) -> bool:
    """The choice in the words of the contract, on entries alone."""
    if entry.kind not in wanted.kinds:
        return False
    if wanted.since is not None and entry.time < wanted.since:
        return False
    if wanted.until is not None and entry.time >= wanted.until:
        return False
    if isinstance(entry, RefusalEntry):
        if wanted.devices:
            return False
        device_class = (entry.path or "").removeprefix("/ws/")
    else:
        assert isinstance(entry, SessionEntry | MessageEntry)
        if wanted.devices and entry.device not in wanted.devices:
            return False
        device_class = entry.device_class or ""
    if wanted.device_classes and device_class not in wanted.device_classes:
        return False
    address = ip_address(entry.address or "")
    return not wanted.networks or any(address in network for network in wanted.networks)


@settings(max_examples=60)
@given(STEPS, WANTED, st.integers(1, 40))
def test_any_choice_is_what_one_would_pick_from_all(
    steps: list[tuple[str, int]], wanted: Wanted, count: int
) -> None:
    with TemporaryDirectory() as folder, made_journal(Path(folder)) as journal:
        happen(journal, steps)
        with JournalReader(journal.folder) as reader:
            expected = [entry for entry in read(reader) if is_wanted(entry, wanted)]
            assert read(reader, wanted) == expected
            first = reader.start_of_last(wanted, count, journal.last)
            assert read(reader, wanted, first=first) == expected[-count:]


# Backups on a disk for reading only

COUNT = """
import errno, sys
from pathlib import Path
from wsdev.errors import WsdevError
from wsdev.journal_query import Wanted
from wsdev.journal_reader import JournalReader
{as_another_user}
try:
    with JournalReader(Path(sys.argv[1])) as reader:
        print(sum(len(page.entries) for page in reader.entries(Wanted())))
except WsdevError as error:
    print(error.code)
"""


@pytest.fixture
def backup() -> Iterator[Path]:
    """A folder that no one can write to, with a journal of 101 entries that all can read."""
    with TemporaryDirectory() as folder:
        with made_journal(Path(folder)) as journal:
            journal.messages(journal.connect(), 100)
        journal.file.path.chmod(0o444)
        Path(folder).chmod(0o555)
        yield Path(folder)
        Path(folder).chmod(0o755)


def entries_for_another_user(folder: Path) -> str:
    """How many entries one reads who may not write there, or the code of the error."""
    program = COUNT.format(as_another_user=AS_NOBODY if is_root() else "")
    command = [sys.executable, "-c", program, str(folder)]
    return subprocess.check_output(command, text=True).strip()


def test_journal_in_a_folder_that_cannot_be_written_is_read(backup: Path) -> None:
    assert {file.name for file in backup.iterdir()} == {"journal.db"}
    assert entries_for_another_user(backup) == "101"
    assert {file.name for file in backup.iterdir()} == {"journal.db"}


def test_what_is_no_journal_there_is_told(backup: Path) -> None:
    path = backup / "journal.db"
    path.chmod(0o644)
    path.write_bytes(b"something else " * 1000)
    assert entries_for_another_user(backup) == "damaged"
    path.chmod(0o000)
    assert entries_for_another_user(backup) == "state_folder"


def test_journal_with_a_wal_there_is_not_taken_for_one_that_stands_still(backup: Path) -> None:
    backup.chmod(0o755)
    with made_journal(backup) as journal:
        journal.message(1)
        journal.file.path.chmod(0o444)
        for tail in ("-wal", "-shm"):
            (backup / f"journal.db{tail}").chmod(0o444)
        backup.chmod(0o555)
        assert entries_for_another_user(backup) == "102"
        backup.chmod(0o755)


# The last session


def test_last_session_is_the_latest_to_begin(journal: MadeJournal, reader: JournalReader) -> None:
    first, second = journal.connect(), journal.connect()
    journal.connect("garden")
    assert reader.last_session("kitchen") == (
        "000000000002", "kitchen", START + 1000, second, None,
    )  # fmt: skip
    journal.disconnect(second)
    journal.disconnect(first)  # a link that was replaced ends after the new one has begun
    found = reader.last_session("kitchen")
    assert found is not None
    assert (found.first, found.last) == (second, 4)
    assert reader.last_session("nobody") is None


def test_last_session_of_an_id_or_a_time(journal: MadeJournal, reader: JournalReader) -> None:
    first = journal.connect()  # at 0 s
    journal.disconnect(first)  # 1 s
    second = journal.connect()  # 2 s

    def first_of(session: str | None = None, **window: int) -> int | None:
        found = reader.last_session("kitchen", session, **window)
        return found and found.first

    assert first_of("000000000001") == first
    assert first_of("no such") is None
    assert reader.last_session("garden", "000000000001") is None
    assert reader.last_session(None, "000000000003") == reader.last_session("kitchen")
    assert first_of(until=START + 2000) == first
    assert first_of(since=START + 1000, until=START + 2000) == first
    assert first_of(since=START + 1001, until=START + 2000) is None
    assert first_of(since=START + 99_000) == second  # it goes on
    assert first_of(until=START) is None


# Following


class Enough(Exception):
    """Nothing more will happen."""


class Waits:
    """Stands for the time between two looks: something happens in each, then it is enough."""

    def __init__(self, *happenings: Callable[[], object]) -> None:
        self.left = list(happenings)

    def __call__(self) -> None:
        if not self.left:
            raise Enough
        self.left.pop(0)()


def follow(reader: JournalReader, after: int, *happenings: Callable[[], object]) -> list[Entry]:
    found: list[Entry] = []
    with contextlib.suppress(Enough):
        for page in reader.follow(Wanted(), after, Waits(*happenings)):
            found += page.entries
    return found


def nothing() -> None:
    """Time passes."""


def test_following_gives_what_comes_once(journal: MadeJournal, reader: JournalReader) -> None:
    session = journal.connect()
    found = follow(
        reader,
        journal.last,
        nothing,
        lambda: journal.message(session),
        nothing,
        lambda: journal.messages(session, 3000),
        journal.refuse,
    )
    assert numbers(found) == list(range(2, 3004))


def test_what_came_before_the_first_look_is_not_missed(
    journal: MadeJournal, reader: JournalReader
) -> None:
    session = journal.connect()
    journal.message(session)
    assert numbers(follow(reader, session)) == [2]


def test_following_once_more_begins_with_what_is_there(
    journal: MadeJournal, reader: JournalReader
) -> None:
    session = journal.connect()
    assert numbers(follow(reader, 0)) == [session]
    assert numbers(follow(reader, 0)) == [session]


def test_following_goes_on_when_the_gateway_is_restarted(
    journal: MadeJournal, reader: JournalReader
) -> None:
    journal.start()
    again: list[MadeJournal] = []

    def restart() -> None:
        again.append(MadeJournal(journal.folder))
        again[0].now = journal.now
        again[0].start()

    found = follow(reader, 1, journal.stop, journal.close, restart, nothing)
    again[0].close()
    assert [(entry.sequence, entry.event) for entry in found] == [(2, "stopped"), (3, "started")]


def test_following_goes_on_in_the_file_that_replaces_one_set_aside(
    journal: MadeJournal, reader: JournalReader
) -> None:
    journal.start("old")
    path = journal.file.path
    new: list[MadeJournal] = []

    def set_aside() -> None:
        journal.close()
        for tail in ("-wal", "-shm", ""):
            file = path.with_name(path.name + tail)
            if file.exists():
                file.rename(file.with_name(f"aside{tail}"))

    def begin_anew() -> None:
        new.append(MadeJournal(journal.folder))
        new[0].start("new")

    found = follow(reader, 1, set_aside, nothing, path.touch, path.unlink, begin_anew, nothing)
    new[0].close()
    assert [entry for entry in found if isinstance(entry, GatewayEntry)] == [
        GatewayEntry(1, START, "started", "new")
    ]


def test_following_ends_when_a_newer_wsdev_puts_its_file_there(
    journal: MadeJournal, reader: JournalReader
) -> None:
    path = journal.file.path

    def replace() -> None:
        journal.close()
        path.rename(path.with_name("old"))
        with made_journal(journal.folder):
            pass
        db = sqlite3.connect(path)
        db.execute("PRAGMA user_version = 99")
        db.close()

    with pytest.raises(JournalError) as caught:
        list(reader.follow(Wanted(), 0, Waits(replace)))
    assert caught.value.code == "newer"


# What is no journal


def test_missing_journal_is_told_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(JournalError) as caught:
        JournalReader(tmp_path)
    assert caught.value.code == "missing"
    assert list(tmp_path.iterdir()) == []


def test_damage_is_told_when_it_is_met(journal: MadeJournal) -> None:
    session = journal.connect()
    journal.messages(session, 5000, body="x" * 100)
    path = journal.file.path
    journal.close()
    with open(path, "r+b") as file:
        file.seek(20 * 4096)
        file.write(b"\xa5" * (path.stat().st_size - 25 * 4096))
    with JournalReader(journal.folder) as reader, pytest.raises(JournalError) as caught:
        read(reader)
    assert caught.value.code == "damaged"


def test_text_that_is_no_utf_8_is_told_as_damage(
    journal: MadeJournal, reader: JournalReader
) -> None:
    journal.message(journal.connect())
    db = sqlite3.connect(journal.file.path)
    db.execute(r"UPDATE messages SET body = CAST(x'ff' AS TEXT)")
    db.commit()
    db.close()
    with pytest.raises(JournalError) as caught:
        read(reader)
    assert caught.value.code == "damaged"


def test_file_without_its_tables_is_told_as_one_line(journal: MadeJournal) -> None:
    path = journal.file.path
    journal.close()
    db = sqlite3.connect(path)
    db.execute("DROP TABLE kinds")
    db.commit()
    db.close()
    with pytest.raises(JournalError, match="cannot be used"):
        JournalReader(journal.folder)
