"""The gateway as it would be without a journal: an ack then only says that the message came.

    python -m benchmarks.unjournalled [options of wsdev serve]

For comparison only: what is left of the cost is what the journal costs. wsdev itself has no such
option, since an ack that means nothing is worse than none.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import typer

from wsdev import runner, settings
from wsdev.command_records import CommandChange
from wsdev.commands.options import takes_serve_settings
from wsdev.journal_group import Sender, SessionKey
from wsdev.metrics import Metrics
from wsdev.protocol import MessageId
from wsdev.records import ACKNOWLEDGED, Refusal, SessionEnd, SessionStart
from wsdev.settings import ServeSettings


class NoJournal:
    """Keeps nothing; acknowledges what came together in one go, as the journal does."""

    trouble = ""
    is_full = False
    waiting = (0, 0)
    left_out = 0

    def start(self, notify: Callable[..., object]) -> None:
        """Begin."""
        self._notify = notify
        self._told: dict[Sender, tuple[list[int], list[MessageId]]] = {}

    def start_session(self, start: SessionStart) -> SessionKey:
        """A device is let in."""
        return SessionKey(start.device)

    def rename_session(self, session: SessionKey, device: str) -> None:
        """A device has another name."""

    def note_version(self, session: SessionKey, version: str | None) -> None:
        """A device said the version of its firmware."""

    def end_session(self, session: SessionKey, end: SessionEnd) -> None:
        """A device is gone."""

    def refuse(self, refusal: Refusal) -> None:
        """A request was refused."""

    def change_command(self, change: CommandChange) -> None:
        """A command has another state."""

    def when_recorded(self, call: Callable[[], None]) -> None:
        """Nothing waits to be recorded."""
        self._notify(call)

    def record(
        self,
        session: SessionKey,
        kind: int,
        data: bytes,
        message_id: MessageId | None,
        sender: Sender | None,
    ) -> None:
        """Acknowledge soon."""
        if sender is None:
            return
        if not self._told:
            self._notify(self._settle)
        sizes, ids = self._told.setdefault(sender, ([], []))
        sizes.append(len(data))
        if message_id is not None and kind in ACKNOWLEDGED:
            ids.append(message_id)

    def _settle(self) -> None:
        told, self._told = self._told, {}
        for sender, (sizes, ids) in told.items():
            sender.recorded(len(sizes), sum(sizes), ids)


@contextlib.contextmanager
def _recording(_: ServeSettings, __: Path, ___: Metrics) -> Iterator[NoJournal]:
    yield NoJournal()


@takes_serve_settings
def serve(flags: dict[str, Any], config: Path | None) -> None:
    """Run a gateway without a journal, to measure it."""
    runner.run(settings.load(flags, os.environ, config), typer.echo, _recording)


if __name__ == "__main__":
    app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)
    app.command()(serve)
    sys.exit(app())
