"""``wsdev connect --watch``: the same visit again and again, a history, a summary."""

from __future__ import annotations

import asyncio
import itertools
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.text import Text

from wsdev import probe
from wsdev.commands.amounts import counted
from wsdev.commands.visiting import plain_console
from wsdev.diagnosis.talk_rules import percentile
from wsdev.report import Report, encode_report, make_report

HISTORY: Final = 40
"""Visits in the history that each line ends with."""

_TOLD, _SHORT_HISTORY = 60, 10
"""Columns of what a visit told, and of the history where a terminal is narrow."""

FORM: Final = "wsdev.watch/1"


class Unseen:
    """Watches a visit of which only the end is shown."""

    def trying(self, layer: Any, what: str) -> None:
        """Not shown."""

    def done(self, step: Any) -> None:
        """Not shown."""


@dataclass(slots=True)
class Watch:
    """What has been seen so far.

    Attributes:
        faults: How often which fault was met.
        worst_gap: Seconds of the longest time without a good visit: from the good one before the
            bad ones, or the first of all, to the good one after them, or the last of all.
        exit_code: Of the last visit that failed.
    """

    runs: int = 0
    good: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    medians: list[float] = field(default_factory=list)
    history: str = ""
    exit_code: int = 0
    worst_gap: float = 0.0
    _good_at: float | None = None
    _is_bad: bool = False

    def take(self, report: Report, now: float) -> None:
        """Count one visit; ``now`` in monotonic seconds."""
        self.runs += 1
        self.history = (self.history + ("·" if report.ok else "x"))[-HISTORY:]
        since = now if self._good_at is None else self._good_at
        if self._is_bad or not report.ok:
            self.worst_gap = max(self.worst_gap, now - since)
        self._is_bad = not report.ok
        self._good_at = now if report.ok else since
        if report.ok:
            self.good += 1
        else:
            self.exit_code = report.exit_code
            self.faults[report.verdict.code if report.verdict else "interrupted"] += 1
        if report.round_trip_ms is not None:
            self.medians.append(report.round_trip_ms.median)

    def document(self) -> dict[str, Any]:
        """The summary as JSON values."""
        return {
            "form": FORM,
            "runs": self.runs,
            "ok": self.good,
            "faults": dict(self.faults.most_common()),
            "longest_outage_s": round(self.worst_gap, 1),
            "median_ms": percentile(self.medians, 50) if self.medians else None,
            "p95_ms": percentile(self.medians, 95) if self.medians else None,
            "exit_code": self.exit_code,
        }

    def told(self) -> list[str]:
        """The summary as lines."""
        share = 100 * self.good / self.runs if self.runs else 0.0
        lines = [f"{counted(self.runs, 'visit')}, {self.good} ok ({share:.1f} %)"]
        lines += [f"  {count} of them: {code}" for code, count in self.faults.most_common()]
        if self.faults:
            lines.append(f"  longest time without a good visit: {self.worst_gap:.0f} s")
        if self.medians:
            low, high = percentile(self.medians, 50), percentile(self.medians, 95)
            lines.append(f"  median round trip: {low:.1f} ms, p95 of the medians {high:.1f} ms")
        return lines


async def watch(
    new_visit: Callable[[], probe.Visit],
    every: float,
    duration: float | None,
    *,
    as_json: bool,
    quiet: bool,
) -> int:
    """Visit each ``every`` seconds, until ``duration`` is over or until cancelled.

    Returns:
        The exit code: that of the last visit that failed, or 0.
    """
    seen = Watch()
    console = plain_console(quiet=quiet or as_json)
    loop = asyncio.get_running_loop()
    started = loop.time()
    visit = new_visit()
    target = visit.target
    where = target.address.websocket_url(target.device_class.name)
    console.print(Text(f"{target.device_class.name} at {where}, each {every:g} s", style="bold"))
    try:
        for number in itertools.count(1):
            await probe.visit(visit, Unseen())
            report = make_report(visit)
            seen.take(report, loop.time())
            if as_json:
                _write(encode_report(report))
            console.print(_line(report, seen.history, console))
            due = started + number * every
            if duration is not None and due > started + duration:
                break
            await asyncio.sleep(max(0.0, due - loop.time()))
            visit = new_visit()
    except asyncio.CancelledError:
        if console.is_terminal:
            console.print()  # the terminal has written ^C
        raise
    finally:
        if as_json:
            _write(msgspec.json.encode(seen.document()).decode())
        for line in seen.told():
            console.print(line)
    return seen.exit_code


def _line(report: Report, history: str, console: Console) -> Text:
    at = time.strftime("%H:%M:%S")
    if report.verdict is None:
        times = report.round_trip_ms
        told = f"median {times.median:.1f} ms, max {times.max:.1f} ms" if times else ""
        mark = ("ok  ", "green")
    else:
        told = f"{report.verdict.layer}: {report.verdict.what}"
        mark = ("no  ", "bold red")
    width = _TOLD
    if console.is_terminal:  # one line each, as far as the terminal is wide enough
        room = console.width - len(f"{at}  ok    ")
        width = max(0, min(_TOLD, room - _SHORT_HISTORY))
        history = history[-max(_SHORT_HISTORY, room - max(width, len(told))) :]
    return Text.assemble(f"{at}  ", mark, f"{told:<{width}}  ", history)


def _write(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
