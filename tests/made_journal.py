"""Journals made to order: what a gateway would have recorded, at times that the test says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from wsdev.command_records import CommandChange, CommandState
from wsdev.journal_file import JournalFile
from wsdev.picture_store import picture_name
from wsdev.records import FROM_DEVICE, TO_DEVICE, Refusal, SessionEnd, SessionStart

START = 1_704_096_000_000
"""Unix milliseconds at which a made journal begins: 2024-01-01T08:00:00Z."""

KINDS = FROM_DEVICE | TO_DEVICE


class MadeJournal:
    """A journal that is written one thing at a time, a second apart if nothing else is said.

    Attributes:
        now: Unix milliseconds of the next thing.
        last: The sequence number of the latest.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = JournalFile(folder, full_sync=False)
        self.now = START
        self.last = self.file.last_sequence()

    @contextmanager
    def _next(self) -> Iterator[tuple[int, int]]:
        self.last += 1
        with self.file.writing():
            yield self.last, self.now
            self.file.mark_times(self.last, self.last, self.now, self.now)
        self.now += 1000

    def start(self, version: str = "0.1.0") -> None:
        with self._next() as (sequence, when):
            self.file.start_run(sequence, when, version)

    def stop(self) -> None:
        with self._next() as (sequence, when):
            self.file.end_run(sequence, when, "stopped")

    def connect(
        self,
        device: str = "kitchen",
        device_class: str = "pico",
        address: str = "192.0.2.7",
        **more: Any,
    ) -> int:
        with self._next() as (sequence, when):
            session = f"{sequence:012x}"
            start = SessionStart(session, device, device_class, address, **more)
            self.file.start_session(sequence, when, start)
        return sequence

    def disconnect(self, session: int, last_message: int | None = None, code: int = 1000) -> None:
        end = SessionEnd(code, "bye", "peer", 62.4, 12, 3456, 3, 210, 0.0123)
        with self._next() as (sequence, when):
            self.file.end_session(session, sequence, when, end, last_message)

    def refuse(
        self,
        code: str = "token_mistyped",
        address: str = "198.51.100.9",
        path: str | None = "/ws/pico",
        **more: str | None,
    ) -> str:
        with self._next() as (sequence, when):
            refusal = Refusal(f"r{sequence:011x}", address, code, 401, path=path, **more)
            self.file.add_refusal(sequence, when, refusal)
        return refusal.request_id

    def broke(self, code: str = "head_cut", address: str = "198.51.100.9") -> None:
        with self._next() as (sequence, when):
            refusal = Refusal(f"r{sequence:011x}", address, code, 0)
            self.file.add_refusal(sequence, when, refusal)

    def message(
        self,
        session: int,
        kind: str = "telemetry",
        body: str = "{}",
        message_id: str | int | None = None,
    ) -> int:
        with self._next() as (sequence, when):
            self.file.add_messages([(sequence, session, when, KINDS[kind], message_id, body)])
        return sequence

    def messages(self, session: int, count: int, body: str = "{}") -> None:
        first = self.last + 1
        self.last += count
        rows = [
            (number, session, self.now, KINDS["telemetry"], None, body)
            for number in range(first, self.last + 1)
        ]
        with self.file.writing():
            self.file.add_messages(rows)
            self.file.mark_times(first, self.last, self.now, self.now)
        self.now += 1000

    def cut(self, session: int, body: str, size: int) -> int:
        with self._next() as (sequence, when):
            row = sequence, session, when, KINDS["other"], None, body
            self.file.add_message(row, size, None, None)
        return sequence

    def picture(self, session: int, data: bytes, *, kept: bool = True) -> Path:
        with self._next() as (sequence, when):
            row = sequence, session, when, KINDS["picture"], None, None
            name = picture_name(sequence)
            self.file.add_message(row, len(data), sha256(data).digest(), name)
        path = self.folder / "pictures" / name
        if kept:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
        return path

    def command(self, command_id: str = "c-1", state: str = "queued", **more: Any) -> int:
        first = {"body": '{"type":"servo"}', "timeout": 10.0} if state == "queued" else {}
        fields = {"device": "kitchen", "by": "me", "type": "servo", **first, **more}
        with self._next() as (sequence, when):
            change = CommandChange(command_id, CommandState(state), **fields)
            self.file.add_command(sequence, when, change)
        return sequence

    def forget(self, before: int) -> None:
        """Delete what is older, as retention does."""
        with self.file.writing():
            self.file.space.drop_before(before, 1_000_000)

    def close(self) -> None:
        self.file.close()


@contextmanager
def made_journal(folder: Path) -> Iterator[MadeJournal]:
    """A journal in a folder, open for writing as long as the block runs."""
    journal = MadeJournal(folder)
    try:
        yield journal
    finally:
        journal.close()
