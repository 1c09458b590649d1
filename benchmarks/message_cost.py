"""What a message costs: telemetry with and without an ack, and pictures."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import count
from typing import Final

from benchmarks.contestants import (
    AIOHTTP,
    FASTAPI,
    NO_MESSAGE_LIMIT,
    NODE,
    UNJOURNALLED,
    UWEBSOCKETS,
    WSDEV,
    everybody,
)
from benchmarks.dialects import MESSAGE_BYTES, PICTURE_BYTES, UNACKED_BYTES
from benchmarks.figures import Figure, Result, Table, Target
from benchmarks.load import connected_devices, exchange, pace
from benchmarks.scale import Scale
from benchmarks.servers import Server
from benchmarks.turns import Turns, take_turns

MICROS: Final = "µs of CPU per message"

Bound = tuple[str, str, float]
"""Who may cost how many times what another one costs."""

TARGETS_OF_TELEMETRY: Final[Sequence[Bound]] = (
    (WSDEV, AIOHTTP, 1.0),
    (WSDEV, NODE, 1.0),
    (WSDEV, FASTAPI, 0.45),
    (UNJOURNALLED, UWEBSOCKETS, 1.5),
)

DISTINCT_PICTURES: Final = 64
"""Frames made in advance; a device has no two of them under way with one packet id."""


def measure_telemetry(core: int, scale: Scale) -> Result:
    """CPU time per telemetry message and its ack, one in flight on each connection."""
    numbers = count()
    turns = _measure(
        core, scale, lambda server: acked_micros(server, scale.devices, scale.messages, numbers)
    )
    title = (
        f"Telemetry of {MESSAGE_BYTES} bytes, acknowledged: µs of CPU per message,"
        f" {scale.devices} devices, one in flight each"
    )
    targets = [
        _target("telemetry", turns, name, other, most) for name, other, most in TARGETS_OF_TELEMETRY
    ]
    return _result(turns, title, "Telemetry, acknowledged", targets, TARGETS_OF_TELEMETRY)


def measure_unacked(core: int, scale: Scale) -> Result:
    """CPU time per telemetry message that has no id, at a steady rate."""
    turns = _measure(core, scale, partial(_unacked, scale=scale, numbers=count()))
    title = (
        f"Telemetry of {UNACKED_BYTES} bytes without ack: µs of CPU per message,"
        f" {scale.devices} devices, {scale.unacked_rate} a second in all"
    )
    return _result(turns, title, "Telemetry without ack")


def measure_pictures(core: int, scale: Scale) -> Result:
    """CPU time per picture, at a steady rate."""
    turns = _measure(core, scale, partial(_pictures, scale=scale, numbers=count()))
    title = (
        f"Pictures of {PICTURE_BYTES // 1024} KB: µs of CPU per picture,"
        f" {scale.devices} devices, {scale.picture_rate} a second in all"
    )
    bound = (WSDEV, AIOHTTP, 1.0)
    target = _target("pictures", turns, *bound)
    return _result(turns, title, f"Pictures of {PICTURE_BYTES // 1024} KB", [target], [bound])


def _measure(core: int, scale: Scale, micros: Callable[[Server], float]) -> Turns:
    return take_turns(
        everybody(*NO_MESSAGE_LIMIT),
        core,
        scale.rounds,
        lambda server: {MICROS: micros(server)},
    )


def _target(workload: str, turns: Turns, name: str, other: str, most: float) -> Target:
    what = f"{workload}: {name}, times {other}"
    return Target(what, most, "", turns.ratio(MICROS, name, other))


def _result(
    turns: Turns,
    title: str,
    panel: str,
    targets: Sequence[Target] = (),
    bounds: Sequence[Bound] = (),
) -> Result:
    columns = ["server", "median (range)", f"times {WSDEV}"]
    table = Table(title, columns, turns.rows(MICROS, compare=WSDEV))
    marks: dict[str, float] = {}
    for name, other, most in bounds:
        figure = turns.figure(MICROS, other)
        if isinstance(figure, Figure):
            marks[name] = min(most * figure.median, marks.get(name, math.inf))
    return Result([table], targets, [turns.panel(panel, "µs", MICROS, marks)])


def acked_micros(server: Server, devices: int, amount: int, numbers: Iterator[int]) -> float:
    """µs of CPU for each of so many telemetry messages, one in flight on each connection."""
    frames = [server.dialect.acked(next(numbers)) for _ in range(amount)]
    with connected_devices(server, devices) as sockets:
        before = server.cpu_seconds()
        exchange(sockets, frames, server.dialect.ack)
        return (server.cpu_seconds() - before) / len(frames) * 1e6


def _unacked(server: Server, scale: Scale, numbers: count[int]) -> float:
    """A message with an ack ends what each device says, and counts as one of them."""
    amount = scale.messages // 2
    frames = [server.dialect.unacked()] * (amount // scale.devices * scale.devices)
    return _paced(
        server,
        frames,
        devices=scale.devices,
        answers=0,
        rate=scale.unacked_rate,
        numbers=numbers,
    )


def _pictures(server: Server, scale: Scale, numbers: count[int]) -> float:
    """The same; the gateway acknowledges no pictures, the others do."""
    made = [server.dialect.picture(number) for number in range(DISTINCT_PICTURES)]
    amount = scale.pictures // scale.devices * scale.devices
    frames = [made[number % len(made)] for number in range(amount)]
    answers = amount if server.dialect.acks_pictures else 0
    return _paced(
        server,
        frames,
        devices=scale.devices,
        answers=answers,
        rate=scale.picture_rate,
        numbers=numbers,
    )


def _paced(
    server: Server,
    frames: list[bytes],
    *,
    devices: int,
    answers: int,
    rate: int,
    numbers: count[int],
) -> float:
    last_words = [server.dialect.acked(next(numbers)) for _ in range(devices)]
    with connected_devices(server, devices) as sockets:
        before = server.cpu_seconds()
        pace(
            sockets,
            frames + last_words,
            ack=server.dialect.ack,
            answers=answers + devices,
            rate=rate,
        )
        return (server.cpu_seconds() - before) / (len(frames) + devices) * 1e6
