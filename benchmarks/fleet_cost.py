"""What a fleet of virtual devices costs: CPU time of its own process per acknowledged message.

The fleet runs in this process, which is pinned to the core of the load.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Final

from benchmarks.contestants import NO_MESSAGE_LIMIT, UNJOURNALLED, gateway, unjournalled
from benchmarks.figures import Bar, Figure, Panel, Result, Table, Target
from benchmarks.scale import Scale
from benchmarks.servers import DEVICE_CLASS, LOOPBACK, PATIENCE, BenchmarkError, Server
from benchmarks.turns import take_turns
from wsdev import event_loop
from wsdev.fleet import Fleet, Plan, Share, resolve
from wsdev.protocol import class_of
from wsdev.urls import GatewayAddress

TARGET_MICROS: Final = 40.0
"""With which one core drives 25,000 messages a second."""

RAMP: Final = 1000.0

_LOOK: Final = 0.01
"""Seconds between two looks at what the fleet has counted."""


def measure_fleet(core: int, scale: Scale) -> Result:
    """CPU time of the fleet per message and its ack, as fast as it goes and at a rate."""
    ways = {"max": 0.0, f"{scale.fleet_rate}/s": 1 / scale.fleet_rate}
    turns = take_turns(
        [unjournalled(*NO_MESSAGE_LIMIT), gateway(*NO_MESSAGE_LIMIT)],
        core,
        scale.rounds,
        partial(_measure, scale=scale, ways=ways),
    )
    figures = {
        (way, one.name): turns.figure(_micros(way), one.name)
        for way in ways
        for one in turns.contestants
    }
    rows = [
        [name, way, str(figure), _whole(turns.figure(_speed(way), name))]
        for (way, name), figure in figures.items()
    ]
    title = (
        f"Fleet: µs of CPU of its own process per acknowledged message, {scale.fleet_devices}"
        " devices"
    )
    table = Table(title, ["gateway", "`--rate`", "median (range)", "acknowledged a second"], rows)
    target = Target(
        "fleet: its own CPU per acknowledged message",
        TARGET_MICROS,
        "µs",
        figures["max", UNJOURNALLED],
    )
    bars = [
        Bar(
            f"{name}, {way}",
            figure,
            is_ours=True,
            most=TARGET_MICROS if (way, name) == ("max", UNJOURNALLED) else None,
        )
        for (way, name), figure in figures.items()
    ]
    return Result([table], [target], [Panel("A fleet's own CPU per message", "µs", bars)])


def _micros(way: str) -> str:
    return f"µs at {way}"


def _speed(way: str) -> str:
    return f"acks at {way}"


def _measure(server: Server, scale: Scale, ways: dict[str, float]) -> dict[str, float]:
    given = {}
    for way, interval in ways.items():
        at_rest = server.open_sockets()
        cpu, seconds = event_loop.run(_drive(server, scale, interval))
        server.wait_for_sockets(at_rest)
        given[_micros(way)] = cpu * 1e6
        given[_speed(way)] = 1 / seconds
    return given


def _whole(figure: Figure | str) -> str:
    return figure if isinstance(figure, str) else figure.text(0)


async def _drive(server: Server, scale: Scale, interval: float) -> tuple[float, float]:
    """Seconds per acknowledged message, of this process and by the clock, once all are in."""
    share = Share(class_of(DEVICE_CLASS), scale.fleet_devices, token=server.token)
    plan = Plan(
        address=GatewayAddress(LOOPBACK, server.port),
        shares=[share],
        name="",
        ramp=RAMP,
        interval=interval,
        patience=PATIENCE,
    )
    fleet = Fleet(plan, await resolve(plan.address))
    running = asyncio.create_task(fleet.run())
    figures = fleet.figures
    try:
        async with asyncio.timeout(PATIENCE):
            while figures.connected < scale.fleet_devices:  # noqa: ASYNC110
                await asyncio.sleep(_LOOK)
        cpu, started, acked = time.process_time(), time.monotonic(), figures.acked
        await asyncio.sleep(scale.fleet_seconds)
        taken = time.process_time() - cpu, time.monotonic() - started
        amount = figures.acked - acked
    except TimeoutError:
        raise BenchmarkError("the fleet does not get in") from None
    finally:
        fleet.finish()
        await running
    if not amount or figures.unacked or figures.errors:
        raise BenchmarkError(f"the fleet: {figures.unacked} not acked, {figures.errors} errors")
    return taken[0] / amount, taken[1] / amount
