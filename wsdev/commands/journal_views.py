"""What ``wsdev journal stats`` and ``vacuum`` print."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from wsdev.commands import amounts
from wsdev.commands.log_lines import whole
from wsdev.commands.log_streams import make_console
from wsdev.errors import StateFolderError
from wsdev.journal_entries import iso, json_line, moment
from wsdev.journal_reader import JournalReader
from wsdev.journal_stats import TOP, Amounts, Run, Stats, gather
from wsdev.journal_vacuum import vacuum
from wsdev.sanitize import printable
from wsdev.state_lock import holder

_BREATH: Final = 0.005
"""Seconds between two steps of a vacuum: as long as one takes."""


def make_progress(what: str, *, shown: bool) -> Progress:
    """A bar on standard error, or none, if that is no terminal either."""
    console = make_console(sys.stderr)
    return Progress(
        TextColumn(what, markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not (shown and sys.stderr.isatty()),
    )


class Life(NamedTuple):
    """Whether the last run goes on.

    Attributes:
        running: None if that cannot be found out.
        process: Its id, if it runs and has told it.
    """

    running: bool | None
    process: int | None = None


def show_stats(folder: Path, *, as_json: bool) -> None:
    """Print the numbers of a journal.

    Raises:
        JournalError, StateFolderError: as the reader gives it.
    """
    with JournalReader(folder) as reader:
        found = gather(reader)
    life = _look_for_life(folder, found.last_run)
    if as_json:
        sys.stdout.write(json_line(_document(found, life)) + "\n")
        return
    console = make_console(sys.stdout)
    now = datetime.now().astimezone()
    for name, text in _facts(found, life, now):
        console.print(Text.assemble((f"{name:<10}", "bold"), text), soft_wrap=True)
    device = f"device (top {TOP})" if len(found.top_devices) == TOP else "device"
    for title, rows in (("class", found.by_class), (device, found.top_devices)):
        if rows:
            console.print()
            _print_amounts(console, title, rows)
    if found.sessions:
        console.print(f"\nMessages are {_counted(found)}.", soft_wrap=True)
    if found.refusals_by_code:
        console.print()
        table = _table("refused for", "times")
        for code, count in found.refusals_by_code.items():
            table.add_row(printable(code), f"{count:,}")
        console.print(table)


def _look_for_life(folder: Path, run: Run | None) -> Life:
    if run is None or run.ended is not None:
        return Life(running=False)
    try:
        process = holder(folder)
    except StateFolderError:
        return Life(running=None)
    return Life(process is not None, process or None)


def _document(found: Stats, life: Life) -> dict[str, object]:
    document: dict[str, object] = msgspec.to_builtins(found)
    last_run = document["last_run"]
    for holds, names in ((document, ("oldest", "newest")), (last_run, ("started", "ended"))):
        if isinstance(holds, dict):
            for name in names:
                holds[name] = None if holds[name] is None else iso(holds[name])
    if isinstance(last_run, dict):
        last_run |= life._asdict()
    return document


def _facts(found: Stats, life: Life, now: datetime) -> Iterable[tuple[str, str]]:
    yield "journal", printable(found.path)
    wal = f" + {amounts.size(found.wal_bytes)} write-ahead log" if found.wal_bytes else ""
    yield "size", f"{amounts.size(found.file_bytes)}{wal}"
    in_use, free = amounts.size(found.used_bytes), amounts.size(found.free_bytes)
    yield "", f"{in_use} in use, {free} free"
    if found.pictures:
        yield "pictures", f"{found.pictures:,}, {amounts.size(found.picture_bytes)}"
    yield "oldest", _when(found.oldest, now)
    yield "newest", _when(found.newest, now)
    yield "messages", f"{found.messages:,}"
    lost = f", {found.sessions_lost:,} lost with the server" if found.sessions_lost else ""
    yield "sessions", f"{found.sessions:,}, {found.sessions_open:,} open{lost}"
    yield "refusals", f"{found.refusals:,}"
    yield from _run(found.last_run, life, now)


def _when(milliseconds: int | None, now: datetime) -> str:
    if milliseconds is None:
        return "nothing yet"
    when = moment(milliseconds).astimezone()
    return f"{when:%Y-%m-%d %H:%M:%S}, {amounts.age((now - when).total_seconds())}"


def _run(run: Run | None, life: Life, now: datetime) -> Iterable[tuple[str, str]]:
    if run is None:
        yield "gateway", "has not run yet"
        return
    yield "gateway", f"wsdev {printable(run.version)} started {_when(run.started, now)}"
    if life.running:
        yield "", "it runs" + (f" as process {life.process}" if life.process else "")
    elif life.running is None:
        yield "", "it runs, or was killed: its lock cannot be read"
    elif run.ended is None:
        yield "", "it was killed, or this is a copy: no gateway runs in this folder"
    elif run.how == "stopped":
        yield "", f"stopped {_when(run.ended, now)}"
    else:
        yield "", f"killed or without power; last sign of life {_when(run.ended, now)}"


def _counted(found: Stats) -> str:
    """Which sessions are in the sums of messages and bytes."""
    left_out = (
        f"{count:,} {what}"
        for count, what in ((found.sessions_open, "open"), (found.sessions_lost, "lost"))
        if count
    )
    names = " and ".join(left_out)
    return "of ended sessions" + (f", without the {names}" if names else "")


def _table(first: str, *numbers: str) -> Table:
    """A table in which only the first column gives way, by folding."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(first, overflow="fold")
    for column in numbers:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _print_amounts(console: Console, title: str, rows: list[Amounts]) -> None:
    """A table; where a terminal has no room for its numbers, some lines for each row."""
    table = _table(title, "sessions", "open", "lost", "messages in", "messages out")
    names = [whole(row.name) for row in rows]
    for name, row in zip(names, rows, strict=True):
        counts = (f"{count:,}" for count in (row.sessions, row.open, row.lost))
        table.add_row(name, *counts, *_both_ways(row))
    width = Measurement.get(console, console.options.update(max_width=_ANY_WIDTH), table).maximum
    if not console.file.isatty():
        console.width = width
        console.print(table)
    elif width - max(0, max(map(cell_len, names)) - _LEAST_NAME) <= console.width:
        console.print(table)
    else:
        console.print(Text(title, "bold"))
        for name, row in zip(names, rows, strict=True):
            came, went = _both_ways(row)
            console.print(name, soft_wrap=True)
            for text in (
                f"{row.sessions:,} sessions, {row.open:,} open, {row.lost:,} lost",
                f"messages in  {came}",
                f"messages out {went}",
            ):
                console.print(f"  {text}", soft_wrap=True)


_ANY_WIDTH: Final = 10_000
_LEAST_NAME: Final = 16
"""Columns of a terminal to which a name may be folded."""


def _both_ways(row: Amounts) -> tuple[str, str]:
    return (
        f"{row.ended_messages_in:,} ({amounts.size(row.ended_bytes_in)})",
        f"{row.ended_messages_out:,} ({amounts.size(row.ended_bytes_out)})",
    )


def run_vacuum(folder: Path) -> None:
    """Give free space back, and print the sizes before and after.

    Raises:
        JournalError, StateFolderError: as the vacuum gives it.
    """
    with make_progress("giving space back", shown=True) as progress:
        task = progress.add_task("", total=None)

        def show(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        before, after = vacuum(folder, lambda: time.sleep(_BREATH), show)
    given = f"{amounts.size(before - after)} given back" if after < before else "nothing to give"
    sys.stdout.write(f"{amounts.size(before)} before, {amounts.size(after)} now: {given}\n")
