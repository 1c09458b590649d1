"""What is in a journal by plain SQLite, without any of wsdev's own reading, and what must hold.

The file is read as another program would, also while a gateway writes it.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from insistent_device import ACKNOWLEDGED, InsistentDevice

JOURNAL = "journal.db"

_NUMBERS = """
    SELECT sequence FROM runs UNION ALL SELECT end_sequence FROM runs
    UNION ALL SELECT sequence FROM sessions UNION ALL SELECT end_sequence FROM sessions
    UNION ALL SELECT sequence FROM refusals UNION ALL SELECT sequence FROM messages
    UNION ALL SELECT sequence FROM commands
"""


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[sqlite3.Connection]:
    """The journal of a state folder, read-only."""
    path = (folder / JOURNAL).absolute()
    with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
        yield db


def check_integrity(db: sqlite3.Connection) -> None:
    """The file is sound, by SQLite's own look at all of it."""
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def check_order(db: sqlite3.Connection) -> None:
    """Each number is taken once and none is left out, from the oldest message on."""
    (oldest,) = db.execute("SELECT min(sequence) FROM messages").fetchone()
    numbers = [
        number
        for (number,) in db.execute(
            f"SELECT sequence FROM ({_NUMBERS}) WHERE sequence >= ? ORDER BY 1", (oldest or 0,)
        )
    ]
    if numbers:
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def check_sessions(db: sqlite3.Connection, *, running: bool) -> None:
    """Each session is over but those of the running gateway; each message is within its own."""
    runs = db.execute("SELECT sequence, end_sequence, how FROM runs ORDER BY 1").fetchall()
    for run, following in zip(runs, [*runs[1:], None], strict=True):
        assert (run[1] is None) == (running and following is None), runs
        ends = db.execute(
            "SELECT end_sequence, closed_by, reason, ended FROM sessions"
            " WHERE sequence BETWEEN ? AND ?",
            (run[0], following[0] if following else 2**62),
        ).fetchall()
        if run[1] is None:
            continue
        for end, closed_by, reason, ended in ends:
            assert end is not None
            assert ended is not None
            assert end < run[1]
            assert (closed_by == "lost") == (reason == "lost with the server")
            assert closed_by != "lost" or run[2] == "lost"
    strays = db.execute(
        "SELECT count(*) FROM messages AS m LEFT JOIN sessions AS s ON s.sequence = m.session"
        " WHERE s.sequence IS NULL OR m.sequence < s.sequence OR m.sequence > s.end_sequence"
    ).fetchone()
    assert strays == (0,)


def lost_sessions(db: sqlite3.Connection) -> int:
    """Sessions that a kill ended."""
    query = "SELECT count(*) FROM sessions WHERE closed_by = 'lost'"
    (count,) = db.execute(query).fetchone()
    return int(count)


def recorded(db: sqlite3.Connection, device: InsistentDevice) -> list[int]:
    """The numbers of a device's messages in the journal's order; each is as it was sent."""
    kinds = {name: kind for kind, name in db.execute("SELECT kind, name FROM kinds")}
    wanted = [kinds[name] for name in ACKNOWLEDGED]
    rows = db.execute(
        "SELECT m.id, m.body, m.kind FROM messages AS m JOIN sessions AS s"
        " ON s.sequence = m.session WHERE s.device = ? AND s.device_class = ?"
        f" AND m.kind IN ({', '.join(map(str, wanted))}) ORDER BY m.sequence",
        (device.name, device.device_class.name),
    )
    numbers = []
    for message_id, body, kind in rows:
        number = device.number(message_id)
        assert body == device.message(number).decode()
        assert kind == wanted[number % len(wanted)]
        numbers.append(number)
    return numbers


def out_of_order(numbers: Sequence[int], first: int) -> str:
    """What is the first that does not follow on the one before; empty if all do."""
    for place, number in enumerate(numbers):
        if number != first + place:
            again = number in numbers[:place]
            return f"{number} {'twice' if again else ''} at {place} of {len(numbers)}"
    return ""


def check_devices(
    db: sqlite3.Connection, fleet: Sequence[InsistentDevice], *, whole: bool = True
) -> int:
    """Each acked message is there once, in the order of its sending; none that was never sent.

    Args:
        whole: Nothing was deleted for want of room; else what is there is the latest.

    Returns:
        How many messages there are.
    """
    count = 0
    for device in fleet:
        numbers = recorded(db, device)
        if not numbers and not whole:
            continue
        count += len(numbers)
        first = 0 if whole else numbers[0]
        assert not (odd := out_of_order(numbers, first)), f"{device.name}: {odd}"
        assert len(numbers) + first <= device.sent
        missing = [number for number in device.acked if number >= first + len(numbers)]
        assert not missing, f"{device.name}: acked and not there: {missing[:5]}"
    (strangers,) = db.execute(
        "SELECT count(*) FROM messages JOIN sessions ON sessions.sequence = messages.session"
        f" WHERE kind < 9 AND kind > 2 AND device NOT IN ({', '.join('?' * len(fleet))})",
        [device.name for device in fleet],
    ).fetchone()
    assert not strangers, "messages under a name that no device has"
    return count


def check_pictures(db: sqlite3.Connection, folder: Path, *, kept: int) -> int:
    """Each picture file is the picture of its row, and at most ``kept`` are there of a camera.

    Returns:
        How many files there are.
    """
    cameras: dict[str, int] = {}
    for path in (folder / "pictures").glob("*"):
        device, size, digest = db.execute(
            "SELECT device, size, sha256 FROM messages JOIN sessions"
            " ON sessions.sequence = messages.session WHERE picture = ?",
            (path.name,),
        ).fetchone()
        data = path.read_bytes()
        assert (len(data), hashlib.sha256(data).digest()) == (size, digest)
        cameras[device] = cameras.get(device, 0) + 1
    assert not [camera for camera, count in cameras.items() if count > kept], cameras
    return sum(cameras.values())
