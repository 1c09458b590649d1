"""Quotas: how often an address may do what costs, in bounded memory. Time is passed in."""

from __future__ import annotations

import ipaddress
import math
from collections import OrderedDict
from typing import Final

from wsdev.callers import IPAddress

MINUTE: Final = 60
REMEMBERED_ADDRESSES: Final = 10_000  # a RateWindow full of them takes 5 MB

SiteKey = tuple[int, int]
_EVERYBODY_ELSE: Final[SiteKey] = (0, 0)


def site_key(address: IPAddress) -> SiteKey:
    """What counts as one address: for IPv6 its /64, the least that a provider gives to a site."""
    if isinstance(address, ipaddress.IPv4Address):
        return 4, int(address)
    return 6, int(address) >> 64


class MessageBudget:
    """A device's messages: ``per_minute`` at once, refilled evenly. 0 is no limit."""

    __slots__ = ("_left", "_per_second", "_since")

    def __init__(self, per_minute: int, now: float) -> None:
        self._left = float(per_minute)
        self._per_second = per_minute / MINUTE
        self._since = now

    def pay(self, count: int, now: float) -> float:
        """Pay for messages that came.

        Returns:
            0, or the seconds until the debt is paid off and one more, so that not each message
            waits by itself.
        """
        if not self._per_second:
            return 0.0
        refilled = self._left + (now - self._since) * self._per_second
        self._left = min(self._per_second * MINUTE, refilled) - count
        self._since = now
        return 0.0 if self._left >= 0 else 1 - self._left / self._per_second


class RateWindow:
    """Counts events per address: ``limit`` within a minute of the first, then a minute's block.

    Events during a block do not prolong it. Floods from many addresses find bounds: at most
    ``capacity`` are counted and as many blocked. The oldest count gives way to a newcomer, a
    block never does, so no flood frees an address that is blocked. Once ``capacity`` are blocked,
    all others share one count. A limit of 0 is no limit.
    """

    def __init__(self, limit: int, capacity: int = REMEMBERED_ADDRESSES) -> None:
        self._limit = limit
        self._capacity = capacity
        # Entries end in the order in which they came. A plain dict is slow to lose its first.
        self._counts: OrderedDict[SiteKey, tuple[float, int]] = OrderedDict()
        self._blocks: OrderedDict[SiteKey, float] = OrderedDict()

    def hit(self, address: IPAddress, now: float) -> int:
        """Count an event at ``now``: 0 if within the limit, else seconds to wait, 1 to 60."""
        if not self._limit:
            return 0
        self._forget(now)
        key = site_key(address)
        if key not in self._blocks and len(self._blocks) >= self._capacity:
            key = _EVERYBODY_ELSE
        if key in self._blocks:
            return min(MINUTE, math.ceil(self._blocks[key] - now))
        ends, count = self._counts.get(key, (now + MINUTE, 0))
        if count >= self._limit:
            del self._counts[key]
            self._blocks[key] = now + MINUTE
            return MINUTE
        self._counts[key] = ends, count + 1
        if len(self._counts) > self._capacity:
            self._counts.popitem(last=False)
        return 0

    def _forget(self, now: float) -> None:
        while self._counts and next(iter(self._counts.values()))[0] <= now:
            self._counts.popitem(last=False)
        while self._blocks and next(iter(self._blocks.values())) <= now:
            self._blocks.popitem(last=False)
