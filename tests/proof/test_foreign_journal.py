"""Something else is in the journal's place: it is set aside as it is, and the service starts."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from gateway_process import running_gateway, starting_gateway
from insistent_device import InsistentDevice, talk_all
from plain_reading import JOURNAL, check_devices, check_integrity, check_order, opened

from wsdev.errors import ExitCode
from wsdev.journal_schema import MIGRATIONS, open_for_writing
from wsdev.protocol import PICO

QUIET = ("--log-level", "warning")
PAGE = 4096

Contents = dict[str, bytes]
"""Bytes by file name."""


def device() -> InsistentDevice:
    return InsistentDevice("kitchen", PICO, window=50)


def contents(state: Path, pattern: str = f"{JOURNAL}*") -> Contents:
    """What is there now, but for what holds nothing: shared memory, an empty WAL."""
    found = {path.name: path.read_bytes() for path in state.glob(pattern)}
    return {name: data for name, data in found.items() if data and not name.endswith("-shm")}


def set_aside(state: Path) -> Contents:
    """What was set aside."""
    return contents(state, "journal.*Z*")


@dataclass(frozen=True)
class Made:
    """What gateways left: stopped; killed in their first run, and in a later one."""

    stopped: Contents
    killed: Contents
    killed_later: Contents


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folders = []
    for kills in ((False,), (True,), (False, True)):
        folders.append(tmp_path_factory.mktemp("made"))
        for kill in kills:
            with starting_gateway(folders[-1], *QUIET) as gateway:
                gateway.wait_until_ready()
                asyncio.run(talk_all([device()], gateway.port, more=300))
                if kill:
                    gateway.kill()
    found = Made(*map(contents, folders))
    wals = [f"{JOURNAL}-wal" in files for files in (found.stopped, found.killed)]
    assert wals == [False, True]
    return found


def put(state: Path, files: Contents) -> None:
    for name, data in files.items():
        (state / name).write_bytes(data)


def with_random_page(file: bytes) -> bytes:
    middle = len(file) // PAGE // 2 * PAGE
    return file[:middle] + random.Random(2).randbytes(PAGE) + file[middle + PAGE :]


def random_bytes(state: Path, _: Made) -> None:
    (state / JOURNAL).write_bytes(random.Random(1).randbytes(50_000))


def text(state: Path, _: Made) -> None:
    (state / JOURNAL).write_text("Dear diary,\n" * 500)


def one_byte(state: Path, _: Made) -> None:
    (state / JOURNAL).write_bytes(b"x")


def other_program(state: Path, _: Made | None = None, *, mode: str = "DELETE") -> None:
    with closing(sqlite3.connect(state / JOURNAL)) as db:
        db.execute(f"PRAGMA journal_mode = {mode}")
        db.execute("CREATE TABLE bookmarks (url TEXT)")
        db.execute("INSERT INTO bookmarks VALUES ('http://localhost/')")
        db.commit()


def other_program_with_a_wal(state: Path, _: Made) -> None:
    """As a crash of that program leaves it."""
    elsewhere = state / "elsewhere"
    elsewhere.mkdir()
    other_program(elsewhere, mode="WAL")
    with closing(sqlite3.connect(elsewhere / JOURNAL)) as db:
        db.execute("INSERT INTO bookmarks VALUES ('http://localhost/2')")
        db.commit()
        for path in elsewhere.glob(f"{JOURNAL}*"):
            (state / path.name).write_bytes(path.read_bytes())
    assert (state / f"{JOURNAL}-wal").stat().st_size


def truncated(state: Path, made: Made) -> None:
    put(state, {JOURNAL: made.stopped[JOURNAL][: 5 * PAGE]})


def damaged_page(state: Path, made: Made) -> None:
    put(state, {JOURNAL: with_random_page(made.stopped[JOURNAL])})


def damaged_page_beside_a_wal(state: Path, made: Made) -> None:
    put(state, made.killed_later)
    put(state, {JOURNAL: with_random_page(made.killed_later[JOURNAL])})


def text_beside_the_wal_of_a_journal(state: Path, made: Made) -> None:
    put(state, made.killed)
    text(state, made)


def other_program_beside_the_wal_of_a_journal(state: Path, made: Made) -> None:
    other_program(state)
    put(state, {f"{JOURNAL}-wal": made.killed[f"{JOURNAL}-wal"]})


def with_a_rollback_journal(state: Path, _: Made) -> None:
    """As another program's crash leaves it: to SQLite that journal is to be played back."""
    other_program(state)
    (state / f"{JOURNAL}-journal").write_bytes(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + bytes(1016))


def nothing_beside_the_wal_of_a_journal(state: Path, made: Made) -> None:
    put(state, {**made.killed, JOURNAL: b""})


@pytest.mark.parametrize(
    "disturb",
    [
        random_bytes,
        text,
        one_byte,
        other_program,
        other_program_with_a_wal,
        truncated,
        damaged_page,
        damaged_page_beside_a_wal,
        text_beside_the_wal_of_a_journal,
        other_program_beside_the_wal_of_a_journal,
        with_a_rollback_journal,
        nothing_beside_the_wal_of_a_journal,
    ],
)
def test_what_is_no_sound_journal_is_set_aside_untouched(
    disturb: Callable[[Path, Made], None], made: Made, tmp_path: Path
) -> None:
    disturb(tmp_path, made)
    before = contents(tmp_path)
    said = device()
    with starting_gateway(tmp_path, *QUIET) as gateway:
        gateway.wait_until_ready()
        line = gateway.wait_for_log("journal_set_aside")
        asyncio.run(talk_all([said], gateway.port, more=20))
    assert len(gateway.log_text().splitlines()) == 1
    assert line["level"] == "warning"
    assert str(tmp_path / JOURNAL) in line["cause"]
    kept_as = Path(line["kept_as"])
    aside = set_aside(tmp_path)
    assert {name.replace(kept_as.name, JOURNAL): data for name, data in aside.items()} == before
    with opened(tmp_path) as db:
        check_integrity(db)
        check_order(db)
        assert check_devices(db, [said]) == 20


def test_second_one_in_the_same_second_gets_a_name_of_its_own(tmp_path: Path) -> None:
    kept = {}
    for number in range(4):
        (tmp_path / JOURNAL).write_text(f"diary {number}\n" * 500)
        journal, aside = open_for_writing(tmp_path / JOURNAL)
        journal.close()
        assert aside is not None
        kept[aside.kept_as] = f"diary {number}\n" * 500
    assert len(kept) == 4
    assert {path: path.read_text() for path in kept} == kept


def test_empty_file_becomes_a_journal_without_a_word(tmp_path: Path) -> None:
    (tmp_path / JOURNAL).touch()
    said = device()
    with starting_gateway(tmp_path, *QUIET) as gateway:
        gateway.wait_until_ready()
        asyncio.run(talk_all([said], gateway.port, more=5))
    assert gateway.log_text() == ""
    with opened(tmp_path) as db:
        assert check_devices(db, [said]) == 5


def refused(state: Path) -> tuple[int | None, str, str]:
    """Exit status, cause and remedy of a start that fails."""
    with starting_gateway(state, *QUIET) as gateway:
        status = gateway.wait_for_end_of_start()
    cause, remedy = gateway.log_text().splitlines()
    assert cause.startswith("wsdev: ")
    return status, cause, remedy


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_journal_of_a_newer_wsdev_is_refused_and_untouched(
    how: str, made: Made, tmp_path: Path
) -> None:
    put(tmp_path, getattr(made, how))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    put(elsewhere, getattr(made, how))
    with closing(sqlite3.connect(elsewhere / JOURNAL)) as db:
        db.execute("PRAGMA user_version = 99")
        if how == "killed":  # as that program has it while it runs
            put(tmp_path, contents(elsewhere))
    if how == "stopped":
        put(tmp_path, contents(elsewhere))
    before = contents(tmp_path)
    assert (f"{JOURNAL}-wal" in before) == (how == "killed")
    status, cause, remedy = refused(tmp_path)
    assert status == ExitCode.JOURNAL
    assert f"newer wsdev (journal version 99, not {len(MIGRATIONS)})" in cause
    assert "update wsdev" in remedy
    assert contents(tmp_path) == before
    assert not set_aside(tmp_path)


def test_folder_in_the_place_of_the_journal_is_told(tmp_path: Path) -> None:
    (tmp_path / JOURNAL).mkdir()
    status, cause, _ = refused(tmp_path)
    assert status == ExitCode.STATE_FOLDER
    assert "Is a directory" in cause


def test_journal_behind_a_symbolic_link_is_used(tmp_path: Path) -> None:
    state, elsewhere = tmp_path / "state", tmp_path / "elsewhere"
    state.mkdir()
    elsewhere.mkdir()
    (state / JOURNAL).symlink_to(elsewhere / JOURNAL)
    said = device()
    for _ in range(2):
        with running_gateway(state, *QUIET) as gateway:
            asyncio.run(talk_all([said], gateway.port, more=5))
    assert (state / JOURNAL).is_symlink()
    with opened(elsewhere) as db:
        assert check_devices(db, [said]) == 10


def test_file_behind_a_symbolic_link_is_not_touched(tmp_path: Path) -> None:
    diary = tmp_path / "diary"
    diary.write_text("Dear diary,\n" * 500)
    state = tmp_path / "state"
    state.mkdir()
    (state / JOURNAL).symlink_to(diary)
    with running_gateway(state, *QUIET) as gateway:
        kept_as = Path(gateway.wait_for_log("journal_set_aside")["kept_as"])
    assert kept_as.is_symlink()
    assert diary.read_text() == "Dear diary,\n" * 500
    assert not (state / JOURNAL).is_symlink()
