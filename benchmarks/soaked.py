"""The gateway, telling on request what is alive inside it.

    python -m benchmarks.soaked [options of wsdev serve]

At SIGUSR1 it writes one JSON object to the file :data:`CENSUS` of its state folder: how many
objects of each kind that a connection makes there are, how many tasks, and how late the event loop
was how often.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import typer

from wsdev import runner, settings
from wsdev.commands.options import takes_serve_settings
from wsdev.hub import Hub
from wsdev.metrics import Metrics

CENSUS: Final = "census.json"

KINDS: Final = (
    "Connection", "Link", "GatewaySession", "SessionRecord", "SessionKey", "Member", "Protocol",
    "TCPTransport", "TimerHandle", "MessageBudget",
)  # fmt: skip
"""Classes by their name, since some are of uvloop's."""


_metrics: list[Metrics] = []


def _kept_metrics(*arguments: Any, **options: Any) -> Metrics:
    _metrics.append(Metrics(*arguments, **options))
    return _metrics[-1]


def lateness() -> dict[str, float]:
    """How often the loop was at most so many seconds late, by those seconds."""
    name = "wsdev_event_loop_lag_seconds_bucket"
    return {
        sample.labels["le"]: sample.value
        for family in _metrics[-1].registry.collect()
        for sample in family.samples
        if sample.name == name
    }


def census() -> dict[str, int]:
    """How many there are; garbage is collected before."""
    gc.collect()
    counts = Counter(type(thing).__name__ for thing in gc.get_objects())
    found = {kind: counts[kind] for kind in KINDS}
    return found | {"Task": len(asyncio.all_tasks()), "objects": sum(counts.values())}


class CountedHub(Hub):
    """A hub at whose making the process learns to answer SIGUSR1."""

    def __init__(self, folder: Path, *, max_command: int) -> None:
        super().__init__(max_command=max_command)
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, self._count, folder)

    def _count(self, folder: Path) -> None:
        # Whole or not at all: the one who asked looks for the file.
        new = folder / f"{CENSUS}.new"
        new.write_text(json.dumps({"alive": census(), "lateness": lateness()}), encoding="utf-8")
        new.replace(folder / CENSUS)


@takes_serve_settings
def serve(flags: dict[str, Any], config: Path | None) -> None:
    """Run a gateway that can be looked into, to soak it."""
    given = settings.load(flags, os.environ, config)
    folder = given.state_folder()

    def counted_hub(*, max_command: int) -> Hub:
        return CountedHub(folder, max_command=max_command)

    # The runner makes the hub itself. All else is to be as in the real gateway.
    with (
        patch.object(runner, "Hub", counted_hub),
        patch.object(runner, "Metrics", _kept_metrics),
    ):
        runner.run(given, typer.echo)


if __name__ == "__main__":
    app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)
    app.command()(serve)
    sys.exit(app())
