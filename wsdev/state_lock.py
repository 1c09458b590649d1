"""One gateway for a state folder: a lock that the kernel releases when its holder dies."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from wsdev.errors import AlreadyRunning, StateFolderError

LOCK_NAME: Final = "serve.lock"


@contextlib.contextmanager
def hold_state_folder(folder: Path) -> Iterator[None]:
    """Make the folder (0700) if need be and hold its lock.

    Raises:
        AlreadyRunning: another gateway holds it.
        StateFolderError: the folder cannot be made or written.
    """
    path = folder / LOCK_NAME
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as exc:
        raise _not_writable(folder, exc) from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        except BlockingIOError:
            holder = os.pread(handle, 20, 0).decode("ascii", "replace").strip()
            raise AlreadyRunning(
                f"another gateway (process {holder or '?'}) uses the state folder {folder}",
                "stop it first, or give this one its own folder with --state",
            ) from None
        except OSError as exc:
            raise _not_writable(folder, exc) from None
        yield
    finally:
        os.close(handle)


def _not_writable(folder: Path, exc: OSError) -> StateFolderError:
    return StateFolderError(
        f"cannot write to the state folder {folder}: {exc.strerror}",
        "name a folder that you can write with --state",
    )
