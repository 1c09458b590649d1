from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from wsdev.errors import JournalError, LocalError, StateFolderError
from wsdev.sqlite_files import FileKind, unusable

DIARY = FileKind("diary", JournalError, "buy another one")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "diary.db"


@contextlib.contextmanager
def database(path: Path, timeout: float = 0) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(path, timeout, isolation_level=None)) as db:
        yield db


def of_code(code: int, text: str = "words of SQLite") -> sqlite3.DatabaseError:
    """An error with a result code that cannot be had on demand."""
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode = code
    return error


def told(path: Path, call: Callable[..., object], *arguments: object) -> LocalError:
    """What the operator is told when a call fails."""
    with pytest.raises(LocalError) as caught, DIARY.explained(path):
        call(*arguments)
    assert caught.value.__cause__ is not None
    return caught.value


def explanation(path: Path, error: Exception) -> LocalError:
    def fail() -> None:
        raise error

    return told(path, fail)


def test_what_goes_well_is_not_touched(path: Path) -> None:
    with DIARY.explained(path), database(path) as db:
        db.execute("CREATE TABLE days (day)")
    assert path.exists()


def test_file_that_another_program_writes_is_busy(path: Path) -> None:
    with database(path) as one, database(path) as other:
        one.execute("BEGIN IMMEDIATE")
        error = told(path, other.execute, "BEGIN IMMEDIATE")
    assert (error.code, error.cause) == ("busy", f"another process is writing to {path}")


def test_full_disk_is_told(path: Path) -> None:
    with database(path) as db:
        db.execute("CREATE TABLE days (day)")
        db.execute("PRAGMA max_page_count = 2")  # what SQLite answers when there is no more room
        with pytest.raises(JournalError, match="is full") as caught, DIARY.explained(path):
            db.execute("INSERT INTO days VALUES (zeroblob(100000))")
    assert (caught.value.code, caught.value.hint) == ("full", "free some space")


def test_file_that_is_no_database_is_damaged(path: Path) -> None:
    path.write_bytes(b"dear diary, " * 1000)
    with database(path) as db, pytest.raises(JournalError) as caught, DIARY.explained(path):
        db.execute("SELECT * FROM sqlite_schema")
    assert caught.value.cause == f"{path} is damaged or not a diary"
    assert (caught.value.code, caught.value.hint) == ("damaged", "buy another one")


def test_folder_that_is_not_there_is_told_by_sqlite_and_by_the_system(path: Path) -> None:
    nowhere = path / "in" / "a" / "folder.db"
    for error in (told(nowhere, sqlite3.connect, nowhere), told(nowhere, nowhere.read_bytes)):
        assert isinstance(error, StateFolderError)
        assert f"{nowhere.parent} cannot be used" in error.cause
        assert "--state" in error.hint


def test_read_only_file_cannot_be_used(path: Path) -> None:
    with database(path) as db:
        db.execute("CREATE TABLE days (day)")
        db.execute("PRAGMA query_only = 1")
        with pytest.raises(StateFolderError), DIARY.explained(path):
            db.execute("INSERT INTO days VALUES (1)")


def test_extended_codes_mean_what_their_family_means(path: Path) -> None:
    assert explanation(path, of_code(sqlite3.SQLITE_BUSY_SNAPSHOT)).code == "busy"
    assert explanation(path, of_code(sqlite3.SQLITE_CORRUPT_INDEX)).code == "damaged"
    assert explanation(path, of_code(sqlite3.SQLITE_READONLY_DBMOVED)).code == "state_folder"


def test_row_that_does_not_fit_is_told_from_trouble_with_the_disk(path: Path) -> None:
    with database(path) as db:
        db.execute("CREATE TABLE days (day INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT")
        for day, text in ((1, None), ("one", "text"), (1, b"text")):
            error = told(path, db.execute, "INSERT INTO days VALUES (?, ?)", (day, text))
            assert (error.code, type(error)) == ("unfit", JournalError)
            assert "does not take a row" in error.cause


def test_any_other_trouble_keeps_sqlites_words(path: Path) -> None:
    error = explanation(path, of_code(sqlite3.SQLITE_IOERR, "disk I/O error"))
    assert (error.code, error.cause) == ("journal", f"{path} cannot be used: disk I/O error")
    assert "disk" in error.hint


def test_trouble_where_there_is_no_room_is_a_full_disk() -> None:
    error = explanation(Path("/proc/diary.db"), of_code(sqlite3.SQLITE_IOERR))
    assert error.code == "full"  # the kernel's own folders have no room ever


def test_trouble_in_a_folder_that_is_gone_is_not_taken_for_a_full_disk(path: Path) -> None:
    gone = path / "diary.db"
    assert explanation(gone, of_code(sqlite3.SQLITE_IOERR)).code == "journal"


def test_text_that_python_cannot_decode_is_damage(path: Path) -> None:
    with database(path) as db:
        error = told(path, db.execute("SELECT CAST(x'ff' AS TEXT)").fetchone)
    assert error.code == "damaged"


def test_error_of_the_system_without_words_has_its_kind(path: Path) -> None:
    assert "TimeoutError" in explanation(path, TimeoutError()).cause
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert "No space left on device" in explanation(path, full).cause


def test_our_own_mistakes_are_not_explained_away(path: Path) -> None:
    with pytest.raises(sqlite3.ProgrammingError), DIARY.explained(path), database(path) as db:
        db.execute("SELECT ?", ())
    with pytest.raises(ZeroDivisionError), DIARY.explained(path):
        raise ZeroDivisionError


def test_names_of_folders_are_shown_without_their_control_characters(tmp_path: Path) -> None:
    odd = tmp_path / "a\x1b]0;x\x07b" / "diary.db"
    for error in (unusable(odd, "\x9bno"), DIARY.damaged(odd), explanation(odd, of_code(6))):
        assert error.cause.isprintable()
