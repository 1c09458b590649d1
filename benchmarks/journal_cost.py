"""What the journal costs: CPU time per acknowledged message, and bytes on disk."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from functools import partial
from itertools import count
from typing import Final

from benchmarks.contestants import NO_MESSAGE_LIMIT, UNJOURNALLED, gateway, unjournalled
from benchmarks.dialects import MESSAGE_BYTES
from benchmarks.figures import Figure, Result, Table, Target
from benchmarks.load import connected_devices, pace
from benchmarks.scale import Scale
from benchmarks.servers import Server
from benchmarks.turns import Turns, take_turns
from wsdev.journal_schema import FILE_NAME

FULL: Final = "wsdev, --journal-sync full"
NORMAL: Final = "wsdev, --journal-sync normal"

TARGET_MICROS: Final = 6.0
TARGET_BYTES: Final = 60.0

BURSTS: Final = (1, 10)
"""Messages that a device sends at once: one by one, and as after a pause in the Wi-Fi."""

_BYTES: Final = "bytes"


def measure_journal(core: int, scale: Scale) -> Result:
    """CPU time per telemetry message and its ack, at a steady rate, with and without a journal."""
    turns = take_turns(
        [
            unjournalled(*NO_MESSAGE_LIMIT),
            gateway(*NO_MESSAGE_LIMIT, name=FULL),
            gateway(*NO_MESSAGE_LIMIT, "--journal-sync", "normal", name=NORMAL),
        ],
        core,
        scale.rounds,
        partial(_measure, scale=scale, numbers=count()),
    )
    title = (
        f"Journal: µs of CPU per acknowledged message of {MESSAGE_BYTES} bytes,"
        f" {scale.devices} devices, {scale.journal_rate} a second in all"
    )
    rows = [
        [name, what, str(figure), f"{_more(turns, what, name).median:+.1f}"]
        for what in map(_at_once, BURSTS)
        for name, figure in turns.figures[what].items()
    ]
    added = turns.figures[_BYTES][FULL]
    table = Table(
        title,
        ["gateway", "a device sends", "median (range)", "more than without"],
        rows,
        [f"On disk a message takes {added.median:.0f} bytes more than its text."],
    )
    worst = max(
        (_more(turns, what, FULL) for what in map(_at_once, BURSTS)),
        key=lambda more: more.median,
    )
    return Result(
        [table],
        [
            Target("journal: CPU more than without", TARGET_MICROS, "µs", worst),
            Target("journal: on disk beyond a message's text", TARGET_BYTES, "bytes", added),
        ],
    )


def _at_once(burst: int) -> str:
    return f"{burst} at once"


def _more(turns: Turns, what: str, name: str) -> Figure:
    return turns.figures[what][name].minus(turns.figures[what][UNJOURNALLED])


def _measure(server: Server, scale: Scale, numbers: count[int]) -> dict[str, float]:
    """Each message has an id of its own, or it would be known as sent again."""
    given = {}
    for burst in BURSTS:
        frames = [server.dialect.acked(next(numbers)) for _ in range(scale.messages)]
        with connected_devices(server, scale.devices) as sockets:
            before = server.cpu_seconds()
            pace(
                sockets,
                frames,
                ack=server.dialect.ack,
                answers=len(frames),
                rate=scale.journal_rate,
                burst=burst,
            )
            given[_at_once(burst)] = (server.cpu_seconds() - before) / len(frames) * 1e6
    assert server.folder is not None
    journal = server.folder / FILE_NAME
    if journal.exists():
        given[_BYTES] = _bytes_per_message(f"file:{journal}?mode=ro") - MESSAGE_BYTES
    return given


def _bytes_per_message(journal: str) -> float:
    with closing(sqlite3.connect(journal, uri=True)) as db:
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
        (messages,) = db.execute("SELECT count(*) FROM messages").fetchone()
    return float(pages * size / messages)
