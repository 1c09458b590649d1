"""One gateway for a state folder: a lock that the kernel releases when its holder dies.

Beside it lies what the holder tells of itself; it means nothing without the lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from wsdev.errors import AlreadyRunning, StateFolderError
from wsdev.serve_note import NOTE_NAME, ServeNote, read_note
from wsdev.small_files import read_small_file

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


def holder(folder: Path) -> int | None:
    """The process id of the gateway that holds the folder; None if none does.

    0 for one that has not told its id yet. The look takes the lock itself for a few microseconds
    if it is free, and a gateway that starts within these is refused.

    Raises:
        StateFolderError: there is a lock, and it cannot be read.
    """
    try:
        handle = os.open(folder / LOCK_NAME, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise StateFolderError(
            f"cannot read the lock of the state folder {folder}: {exc.strerror}",
            "run this as the user of the gateway",
        ) from None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.pread(handle, 20, 0).strip()
        return int(text) if text.isdigit() else 0
    finally:
        os.close(handle)
    return None


@contextlib.contextmanager
def left_note(folder: Path, note: ServeNote) -> Iterator[None]:
    """Leave the note (0600) in a folder whose lock is held, for as long as the block runs.

    Raises:
        OSError: it cannot be written; whether to go on without is the caller's to say.
    """
    path = folder / NOTE_NAME
    draft = folder / f".{NOTE_NAME}.part"
    draft.unlink(missing_ok=True)  # of one that was killed
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    with open(os.open(draft, flags, 0o600), "wb") as out:
        out.write(msgspec.json.encode(note))
    draft.rename(path)  # whole or not at all, for those who look
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink()


def note_of(folder: Path, pid: int) -> ServeNote | None:
    """What the gateway with this process id told of itself; None if it told nothing."""
    try:
        note = read_note(read_small_file(folder / NOTE_NAME))
    except OSError:
        return None
    return note if note is not None and note.pid == pid else None


def _not_writable(folder: Path, exc: OSError) -> StateFolderError:
    return StateFolderError(
        f"cannot write to the state folder {folder}: {exc.strerror}",
        "name a folder that you can write with --state",
    )
