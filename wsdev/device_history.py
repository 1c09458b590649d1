"""Devices as the journal knows them: their links, and those that are away.

A device is looked up by the index of its name, so the size of the journal does not matter.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from wsdev.journal_reader import JournalReader

MOST_DEVICES: Final = 5000
"""Names that are told; each costs some microseconds."""

# From one name to the next, by the index: DISTINCT would look at every session.
_NAMES: Final = """
    WITH RECURSIVE names(device) AS (
        SELECT min(device) FROM sessions
        UNION ALL
        SELECT (SELECT min(device) FROM sessions WHERE device > names.device) FROM names
        WHERE names.device IS NOT NULL
    )
    SELECT device FROM names WHERE device IS NOT NULL LIMIT ?
"""

_COLUMNS: Final = (
    "s.session, s.device, s.device_class, s.address, s.user_agent, s.token, s.started, s.ended,"
    " s.code, s.reason, s.closed_by, s.seconds, s.messages_in, s.bytes_in, s.messages_out,"
    " s.bytes_out, s.median_rtt, s.version"
)

_LATEST: Final = f"""
    SELECT {_COLUMNS} FROM sessions s
    WHERE s.device = ? ORDER BY s.sequence DESC LIMIT ?
"""


class RecordedLink(NamedTuple):
    """One connection of a device; what only an end has is None while it goes on.

    Attributes:
        started, ended: Unix milliseconds.
        seconds: How long it lasted.
        version: Of the device's firmware, as it said.
    """

    session: str
    device: str
    device_class: str
    address: str
    user_agent: str | None
    token: str | None
    started: int
    ended: int | None = None
    code: int | None = None
    reason: str | None = None
    closed_by: str | None = None
    seconds: float | None = None
    messages_in: int | None = None
    bytes_in: int | None = None
    messages_out: int | None = None
    bytes_out: int | None = None
    median_rtt: float | None = None
    version: str | None = None


def links_of(reader: JournalReader, device: str, most: int) -> list[RecordedLink]:
    """The latest connections of a device, the newest first.

    Raises:
        JournalError, StateFolderError: as the reader gives it.
    """
    with reader.reading() as db:
        return [RecordedLink(*row) for row in db.execute(_LATEST, (device, most))]


def last_links(reader: JournalReader, most: int = MOST_DEVICES) -> list[RecordedLink]:
    """The latest connection of each device, in the order of their names.

    Raises:
        JournalError, StateFolderError: as the reader gives it.
    """
    with reader.reading() as db:
        names = [name for (name,) in db.execute(_NAMES, (most,))]
        rows = [db.execute(_LATEST, (name, 1)).fetchone() for name in names]
    return [RecordedLink(*row) for row in rows if row is not None]
