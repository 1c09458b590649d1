"""The lines that a child process writes, as events to wait for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import IO

PATIENCE = 30.0
"""Seconds after which something has failed; a machine under load is slow, not wrong."""


class ChildLines:
    """The lines of a child's stream as they come, read by a thread so that no pipe fills up."""

    def __init__(self, stream: IO[str], name: str) -> None:
        self._stream = stream
        self._lines: list[str] = []
        self._news = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._read, name=name)
        self._thread.start()

    def _read(self) -> None:
        for line in self._stream:
            with self._news:
                self._lines.append(line.rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    def so_far(self) -> list[str]:
        with self._news:
            return self._lines[:]

    def wait_for(self, is_wanted: Callable[[str], bool]) -> str | None:
        """The first line that is wanted; None if it did not come."""
        seen = 0
        with self._news:
            while True:
                for line in self._lines[seen:]:
                    if is_wanted(line):
                        return line
                seen = len(self._lines)
                if self._ended or not self._news.wait(PATIENCE):
                    return None

    def close(self) -> None:
        """After the child's end."""
        self._thread.join()
        self._stream.close()
