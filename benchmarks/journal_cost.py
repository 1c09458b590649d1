"""What the journal costs: CPU time per acknowledged message, and bytes on disk."""

from __future__ import annotations

import sqlite3
from contextlib import ExitStack, closing
from typing import Final

from benchmarks.figures import Figure, Report
from benchmarks.load import MESSAGE_BYTES, connected_devices, pace, telemetry, text_frame
from benchmarks.servers import BenchmarkError, Server, wsdev_gateway

WITHOUT: Final = "without a journal"
FULL: Final = "journal, --journal-sync full"
NORMAL: Final = "journal, --journal-sync normal"

TARGET_MICROS: Final = 6.0
TARGET_BYTES: Final = 60.0

_BURSTS: Final = (1, 10)
"""Messages that a device sends at once: one by one, and as after a pause in the Wi-Fi."""


def measure_journal(core: int, *, rounds: int, devices: int, messages: int, rate: int) -> Report:
    """CPU time per telemetry message and its ack, at a steady rate, with and without a journal.

    One more round comes first and does not count. Each message has an id of its own, or it would
    be known as sent again.
    """
    no_limit = ("--limit", "messages_per_minute=0", "--log-level", "warning")
    figures = {(name, burst): Figure() for burst in _BURSTS for name in (WITHOUT, FULL, NORMAL)}
    more = {key: Figure() for key in figures}
    number = 0
    with ExitStack() as stack:
        running = {
            WITHOUT: stack.enter_context(wsdev_gateway(core, *no_limit, journal=False)),
            FULL: stack.enter_context(wsdev_gateway(core, *no_limit)),
            NORMAL: stack.enter_context(wsdev_gateway(core, *no_limit, "--journal-sync", "normal")),
        }
        for counts in (False, *[True] * rounds):
            for burst in _BURSTS:
                frames = [text_frame(telemetry(number + n)) for n in range(messages)]
                number += messages
                micros = {
                    name: _cpu_of_messages(server, frames, devices, burst, rate)
                    for name, server in running.items()
                }
                for name, value in micros.items() if counts else ():
                    figures[name, burst].add(value)
                    more[name, burst].add(value - micros[WITHOUT])
        added = _bytes_per_message(running[FULL]) - MESSAGE_BYTES
    rows = [
        [f"{name}, {burst} at once", str(figure), f"{more[name, burst].median:+.1f}"]
        for (name, burst), figure in figures.items()
    ]
    most = max(more[FULL, burst].median for burst in _BURSTS)
    return Report(
        f"µs of CPU per acknowledged message of {MESSAGE_BYTES} bytes, {devices} devices,"
        f" {rate} messages a second in all",
        ["gateway", "median (range)", "more than without"],
        rows,
        [
            f"On disk a message takes {added:.0f} bytes more than its text.",
            f"Target: at most {TARGET_MICROS:.0f} µs more: {_kept(most <= TARGET_MICROS)}.",
            f"Target: at most {TARGET_BYTES:.0f} bytes more: {_kept(added <= TARGET_BYTES)}.",
        ],
    )


def _kept(is_kept: bool) -> str:
    return "kept" if is_kept else "NOT KEPT"


def _cpu_of_messages(
    server: Server, frames: list[bytes], devices: int, burst: int, rate: int
) -> float:
    with connected_devices(server, devices) as sockets:
        before = server.cpu_seconds()
        seconds = pace(sockets, frames, burst=burst, rate=rate)
        if seconds > 1.5 * len(frames) / rate:
            raise BenchmarkError(f"this machine does not do {rate} messages a second: try --rate")
        return (server.cpu_seconds() - before) / len(frames) * 1e6


def _bytes_per_message(server: Server) -> float:
    assert server.folder is not None
    with closing(sqlite3.connect(f"file:{server.folder}/journal.db?mode=ro", uri=True)) as db:
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
        (messages,) = db.execute("SELECT count(*) FROM messages").fetchone()
    return float(pages * size / messages)
