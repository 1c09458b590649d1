"""What ``wsdev record`` does: finds the session, writes its recording, tells what is missing."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import FrameType
from typing import Any, Final, TextIO

from wsdev.commands import amounts
from wsdev.commands.log_lines import whole
from wsdev.commands.log_streams import quiet_end, waiter
from wsdev.commands.output_files import check_new, check_place, told_if_unwritable, whole_file
from wsdev.errors import JournalError, UsageError
from wsdev.journal_entries import moment
from wsdev.journal_query import Wanted
from wsdev.journal_reader import FoundSession, JournalReader, Page
from wsdev.protocol import clean_name
from wsdev.recorder import Recorder, Tally
from wsdev.recording_format import MAX_MESSAGE, SUFFIX, write_line
from wsdev.sanitize import printable

_NAMES_SHOWN: Final = 5

ENDERS: Final = {
    "device": "by the device",
    "gateway": "by the gateway",
    "path": "on the way",
    "lost": "lost with the gateway",
}


@dataclass(frozen=True, slots=True)
class Wish:
    """Which session is to be recorded.

    Attributes:
        name, session: The device's name and the session's id, of which one is there.
        since, until: Unix milliseconds; a part of it only.
        live: Go on with what comes.
        pictures: With those that were kept.
    """

    name: str | None
    session: str | None
    since: int | None
    until: int | None
    live: bool
    pictures: bool


class _Stopped(Exception):
    """Ctrl-C, or a wish to end."""


def record(folder: Path, wish: Wish, output: Path | None, *, replace: bool) -> None:
    """Write the recording of a session and say on standard error what it holds.

    Args:
        output: None for a name made of the device's and the session's start, ``-`` for standard
            output.
        replace: A file of that name may be replaced.

    Raises:
        UsageError: options that contradict each other, or a file that cannot be written.
        JournalError, StateFolderError: as the reader gives it; JournalError ``not_found`` for a
            device or a session that the journal has not.
    """
    _check(wish)
    if output is not None and str(output) != "-":
        _check_output(output, folder, replace)
    with JournalReader(folder) as reader, _stoppable(wish.live) as wait:
        try:
            found = _find(reader, wish, wait)
        except _Stopped:
            raise KeyboardInterrupt from None  # nothing is recorded yet
        if output is None:
            output = Path(_file_name(found))
            _check_output(output, folder, replace)
        if str(output) == "-":
            with quiet_end(exact=True) as out:
                tally = _write(reader, found, wish, out, wait)
        else:
            with whole_file(output, replace=replace) as out:
                tally = _write(reader, found, wish, out, wait)
    _tell(tally, output)


def _check(wish: Wish) -> None:
    if wish.name is None and wish.session is None:
        raise UsageError("whose session is to be recorded?", "wsdev record NAME, or --session ID")
    if wish.live and (wish.since, wish.until) != (None, None):
        raise UsageError(
            "--live takes the whole session, and --since and --until a part", "leave one out"
        )


def _check_output(output: Path, folder: Path, replace: bool) -> None:
    """Before any waiting: an hour of recording must not end in this."""
    check_place(output, folder)
    with told_if_unwritable(output):
        if not replace and not output.is_fifo() and not output.is_char_device():
            check_new(output)


def _file_name(found: FoundSession) -> str:
    started = moment(found.started).strftime("%Y%m%dT%H%M%SZ")
    return f"{clean_name(found.device) or 'device'}-{started}{SUFFIX}"


# The session


def _find(reader: JournalReader, wish: Wish, wait: Callable[[], None]) -> FoundSession:
    found = reader.last_session(wish.name, wish.session, since=wish.since, until=wish.until)
    if wish.live and wish.session is None and (found is None or found.last is not None):
        assert wish.name is not None
        return _await_session(reader, wish.name, wait)
    if found is None:
        raise _nothing_found(reader, wish)
    if wish.live and found.last is None:
        sys.stderr.write(
            f"{whole(found.device)} is here since {moment(found.started).astimezone():%H:%M:%S};"
            " recording until it leaves, or Ctrl-C\n"
        )
    return found


def _await_session(reader: JournalReader, name: str, wait: Callable[[], None]) -> FoundSession:
    """The next session of a device. It may have another name until it has said its own."""
    sys.stderr.write(f"waiting for {whole(name)}; Ctrl-C ends\n")
    wanted = Wanted(kinds=frozenset({"session", "message"}), devices=frozenset({name}))
    for page in reader.follow(wanted, reader.last_sequence(), wait):
        if page.entries:
            found = reader.last_session(name)
            if found is not None:
                return found
    raise AssertionError("following has no end")


def _nothing_found(reader: JournalReader, wish: Wish) -> JournalError:
    known = reader.devices()
    if wish.name is not None and wish.name not in known:
        cause = f"the journal has no device {whole(wish.name)}"
        alike = get_close_matches(wish.name, known, _NAMES_SHOWN) or known[:_NAMES_SHOWN]
        more = ", …" if len(known) > len(alike) else ""
        hint = f"it has {', '.join(map(whole, alike))}{more}" if known else "it has none so far"
    elif wish.session is not None:
        of = "" if wish.name is None else f" of {whole(wish.name)}"
        cause = f"the journal has no session {printable(wish.session)}{of}"
        hint = "copy all of its id: wsdev logs --kind session"
    else:
        cause = f"{whole(wish.name or '')} had no session in that time"
        hint = "look at wsdev logs --kind session"
    return JournalError(cause, f"{hint}; name another journal with --state", code="not_found")


# Writing


def _write(
    reader: JournalReader, found: FoundSession, wish: Wish, out: TextIO, wait: Callable[[], None]
) -> Tally:
    recorder = Recorder(
        _read_picture if wish.pictures else lambda _: None, since=wish.since, until=wish.until
    )
    with contextlib.suppress(_Stopped):
        for page in _pages(reader, found, wish, wait):
            for entry in page.entries:
                out.writelines(map(write_line, recorder.take(entry)))
            if wish.live:
                out.flush()
            if recorder.tally.end is not None:
                break
    out.writelines(map(write_line, recorder.stop()))
    return recorder.tally


def _pages(
    reader: JournalReader, found: FoundSession, wish: Wish, wait: Callable[[], None]
) -> Iterator[Page]:
    wanted = Wanted(session=found.session)
    if wish.live:
        return reader.follow(wanted, found.first - 1, wait)
    return reader.entries(wanted, found.first, found.last)


def _read_picture(path: str) -> bytes | None:
    """None if it was removed meanwhile, or is no picture of a size that there can be."""
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_MESSAGE + 1)
    except OSError:
        return None
    return data if len(data) <= MAX_MESSAGE else None


@contextlib.contextmanager
def _stoppable(live: bool) -> Iterator[Callable[[], None]]:
    """What waits for a moment; while it is live, Ctrl-C and SIGTERM end it between two lines."""
    asked = False
    rest = waiter(sys.stdout)

    def stop(number: int, _: FrameType | None) -> None:
        nonlocal asked
        asked = True
        signal.signal(number, before[number])  # the second one ends all

    def wait() -> None:
        if not asked:
            rest()
        if asked:
            raise _Stopped

    signals = (signal.SIGINT, signal.SIGTERM) if live else ()
    before: dict[int, Any] = {number: signal.signal(number, stop) for number in signals}
    try:
        yield wait
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# The summary


def _tell(tally: Tally, output: Path) -> None:
    name = printable(str(output))
    who = f"{whole(tally.device)} ({tally.device_class}), session {tally.session}"
    follow = amounts.counted(tally.implied, "ack or pong", "acks and pongs")
    lines = [
        f"{'written' if name == '-' else name}: {who}, {amounts.duration(tally.seconds)}",
        f"  {tally.from_device:,} from the device, {tally.to_device:,} to it, {follow} implied",
        f"  {_end_in_words(tally)}",
        *(f"  {text}" for text in _missing(tally)),
    ]
    if name != "-":
        lines.append(f"  replay it with: wsdev replay {name} --url HOST")
    sys.stderr.write("\n".join(lines) + "\n")


def _end_in_words(tally: Tally) -> str:
    end = tally.end
    if end is None or end.end == "open":
        return "ends before the session does"
    code = "" if end.code is None else f" {end.code}"
    reason = f": {printable(end.reason)}" if end.reason else ""
    return f"ended{code} {ENDERS[end.end]}{reason}"


def _missing(tally: Tally) -> Iterator[str]:
    """What a replay will not do as the device did."""
    if tally.cut:
        yield (
            f"missing: the rest of {amounts.counted(tally.cut, 'long message')}"
            " (serve --limit record_bytes=… keeps more)"
        )
    if tally.not_kept:
        binary = amounts.counted(tally.not_kept, "binary message")
        yield (
            f"missing: the bytes of {binary}; a replay makes some of that size"
            " (serve --record-pictures keeps pictures)"
        )
    if tally.left_out:
        yield f"left out: {amounts.counted(tally.left_out, 'message')} of another time"
    if tally.absent:
        absent = amounts.counted(tally.absent, "message")
        yield f"missing: {absent} of the device: sent again, or too old for the journal"
    if tally.has_stand_in:
        yield "made: a message for which the gateway closes as it did; the journal has not its own"
    end = tally.end
    if end is not None and end.end == "gateway" and not end.expected:
        yield "missing: why the gateway closed; a replay does not wait for that"
