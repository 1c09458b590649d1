"""What ``wsdev send`` does: reads a command, sends it, waits, and says what became of it."""

from __future__ import annotations

import asyncio
import json
import math
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import typer
from rich.text import Text

from wsdev.command_records import MAX_QUEUE_TIME, MAX_TIMEOUT
from wsdev.commands import amounts
from wsdev.commands.log_lines import whole
from wsdev.commands.log_streams import make_console, quiet_end
from wsdev.commands.option_values import seconds, standard_input
from wsdev.console_answers import Answer, SentCommand
from wsdev.console_client import ConsoleClient
from wsdev.errors import (
    CommandExpired,
    CommandFailed,
    CommandIgnored,
    CommandLost,
    CommandTimedOut,
    DeviceOffline,
    NotAllowed,
    NotThere,
    PathError,
    ProtocolViolation,
    TokenRefused,
    UsageError,
    WsdevError,
)
from wsdev.journal_entries import json_line
from wsdev.sanitize import printable

FIRST_LOOK: Final = 0.02
LONGEST_LOOK: Final = 0.5
"""Seconds between two looks at a command, from the first on; a device answers in milliseconds."""

GIVEN_UP_AFTER: Final = 30.0
"""Seconds for which a console may be away while a command is waited for: a restart takes 10."""

MOST_OF_COMMAND: Final = 64 * 1024
"""Characters; a console takes no larger body."""

_AROUND: Final = 30
"""Characters shown on either side of an error in JSON."""

_EXAMPLE: Final = """for example '{"type":"servo","command":{"servo1":90}}', in single quotes"""


class Wish(NamedTuple):
    """A command, and how long it may take, in seconds."""

    name: str
    command: dict[str, Any]
    answer_in: float
    queue_for: float | None
    waits: bool


def read_wish(
    name: str,
    text: str,
    *,
    timeout: str,
    queue: str | None,
    token_file: Path | None,
    no_wait: bool,
) -> Wish:
    """The wish that the arguments mean.

    Raises:
        UsageError: they cannot be meant.
    """
    if not name:
        raise UsageError("the device has no name", "wsdev devices lists them")
    if text == "-":
        if token_file is not None and str(token_file) == "-":
            raise UsageError("stdin is given twice", "put the token into a file")
        data = standard_input().read(MOST_OF_COMMAND + 1)
        text = data.decode("utf-8", "replace").strip()
    return Wish(
        name,
        read_command(text),
        seconds("--timeout", timeout, most=MAX_TIMEOUT),
        None if queue is None else seconds("--queue", queue, most=MAX_QUEUE_TIME),
        not no_wait,
    )


def read_command(text: str) -> dict[str, Any]:
    """The command in ``text``.

    Raises:
        UsageError: no JSON, with the place where it breaks; no object; or what would not arrive
            as it was written.
    """
    if len(text) > MOST_OF_COMMAND:
        raise UsageError("the command is too long", f"at most {MOST_OF_COMMAND:,} characters")
    try:
        command = json.loads(
            text, parse_constant=_no_number, parse_float=_finite, object_pairs_hook=_once
        )
    except json.JSONDecodeError as error:
        raise UsageError(
            f"the command is not JSON: {error.msg[0].lower()}{error.msg[1:]}"
            f" at line {error.lineno} column {error.colno}: {_place(text, error.pos)}",
            _EXAMPLE,
        ) from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"the command is not JSON: {error}", _EXAMPLE) from None
    if not isinstance(command, dict):
        raise UsageError("the command is JSON, but not an object", _EXAMPLE)
    return command


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no number of JSON's")


def _finite(word: str) -> float:
    """Python makes infinity of what is too large, which no JSON can hold."""
    number = float(word)
    if math.isinf(number):
        raise UsageError(
            f"the command's number {printable(word, _AROUND)} is out of range",
            "the largest is 1.79e308",
        )
    return number


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Python takes the last of two members of one name; a device may take the first."""
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name in members:
            raise UsageError(
                f"the command has two members of one name: {printable(name, _AROUND)}",
                "leave one of them out",
            )
        members[name] = value
    return members


def _place(text: str, position: int) -> str:
    before, after = text[:position], text[position:]
    cut = "…" if len(before) > _AROUND else ""
    more = "…" if len(after) > _AROUND else ""
    return printable(f"{cut}{before[-_AROUND:]} >>> {after[:_AROUND]}{more}".strip())


# Sending


class _Sending:
    """One command on its way.

    Attributes:
        asked: The console may have the command, though it has not said so.
        last: What is known of the command, once the console has said that it has it.
    """

    def __init__(self, client: ConsoleClient, wish: Wish) -> None:
        self.asked = False
        self.last: Answer[SentCommand] | None = None
        self._client = client
        self._wish = wish

    async def run(self) -> Answer[SentCommand]:
        wish = self._wish
        async with self._client as client:
            self.asked = True
            try:
                self.last = await client.send(
                    wish.name, wish.command, answer_in=wish.answer_in, queue_for=wish.queue_for
                )
            except DeviceOffline as error:
                error.hint += ": --queue 1h"
                raise
            if wish.waits:
                self._tell_queued(self.last.value)
                await self._wait(self.last.value.id)
        return self.last

    async def _wait(self, command_id: str) -> None:
        """Ask until it is over; a restart of the console meanwhile is waited for."""
        loop = asyncio.get_running_loop()
        wait, gone_since = FIRST_LOOK, None
        while self.last is None or not self.last.value.is_over:
            await asyncio.sleep(wait)
            wait = min(wait * 1.5, LONGEST_LOOK)
            try:
                self.last = await self._client.command(command_id)
                gone_since = None
            except (PathError, NotAllowed) as error:
                if gone_since is None:
                    gone_since = loop.time()
                    _say(f"the console is gone: {error.cause}; waiting for it")
                elif loop.time() - gone_since > GIVEN_UP_AFTER:
                    raise self.left(error.cause, type(error)) from None
            except NotThere:  # as after a kill, which leaves no word of it in the journal
                raise CommandLost(
                    f"the console knows the command {whole(command_id)} no more", _MAYBE
                ) from None
            except TokenRefused as error:
                raise self.left(error.cause, TokenRefused, error.hint) from None
            except WsdevError as error:
                raise self.left(error.cause, type(error)) from None

    def left(self, cause: str, kind: Callable[..., WsdevError], hint: str = "") -> WsdevError:
        """That it is waited for no more; the hint is where to ask for it, unless there is one."""
        assert self.last is not None
        path = f"/api/commands/{whole(self.last.value.id)}"
        return kind(
            f"{cause}; the command {whole(self.last.value.id)} goes on without us",
            hint or f"ask for it at {self._client.address.http_url(path)}",
        )

    @staticmethod
    def _tell_queued(command: SentCommand) -> None:
        if command.state == "queued" and command.queue_until is not None:
            until = datetime.fromtimestamp(command.queue_until).astimezone()
            shown = amounts.moment(until, datetime.now().astimezone())
            _say(
                f"{whole(command.device)} is away or busy: {whole(command.id)} is queued until"
                f" {shown}; Ctrl-C leaves it there"
            )


def run(client: ConsoleClient, wish: Wish, *, as_json: bool) -> None:
    """Send the command and print what became of it.

    Raises:
        WsdevError: it was not sent, or not acknowledged; each end has a kind of its own.
        typer.Exit: the same with ``as_json``, where the document says it.
    """
    sending = _Sending(client, wish)
    try:
        command, document = asyncio.run(sending.run())
    except KeyboardInterrupt:
        if sending.last is not None:
            _say_stopped(sending.left("stopped waiting", UsageError))
        elif sending.asked:
            cause = "stopped before the console answered; the command may have been sent"
            _say_stopped(UsageError(cause, _LOOK_FIRST))
        raise
    bad_end = end_of(command) if command.is_over else None
    with quiet_end(exact=as_json) as out:
        if as_json:
            out.write(json_line(document) + "\n")
        elif not wish.waits:
            out.write(f"{whole(command.id)}\n")
        else:
            make_console(out).print(line_of(command), soft_wrap=True)
    if bad_end is not None and wish.waits:
        if as_json:
            raise typer.Exit(bad_end.exit_code)
        raise bad_end


def _say_stopped(error: WsdevError) -> None:
    if sys.stderr.isatty():
        sys.stderr.write("\n")  # the terminal has written ^C
    _say(f"{error.cause}\n  try: {error.hint}")


def line_of(command: SentCommand) -> Text:
    """What became of a command, as one line."""
    style = "green" if command.state == "acknowledged" else "red"
    sent, ended = command.sent, command.ended
    parts = [
        f"{whole(command.type)} {whole(command.id)}",
        f"after {amounts.duration(ended - (sent or command.asked))}" if ended else "",
        "" if command.detail is None else json_line(command.detail),
    ]
    details = "  ".join(part for part in parts if part)
    return Text.assemble(
        f"{whole(command.device)}  ", (whole(command.state), style), f"  {details}"
    )


_LOOK_FIRST: Final = "look at the device before you send it again"
_MAYBE: Final = f"it may have been carried out: {_LOOK_FIRST}"


def end_of(command: SentCommand) -> WsdevError | None:
    """The error that a command's last state is; None for ``acknowledged``."""
    device, reason = whole(command.device), whole(command.reason or "")
    told = f": {reason}" if reason else ""
    match command.state:
        case "acknowledged":
            return None
        case "failed":
            return CommandFailed(
                f"{device} says that the command failed{told}", "its log or its answer says why"
            )
        case "ignored":
            return CommandIgnored(
                f"{device} ignored the command{told}",
                "its firmware does not know it, or has no use for it now",
            )
        case "expired" if command.sent is not None:
            return CommandTimedOut(f"{device} did not answer in time{told}", _MAYBE)
        case "expired" | "cancelled":
            return CommandExpired(
                f"the command was given up and never sent{told}", "see wsdev devices; send it again"
            )
        case "lost":
            return CommandLost(f"the connection ended before {device} answered{told}", _MAYBE)
    return ProtocolViolation(
        f"the console says {whole(command.state)}, which this wsdev does not know",
        "update wsdev here",
    )


def _say(text: str) -> None:
    sys.stderr.write(f"wsdev: {text}\n")
    sys.stderr.flush()
