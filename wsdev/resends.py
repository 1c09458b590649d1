"""Which acknowledged messages a device may send again: a window over its latest ones.

A device resends what it had no ack for, so what it said long ago does not come again, and the
window can be bounded. It holds 64-bit hashes, keyed by the process's own secret (SipHash, PEP 456):
nobody can make two messages collide on purpose, and by chance it takes some 10**16 messages.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final

MOST: Final = 1024
"""The latest acknowledged messages of a device that are surely known; at most twice as many are.

A Pico W has 166 KB of heap: it cannot hold as many unacknowledged messages of 120 bytes itself."""

LEAST: Final = 32
"""The same in a large fleet, where all windows together are bounded."""

IN_ALL: Final = 256 * 1024
"""Messages that the windows of all devices share, some 70 bytes each."""

REMEMBERED_DEVICES: Final = 100_000
"""Devices in memory; the window of one that was not heard for longest gives way."""


class ResendWindow:
    """The latest messages of one device, in two generations of hashes.

    Attributes:
        new, old: Hashes of texts; what comes is added to ``new``.
    """

    __slots__ = ("new", "old")

    def __init__(self) -> None:
        self.new: set[int] = set()
        self.old: set[int] = set()

    def __contains__(self, text: str) -> bool:
        key = hash(text)
        return key in self.new or key in self.old

    def age(self, size: int = MOST) -> None:
        """Let the oldest go if there are enough without them: ``size`` are known in any case."""
        if len(self.new) >= size:
            self.old, self.new = self.new, set()


class ResendWindows:
    """The windows of the devices that were heard last.

    Args:
        load: Hashes of a device's latest acknowledged messages, oldest first, if not in memory.
    """

    def __init__(
        self, load: Callable[[str], Iterable[int]], capacity: int = REMEMBERED_DEVICES
    ) -> None:
        self._load = load
        self._capacity = capacity
        self._windows: OrderedDict[str, ResendWindow] = OrderedDict()
        self._size = MOST

    def of(self, device: str) -> ResendWindow:
        """The device's window."""
        window = self._windows.get(device)
        if window is None:
            return self._loaded(device)
        self._windows.move_to_end(device)
        return window

    def age(self, windows: Iterable[ResendWindow]) -> None:
        """After something was added to windows: keep as much as there is room for each device."""
        for window in windows:
            window.age(self._size)

    def _loaded(self, device: str) -> ResendWindow:
        window = ResendWindow()
        window.new.update(self._load(device))
        self._windows[device] = window
        if len(self._windows) > self._capacity:
            self._windows.popitem(last=False)
        self._size = max(LEAST, min(MOST, IN_ALL // len(self._windows)))
        return window
