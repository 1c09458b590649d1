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

    def take(self, text: str | None) -> None:
        """Count one."""
        if text is not None:
            text = text[:MOST_TEXT]
        if text in self.counts:
            self.counts[text] += 1
        elif len(self.counts) < MOST_NAMES:
            self.counts[text] = 1
        else:
            self.others += 1

    def ranked(self) -> list[tuple[str | None, int]]:
        """The texts and how often they came, the commonest first."""
        return sorted(self.counts.items(), key=lambda pair: -pair[1])

    @property
    def commonest(self) -> str | None:
        """The text that came most often, which can be None; None if nothing came."""
        return self.ranked()[0][0] if self.counts else None


class Group:
    """What happened to one address for one cause.

    Attributes:
        code: Of a refusal or a break, or the word of a close code.
        first, last: Unix milliseconds.
        paths: That were asked for, by refusals.
        devices: Names, of links that broke.
        classes: Of devices, of those or of the paths.
        vias: Proxies.
        tails: Of tokens that were refused.
        shortest, longest: Seconds for which links lasted.
    """

    __slots__ = (
        "address", "classes", "code", "count", "devices", "first", "last", "longest", "paths",
        "shortest", "tails", "user_agents", "vias",
    )  # fmt: skip

    def __init__(self, address: str, code: str, first: int) -> None:
        self.address = address
        self.code = code
        self.count = 0
        self.first = self.last = first
        self.shortest: float | None = None
        self.longest: float | None = None
        self.user_agents, self.paths, self.devices = Tally(), Tally(), Tally()
        self.classes, self.vias, self.tails = Tally(), Tally(), Tally()

    @property
    def meaning(self) -> Explanation | None:
        """What the code means; None for one of a later version."""
        return explain(self.code)

    def take(self, entry: RefusalEntry | SessionEntry) -> None:
        """Count one, which came after those before."""
        self.count += 1
        self.last = entry.time
        self.user_agents.take(entry.user_agent)
        if entry.via is not None:
            self.vias.take(entry.via)
        if isinstance(entry, SessionEntry):
            self.devices.take(entry.device)
            self.classes.take(entry.device_class)
            if entry.seconds is not None:
                self.shortest = min(entry.seconds, self.shortest or entry.seconds)
                self.longest = max(entry.seconds, self.longest or entry.seconds)
            return
        if entry.path is not None:
            self.paths.take(entry.path)
            if named := _DEVICE_PATH.fullmatch(entry.path):
                self.classes.take(named[1])
        if entry.token_tail is not None:
            self.tails.take(entry.token_tail)


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
        groups = self._groups
        for entry in entries:
            if isinstance(entry, RefusalEntry):
                code = entry.code
            elif isinstance(entry, SessionEntry) and (word := cause(entry)) is not None:
                code = word
            else:
                continue
            group = groups.get((entry.address, code))
            if group is None:
                if len(groups) >= self._most:
                    self._forget()
                    groups = self._groups
                group = groups[entry.address, code] = Group(entry.address, code, entry.time)
            group.take(entry)
            self.count += 1

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

    def codes_of(self, address: str) -> frozenset[str]:
        """All that happened to an address."""
        return frozenset(group.code for group in self._groups.values() if group.address == address)
