from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from wsdev.errors import JournalError, LocalError, StateFolderError
from wsdev.journal_schema import (
    APPLICATION_ID,
    CHECKED_WHOLE,
    MIGRATIONS,
    SetAside,
    open_for_reading,
    open_for_writing,
)
from wsdev.records import KIND_NAMES

NEXT = "ALTER TABLE refusals ADD COLUMN country TEXT"
AFTER_NEXT = "CREATE TABLE countries (name TEXT) STRICT; UPDATE refusals SET country = 'SE'"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


def make(path: Path, migrations: tuple[str, ...] = MIGRATIONS) -> SetAside | None:
    """Open for writing and close again."""
    db, aside = open_for_writing(path, migrations)
    db.close()
    return aside


def refused(path: Path, migrations: tuple[str, ...] = MIGRATIONS) -> LocalError:
    with pytest.raises(LocalError) as caught:
        make(path, migrations)
    return caught.value


def unreadable(path: Path) -> LocalError:
    with pytest.raises(LocalError) as caught:
        open_for_reading(path)
    return caught.value


def edit(path: Path, *statements: str) -> None:
    """Change the file as another program would."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for statement in statements:
            db.execute(statement)


def ask(path: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(query).fetchall()


def add_refusal(path: Path, sequence: int = 1) -> None:
    edit(
        path,
        "INSERT INTO refusals (sequence, time, request_id, address, code, status)"
        f" VALUES ({sequence}, 1, 'r-1', '192.0.2.1', 'full', 503)",
    )


# A new one


def test_new_journal_is_marked_as_ours_and_read_while_it_is_written(path: Path) -> None:
    assert make(path) is None
    for pragma, value in (
        ("application_id", APPLICATION_ID),
        ("user_version", len(MIGRATIONS)),
        ("journal_mode", "wal"),
        ("auto_vacuum", 2),
    ):
        assert ask(path, f"PRAGMA {pragma}") == [(value,)]


def test_new_journal_has_the_words_for_its_numbers(path: Path) -> None:
    make(path)
    assert dict(ask(path, "SELECT kind, name FROM kinds")) == KIND_NAMES
    assert ask(path, "SELECT name FROM kinds WHERE to_device ORDER BY kind") == [
        ("connection_ack",), ("command",), ("error",),
    ]  # fmt: skip


def test_words_that_are_new_are_added_to_an_older_file(path: Path) -> None:
    make(path)
    edit(path, "DELETE FROM kinds WHERE kind > 10", "UPDATE kinds SET name = 'x' WHERE kind = 1")
    make(path)
    assert dict(ask(path, "SELECT kind, name FROM kinds")) == KIND_NAMES


def test_files_are_for_this_user_only(path: Path) -> None:
    db, _ = open_for_writing(path)
    with closing(db):
        db.execute("BEGIN IMMEDIATE")
        db.execute("DELETE FROM runs")
        db.execute("COMMIT")
        files = list(path.parent.glob("journal.db*"))
        assert len(files) == 3
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_rights_that_others_have_are_taken_back(path: Path) -> None:
    make(path)
    path.chmod(0o644)
    make(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_empty_file_becomes_a_journal(path: Path) -> None:
    path.touch()
    assert make(path) is None
    assert ask(path, "PRAGMA auto_vacuum") == [(2,)]


def test_file_whose_making_was_cut_short_is_completed(path: Path) -> None:
    edit(path, "PRAGMA auto_vacuum = INCREMENTAL", "PRAGMA journal_mode = WAL")
    assert path.stat().st_size
    assert make(path) is None
    assert ask(path, "PRAGMA auto_vacuum") == [(2,)]
    assert list(path.parent.iterdir()) == [path]


# Versions


def test_older_journal_is_brought_forward_and_keeps_its_rows(path: Path) -> None:
    make(path)
    add_refusal(path)
    for migrations in ((*MIGRATIONS, NEXT), (*MIGRATIONS, NEXT, AFTER_NEXT)):
        assert make(path, migrations) is None
        assert ask(path, "PRAGMA user_version") == [(len(migrations),)]
    assert ask(path, "SELECT sequence, request_id, country FROM refusals") == [(1, "r-1", "SE")]


def test_migration_that_fails_leaves_the_file_as_it_was(path: Path) -> None:
    make(path)
    add_refusal(path)
    before = path.read_bytes()
    half = f"{AFTER_NEXT.replace('country =', 'code =')}; INSERT INTO nowhere VALUES (1)"
    error = refused(path, (*MIGRATIONS, half))
    assert "no such table: nowhere" in error.cause
    assert path.read_bytes() == before
    assert make(path) is None
    assert ask(path, "SELECT code FROM refusals") == [("full",)]


def test_migration_after_one_that_failed_goes_on_from_there(path: Path) -> None:
    make(path)
    add_refusal(path)
    refused(path, (*MIGRATIONS, NEXT, "no SQL at all"))
    assert ask(path, "PRAGMA user_version") == [(len(MIGRATIONS) + 1,)]
    assert make(path, (*MIGRATIONS, NEXT, AFTER_NEXT)) is None
    assert ask(path, "SELECT country FROM refusals") == [("SE",)]


def test_file_of_version_1_keeps_what_it_has_and_takes_commands(path: Path) -> None:
    make(path, MIGRATIONS[:1])
    add_refusal(path)
    assert ask(path, "PRAGMA user_version") == [(1,)]
    assert unreadable(path).code == "older"
    assert make(path) is None
    assert ask(path, "SELECT request_id FROM refusals") == [("r-1",)]
    assert ask(path, "SELECT count(*) FROM commands") == [(0,)]
    open_for_reading(path).close()


def test_session_of_version_2_has_no_firmware_version(path: Path) -> None:
    make(path, MIGRATIONS[:2])
    edit(
        path,
        "INSERT INTO sessions (sequence, started, session, device, device_class, address)"
        " VALUES (1, 0, 's-1', 'kitchen', 'pico', '192.0.2.1')",
    )
    assert make(path) is None
    assert ask(path, "SELECT device, version FROM sessions") == [("kitchen", None)]


def test_newer_journal_is_refused_untouched(path: Path) -> None:
    make(path, (*MIGRATIONS, NEXT))
    add_refusal(path)
    before = path.read_bytes()
    for error in (refused(path), unreadable(path)):
        assert isinstance(error, JournalError)
        assert error.code == "newer"
        versions = f"journal version {len(MIGRATIONS) + 1}, not {len(MIGRATIONS)}"
        assert versions in error.cause
        assert "update wsdev" in error.hint
    assert path.read_bytes() == before
    assert not list(path.parent.glob("journal.*-*.db"))


# What is in the way


def as_text(path: Path) -> None:
    path.write_text("dear diary\n" * 1000)


def as_few_bytes(path: Path) -> None:
    path.write_bytes(b"\0")


def as_another_program(path: Path) -> None:
    edit(path, "PRAGMA application_id = 1", "CREATE TABLE theirs (x)")


def as_nobody(path: Path) -> None:
    edit(path, "CREATE TABLE theirs (x)")


def as_empty_of_another_program(path: Path) -> None:
    edit(path, "VACUUM")


def as_one_that_gives_room_back(path: Path) -> None:
    edit(path, "PRAGMA auto_vacuum = INCREMENTAL", "CREATE TABLE theirs (x)")


def as_nothing_with_a_wal(path: Path) -> None:
    path.touch()
    path.with_name("journal.db-wal").write_bytes(b"whose is it?" * 1000)


def as_half_of_a_journal(path: Path) -> None:
    make(path)
    os.truncate(path, path.stat().st_size // 2)


def as_overwritten_in_the_middle(path: Path) -> None:
    make(path)
    for sequence in range(1, 200):
        add_refusal(path, sequence)
    with path.open("r+b") as file:
        for page in range(2, path.stat().st_size // 4096):
            file.seek(page * 4096)
            file.write(b"\xff" * 2048)


def as_version_zero(path: Path) -> None:
    make(path)
    edit(path, "PRAGMA user_version = 0")


def as_version_below_zero(path: Path) -> None:
    make(path)
    edit(path, "PRAGMA user_version = -1")


WAYS: list[tuple[Callable[[Path], None], str]] = [
    (as_text, "damaged"),
    (as_few_bytes, "foreign"),
    (as_another_program, "foreign"),
    (as_nobody, "foreign"),
    (as_empty_of_another_program, "foreign"),
    (as_one_that_gives_room_back, "foreign"),
    (as_nothing_with_a_wal, "damaged"),
    (as_half_of_a_journal, "damaged"),
    (as_overwritten_in_the_middle, "damaged"),
    (as_version_zero, "damaged"),
    (as_version_below_zero, "damaged"),
]


@pytest.mark.parametrize(("spoil", "kind"), WAYS, ids=[way.__name__ for way, _ in WAYS])
def test_what_is_no_sound_journal_is_set_aside_whole(
    path: Path, spoil: Callable[[Path], None], kind: str
) -> None:
    for number in range(3):  # within a second or not: no name is taken twice
        for leftover in path.parent.glob(f"{path.name}*"):
            leftover.unlink()
        spoil(path)
        before = path.read_bytes()
        aside = make(path)
        assert aside is not None
        assert aside.kept_as.read_bytes() == before
        assert str(path) in aside.cause
        assert aside.kept_as.match(f"journal.{kind}-????????T??????Z*.db")
        assert len(list(path.parent.glob(f"journal.{kind}-*.db"))) == number + 1
        assert ask(path, "SELECT count(*) FROM messages") == [(0,)]


def test_what_sqlite_has_beside_the_file_goes_with_it(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("CREATE TABLE theirs (x)")
        aside = make(path)
        assert aside is not None
        other.execute("INSERT INTO theirs VALUES (1)")
        assert ask(aside.kept_as, "SELECT * FROM theirs") == [(1,)]
    assert ask(path, "SELECT * FROM messages") == []


def test_large_file_is_not_looked_through_at_the_start(path: Path) -> None:
    make(path)
    add_refusal(path)
    with path.open("r+b") as file:  # a hole: costs no room
        file.truncate(CHECKED_WHOLE + 4096)
        file.seek(28)
        file.write(((CHECKED_WHOLE + 4096) // 4096).to_bytes(4, "big"))
    assert make(path) is None
    assert ask(path, "SELECT request_id FROM refusals") == [("r-1",)]


@pytest.mark.parametrize("put", [Path.mkdir, lambda path: path.symlink_to(path.name)])
def test_place_that_holds_no_file_is_told(path: Path, put: Callable[[Path], None]) -> None:
    put(path)
    for error in (refused(path), unreadable(path)) if path.is_dir() else (refused(path),):
        assert isinstance(error, StateFolderError)
        assert str(path.parent) in error.cause
    assert os.path.lexists(path)


def test_folder_that_is_not_there_is_told(path: Path) -> None:
    error = refused(path / "journal.db")
    assert isinstance(error, StateFolderError)
    assert "--state" in error.hint


def test_journal_that_another_program_holds_is_busy_and_not_set_aside(path: Path) -> None:
    make(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert refused(path, (*MIGRATIONS, NEXT)).code == "busy"
    assert make(path) is None


def test_name_of_the_folder_is_shown_without_its_control_characters(tmp_path: Path) -> None:
    path = tmp_path / "a\x1b]0;x\x07b" / "journal.db"
    path.parent.mkdir()
    as_text(path)
    aside = make(path)
    assert aside is not None
    assert aside.cause.isprintable()


# For readers


def test_reader_sees_what_the_writer_writes_and_writes_nothing(path: Path) -> None:
    writer, _ = open_for_writing(path)
    with closing(writer), closing(open_for_reading(path)) as reader:
        add_refusal(path)
        assert reader.execute("SELECT request_id FROM refusals").fetchall() == [("r-1",)]
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            reader.execute("DELETE FROM refusals")


def test_reader_does_not_make_a_journal(path: Path) -> None:
    error = unreadable(path)
    assert error.code == "missing"
    assert "wsdev serve" in error.hint
    assert not path.exists()


@pytest.mark.parametrize(
    ("spoil", "kind"),
    [
        (as_text, "damaged"),
        (as_another_program, "foreign"),
        (Path.touch, "foreign"),
        (as_version_zero, "older"),
    ],
)
def test_reader_tells_what_is_no_journal_and_leaves_it_there(
    path: Path, spoil: Callable[[Path], None], kind: str
) -> None:
    spoil(path)
    before = path.read_bytes()
    error = unreadable(path)
    assert error.code == kind
    assert error.hint
    assert path.read_bytes() == before
