"""A group of things on their way into the journal: one transaction, and what follows from it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Protocol

from wsdev.journal_file import JournalFile, PlainRow
from wsdev.picture_store import PictureStore, picture_name
from wsdev.protocol import MessageId
from wsdev.records import ACKNOWLEDGED, BINARY, PICTURE, Refusal, SessionEnd, SessionStart
from wsdev.resends import ResendWindows
from wsdev.token_format import without_tokens

_MAX_INTEGER: Final = 2**63 - 1
"""Of SQLite; ids on the wire go up to 2**64."""


class SessionKey:
    """A session in the journal. The writer fills it in; for others it is opaque."""

    __slots__ = ("device", "last_message", "sequence")

    def __init__(self, device: str) -> None:
        self.device = device
        self.sequence = 0
        self.last_message: int | None = None


class Sender(Protocol):
    """Whose messages are recorded."""

    def recorded(self, rows: int, size: int, ids: Sequence[MessageId]) -> None:
        """So many messages, of ``size`` bytes together, are on disk; acknowledge ``ids``."""


Message = tuple[SessionKey, int, MessageId | None, bytes, int, Sender | None]
"""Session, kind, the device's id, bytes, Unix ms, who is told."""

Happening = Callable[["Group"], None]
"""Anything else: adds itself to a group."""


class _Told:
    """What a sender will be told."""

    __slots__ = ("ids", "rows", "size")

    def __init__(self) -> None:
        self.rows = 0
        self.size = 0
        self.ids: list[MessageId] = []


class Group:
    """What one transaction will write.

    Made from the same things again, it is the same: what is remembered of it changes only once it
    is committed.

    Args:
        sequence: The last number that is taken.
        record_bytes: Bytes that are kept of a text that is not acknowledged.
    """

    def __init__(
        self, sequence: int, windows: ResendWindows, pictures: PictureStore, record_bytes: int
    ) -> None:
        self.sequence = self._before = sequence
        self.told: dict[Sender, _Told] = {}
        self.size = 0
        self.then: list[Callable[[], None]] = []
        self._windows = windows
        self._pictures = pictures
        self._record_bytes = record_bytes
        self._times: list[int] = []
        self._rows: list[PlainRow] = []
        self._calls: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        self._files: list[tuple[str, str, bytes, int]] = []
        self._fresh: dict[str, dict[str, None]] = {}

    def fill(self, things: Iterable[Message | Happening]) -> None:
        """Take things in, in order.

        Raises:
            JournalError, StateFolderError: the journal cannot be read for earlier messages.
        """
        for thing in things:
            if type(thing) is tuple:
                self._take(thing)
            else:
                thing(self)  # type: ignore[operator]

    # Messages

    def _take(self, message: Message) -> None:
        session, kind, message_id, data, when, sender = message
        size = len(data)
        self.size += size
        told = None
        if sender is not None:
            told = self.told.get(sender)
            if told is None:
                told = self.told[sender] = _Told()
            told.rows += 1
            told.size += size
        if kind in BINARY:
            self._take_binary(session, kind, data, when)
            return
        text = without_tokens(data.decode("utf-8", "replace"))
        if message_id is not None and kind in ACKNOWLEDGED:
            if told is not None:
                told.ids.append(message_id)
            if self._came_before(session.device, text):
                return
        elif size > self._record_bytes:
            sequence = self._next(session, when)
            cut = data[: self._record_bytes].decode("utf-8", "ignore")
            text, number = without_tokens(cut), session.sequence
            row = sequence, number, when, kind, _storable(message_id), text
            self._calls.append((JournalFile.add_message, (row, size, None, None)))
            return
        self.sequence += 1
        self._times.append(when)
        session.last_message = self.sequence
        self._rows.append(
            (self.sequence, session.sequence, when, kind, _storable(message_id), text)
        )

    def _next(self, session: SessionKey, when: int) -> int:
        session.last_message = sequence = self.next(when)
        return sequence

    def next(self, when: int) -> int:
        """The sequence number of what happened at ``when``."""
        self.sequence += 1
        self._times.append(when)
        return self.sequence

    def _came_before(self, device: str, text: str) -> bool:
        fresh = self._fresh.get(device)
        if fresh is None:
            fresh = self._fresh[device] = {}
        if text in fresh or text in self._windows.of(device):
            return True
        fresh[text] = None
        return False

    def _take_binary(self, session: SessionKey, kind: int, data: bytes, when: int) -> None:
        sequence = self._next(session, when)
        name = None
        if kind == PICTURE and self._pictures.wants(session.device, when):
            name = picture_name(sequence)
            self._files.append((session.device, name, data, when))
        digest = hashlib.sha256(data).digest()
        row = sequence, session.sequence, when, kind, None, None
        self._calls.append((JournalFile.add_message, (row, len(data), digest, name)))

    # All else

    def start_session(self, session: SessionKey, when: int, start: SessionStart) -> None:
        """A device is let in."""
        session.sequence = self.next(when)
        self._calls.append((JournalFile.start_session, (session.sequence, when, start)))

    def rename_session(self, session: SessionKey, device: str) -> None:
        """A device has another name."""
        session.device = device
        self._calls.append((JournalFile.rename_session, (session.sequence, device)))

    def end_session(self, session: SessionKey, when: int, end: SessionEnd) -> None:
        """A device is gone."""
        arguments = session.sequence, self.next(when), when, end, session.last_message
        self._calls.append((JournalFile.end_session, arguments))

    def refuse(self, when: int, refusal: Refusal) -> None:
        """A request was refused."""
        self._calls.append((JournalFile.add_refusal, (self.next(when), when, refusal)))

    def end_run(self, when: int) -> None:
        """The gateway stops."""
        self._calls.append((JournalFile.end_run, (self.next(when), when, "stopped")))

    # To the disk

    def write(self, file: JournalFile) -> None:
        """Put everything into the file, in a transaction of the caller's.

        Raises:
            OSError: a picture cannot be written.
            sqlite3.Error: as SQLite gives it.
        """
        for _, name, data, _ in self._files:
            self._pictures.write(name, data)
        for call, arguments in self._calls:
            call(file, *arguments)
        file.add_messages(self._rows)
        if self._times:
            first = self._before + 1
            file.mark_times(first, self.sequence, min(self._times), max(self._times))

    def committed(self) -> None:
        """Remember what is on disk now."""
        for device, texts in self._fresh.items():
            window = self._windows.of(device)
            for text in texts:
                self._windows.add(window, text)
        for camera, name, data, when in self._files:
            self._pictures.took(camera, name, len(data), when)


def _storable(message_id: MessageId | None) -> MessageId | None:
    if type(message_id) is int and not -_MAX_INTEGER <= message_id <= _MAX_INTEGER:
        return str(message_id)
    return message_id
