"""Lines of what happened: coloured and cut to a terminal, or whole for a pipe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NamedTuple, TextIO

from rich.console import Console
from rich.text import Text

from wsdev.commands import amounts
from wsdev.commands.log_lines import Line, line_of, shown_to_client
from wsdev.commands.log_streams import make_console
from wsdev.journal_entries import Entry, moment

_ROOM_FOR_AGE: Final = 110
"""Columns of a terminal from which each line also shows how long ago it was."""

_AGE_WIDTH: Final = 10
_WHO_WIDTH: Final = (8, 24)
_WHAT_WIDTH: Final = 16
"""Of ``← connection_ack``."""


class Row(NamedTuple):
    """A line with its time, and what is told below it in a terminal."""

    when: datetime
    line: Line
    below: list[str] = []  # noqa: RUF012


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How lines look.

    Attributes:
        relative: How long ago, in the place of the time.
        full: Not cut to the terminal.
        with_age: In a wide terminal, how long ago beside the time.
    """

    relative: bool = False
    full: bool = False
    with_age: bool = False


Writer = Callable[[list[Row]], None]


def row_of(entry: Entry, *, short: bool = False, explain: bool = False) -> Row:
    """The row that tells of an entry.

    Args:
        short: As for :func:`line_of`.
        explain: With what a refused client was told.
    """
    below = shown_to_client(entry) if explain else []
    return Row(moment(entry.time), line_of(entry, short=short), below)


def row_writer(out: TextIO, look: Look) -> Writer:
    """What writes rows to ``out``, as it is a terminal or not."""
    console = make_console(out)
    return _terminal_writer(console, look) if out.isatty() else _plain_writer(console, look)


def _plain_writer(console: Console, look: Look) -> Writer:
    """Whole lines for a pipe or a file, with a time that sorts and says its zone."""
    width = _WHO_WIDTH[0]

    def write(rows: list[Row]) -> None:
        nonlocal width
        now = datetime.now(UTC)
        width = _width(rows, width)
        for when, line, _ in rows:
            if look.relative:
                shown = f"{amounts.age((now - when).total_seconds()):<{_AGE_WIDTH}}"
            else:
                shown = when.astimezone().isoformat(timespec="milliseconds")
            if console.color_system is None:  # Rich takes ten times as long
                what = f"{line.what:<{_WHAT_WIDTH}}  {line.details}"
                console.file.write(f"{shown}  {line.who:<{width}}  {what}".rstrip() + "\n")
            else:
                console.print(_columns(f"{shown}  ", line, width), soft_wrap=True)
        if rows:
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


def _terminal_writer(console: Console, look: Look) -> Writer:
    """Coloured lines, each cut to the terminal unless all of it is wanted."""
    width, time_width = _WHO_WIDTH[0], 8

    def write(rows: list[Row]) -> None:
        nonlocal width, time_width
        now = datetime.now().astimezone()
        times = [row.when.astimezone() for row in rows]
        ages = [amounts.age((now - when).total_seconds()) for when in times]
        width = _width(rows, width)
        shown = ages if look.relative else [amounts.moment(when, now) for when in times]
        time_width = max([time_width, *map(len, shown)])
        with_age = look.with_age and not look.relative and console.width >= _ROOM_FOR_AGE
        for row, when, age in zip(rows, shown, ages, strict=True):
            ago = f"{age:<{_AGE_WIDTH}}  " if with_age else ""
            text = _columns(f"{when:<{time_width}}  {ago}", row.line, width)
            if look.full:
                console.print(text, soft_wrap=True)  # the terminal folds it, and can be copied from
            else:
                console.print(text, no_wrap=True, overflow="ellipsis")
            for told in row.below:
                console.print(told, soft_wrap=True)

    return write


def _width(rows: list[Row], before: int) -> int:
    """Room for who it is: as they need it, within bounds, never less than it was."""
    return max([before, *(min(len(row.line.who), _WHO_WIDTH[1]) for row in rows)])
