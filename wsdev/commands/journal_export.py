"""``wsdev journal export``: the journal as JSON lines or CSV, into a stream or a whole file."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TextIO

from wsdev.commands.journal_views import make_progress
from wsdev.commands.log_streams import quiet_end
from wsdev.commands.log_views import tell_nothing, tell_unknown_devices
from wsdev.commands.output_files import check_place, whole_file
from wsdev.errors import UsageError
from wsdev.journal_entries import FIELDS, Entry, document, json_line
from wsdev.journal_query import Wanted
from wsdev.journal_reader import JournalReader
from wsdev.sanitize import printable

FORMATS: Final = ("jsonl", "csv")

_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")
"""What makes a spreadsheet take a cell for a formula (OWASP, "CSV Injection")."""

Write = Callable[[list[Entry]], None]


def export(folder: Path, wanted: Wanted, form: str, output: Path | None) -> None:
    """Write all entries that are wanted.

    Args:
        output: Has what it had before until the export is whole; None for standard output.

    Raises:
        UsageError: no such form, or a file that cannot be written.
        JournalError, StateFolderError: as the reader gives it; JournalError ``not_found`` when
            nothing has the id that is wanted.
    """
    if form not in FORMATS:
        raise UsageError(f"--format: {form!r} is none", f"use {' or '.join(FORMATS)}")
    if output is not None:
        check_place(output, folder)
    with JournalReader(folder) as reader:
        tell_unknown_devices(reader, wanted)
        if output is None or str(output) == "-":
            with quiet_end(exact=True) as out:
                _write_all(reader, wanted, form, out, alone=not out.isatty())
        else:
            with whole_file(output) as out:
                written = _write_all(reader, wanted, form, out, alone=True)
            entries = "1 entry" if written == 1 else f"{written:,} entries"
            sys.stderr.write(f"{entries} written to {printable(str(output))}\n")


def _write_all(
    reader: JournalReader, wanted: Wanted, form: str, out: TextIO, *, alone: bool
) -> int:
    """Write what is wanted, and give the number of entries."""
    write = _json_writer(out) if form == "jsonl" else _csv_writer(out)
    last = reader.last_sequence()
    written = 0
    with make_progress("exporting", shown=alone) as progress:
        task = progress.add_task("", total=None)
        first = None
        for page in reader.entries(wanted, last=last):
            write(page.entries)
            written += len(page.entries)
            if first is None:
                first = page.reached
            progress.update(task, completed=page.reached - first, total=max(1, last - first))
    if not written:
        tell_nothing(wanted)
    return written


def _json_writer(out: TextIO) -> Write:
    return lambda entries: out.writelines(f"{json_line(document(entry))}\n" for entry in entries)


def _csv_writer(out: TextIO) -> Write:
    # RFC 4180: quotes where they are needed, lines end with CR LF.
    writer = csv.writer(out)
    writer.writerow(FIELDS)
    # Spreadsheets read files; a terminal obeys what it is shown.
    shown = printable if out.isatty() else None

    def cell(value: Any) -> Any:
        if value is True or value is False:
            return str(value).lower()
        if type(value) is not str:
            return value
        if shown is not None:
            value = shown(value, max(1, len(value)))
        return f"'{value}" if value.startswith(_FORMULA_STARTS) else value

    def write(entries: list[Entry]) -> None:
        for entry in entries:
            fields = document(entry)
            writer.writerow([cell(fields.get(name)) for name in FIELDS])

    return write
