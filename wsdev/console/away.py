"""Which devices are away: those that the journal knows, and those that left a moment ago."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from wsdev.device_history import MOST_DEVICES, RecordedLink, last_links
from wsdev.hub import Change, Hub, Member
from wsdev.journal_reader import JournalReader

KNOWN_FOR: Final = 2.0
"""Seconds for which what was read is good: pages ask every second."""

Aside = Callable[[Callable[[], list[RecordedLink]]], Awaitable[list[RecordedLink]]]
"""Does in a thread what reads files."""

_LEFT: Final = Change.LEFT  # to look it up each time takes a seventh of a microsecond


_Departure = tuple[str, str, str, str | None, float, float, str | None]
"""Of a device that leaves: session, class, address, token, Unix times of both ends, version. A link
is made of it when somebody asks."""


class Away:
    """The last link of each device that is not connected.

    The journal is read only now and then, and has an end only once it is on disk. So those that
    leave are remembered until it was read with the end of their link. There is one read at a time,
    whose result is for all who ask meanwhile: an older one must not replace a newer one.

    Args:
        folder: The journal's.
        clock: Monotonic seconds.
        wall_clock: Unix seconds.
    """

    def __init__(
        self,
        hub: Hub,
        folder: Path,
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
    ) -> None:
        self._hub = hub
        self._folder = folder
        self._clock = clock
        self._wall_clock = wall_clock
        self._recorded: dict[str, RecordedLink] = {}
        self._read_at: float | None = None
        self._reading: asyncio.Task[None] | None = None
        self._left: OrderedDict[str, _Departure] = OrderedDict()
        self._ends = [hub.listen(self._changed)]

    async def close(self) -> None:
        """Remember nothing any more, and wait for no read; a second time changes nothing."""
        for end in self._ends:
            end()
        self._ends.clear()
        self._left.clear()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])

    def latest(self, name: str, recorded: RecordedLink | None) -> RecordedLink | None:
        """The last link of a device: as it was just read, or as it is remembered."""
        departure = self._left.get(name)
        if departure is None:
            return recorded
        left = _link(name, departure)
        return recorded if _has_end(recorded, left) else left

    async def links(self, aside: Aside) -> list[RecordedLink]:
        """The last link of each, in no order.

        Raises:
            JournalError, StateFolderError: as the reader gives it.
        """
        is_due = self._read_at is None or self._clock() - self._read_at > KNOWN_FOR
        if is_due and self._reading is None:
            self._reading = asyncio.create_task(self._read_anew(aside))
            self._reading.add_done_callback(self._has_read)
        if (reading := self._reading) is not None:
            await asyncio.wait([reading])  # goes on for the others if this request is cancelled
            reading.result()
        # Until a device says its name, the journal has it under one that is made up.
        sessions = {member.session_id for member in self._hub}
        left = {name: _link(name, departure) for name, departure in self._left.items()}
        sessions.update(link.session for link in left.values())
        recorded = {
            name: link for name, link in self._recorded.items() if link.session not in sessions
        }
        return [link for link in (recorded | left).values() if self._hub.get(link.device) is None]

    async def _read_anew(self, aside: Aside) -> None:
        now = self._clock()
        self._recorded = {link.device: link for link in await aside(self._read)}
        self._read_at = now
        for name in list(self._left):
            if (link := self._recorded.get(name)) and self.latest(name, link) is link:
                del self._left[name]

    def _has_read(self, task: asyncio.Task[None]) -> None:
        self._reading = None
        if not task.cancelled():
            task.exception()  # nobody may be left who asked, to whom it would be told

    def _read(self) -> list[RecordedLink]:
        with JournalReader(self._folder) as reader:
            return last_links(reader)

    def _changed(self, change: Change, member: Member) -> None:
        left, name = self._left, member.name
        if change is not _LEFT:
            left.pop(name, None)
            return
        # The name is not there yet: it went when the device came with it.
        left[name] = (
            member.session_id,
            member.device_class,
            member.address,
            member.token,
            member.since,
            self._wall_clock(),
            member.version,
        )
        if len(left) > MOST_DEVICES:
            left.popitem(last=False)


def _link(device: str, departure: _Departure) -> RecordedLink:
    session, device_class, address, token, since, until, version = departure
    return RecordedLink(
        session=session,
        device=device,
        device_class=device_class,
        address=address,
        user_agent=None,
        token=token,
        started=int(since * 1000),
        ended=int(until * 1000),
        version=version,
    )


def _has_end(recorded: RecordedLink | None, left: RecordedLink) -> bool:
    """Whether the journal knows what is remembered of a link, or knows of a later one."""
    if recorded is None:
        return False
    if recorded.session == left.session:
        return recorded.ended is not None
    return recorded.started >= left.started
