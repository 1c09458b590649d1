"""Camera pictures as files beside the journal: ``pictures/<sequence number>.jpg``.

Named by the number of their row, never by the camera: a device chooses its own name.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

from wsdev.journal_schema import dated
from wsdev.records import PicturesKept

_SUFFIX: Final = ".jpg"
_OURS: Final = re.compile(rf"([0-9]{{12,18}}){re.escape(_SUFFIX)}(\.part)?")


def picture_name(sequence: int) -> str:
    """The file name of the picture in the row of that number."""
    return f"{sequence:012d}{_SUFFIX}"


def set_pictures_aside(folder: Path) -> Path | None:
    """Give a folder of pictures whose journal is gone another name; None if there are none."""
    if not folder.is_dir() or not any(folder.iterdir()):
        return None
    kept_as = dated(lambda stamp: folder.with_name(f"{folder.name}.before-{stamp}"))
    folder.rename(kept_as)
    return kept_as


class PictureStore:
    """The folder of pictures, and which of them are kept.

    Methods raise OSError as the file system gives it.

    Args:
        folder: Made (0700) with the first picture.
        kept: Which pictures are kept.
        camera_of: The device whose picture is in the row of that number, None for no such row.
    """

    def __init__(
        self, folder: Path, kept: PicturesKept, camera_of: Callable[[int], str | None]
    ) -> None:
        self._folder = folder
        self._kept = kept
        self._latest: dict[str, deque[str]] = {}
        self._taken: dict[str, int] = {}
        self._replaced: deque[str] = deque()
        self.bytes = 0
        self.trouble = ""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            for name in sorted(os.listdir(folder)):
                self._find(name, camera_of)

    def _find(self, name: str, camera_of: Callable[[int], str | None]) -> None:
        ours = _OURS.fullmatch(name)
        if ours is None:
            return
        path = self._folder / name
        number, part = ours.groups()
        camera = None if part else camera_of(int(number))
        if camera is None:
            with contextlib.suppress(OSError):
                path.unlink()  # left by a crash between the file and its row
            return
        self.bytes += path.stat().st_size
        self._count(camera, name)

    def wants(self, camera: str, when: int, last: int | None = None) -> bool:
        """Whether a picture taken at ``when`` (ms) is to be kept.

        Args:
            last: When the camera's last one was taken, if that one is not on disk yet.
        """
        if not self._kept:
            return False
        if last is None:
            last = self._taken.get(camera)
        # A clock that was set back must not stop the pictures.
        return last is None or not 0 <= when - last < self._kept.every * 1000

    def write(self, name: str, data: bytes) -> bool:
        """Put a picture into its file; a second time changes nothing.

        Returns:
            Whether it is there; if not, :attr:`trouble` says why.
        """
        part = self._folder / f"{name}.part"
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with open(handle, "wb") as file:
                file.write(data)
            part.rename(self._folder / name)
        except OSError as error:
            # A picture is worth less than the acks that would wait for it.
            self.trouble = f"pictures cannot be kept in {self._folder}: {error.strerror}"
            return False
        self.trouble = ""
        return True

    def took(self, camera: str, name: str, size: int, when: int) -> None:
        """A picture's row is on disk: count it; the one that it replaces may go."""
        self.bytes += size
        self._taken[camera] = when
        self._count(camera, name)

    def _count(self, camera: str, name: str) -> None:
        if not self._kept.last:
            return
        names = self._latest.setdefault(camera, deque())
        names.append(name)
        while len(names) > self._kept.last:
            self._replaced.append(names.popleft())

    def tidy(self) -> None:
        """Delete the pictures that were replaced by later ones."""
        while self._replaced:
            self.delete(self._replaced[0])
            self._replaced.popleft()

    def delete(self, name: str) -> None:
        """Remove a picture's file, if it is still there."""
        path = self._folder / name
        with contextlib.suppress(FileNotFoundError):
            self.bytes -= path.stat().st_size
            path.unlink()
