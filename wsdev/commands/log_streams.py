"""Where the journal's commands write to: terminals, pipes, and readers that leave."""

from __future__ import annotations

import contextlib
import io
import os
import select
import sys
import time
from collections.abc import Callable, Iterator
from typing import Final, TextIO

from rich.console import Console

LOOK_INTERVAL: Final = 0.2
"""Seconds between two looks for something new."""


def make_console(out: TextIO) -> Console:
    """Colours for a terminal, or with FORCE_COLOR; no styles at all with NO_COLOR.

    https://no-color.org and https://force-color.org: each counts unless it is empty. What is cut
    to the width is another question, which ``out.isatty()`` answers.
    """
    return Console(
        file=out,
        color_system=None if os.environ.get("NO_COLOR") else "auto",
        highlight=False,
        markup=False,
        emoji=False,
    )


@contextlib.contextmanager
def quiet_end(*, exact: bool) -> Iterator[TextIO]:
    """Standard output, whose reader may leave at any time: then the command ends in silence.

    Args:
        exact: It is UTF-8 whatever the locale says; else what the locale lacks is escaped.
    """
    out = sys.stdout
    if isinstance(out, io.TextIOWrapper):
        if exact:
            out.reconfigure(encoding="utf-8")
        else:
            out.reconfigure(errors="backslashreplace")
    try:
        yield out
        out.flush()
    except BrokenPipeError:
        # Python would try again to write what is left when it exits.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())
        raise SystemExit(0) from None


def waiter(out: TextIO) -> Callable[[], None]:
    """What waits for a moment, and notices when nobody reads any more."""

    def wait() -> None:
        if not has_reader(out, LOOK_INTERVAL):
            raise BrokenPipeError

    return wait


def has_reader(out: TextIO, patience: float = 0.0) -> bool:
    """Whether somebody may still read what is written; says so after ``patience`` seconds."""
    try:
        number = out.fileno()
    except (OSError, ValueError):
        time.sleep(patience)
        return True
    poll = select.poll()
    poll.register(number, 0)  # errors are told in any case
    return not any(event & select.POLLERR for _, event in poll.poll(patience * 1000))
