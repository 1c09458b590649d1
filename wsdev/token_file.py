"""The file of the token book: ``tokens.db`` in the state folder, SQLite.

Records in, records out, and every SQLite and file system error in plain words. What the records
mean is for :mod:`wsdev.tokens`; of a device token only the fingerprint comes here.

Times are Unix seconds.
"""

from __future__ import annotations

import contextlib
import enum
import os
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Final, Literal

from wsdev.errors import TokenBookError
from wsdev.sanitize import printable
from wsdev.sqlite_files import FileKind

FILE_NAME: Final = "tokens.db"

_KIND: Final = FileKind(
    "token book",
    TokenBookError,
    "put a backup in its place, or move it away: the next start makes new tokens",
)
_APPLICATION_ID: Final = 0x77736474  # "wsdt"
_VERSION: Final = 2
"""1 knew no tokens of operators."""

_BUSY_TIMEOUT: Final = 0.5
"""Seconds to wait for another writer. A write takes milliseconds; a gateway's event loop waits
too, so it stays under the 1 s that gilmaimon's ArduinoWebsockets gives a handshake."""

# `sequence` keeps the order of creation, also when the wall clock is set back.
_TOKENS: Final = """
CREATE TABLE tokens (
    sequence     INTEGER PRIMARY KEY,
    id           TEXT NOT NULL UNIQUE,
    kind         TEXT NOT NULL CHECK (kind IN ('class', 'device', 'operator')),
    device_class TEXT NOT NULL,
    name         TEXT,
    tail         TEXT NOT NULL,
    digest       BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
    created      REAL NOT NULL,
    retires      REAL,
    revoked      REAL,
    token        TEXT,
    CHECK (kind = 'operator' OR (kind = 'device') = (name IS NOT NULL)),
    CHECK ((kind = 'class') = (token IS NOT NULL))
) STRICT;
"""
_SCHEMA: Final = f"""
PRAGMA journal_mode = WAL;
BEGIN;
{_TOKENS}
CREATE TABLE handout_window (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    opened   REAL NOT NULL,
    closes   REAL NOT NULL
) STRICT;
INSERT INTO handout_window VALUES (1, 0, 0);
PRAGMA application_id = {_APPLICATION_ID};
PRAGMA user_version = {_VERSION};
COMMIT;
"""
# In the order of TokenRecord's fields.
_COLUMNS: Final = "id, kind, device_class, name, tail, digest, created, retires, revoked, token"

_FROM_VERSION_1: Final = f"""
BEGIN IMMEDIATE;
ALTER TABLE tokens RENAME TO tokens_before;
{_TOKENS}
INSERT INTO tokens (sequence, {_COLUMNS}) SELECT sequence, {_COLUMNS} FROM tokens_before;
DROP TABLE tokens_before;
PRAGMA user_version = 2;
COMMIT;
"""

TokenState = Literal["active", "retiring", "retired", "revoked"]


class TokenKind(enum.StrEnum):
    """Whom a token lets in."""

    CLASS = "class"
    """Any device of the class, under any name that no device token has claimed."""
    DEVICE = "device"
    """The one device whose name it is pinned to."""
    OPERATOR = "operator"
    """No device: a person or program at the console."""


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """What the book knows of a token.

    Attributes:
        id: Short and public (``t-3f9a2c``): fit for logs and for naming the token in a command.
        device_class: Of an operator token ``operator``, which no device can be of.
        name: The name that a device token is pinned to, or the operator's; None for class tokens.
        tail: The last four characters.
        digest: The fingerprint.
        retires: When a rotated token stops being good.
        revoked: When it was revoked.
        token: The text of a class token; None for device tokens, whose text is nowhere.
    """

    id: str
    kind: TokenKind
    device_class: str
    name: str | None
    tail: str
    digest: bytes = field(repr=False)
    created: float
    retires: float | None
    revoked: float | None
    token: str | None = field(repr=False)

    def state(self, now: float) -> TokenState:
        """What the token is good for: ``active`` and ``retiring`` let a device in."""
        if self.revoked is not None:
            return "revoked"
        if self.retires is None:
            return "active"
        return "retiring" if now < self.retires else "retired"

    def is_live(self, now: float) -> bool:
        """Whether the token lets a device in."""
        return self.state(now) in ("active", "retiring")


@dataclass(frozen=True, slots=True)
class HandoutWindow:
    """The time in which ``/public/tokens`` answers everybody."""

    opened: float
    closes: float

    def left(self, now: float) -> float:
        """Seconds left, 0 when closed.

        A clock set back to before the opening closes the window rather than prolonging it.
        """
        return self.closes - now if self.opened <= now < self.closes else 0.0


class TokenFile:
    """An open token file. Use from one thread.

    Every method can raise :class:`~wsdev.errors.TokenBookError` (damaged, busy, disk full) or
    :class:`~wsdev.errors.StateFolderError` (no right to read or write).
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        """Open the file that is there.

        Args:
            read_only: For a look that leaves the folder, and the file's rights, as they are.

        Raises:
            TokenBookError: missing (code ``missing``), another program's (``foreign``), of a newer
                wsdev (``newer``), or ``damaged``; the file is left as it is.
        """
        self._path = path
        with _KIND.explained(path), contextlib.ExitStack() as undo:
            if not path.exists():
                raise TokenBookError(
                    f"there is no token book in {printable(str(path.parent))}",
                    "start wsdev serve once, or name the folder with --state",
                    code="missing",
                )
            mode = "ro" if read_only else "rw"
            if read_only and not path.with_name(f"{path.name}-wal").exists():
                mode += "&immutable=1"  # nobody has it open: a reader would leave a log behind
            # Never rwc: a file that vanished meanwhile is an error, not a new and empty book.
            self._db = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode={mode}",
                uri=True,
                timeout=_BUSY_TIMEOUT,
                isolation_level=None,
            )
            undo.callback(self._db.close)
            self._inspect()
            if not read_only:
                self._db.execute("PRAGMA synchronous = FULL")
                if path.stat().st_mode & 0o077:
                    path.chmod(0o600)  # a copy put back from a backup, for example
            undo.pop_all()

    def _inspect(self) -> None:
        """Refuse a file that is not a sound token book of this version, before any write."""
        where = printable(str(self._path))
        if self._pragma("application_id") != _APPLICATION_ID:
            raise TokenBookError(
                f"{where} is not a token book, but empty or another program's file",
                "move it away, or name another folder with --state",
                code="foreign",
            )
        version = self._pragma("user_version")
        if version > _VERSION:
            raise TokenBookError(
                f"{where} was written by a newer wsdev (book version {version}, not {_VERSION})",
                "update wsdev, or name another folder with --state",
                code="newer",
            )
        if version == 1:
            self._migrate()
            version = self._pragma("user_version")
        if version != _VERSION or self._db.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise _KIND.damaged(self._path)

    def _migrate(self) -> None:
        """Bring a book of version 1 up to date, unless another program just did."""
        try:
            self._db.executescript(_FROM_VERSION_1)
        except sqlite3.Error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            if self._pragma("user_version") != _VERSION:
                raise

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def changes(self) -> int:
        """A number that differs after another process wrote; costs some microseconds."""
        with _KIND.explained(self._path):
            return self._pragma("data_version")

    def records(self) -> list[TokenRecord]:
        """All records in the order of their creation."""
        with _KIND.explained(self._path):
            rows = self._db.execute(f"SELECT {_COLUMNS} FROM tokens ORDER BY sequence").fetchall()
        return [TokenRecord(row[0], TokenKind(row[1]), *row[2:]) for row in rows]

    def window(self) -> HandoutWindow:
        """The hand-out window as it was last set."""
        with _KIND.explained(self._path):
            return HandoutWindow(
                *self._db.execute("SELECT opened, closes FROM handout_window").fetchone()
            )

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """One transaction: on disk when the block ends, as if never begun when it raises."""
        with _KIND.explained(self._path), self._db:
            self._db.execute("BEGIN IMMEDIATE")
            yield

    # Only inside `writing`.

    def has_id(self, token_id: str) -> bool:
        """Whether a record has this id already."""
        query = "SELECT 1 FROM tokens WHERE id = ?"
        return self._db.execute(query, (token_id,)).fetchone() is not None

    def add(self, record: TokenRecord) -> None:
        """Keep a new record."""
        self._db.execute(
            f"INSERT INTO tokens ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            astuple(record),
        )

    def retire(self, token_ids: Iterable[str], when: float) -> None:
        """Let tokens be good until ``when`` at most."""
        self._db.executemany(
            "UPDATE tokens SET retires = min(ifnull(retires, ?1), ?1) WHERE id = ?2",
            [(when, token_id) for token_id in token_ids],
        )

    def revoke(self, token_ids: Iterable[str], when: float) -> None:
        """Mark tokens as revoked."""
        self._db.executemany(
            "UPDATE tokens SET revoked = ? WHERE id = ?",
            [(when, token_id) for token_id in token_ids],
        )

    def set_window(self, window: HandoutWindow) -> None:
        """Replace the hand-out window."""
        self._db.execute("UPDATE handout_window SET opened = ?, closes = ?", astuple(window))

    def _pragma(self, name: str) -> int:
        (value,) = self._db.execute(f"PRAGMA {name}").fetchone()
        return int(value)


def make_token_file(path: Path) -> bool:
    """Make an empty book at ``path``, and its folder, unless something is there already.

    The book is made beside and linked into place whole. So a crash or a second process never
    leaves an empty file that passes for a first start, and what is there is never overwritten.

    Returns:
        Whether this call made it.

    Raises:
        StateFolderError: the folder cannot be made or written.
    """
    with _KIND.explained(path), contextlib.ExitStack() as undo:
        if path.exists():
            return False
        if not path.parent.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.parent.chmod(0o700)  # whatever the umask took away
        handle, draft = tempfile.mkstemp(prefix=f"{FILE_NAME}.", dir=path.parent)
        undo.callback(Path(draft).unlink)
        os.close(handle)
        Path(draft).chmod(0o600)
        with contextlib.closing(sqlite3.connect(draft)) as db:
            db.executescript(_SCHEMA)
        try:
            path.hardlink_to(draft)
        except FileExistsError:
            return False
        return True
