"""Refusals and broken links, counted by address and cause, in bounded memory.

A gateway on the open internet is knocked at by thousands of addresses, with any text for a path
and a user agent. What is kept of each group is bounded, and so are the groups.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from wsdev.codes import Explanation, explain
from wsdev.journal_entries import Entry, RefusalEntry, SessionEntry, cause

MOST_GROUPS: Final = 5000
"""Groups that are counted at a time; with the texts below at most some 50 MB."""

MOST_NAMES: Final = 8
"""Different texts of one sort that are told apart in a group."""

MOST_TEXT: Final = 200
"""Characters of a text that are kept."""

_DEVICE_PATH: Final = re.compile(r"/ws/([^/?]+)/?(?:\?.*)?", re.DOTALL)


class Tally:
    """How often each text came; after the first few, others are only counted.

    Attributes:
        counts: By text, None for nothing said.
        others: How often any other text came.
    """

    __slots__ = ("counts", "others")

    def __init__(self) -> None:
        self.counts: dict[str | None, int] = {}
        self.others = 0

    def take(self, text: str | None, count: int = 1) -> None:
        """Count so many."""
        if text is not None:
            text = text[:MOST_TEXT]
        counts = self.counts
        if text in counts:
            counts[text] += count
        elif len(counts) < MOST_NAMES:
            counts[text] = count
        else:
            self.others += count

    def ranked(self) -> list[tuple[str | None, int]]:
        """The texts and how often they came, the commonest first."""
        return sorted(self.counts.items(), key=lambda pair: -pair[1])

    @property
    def commonest(self) -> str | None:
        """The text that came most often, which can be None; None if nothing came."""
        return self.ranked()[0][0] if self.counts else None


_NOTHING: Final = Tally()


class Group:
    """What happened to one address for one cause.

    Attributes:
        code: Of a refusal or a break, or the word of a close code.
        first, last: Unix milliseconds.
        paths: That were asked for, by refusals.
        devices: Names, of links that broke.
        vias: Proxies.
        tails: Of tokens that were refused.
        shortest, longest: Seconds for which links lasted.
    """

    __slots__ = (
        "_classes", "address", "code", "count", "devices", "first", "last", "longest", "paths",
        "shortest", "tails", "user_agents", "vias",
    )  # fmt: skip

    def __init__(self, address: str, code: str, first: int) -> None:
        self.address = address
        self.code = code
        self.count = 0
        self.first = self.last = first
        self.shortest: float | None = None
        self.longest: float | None = None
        self.user_agents = Tally()
        # One for all that have none: most groups come once and go.
        self.paths = self.devices = self.vias = self.tails = self._classes = _NOTHING

    @property
    def meaning(self) -> Explanation | None:
        """What the code means; None for one of a later version."""
        return explain(self.code)

    @property
    def classes(self) -> Tally:
        """Classes of devices: of links that broke, or in the paths."""
        if self._classes is not _NOTHING:
            return self._classes
        found = Tally()
        for path, count in self.paths.ranked():
            if named := _DEVICE_PATH.fullmatch(path or ""):
                found.take(named[1], count)
        return found

    def take_refusal(self, entry: RefusalEntry) -> None:
        """Count one, which came after those before."""
        self._take(entry.time, entry.user_agent, entry.via)
        if entry.path is not None:
            if self.paths is _NOTHING:
                self.paths = Tally()
            self.paths.take(entry.path)
        if entry.token_tail is not None:
            if self.tails is _NOTHING:
                self.tails = Tally()
            self.tails.take(entry.token_tail)

    def take_end(self, entry: SessionEntry) -> None:
        """Count the end of a link, which came after those before."""
        self._take(entry.time, entry.user_agent, entry.via)
        if self.devices is _NOTHING:
            self.devices, self._classes = Tally(), Tally()
        self.devices.take(entry.device)
        self._classes.take(entry.device_class)
        if (seconds := entry.seconds) is not None:
            self.shortest = seconds if self.shortest is None else min(seconds, self.shortest)
            self.longest = seconds if self.longest is None else max(seconds, self.longest)

    def _take(self, time: int, user_agent: str | None, via: str | None) -> None:
        self.count += 1
        self.last = time
        self.user_agents.take(user_agent)
        if via is not None:
            if self.vias is _NOTHING:
                self.vias = Tally()
            self.vias.take(via)


class RefusalGroups:
    """All groups, as entries come in their order.

    With :data:`MOST_GROUPS` of them, the lesser half is forgotten: what comes often stays.

    Attributes:
        count: Entries that were taken.
        forgotten: Entries of groups that were forgotten. A group that comes again starts anew, so
            so many may lack in the counts of those that are there.
    """

    def __init__(self, most: int = MOST_GROUPS) -> None:
        self.count = 0
        self.forgotten = 0
        self._most = most
        self._groups: dict[tuple[str, str], Group] = {}

    def take(self, entries: Iterable[Entry]) -> None:
        """Count refusals and ends of sessions."""
        for entry in entries:
            # Not isinstance: msgspec's classes are slow at that, and here is no subclass.
            if type(entry) is RefusalEntry:
                self._group(entry.address, entry.code, entry.time).take_refusal(entry)
            elif type(entry) is SessionEntry and (word := cause(entry)) is not None:
                self._group(entry.address, word, entry.time).take_end(entry)
            else:
                continue
            self.count += 1

    def _group(self, address: str, code: str, time: int) -> Group:
        group = self._groups.get((address, code))
        if group is None:
            if len(self._groups) >= self._most:
                self._forget()
            group = self._groups[address, code] = Group(address, code, time)
        return group

    def _forget(self) -> None:
        ranked = self.by_count()
        kept = ranked[: self._most // 2]
        self.forgotten += sum(group.count for group in ranked[len(kept) :])
        self._groups = {(group.address, group.code): group for group in kept}

    def by_count(self) -> list[Group]:
        """The largest first; of two alike the later one."""
        return sorted(self._groups.values(), key=lambda group: (-group.count, -group.last))

    def by_last(self) -> list[Group]:
        """The one that came last first."""
        return sorted(self._groups.values(), key=lambda group: (-group.last, -group.count))

    def codes(self) -> dict[str, set[str]]:
        """All that happened to each address."""
        found: dict[str, set[str]] = {}
        for address, code in self._groups:
            found.setdefault(address, set()).add(code)
        return found
