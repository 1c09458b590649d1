"""Since when a device is away, and when it was last seen."""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from wsdev.errors import DeviceOffline, LocalError
from wsdev.hub import Change, Hub, Member
from wsdev.journal_entries import iso
from wsdev.journal_interface import CommandArchive, LastSeen
from wsdev.sanitize import printable

REMEMBERED: Final = 10_000
"""Absent devices in memory; of others the journal knows less exactly when they were last seen."""


class Absences:
    """Remembers who left a hub.

    Args:
        archive: Knows those that left longer ago.
        clock: Monotonic seconds, the same as the gateway's.
        wall_clock: Unix seconds.
    """

    def __init__(
        self,
        hub: Hub,
        archive: CommandArchive,
        *,
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
    ) -> None:
        self._archive = archive
        self._clock = clock
        self._wall_clock = wall_clock
        self._left: OrderedDict[str, LastSeen] = OrderedDict()
        hub.listen(self._changed)

    def recent(self, device: str) -> LastSeen | None:
        """Since when a device is away, if that is in memory."""
        return self._left.get(device)

    def last_seen(self, device: str) -> LastSeen | None:
        """Since when a device that is not connected is away; None if it was never here.

        None too if the journal cannot be read. That is looked at for one that left long ago, for a
        second where it is on a slow disk: not on the event loop.
        """
        known = self.recent(device)
        if known is None:
            with contextlib.suppress(LocalError):
                return self._archive.last_seen(device)
        return known

    def _changed(self, change: Change, member: Member) -> None:
        if change is not Change.JOINED:
            name = member.name if change is Change.LEFT else member.former_name
            if not name.endswith(member.session_id):  # else it was made up for the session
                self._remember(name, member)
        if change is not Change.LEFT:
            self._left.pop(member.name, None)

    def _remember(self, name: str, member: Member) -> None:
        now = self._wall_clock()
        silent = max(0.0, self._clock() - member.port.last_proof())
        self._left[name] = LastSeen(now, now - silent)
        self._left.move_to_end(name)
        if len(self._left) > REMEMBERED:
            self._left.popitem(last=False)


def offline(device: str, seen: LastSeen | None) -> DeviceOffline:
    """What to tell who wants something of a device that is not connected."""
    shown = printable(device)
    if seen is None:
        return DeviceOffline(
            f"{shown} is offline, and was never seen",
            "check the name; or let the command wait in the queue for its first connection",
            device=device,
        )
    since, last = (iso(round(moment) * 1000).replace(".000", "") for moment in seen)
    return DeviceOffline(
        f"{shown} is offline since {since}, last seen {last}",
        "let the command wait in the queue for the device's next connection",
        device=device,
        since=seen.since,
        last_seen=seen.last_seen,
    )
