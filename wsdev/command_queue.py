"""Commands that wait for their devices: a line for each, in the order in which they were asked for.

Bounded, and without work for a device that has no line. Times are monotonic seconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from wsdev.command_records import MAX_QUEUE_TIME, MAX_TIMEOUT, CommandRecord
from wsdev.errors import NotAllowed, UsageError
from wsdev.hub import Member, ReadyCommand
from wsdev.protocol import clean_name
from wsdev.sanitize import printable
from wsdev.token_format import without_tokens

MOST_OF_DEVICE: Final = 64
"""Commands that wait for one device."""

MOST_IN_ALL: Final = 4096
"""Commands that wait for all devices together, of at most 4 KB each."""


@dataclass(slots=True, eq=False)
class Waiting:
    """A command in a line.

    Attributes:
        until: When it is given up.
    """

    record: CommandRecord
    ready: ReadyCommand
    until: float


@dataclass(slots=True, eq=False)
class Batch:
    """The head of a line on its way to the device; stays in the line until it is there."""

    member: Member
    commands: list[Waiting]


@dataclass(slots=True, eq=False)
class Line:
    """The commands that wait for one device, oldest first, and which of them go out now.

    Attributes:
        silent_until: Its device is sent nothing before it said something after that time.
    """

    waiting: list[Waiting] = field(default_factory=list)
    batch: Batch | None = None
    silent_until: float = -math.inf

    def is_leaving(self, one: Waiting) -> bool:
        """Whether it is on its way already."""
        return self.batch is not None and one in self.batch.commands


class CommandQueue:
    """All lines, by the device's name."""

    def __init__(self) -> None:
        self._lines: dict[str, Line] = {}
        self._count = 0
        self._due = float("inf")

    def __len__(self) -> int:
        return self._count

    def line(self, device: str) -> Line | None:
        """The device's line; None if nothing waits for it."""
        return self._lines.get(device)

    def devices(self) -> list[str]:
        """The devices for which something waits."""
        return list(self._lines)

    def check_room(self, device: str) -> None:
        """See that one more may wait.

        Raises:
            NotAllowed: too many wait for the device, or in all.
        """
        line = self._lines.get(device)
        if line is not None and len(line.waiting) >= MOST_OF_DEVICE:
            raise NotAllowed(
                f"{MOST_OF_DEVICE} commands wait for {device} already",
                "cancel some of them, or wait until it is back",
                code="queue_full",
            )
        if self._count >= MOST_IN_ALL:
            raise NotAllowed(
                f"{MOST_IN_ALL} commands wait for devices already",
                "cancel some of them",
                code="queue_full",
            )

    def add(self, one: Waiting) -> None:
        """Put a command at the end of its device's line."""
        self._lines.setdefault(one.record.device, Line()).waiting.append(one)
        self._count += 1
        self._due = min(self._due, one.until)

    def remove(self, one: Waiting) -> None:
        """Take a command out of its line."""
        device = one.record.device
        line = self._lines[device]
        line.waiting.remove(one)
        self._count -= 1
        if not line.waiting:
            del self._lines[device]

    def find(self, record: CommandRecord) -> Waiting | None:
        """The command of that record, if it waits."""
        line = self._lines.get(record.device)
        found = (one for one in line.waiting if one.record is record) if line else iter(())
        return next(found, None)

    def due(self, now: float) -> list[Waiting]:
        """Those whose time is over; one comparison if there can be none."""
        if now < self._due:
            return []
        over = [one for one in self._resting() if one.until <= now]
        gone = set(over)
        self._due = min(
            (one.until for one in self._resting() if one not in gone), default=float("inf")
        )
        return over

    def settled_again(self) -> None:
        """A batch ended: what was due while it was on its way is due still."""
        self._due = 0.0

    def _resting(self) -> Iterator[Waiting]:
        for line in self._lines.values():
            yield from (one for one in line.waiting if not line.is_leaving(one))


def check_times(timeout: float, queue_for: float | None) -> None:
    """See that the times of a command can be meant.

    Raises:
        UsageError: ``bad_timeout`` or ``bad_queue_time``.
    """
    if not (math.isfinite(timeout) and 0 < timeout <= MAX_TIMEOUT):
        raise UsageError(
            f"a command's timeout is over 0 and at most {MAX_TIMEOUT:.0f} s", code="bad_timeout"
        )
    if queue_for is not None and not 0 < queue_for <= MAX_QUEUE_TIME:
        raise UsageError("a command waits for over 0 s and at most 30 days", code="bad_queue_time")


def check_waiting(device: str, ready: ReadyCommand, *, may_be_kept: bool) -> None:
    """See that a command can wait for a device.

    Args:
        may_be_kept: It is to outlive a restart.

    Raises:
        UsageError: ``bad_name`` or ``holds_token``.
    """
    if clean_name(device) != device or not device:
        raise UsageError(
            f"{printable(device)!r} is no name of a device",
            "see which there are",
            code="bad_name",
        )
    text = ready.text.decode()
    if may_be_kept and without_tokens(text) != text:
        raise UsageError(
            "a command that holds a token cannot wait: what waits is kept on disk",
            "send it while the device is there",
            code="holds_token",
        )


def check_form(command: object) -> None:
    """See that a command is one, and that all of it would go out.

    Raises:
        UsageError: ``bad_command``.
    """
    if isinstance(command, dict):
        if "type" in command or "action" in command:
            return
        if isinstance(command.get("name"), str) and command.keys() <= {"name", "args"}:
            return
    raise UsageError(
        "a command is a JSON object with a type or an action, or with a name and perhaps args",
        'for example {"type":"servo","command":{"servo1":90}} or {"name":"blink","args":3}',
        code="bad_command",
    )
