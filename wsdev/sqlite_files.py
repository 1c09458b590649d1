"""SQLite files of the state folder: their errors in plain words."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wsdev.errors import LocalError, StateFolderError
from wsdev.sanitize import printable

_ROOM_TO_OPEN: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class FileKind:
    """What a file is called when something is wrong with it.

    Attributes:
        noun: ``token book``.
        error: What is raised, with the code ``busy``, ``full``, ``damaged``, ``unfit`` (a row that
            no try will bring in) or its own.
        if_damaged: The remedy for a damaged one.
    """

    noun: str
    error: type[LocalError]
    if_damaged: str

    def damaged(self, path: Path) -> LocalError:
        """The error for a file that SQLite cannot read as this kind."""
        return self.error(
            f"{printable(str(path))} is damaged or not a {self.noun}",
            self.if_damaged,
            code="damaged",
        )

    @contextlib.contextmanager
    def explained(self, path: Path) -> Iterator[None]:
        """Raise errors of SQLite and of the file system as what they mean for the operator.

        Raises:
            StateFolderError: no right to read or write there.
        """
        try:
            yield
        except OSError as exc:
            raise unusable(path, exc.strerror or type(exc).__name__) from exc
        except sqlite3.ProgrammingError:
            raise
        except sqlite3.DatabaseError as exc:
            raise self._explain(exc, path) from exc

    def _explain(self, exc: sqlite3.DatabaseError, path: Path) -> LocalError:
        where = printable(str(path))
        # The low byte is the primary result code, https://sqlite.org/rescode.html
        # Without one it is Python's own, about a text that is not UTF-8.
        match getattr(exc, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF:
            case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
                return self.error(
                    f"another process is writing to {where}", "try again in a moment", code="busy"
                )
            case sqlite3.SQLITE_FULL:
                return self._full(where)
            case sqlite3.SQLITE_IOERR if _has_no_room(path):
                return self._full(where)
            case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
                return self.damaged(path)
            case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
                return unusable(path, str(exc))
            case sqlite3.SQLITE_CONSTRAINT | sqlite3.SQLITE_MISMATCH | sqlite3.SQLITE_TOOBIG:
                return self.error(
                    f"{where} does not take a row: {printable(str(exc))}",
                    "a bug: please report it",
                    code="unfit",
                )
        return self.error(
            f"{where} cannot be used: {printable(str(exc))}",
            "look at the disk and the file system",
        )

    def _full(self, where: str) -> LocalError:
        return self.error(f"the disk of {where} is full", "free some space", code="full")


def _has_no_room(path: Path) -> bool:
    """Whether the shared memory of a WAL, 32 KB at a time, finds no room: an "I/O error"."""
    with contextlib.suppress(OSError):
        return shutil.disk_usage(path.parent).free < _ROOM_TO_OPEN
    return False


def unusable(path: Path, reason: str) -> StateFolderError:
    """The error for a folder in which ``path`` cannot be used."""
    return StateFolderError(
        f"the state folder {printable(str(path.parent))} cannot be used: {printable(reason)}",
        "give this user the right to read and write there, or name another folder with --state",
    )
