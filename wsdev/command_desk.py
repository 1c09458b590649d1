"""Where commands to devices are asked for, and where it is told what became of them.

A command is handed to its device's connection at most once. One that waits is marked as sent on
disk before that, so a restart never repeats what may have reached the device; docs/commands.md says
what each state promises. Called on the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from wsdev.absences import Absences
from wsdev.command_queue import (
    Batch,
    CommandQueue,
    Line,
    Waiting,
    check_form,
    check_times,
    check_waiting,
)
from wsdev.command_records import (
    MAX_DETAIL,
    MAX_QUEUE_TIME,
    CommandRecord,
    CommandState,
    storable_json,
)
from wsdev.errors import DeviceOffline, LocalError, NotAllowed, UsageError, WsdevError
from wsdev.hub import Change, Hub, Member, Outcome, ReadyCommand, SentCommand
from wsdev.journal_interface import CommandArchive, CommandJournal
from wsdev.logs import log
from wsdev.records import storable
from wsdev.sanitize import printable

QUEUE_WINDOW: Final = 4
"""Commands of a queue that are unanswered at a time. All at once would be more than a Pico W's TCP
window of 6,400 bytes, and the time of the last would be over while it does the first."""

REMEMBERED: Final = 1000
"""Commands that are over and still in memory; older ones are in the journal."""

MAX_BY: Final = 128

_REASONS: Final = {
    Outcome.EXPIRED: "no answer in time",
    Outcome.LOST: "the connection ended before an answer",
}
_DOUBTFUL: Final = "no answer in time that is surely its own: one came that names no id"
_LEFT: Final = "the device left before it was sent"
_TOO_LATE: Final = "its time in the queue is over"


class CommandDesk:
    """Commands to the devices of a hub.

    Args:
        archive: What is left of earlier runs: what waits there, waits again.
        clock: Monotonic seconds, the same as the gateway's.
        wall_clock: Unix seconds.
        on_over: Is told the last state of each command, to count them.

    Attributes:
        absences: Since when a device is away.
    """

    def __init__(
        self,
        hub: Hub,
        journal: CommandJournal,
        archive: CommandArchive,
        *,
        clock: Callable[[], float],
        wall_clock: Callable[[], float] = time.time,
        on_over: Callable[[CommandState], None] = lambda _: None,
    ) -> None:
        self._hub = hub
        self._journal = journal
        self._archive = archive
        self._clock = clock
        self._wall_clock = wall_clock
        self._on_over = on_over
        self._queue = CommandQueue()
        self._unheard: set[str] = set()
        self._open: dict[str, CommandRecord] = {}
        self._over: OrderedDict[str, CommandRecord] = OrderedDict()
        self.absences = Absences(hub, archive, clock=clock, wall_clock=wall_clock)
        self._waiters: dict[CommandRecord, list[asyncio.Future[None]]] = {}
        self._take_up_all()
        hub.listen(self._member_changed)
        hub.listen_to_time(self._sweep)

    # For whoever asks

    def submit(
        self,
        device: str,
        command: dict[str, Any],
        *,
        timeout: float,
        queue_for: float | None,
        by: str,
    ) -> CommandRecord:
        """Send a command, or queue it for a device that is away.

        One that is sent at once is ``sent`` when this returns. It is ``queued`` if its device is
        away, or has too many to answer, or if older ones wait for it still.

        Args:
            command: As :meth:`wsdev.hub.Hub.prepare` takes it.
            timeout: Seconds that the device has for its answer, from when it is sent.
            queue_for: Seconds that it may wait for its device; None if it may not.
            by: Who asks, for the journal.

        Raises:
            DeviceOffline: the device is away, and the command may not wait. :attr:`absences` knows
                since when, but may have to look at a disk for that.
            UsageError: it is too large (``command_too_large``), its form, a time or the name cannot
                be meant, or it may wait and holds a token, which no disk is to hold.
            NotAllowed: ``too_many_commands`` unanswered, ``queue_full``, or ``cannot_record``.
        """
        check_times(timeout, queue_for)
        check_form(command)
        member = self._hub.get(device)
        if member is None and queue_for is None:
            raise DeviceOffline(
                f"{printable(device)} is offline",
                "let the command wait in the queue for the device's next connection",
                device=device,
            )
        ready = self._hub.prepare(command)
        now, wall = self._clock(), self._wall_clock()
        record = CommandRecord(
            id=ready.id,
            device=device,
            by=storable(by, MAX_BY),
            type=storable(ready.kind),
            command=storable_json(command),
            timeout=timeout,
            asked=wall,
            queue_until=None if queue_for is None else wall + queue_for,
        )
        line = self._queue.line(device)
        if member is not None and line is None and (queue_for is None or member.has_room):
            self._hub.check_room(member)
            self._send(record, ready, member, first=True)
            return record
        self._check_queueing(device, ready, queue_for)
        self._open[record.id] = record
        self._changed(record, first=True)
        until = now + (timeout if queue_for is None else queue_for)
        self._queue.add(Waiting(record, ready, until))
        self._deliver(device)
        return record

    def get(self, command_id: str) -> CommandRecord | None:
        """The command of that id; an older one as the journal has it: not on the event loop.

        Raises:
            JournalError, StateFolderError: the journal cannot be read.
        """
        return self.recent(command_id) or self._archive.find(command_id)

    def recent(self, command_id: str) -> CommandRecord | None:
        """The command of that id, if it is in memory: not over, or not for long."""
        return self._open.get(command_id) or self._over.get(command_id)

    async def settled(self, record: CommandRecord, patience: float) -> CommandRecord:
        """The same record once it is over, or after ``patience`` seconds as it is then."""
        if record.is_over or patience <= 0 or self._open.get(record.id) is not record:
            return record
        waiter = asyncio.get_running_loop().create_future()
        waiters = self._waiters.setdefault(record, [])
        waiters.append(waiter)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await waiter
        finally:
            waiters.remove(waiter)
            if not waiters:
                self._waiters.pop(record, None)
        return record

    async def kept(self) -> None:
        """Return once all states so far are on disk: only then a restart loses nothing queued."""
        done = asyncio.Event()
        self._journal.when_recorded(done.set)
        await done.wait()

    def queued(self, device: str) -> list[CommandRecord]:
        """What waits for the device, oldest first."""
        line = self._queue.line(device)
        return [] if line is None else [one.record for one in line.waiting]

    def queues(self) -> dict[str, list[CommandRecord]]:
        """What waits, by device."""
        return {device: self.queued(device) for device in self._queue.devices()}

    def cancel(self, record: CommandRecord) -> CommandRecord:
        """Take a command out of the queue; gives it back.

        Raises:
            UsageError: it does not wait (``not_queued``).
        """
        one = self._queue.find(record)
        line = self._queue.line(record.device)
        if one is None or line is None or line.is_leaving(one):
            state = record.state if one is None else "on its way"
            raise UsageError(
                f"{record.id} does not wait any more: it is {state}",
                "only a queued command can be cancelled",
                code="not_queued",
            )
        self._queue.remove(one)
        self._end(record, CommandState.CANCELLED)
        return record

    # Queueing

    def _check_queueing(self, device: str, ready: ReadyCommand, queue_for: float | None) -> None:
        check_waiting(device, ready, may_be_kept=queue_for is not None)
        if self._journal.is_full:
            raise NotAllowed(
                "the journal's disk does not keep up: nothing can be queued now",
                "see /healthz; free some space",
                code="cannot_record",
            )
        self._queue.check_room(device)

    def _take_up_all(self) -> None:
        try:
            records = self._archive.queued()
        except LocalError as error:  # devices come first; the next start looks again
            log(logging.ERROR, "commands_not_loaded", cause=error.cause, hint=error.hint)
            return
        for record in records:
            self._take_up(record)

    def _take_up(self, record: CommandRecord) -> None:
        """Let a command of an earlier run wait again."""
        left = (record.queue_until or 0.0) - self._wall_clock()
        self._open[record.id] = record
        if left <= 0:
            self._end(record, CommandState.EXPIRED, _TOO_LATE)
            return
        try:
            ready = self._hub.prepare(record.command, record.id)
        except WsdevError as error:  # the limit is another one now
            self._end(record, CommandState.EXPIRED, error.cause)
            return
        # A wall clock that was set back must not make it wait for longer than was ever asked for.
        self._queue.add(Waiting(record, ready, self._clock() + min(left, MAX_QUEUE_TIME)))

    def _deliver(self, device: str) -> None:
        """Begin to send the head of a line: first it is marked as sent on disk."""
        line = self._queue.line(device)
        member = self._hub.get(device)
        if line is None or line.batch is not None or member is None:
            return
        if member.port.last_proof() <= line.silent_until:
            self._unheard.add(device)
            return
        head = line.waiting[: max(0, QUEUE_WINDOW - len(member.commands))]
        if not head:
            return  # goes on with the next answer
        line.batch = Batch(member, head)
        for one in head:
            self._journal.change_command(one.record.marked_as_sent(member.session_id))
        self._journal.when_recorded(partial(self._hand_over, device, line, line.batch))

    def _hand_over(self, device: str, line: Line, batch: Batch) -> None:
        """The marks are on disk: send."""
        if line.batch is not batch:
            return  # the device left meanwhile
        for one in batch.commands[:]:
            if self._hub.get(device) is not batch.member:
                break  # sending closed the connection
            batch.commands.remove(one)
            self._queue.remove(one)
            self._send(one.record, one.ready, batch.member, is_marked=True)
        self._put_back(line)
        self._deliver(device)

    def _put_back(self, line: Line) -> None:
        """What was marked as sent and was not waits again."""
        batch, line.batch = line.batch, None
        for one in batch.commands if batch is not None else ():
            self._changed(one.record, reason=_LEFT)
        self._queue.settled_again()

    # The hub's side

    def _member_changed(self, change: Change, member: Member) -> None:
        if change is not Change.JOINED:
            self._gone(member.name if change is Change.LEFT else member.former_name)
        line = self._queue.line(member.name)
        if change is not Change.LEFT and line is not None:
            if member.owns_name:  # it may have said nothing yet, and is to speak first
                line.silent_until = self._clock()
            self._deliver(member.name)

    def _gone(self, device: str) -> None:
        line = self._queue.line(device)
        if line is None:
            return
        self._put_back(line)
        for one in [one for one in line.waiting if one.record.queue_until is None]:
            self._queue.remove(one)
            self._end(one.record, CommandState.EXPIRED, _LEFT)

    def _sweep(self, now: float) -> None:
        if self._unheard:
            unheard, self._unheard = self._unheard, set()
            for device in unheard:
                self._deliver(device)
        for one in self._queue.due(now):
            self._queue.remove(one)
            self._end(one.record, CommandState.EXPIRED, _TOO_LATE)

    def _send(
        self,
        record: CommandRecord,
        ready: ReadyCommand,
        member: Member,
        *,
        first: bool = False,
        is_marked: bool = False,
    ) -> None:
        record.state, record.reason = CommandState.SENT, None
        record.sent, record.session = self._wall_clock(), member.session_id
        self._open[record.id] = record
        self._changed(record, first=first, is_kept=is_marked)
        self._hub.hand_over(
            member,
            ready,
            partial(self._done, record),
            now=self._clock(),
            timeout=record.timeout,
        )

    def _done(self, record: CommandRecord, sent: SentCommand) -> None:
        reason = _REASONS.get(sent.outcome)
        if sent.is_doubtful and sent.outcome is Outcome.EXPIRED:
            reason = _DOUBTFUL
        if sent.detail is not None:
            record.detail = storable_json(sent.detail, MAX_DETAIL)
        self._end(record, CommandState(sent.outcome.value), reason)
        self._deliver(record.device)

    # States

    def _end(self, record: CommandRecord, state: CommandState, reason: str | None = None) -> None:
        record.state = state
        record.ended = self._wall_clock()
        del self._open[record.id]
        self._over[record.id] = record
        if len(self._over) > REMEMBERED:
            self._over.popitem(last=False)
        self._changed(record, reason=reason)
        self._on_over(state)
        for waiter in self._waiters.pop(record, ()):
            if not waiter.done():
                waiter.set_result(None)

    def _changed(
        self,
        record: CommandRecord,
        *,
        first: bool = False,
        is_kept: bool = False,
        reason: str | None = None,
    ) -> None:
        record.reason = reason
        if not is_kept:
            self._journal.change_command(record.change(first=first))
        log(
            logging.INFO,
            "command",
            id=record.id,
            device=record.device,
            state=record.state.value,
            type=record.type,
            by=record.by,
            reason=record.reason,
        )
