"""How much room the journal takes, and how the oldest of it goes."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from wsdev.errors import JournalError
from wsdev.journal_schema import JOURNAL
from wsdev.sanitize import printable

_SANE_TIME: Final = 1_704_067_200_000
"""2024: a host without a battery for its clock starts in 1970."""

_OPEN_COMMANDS: Final = "SELECT id FROM commands WHERE is_open"


class JournalSpace:
    """The room that a journal takes.

    Args:
        db: The writer's connection, whose errors are told in the words of ``path``.
    """

    def __init__(self, db: sqlite3.Connection, path: Path) -> None:
        self._db = db
        self._path = path

    def used_bytes(self) -> int:
        """Bytes of the file that hold something."""
        return (self._number("page_count") - self._number("freelist_count")) * self._page_size()

    def free_pages(self) -> tuple[int, int]:
        """Pages of the file that are free, and all."""
        return self._number("freelist_count"), self._number("page_count")

    def oldest_block(self, when: int) -> tuple[int | None, int | None] | None:
        """Where the oldest block of rows ends, if it is not the only one, and its latest time.

        Args:
            when: Now. A block from after it, or from before there was a wsdev, was written while
                the clock was wrong: it is taken to be as old as the next one that was not, or of
                no age if there is none.
        """
        with JOURNAL.explained(self._path):
            blocks = self._db.execute(
                "SELECT sequence FROM blocks ORDER BY sequence LIMIT 2"
            ).fetchall()
            latest = self._db.execute(
                "SELECT latest FROM blocks WHERE latest BETWEEN ? AND ? ORDER BY sequence LIMIT 1",
                (_SANE_TIME, when),
            ).fetchone()
        if not blocks:
            return None
        return blocks[1][0] if len(blocks) > 1 else None, None if latest is None else latest[0]

    def drop_before(self, sequence: int, limit: int) -> tuple[int, list[str]]:
        """Delete at most ``limit`` messages from before ``sequence``, the oldest first.

        Once no message is left there, all else from before goes too, with the block.

        Returns:
            How many are gone, fewer than ``limit`` when it is done; and the pictures that the
            caller now has to delete.
        """
        before = "SELECT sequence FROM messages WHERE sequence < ?1 ORDER BY sequence LIMIT ?2"
        pictures = [
            name
            for (name,) in self._db.execute(
                f"SELECT picture FROM messages WHERE sequence IN ({before})"
                " AND picture IS NOT NULL",
                (sequence, limit),
            )
        ]
        gone = self._db.execute(
            f"DELETE FROM messages WHERE sequence IN ({before})", (sequence, limit)
        ).rowcount
        if gone < limit:
            for statement in (
                "DELETE FROM refusals WHERE sequence < ?",
                "DELETE FROM sessions WHERE end_sequence < ?",
                f"DELETE FROM commands WHERE sequence < ? AND id NOT IN ({_OPEN_COMMANDS})",
                "DELETE FROM runs WHERE end_sequence < ?",
                "DELETE FROM blocks WHERE sequence < ?",
            ):
                self._db.execute(statement, (sequence,))
        return gone, pictures

    def check_wal(self, most: int) -> None:
        """See that the write-ahead log can be emptied now and then.

        Raises:
            JournalError: it is over ``most`` bytes, code ``wal``.
        """
        try:
            size = self._path.with_name(f"{self._path.name}-wal").stat().st_size
        except FileNotFoundError:
            return
        if size > most:
            raise JournalError(
                f"the journal's WAL has grown to {size // 1_000_000} MB: a program that reads"
                f" {printable(str(self._path))} does not come to an end",
                "end that program",
                code="wal",
            )

    def give_back(self, pages: int) -> None:
        """Shorten the file by at most so many free pages; outside of a transaction."""
        with JOURNAL.explained(self._path):
            # Not execute: that takes one step of the statement, and one page.
            self._db.executescript(f"PRAGMA incremental_vacuum({pages})")

    def _number(self, pragma: str) -> int:
        with JOURNAL.explained(self._path):
            (value,) = self._db.execute(f"PRAGMA {pragma}").fetchone()
        return int(value)

    def _page_size(self) -> int:
        return self._number("page_size")
