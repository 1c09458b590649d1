"""Files that a command writes: whole or not at all, and never in the way of the gateway."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from wsdev.errors import UsageError
from wsdev.sanitize import printable


def check_place(path: Path, state_folder: Path) -> None:
    """Refuse a file in the gateway's state folder.

    It may be the journal itself, which the gateway would go on writing under no name.

    Raises:
        UsageError: it is there.
    """
    if path.resolve().is_relative_to(state_folder.resolve()):
        raise UsageError(
            f"{printable(str(path))} is in the gateway's state folder", "name another --output"
        )


@contextlib.contextmanager
def whole_file(path: Path, *, replace: bool = True) -> Iterator[TextIO]:
    """A new file, for this user only, that takes its name once it is whole.

    Args:
        replace: It may take the place of another one.

    Raises:
        UsageError: it cannot be written, or there is one that it must not replace.
    """
    with _whole(path, replace, mode="w", encoding="utf-8", newline="") as out:
        yield out


@contextlib.contextmanager
def whole_binary_file(path: Path, *, replace: bool = True) -> Iterator[BinaryIO]:
    """As :func:`whole_file`, for what is no text."""
    with _whole(path, replace, mode="wb") as out:
        yield out


@contextlib.contextmanager
def told_if_unwritable(path: Path) -> Iterator[None]:
    """Turn what the system says of a file's place into our error.

    Raises:
        UsageError: it cannot be looked at, or not be written.
    """
    try:
        yield
    except OSError as exc:
        raise UsageError(
            f"cannot write {printable(str(path))}: {exc.strerror or type(exc).__name__}",
            "name a file in a folder that is there and that you may write to",
        ) from exc


@contextlib.contextmanager
def _whole(path: Path, replace: bool, **how: Any) -> Iterator[Any]:
    with told_if_unwritable(path):
        target = path.resolve()
        if path.exists() and not stat.S_ISREG(path.stat().st_mode):
            with open(path, **how) as out:  # a pipe, a device; /dev/stdout leads to no name
                yield out
            return
        if not replace:
            check_new(target)
        with _part(target) as part:
            with open(part, **how) as out:
                yield out
                out.flush()
                os.fsync(out.fileno())
            if not replace:
                check_new(target)  # again: a recording can take hours
            part.rename(target)


@contextlib.contextmanager
def _part(target: Path) -> Iterator[Path]:
    """An empty file beside the target, gone at the end if it was not given its name."""
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        yield part
    finally:
        part.unlink(missing_ok=True)


def check_new(path: Path) -> None:
    """Refuse a file that is there already.

    Raises:
        UsageError: it is.
    """
    if path.exists():
        raise UsageError(
            f"{printable(str(path))} is there already", "name another --output, or use --force"
        )
