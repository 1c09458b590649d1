"""What ``wsdev snapshot`` does: a picture into a new file, or through a pipe."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

from wsdev.commands import amounts
from wsdev.commands.log_lines import whole
from wsdev.commands.log_streams import quiet_end
from wsdev.commands.output_files import check_new, told_if_unwritable, whole_binary_file
from wsdev.console_client import ConsoleClient, Snapshot
from wsdev.errors import UsageError
from wsdev.sanitize import printable


def check(output: Path, *, replace: bool) -> Path | None:
    """Where the picture goes, None for standard output; before anybody is asked for one.

    Raises:
        UsageError: to a terminal, over a file that must not be replaced, or nowhere.
    """
    if str(output) == "-":
        if sys.stdout.isatty():
            raise _to_terminal()
        return None
    with told_if_unwritable(output):
        if output.is_char_device() and _is_terminal(output):
            raise _to_terminal()
        if not replace and (not output.exists() or stat.S_ISREG(output.stat().st_mode)):
            check_new(output)
    return output


def _is_terminal(path: Path) -> bool:
    try:
        number = os.open(path, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        return os.isatty(number)
    finally:
        os.close(number)


def _to_terminal() -> UsageError:
    return UsageError("a picture is nothing for a terminal", "name a file with -o, or use a pipe")


async def save(client: ConsoleClient, name: str, place: Path | None, *, replace: bool) -> None:
    """Write the newest picture, and say on standard error how large and how old it is.

    Args:
        place: None for standard output.

    Raises:
        DeviceOffline, NotThere: there is none now.
        UsageError: the file cannot be written, or is there already.
    """
    async with client:
        picture = await client.snapshot(name)
    if place is None:
        with quiet_end(exact=True) as out:
            out.buffer.write(picture.data)
            out.buffer.flush()
    else:
        with whole_binary_file(place, replace=replace) as out:
            out.write(picture.data)
    where = "" if place is None else f"{printable(str(place))}: "
    sys.stderr.write(f"{where}{_told(name, picture)}\n")


def _told(name: str, picture: Snapshot) -> str:
    taken = "" if picture.age is None else f", taken {_ago(picture.age)}"
    return f"{whole(name)}, {amounts.size(len(picture.data))}{taken}"


def _ago(seconds: float) -> str:
    return f"{amounts.duration(seconds)} ago"
