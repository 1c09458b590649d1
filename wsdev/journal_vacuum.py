"""Gives the free pages of the journal back to the file system, beside a running gateway."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from wsdev.journal_schema import FILE_NAME, JOURNAL, open_for_reading

PAGES_AT_ONCE: Final = 64
"""Of 4 KiB: some milliseconds in which the gateway's writer has to wait."""

_BUSY_TIMEOUT: Final = 5.0


class Vacuumed(NamedTuple):
    """Bytes of the file before and after."""

    before: int
    after: int


def vacuum(
    folder: Path, pause: Callable[[], object], progress: Callable[[int, int], object]
) -> Vacuumed:
    """Shorten the journal's file by the pages that hold nothing, in small steps.

    Args:
        pause: Is called after each step and lets the gateway's writer have its turn.
        progress: Is told the bytes given back and those there were to give.

    Raises:
        JournalError: ``missing``, ``foreign``, ``newer``, ``older``, ``damaged``, ``busy``.
        StateFolderError: no right to write there.
    """
    path = folder / FILE_NAME
    open_for_reading(path).close()  # what is no journal of ours is left as it is
    with JOURNAL.explained(path), contextlib.closing(_connect(path)) as db:
        page = _number(db, "page_size")
        before, free = _number(db, "page_count"), _number(db, "freelist_count")
        db.execute("PRAGMA synchronous = NORMAL")  # the space is lost at worst, never a row
        done = 0
        while done < free and _number(db, "freelist_count"):
            pages = min(PAGES_AT_ONCE, free - done)
            # Not execute: that takes one step of the statement, and one page.
            db.executescript(f"PRAGMA incremental_vacuum({pages})")
            done += pages
            progress(done * page, free * page)
            pause()
        # The file itself gets shorter when the WAL goes into it.
        db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        return Vacuumed(before * page, _number(db, "page_count") * page)


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw",
        uri=True,
        timeout=_BUSY_TIMEOUT,
        isolation_level=None,
    )


def _number(db: sqlite3.Connection, pragma: str) -> int:
    (value,) = db.execute(f"PRAGMA {pragma}").fetchone()
    return int(value)
