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
from wsdev.token_format import PREFIX, without_tokens

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
        self._fresh: dict[str, tuple[set[int], set[int], set[int]]] = {}
        self._pictured: dict[str, int] = {}
        self._former_names: list[tuple[SessionKey, str]] = []

    def fill(self, things: Iterable[Message | Happening]) -> None:
        """Take things in, in order.

        Raises:
            JournalError, StateFolderError: the journal cannot be read for earlier messages.
        """
        # One loop without calls for the usual message: this is the hot path of the writer.
        times, rows = self._times, self._rows
        for thing in things:
            if type(thing) is not tuple:
                thing(self)  # type: ignore[operator]
                continue
            session, kind, message_id, data, when, sender = thing
            size = len(data)
            self.size += size
            told = None if sender is None else self._count(sender, size)
            if kind in BINARY:
                self._take_binary(session, kind, data, when)
                continue
            text = data.decode("utf-8", "replace")
            if PREFIX in text:
                text = without_tokens(text)
            if message_id is not None and kind in ACKNOWLEDGED:
                if told is not None:
                    told.ids.append(message_id)
                fresh, new, old = self._fresh.get(session.device) or self._known(session.device)
                key = hash(text)
                if key in fresh or key in new or key in old:
                    continue
                fresh.add(key)
            elif size > self._record_bytes:
                self._take_cut(thing, text)
                continue
            if isinstance(message_id, int) or (message_id and PREFIX in message_id):
                message_id = _storable(message_id)
            self.sequence = session.last_message = sequence = self.sequence + 1
            times.append(when)
            rows.append((sequence, session.sequence, when, kind, message_id, text))

    # Messages

    def _count(self, sender: Sender, size: int) -> _Told:
        told = self.told.get(sender)
        if told is None:
            told = self.told[sender] = _Told()
        told.rows += 1
        told.size += size
        return told

    def _next(self, session: SessionKey, when: int) -> int:
        session.last_message = sequence = self.next(when)
        return sequence

    def next(self, when: int) -> int:
        """The sequence number of what happened at ``when``."""
        self.sequence += 1
        self._times.append(when)
        return self.sequence

    def _known(self, device: str) -> tuple[set[int], set[int], set[int]]:
        """Hashes of a device's messages: those of this group, then what is remembered."""
        window = self._windows.of(device)
        known = self._fresh[device] = set(), window.new, window.old
        return known

    def _take_cut(self, message: Message, text: str) -> None:
        session, kind, message_id, data, when, _ = message
        body = text.encode()[: self._record_bytes].decode("utf-8", "ignore")
        sequence = self._next(session, when)
        row = sequence, session.sequence, when, kind, _storable(message_id), body
        self._calls.append((JournalFile.add_message, (row, len(data), None, None)))

    def _take_binary(self, session: SessionKey, kind: int, data: bytes, when: int) -> None:
        sequence = self._next(session, when)
        name = None
        camera = session.device
        last = self._pictured.get(camera)
        if kind == PICTURE and self._pictures.wants(camera, when, last):
            name = picture_name(sequence)
            self._pictured[camera] = when
            self._files.append((camera, name, data, when))
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
        self._former_names.append((session, session.device))
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
            times = self._times
            file.mark_times(first, self.sequence, min(times), max(times), self.size)

    def undo(self) -> None:
        """Nothing was written: make it as if the group had not been filled."""
        for session, name in reversed(self._former_names):
            session.device = name

    def give_up(self) -> None:
        """It cannot be written: its senders are told so that they wait no longer, without acks."""
        for told in self.told.values():
            told.ids.clear()

    def committed(self) -> None:
        """Remember what is on disk now."""
        for device, (fresh, _, _) in self._fresh.items():
            self._windows.add(device, fresh)
        for camera, name, data, when in self._files:
            self._pictures.took(camera, name, len(data), when)


def _storable(message_id: MessageId | None) -> MessageId | None:
    if isinstance(message_id, str):
        return without_tokens(message_id)
    if message_id is None or -_MAX_INTEGER <= message_id <= _MAX_INTEGER:
        return message_id
    return str(message_id)
