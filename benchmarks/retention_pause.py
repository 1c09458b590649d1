"""How long acks wait while the journal deletes what is old, beside the same load without."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.dialects import telemetry
from benchmarks.figures import Figure, Result, Table, Target
from benchmarks.scale import Scale
from benchmarks.servers import on_core
from wsdev.journal import FileJournal
from wsdev.journal_group import SessionKey
from wsdev.journal_schema import FILE_NAME
from wsdev.protocol import MessageId
from wsdev.records import FROM_DEVICE, SessionStart

TARGET_MS: Final = 50.0
"""That deleting may hold up what is to be recorded."""

SECONDS: Final = 10.0
_TICK: Final = 0.01
_AT_ONCE: Final = 10_000
_TELEMETRY: Final = FROM_DEVICE["telemetry"]


class _Sender:
    """Sends messages, and notes when they are recorded."""

    def __init__(self, journal: FileJournal) -> None:
        self.waits: list[float] = []
        self._journal = journal
        self._sent: dict[MessageId, float] = {}
        self._key: SessionKey = journal.start_session(
            SessionStart(session="s", device="d", device_class="pico", address="192.0.2.1")
        )

    def send(self, number: int) -> None:
        """Record a message with an id of its own."""
        message = telemetry(number)
        message_id = str(message["id"])
        self._sent[message_id] = time.perf_counter()
        text = msgspec.json.encode(message)
        self._journal.record(self._key, _TELEMETRY, text, message_id, self)

    def recorded(self, rows: int, size: int, ids: Sequence[MessageId]) -> None:
        """Messages are on disk."""
        now = time.perf_counter()
        self.waits += [now - self._sent.pop(message_id) for message_id in ids]


def measure_retention(core: int, scale: Scale) -> Result:
    """Acks at a steady rate: first nothing is deleted, then nine tenths of a journal go.

    In this process, on the core of the servers.
    """
    rate = scale.journal_rate // 4
    with on_core(core), tempfile.TemporaryDirectory(prefix="wsdev-benchmark-") as folder:
        asyncio.run(_fill(Path(folder), scale.old_rows))
        size = (Path(folder) / FILE_NAME).stat().st_size
        still = asyncio.run(_load(Path(folder), 0, rate))
        busy = asyncio.run(_load(Path(folder), size // 10, rate))
    longest = Figure([max(busy[1], default=0.0) * 1e3])
    table = Table(
        f"Retention: ms until an ack, {rate} messages a second, journal of"
        f" {size / 1e6:.0f} MB at first",
        ["journal", "median", "99 %", "longest", "steps", "longest step"],
        [
            ["nothing to delete", *_shown(still[0]), "0", ""],
            ["nine tenths to delete", *_shown(busy[0]), str(len(busy[1])), str(longest)],
        ],
    )
    return Result([table], [Target("longest step of retention", TARGET_MS, "ms", longest)])


def _shown(waits: Sequence[float]) -> list[str]:
    ordered = sorted(waits)
    places = (len(ordered) // 2, len(ordered) * 99 // 100, len(ordered) - 1)
    return [f"{ordered[place] * 1e3:.1f}" for place in places]


async def _fill(folder: Path, rows: int) -> None:
    journal = FileJournal(folder, full_sync=False)
    journal.start(asyncio.get_running_loop().call_soon_threadsafe)
    sender = _Sender(journal)
    for number in range(rows):
        sender.send(number)
        if number % _AT_ONCE == 0:
            await _recorded(journal)
    await _recorded(journal)
    journal.close()


async def _load(folder: Path, most: int, rate: int) -> tuple[list[float], list[float]]:
    """Waits of the acks, and durations of the steps that deleted, in seconds."""
    steps: list[float] = []
    journal = FileJournal(folder, most=most, on_step=steps.append)
    journal.start(asyncio.get_running_loop().call_soon_threadsafe)
    sender = _Sender(journal)
    number = time.time_ns()  # ids that were not there before
    started = time.perf_counter()
    sent = 0
    while (elapsed := time.perf_counter() - started) < SECONDS:
        while sent < elapsed * rate:
            sender.send(number + sent)
            sent += 1
        await asyncio.sleep(_TICK)
    await _recorded(journal)
    journal.close()
    return sender.waits, steps


async def _recorded(journal: FileJournal) -> None:
    recorded = asyncio.Event()
    journal.when_recorded(recorded.set)
    await recorded.wait()
