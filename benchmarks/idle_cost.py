"""What a silent device costs: resident memory, and CPU time."""

from __future__ import annotations

import time
from functools import partial
from typing import Final

from benchmarks.contestants import WSDEV, bare_peers, broker, gateway, not_compiled
from benchmarks.figures import Result, Table
from benchmarks.load import connected_devices, say_hello
from benchmarks.scale import Scale
from benchmarks.servers import Server
from benchmarks.turns import start_anew

TARGET_KB: Final = 8.0

WARM_UP: Final = 20
"""Connections before the first figure, for imports and caches. Few, since the devices that count
take the memory that these leave free."""

SECONDS: Final = 2.0
"""Of watching: many sweeps of the gateway, and less than the silence after which any peer pings."""

_KB: Final = "KB"
_PERCENT: Final = "% of a core"


def measure_idle(core: int, scale: Scale) -> Result:
    """Memory and CPU of devices that are let in, have said hello, and are silent.

    A new process each time: one that was used before has free memory to give.
    """
    contestants = [gateway(), *not_compiled(), *bare_peers(), broker()]
    turns = start_anew(contestants, core, scale.rounds, partial(_idle, devices=scale.idle_devices))
    table = Table(
        f"{scale.idle_devices} idle devices: KB of resident memory for each, CPU for all",
        ["server", _KB, _PERCENT],
        turns.rows(_KB, _PERCENT),
    )
    target = turns.target("memory of an idle device", TARGET_KB, _KB, _KB, WSDEV)
    panel = turns.panel("Memory of an idle device", _KB, _KB, {WSDEV: TARGET_KB})
    return Result([table], [target], [panel])


def _idle(server: Server, devices: int) -> dict[str, float]:
    with connected_devices(server, WARM_UP) as sockets:
        say_hello(server, sockets)
    before = server.resident_kb()
    with connected_devices(server, devices) as sockets:
        say_hello(server, sockets)
        kb = (server.resident_kb() - before) / devices
        started = server.cpu_seconds()
        time.sleep(SECONDS)
        return {_KB: kb, _PERCENT: (server.cpu_seconds() - started) / SECONDS * 100}
