"""The journal: every connection, refusal and message on disk, and an ack means on disk.

The event loop puts things into a queue; one thread writes them in groups, a transaction each, and
reports back what is on disk. A group is what came while the last one was written; under load it is
waited for, at most 20 ms or 500 rows (journal_queue). When the disk is full or stalls, the
group is tried again until it is written: nothing is given up, nothing is acknowledged, and the
queue, being bounded, makes the devices wait. A row that no try can bring in is left out, without an
ack, and its fault is raised on the event loop.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

from wsdev import __version__
from wsdev.command_records import CommandChange
from wsdev.errors import LocalError
from wsdev.journal_file import begin_run
from wsdev.journal_group import Group, Happening, Message, Sender, SessionKey
from wsdev.journal_interface import Notify
from wsdev.journal_queue import JournalQueue
from wsdev.journal_schema import JOURNAL, PICTURES_FOLDER, suspicion
from wsdev.limits import Limits
from wsdev.picture_store import PictureStore, set_pictures_aside
from wsdev.protocol import MessageId
from wsdev.records import PicturesKept, Refusal, SessionEnd, SessionStart
from wsdev.resends import MOST, ResendWindows
from wsdev.retention import Retention

SLOW_SECONDS: Final = 5.0
"""A group that is not written after so long is trouble, even if the disk has not refused it."""

RETRY_SECONDS: Final = 0.5
"""Between two tries to write what the disk did not take."""

OnCommit = Callable[[float, int], None]
"""Is told, in the writer's thread, the seconds and the rows of each commit."""

OnStep = Callable[[float], None]
"""Is told, in the writer's thread, the seconds of each step in which something old was deleted."""


class FileJournal:
    """The journal in a file of the state folder.

    Attributes:
        set_aside: What was in the file's place, if it was no journal.
        pictures_aside: The folder of pictures that belong to no journal any more, if any.
        lost_sessions: How many an earlier run had left open.
    """

    def __init__(
        self,
        folder: Path,
        *,
        wall_clock: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
        full_sync: bool = True,
        keep: float = 0.0,
        most: int = 0,
        pictures: PicturesKept = PicturesKept(),  # noqa: B008  (immutable)
        limits: Limits = Limits(),
        on_commit: OnCommit | None = None,
        on_step: OnStep | None = None,
    ) -> None:
        """Open or make the journal, and end what a crash left open.

        Args:
            keep: Seconds that things are kept; 0 for ever.
            most: Bytes of the file and its pictures; 0 for any size.
            limits: Of these, what is recorded of a text, and what may wait for the disk.

        Raises:
            JournalError: a newer wsdev's, or the disk is full.
            StateFolderError: no right to read or write there.
        """
        self._wall_clock = wall_clock
        self._record_bytes = limits.record_bytes
        self._most_rows, self._most_bytes = limits.unrecorded_rows, limits.unrecorded_bytes
        self._clock = clock
        self._on_commit = on_commit
        self._on_step = on_step
        self._file, begun = begin_run(folder, self._now(), __version__, full_sync=full_sync)
        self.set_aside = self._file.set_aside
        self.lost_sessions = begun.lost_sessions
        self._sequence = begun.sequence
        with contextlib.ExitStack() as undo, JOURNAL.explained(self._file.path):
            undo.callback(self._file.close)
            # The numbers of a new journal begin anew, and so would the names of its pictures.
            is_new = begun.sequence == 1
            self.pictures_aside = set_pictures_aside(folder / PICTURES_FOLDER) if is_new else None
            store = PictureStore(folder / PICTURES_FOLDER, pictures, self._file.camera_of)
            undo.pop_all()
        self._pictures = store
        self._retention = Retention(self._file, store, keep=keep, most=most, clock=clock)
        self._windows = ResendWindows(self._resendable)
        self._rows = self._bytes = self._left_out = 0
        self._queue = JournalQueue()
        self._in_hand = 0
        self._in_hand_since = 0.0
        self._open: set[SessionKey] = set()
        self._housework = False
        self._closing = threading.Event()
        self._recording_trouble = self._keeping_trouble = ""
        self._notify: Notify | None = None
        self._writer = threading.Thread(target=self._run, name="journal", daemon=True)

    def start(self, notify: Notify) -> Self:
        """Begin to write."""
        self._notify = notify
        self._writer.start()
        return self

    def close(self, patience: float = 10.0) -> int:
        """Write what waits, and let go of the file.

        Args:
            patience: Seconds for a disk that does not take it.

        Returns:
            How much was not recorded, and so was never acknowledged.
        """
        self._add(lambda group: group.end_run(self._now()))
        self._closing.set()
        self._queue.close()
        if self._notify is None:
            self._writer.start()
        self._writer.join(patience)
        return self._in_hand + len(self._queue)

    # On the event loop

    @property
    def trouble(self) -> str:
        """Why nothing can be recorded now, or nothing old be deleted; empty when all is well."""
        if self._in_hand and self._clock() - self._in_hand_since > SLOW_SECONDS:
            return self._recording_trouble or "the disk does not answer"
        return self._recording_trouble or self._keeping_trouble or self._pictures.trouble

    @property
    def is_full(self) -> bool:
        """Whether so much waits to be recorded that no more should be taken in."""
        return self._rows >= self._most_rows or self._bytes >= self._most_bytes

    @property
    def waiting(self) -> tuple[int, int]:
        """Rows and bytes that wait to be recorded."""
        return self._rows, self._bytes

    @property
    def left_out(self) -> int:
        """Refusals that were not recorded, for want of room."""
        return self._left_out

    def start_session(self, start: SessionStart) -> SessionKey:
        """A device is let in."""
        session = SessionKey(start.device, start.device_class, has_name=start.has_name)
        when = self._now()
        self._note(lambda group: group.start_session(session, when, start))
        return session

    def rename_session(self, session: SessionKey, device: str) -> None:
        """A device has another name."""
        self._note(lambda group: group.rename_session(session, device))

    def note_version(self, session: SessionKey, version: str | None) -> None:
        """A device said the version of its firmware."""
        self._note(lambda group: group.note_version(session, version))

    def end_session(self, session: SessionKey, end: SessionEnd) -> None:
        """A device is gone."""
        when = self._now()
        self._note(lambda group: group.end_session(session, when, end))

    def refuse(self, refusal: Refusal) -> None:
        """A request was refused."""
        if self.is_full:
            self._left_out += 1
            return
        when = self._now()
        self._note(lambda group: group.refuse(when, refusal))

    def change_command(self, change: CommandChange) -> None:
        """A command has another state."""
        when = self._now()
        self._add(lambda group: group.change_command(when, change))

    def when_recorded(self, call: Callable[[], None]) -> None:
        """Call once all before is on disk and its senders are told."""
        self._add(lambda group: group.then.append(call))

    def record(
        self,
        session: SessionKey,
        kind: int,
        data: bytes,
        message_id: MessageId | None,
        sender: Sender | None,
    ) -> None:
        """A message."""
        self._bytes += len(data)
        self._rows += 1
        when = int(self._wall_clock() * 1000)
        self._queue.put((session, kind, message_id, data, when, sender))

    def _add(self, thing: Happening) -> None:
        self._rows += 1
        self._queue.put(thing)

    def _note(self, thing: Happening) -> None:
        """Add what nobody waits for."""
        self._rows += 1
        self._queue.put_unhurried(thing)

    def _now(self) -> int:
        return int(self._wall_clock() * 1000)

    def _settle(self, rows: int, group: Group) -> None:
        """Tell the senders what is on disk."""
        self._rows -= rows
        self._bytes -= group.size
        for sender, (sizes, ids) in group.told.items():
            if sender is None:
                continue  # nobody waits for what was said to a device
            try:
                sender.recorded(len(sizes), sum(sizes), ids)
            except Exception as fault:  # met by one device, and not for the others to suffer
                self._raise_on_loop(fault)
        for call in group.then:
            call()

    # In the writer's thread

    def _run(self) -> None:
        try:
            self._write_all()
        except BaseException as fault:
            self._recording_trouble = "the journal's writer has ended: see the log"
            self._raise_on_loop(fault)
        with contextlib.suppress(LocalError), JOURNAL.explained(self._file.path):
            self._file.close()

    def _write_all(self) -> None:
        while True:
            things = self._queue.take(at_once=self._housework)
            self._in_hand_since = self._clock()
            self._in_hand = len(things)
            if things and not self._commit(things):
                break
            things.clear()  # or what was written last is held on to until something else comes
            if self._closing.is_set() and not self._queue:
                break
            self._keep_house()

    def _commit(self, things: list[Message | Happening]) -> bool:
        """Write a group, however long that takes; False if it was given up, on closing."""
        while True:
            is_last_try = self._closing.is_set()
            started = time.perf_counter()
            group = Group(
                self._sequence,
                self._windows,
                self._pictures,
                self._record_bytes,
                self._open,
            )
            try:
                self._write(group, things)
            except Exception as fault:
                if isinstance(fault, LocalError) and fault.code != "unfit":
                    group.undo()
                    self._recording_trouble = self._noted(fault)
                elif len(things) > 1:
                    group.undo()
                    return all(self._commit([thing]) for thing in things)
                else:
                    group.give_up()
                    self._raise_on_loop(fault)
                    break
            else:
                group.committed()
                if self._on_commit is not None:
                    self._on_commit(time.perf_counter() - started, len(things))
                break
            if is_last_try:
                return False
            self._closing.wait(RETRY_SECONDS)
        self._recording_trouble = ""
        self._in_hand -= len(things)
        self._sequence = group.sequence
        self._tell(self._settle, len(things), group)
        return True

    def _noted(self, fault: LocalError) -> str:
        """The cause; the next start looks for the damage that was met here."""
        if fault.code == "damaged":
            # On a disk that is full too, the next start finds it by itself or not at all.
            with contextlib.suppress(OSError):
                suspicion(self._file.path).touch(0o600)
        return fault.cause

    def _resendable(self, device: str) -> list[int]:
        """What a device may send again; nothing if the part of the file that says so is damaged."""
        try:
            return self._file.tail.resendable(device, MOST)
        except LocalError as fault:
            if fault.code != "damaged":
                raise
            self._keeping_trouble = self._noted(fault)
            return []

    def _write(self, group: Group, things: list[Message | Happening]) -> None:
        with JOURNAL.explained(self._file.path):
            group.fill(things)
            self._file.check_place()
            with self._file.writing():
                group.write(self._file)

    def _tell(self, call: Callable[..., object], *arguments: object) -> None:
        """Call on the event loop; nobody is there before it has begun and after it has ended."""
        if self._notify is not None:
            with contextlib.suppress(RuntimeError):
                self._notify(call, *arguments)

    def _raise_on_loop(self, fault: BaseException) -> None:
        """Let the event loop's handler of faults tell of one."""

        def tell() -> None:
            raise fault

        self._tell(tell)

    def _keep_house(self) -> None:
        started = time.perf_counter()
        try:
            with JOURNAL.explained(self._file.path):
                self._housework = self._retention.step(self._now())
        except Exception as fault:
            self._housework = False
            if isinstance(fault, LocalError):
                self._keeping_trouble = self._noted(fault)
            elif not self._keeping_trouble:
                self._keeping_trouble = "what is old cannot be deleted: see the log"
                self._raise_on_loop(fault)
        else:
            self._keeping_trouble = ""
            if self._housework and self._on_step is not None:
                self._on_step(time.perf_counter() - started)
