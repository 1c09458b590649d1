"""What the journal holds, in numbers; no part of it grows with the messages."""

from __future__ import annotations

import sqlite3
from typing import Any, Final

import msgspec

from wsdev.journal_reader import JournalReader
from wsdev.journal_schema import JOURNAL

TOP: Final = 5


class Amounts(msgspec.Struct, frozen=True):
    """What sessions did; messages and bytes are known of those that ended, each way.

    Attributes:
        name: Of the device or the class.
        open: Sessions without an end: there now, or the gateway was killed.
        lost: Sessions that went down with the gateway.
    """

    name: str
    sessions: int
    open: int
    lost: int
    ended_messages_in: int
    ended_bytes_in: int
    ended_messages_out: int
    ended_bytes_out: int


class Run(msgspec.Struct, frozen=True):
    """A run of the gateway.

    Attributes:
        started, ended: Unix milliseconds.
        how: ``stopped``, ``lost``, or None when it has no end: it runs, or it was killed.
    """

    started: int
    version: str
    ended: int | None
    how: str | None


class Stats(msgspec.Struct, frozen=True):
    """The journal in numbers.

    Attributes:
        file_bytes: Of the file without its WAL, which has ``wal_bytes``.
        used_bytes: Of pages that hold something, in the file or as yet in the WAL.
        free_bytes: Of free pages, used again or given back by ``wsdev journal vacuum``.
        oldest, newest: Unix milliseconds, None in an empty journal.
        top_devices: Those with most bytes in ended sessions, the most first; at most
            :data:`TOP`.
    """

    path: str
    file_bytes: int
    wal_bytes: int
    used_bytes: int
    free_bytes: int
    pictures: int
    picture_bytes: int
    oldest: int | None
    newest: int | None
    sessions: int
    sessions_open: int
    sessions_lost: int
    refusals: int
    messages: int
    by_class: list[Amounts]
    top_devices: list[Amounts]
    refusals_by_code: dict[str, int]
    last_run: Run | None


def gather(reader: JournalReader) -> Stats:
    """Look the journal over.

    Raises:
        JournalError, StateFolderError: as the reader gives it.
    """
    with reader.reading() as db:
        page_size, pages, free = (
            int(db.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_size", "page_count", "freelist_count")
        )
        (oldest,) = _row(db, "SELECT earliest FROM blocks ORDER BY sequence LIMIT 1") or (None,)
        (newest,) = _row(db, "SELECT latest FROM blocks ORDER BY sequence DESC LIMIT 1") or (None,)
        sessions, still_open, lost = _row(db, f"SELECT count(*), {_OPEN}, {_LOST} FROM sessions")
        refusals = dict(
            db.execute("SELECT code, count(*) FROM refusals GROUP BY code ORDER BY 2 DESC, code")
        )
        messages = _messages(db)
        by_class = _amounts(db, "device_class", "ORDER BY 1")
        top = _amounts(
            db, "device", f"ORDER BY total(bytes_in) + total(bytes_out) DESC, 1 LIMIT {TOP}"
        )
        run = _row(
            db, "SELECT started, version, ended, how FROM runs ORDER BY sequence DESC LIMIT 1"
        )
    with JOURNAL.explained(reader.path):
        file_bytes, wal_bytes = _file_sizes(reader)
        pictures = [path.stat().st_size for path in reader.pictures.glob("*.jpg") if path.is_file()]
    return Stats(
        path=str(reader.path),
        file_bytes=file_bytes,
        wal_bytes=wal_bytes,
        used_bytes=(pages - free) * page_size,
        free_bytes=free * page_size,
        pictures=len(pictures),
        picture_bytes=sum(pictures),
        oldest=oldest,
        newest=newest,
        sessions=sessions,
        sessions_open=still_open,
        sessions_lost=lost,
        refusals=sum(refusals.values()),
        messages=messages,
        by_class=by_class,
        top_devices=top,
        refusals_by_code=refusals,
        last_run=None if run is None else Run(*run),
    )


def _row(db: sqlite3.Connection, sql: str, *values: Any) -> Any:
    return db.execute(sql, values).fetchone()


def _messages(db: sqlite3.Connection) -> int:
    """How many messages there are, without reading them all.

    Numbers are given without gaps and old rows go from the lowest up, so what is no other thing
    since the oldest message is a message.
    """
    # Two queries: for both at once SQLite would look at each row.
    (first,) = _row(db, "SELECT min(sequence) FROM messages")
    (last,) = _row(db, "SELECT max(sequence) FROM messages")
    if first is None:
        return 0
    others = sum(
        _row(db, f"SELECT count(*) FROM {table} WHERE {column} BETWEEN ? AND ?", first, last)[0]
        for column, table in (
            ("sequence", "runs"), ("end_sequence", "runs"),
            ("sequence", "sessions"), ("end_sequence", "sessions"),
            ("sequence", "refusals"), ("sequence", "commands"),
        )
    )  # fmt: skip
    return int(last - first + 1 - others)


_OPEN: Final = "count(*) FILTER (WHERE end_sequence IS NULL)"
_LOST: Final = "count(*) FILTER (WHERE closed_by = 'lost')"


def _amounts(db: sqlite3.Connection, column: str, order: str) -> list[Amounts]:
    rows = db.execute(
        f"SELECT {column}, count(*), {_OPEN}, {_LOST}, total(messages_in),"
        " total(bytes_in), total(messages_out), total(bytes_out)"
        f" FROM sessions GROUP BY {column} {order}"
    )
    return [Amounts(row[0], *map(int, row[1:])) for row in rows]


def _file_sizes(reader: JournalReader) -> tuple[int, int]:
    wal = reader.path.with_name(reader.path.name + "-wal")
    return reader.path.stat().st_size, wal.stat().st_size if wal.exists() else 0
