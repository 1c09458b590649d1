"""What waits to be recorded, between the event loop that puts it in and the writer's thread.

The writer takes it in groups. Under load it waits for company, since each group costs a sync; but
no longer than it helps: until nothing more comes, or as much as came then the last time. Load is
what came both in some number and fast: any stream comes in numbers, if it is only waited for.
What nobody waits for, as that a device came, is kept for others of its kind or for a message: each
would have a sync of its own, and in a storm of devices that costs as much as to let them in.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Final

from wsdev.journal_group import Happening, Message

GROUP_ROWS: Final = 500
GROUP_SECONDS: Final = 0.02
_SLICES: Final = 10
_SLICE_SECONDS: Final = GROUP_SECONDS / _SLICES
_AT_FIRST: Final = 2  # of them: what answers the latest acks is on its way
_FEW_ROWS: Final = 16
"""A group after one as small as this is not waited for: a lone device gets its ack at once."""

_THIN_STREAM: Final = 2000.0
"""Rows a second. What comes slower is not waited for, however much of it a slow sync let gather:
the wait would make the next group as large, and that the next one, and each ack would be late."""

_IDLE_SECONDS: Final = 1.0

_LOOK_EVERY: Final = 8
"""Groups under load, of which one is waited for until nothing more comes. The others are whole with
as much as came then: devices that wait for their ack before they say more say no more than that."""

_NOT_AWAITED: Final = 1 << 62


class JournalQueue:
    """Things in the order in which they happened.

    Args:
        clock: Monotonic seconds.

    Attributes:
        is_closing: Nothing is waited for any more.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.is_closing = False
        self._clock = clock
        self._things: deque[Message | Happening] = deque()
        self._wake: SimpleQueue[None] = SimpleQueue()  # far cheaper than an Event
        self._awaited = _NOT_AWAITED
        self._unhurried = 0  # ever put in
        self._awaits_all = False
        self._expects_company = False
        self._taken_at = clock()
        self._enough = GROUP_ROWS
        self._until_look = _LOOK_EVERY

    def __len__(self) -> int:
        return len(self._things)

    # On the event loop

    def put(self, thing: Message | Happening) -> None:
        """Add what happened, and is waited for."""
        self._things.append(thing)
        if len(self._things) >= self._awaited:
            self._awaited = _NOT_AWAITED  # woken once: until it runs, much more may come
            self._wake.put(None)

    def put_unhurried(self, thing: Happening) -> None:
        """Add what happened, and may be written 20 ms later."""
        self._unhurried += 1
        self._things.append(thing)
        if self._awaits_all:
            self._awaits_all = False
            self._wake.put(None)

    def close(self) -> None:
        """Wait for nothing any more."""
        self.is_closing = True
        self._wake.put(None)

    # In the writer's thread

    def take(self, *, at_once: bool) -> list[Message | Happening]:
        """The next group; empty if there was nothing for a while.

        Args:
            at_once: If there is nothing, there is something else to do.
        """
        if self._expects_company:
            self._wait_for(self._enough, _AT_FIRST * _SLICE_SECONDS)  # the first need not wake us
        if not at_once:
            self._wait_for_the_first()
        if self._expects_company:
            self._wait_for_company()
        rows = min(len(self._things), GROUP_ROWS)
        before, self._taken_at = self._taken_at, self._clock()
        self._expects_company = rows > max(_FEW_ROWS, _THIN_STREAM * (self._taken_at - before))
        return [self._things.popleft() for _ in range(rows)]

    def _wait_for_the_first(self) -> None:
        # Before the look: so what is put in meanwhile counts as awaited, at worst.
        before = self._unhurried
        if self._things:
            return
        self._awaits_all = True
        self._wait_for(1, _IDLE_SECONDS)
        self._awaits_all = False
        if unhurried := self._unhurried - before:
            self._wait_for(unhurried + 1, GROUP_SECONDS)

    def _wait_for_company(self) -> None:
        enough = self._enough
        self._until_look -= 1
        if not self._until_look:
            self._until_look, enough = _LOOK_EVERY, GROUP_ROWS
        for _ in range(_SLICES - _AT_FIRST):
            size = len(self._things)
            if not 0 < size < enough or self.is_closing:
                self._enough = enough
                return
            self._wait_for(enough, _SLICE_SECONDS)
            if len(self._things) == size:
                self._enough = size
                return
        self._enough = GROUP_ROWS

    def _wait_for(self, rows: int, seconds: float) -> None:
        """Until so much is there, or the time is over."""
        # In this order: what comes after the look finds that it is awaited, and wakes us.
        self._awaited = rows
        if len(self._things) < rows and not self.is_closing:
            with contextlib.suppress(Empty):
                self._wake.get(timeout=seconds)
        self._awaited = _NOT_AWAITED
