"""What ``wsdev logs`` prints."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Final, TextIO

from rich.console import Console
from rich.text import Text

from wsdev.commands import amounts
from wsdev.commands.log_lines import Line, line_of, shown_to_client, whole
from wsdev.commands.log_streams import make_console, quiet_end, waiter
from wsdev.errors import JournalError, UsageError
from wsdev.journal_entries import Entry, document, json_line, moment
from wsdev.journal_query import Wanted
from wsdev.journal_reader import JournalReader
from wsdev.sanitize import printable

_COUNT: Final = 50
_ROOM_FOR_AGE: Final = 110
"""Columns of a terminal from which each line also shows how long ago it was."""

_NAMES_SHOWN: Final = 5
_AGE_WIDTH: Final = 10
_WHO_WIDTH: Final = (8, 24)
_WHAT_WIDTH: Final = 16
"""Of ``← connection_ack``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """How entries are shown.

    Attributes:
        explain: In a terminal, with what a refused client was told.
    """

    relative: bool
    full: bool
    as_json: bool
    follow: bool
    explain: bool


def parse_count(text: str | None, wanted: Wanted) -> int | None:
    """How many of the last entries are to be shown; None for all.

    Raises:
        UsageError: not a number of entries.
    """
    if text is None:
        bounds = (wanted.since, wanted.session, wanted.request_id)
        return _COUNT if bounds == (None, None, None) else None
    if text == "all":
        return None
    # What is above 18 digits is no number of SQLite's.
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise UsageError(f"--lines: {printable(text)!r} is no number", "for example 50, or all")
    return int(text)


def show(folder: Path, wanted: Wanted, count: int | None, view: View) -> None:
    """Print the last entries that are wanted, and go on with new ones if that is asked for.

    Raises:
        UsageError: options that contradict each other.
        JournalError, StateFolderError: as the reader gives it; JournalError ``not_found`` when
            nothing has the id that is wanted.
    """
    if view.follow and wanted.until is not None:
        raise UsageError("--follow goes on for ever, and --until ends", "leave one of them out")
    with JournalReader(folder) as reader, quiet_end(exact=view.as_json) as out:
        tell_unknown_devices(reader, wanted)
        last = reader.last_sequence()
        first = 1 if count is None else reader.start_of_last(wanted, count, last)
        write = _json_writer(out) if view.as_json else _line_writer(out, view)
        shown = 0
        for page in reader.entries(wanted, first, last):
            shown += len(page.entries)
            write(page.entries)
        if view.follow:
            for page in reader.follow(wanted, last, waiter(out)):
                write(page.entries)
        if not shown and count != 0:
            tell_nothing(wanted)


def tell_unknown_devices(reader: JournalReader, wanted: Wanted) -> None:
    """Say on standard error which of the wanted devices never had a session."""
    if not wanted.devices:
        return
    known = reader.devices()
    for name in sorted(wanted.devices.difference(known)):
        sys.stderr.write(f"wsdev: the journal has no device {whole(name)}\n")
        if known:
            alike = get_close_matches(name, known, _NAMES_SHOWN) or known[:_NAMES_SHOWN]
            more = ", …" if len(known) > len(alike) else ""
            sys.stderr.write(f"  try: {', '.join(map(whole, alike))}{more}\n")


def tell_nothing(wanted: Wanted) -> None:
    """Say that nothing fits.

    Raises:
        JournalError: ``not_found``: nothing has the id that is wanted.
    """
    named = wanted.request_id if wanted.session is None else wanted.session
    if named is not None:
        raise JournalError(
            f"nothing in the journal has the id {printable(named)}",
            "copy all of the request id or session id; name another journal with --state",
            code="not_found",
        )
    if sys.stderr.isatty():
        sys.stderr.write("nothing that fits is in the journal\n")


# Writers


Writer = Callable[[list[Entry]], None]


def _json_writer(out: TextIO) -> Writer:
    def write(entries: list[Entry]) -> None:
        if entries:
            out.write("".join(f"{json_line(document(entry))}\n" for entry in entries))
            out.flush()

    return write


def _line_writer(out: TextIO, view: View) -> Writer:
    console = make_console(out)
    return _terminal_writer(console, view) if out.isatty() else _plain_writer(console, view)


def _plain_writer(console: Console, view: View) -> Writer:
    """Whole lines for a pipe or a file, with a time that sorts and says its zone."""
    width = _WHO_WIDTH[0]

    def write(entries: list[Entry]) -> None:
        nonlocal width
        now = datetime.now(UTC)
        lines = [line_of(entry) for entry in entries]
        width = _width(lines, width)
        for entry, line in zip(entries, lines, strict=True):
            when = moment(entry.time)
            if view.relative:
                shown = f"{amounts.age((now - when).total_seconds()):<{_AGE_WIDTH}}"
            else:
                shown = when.astimezone().isoformat(timespec="milliseconds")
            if console.color_system is None:  # Rich takes ten times as long
                what = f"{line.what:<{_WHAT_WIDTH}}  {line.details}"
                console.file.write(f"{shown}  {line.who:<{width}}  {what}".rstrip() + "\n")
            else:
                console.print(_columns(f"{shown}  ", line, width), soft_wrap=True)
        if entries:
            console.file.flush()

    return write


def _columns(when: str, line: Line, width: int) -> Text:
    text = Text.assemble(
        (when, "dim"),
        f"{line.who:<{width}}  ",
        (f"{line.what:<{_WHAT_WIDTH}}  ", line.style),
        line.details,
    )
    text.rstrip()
    return text


def _terminal_writer(console: Console, view: View) -> Writer:
    """Coloured lines, each cut to the terminal unless all of it is wanted."""
    width, time_width = _WHO_WIDTH[0], 8

    def write(entries: list[Entry]) -> None:
        nonlocal width, time_width
        now = datetime.now().astimezone()
        lines = [line_of(entry, short=not view.full) for entry in entries]
        times = [moment(entry.time).astimezone() for entry in entries]
        ages = [amounts.age((now - when).total_seconds()) for when in times]
        width = _width(lines, width)
        shown = ages if view.relative else [amounts.moment(when, now) for when in times]
        time_width = max([time_width, *map(len, shown)])
        # While following, everything is from just now.
        with_age = not (view.relative or view.follow) and console.width >= _ROOM_FOR_AGE
        for entry, line, when, age in zip(entries, lines, shown, ages, strict=True):
            ago = f"{age:<{_AGE_WIDTH}}  " if with_age else ""
            text = _columns(f"{when:<{time_width}}  {ago}", line, width)
            if view.full:
                console.print(text, soft_wrap=True)  # the terminal folds it, and can be copied from
            else:
                console.print(text, no_wrap=True, overflow="ellipsis")
            for told in shown_to_client(entry) if view.explain else ():
                console.print(told, soft_wrap=True)

    return write


def _width(lines: list[Line], before: int) -> int:
    """Room for who it is: as they need it, within bounds, never less than it was."""
    return max([before, *(min(len(line.who), _WHO_WIDTH[1]) for line in lines)])
