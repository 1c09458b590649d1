"""How long the journal keeps what it has: old rows go in small steps, beside the load."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from wsdev.journal_file import JournalFile
from wsdev.picture_store import PictureStore

STEP: Final = 0.005
"""Seconds that a step should take: an ack waits no longer for it."""

STEADY: Final = 600.0
"""Seconds without a jump of the wall clock before anything goes by its age: a clock that is wrong
for a moment must not take a month with it."""

_JUMP: Final = 60.0
_LOOK_INTERVAL: Final = 1.0
_FIRST_ROWS: Final = 16
_MOST_ROWS: Final = 512
"""As many as come in a group, so that deleting keeps up."""

_LONG_WAL: Final = 64 * 1024 * 1024
"""Four times what SQLite leaves it: somebody reads and does not end."""

_ENOUGH: Final = 0.95
"""Once over its size, the journal shrinks to this part of it, so that it need not at each row."""

_PAGES_AT_ONCE: Final = 64
_MAY_BE_FREE: Final = 0.1
"""The part of the file that may be free pages: those are used again."""


class Retention:
    """Bounds on the age and the size of a journal and its pictures.

    Args:
        keep: Seconds; 0 for ever.
        most: Bytes; 0 for any size.
        clock: Monotonic seconds, to time the steps.
        steady: Seconds without a jump of the wall clock before anything goes by its age.
    """

    def __init__(
        self,
        file: JournalFile,
        pictures: PictureStore,
        *,
        keep: float,
        most: int,
        clock: Callable[[], float],
        steady: float = STEADY,
    ) -> None:
        self._file = file
        self._pictures = pictures
        self._keep = keep
        self._most = most
        self._clock = clock
        self._look_at = clock()
        self._steady = steady
        self._clock_offset = 0.0
        self._steady_since = 0.0
        self._rows = _FIRST_ROWS
        self._shrinking = False
        self._before: int | None = None

    def step(self, when: int) -> bool:
        """Do a little of what is due at ``when`` (Unix ms); whether there is more to do.

        Raises:
            JournalError, StateFolderError: as the file gives it.
            OSError: a picture cannot be deleted.
        """
        self._pictures.tidy()
        started = self._clock()
        if self._before is None:
            if started < self._look_at:
                return False
            self._look_at = started + _LOOK_INTERVAL
            self._file.space.check_wal(_LONG_WAL)
            self._before = self._due(when, self._is_steady(started, when))
        if self._before is None:
            return self._give_back()
        with self._file.writing():
            gone, pictures = self._file.space.drop_before(self._before, self._rows)
        for name in pictures:
            self._pictures.delete(name)
        if gone < self._rows:
            self._before = None
            self._look_at = started  # there may be more of it
        took = self._clock() - started
        if took > STEP:
            self._rows = max(1, self._rows // 2)
        elif took < STEP / 2:
            self._rows = min(_MOST_ROWS, self._rows * 2)
        return True

    def _is_steady(self, now: float, when: int) -> bool:
        """Whether the wall clock has gone as the monotonic one for a while."""
        offset = when / 1000 - now
        if abs(offset - self._clock_offset) > _JUMP:
            self._clock_offset = offset
            self._steady_since = now
        return now - self._steady_since >= self._steady

    def _due(self, when: int, steady: bool) -> int | None:
        """The sequence number before which all has to go now."""
        oldest = self._file.space.oldest_block(when)
        if oldest is None:
            return None
        end, latest = oldest
        if self._keep and steady and latest is not None and latest < when - self._keep * 1000:
            # The last number stays in any case: those of the next run go on from it.
            return self._file.last_sequence() if end is None else end
        if self._most and end is not None:
            used = self._file.space.used_bytes() + self._pictures.bytes
            self._shrinking = used > self._most * (_ENOUGH if self._shrinking else 1)
            if self._shrinking:
                return end
        return None

    def _give_back(self) -> bool:
        free, pages = self._file.space.free_pages()
        if free <= max(_PAGES_AT_ONCE, pages * _MAY_BE_FREE):
            return False
        self._file.space.give_back(_PAGES_AT_ONCE)
        self._look_at = self._clock()
        return True
