from __future__ import annotations

import os
import resource
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from wsdev.errors import StateFolderError, TokenBookError
from wsdev.token_file import (
    FILE_NAME,
    HandoutWindow,
    TokenFile,
    TokenKind,
    TokenRecord,
    make_token_file,
)


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def device_record(token_id: str = "t-000001", name: str = "kitchen") -> TokenRecord:
    return TokenRecord(
        id=token_id,
        kind=TokenKind.DEVICE,
        device_class="pico",
        name=name,
        tail="abcd",
        digest=token_id.encode().ljust(32),
        created=1000.0,
        retires=None,
        revoked=None,
        token=None,
    )


def keep(file: TokenFile, *records: TokenRecord) -> None:
    with file.writing():
        for record in records:
            file.add(record)


def refusal(path: Path) -> TokenBookError:
    with pytest.raises(TokenBookError) as caught:
        TokenFile(path)
    return caught.value


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a sound and empty token file is."""
    path = tmp_path / "state" / FILE_NAME
    assert make_token_file(path)
    return path


# Making


@pytest.mark.parametrize("mask", [0, 0o022, 0o077, 0o377])
def test_folder_and_files_are_private_whatever_the_umask(tmp_path: Path, mask: int) -> None:
    path = tmp_path / "state" / FILE_NAME
    with umask(mask):
        make_token_file(path)
        with closing(TokenFile(path)) as file, file.writing():
            file.add(device_record())
            assert mode_of(path.parent) == 0o700
            assert {mode_of(each) for each in path.parent.iterdir()} == {0o600}
            assert {each.name for each in path.parent.iterdir()} >= {FILE_NAME, f"{FILE_NAME}-wal"}


def test_folder_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    make_token_file(tmp_path / FILE_NAME)
    assert mode_of(tmp_path) == 0o750


def test_file_that_others_could_read_is_closed_to_them(path: Path) -> None:
    path.chmod(0o644)
    TokenFile(path).close()
    assert mode_of(path) == 0o600


def test_only_the_first_call_makes_the_file(path: Path) -> None:
    before = path.read_bytes()
    assert not make_token_file(path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_link_to_nowhere_is_not_followed_or_replaced(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    path.symlink_to(tmp_path / "elsewhere")
    assert not make_token_file(path)
    assert list(tmp_path.iterdir()) == [path]


def test_folder_under_a_regular_file_is_a_state_folder_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    for folder in (tmp_path / "file", tmp_path / "file" / "state"):
        with pytest.raises(StateFolderError, match="cannot be used: Not a directory") as caught:
            make_token_file(folder / FILE_NAME)
        assert "--state" in caught.value.hint


def test_folder_that_nobody_can_write_is_a_state_folder_error() -> None:
    for folder in (Path("/proc"), Path("/proc/wsdev")):
        with pytest.raises(StateFolderError, match=f"{folder} cannot be used"):
            make_token_file(folder / FILE_NAME)


def test_folder_name_is_escaped_in_errors(tmp_path: Path) -> None:
    error = refusal(tmp_path / "a\x1b]0;x\x07" / FILE_NAME)
    assert "a\\x1b]0;x\\x07" in error.cause


# Opening


def test_missing_file_says_how_to_get_one(tmp_path: Path) -> None:
    error = refusal(tmp_path / FILE_NAME)
    assert error.code == "missing"
    assert error.hint == "start wsdev serve once, or name the folder with --state"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"x", b"not a database " * 1000, b"\0" * 4096])
def test_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / FILE_NAME
    path.write_bytes(content)
    path.chmod(0o644)
    assert not make_token_file(path)
    assert refusal(path).code in ("foreign", "damaged")
    assert path.read_bytes() == content
    assert mode_of(path) == 0o644
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
def test_database_of_another_program_is_refused_and_left_alone(
    tmp_path: Path, journal_mode: str
) -> None:
    path = tmp_path / FILE_NAME
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA journal_mode = {journal_mode}")
        db.execute("CREATE TABLE tokens (id)")
    before = path.read_bytes()
    assert not make_token_file(path)
    error = refusal(path)
    assert error.code == "foreign"
    assert "move it away" in error.hint
    assert path.read_bytes() == before


def test_book_of_a_newer_version_is_refused_and_left_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 7")
    before = path.read_bytes()
    error = refusal(path)
    assert error.code == "newer"
    assert "book version 7, not 2" in error.cause
    assert "update wsdev" in error.hint
    assert path.read_bytes() == before


def test_book_without_a_version_is_damaged(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 0")
    assert refusal(path).code == "damaged"


@pytest.mark.parametrize("page", [1, 2, 3])
def test_damaged_page_is_refused_and_left_alone(path: Path, page: int) -> None:
    with closing(TokenFile(path)) as file:
        keep(file, device_record())
    content = bytearray(path.read_bytes())
    content[page * 4096 : page * 4096 + 512] = b"\xa5" * 512
    path.write_bytes(content)
    error = refusal(path)
    assert error.code == "damaged"
    assert "backup" in error.hint
    assert path.read_bytes() == content


def test_truncated_file_is_damaged(path: Path) -> None:
    os.truncate(path, 4096)
    assert refusal(path).code == "damaged"


def test_folder_in_place_of_the_file_is_a_state_folder_error(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()
    with pytest.raises(StateFolderError):
        TokenFile(tmp_path / FILE_NAME)


# Reading and writing


def test_records_come_back_as_they_went_in(path: Path) -> None:
    first, second = device_record("t-000002", "b"), device_record("t-000001", "a")
    with closing(TokenFile(path)) as file:
        with file.writing():
            file.add(first)
            file.add(second)
            file.set_window(HandoutWindow(10.0, 20.0))
            assert file.has_id("t-000001")
            assert not file.has_id("t-000003")
        assert file.records() == [first, second]
    with closing(TokenFile(path)) as file:
        assert file.records() == [first, second]
        assert file.window() == HandoutWindow(10.0, 20.0)


def test_failed_block_leaves_nothing(path: Path) -> None:
    with closing(TokenFile(path)) as file:
        with pytest.raises(TokenBookError, match="UNIQUE"):
            keep(file, device_record(), device_record())
        assert file.records() == []
        keep(file, device_record())
        assert file.records() == [device_record()]


def test_changes_tells_of_other_writers_only(path: Path) -> None:
    with closing(TokenFile(path)) as one, closing(TokenFile(path)) as other:
        before = one.changes()
        keep(one, device_record("t-000001", "a"))
        assert one.changes() == before
        keep(other, device_record("t-000002", "b"))
        assert one.changes() != before


def test_second_writer_is_told_that_another_is_busy(path: Path) -> None:
    with closing(TokenFile(path)) as one, closing(TokenFile(path)) as other, one.writing():
        with pytest.raises(TokenBookError) as caught:
            keep(other, device_record())
        assert caught.value.code == "busy"
        assert "try again" in caught.value.hint


def test_full_disk_is_named_and_leaves_the_book_as_it_was(path: Path) -> None:
    many = [device_record(f"t-1{number:05}", f"device-{number}") for number in range(1000)]
    with closing(TokenFile(path)) as file:
        keep(file, device_record())
        file._db.execute("PRAGMA max_page_count = 1")
        with pytest.raises(TokenBookError) as caught:
            keep(file, *many)
        assert caught.value.code == "full"
        assert file.records() == [device_record()]


def test_failing_disk_is_told_and_leaves_the_book_as_it_was(path: Path) -> None:
    with closing(TokenFile(path)) as file:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
        try:
            with pytest.raises(TokenBookError, match="cannot be used: disk I/O error"):
                keep(file, device_record())
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert file.records() == []
        keep(file, device_record())
        assert file.records() == [device_record()]


def test_use_after_close_stays_a_bug_and_not_an_operators_error(path: Path) -> None:
    file = TokenFile(path)
    file.close()
    with pytest.raises(sqlite3.ProgrammingError):
        file.records()


@pytest.mark.parametrize(
    ("retires", "revoked", "now", "state"),
    [
        (None, None, 0.0, "active"),
        (100.0, None, 99.9, "retiring"),
        (100.0, None, 100.0, "retired"),
        (100.0, 50.0, 10.0, "revoked"),
        (None, 50.0, 10.0, "revoked"),
    ],
)
def test_state_of_a_record(
    retires: float | None, revoked: float | None, now: float, state: str
) -> None:
    record = TokenRecord(
        "t-1", TokenKind.DEVICE, "pico", "a", "abcd", bytes(32), 0.0, retires, revoked, None
    )
    assert record.state(now) == state
    assert record.is_live(now) == (state in ("active", "retiring"))


@pytest.mark.parametrize(
    ("now", "left"), [(9.9, 0.0), (10.0, 10.0), (19.0, 1.0), (20.0, 0.0), (1e9, 0.0)]
)
def test_window_is_open_from_its_opening_to_its_close(now: float, left: float) -> None:
    assert HandoutWindow(10.0, 20.0).left(now) == left


# Version 1

_VERSION_1 = """
PRAGMA journal_mode = WAL;
CREATE TABLE tokens (
    sequence     INTEGER PRIMARY KEY,
    id           TEXT NOT NULL UNIQUE,
    kind         TEXT NOT NULL CHECK (kind IN ('class', 'device')),
    device_class TEXT NOT NULL,
    name         TEXT,
    tail         TEXT NOT NULL,
    digest       BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
    created      REAL NOT NULL,
    retires      REAL,
    revoked      REAL,
    token        TEXT,
    CHECK ((kind = 'device') = (name IS NOT NULL)),
    CHECK ((kind = 'class') = (token IS NOT NULL))
) STRICT;
CREATE TABLE handout_window (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    opened   REAL NOT NULL,
    closes   REAL NOT NULL
) STRICT;
INSERT INTO handout_window VALUES (1, 5, 6);
PRAGMA application_id = 0x77736474;
PRAGMA user_version = 1;
"""


def test_file_of_version_1_is_brought_up_to_date_with_all_that_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    old = device_record()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript(_VERSION_1)
        db.execute(
            "INSERT INTO tokens VALUES (7, ?, 'device', ?, ?, ?, ?, ?, NULL, NULL, NULL)",
            (old.id, old.device_class, old.name, old.tail, old.digest, old.created),
        )
    for _ in range(2):
        with closing(TokenFile(path)) as file:
            (record,) = file.records()
            assert (record.id, record.kind, record.name) == (old.id, TokenKind.DEVICE, old.name)
            assert file.window() == HandoutWindow(5, 6)
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (2,)
        assert db.execute("SELECT sequence FROM tokens").fetchall() == [(7,)]
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
