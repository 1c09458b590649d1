"""The journal as others see it: read-only, in order, also while a gateway writes it.

It is read in pages, each a short transaction, and nothing is held open between them: a reader that
stays in one would keep SQLite from emptying the WAL, which then grows with all that is written.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

from wsdev.errors import JournalError
from wsdev.journal_entries import (
    CommandEntry,
    Entry,
    GatewayEntry,
    MessageEntry,
    RefusalEntry,
    SessionEntry,
)
from wsdev.journal_query import (
    LAST,
    LAST_SESSION,
    Range,
    Source,
    Wanted,
    clip,
    make_sources,
    session_ranges,
    time_ranges,
)
from wsdev.journal_schema import (
    APPLICATION_ID,
    FILE_NAME,
    JOURNAL,
    MIGRATIONS,
    PICTURES_FOLDER,
    open_for_reading,
)

_FIRST_SPAN: Final = 512
_MOST_SPAN: Final = 16_384
"""Sequence numbers that one page looks through: some 20 ms when none of them fits."""

_PAGE_ROWS: Final = 2000
_PAGE_BYTES: Final = 4 * 1024 * 1024

_ENTRY_TYPES: Final[dict[str, type[Entry]]] = {
    "starts": SessionEntry,
    "ends": SessionEntry,
    "refusals": RefusalEntry,
    "commands": CommandEntry,
    "run_starts": GatewayEntry,
    "run_ends": GatewayEntry,
}


class Page(NamedTuple):
    """Some entries in order, and the number up to which all were looked at."""

    entries: list[Entry]
    reached: int


class FoundSession(NamedTuple):
    """A session, when it began (Unix milliseconds), and where; no ``last`` while it goes on."""

    session: str
    device: str
    started: int
    first: int
    last: int | None


class JournalReader:
    """The journal of a state folder, open for reading. Use from one thread.

    Every method can raise :class:`~wsdev.errors.JournalError` (damaged, busy) or
    :class:`~wsdev.errors.StateFolderError`.

    Raises:
        JournalError: ``missing``, ``foreign``, ``newer``, ``older``, or ``damaged``.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE_NAME
        self.pictures = folder / PICTURES_FOLDER
        self._open()

    def _open(self) -> None:
        db = _open_still(self.path) or open_for_reading(self.path)
        try:
            with JOURNAL.explained(self.path):
                self._file = self._identity()
                self._kinds: dict[int, tuple[str, str]] = {
                    kind: (name, "out" if to_device else "in")
                    for kind, name, to_device in db.execute(
                        "SELECT kind, name, to_device FROM kinds"
                    )
                }
        except BaseException:
            db.close()
            raise
        self._db = db
        self._version = 0

    def _identity(self) -> tuple[int, int]:
        status = self.path.stat()
        return status.st_dev, status.st_ino

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The file as it is at one moment; keep it short."""
        with JOURNAL.explained(self.path):
            self._db.execute("BEGIN")
            try:
                yield self._db
            finally:
                if self._db.in_transaction:  # SQLite may have ended it itself, on an error
                    self._db.execute("ROLLBACK")

    def last_sequence(self) -> int:
        """The highest sequence number so far; 0 in an empty journal."""
        with self.reading() as db:
            return _last_sequence(db)

    def devices(self) -> list[str]:
        """The names of all devices that had a session, in order."""
        with self.reading() as db:
            rows = db.execute("SELECT DISTINCT device FROM sessions ORDER BY device").fetchall()
        return [name for (name,) in rows]

    def last_session(
        self,
        device: str | None,
        session: str | None = None,
        *,
        since: int | None = None,
        until: int | None = None,
    ) -> FoundSession | None:
        """The latest session of a device, or of that id, that was there between the two times.

        Args:
            since, until: Unix milliseconds; from the first, before the second.
        """
        with self.reading() as db:
            row = db.execute(LAST_SESSION, (device, session, since, until)).fetchone()
        return None if row is None else FoundSession(*row)

    def entries(self, wanted: Wanted, first: int = 1, last: int | None = None) -> Iterator[Page]:
        """The wanted entries from ``first`` to ``last`` (what there is by now), oldest first.

        A page may be without entries, so that the caller sees how far it is.
        """
        search = self._search(wanted, first, last)
        for low, high in search.parts:
            span, at = _FIRST_SPAN, low
            while at <= high:
                page, reached = self._read(search, (at, min(high, at + span - 1)), False)
                yield Page(page, reached)
                at = reached + 1
                span = min(span * 2, _MOST_SPAN)

    def start_of_last(self, wanted: Wanted, count: int, last: int) -> int:
        """The number from which there are ``count`` wanted entries up to ``last``.

        It is looked for from the end. 1 if there are fewer; past ``last`` for none at all.
        """
        if count <= 0:
            return last + 1
        search = self._search(wanted, 1, last)
        for low, high in reversed(search.parts):
            span, at = _FIRST_SPAN, high
            while at >= low:
                page, reached = self._read(search, (max(low, at - span + 1), at), True)
                if len(page) >= count:
                    return page[-count].sequence
                count -= len(page)
                at = reached - 1
                span = min(span * 2, _MOST_SPAN)
        return 1

    def follow(self, wanted: Wanted, after: int, wait: Callable[[], object]) -> Iterator[Page]:
        """The wanted entries after a number, as they come; without end.

        The gateway may be restarted meanwhile, and may set its file aside for a new one.

        Args:
            wait: Is called when there is nothing new, and returns after a moment.
        """
        self._version = 0  # what there is by now has to be looked at in any case
        while True:
            if self._was_replaced():
                if not self._reopened():
                    wait()
                    continue
                after = 0
            if self._has_changed():
                for page in self.entries(wanted, after + 1):
                    after = page.reached
                    yield page
            else:
                wait()

    def _has_changed(self) -> bool:
        with JOURNAL.explained(self.path):
            (version,) = self._db.execute("PRAGMA data_version").fetchone()
        before, self._version = self._version, version
        return bool(version != before)

    def _was_replaced(self) -> bool:
        with JOURNAL.explained(self.path):
            try:
                return self._identity() != self._file
            except FileNotFoundError:
                return True

    def _reopened(self) -> bool:
        """Whether there is a journal again in the place of the one that was set aside."""
        old = self._db
        try:
            self._open()
        except JournalError as error:
            if error.code not in {"missing", "foreign", "busy"}:  # it is being made
                raise
            return False
        old.close()
        return True

    # Pages

    def _search(self, wanted: Wanted, first: int, last: int | None) -> _Search:
        with self.reading() as db:
            newest = _last_sequence(db)
            last = newest if last is None else min(last, newest)
            sources, values = make_sources(db, wanted)
            messages = spans = [(1, LAST)]
            if last - first > _MOST_SPAN:  # else it takes longer to know where not to look
                messages = session_ranges(db, wanted, values, newest)
                spans = time_ranges(db, wanted)
            oldest = _first_sequence(db)
        low = max(first, oldest)
        parts = [
            (max(low, start), min(last, end))
            for start, end in spans
            if start <= last and end >= low
        ]
        return _Search(wanted, sources, values, messages, parts)

    def _read(self, search: _Search, span: Range, backwards: bool) -> tuple[list[Entry], int]:
        """The wanted entries of a span in order, and how far it was looked through.

        That is less than all of it if there were too many for a page.
        """
        low, high = span
        found: list[tuple[Source, tuple[Any, ...]]] = []
        with self.reading() as db:
            for source in search.sources:
                part: Range | None = (low, high)
                if source.is_messages:
                    part = clip(search.messages, low, high)
                if part is None:
                    continue
                rows, edge = _fetch(db, source, part, search.values, backwards)
                found += [(source, row) for row in rows]
                if edge is not None:
                    low, high = (edge, high) if backwards else (low, edge)
        entries = [
            entry
            for source, row in found
            if low <= row[0] <= high and search.wanted.fits(entry := self._entry(source, row))
        ]
        entries.sort(key=lambda entry: entry.sequence)
        return entries, low if backwards else high

    def _entry(self, source: Source, row: tuple[Any, ...]) -> Entry:
        if not source.is_messages:
            return _ENTRY_TYPES[source.name](*row)
        sequence, time, kind, session, device, device_class, address, own_id = row[:8]
        body, size, sha256, picture = row[8:]
        event, direction = self._kinds.get(kind, (f"kind-{kind}", "in"))
        file = None
        if picture is not None and os.path.exists(path := self.pictures / picture):
            file = str(path)
        return MessageEntry(
            sequence, time, event, direction, session, device, device_class, address, own_id,
            body, len(body.encode()) if size is None else size,
            body is not None and size is not None,
            None if sha256 is None else sha256.hex(), file,
        )  # fmt: skip


def _open_still(path: Path) -> sqlite3.Connection | None:
    """A journal that nothing can change: a backup on a disk for reading only.

    SQLite keeps an index of the WAL beside a file, even to read it, unless it is told that the file
    stands still: https://sqlite.org/wal.html#read_only_databases. None if that is not sure, or what
    is there is no journal of this version.
    """
    wal = path.with_name(path.name + "-wal")
    with contextlib.suppress(OSError, sqlite3.DatabaseError):
        if os.access(path.parent, os.W_OK) or wal.exists():
            return None
        uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
        db = sqlite3.connect(uri, uri=True, isolation_level=None)
        try:
            found = [db.execute(f"PRAGMA {name}").fetchone()[0] for name in _SIGNS]
        except BaseException:
            db.close()
            raise
        if found == list(_SIGNS.values()):
            return db
        db.close()
    return None


_SIGNS: Final = {"application_id": APPLICATION_ID, "user_version": len(MIGRATIONS)}


class _Search(NamedTuple):
    """What is asked of SQLite, and where.

    Attributes:
        messages: Where wanted messages can be.
        parts: Where anything wanted can be.
    """

    wanted: Wanted
    sources: list[Source]
    values: dict[str, Any]
    messages: list[Range]
    parts: list[Range]


def _fetch(
    db: sqlite3.Connection,
    source: Source,
    part: Range,
    values: dict[str, Any],
    backwards: bool,
) -> tuple[list[tuple[Any, ...]], int | None]:
    """Rows of a part, and the number at which a page was full, None if it took them all."""
    sql = source.sql + " DESC" if backwards else source.sql
    rows: list[tuple[Any, ...]] = []
    size = 0
    cursor = db.execute(sql, {**values, "low": part[0], "high": part[1]})
    with contextlib.closing(cursor):
        for row in cursor:
            rows.append(row)
            if source.is_messages:
                size += len(row[8] or "")
            if len(rows) >= _PAGE_ROWS or size >= _PAGE_BYTES:
                return rows, row[0]
    return rows, None


_NUMBERED: Final = (
    ("sequence", "runs"), ("end_sequence", "runs"),
    ("sequence", "sessions"), ("end_sequence", "sessions"),
    ("sequence", "refusals"), ("sequence", "messages"),
    ("sequence", "commands"),
)  # fmt: skip


def _last_sequence(db: sqlite3.Connection) -> int:
    return max(_ends(db, "max"), default=0)


def _first_sequence(db: sqlite3.Connection) -> int:
    return min(_ends(db, "min"), default=LAST)


def _ends(db: sqlite3.Connection, function: str) -> list[int]:
    values = [
        db.execute(f"SELECT {function}({column}) FROM {table}").fetchone()[0]
        for column, table in _NUMBERED
    ]
    return [value for value in values if value is not None]
