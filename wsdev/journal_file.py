"""The journal's file as its one writer has it: rows in, in transactions; old rows out, in steps.

Sequence numbers are given by the caller, in the order in which things happened.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Final

from wsdev.command_records import CommandChange
from wsdev.errors import JournalError, LocalError
from wsdev.journal_commands import JournalCommands
from wsdev.journal_schema import FILE_NAME, JOURNAL, SetAside, open_for_writing, suspicion
from wsdev.journal_space import JournalSpace
from wsdev.journal_tail import TAIL, JournalTail
from wsdev.protocol import MessageId
from wsdev.records import Refusal, SessionEnd, SessionStart
from wsdev.sanitize import printable

PlainRow = tuple[int, int, int, int, MessageId | None, str]
"""A message that is whole in its body: sequence, session, time, kind, id, body."""

_ROWS_AT_ONCE: Final = 50
"""Rows in one statement. The GIL is handed over at each statement, not at each row, which else
takes ten times as long beside a busy event loop."""

_BLOCK: Final = 1000
_BLOCK_BYTES: Final = 256 * 1024
_BLOCK_SPAN: Final = 3_600_000
"""A block ends at so many sequence numbers, bytes or milliseconds: so much too much is looked at by
a search for a time, and kept by retention."""

_WAL_LEFT: Final = 16 * 1024 * 1024


_MESSAGE: Final = "messages (sequence, session, time, kind, id, body)"
"""The columns left out are NULL; to bind them would double the time."""

_SESSION: Final = (
    "sessions (sequence, started, session, device, device_class, address, via, user_agent, token)"
)


@cache
def _insertion(into: str, columns: int, rows: int) -> str:
    row = f"({', '.join('?' * columns)})"
    return f"INSERT INTO {into} VALUES {', '.join([row] * rows)}"


@dataclass(frozen=True, slots=True)
class Begun:
    """A run has begun: the number that it took, and how many sessions the last one left open."""

    sequence: int
    lost_sessions: int


class JournalFile:
    """The open journal. Use from one thread at a time.

    Every method can raise :class:`~wsdev.errors.JournalError` (disk full, damaged, busy) or
    :class:`~wsdev.errors.StateFolderError`.
    """

    def __init__(self, folder: Path, *, full_sync: bool = True) -> None:
        """Open or make the journal of a state folder.

        Args:
            full_sync: Each commit is on the disk before it returns. Without, a power cut (not a
                crash of the program) can take the latest ones.
        """
        self.path = folder / FILE_NAME
        self._db, self.set_aside = open_for_writing(self.path)
        self._block: tuple[int, int] | None = None
        self._block_bytes = 0
        self.tail = JournalTail(self._db, self.path)
        self.space = JournalSpace(self._db, self.path)
        self._commands = JournalCommands(self._db)
        with JOURNAL.explained(self.path):
            self._identity = self._status()
            self._db.execute(f"PRAGMA synchronous = {'FULL' if full_sync else 'NORMAL'}")
            self._db.execute(f"PRAGMA journal_size_limit = {_WAL_LEFT}")

    set_aside: SetAside | None

    def close(self) -> None:
        """Let go of the file; what is in its WAL goes into it."""
        self._db.close()

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """One transaction: on disk when the block ends, as if never begun when it raises."""
        block = self._block
        try:
            with JOURNAL.explained(self.path), self._db:
                self._db.execute("BEGIN IMMEDIATE")
                yield
        except BaseException:
            self._block = block
            raise

    def _status(self) -> tuple[int, int]:
        status = self.path.stat()
        return status.st_dev, status.st_ino

    def check_place(self) -> None:
        """See that the file is still where it was opened.

        Raises:
            JournalError: it was removed or replaced, code ``replaced``: what is written to it now
                would be found by nobody.
        """
        try:
            in_place = self._status() == self._identity
        except FileNotFoundError:
            in_place = False
        if not in_place:
            raise JournalError(
                f"{printable(str(self.path))} was removed or replaced under the gateway",
                "restart the gateway",
                code="replaced",
            )

    def last_sequence(self) -> int:
        """The highest sequence number so far; 0 in an empty journal."""
        columns = [
            ("sequence", "runs"), ("end_sequence", "runs"),
            ("sequence", "sessions"), ("end_sequence", "sessions"),
            ("sequence", "refusals"), ("sequence", "messages"),
            ("sequence", "commands"),
        ]  # fmt: skip
        with JOURNAL.explained(self.path):
            values = [
                self._db.execute(f"SELECT max({column}) FROM {table}").fetchone()[0]
                for column, table in columns
            ]
        return max((value for value in values if value is not None), default=0)

    def begin_run(self, when: int, version: str) -> Begun:
        """End what a crash left open, and begin a run of the gateway."""
        sequence = self.last_sequence() + 1
        with self.writing():
            sequence, lost = self.lose_open(sequence)
            self.start_run(sequence, when, version)
            self.mark_times(sequence, sequence, when, when)
        return Begun(sequence, lost)

    # Only inside `writing`.

    def start_run(self, sequence: int, when: int, version: str) -> None:
        """A gateway starts."""
        self._db.execute(
            "INSERT INTO runs (sequence, started, version) VALUES (?, ?, ?)",
            (sequence, when, version),
        )

    def end_run(self, sequence: int, when: int, how: str) -> None:
        """The gateway that started last ends: ``stopped`` or ``lost``."""
        self._db.execute(
            "UPDATE runs SET end_sequence = ?, ended = ?, how = ?"
            " WHERE sequence = (SELECT max(sequence) FROM runs) AND end_sequence IS NULL",
            (sequence, when, how),
        )

    def start_sessions(self, starts: Sequence[tuple[int, int, SessionStart]]) -> None:
        """Devices are let in.

        Args:
            starts: Sequence, which is the session's key from now on, time, and who it is.
        """
        self._insert(
            _SESSION,
            [
                (
                    sequence, when, start.session, start.device, start.device_class, start.address,
                    start.via, start.user_agent, start.token,
                )
                for sequence, when, start in starts
            ],
        )  # fmt: skip

    def note_last_messages(self, noted: Sequence[tuple[int | None, int]]) -> None:
        """The latest messages of open sessions, for the case that they are lost.

        Args:
            noted: Number of the message, and the session's.
        """
        self._db.executemany("UPDATE sessions SET last_message = ? WHERE sequence = ?", noted)

    def rename_session(self, session: int, device: str) -> None:
        """The device of a session has another name."""
        self._db.execute("UPDATE sessions SET device = ? WHERE sequence = ?", (device, session))

    def note_version(self, session: int, version: str | None) -> None:
        """The device of a session said the version of its firmware."""
        self._db.execute("UPDATE sessions SET version = ? WHERE sequence = ?", (version, session))

    def end_session(
        self, session: int, sequence: int, when: int, end: SessionEnd, last_message: int | None
    ) -> None:
        """A device is gone."""
        self._db.execute(
            "UPDATE sessions SET end_sequence = ?, ended = ?, code = ?, reason = ?, closed_by = ?,"
            " seconds = ?, messages_in = ?, bytes_in = ?, messages_out = ?, bytes_out = ?,"
            " median_rtt = ?, last_message = ? WHERE sequence = ?",
            (
                sequence, when, end.code, end.reason, end.closed_by, end.seconds, end.messages_in,
                end.bytes_in, end.messages_out, end.bytes_out, end.median_rtt, last_message,
                session,
            ),
        )  # fmt: skip

    def add_refusal(self, sequence: int, when: int, refusal: Refusal) -> None:
        """A request was refused."""
        self._db.execute(
            "INSERT INTO refusals (sequence, time, request_id, address, via, path, code, status,"
            " token_tail, user_agent) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                sequence, when, refusal.request_id, refusal.address, refusal.via, refusal.path,
                refusal.code, refusal.status, refusal.token_tail, refusal.user_agent,
            ),
        )  # fmt: skip

    def add_command(self, sequence: int, when: int, change: CommandChange) -> None:
        """A command has another state."""
        self._commands.add(sequence, when, change)

    def add_messages(self, rows: Sequence[PlainRow]) -> None:
        """Messages whose whole text is their body."""
        self._insert(_MESSAGE, rows)

    def _insert(self, into: str, rows: Sequence[tuple[object, ...]]) -> None:
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            chunk = rows[start : start + _ROWS_AT_ONCE]
            statement = _insertion(into, len(chunk[0]), len(chunk))
            self._db.execute(statement, tuple(chain.from_iterable(chunk)))

    def add_message(
        self,
        row: tuple[int, int, int, int, MessageId | None, str | None],
        size: int,
        sha256: bytes | None,
        picture: str | None,
    ) -> None:
        """A message that is cut, or binary.

        Args:
            row: As a plain row; without a body for binary.
            size: Bytes that it had.
            picture: Name of its file among the pictures.
        """
        self._db.execute(
            "INSERT INTO messages (sequence, session, time, kind, id, body, size, sha256, picture)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*row, size, sha256, picture),
        )

    def mark_times(self, first: int, last: int, earliest: int, latest: int, size: int = 0) -> None:
        """The rows from ``first`` to ``last`` happened between two times.

        Args:
            size: Bytes of what is in them.
        """
        if self._block is None:
            self._block = self._db.execute(
                "SELECT sequence, earliest FROM blocks ORDER BY sequence DESC LIMIT 1"
            ).fetchone()
        if (
            self._block is None
            or last - self._block[0] >= _BLOCK
            or self._block_bytes >= _BLOCK_BYTES
            or abs(latest - self._block[1]) >= _BLOCK_SPAN
        ):
            self._block = first, earliest
            self._block_bytes = 0
        self._block_bytes += size
        self._db.execute(
            "INSERT INTO blocks VALUES (?1, ?2, ?3) ON CONFLICT (sequence) DO UPDATE"
            " SET earliest = min(earliest, ?2), latest = max(latest, ?3)",
            (self._block[0], earliest, latest),
        )

    # After a crash

    def lose_open(self, first_sequence: int) -> tuple[int, int]:
        """End what a crash left open, numbered from ``first_sequence`` on.

        Returns:
            The next free number, and how many sessions were open.

        They end at the time of the last thing recorded: nobody knows better.
        """
        open_ones = self._db.execute(
            "SELECT sequence, started FROM sessions WHERE end_sequence IS NULL ORDER BY sequence"
        ).fetchall()
        (open_runs,) = self._db.execute(
            "SELECT count(*) FROM runs WHERE end_sequence IS NULL"
        ).fetchone()
        if not open_ones and not open_runs:
            return first_sequence, 0
        (lost_at,) = self._db.execute(
            "SELECT max(latest) FROM blocks WHERE sequence = (SELECT max(sequence) FROM blocks)"
        ).fetchone()
        last_messages = dict(
            self._db.execute(
                "SELECT session, max(sequence) FROM messages WHERE sequence > ? GROUP BY session",
                (first_sequence - TAIL,),
            )
        )
        self._db.executemany(
            "UPDATE sessions SET end_sequence = ?, ended = ?, closed_by = 'lost',"
            " reason = 'lost with the server', last_message = ifnull(?, last_message)"
            " WHERE sequence = ?",
            [
                (first_sequence + number, max(lost_at, started), last_messages.get(key), key)
                for number, (key, started) in enumerate(open_ones)
            ],
        )
        last = self._commands.lose_open(first_sequence + len(open_ones), lost_at)
        self.end_run(last, lost_at, "lost")
        return last + 1, len(open_ones)

    def camera_of(self, sequence: int) -> str | None:
        """The device whose picture is in the row of that number."""
        with JOURNAL.explained(self.path):
            row = self._db.execute(
                "SELECT device FROM messages m JOIN sessions s ON s.sequence = m.session"
                " WHERE m.sequence = ? AND picture IS NOT NULL",
                (sequence,),
            ).fetchone()
        return None if row is None else str(row[0])


def begin_run(
    folder: Path, when: int, version: str, *, full_sync: bool
) -> tuple[JournalFile, Begun]:
    """Open or make the journal, end what a crash left open, and begin a run of the gateway.

    A file that is too large to be looked through at each start, and shows its damage now, is looked
    through and set aside.

    Raises:
        JournalError, StateFolderError: as :func:`~wsdev.journal_schema.open_for_writing`.
    """
    file = JournalFile(folder, full_sync=full_sync)
    try:
        return file, file.begin_run(when, version)
    except LocalError as error:
        file.close()
        if error.code != "damaged":
            raise
    suspicion(file.path).touch(0o600)
    file = JournalFile(folder, full_sync=full_sync)
    return file, file.begin_run(when, version)
