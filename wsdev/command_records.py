"""What is kept of a command to a device: its states, and each change of one.

docs/commands.md tells what each state promises.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from wsdev.token_format import without_tokens

MAX_TIMEOUT: Final = 3600.0
"""Seconds that a device may have for its answer."""

MAX_QUEUE_TIME: Final = 30 * 86400.0
"""Seconds that a command may wait for its device."""

MAX_DETAIL: Final = 4096
"""Characters that are kept of what a device says about a command."""


class CommandState(enum.StrEnum):
    """How far a command is.

    Only ``acknowledged``, ``failed`` and ``ignored`` are the device's own word.
    """

    QUEUED = "queued"
    SENT = "sent"
    ACKNOWLEDGED = "acknowledged"
    FAILED = "failed"
    IGNORED = "ignored"
    EXPIRED = "expired"
    LOST = "lost"
    CANCELLED = "cancelled"


OPEN_STATES: Final = frozenset((CommandState.QUEUED, CommandState.SENT))
"""States that another one follows."""


class CommandChange(msgspec.Struct, frozen=True):
    """A command has another state; as the journal keeps it.

    Attributes:
        by: Who asked for the command.
        type: The word by which a device without ids acknowledges it.
        body: The command as it was given, JSON; in its first change only, as ``timeout`` is.
        timeout: Seconds that the device has for its answer.
        queue_until: Unix milliseconds; while it is queued for an absent device.
        session: Public id of the session that it is sent in.
        reason: Why, in words, where the state does not say it.
        detail: What the device said about it, JSON.
    """

    id: str
    state: CommandState
    device: str
    by: str
    type: str
    body: str | None = None
    timeout: float | None = None
    queue_until: int | None = None
    session: str | None = None
    reason: str | None = None
    detail: str | None = None


@dataclass(slots=True, eq=False)
class CommandRecord:
    """A command and what is known of it. All times are Unix seconds.

    Attributes:
        command: As it was given, without what looks like a token.
        queue_until: Until when it may wait for its device; None if it was not to.
        sent: When it was handed to the device's connection; None if it never was.
        ended: When its last state came.
    """

    id: str
    device: str
    by: str
    type: str
    command: dict[str, Any]
    timeout: float
    asked: float
    state: CommandState = CommandState.QUEUED
    queue_until: float | None = None
    sent: float | None = None
    ended: float | None = None
    session: str | None = None
    reason: str | None = None
    detail: Any = None

    @property
    def is_over(self) -> bool:
        """Whether its state is the last one."""
        return self.state not in OPEN_STATES

    def marked_as_sent(self, session: str) -> CommandChange:
        """What the journal is told before it is sent, while it is queued still."""
        marked = self.change()
        return msgspec.structs.replace(
            marked, state=CommandState.SENT, session=session, queue_until=None
        )

    def change(self, *, first: bool = False) -> CommandChange:
        """Its state now, as the journal keeps it.

        Args:
            first: Nothing was kept of it so far.
        """
        until = self.queue_until if self.state is CommandState.QUEUED else None
        return CommandChange(
            id=self.id,
            state=self.state,
            device=self.device,
            by=self.by,
            type=self.type,
            body=msgspec.json.encode(self.command).decode() if first else None,
            timeout=self.timeout if first else None,
            queue_until=None if until is None else round(until * 1000),
            session=self.session if self.state is CommandState.SENT else None,
            reason=self.reason,
            detail=None if self.detail is None else msgspec.json.encode(self.detail).decode(),
        )


def record_of(changes: Iterable[tuple[int, CommandChange]]) -> CommandRecord | None:
    """The record that changes with their times (Unix ms), oldest first, make; None for none."""
    record: CommandRecord | None = None
    for when, change in changes:
        time = when / 1000
        if record is None:
            command = parsed(change.body or "")
            record = CommandRecord(
                id=change.id,
                device=change.device,
                by=change.by,
                type=change.type,
                command=command if isinstance(command, dict) else {},
                timeout=change.timeout or 0.0,
                asked=time,
            )
        record.state = change.state
        record.reason = change.reason
        if change.queue_until is not None:
            record.queue_until = change.queue_until / 1000
        if change.state is CommandState.QUEUED:
            record.sent = record.session = None
        elif change.state is CommandState.SENT:
            record.sent, record.session = time, change.session
        else:
            record.ended = time
            record.detail = None if change.detail is None else parsed(change.detail)
    return record


def parsed(text: str) -> Any:
    """What JSON says; the text itself if it is none."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


def storable_json(value: Any, limit: int | None = None) -> Any:
    """A value without what looks like a token; over ``limit`` characters of JSON, cut text."""
    text = without_tokens(msgspec.json.encode(value).decode())
    if limit is not None and len(text) > limit:
        return text[:limit]
    return parsed(text)
