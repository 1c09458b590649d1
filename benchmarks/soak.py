"""``python -m benchmarks.soak``: a mixed fleet in bad weather for a long time, and what it left.

A real gateway in a process of its own, a fleet in another. While they run the gateway's memory is
watched; afterwards what is alive inside it is compared with what was before, and its journal with
what the fleet was told. The exit status is 1 if anything leaked or was lost.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks.servers import (
    LOOPBACK,
    PATIENCE,
    BenchmarkError,
    Server,
    child,
    pick_cores,
    wsdev_gateway,
)
from benchmarks.soaked import CENSUS
from wsdev.setting_values import duration_text, parse_duration

WEATHER: Final = Path(__file__).with_name("soak.toml")

MEMORY_GROWTH: Final = 0.05
"""Of the memory after the warm-up."""

LAG: Final = 0.020
"""Seconds; 99 of 100 times the event loop is less late."""

WARM_UP: Final = 1 / 3
"""Of the run. So long the gateway learns what each device may send again, some 2,000 messages: the
rate has to be such that it knows them by then."""

LEAK: Final = 5
"""Objects of one kind: what a connection or message leaked would be there hundreds of times."""

DISTURBED: Final = LAG / 4
"""Seconds in which others had the gateway's core since the last look: more, and it is left out."""

LAG_JUDGED_AFTER: Final = 600.0
"""Seconds of a run. In a short one, and so in CI, what else the machine does would be judged."""


@dataclass(frozen=True, slots=True)
class Check:
    """Something that has to be so, and what was found."""

    what: str
    holds: bool
    found: str

    def __str__(self) -> str:
        """One line."""
        return f"  {'ok' if self.holds else 'NOT':<4} {self.what}: {self.found}"


def take_census(server: Server) -> dict[str, Any]:
    """What is alive inside the gateway."""
    assert server.folder is not None
    file = server.folder / CENSUS
    file.unlink(missing_ok=True)
    os.kill(server.pid, signal.SIGUSR1)
    deadline = time.monotonic() + PATIENCE
    while not file.exists():
        if time.monotonic() > deadline:
            raise BenchmarkError("the gateway does not answer SIGUSR1")
        time.sleep(0.05)
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def run_fleet(server: Server, core: int, given: argparse.Namespace, seconds: float) -> Any:
    """Let a fleet live at the gateway; its own figures, and the gateway's memory meanwhile.

    Returns:
        The document of ``wsdev connect --json``, and KB of resident memory, one each second.
    """
    command = [sys.executable, "-m", "wsdev", "connect", "--url", f"{LOOPBACK}:{server.port}"]
    command += ["--count", str(given.devices), "--mix", "pico=9,esp32cam=1", "--rate", given.rate]
    command += ["--duration", f"{seconds:.0f}s", "--weather", str(WEATHER), "--json"]
    command += ["--seed", str(given.seed), "--timeout", "30s"]
    memory = []
    with child(command, core) as process:
        while process.poll() is None:
            memory.append(server.resident_kb())
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(1)
        assert process.stdout is not None
        told = process.stdout.read()
    if process.returncode:
        raise BenchmarkError(f"the fleet ended with exit code {process.returncode}: {told}")
    return json.loads(told), memory


def check_memory(memory: list[float]) -> Check:
    """Flat: the last quarter beside the first after the warm-up."""
    warm = memory[int(len(memory) * WARM_UP) :]
    part = max(1, len(warm) // 4)
    before, after = median(warm[:part]), median(warm[-part:])
    growth = after / before - 1
    return Check(
        f"memory grows by at most {MEMORY_GROWTH:.0%} after the warm-up",
        growth <= MEMORY_GROWTH,
        f"{growth:+.1%} ({before / 1024:.1f} MiB, then {after / 1024:.1f} MiB)",
    )


def check_alive(before: dict[str, int], after: dict[str, int]) -> Check:
    """Nothing that a connection makes is left."""
    more = {
        kind: after[kind] - count
        for kind, count in before.items()
        if kind != "objects" and after[kind] - count > LEAK
    }
    return Check(
        "no task, timer, link or session is left",
        not more,
        ", ".join(f"{count} x {kind}" for kind, count in more.items()) or "none",
    )


@contextlib.contextmanager
def reading(folder: Path) -> Iterator[Callable[[str], Any]]:
    """Asks the journal for one value."""
    uri = f"file:{folder / 'journal.db'}?mode=ro"
    with contextlib.closing(sqlite3.connect(uri, uri=True)) as db:
        yield lambda query: db.execute(query).fetchone()[0]


def last_number(folder: Path) -> int:
    """The newest message's sequence number."""
    with reading(folder) as value:
        return int(value("SELECT max(sequence) FROM messages"))


def wait_for_ends(folder: Path) -> None:
    """Return once the journal has the end of each session: until then it holds on to them."""
    deadline = time.monotonic() + PATIENCE
    with reading(folder) as value:
        while value(_UNENDED) and time.monotonic() < deadline:
            time.sleep(0.05)


_UNENDED: Final = "SELECT count(*) FROM sessions WHERE end_sequence IS NULL"


def check_journal(folder: Path, start: int, figures: dict[str, Any]) -> list[Check]:
    """Each acknowledged message after number ``start`` is there, once; each session has an end."""
    with reading(folder) as value:
        ours = f"FROM messages WHERE sequence > {start} AND id IS NOT NULL"
        rows = value(f"SELECT count(*) {ours}")
        different = value(f"SELECT count(DISTINCT id) {ours}")
        sessions = value("SELECT count(*) FROM sessions")
        unended = value(_UNENDED)
        sound = value("PRAGMA integrity_check")
    said = figures["messages"]
    return [
        Check(
            "each acknowledged message is in the journal, once",
            said["acked"] <= rows == different <= said["sent"],
            f"{said['acked']} acked, {rows} rows, {different} different, {said['sent']} sent",
        ),
        Check("every message was acknowledged", said["lost"] == 0, f"{said['lost']} were not"),
        Check("every session has an end", unended == 0, f"{unended} of {sessions} have none"),
        Check("the journal is sound", sound == "ok", sound),
    ]


def check_files(before: int, after: int) -> Check:
    """What the gateway looks into comes and goes; what is left open only grows."""
    return Check("no file is left open", after <= before + LEAK, f"{before}, then {after}")


def check_lag(looks: Sequence[tuple[float, float]], seconds: float) -> Check:
    """The event loop is on time, as long as it has its core.

    Args:
        looks: How late it was, and how long it had been without its core.
    """
    ours = [late for late, lost in looks if lost <= DISTURBED]
    judged = seconds >= LAG_JUDGED_AFTER and len(ours) >= len(looks) / 2
    late = _99_of_100(ours)
    return Check(
        f"the event loop is less than {LAG * 1000:.0f} ms late, 99 of 100 times",
        late < LAG or not judged,
        f"{late * 1000:.1f} ms at the {len(ours)} of {len(looks)} looks before which no other"
        f" program held it up, {_99_of_100([late for late, _ in looks]) * 1000:.1f} ms at all"
        f"{'' if judged else ' (not judged in so short or disturbed a run)'}",
    )


def _99_of_100(values: Sequence[float]) -> float:
    return sorted(values)[len(values) * 99 // 100] if values else 0.0


def soak(given: argparse.Namespace) -> list[Check]:
    """Run it all; what was found."""
    server_core, load_core = pick_cores()
    seconds = parse_duration(given.duration)
    with wsdev_gateway(
        server_core, ("--log-level", "error"), program=("benchmarks.soaked",)
    ) as server:
        at_rest = server.open_sockets()  # nobody has come yet, so nobody is still leaving
        run_fleet(server, load_core, given, 5)
        server.wait_for_sockets(at_rest)
        files = server.open_files()
        before = take_census(server)
        assert server.folder is not None
        start = last_number(server.folder)
        figures, memory = run_fleet(server, load_core, given, seconds)
        server.wait_for_sockets(at_rest)
        wait_for_ends(server.folder)
        after = take_census(server)
        said = figures["messages"]
        print_line(
            f"{given.devices} devices for {duration_text(seconds)}: {said['sent']} messages,"
            f" {figures['links']['reconnects']} reconnects, weather {figures['troubles']},"
            f" errors {[(e['times'], e['code']) for e in figures['errors']]}"
        )
        return [
            check_memory(memory),
            check_alive(before["alive"], after["alive"]),
            check_files(files, server.open_files()),
            *check_journal(server.folder, start, figures),
            check_lag(after["looks"][len(before["looks"]) :], seconds),
        ]


def print_line(text: str) -> None:
    """To standard output, at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    """Soak, and say what was found; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--duration", default="30m", help="[default: %(default)s]")
    parser.add_argument("--devices", type=int, default=300, help="[default: %(default)s]")
    parser.add_argument("--rate", default="5/s", help="of each device [default: %(default)s]")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the weather")
    given = parser.parse_args()
    print_line(f"seed {given.seed}")
    try:
        checks = soak(given)
    except BenchmarkError as error:
        print_line(f"It broke off: {error}.")
        return 1
    for check in checks:
        print_line(str(check))
    return 0 if all(check.holds for check in checks) else 1


if __name__ == "__main__":
    sys.exit(main())
