"""``python -m benchmarks [MEASURE]``: take figures and print their tables."""

from __future__ import annotations

import argparse
import os
import platform
import sys

from rich.console import Console

from benchmarks.journal_cost import measure_journal
from benchmarks.measures import measure_handshakes, measure_idle, measure_messages
from benchmarks.retention_pause import measure_retention
from benchmarks.servers import BenchmarkError, pick_cores
from wsdev.server import raise_file_limit

WIDTH = 140
"""Columns of a table that goes into a file or a pipe."""


def parse_arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("measure", nargs="?", choices=list(MEASURES), help="all if left out")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--idle-devices", type=int, default=2000)
    parser.add_argument("--handshakes", type=int, default=1000, help="in a round")
    parser.add_argument("--devices", type=int, default=100, help="that send messages")
    parser.add_argument("--messages", type=int, default=20_000, help="in a round")
    parser.add_argument("--rate", type=int, default=20_000, help="messages a second, for journal")
    parser.add_argument(
        "--old-rows", type=int, default=500_000, help="in the journal, for retention"
    )
    return parser.parse_args()


MEASURES = {
    "idle": lambda core, given: measure_idle(core, rounds=given.rounds, devices=given.idle_devices),
    "handshake": lambda core, given: measure_handshakes(
        core, rounds=given.rounds, handshakes=given.handshakes
    ),
    "messages": lambda core, given: measure_messages(
        core, rounds=given.rounds, devices=given.devices, messages=given.messages
    ),
    "journal": lambda core, given: measure_journal(
        core, rounds=given.rounds, devices=given.devices, messages=given.messages, rate=given.rate
    ),
    "retention": lambda core, given: measure_retention(
        core, rows=given.old_rows, rate=given.rate // 4
    ),
}


def main() -> int:
    """Run what is asked for; the exit status."""
    given = parse_arguments()
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    try:
        server_core, load_core = pick_cores()
        os.sched_setaffinity(0, {load_core})
        raise_file_limit()
        console.print(f"Python {platform.python_version()}, Linux {platform.release()},", end=" ")
        console.print(f"{given.rounds} rounds", highlight=False)
        for name in [given.measure] if given.measure else MEASURES:
            MEASURES[name](server_core, given).show(console)
    except BenchmarkError as error:
        console.print(f"No figures: {error}.", style="red")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
