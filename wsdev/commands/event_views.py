"""What ``wsdev watch`` prints: a line for each event, in the look of ``wsdev logs -f``."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, TextIO

from wsdev.commands.device_watching import tell_back, tell_gone
from wsdev.commands.log_lines import Line, whole
from wsdev.commands.log_streams import has_reader, quiet_end
from wsdev.commands.row_writers import Look, Row, row_of, row_writer
from wsdev.console_client import ConsoleClient
from wsdev.console_following import EVENT_KINDS, Back, Gone, Happening, Told, follow
from wsdev.errors import UsageError
from wsdev.journal_entries import entry_of, json_line
from wsdev.sanitize import printable

READER_INTERVAL: Final = 0.5
"""Seconds between two looks whether anybody still reads the lines."""


class Choice(NamedTuple):
    """Which events."""

    types: list[str]
    devices: list[str]


def read_choice(types: list[str] | None, devices: list[str] | None) -> Choice:
    """The choice that the options mean.

    Raises:
        UsageError: there is no such type.
    """
    wanted = [word.strip() for text in types or [] for word in text.split(",") if word.strip()]
    for word in wanted:
        if word not in EVENT_KINDS:
            raise UsageError(f"--type: {printable(word)} is none", f"use {', '.join(EVENT_KINDS)}")
    return Choice(wanted, list(devices or []))


async def watch(client: ConsoleClient, choice: Choice, *, as_json: bool) -> None:
    """Print what happens until Ctrl-C, or until nobody reads.

    Raises:
        WsdevError: the console cannot be asked at the start, or lets nobody in any more.
    """
    with quiet_end(exact=as_json) as out:
        write = _json_writer(out) if as_json else _line_writer(out)
        async with client:
            happenings = follow(client, choice.types, choice.devices)
            async with contextlib.aclosing(happenings):
                try:
                    await _print(happenings, write, out)
                except asyncio.CancelledError:
                    if out.isatty():
                        out.write("\n")  # the terminal has written ^C
                    raise


async def _print(
    happenings: AsyncGenerator[Happening], write: Callable[[Told], None], out: TextIO
) -> None:
    """Print each, and look now and then whether anybody reads."""
    coming: asyncio.Task[Happening] | None = None
    try:
        while has_reader(out):
            coming = coming or asyncio.ensure_future(anext(happenings))
            await asyncio.wait([coming], timeout=READER_INTERVAL)
            if coming.done():
                happening, coming = coming.result(), None
                _tell(happening, write)
    finally:
        if coming is not None:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)


def _tell(happening: Happening, write: Callable[[Told], None]) -> None:
    match happening:
        case Gone(error):
            tell_gone(error)
        case Back():
            tell_back()
        case _:
            write(happening)


def _json_writer(out: TextIO) -> Callable[[Told], None]:
    def write(told: Told) -> None:
        out.write(json_line({**told.data, "event": told.data.get("event", told.name)}) + "\n")
        out.flush()

    return write


def _line_writer(out: TextIO) -> Callable[[Told], None]:
    write_rows = row_writer(out, Look())
    short = out.isatty()
    return lambda told: write_rows([_row(told, short=short)])


def _row(told: Told, *, short: bool) -> Row:
    entry = entry_of(told.data)
    if entry is not None:
        return row_of(entry, short=short)
    now = datetime.now(UTC)
    if told.name == "reset":
        return Row(now, Line("gateway", "reset", "bold yellow", "it has another journal now"))
    who, name = _text(told.data, "device") or "?", whole(told.name)
    if told.name == "renamed":
        details = f"{_text(told.data, 'class')}  session {_text(told.data, 'session')}"
        return Row(now, Line(who, name, "blue", details))
    return Row(now, Line(who, name, "yellow", json_line(told.data)))


def _text(data: dict[str, Any], name: str) -> str:
    value = data.get(name)
    return whole(value) if isinstance(value, str) else ""
