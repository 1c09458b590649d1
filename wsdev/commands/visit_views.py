"""How ``wsdev connect`` shows a visit: steps while they are walked, then the verdict."""

from __future__ import annotations

from typing import Final

from rich.console import Console
from rich.status import Status
from rich.text import Text

from wsdev.diagnosis.verdict import Verdict
from wsdev.layers import Layer
from wsdev.probe import Step
from wsdev.report import Report, interruption

_MARKS: Final = {True: ("  ok  ", "green"), False: ("  no  ", "bold red")}


class LiveSteps:
    """Shows each step as it is tried, on a terminal also what is being waited for."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status: Status | None = None

    def title(self, text: str) -> None:
        """What is visited."""
        self._console.print(Text(text, style="bold"))

    def trying(self, layer: Layer, what: str) -> None:
        """A step begins."""
        self.stop()
        if self._console.is_terminal and not self._console.quiet:
            self._status = self._console.status(Text(f"{layer.value}: {what}"))
            self._status.start()

    def done(self, step: Step) -> None:
        """It has ended: one line that stays."""
        self.stop()
        self._console.print(
            Text.assemble(
                _MARKS[step.ok],
                f"{step.layer.value:<10}",
                f"{step.seconds * 1000:>8.1f} ms  ",
                step.detail,
            )
        )

    def stop(self) -> None:
        """Nothing is being waited for any more."""
        if self._status is not None:
            self._status.stop()
            self._status = None


def print_end(report: Report, out: Console, err: Console) -> None:
    """What follows the steps: round trips and remarks, or the verdict."""
    if report.interrupted_in is not None:
        err.print(f"wsdev: {interruption(report)}")
    times = report.round_trip_ms
    if times is not None:
        lost = f", {times.lost} lost" if times.lost else ""
        out.print(
            f"round trip: median {times.median:.1f} ms, p95 {times.p95:.1f} ms,"
            f" max {times.max:.1f} ms, jitter {times.jitter:.1f} ms ({times.samples} samples{lost})"
        )
    for remark in report.remarks:
        out.print(Text.assemble(("note: ", "yellow"), remark.what))
        out.print(f"  try: {remark.fix}")
    if report.verdict is not None:
        print_verdict(report.verdict, err)


def print_verdict(verdict: Verdict, err: Console) -> None:
    """What broke, what proves it, why it usually does, what to do."""
    layer, what = verdict.layer.value, verdict.what
    name = (f" [{verdict.code}]", "dim")
    err.print(Text.assemble("wsdev: ", (f"{layer}: ", "bold red"), (what, "bold"), name))
    for line in verdict.evidence:
        err.print(f"  seen: {line}")
    err.print(f"  why:  {verdict.why}")
    err.print(f"  try:  {verdict.fix}")
