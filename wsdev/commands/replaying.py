"""What ``wsdev replay`` prints, and how its options become a replay."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec
from rich.console import Console
from rich.text import Text

from wsdev.commands import amounts
from wsdev.commands.journal_views import make_progress
from wsdev.commands.log_lines import whole
from wsdev.commands.log_streams import make_console
from wsdev.commands.option_values import standard_input
from wsdev.commands.visiting import error_document
from wsdev.errors import AnswersDiffer, ExitCode, RecordingError, UsageError, WsdevError
from wsdev.journal_entries import json_line
from wsdev.protocol import clean_name
from wsdev.recording_format import Header, Numbered, Outline, outline, read_lines
from wsdev.replay_check import Difference
from wsdev.replayer import Manner, Played, replay
from wsdev.sanitize import printable
from wsdev.target import Target

_SHOWN: Final = 50
"""Differences that are printed; --json has all."""

_KIND_WIDTH: Final = 16
_TEXT_SHOWN: Final = 100


def make_manner(speed: str, name: str | None, *, fresh_ids: bool) -> Manner:
    """How to play, as the options say.

    Raises:
        UsageError: no speed, or a name of which nothing is left.
    """
    if name is not None and not clean_name(name):
        raise UsageError(f"--name: {name!r} is no device name", "use letters, digits, . _ and -")
    if speed.strip().lower() == "max":
        return Manner(None, name, fresh_ids)
    try:
        factor = float(speed)
    except ValueError:
        factor = math.nan
    if not 0 < factor < math.inf:
        raise UsageError(f"--speed: {speed!r} is no factor", "for example 10, 0.5 or max")
    return Manner(factor, name, fresh_ids)


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording that has been looked through.

    Attributes:
        name: What the file is called, printable.
    """

    name: str
    stream: BinaryIO
    about: Outline

    def lines(self) -> Iterator[Numbered]:
        """Its lines, from the first."""
        self.stream.seek(0)
        return read_lines(self.stream, self.name)


@contextlib.contextmanager
def open_recording(path: Path) -> Iterator[Recording]:
    """A recording, read once to its end: it must not turn out damaged when half of it is played.

    Args:
        path: A file; ``-`` is standard input.

    Raises:
        RecordingError: it cannot be read, or is none.
        UsageError: standard input is closed.
    """
    is_piped = str(path) == "-"
    name = "standard input" if is_piped else printable(str(path))
    try:
        stream = _kept(standard_input()) if is_piped else open(path, "rb")  # noqa: SIM115
    except OSError as exc:
        missing = isinstance(exc, FileNotFoundError)
        raise RecordingError(
            f"cannot read {name}: {exc.strerror or type(exc).__name__}",
            "make one with: wsdev record NAME" if missing else "check path and rights",
            code="missing" if missing else "unreadable",
        ) from None
    with stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise RecordingError(
                f"{name} is no regular file",
                "write the recording to one, or pipe it into: wsdev replay -",
                code="unreadable",
            )
        yield Recording(name, stream, outline(read_lines(stream, name)))


def _kept(pipe: BinaryIO) -> BinaryIO:
    """All that a pipe gives, in a file without a name: a recording is read twice."""
    file = tempfile.TemporaryFile()  # noqa: SIM115
    shutil.copyfileobj(pipe, file)
    file.seek(0)
    return file


def run(
    recording: Recording, target: Target, manner: Manner, *, as_json: bool, quiet: bool
) -> None:
    """Replay, and print what was otherwise.

    Raises:
        AnswersDiffer: something was.
        PathError, PeerError, RecordingError: as the replay gives it.
    """
    if manner.name is not None and not recording.about.greets:
        raise UsageError("--name: this recording's device never says its name", "leave --name out")
    console = make_console(sys.stdout)
    console.quiet = quiet or as_json
    where = target.address.websocket_url(target.device_class.name)
    _print_head(console, recording, target, manner, where)
    found = Played()
    error: WsdevError | None = None
    try:
        asyncio.run(_play(recording, target, manner, found, shown=not console.quiet))
    except WsdevError as broken:
        error = broken
    if error is None and found.differences:
        error = _verdict(found)
    if as_json:
        _print_json(recording, target, found, where, error)
        if error is not None:
            raise SystemExit(error.exit_code)
        return
    console.quiet = quiet and error is None
    _print_result(console, recording.about, found)
    if error is not None:
        raise error


async def _play(
    recording: Recording, target: Target, manner: Manner, found: Played, *, shown: bool
) -> None:
    about = recording.about
    with make_progress("replaying", shown=shown) as progress:
        task = progress.add_task("", total=max(about.end.t, 0.001))

        def lines() -> Iterator[Numbered]:
            for line in recording.lines():
                if not isinstance(line.meaning, Header):
                    progress.update(task, completed=line.meaning.t)
                yield line

        await replay(target, about, lines(), manner, found)


def _verdict(found: Played) -> AnswersDiffer:
    count = amounts.counted(len(found.differences), "difference")
    return AnswersDiffer(
        f"{count} between what was recorded and what the gateway answers",
        "if the new answers are right, edit those lines of the recording, or record it anew",
    )


# Text


def _print_head(
    console: Console, recording: Recording, target: Target, manner: Manner, where: str
) -> None:
    about = recording.about
    header = about.header
    by = f" by wsdev {printable(header.wsdev)}" if header.wsdev else ""
    console.print(
        Text(f"{recording.name}: {whole(header.device)} ({header.device_class})", style="bold"),
        soft_wrap=True,
    )
    speed = "as fast as it goes"
    if manner.speed is not None:
        speed = "at its own speed" if manner.speed == 1 else f"{manner.speed:g} times as fast"
    ids = ", with fresh ids" if manner.fresh_ids else ""
    messages = amounts.counted(about.sent + about.cut, "message")
    answers = amounts.counted(_answers(about), "answer")
    took = amounts.duration(about.end.t)
    for text in [
        f"recorded  {printable(header.started) or 'by hand'}{by}: {messages}, {answers}, {took}",
        f"replayed  to {where} as {target.name}, {speed}{ids}",
        *_cautions(about),
    ]:
        console.print(f"  {text}", soft_wrap=True)


def _answers(about: Outline) -> int:
    """What the gateway has to say; an end that it has to make is an answer too."""
    return about.answers + about.end.is_asked_for


def _cautions(about: Outline) -> Iterator[str]:
    if about.made:
        made = amounts.counted(about.made, "binary message")
        yield f"made      {made} that it has not, of the same size"
    if about.cut:
        yield f"left out  {amounts.counted(about.cut, 'message')} that it has only the beginning of"


def _print_result(console: Console, about: Outline, found: Played) -> None:
    for number, difference in enumerate(found.differences):
        if number == _SHOWN:
            console.print(f"  … and {len(found.differences) - _SHOWN:,} more; --json has all")
            break
        _print_difference(console, difference)
    if not found.sent and not found.is_over:
        return  # it did not get in
    commands = ""
    if found.commands:
        commands = f"; {amounts.counted(found.commands, 'command')} of an operator came"
    console.print(
        f"{found.sent:,} of {about.sent:,} sent, {_matched(about, found):,} of {_answers(about):,}"
        f" answers as recorded, in {amounts.duration(found.seconds)}{commands}",
        soft_wrap=True,
    )


def _print_difference(console: Console, difference: Difference) -> None:
    """What was recorded and what was seen; of two that are alike only what they differ in."""
    place = "not in it" if difference.line is None else f"line {difference.line}"
    kind = f"{printable(difference.kind, _KIND_WIDTH):<{_KIND_WIDTH}}"
    recorded, seen = difference.recorded, difference.seen
    for sign, style, facts, other in (("-", "red", recorded, seen), ("+", "green", seen, recorded)):
        if facts is not None:
            words = "  ".join(
                f"{name}={printable(json_line(value), _TEXT_SHOWN)}"
                for name, value in facts.items()
                if other is None or name not in other or other[name] != value
            )
            line = f"  {place:<10}{sign} {kind}{words}".rstrip()
            console.print(Text(line, style=style), soft_wrap=True)
            place = ""


def _matched(about: Outline, found: Played) -> int:
    """Answers as recorded; an end that the gateway has to make is one."""
    has_ended = about.end.is_asked_for and found.is_over
    return found.matched + (
        has_ended and not any(difference.kind == "end" for difference in found.differences)
    )


# JSON


def _print_json(
    recording: Recording, target: Target, found: Played, where: str, error: WsdevError | None
) -> None:
    about = recording.about
    header = about.header
    document: dict[str, Any] = {
        "ok": error is None,
        "exit_code": int(ExitCode.OK if error is None else error.exit_code),
        "file": recording.name,
        "url": where,
        "device": target.name,
        "recorded": {
            "device": header.device,
            "class": header.device_class,
            "session": header.session or None,
            "started": header.started or None,
            "seconds": about.end.t,
            "messages": about.sent + about.cut,
            "answers": _answers(about),
        },
        "sent": found.sent,
        "made": found.made,
        "left_out": about.cut,
        "matched": _matched(about, found),
        "commands": found.commands,
        "seconds": round(found.seconds, 3),
        "differences": [one._asdict() for one in found.differences],
    }
    if error is not None:
        document["error"] = error_document(error)
    sys.stdout.write(msgspec.json.encode(document).decode() + "\n")
