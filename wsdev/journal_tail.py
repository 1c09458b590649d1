"""What is at the end of the journal: which messages a device may send again after a restart."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from wsdev.journal_schema import JOURNAL
from wsdev.records import ACKNOWLEDGED

TAIL: Final = 100_000
"""Rows at the end that are looked through at a start: a third of a second."""

NOTE_AFTER: Final = TAIL // 2
"""Rows after which the latest message of each open session is noted, so that none is further back
than the tail unless it is noted."""

_TAIL_OF_SESSION: Final = 20_000
"""Rows before a session's last message that are looked through for what may be sent again."""

_TAIL_OF_DEVICE: Final = 4 * _TAIL_OF_SESSION
_SESSIONS_OF_DEVICE: Final = 256
"""The same for all its sessions. A gateway that is killed over and over, or a bad radio, leaves
many that hold next to nothing."""

_RESENDABLE: Final = f"AND id IS NOT NULL AND kind IN ({', '.join(map(str, ACKNOWLEDGED))})"


class JournalTail:
    """The latest acknowledged messages, by device.

    Args:
        db: The writer's connection, whose errors are told in the words of ``path``.
    """

    def __init__(self, db: sqlite3.Connection, path: Path) -> None:
        self._db = db
        self._path = path
        self._tail: tuple[int, int, dict[int, list[int]]] | None = None

    def resendable(self, device: str, limit: int) -> list[int]:
        """Hashes of the latest messages of a device that were acknowledged, oldest first."""
        if self._tail is None:
            self._tail = self._read_tail()
        start, end, tail = self._tail
        found: list[int] = []
        looked_through = 0
        with JOURNAL.explained(self._path):
            sessions = self._db.execute(
                "SELECT sequence, last_message FROM sessions WHERE device = ?"
                " AND last_message IS NOT NULL ORDER BY sequence DESC LIMIT ?",
                (device, _SESSIONS_OF_DEVICE),
            ).fetchall()
            for session, last in sessions:
                first = max(session, last - _TAIL_OF_SESSION)
                if start < first and last <= end:
                    found += reversed(tail.get(session, []))
                else:
                    found += self._hashes(session, first, last)
                    looked_through += last - first
                if len(found) >= limit or looked_through >= _TAIL_OF_DEVICE:
                    break
        return found[:limit][::-1]

    def _hashes(self, session: int, first: int, last: int) -> list[int]:
        """Of a session's acknowledged messages, the latest first."""
        rows = self._db.execute(
            "SELECT body FROM messages WHERE sequence BETWEEN ? AND ? AND session = ?"
            f" {_RESENDABLE} ORDER BY sequence DESC",
            (first, last, session),
        )
        return [hash(body) for (body,) in rows]

    def _read_tail(self) -> tuple[int, int, dict[int, list[int]]]:
        """Where the tail begins and ends, and its hashes by session: one look for a whole fleet."""
        tail: dict[int, list[int]] = {}
        with JOURNAL.explained(self._path):
            (end,) = self._db.execute("SELECT ifnull(max(sequence), 0) FROM messages").fetchone()
            start = end - TAIL
            rows = self._db.execute(
                f"SELECT session, body FROM messages WHERE sequence > ? {_RESENDABLE}"
                " ORDER BY sequence",
                (start,),
            )
            for session, body in rows:
                tail.setdefault(session, []).append(hash(body))
        return start, end, tail
