"""``python -m benchmarks [MEASURE]``: take figures and print their tables.

Without MEASURE and without --quick, docs/performance.md gets them too.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from collections.abc import Callable
from typing import Any, Final

from benchmarks import document
from benchmarks.command_delay import measure_commands
from benchmarks.console_cost import measure_console
from benchmarks.figures import Result, table_of_targets
from benchmarks.fleet_cost import measure_fleet
from benchmarks.handshake_cost import measure_handshakes
from benchmarks.idle_cost import measure_idle
from benchmarks.journal_cost import measure_journal
from benchmarks.machine import facts
from benchmarks.message_cost import measure_pictures, measure_telemetry, measure_unacked
from benchmarks.page import measure_page
from benchmarks.retention_pause import measure_retention
from benchmarks.scale import Scale
from benchmarks.servers import BenchmarkError, pick_cores
from benchmarks.slow_viewer import measure_slow_viewer
from benchmarks.viewers import measure_viewers
from wsdev.server import raise_file_limit

MEASURES: Final[dict[str, Callable[[int, Scale], Result]]] = {
    "telemetry": measure_telemetry,
    "unacked": measure_unacked,
    "pictures": measure_pictures,
    "handshake": measure_handshakes,
    "idle": measure_idle,
    "commands": measure_commands,
    "journal": measure_journal,
    "retention": measure_retention,
    "fleet": measure_fleet,
    "console": measure_console,
    "slow-viewer": measure_slow_viewer,
    "viewers": measure_viewers,
    "page": measure_page,
}


def parse_arguments(arguments: list[str]) -> tuple[str | None, Scale, bool]:
    """What the command line asks for: one measure or all, how much of it, and whether all of that.

    What is changed by hand or quick is no whole run.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("measure", nargs="?", choices=list(MEASURES), help="all if left out")
    parser.add_argument("--quick", action="store_true", help="whether all works, in a minute")
    for number in dataclasses.fields(Scale):
        about = f"{number.metadata['help']} ({number.default})"
        option = "--" + number.name.replace("_", "-")
        parser.add_argument(option, type=int, metavar="N", help=about)
    given: dict[str, Any] = vars(parser.parse_args(arguments))
    measure, quick = given.pop("measure"), given.pop("quick")
    changed = {name: value for name, value in given.items() if value is not None}
    scale = dataclasses.replace(Scale().quick() if quick else Scale(), **changed)
    return measure, scale, measure is None and scale == Scale()


def say(text: str) -> None:
    """Print it now, also into a pipe."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    """Run what is asked for; the exit status."""
    measure, scale, is_whole = parse_arguments(sys.argv[1:])
    results = []
    try:
        server_core, load_core = pick_cores()
        about = facts()
        os.sched_setaffinity(0, {load_core})
        raise_file_limit()
        say("\n".join(about) + f"\nRounds: {scale.rounds}.\n")
        for name in [measure] if measure else MEASURES:
            results.append(MEASURES[name](server_core, scale))
            for table in results[-1].tables:
                say(table.markdown())
        if targets := [target for result in results for target in result.targets]:
            say(table_of_targets(targets).markdown())
        if is_whole:
            document.write(results, about, scale.rounds)
            say(f"Written into docs/{document.PAGE.name} and docs/{document.CHART.name}.")
    except (BenchmarkError, OSError) as error:
        say(f"No figures: {error}.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
