"""A journal on a test's bench: a hand-cranked event loop, a device that listens, its rows."""

from __future__ import annotations

import contextlib
import queue
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from wsdev.journal import FileJournal
from wsdev.journal_group import SessionKey
from wsdev.protocol import MessageId
from wsdev.records import FROM_DEVICE, Refusal, SessionEnd, SessionStart

PATIENCE = 20.0
"""Seconds after which something has failed; never a time to wait."""

NOW = 1_800_000_000_000
"""Unix ms at which the tests' clocks start."""

TELEMETRY = FROM_DEVICE["telemetry"]
OTHER = FROM_DEVICE["other"]
BAD = FROM_DEVICE["bad"]
PICTURE = FROM_DEVICE["picture"]

JPEG = b"\xff\xd8 a picture \xff\xd9"


class Loop:
    """Takes the place of the event loop: calls of the writer wait until the test runs them."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[tuple[Callable[..., object], tuple[Any, ...]]] = (
            queue.SimpleQueue()
        )
        self.faults: list[Exception] = []

    def __call__(self, call: Callable[..., object], *arguments: Any) -> None:
        self._calls.put((call, arguments))

    def run_one(self) -> None:
        """Run the next call, as soon as there is one; a fault of it is kept."""
        call, arguments = self._calls.get(timeout=PATIENCE)
        try:
            call(*arguments)
        except Exception as fault:
            self.faults.append(fault)

    def run_until(self, is_true: Callable[[], object]) -> None:
        """Run calls until something is true."""
        while not is_true():
            self.run_one()

    def run_until_recorded(self, journal: FileJournal) -> None:
        """Run calls until all that was said so far is on disk."""
        done: list[bool] = []
        journal.when_recorded(lambda: done.append(True))
        self.run_until(lambda: done)


class Listener:
    """A sender that notes down what it is told."""

    def __init__(self) -> None:
        self.rows = 0
        self.size = 0
        self.ids: list[MessageId] = []

    def recorded(self, rows: int, size: int, ids: Sequence[MessageId]) -> None:
        self.rows += rows
        self.size += size
        self.ids += ids


class Clock:
    """Unix seconds that stand still until a test moves them."""

    def __init__(self, milliseconds: int = NOW) -> None:
        self.milliseconds = milliseconds

    def __call__(self) -> float:
        return self.milliseconds / 1000


@contextlib.contextmanager
def writing(folder: Path, **options: Any) -> Iterator[tuple[FileJournal, Loop]]:
    """A journal that writes; closed, with all of it on disk, when the block ends."""
    loop = Loop()
    options.setdefault("wall_clock", Clock())
    journal = FileJournal(folder, **options).start(loop)
    try:
        yield journal, loop
    finally:
        left = journal.close()
    assert not left, journal.trouble


@contextlib.contextmanager
def held_file(folder: Path) -> Iterator[None]:
    """Another program holds the journal's file: nothing can be written while the block runs."""
    path = folder / "journal.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=PATIENCE)) as db:
        db.execute("BEGIN IMMEDIATE")
        yield


def start_of(device: str = "kitchen", session: str = "c0ffee000001", **also: Any) -> SessionStart:
    """A session's start."""
    return SessionStart(session, device, "pico", "192.0.2.7", **also)


def an_end(reason: str = "bye", **changes: Any) -> SessionEnd:
    """A session's end."""
    fields: dict[str, Any] = {
        "code": 1000, "reason": reason, "closed_by": "peer", "seconds": 1.5, "messages_in": 1,
        "bytes_in": 2, "messages_out": 3, "bytes_out": 4, "median_rtt": 0.25,
    }  # fmt: skip
    return SessionEnd(**(fields | changes))


def a_refusal(request_id: str = "badcafe00001", **changes: Any) -> Refusal:
    """A refusal."""
    return Refusal(request_id, "203.0.113.9", "token_missing", 401, **changes)


def say(
    journal: FileJournal, key: SessionKey, listener: Listener, message_id: MessageId, body: str = ""
) -> str:
    """Record a telemetry message; its text."""
    text = body or f'{{"type":"telemetry","data":{{}},"id":{message_id}}}'
    journal.record(key, TELEMETRY, text.encode(), message_id, listener)
    return text


def rows(folder: Path, query: str, *arguments: Any) -> list[tuple[Any, ...]]:
    """What a reader of its own finds in the file."""
    uri = f"{(folder / 'journal.db').as_uri()}?mode=ro"
    with contextlib.closing(sqlite3.connect(uri, uri=True)) as db:
        return db.execute(query, arguments).fetchall()


def bytes_on_disk(folder: Path) -> bytes:
    """All bytes of the journal's file and of what SQLite keeps beside it."""
    return b"".join(path.read_bytes() for path in sorted(folder.glob("journal.db*")))
