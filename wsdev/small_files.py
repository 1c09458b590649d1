"""Files that another user may have put there: read without waiting, and not without end."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Final

MOST: Final = 1_000_000
"""Bytes: a chain of certificates has some thousands."""


def read_small_file(path: Path) -> bytes:
    """The content of a regular file, a megabyte at most.

    Raises:
        OSError: it cannot be read; or it is a pipe, at which a reader would wait for ever.
    """
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with open(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "Not a regular file", str(path))
        return file.read(MOST)
