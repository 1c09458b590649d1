"""How a search for the idle cut looks: a bar with the time left, a line for each outcome."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from typing import Final, Protocol

from rich.console import Console
from rich.progress import Progress, ProgressColumn, Task, TextColumn
from rich.progress_bar import ProgressBar
from rich.text import Text

from wsdev.commands.amounts import counted, duration
from wsdev.idle_cut import End, Finding, Judgement, Outcome, Plan
from wsdev.idle_finder import Search, Watcher
from wsdev.protocol import SHORTEST_PING_INTERVAL

_WORDS: Final = {
    End.ANSWERED: "alive",
    End.SPOKEN: "the other end spoke, so nothing longer is known of it",
    End.CLOSE_FRAME: "closed with a close frame",
    End.FIN: "closed with a TCP FIN",
    End.RESET: "cut with a TCP reset",
    End.GARBAGE: "ended by bytes that are no WebSocket",
    End.NO_ANSWER: "gone without a sign: a ping got no answer",
}


class View(Watcher, contextlib.AbstractContextManager["View"], Protocol):
    """Shows a search while it goes on."""


def view_for(plan: Plan, console: Console) -> View:
    """A bar on a terminal, else lines alone."""
    return (
        _Bar(plan, console) if console.is_terminal and not console.quiet else _Lines(plan, console)
    )


class _Lines(contextlib.AbstractContextManager["View"]):
    def __init__(self, plan: Plan, console: Console) -> None:
        self._plan = plan
        self._console = console
        self._rounds = 0

    def __exit__(self, *_: object) -> None:
        """Nothing to put away."""

    def began(self, silences: Sequence[float]) -> None:
        """Tell what is tried and how long that takes."""
        self._rounds += 1
        count = counted(len(silences), "silent connection")
        span = f"{told(min(silences))} to {told(max(silences))}"
        if self._rounds == 1:
            most = told(self._plan.longest)
            self._console.print(f"{count}, for {span}; this takes {most} at most")
        else:
            self._console.print(f"once more, with {count} for {span}")

    def came(self, outcome: Outcome) -> None:
        """One line that stays."""
        mark = ("  cut ", "bold red") if outcome.is_cut else ("  ok  ", "green")
        detail = f" ({outcome.detail})" if outcome.detail else ""
        when = f"{told(outcome.lasted):>13}  "
        asked = ", when it was asked" if outcome.asked and outcome.is_cut else ""
        if outcome.end is End.NO_ANSWER:
            asked = ""
        self._console.print(Text.assemble(mark, when, _WORDS[outcome.end], detail, asked))


class _TimeBar(ProgressColumn):
    """How much of the longest silence is over."""

    def render(self, task: Task) -> ProgressBar:
        total = task.total or 1.0
        return ProgressBar(total=total, completed=min(task.elapsed or 0.0, total), width=40)


class _TimeLeft(ProgressColumn):
    def render(self, task: Task) -> Text:
        left = math.ceil((task.total or 0.0) - (task.elapsed or 0.0))
        return Text(f"{told(max(0, left))} left")


class _Bar(_Lines):
    """Also a bar while there is something to wait for; the drawing has a thread of its own."""

    def __init__(self, plan: Plan, console: Console) -> None:
        super().__init__(plan, console)
        self._progress = Progress(
            TextColumn("{task.description}"), _TimeBar(), _TimeLeft(),
            console=console, transient=True, refresh_per_second=2,
        )  # fmt: skip

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def began(self, silences: Sequence[float]) -> None:
        """Tell it, and start the bar anew."""
        super().began(silences)
        for task in self._progress.task_ids:
            self._progress.remove_task(task)
        self._progress.add_task("silent", total=max(silences))
        self._progress.start()


def told(seconds: float) -> str:
    """A silence as people say it: ``5 s``, ``2.5 s``, ``60 s``, ``10 min``."""
    return f"{seconds:.0f} s" if 9.95 <= seconds < 99.5 else duration(seconds).replace(".0 ", " ")


def print_finding(search: Search, console: Console) -> None:
    """What was found, and what to do with it."""
    finding, interval = search.finding, search.ping_interval
    judgement = Judgement.UNKNOWN if interval is None else finding.judge(interval)
    if interval is None or judgement is Judgement.UNKNOWN:
        console.print("nothing: no silence was over yet")
        return
    told_so = sentence(finding)
    console.print(Text(f"{told_so[0].upper()}{told_so[1:]}.", style="bold"))
    for who in finding.known:
        console.print(f"  known:  {who}")
    if finding.irregular:
        console.print("  but a longer silence was survived too: look again, it may be the Wi-Fi")
    if finding.spoken:
        count = counted(finding.spoken, "silence was", "silences were")
        console.print(f"  note:   {count} broken by the other end (a command, a proxy's ping)")
    if search.hindrance is not None:
        console.print(f"  note:   could not look more closely: {search.hindrance.cause}")
    if judgement is Judgement.NOT_IDLE:
        return
    now = f"  now:    the gateway pings after {told(interval)} of silence"
    if judgement is Judgement.HOLDS and finding.held < interval:
        console.print(f"{now}; whether that is in time, a longer --up-to tells")
        return
    console.print(f"{now}, {'too late' if judgement is Judgement.TOO_SOON else 'in time'}")
    if finding.ping_interval is not None:
        console.print(f"  advice: a ping after {told(finding.ping_interval)} of silence at most")


def sentence(finding: Finding) -> str:
    """What was found, to be begun with a capital and ended with a full stop."""
    if finding.cut is None:
        return f"the path holds: a connection lived through {told(finding.held)} of silence"
    if finding.exact:
        said = f" ({finding.detail})" if finding.detail else ""
        how = _WORDS[finding.end or End.FIN]
        return f"a silent connection is {how}{said} after {told(finding.cut)}"
    since = f"between {told(finding.held)} and" if finding.held else "within"
    if finding.end is End.NO_ANSWER:
        return f"a silent connection is forgotten {since} {told(finding.cut)}, without a sign"
    how = _WORDS[finding.end or End.RESET]
    return f"a silent connection is {how} {since} {told(finding.cut)}, when it speaks again"


def remedy(finding: Finding) -> str:
    """What to do about a cut that comes before the gateway's ping."""
    raise_it = "raise the idle timeout of the proxy on the way"
    interval = finding.ping_interval
    if interval is None:
        return raise_it + "; which ping interval would do is not known, so short is the cut"
    if interval < SHORTEST_PING_INTERVAL:
        return f"{raise_it}, or have the device itself ping each {told(interval)}"
    return f'{raise_it}, or have the device ask for it: "ping_interval": {interval:g} in `connect`'
