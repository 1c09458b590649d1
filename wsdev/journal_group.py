"""A group of things on their way into the journal: one transaction, and what follows from it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Protocol

from wsdev.command_records import CommandChange
from wsdev.journal_file import JournalFile, PlainRow
from wsdev.journal_tail import NOTE_AFTER
from wsdev.picture_store import PictureStore, picture_name
from wsdev.protocol import MessageId
from wsdev.records import ACKNOWLEDGED, BINARY, PICTURE, Refusal, SessionEnd, SessionStart
from wsdev.resends import ResendWindow, ResendWindows
from wsdev.token_format import may_hold_token, without_tokens

_MAX_INTEGER: Final = 2**63 - 1
"""Of SQLite; ids on the wire go up to 2**64."""


class SessionKey:
    """A session in the journal. The writer fills it in; for others it is opaque."""

    __slots__ = ("camera", "device", "last_message", "sequence", "window")

    def __init__(self, device: str, device_class: str = "", *, has_name: bool = True) -> None:
        self.device = device
        self.sequence = 0
        self.last_message: int | None = None
        # Without a name of its own, what it sends again is known in this session only, and all
        # cameras of its class without one are one: names that are made up would fill the memory.
        self.window = None if has_name else ResendWindow()
        self.camera = device if has_name else f"{device_class} without a name"


class Sender(Protocol):
    """Whose messages are recorded."""

    def recorded(self, rows: int, size: int, ids: Sequence[MessageId]) -> None:
        """So many messages, of ``size`` bytes together, are on disk; acknowledge ``ids``."""


Message = tuple[SessionKey, int, MessageId | None, bytes, int, Sender | None]
"""Session, kind, the device's id, bytes, Unix ms, who is told."""

Happening = Callable[["Group"], None]
"""Anything else: adds itself to a group."""


_Told = tuple[list[int], list[MessageId]]
"""What a sender will be told: the sizes of its messages, and what is acknowledged."""


class Group:
    """What one transaction will write.

    Made from the same things again, it is the same: what is remembered of it can be undone until it
    is committed.

    Args:
        sequence: The last number that is taken.
        record_bytes: Bytes that are kept of a text that is not acknowledged.
        open_sessions: Are kept up to date.
    """

    def __init__(
        self,
        sequence: int,
        windows: ResendWindows,
        pictures: PictureStore,
        record_bytes: int,
        open_sessions: set[SessionKey],
    ) -> None:
        self.sequence = self._before = sequence
        self.told: dict[Sender | None, _Told] = {}
        self.size = 0
        self.then: list[Callable[[], None]] = []
        self._windows = windows
        self._pictures = pictures
        self._record_bytes = record_bytes
        self._open = open_sessions
        self._times: list[int] = []
        self._rows: list[PlainRow] = []
        self._starts: list[tuple[int, int, SessionStart]] = []
        self._calls: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        self._files: list[tuple[str, str, int, int]] = []
        self._remembered: list[tuple[ResendWindow, int]] = []
        self._pictured: dict[str, int] = {}
        self._former_names: list[tuple[SessionKey, str, str, ResendWindow | None]] = []

    def fill(self, things: Iterable[Message | Happening]) -> None:
        """Take things in, in order.

        Raises:
            JournalError, StateFolderError: the journal cannot be read for earlier messages.
        """
        # One loop without calls for the usual message: this is the hot path of the writer.
        times, rows, remembered = self._times, self._rows, self._remembered
        all_told = self.told
        for thing in things:
            if type(thing) is not tuple:
                thing(self)  # type: ignore[operator]
                continue
            session, kind, message_id, data, when, sender = thing
            size = len(data)
            self.size += size
            told = all_told.get(sender)
            if told is None:
                told = all_told[sender] = ([], [])
            told[0].append(size)
            if kind in BINARY:
                self._take_binary(session, kind, data, when)
                continue
            text = data.decode("utf-8", "replace")
            if may_hold_token(text):
                text = without_tokens(text)
            if message_id is not None and kind in ACKNOWLEDGED:
                told[1].append(message_id)
                window = session.window or self._windows.of(session.device)
                key = hash(text)
                if key in window.new or key in window.old:
                    continue
                window.new.add(key)
                remembered.append((window, key))
            elif size > self._record_bytes:
                self._take_cut(thing, text)
                continue
            if type(message_id) is not str or may_hold_token(message_id):
                message_id = _storable(message_id)
            self.sequence = session.last_message = sequence = self.sequence + 1
            times.append(when)
            rows.append((sequence, session.sequence, when, kind, message_id, text))

    # Messages

    def _next(self, session: SessionKey, when: int) -> int:
        session.last_message = sequence = self.next(when)
        return sequence

    def next(self, when: int) -> int:
        """The sequence number of what happened at ``when``."""
        self.sequence += 1
        self._times.append(when)
        return self.sequence

    def _take_cut(self, message: Message, text: str) -> None:
        session, kind, message_id, data, when, _ = message
        body = text.encode()[: self._record_bytes].decode("utf-8", "ignore")
        sequence = self._next(session, when)
        row = sequence, session.sequence, when, kind, _storable(message_id), body
        self._calls.append((JournalFile.add_message, (row, len(data), None, None)))

    def _take_binary(self, session: SessionKey, kind: int, data: bytes, when: int) -> None:
        sequence = self._next(session, when)
        name = None
        camera = session.camera
        last = self._pictured.get(camera)
        if kind == PICTURE and self._pictures.wants(camera, when, last):
            name = picture_name(sequence)
            # Before the row, so that none points at nothing; a second time changes nothing.
            if self._pictures.write(name, data):
                self._pictured[camera] = when
                self._files.append((camera, name, len(data), when))
            else:
                name = None
        digest = hashlib.sha256(data).digest()
        row = sequence, session.sequence, when, kind, None, None
        self._calls.append((JournalFile.add_message, (row, len(data), digest, name)))

    # All else

    def start_session(self, session: SessionKey, when: int, start: SessionStart) -> None:
        """A device is let in."""
        session.sequence = self.next(when)
        self._open.add(session)
        self._starts.append((session.sequence, when, start))

    def rename_session(self, session: SessionKey, device: str) -> None:
        """A device has another name."""
        self._former_names.append((session, session.device, session.camera, session.window))
        if session.window is not None and (said := session.window.new | session.window.old):
            window = self._windows.of(device)
            said -= window.new
            window.new |= said
            self._remembered += [(window, key) for key in said]
        session.device = session.camera = device
        session.window = None
        self._calls.append((JournalFile.rename_session, (session.sequence, device)))

    def note_version(self, session: SessionKey, version: str | None) -> None:
        """A device said the version of its firmware."""
        self._calls.append((JournalFile.note_version, (session.sequence, version)))

    def end_session(self, session: SessionKey, when: int, end: SessionEnd) -> None:
        """A device is gone."""
        self._open.discard(session)
        arguments = session.sequence, self.next(when), when, end, session.last_message
        self._calls.append((JournalFile.end_session, arguments))

    def refuse(self, when: int, refusal: Refusal) -> None:
        """A request was refused."""
        self._calls.append((JournalFile.add_refusal, (self.next(when), when, refusal)))

    def change_command(self, when: int, change: CommandChange) -> None:
        """A command has another state."""
        self._calls.append((JournalFile.add_command, (self.next(when), when, change)))

    def end_run(self, when: int) -> None:
        """The gateway stops."""
        self._calls.append((JournalFile.end_run, (self.next(when), when, "stopped")))

    # To the disk

    def write(self, file: JournalFile) -> None:
        """Put everything into the file, in a transaction of the caller's.

        Raises:
            sqlite3.Error: as SQLite gives it.
        """
        # First of all: what else is here may belong to them.
        file.start_sessions(self._starts)
        for call, arguments in self._calls:
            call(file, *arguments)
        file.add_messages(self._rows)
        if self.sequence // NOTE_AFTER > self._before // NOTE_AFTER:
            file.note_last_messages([(key.last_message, key.sequence) for key in self._open])
        if self._times:
            first = self._before + 1
            times = self._times
            file.mark_times(first, self.sequence, min(times), max(times), self.size)

    def undo(self) -> None:
        """Nothing was written: make it as if the group had not been filled."""
        for session, device, camera, window in reversed(self._former_names):
            session.device, session.camera, session.window = device, camera, window
        self._forget()

    def _forget(self) -> None:
        """What the group remembered is not on disk, so that it can come again."""
        for window, key in self._remembered:
            window.new.discard(key)

    def give_up(self) -> None:
        """It cannot be written: its senders are told so that they wait no longer, without acks."""
        for _, ids in self.told.values():
            ids.clear()
        self._forget()

    def committed(self) -> None:
        """It is on disk now."""
        self._windows.age(window for window, _ in self._remembered)
        for camera, name, size, when in self._files:
            self._pictures.took(camera, name, size, when)


def _storable(message_id: MessageId | None) -> MessageId | None:
    if isinstance(message_id, str):
        return without_tokens(message_id)
    if message_id is None or -_MAX_INTEGER <= message_id <= _MAX_INTEGER:
        return message_id
    return str(message_id)
