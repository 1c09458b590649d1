"""What the gateway asks of a journal, whatever is behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from wsdev.command_records import CommandChange, CommandRecord
from wsdev.journal_group import Sender, SessionKey
from wsdev.protocol import MessageId
from wsdev.records import Refusal, SessionEnd, SessionStart

Notify = Callable[..., object]
"""Calls a function with arguments on the event loop, as ``loop.call_soon_threadsafe`` does."""


class CommandJournal(Protocol):
    """Where commands are recorded. Called on the event loop; no call waits."""

    @property
    def is_full(self) -> bool:
        """Whether so much waits to be recorded that no more should be taken in."""

    def change_command(self, change: CommandChange) -> None:
        """A command has another state."""

    def when_recorded(self, call: Callable[[], None]) -> None:
        """Call once all before is on disk and its senders are told."""


class LastSeen(NamedTuple):
    """An absent device: when its connection ended, and its last sign of life; Unix seconds."""

    since: float
    last_seen: float


class CommandArchive(Protocol):
    """What is known of earlier commands and of absent devices. Each call may look at a disk."""

    def queued(self) -> list[CommandRecord]:
        """The commands that wait for their devices, oldest first."""

    def find(self, command_id: str) -> CommandRecord | None:
        """The command of that id."""

    def last_seen(self, device: str) -> LastSeen | None:
        """The end of the device's last connection; None if it never had one."""


class Journal(CommandJournal, Protocol):
    """Where everything is recorded. Called on the event loop; no call waits.

    Things get their order from the order of the calls.
    """

    def start(self, notify: Notify) -> object:
        """Begin; ``notify`` calls a function on the event loop, as ``call_soon_threadsafe``."""

    @property
    def trouble(self) -> str:
        """Why nothing can be recorded now; empty when all is well."""

    @property
    def waiting(self) -> tuple[int, int]:
        """Rows and bytes that wait to be recorded."""

    @property
    def left_out(self) -> int:
        """Refusals that were not recorded, for want of room."""

    def start_session(self, start: SessionStart) -> SessionKey:
        """A device is let in."""

    def rename_session(self, session: SessionKey, device: str) -> None:
        """A device has another name."""

    def note_version(self, session: SessionKey, version: str | None) -> None:
        """A device said the version of its firmware, or that it has none to tell any more."""

    def end_session(self, session: SessionKey, end: SessionEnd) -> None:
        """A device is gone."""

    def refuse(self, refusal: Refusal) -> None:
        """A request was refused. Left out, and counted, when the journal is full."""

    def record(
        self,
        session: SessionKey,
        kind: int,
        data: bytes,
        message_id: MessageId | None,
        sender: Sender | None,
    ) -> None:
        """A message.

        Args:
            kind: A number of :mod:`wsdev.records`.
            data: UTF-8, but for the binary kinds.
            sender: Is told once it is on disk. The same acknowledged message of the same device,
                sent again, is told and not recorded.
        """
