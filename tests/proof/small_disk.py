"""A disk of a few megabytes that a test can fill up, with a gateway on it.

A tmpfs in a mount namespace of its own: whatever becomes of the test, it goes with the process
that holds it, and nobody else ever sees it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

_HOLD = 'mount -t tmpfs -o size="$2",mode=700 wsdev-test "$1" && echo mounted && read -r end'


@dataclass(frozen=True)
class SmallDisk:
    """The disk, mounted.

    Attributes:
        inside: A command that starts another one where the disk can be seen.
        path: Where it is for that one.
        root: Where it is for the test.
    """

    inside: tuple[str, ...]
    path: Path
    root: Path

    def fill(self, *, leave: int = 0) -> None:
        """Put a file there that takes all room, but for ``leave`` bytes."""
        filler = os.open(self.root / "filler", os.O_WRONLY | os.O_CREAT, 0o600)
        with open(filler, "wb", buffering=0) as file:
            for size in (65536, 512):
                with contextlib.suppress(OSError):  # no space left on device
                    while file.write(bytes(size)):
                        pass
            file.truncate(file.tell() - leave)

    def free(self) -> None:
        """Take the filler away."""
        (self.root / "filler").unlink()

    def copy(self, folder: Path) -> Path:
        """A folder of the disk, copied to where SQLite of this process can read it."""
        return Path(shutil.copytree(self.root / "state", folder))


@contextlib.contextmanager
def mounted(folder: Path, size: str, need: Callable[[str], str]) -> Iterator[SmallDisk]:
    """A disk of that size over an empty folder; skips the test where there is no right to mount."""
    unshare, nsenter = need("unshare"), need("nsenter")
    folder.mkdir()
    holder = subprocess.Popen(
        [unshare, "--mount", "sh", "-c", _HOLD, "sh", str(folder), size],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout is not None
        assert holder.stderr is not None
        if holder.stdout.readline() != "mounted\n":
            pytest.skip(f"no disk can be mounted here: {holder.stderr.read().strip()}")
        # Not `root` for the gateway: SQLite follows that link to what is there outside.
        inside = (nsenter, f"--target={holder.pid}", "--mount", "--")
        yield SmallDisk(inside, folder, Path(f"/proc/{holder.pid}/root{folder}"))
    finally:
        holder.communicate("")  # its input ends, and so it does
