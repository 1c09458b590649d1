"""The journal's table of commands as its one writer has it: a row for each change of state."""

from __future__ import annotations

import sqlite3

from wsdev.command_records import OPEN_STATES, CommandChange, CommandState


class JournalCommands:
    """Rows of commands. Only inside a transaction of the caller's.

    Args:
        db: The writer's connection.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def add(self, sequence: int, when: int, change: CommandChange) -> None:
        """A command has another state."""
        self._db.execute("UPDATE commands SET is_open = 0 WHERE id = ? AND is_open", (change.id,))
        self._db.execute(
            "INSERT INTO commands (sequence, time, id, state, device, asked_by, type, body,"
            " timeout, queue_until, session, reason, detail, is_open)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                sequence, when, change.id, change.state.value, change.device, change.by,
                change.type, change.body, change.timeout, change.queue_until, change.session,
                change.reason, change.detail, change.state in OPEN_STATES,
            ),
        )  # fmt: skip

    def lose_open(self, first_sequence: int, when: int) -> int:
        """End what a crash left open, from ``first_sequence`` on; gives the next free number.

        What may have reached its device is lost, since nobody knows; it is never sent again. What
        was queued stays so, unless it was only in line behind others of a device that was there.
        """
        rows = self._db.execute(
            "SELECT id, state, device, asked_by, type FROM commands"
            " WHERE is_open AND (state = 'sent' OR queue_until IS NULL) ORDER BY sequence"
        ).fetchall()
        for number, (command_id, state, device, by, kind) in enumerate(rows, first_sequence):
            sent = state == CommandState.SENT
            change = CommandChange(
                command_id,
                CommandState.LOST if sent else CommandState.EXPIRED,
                device,
                by,
                kind,
                reason="lost with the server" if sent else "the server ended before it was sent",
            )
            self.add(number, when, change)
        return first_sequence + len(rows)
