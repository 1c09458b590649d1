"""Amounts as people read them: bytes, durations, times."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from typing import Final

_BYTE_UNITS: Final = ("kB", "MB", "GB", "TB")
_TIME_UNITS: Final = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def size(count: int) -> str:
    """``512 B``, ``1.2 kB``, ``2.0 GB``: decimal, as disks are sold."""
    if count < 1000:
        return f"{count} B"
    value = float(count)
    for unit in _BYTE_UNITS:
        value /= 1000
        if round(value, 1) < 1000 or unit == _BYTE_UNITS[-1]:
            break
    return f"{value:.1f} {unit}"


def counted(count: int, one: str, more: str = "") -> str:
    """``1 message``, ``1,024 messages``."""
    return f"1 {one}" if count == 1 else f"{count:,} {more or one + 's'}"


def duration(seconds: float) -> str:
    """``42 ms``, ``3.2 s``, ``12 min 5 s``, ``3 d 4 h``: at most two units."""
    if seconds < 0.9995:
        return f"{max(seconds, 0) * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    left = round(seconds)
    for (length, unit), (next_length, next_unit) in pairwise(_TIME_UNITS):
        if left >= length:
            rest = left % length // next_length
            return f"{left // length} {unit}" + (f" {rest} {next_unit}" if rest else "")
    return f"{left} s"


def round_trip(seconds: float) -> str:
    """``3.4 ms``."""
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else duration(seconds)


def age(seconds: float) -> str:
    """``3 s ago``, ``2 h ago``: one unit, rounded down; of the future ``in 3 s``."""
    left = int(abs(seconds))
    for length, unit in _TIME_UNITS:
        if left >= length:
            text = f"{left // length} {unit}"
            return f"{text} ago" if seconds > 0 else f"in {text}"
    return "now"


def moment(when: datetime, now: datetime) -> str:
    """A local time: without the date if it is today's, without the year if it is this year's."""
    if when.date() == now.date():
        return when.strftime("%H:%M:%S")
    if when.year == now.year:
        return when.strftime("%b %d %H:%M:%S")
    return when.strftime("%Y-%m-%d %H:%M:%S")
