"""Earlier commands and absent devices, as the journal's file knows them.

The file is opened for each question: they are few, and it may be set aside for a new one meanwhile.
Each takes an index or two, and a millisecond or two where the file is in memory. Where it is not,
or a device's last word stands behind large ones of others, it can be a second: a running gateway
asks from a thread.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Final

from wsdev.command_records import CommandChange, CommandRecord, CommandState, record_of
from wsdev.journal_interface import LastSeen
from wsdev.journal_reader import JournalReader
from wsdev.journal_schema import FILE_NAME
from wsdev.records import FIRST_TO_DEVICE

_COLUMNS: Final = (
    "time, id, state, device, asked_by, type, body, timeout, queue_until, session, reason, detail"
)

_LOOK_BACK: Final = 10_000
"""Rows before a session's last one in which the device's own last word is looked for: 2 ms if they
are short, 25 with 3 KB each."""


class FileArchive:
    """The commands in the journal of a state folder.

    Every method can raise :class:`~wsdev.errors.JournalError` or
    :class:`~wsdev.errors.StateFolderError`, as the reader does.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def queued(self) -> list[CommandRecord]:
        """The commands that wait for their devices, oldest first.

        Those that were put back into the queue keep their place. None where there is no journal.
        """
        if not (self._folder / FILE_NAME).exists():
            return []
        with JournalReader(self._folder) as reader, reader.reading() as db:
            rows = db.execute(
                f"SELECT {_COLUMNS} FROM commands WHERE id IN"
                " (SELECT id FROM commands WHERE is_open AND state = 'queued')"
                " ORDER BY id, sequence"
            ).fetchall()
            order = dict(
                db.execute(
                    "SELECT id, min(sequence) FROM commands WHERE id IN"
                    " (SELECT id FROM commands WHERE is_open AND state = 'queued') GROUP BY id"
                )
            )
        records = [
            record
            for _, changes in groupby(rows, lambda row: row[1])
            if (record := record_of(map(_change, changes))) is not None
        ]
        return sorted(records, key=lambda record: int(order[record.id]))

    def find(self, command_id: str) -> CommandRecord | None:
        """The command of that id."""
        with JournalReader(self._folder) as reader, reader.reading() as db:
            return record_of(_changes(db, command_id))

    def last_seen(self, device: str) -> LastSeen | None:
        """The end of the device's last connection; None if it never had one.

        Its last sign of life is the last message that is known of it: pings are not recorded.
        """
        with JournalReader(self._folder) as reader, reader.reading() as db:
            session = db.execute(
                "SELECT sequence, started, ended, last_message FROM sessions"
                " WHERE device = ? AND ended IS NOT NULL ORDER BY sequence DESC LIMIT 1",
                (device,),
            ).fetchone()
            if session is None:
                return None
            first, started, ended, last = session
            seen = None
            if last is not None:
                seen = db.execute(
                    "SELECT time FROM messages WHERE sequence BETWEEN ? AND ? AND session = ?"
                    " AND kind <= ? ORDER BY sequence DESC LIMIT 1",
                    (max(first, last - _LOOK_BACK), last, first, FIRST_TO_DEVICE),
                ).fetchone()
        # A clock that jumped must not make it seen after it was gone.
        last_seen = min(ended, started if seen is None else seen[0])
        return LastSeen(ended / 1000, last_seen / 1000)


def _changes(db: sqlite3.Connection, command_id: str) -> Iterator[tuple[int, CommandChange]]:
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM commands WHERE id = ? ORDER BY sequence", (command_id,)
    )
    return map(_change, rows)


def _change(row: tuple[object, ...]) -> tuple[int, CommandChange]:
    time, command_id, state, *rest = row
    return time, CommandChange(command_id, CommandState(state), *rest)  # type: ignore[return-value,arg-type]
