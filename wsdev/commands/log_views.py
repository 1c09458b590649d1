"""What ``wsdev logs`` prints."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Final, TextIO

from wsdev.commands.log_lines import whole
from wsdev.commands.log_streams import quiet_end, waiter
from wsdev.commands.row_writers import Look, row_of, row_writer
from wsdev.errors import JournalError, UsageError
from wsdev.journal_entries import Entry, document, json_line
from wsdev.journal_query import Wanted
from wsdev.journal_reader import JournalReader
from wsdev.sanitize import printable

_COUNT: Final = 50
_NAMES_SHOWN: Final = 5


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
    # While following, everything is from just now.
    look = Look(relative=view.relative, full=view.full, with_age=not view.follow)
    write_rows = row_writer(out, look)
    short = out.isatty() and not view.full
    explain = view.explain and out.isatty()

    def write(entries: list[Entry]) -> None:
        write_rows([row_of(entry, short=short, explain=explain) for entry in entries])

    return write
