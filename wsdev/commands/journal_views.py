"""What ``wsdev journal stats`` and ``vacuum`` print."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from wsdev.commands import amounts
from wsdev.commands.log_streams import make_console
from wsdev.journal_entries import iso, json_line, moment
from wsdev.journal_reader import JournalReader
from wsdev.journal_stats import Amounts, Run, Stats, gather
from wsdev.journal_vacuum import vacuum
from wsdev.sanitize import printable

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


def show_stats(folder: Path, *, as_json: bool) -> None:
    """Print the numbers of a journal.

    Raises:
        JournalError, StateFolderError: as the reader gives it.
    """
    with JournalReader(folder) as reader:
        found = gather(reader)
    if as_json:
        sys.stdout.write(json_line(_document(found)) + "\n")
        return
    console = make_console(sys.stdout)
    now = datetime.now().astimezone()
    for name, text in _facts(found, now):
        console.print(Text.assemble((f"{name:<10}", "bold"), text), soft_wrap=True)
    for title, rows in (("class", found.by_class), ("most bytes", found.top_devices)):
        if rows:
            console.print()
            console.print(_amounts_table(title, rows))
    if found.refusals_by_code:
        console.print()
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("refused for", no_wrap=True)
        table.add_column("times", justify="right")
        for code, count in found.refusals_by_code.items():
            table.add_row(printable(code), f"{count:,}")
        console.print(table)


def _document(found: Stats) -> dict[str, object]:
    document: dict[str, object] = msgspec.to_builtins(found)
    for holder, names in ((document, ("oldest", "newest")), (document["last_run"], _RUN_TIMES)):
        if isinstance(holder, dict):
            for name in names:
                holder[name] = None if holder[name] is None else iso(holder[name])
    return document


_RUN_TIMES: Final = ("started", "ended")


def _facts(found: Stats, now: datetime) -> Iterable[tuple[str, str]]:
    yield "journal", printable(found.path)
    in_use, free = amounts.size(found.used_bytes), amounts.size(found.free_bytes)
    yield "size", f"{amounts.size(found.file_bytes)} on disk, {in_use} in use, {free} free"
    if found.pictures:
        yield "pictures", f"{found.pictures:,}, {amounts.size(found.picture_bytes)}"
    yield "oldest", _when(found.oldest, now)
    yield "newest", _when(found.newest, now)
    yield "messages", f"{found.messages:,}"
    yield "sessions", f"{found.sessions:,}, {found.sessions_open:,} open"
    yield "refusals", f"{found.refusals:,}"
    yield from _run(found.last_run, now)


def _when(milliseconds: int | None, now: datetime) -> str:
    if milliseconds is None:
        return "nothing yet"
    when = moment(milliseconds).astimezone()
    return f"{when:%Y-%m-%d %H:%M:%S}, {amounts.age((now - when).total_seconds())}"


def _run(run: Run | None, now: datetime) -> Iterable[tuple[str, str]]:
    if run is None:
        yield "gateway", "has not run yet"
        return
    yield "gateway", f"wsdev {printable(run.version)} started {_when(run.started, now)}"
    if run.ended is None:
        yield "", "it runs, or was killed"
    elif run.how == "stopped":
        yield "", f"stopped {_when(run.ended, now)}"
    else:
        yield "", f"killed or without power; last sign of life {_when(run.ended, now)}"


def _amounts_table(title: str, rows: Iterable[Amounts]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(title, no_wrap=True)
    for column in ("sessions", "open", "messages in", "messages out"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            printable(row.name),
            f"{row.sessions:,}",
            f"{row.open:,}",
            f"{row.messages_in:,} ({amounts.size(row.bytes_in)})",
            f"{row.messages_out:,} ({amounts.size(row.bytes_out)})",
        )
    return table


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
