"""Log lines are written by a thread of their own: a log that nobody reads holds nobody up."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import deque
from collections.abc import Iterator
from typing import Final, TextIO

QUEUE_LINES: Final = 10_000
"""Lines that may wait for a slow reader, some 5 MB; more are counted and left out."""

GATHER_SECONDS: Final = 0.02
"""A line waits so long for others, which are then written with it: one write costs as one line."""

LAST_WORDS_SECONDS: Final = 1.0
"""For a reader to take what is left at the end."""


class LogWriter(logging.Handler):
    """Queues records, and lets a thread format and write them.

    Args:
        target: Whose format and stream are used.
    """

    def __init__(self, target: logging.StreamHandler[TextIO]) -> None:
        super().__init__()
        self._target = target
        self._queue: deque[logging.LogRecord | threading.Event] = deque()
        self._lost = 0
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a record; never waits."""
        if len(self._queue) >= QUEUE_LINES:
            self._lost += 1
            return
        self._queue.append(record)
        if not self._wake.is_set():
            self._wake.set()

    def flush(self) -> None:
        """Wait until all is written, but not for a reader that takes nothing."""
        if self._thread.is_alive():
            written = threading.Event()
            self._queue.append(written)
            self._wake.set()
            written.wait(LAST_WORDS_SECONDS)

    def close(self) -> None:
        """Write what is left and end."""
        self._closing.set()
        self._wake.set()
        self._thread.join(LAST_WORDS_SECONDS)
        super().close()

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._closing.wait(GATHER_SECONDS)
            self._wake.clear()
            closing = self._closing.is_set()
            self._write()
            if closing and not self._queue:
                return

    def _write(self) -> None:
        taken = [self._queue.popleft() for _ in range(len(self._queue))]
        lines = [self._target.format(one) for one in taken if isinstance(one, logging.LogRecord)]
        lost, self._lost = self._lost, 0
        if lost:
            lines.append(self._target.format(_lost_lines(lost)))
        # A reader that is gone is no reason to stop; there is nobody left to tell.
        with contextlib.suppress(OSError, ValueError):
            self._target.stream.write("".join(f"{line}\n" for line in lines))
            self._target.stream.flush()
        for one in taken:
            if isinstance(one, threading.Event):
                one.set()


def _lost_lines(count: int) -> logging.LogRecord:
    text = f"{count} lines were not written: the log is not read fast enough"
    return logging.LogRecord("wsdev", logging.WARNING, "", 0, text, None, None)


@contextlib.contextmanager
def written_aside(logger: logging.Logger) -> Iterator[None]:
    """Let a thread write what the logger's stream handler would, until the block ends."""
    before = logger.handlers[:]
    (target,) = before
    assert isinstance(target, logging.StreamHandler)
    writer = LogWriter(target)
    logger.handlers[:] = [writer]
    try:
        yield
    finally:
        writer.close()
        logger.handlers[:] = before
