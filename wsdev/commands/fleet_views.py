"""How a fleet looks: a table that lives while it runs, lines where nothing can live, a summary."""

from __future__ import annotations

import contextlib
import time
from typing import Final, Protocol

from rich.console import Console
from rich.live import Live
from rich.text import Text

from wsdev.commands.amounts import duration, round_trip
from wsdev.commands.amounts import size as byte_size
from wsdev.fleet import Fleet
from wsdev.fleet_figures import FleetFigures

LIVE_REFRESH: Final = 0.25
PLAIN_REFRESH: Final = 5.0

_MOST_ERRORS: Final = 8


class View(Protocol):
    """Shows a fleet while it runs.

    Attributes:
        refresh: Seconds between two calls of :meth:`show`.
    """

    refresh: float

    def __enter__(self) -> object: ...

    def __exit__(self, *_: object) -> None: ...

    def show(self) -> None:
        """Show how it stands."""


def view_for(fleet: Fleet, *, quiet: bool) -> View:
    """A table on a terminal, else a line now and then."""
    console = _console(quiet=quiet)
    return _Table(fleet, console) if console.is_terminal and not quiet else _Lines(fleet, console)


def _console(*, quiet: bool = False) -> Console:
    return Console(highlight=False, markup=False, emoji=False, soft_wrap=True, quiet=quiet)


class _Speed:
    """Messages a second since the last look."""

    def __init__(self, figures: FleetFigures) -> None:
        self._figures = figures
        self._last = (time.monotonic(), 0)

    def now(self) -> float:
        when, acked = self._last
        self._last = (time.monotonic(), self._figures.acked + self._figures.unasked)
        return (self._last[1] - acked) / max(self._last[0] - when, 1e-9)


class _Lines(contextlib.AbstractContextManager["_Lines"]):
    refresh = PLAIN_REFRESH

    def __init__(self, fleet: Fleet, console: Console) -> None:
        self._figures = fleet.figures
        self._console = console
        self._speed = _Speed(fleet.figures)
        self._started = time.monotonic()

    def __exit__(self, *_: object) -> None:
        """Nothing to put away."""

    def show(self) -> None:
        figures = self._figures
        self._console.print(
            f"{duration(time.monotonic() - self._started):>8}  {figures.connected} of"
            f" {figures.count} in, {self._speed.now():.0f} messages/s, {figures.acked} acked,"
            f" p99 {round_trip(figures.round_trips.quantile(0.99))}, {figures.errors} errors"
        )


class _Table(contextlib.AbstractContextManager["_Table"]):
    refresh = LIVE_REFRESH

    def __init__(self, fleet: Fleet, console: Console) -> None:
        self._fleet = fleet
        self._speed = _Speed(fleet.figures)
        self._started = time.monotonic()
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> _Table:
        self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.__exit__(None, None, None)

    def show(self) -> None:
        figures = self._fleet.figures
        took = duration(time.monotonic() - self._started)
        rows = [
            ("running", f"{took} at {self._fleet.address.authority}, until Ctrl-C"),
            ("devices", f"{figures.connected} of {figures.count} in"),
            ("", f"{figures.connecting} on the way, {figures.waiting} wait to come back"),
            *_messages(figures),
            ("", f"{self._speed.now():.0f} a second"),
            *_times(figures),
        ]
        self._live.update(_lined_up(rows, figures), refresh=True)


def print_summary(fleet: Fleet, seconds: float) -> None:
    """What the run showed."""
    figures = fleet.figures
    rows = [
        ("ran", f"{duration(seconds)} at {fleet.address.authority}"),
        ("devices", f"{figures.count}, {figures.opened} links let in"),
    ]
    if figures.reconnects:
        rows.append(("", f"{figures.reconnects} times one came back"))
    rows += _messages(figures)
    rows.append(("", f"{figures.acked / seconds if seconds else 0:.0f} acked a second"))
    traffic = f"{byte_size(figures.bytes_out)} out, {byte_size(figures.bytes_in)} in"
    rows += [("traffic", traffic), *_times(figures)]
    if figures.troubles:
        met = ", ".join(f"{times}x {what}" for what, times in sorted(figures.troubles.items()))
        rows.append(("weather", f"{met} (--seed {fleet.plan.seed})"))
    _console().print(_lined_up(rows, figures))


_Row = tuple[str, str]


def _lined_up(rows: list[_Row], figures: FleetFigures) -> Text:
    text = Text()
    for label, told in rows:
        text.append(f"{label:<10}", "bold").append(f"{told}\n")
    causes = figures.by_number()
    for cause in causes[:_MOST_ERRORS]:
        text.append(f"{cause.times:>7}x  ", "red").append(f"{cause.error.cause}\n")
        if cause.error.hint:
            text.append(f"{'':<10}try: {cause.error.hint}\n")
    if len(causes) > _MOST_ERRORS:
        text.append(f"{'':<10}and {len(causes) - _MOST_ERRORS} other kinds of errors\n")
    text.right_crop(1)
    return text


def _messages(figures: FleetFigures) -> list[_Row]:
    more: list[tuple[str, int]] = [
        ("sent again", figures.resent),
        ("held back", figures.held_back),
        ("forgotten in a reboot", figures.forgotten),
        ("without an ack", figures.unasked),
        ("commands obeyed", figures.obeyed),
    ]
    told = [f"{figures.sent} sent", f"{figures.acked} acked", f"{figures.unacked} not acked"]
    told += [f"{number} {what}" for what, number in more if number]
    return [("messages", ", ".join(told))]


def _times(figures: FleetFigures) -> list[_Row]:
    rows = []
    for label, histogram in (("ack", figures.round_trips), ("connect", figures.connects)):
        if histogram.count:
            quantiles = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999}
            told = [f"{name} {round_trip(histogram.quantile(q))}" for name, q in quantiles.items()]
            rows.append((label, ", ".join(told) + f", max {round_trip(histogram.largest)}"))
    return rows
