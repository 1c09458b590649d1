"""The gateway, telling on request what is alive inside it.

    python -m benchmarks.soaked [options of wsdev serve]

At SIGUSR1 it writes one JSON object to the file :data:`CENSUS` of its state folder: how many
objects of each kind that a connection makes there are, how many tasks, and how late the event loop
was at each look, with the seconds for which others had its core since the look before.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import sys
import time
from array import array
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


_SCHEDULED: Final = Path("/proc/thread-self/schedstat")
_CORES: Final = Path("/proc/stat")
_STOLEN: Final = 8
"""The word of a core's line that tells for how long another guest of the host had it."""


class Core:
    """The core that this process is pinned to: for how long others have it while we want it."""

    def __init__(self) -> None:
        (number,) = os.sched_getaffinity(0)
        self._mark = f"cpu{number} "
        self._tick = 1 / os.sysconf("SC_CLK_TCK")
        self._before = self._read()

    def lost(self) -> float:
        """Seconds since the last call; those in which threads of our own had it do not count."""
        before, self._before = self._before, self._read()
        waited, stolen, others = (
            now - then for now, then in zip(self._before, before, strict=True)
        )
        return max(0.0, waited - others) + stolen

    def _read(self) -> tuple[float, float, float]:
        _, waited, _ = _SCHEDULED.read_text(encoding="ascii").split()
        lines = _CORES.read_text(encoding="ascii").splitlines()
        (line,) = (line for line in lines if line.startswith(self._mark))
        return (
            int(waited) / 1e9,
            int(line.split()[_STOLEN]) * self._tick,
            time.process_time() - time.thread_time(),
        )


class KeptMetrics(Metrics):
    """Metrics that keep each look at the lateness of the loop."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._core: Core | None = None

    def loop_lag(self, seconds: float) -> None:
        """The event loop ran something ``seconds`` after it was due."""
        super().loop_lag(seconds)
        if self._core is None:
            self._core = Core()  # in the thread of the loop
        else:
            _looks.extend((seconds, self._core.lost()))


_looks: Final = array("d")  # small: the gateway's memory is looked at too


def looks() -> list[tuple[float, float]]:
    """How late the loop was at each, and how long it had been without its core."""
    return list(zip(_looks[::2], _looks[1::2], strict=True))


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
        new.write_text(json.dumps({"alive": census(), "looks": looks()}), encoding="utf-8")
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
        patch.object(runner, "Metrics", KeptMetrics),
    ):
        runner.run(given, typer.echo)


if __name__ == "__main__":
    app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)
    app.command()(serve)
    sys.exit(app())
