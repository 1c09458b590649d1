"""Whether something keeps the wall clock right (Linux)."""

from __future__ import annotations

import ctypes
import struct
import sys
from pathlib import Path
from typing import Final

SYNCHRONIZED: Final = Path("/run/systemd/timesync/synchronized")
"""There once systemd-timesyncd has set the clock, for as long as the system runs."""

_TIMEX_SIZE: Final = 208
_STATUS_AT: Final = 40
"""struct timex of adjtimex(2) where a long has 8 bytes: the status stands after five of them."""

_UNSYNCHRONIZED: Final = 0x0040
"""STA_UNSYNC: the kernel sets it when nobody has steered the clock for long."""


def clock_state(mark: Path = SYNCHRONIZED) -> tuple[bool | None, str]:
    """Whether the clock is kept right, and who says so; None where nothing tells.

    The kernel knows best: whatever steers the clock (timesyncd, chrony, ntpd) tells it, and it is
    what ``timedatectl`` shows.
    """
    kernel = _kernel_says()
    if kernel is False and mark.exists():
        return True, "systemd-timesyncd"
    return kernel, "the kernel"


def _kernel_says() -> bool | None:
    if not sys.platform.startswith("linux") or struct.calcsize("l") != 8:
        return None
    buffer = ctypes.create_string_buffer(_TIMEX_SIZE)  # all zero: modes 0 only reads
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(buffer)
    except (OSError, AttributeError):
        return None
    if state < 0:
        return None
    (status,) = struct.unpack_from("=i", buffer.raw, _STATUS_AT)
    return not status & _UNSYNCHRONIZED
