"""The journal's file: its tables, its versions, and how it is opened.

``journal.db`` in the state folder, SQLite in WAL mode, so that it is read while it is written. What
is in the way at its place (damaged, another program's) is set aside under a dated name, never
overwritten.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import struct
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from wsdev.errors import JournalError, WsdevError
from wsdev.records import FIRST_TO_DEVICE, FROM_DEVICE, TO_DEVICE
from wsdev.sanitize import printable
from wsdev.sqlite_files import FileKind

FILE_NAME: Final = "journal.db"
PICTURES_FOLDER: Final = "pictures"

JOURNAL: Final = FileKind(
    "journal", JournalError, "restart the gateway: it sets the file aside and starts a new one"
)

APPLICATION_ID: Final = 0x7773646A  # "wsdj"

# One sequence for all tables, given in the order in which things happened; times are milliseconds
# of Unix time. A message that is not whole in `body` (cut, or binary) has its `size` in bytes.
# `blocks` tells the times between two sequence numbers, so that a search by time needs no index:
# that would cost a third of what a message does.
_VERSION_1: Final = f"""
CREATE TABLE runs (
    sequence     INTEGER PRIMARY KEY,
    started      INTEGER NOT NULL,
    version      TEXT NOT NULL,
    end_sequence INTEGER UNIQUE,
    ended        INTEGER,
    how          TEXT CHECK (how IN ('stopped', 'lost'))
) STRICT;
CREATE TABLE sessions (
    sequence     INTEGER PRIMARY KEY,
    started      INTEGER NOT NULL,
    session      TEXT NOT NULL,
    device       TEXT NOT NULL,
    device_class TEXT NOT NULL,
    address      TEXT NOT NULL,
    via          TEXT,
    user_agent   TEXT,
    token        TEXT,
    end_sequence INTEGER UNIQUE,
    ended        INTEGER,
    code         INTEGER,
    reason       TEXT,
    closed_by    TEXT CHECK (closed_by IN ('peer', 'here', 'path', 'lost')),
    seconds      REAL,
    messages_in  INTEGER,
    bytes_in     INTEGER,
    messages_out INTEGER,
    bytes_out    INTEGER,
    median_rtt   REAL,
    last_message INTEGER
) STRICT;
CREATE INDEX sessions_by_device ON sessions (device, sequence);
CREATE INDEX sessions_open ON sessions (sequence) WHERE end_sequence IS NULL;
CREATE TABLE refusals (
    sequence   INTEGER PRIMARY KEY,
    time       INTEGER NOT NULL,
    request_id TEXT NOT NULL,
    address    TEXT NOT NULL,
    via        TEXT,
    path       TEXT,
    code       TEXT NOT NULL,
    status     INTEGER NOT NULL,
    token_tail TEXT,
    user_agent TEXT
) STRICT;
CREATE INDEX refusals_by_request ON refusals (request_id);
CREATE TABLE kinds (
    kind      INTEGER PRIMARY KEY,
    name      TEXT NOT NULL UNIQUE,
    to_device INTEGER NOT NULL GENERATED ALWAYS AS (kind > {FIRST_TO_DEVICE})
) STRICT;
CREATE TABLE messages (
    sequence INTEGER PRIMARY KEY,
    session  INTEGER NOT NULL,
    time     INTEGER NOT NULL,
    kind     INTEGER NOT NULL,
    id       ANY,
    body     TEXT,
    size     INTEGER,
    sha256   BLOB,
    picture  TEXT
) STRICT;
CREATE TABLE blocks (
    sequence INTEGER PRIMARY KEY,
    earliest INTEGER NOT NULL,
    latest   INTEGER NOT NULL
) STRICT;
"""

# A row for each change of a command's state, of which the latest is open until it is an end. What
# is the same in all of them (`body`, `timeout`) is in the first only.
_VERSION_2: Final = """
CREATE TABLE commands (
    sequence    INTEGER PRIMARY KEY,
    time        INTEGER NOT NULL,
    id          TEXT NOT NULL,
    state       TEXT NOT NULL,
    device      TEXT NOT NULL,
    asked_by    TEXT NOT NULL,
    type        TEXT NOT NULL,
    body        TEXT,
    timeout     REAL,
    queue_until INTEGER,
    session     TEXT,
    reason      TEXT,
    detail      TEXT,
    is_open     INTEGER NOT NULL
) STRICT;
CREATE INDEX commands_by_id ON commands (id, sequence);
CREATE INDEX commands_open ON commands (sequence) WHERE is_open;
"""

# Of the device's firmware, as its hello said.
_VERSION_3: Final = "ALTER TABLE sessions ADD COLUMN version TEXT"

MIGRATIONS: Final[tuple[str, ...]] = (_VERSION_1, _VERSION_2, _VERSION_3)
"""Number ``n`` makes version ``n + 1`` of the file out of version ``n``; 0 is an empty one."""

CHECKED_WHOLE: Final = 64 * 1024 * 1024
"""Bytes up to which a file is looked through at the start: a fifth of a second. In a larger one
only the parts that are used first are; damage elsewhere is told when it is met."""

_MAGIC: Final = b"SQLite format 3\0"
_HEADER: Final = struct.Struct(">64xII")
"""Whether the vacuum is incremental, application id: https://sqlite.org/fileformat.html"""

_BUSY_TIMEOUT: Final = 2.0
"""Seconds to wait for another program that holds the file, such as a vacuum."""


@dataclass(frozen=True, slots=True)
class SetAside:
    """What was in the journal's place, and under which name it is now."""

    cause: str
    kept_as: Path


def open_for_writing(
    path: Path, migrations: tuple[str, ...] = MIGRATIONS
) -> tuple[sqlite3.Connection, SetAside | None]:
    """The journal at ``path``, made or brought to this version if need be.

    Use the connection from one thread at a time; transactions are explicit.

    Raises:
        JournalError: it is a newer wsdev's (code ``newer``), or the disk is full.
        StateFolderError: the file or the folder cannot be read or written.
    """
    with JOURNAL.explained(path):
        aside: SetAside | None = None
        try:
            db = _open(path, migrations)
        except JournalError as error:
            if error.code not in {"damaged", "foreign"}:
                raise
            aside = _set_aside(path, error)
            db = _open(path, migrations)
        suspicion(path).unlink(missing_ok=True)
        return db, aside


def _open(path: Path, migrations: tuple[str, ...]) -> sqlite3.Connection:
    with JOURNAL.explained(path), contextlib.ExitStack() as undo:
        # Made by us, so that it and what SQLite puts beside it are for this user only.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)
        _check_header(path)
        # A connection that may write puts a WAL beside the file into it, whosever they are. One
        # that may not cannot take back the making of a file that was cut short.
        half_made = _beside(path, "-journal").exists()
        with contextlib.closing(_connect(path, "rw" if half_made else "ro")) as looking:
            version = _inspect(looking, path, len(migrations))
        db = _connect(path, "rw")
        undo.callback(db.close)
        if not version and not path.stat().st_size:
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        db.execute("PRAGMA journal_mode = WAL")
        for number in range(version, len(migrations)):
            _migrate(db, number, migrations[number])
        with db:  # one transaction: each costs a sync
            db.execute("BEGIN IMMEDIATE")
            db.executemany(
                "INSERT OR REPLACE INTO kinds (kind, name) VALUES (?, ?)",
                [(number, name) for name, number in (FROM_DEVICE | TO_DEVICE).items()],
            )
        undo.pop_all()
        return db


def _beside(path: Path, tail: str) -> Path:
    return path.with_name(path.name + tail)


def _check_header(path: Path) -> None:
    """Refuse a file that is not a journal by its own first bytes, before SQLite looks at it.

    To SQLite a WAL beside a file is a part of it, even if it is what a journal left there.
    """
    with path.open("rb") as file:
        head = file.read(_HEADER.size)
    if not head:
        wal = _beside(path, "-wal")
        if wal.exists() and wal.stat().st_size:
            raise JOURNAL.damaged(path)
        return
    if len(head) < _HEADER.size:
        raise _foreign(path)
    if not head.startswith(_MAGIC):
        raise JOURNAL.damaged(path)
    incremental_vacuum, application_id = _HEADER.unpack(head)
    # The number may be in the WAL yet; that the vacuum is incremental was said first of all.
    if application_id != APPLICATION_ID and (application_id or not incremental_vacuum):
        raise _foreign(path)


def _foreign(path: Path) -> JournalError:
    return JournalError(f"{printable(str(path))} is another program's file", code="foreign")


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=_BUSY_TIMEOUT,
        isolation_level=None,
        check_same_thread=False,
    )


def _migrate(db: sqlite3.Connection, number: int, script: str) -> None:
    try:
        db.executescript(
            f"BEGIN IMMEDIATE; {script}; PRAGMA application_id = {APPLICATION_ID};"
            f" PRAGMA user_version = {number + 1}; COMMIT;"
        )
    except sqlite3.Error:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _inspect(db: sqlite3.Connection, path: Path, newest: int) -> int:
    """The version of the file, 0 for an empty one; refuses what is no sound journal."""
    where = printable(str(path))
    version = _pragma(db, "user_version")
    if not path.stat().st_size or _is_half_made(db):
        return 0
    if _pragma(db, "application_id") != APPLICATION_ID:
        raise _foreign(path)
    if version > newest:
        raise JournalError(
            f"{where} was written by a newer wsdev (journal version {version}, not {newest})",
            "update wsdev, or name another folder with --state",
            code="newer",
        )
    if version < 1:
        raise JOURNAL.damaged(path)
    if path.stat().st_size <= CHECKED_WHOLE or suspicion(path).exists():
        (verdict,) = db.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise JOURNAL.damaged(path)
    return version


def suspicion(path: Path) -> Path:
    """A file beside the journal; while it is there, the journal is looked through at a start.

    Made when damage is met in a journal that is too large to be looked through each time.
    """
    return path.with_name(f"{path.name}-suspect")


def _is_half_made(db: sqlite3.Connection) -> bool:
    """Whether the making of the file ended between its first page and its tables."""
    (tables,) = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    return not tables and not _pragma(db, "application_id") and _pragma(db, "auto_vacuum") == 2


def _pragma(db: sqlite3.Connection, name: str) -> int:
    (value,) = db.execute(f"PRAGMA {name}").fetchone()
    return int(value)


def dated(make: Callable[[str], Path]) -> Path:
    """A path that nothing has yet; ``make`` puts the time into it, and a number if need be."""
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    path, number = make(now), 1
    while os.path.lexists(path):
        number += 1
        path = make(f"{now}-{number}")
    return path


def _set_aside(path: Path, error: WsdevError) -> SetAside:
    """Give the file, and what SQLite has beside it, a dated name that nothing else has."""
    kept_as = dated(lambda stamp: path.with_name(f"{path.stem}.{error.code}-{stamp}{path.suffix}"))
    # First: beside a new file they would be taken for its own.
    for tail in ("-wal", "-shm", "-journal"):
        with contextlib.suppress(FileNotFoundError):
            _beside(path, tail).rename(_beside(kept_as, tail))
    path.rename(kept_as)
    return SetAside(error.cause, kept_as)


def open_for_reading(path: Path) -> sqlite3.Connection:
    """A read-only connection to the journal, also while a gateway writes it.

    Raises:
        JournalError: ``missing``, ``foreign``, ``newer``, ``older``, or ``damaged``.
        StateFolderError: the file or the folder cannot be read.
    """
    with JOURNAL.explained(path), contextlib.ExitStack() as undo:
        if not path.exists():
            raise JournalError(
                f"there is no journal in {printable(str(path.parent))}",
                "start wsdev serve once, or name the folder with --state",
                code="missing",
            )
        path.open("rb").close()  # the system says better what is wrong than SQLite
        db = _connect(path, "ro")
        undo.callback(db.close)
        where = printable(str(path))
        if _pragma(db, "application_id") != APPLICATION_ID:
            raise JournalError(
                f"{where} is not a journal, but empty or another program's file",
                "start wsdev serve once: it sets the file aside",
                code="foreign",
            )
        version = _pragma(db, "user_version")
        if version > len(MIGRATIONS):
            raise JournalError(
                f"{where} was written by a newer wsdev"
                f" (journal version {version}, not {len(MIGRATIONS)})",
                "update wsdev",
                code="newer",
            )
        if version < len(MIGRATIONS):
            raise JournalError(
                f"{where} was written by an older wsdev",
                "start wsdev serve once: it brings the file up to date",
                code="older",
            )
        undo.pop_all()
        return db
