"""What is measured, and how: each measure runs its servers in turn, round after round."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from statistics import median
from typing import Final

from benchmarks.figures import Figure, Report
from benchmarks.load import (
    MESSAGE_BYTES,
    be_refused,
    connected_devices,
    exchange,
    open_devices,
    reset,
    say_hello,
    telemetry,
    text_frame,
    upgrade_request,
)
from benchmarks.servers import Server, bare_server, wsdev_gateway
from wsdev.token_format import new_token

Start = Callable[[int], AbstractContextManager[Server]]

WSDEV: Final = "wsdev"
BARE_JSON: Final = "websockets asyncio server, json"
BARE_MSGSPEC: Final = "websockets asyncio server, uvloop, msgspec"

IDLE_TARGET: Final = 8.0
"""KB of resident memory per idle device: what the gateway has to keep to."""

IDLE_REFERENCE: Final = {
    "FastAPI on uvicorn": 31.0,
    "websockets asyncio server": 16.0,
    "aiohttp": 14.0,
    "Node.js, ws": 10.0,
    "websockets Sans-I/O in an asyncio.Protocol": 5.7,
    "uWebSockets": 5.2,
}
"""KB per idle connection, measured earlier on a machine of this kind."""

IDLE_WARM_UP: Final = 20
"""Connections before the first figure, for imports and caches. Few, since the devices that count
take the memory that these leave free."""

IDLE_SECONDS: Final = 2.0
"""Of watching: many sweeps of the gateway, and less than the silence after which any peer pings."""


def _gateway(*options: str) -> Start:
    return lambda core: wsdev_gateway(core, *options)


def _bare(kind: str) -> Start:
    return lambda core: bare_server(core, kind)


# Memory of idle devices


def measure_idle(core: int, *, rounds: int, devices: int) -> Report:
    """Memory and CPU of devices that are let in, have said hello, and are silent.

    A new process each time: one that was used before has free memory to give.
    """
    servers = {
        WSDEV: (_gateway("--log-level", "warning"), b'"connection_ack"'),
        BARE_MSGSPEC: (_bare("uvloop"), b'"ack"'),
        BARE_JSON: (_bare("asyncio"), b'"ack"'),
    }
    memory = {name: Figure() for name in servers}
    cpu = {name: Figure() for name in servers}
    for _ in range(rounds):
        for name, (start, hello_answer) in servers.items():
            with start(core) as server:
                kb, percent = _cost_of_idle_devices(server, devices, hello_answer)
                memory[name].add(kb)
                cpu[name].add(percent)
    rows = [[name, str(memory[name]), str(cpu[name]), "this run"] for name in servers]
    rows += [[name, f"{kb:.1f}", "", "earlier"] for name, kb in IDLE_REFERENCE.items()]
    kept = "kept" if memory[WSDEV].median <= IDLE_TARGET else "NOT KEPT"
    return Report(
        f"{devices} idle devices: KB of resident memory for each, % of a core for all",
        ["server", "KB", "% of a core", "measured"],
        rows,
        [f"Target for wsdev: at most {IDLE_TARGET:.0f} KB: {kept}."],
    )


def _cost_of_idle_devices(server: Server, devices: int, hello_answer: bytes) -> tuple[float, float]:
    with connected_devices(server, IDLE_WARM_UP) as sockets:
        say_hello(sockets, hello_answer)
    before = server.resident_kb()
    with connected_devices(server, devices) as sockets:
        say_hello(sockets, hello_answer)
        kb = (server.resident_kb() - before) / devices
        started = server.cpu_seconds()
        time.sleep(IDLE_SECONDS)
        return kb, (server.cpu_seconds() - started) / IDLE_SECONDS * 100


# CPU of handshakes

LET_IN: Final = "let in"
LEFT: Final = "left again"


def measure_handshakes(core: int, *, rounds: int, handshakes: int) -> Report:
    """CPU time per handshake: let in (connection and token check to 101), left, refused.

    One more round comes first and does not count, for imports, caches and the interpreter.
    A refusal counts from the connection to its end, so it is compared, round by round, with one let
    in and its leaving. Both gateways have the limit of wrong tokens off, or all but ten a minute
    would be 429.
    """
    no_limit = ("--limit", "wrong_tokens_per_minute=0")
    servers = {
        "wsdev, silent": _gateway(*no_limit, "--log-level", "error"),
        "wsdev, a log line each": _gateway(*no_limit, "--log-level", "info"),
        BARE_MSGSPEC: _bare("uvloop"),
    }
    figures: dict[tuple[str, str], Figure] = {}
    with ExitStack() as stack:
        running = {name: stack.enter_context(start(core)) for name, start in servers.items()}
        for server in running.values():
            _cpu_of_handshakes(server, handshakes)
        for _ in range(rounds):
            for name, server in running.items():
                for what, micros in _cpu_of_handshakes(server, handshakes).items():
                    figures.setdefault((what, name), Figure()).add(micros)
    whats = list(dict.fromkeys(what for what, _ in figures))
    rows = [
        [what, *(str(figures.get((what, name), "no such thing")) for name in servers)]
        for what in whats
    ]
    return Report(
        f"µs of CPU per handshake, {handshakes} in a round",
        ["handshake", *servers],
        rows,
        [_compare_refusals(figures, name) for name in servers if ("wrong token", name) in figures],
    )


def _compare_refusals(figures: dict[tuple[str, str], Figure], name: str) -> str:
    let_in, left = figures[LET_IN, name].rounds, figures[LEFT, name].rounds
    lives = [entry + exit_ for entry, exit_ in zip(let_in, left, strict=True)]
    ratios = [
        f"{what} {median(r / life for r, life in zip(figure.rounds, lives, strict=True)):.2f}"
        for (what, where), figure in figures.items()
        if where == name and what not in {LET_IN, LEFT}
    ]
    return f"{name}: a refusal for one let in and left again: {', '.join(ratios)}."


def _cpu_of_handshakes(server: Server, count: int) -> dict[str, float]:
    at_rest = server.open_files()
    micros = {}

    def measured(what: str, work: Callable[[], None]) -> None:
        before = server.cpu_seconds()
        work()
        micros[what] = (server.cpu_seconds() - before) / count * 1e6

    def leave() -> None:
        reset(devices)
        server.wait_for_open_files(at_rest)

    def refuse(request: bytes, status: int) -> None:
        be_refused(server, request, status, count)
        server.wait_for_open_files(at_rest)

    devices: list[socket.socket] = []
    try:
        measured(LET_IN, lambda: open_devices(server, count, devices))
    except BaseException:
        reset(devices)
        raise
    measured(LEFT, leave)
    if server.token:
        unknown = upgrade_request(server, new_token("pico"))
        measured("wrong token", lambda: refuse(unknown, 401))
        measured("no token", lambda: refuse(upgrade_request(server, ""), 401))
        no_class = upgrade_request(server, server.token, "/ws/toaster")
        measured("unknown path", lambda: refuse(no_class, 404))
    return micros


# CPU of messages


def measure_messages(core: int, *, rounds: int, devices: int, messages: int) -> Report:
    """CPU time per telemetry message and its ack, one in flight on each connection.

    One more round comes first and does not count.
    """
    no_limit = ("--limit", "messages_per_minute=0")
    servers = {
        WSDEV: _gateway(*no_limit, "--log-level", "warning"),
        BARE_MSGSPEC: _bare("uvloop"),
        BARE_JSON: _bare("asyncio"),
    }
    figures = {name: Figure() for name in servers}
    ratios = {name: Figure() for name in servers}
    with ExitStack() as stack:
        running = {name: stack.enter_context(start(core)) for name, start in servers.items()}
        for server in running.values():
            _cpu_of_messages(server, devices, messages)
        for _ in range(rounds):
            micros = {
                name: _cpu_of_messages(server, devices, messages)
                for name, server in running.items()
            }
            for name, value in micros.items():
                figures[name].add(value)
                ratios[name].add(value / micros[WSDEV])
    return Report(
        f"µs of CPU per acknowledged message of {MESSAGE_BYTES} bytes, {devices} devices",
        ["server", "median (range)", "times wsdev"],
        [[name, str(figures[name]), f"{ratios[name].median:.2f}"] for name in servers],
    )


def _cpu_of_messages(server: Server, devices: int, messages: int) -> float:
    frames = [text_frame(telemetry(number)) for number in range(messages)]
    with connected_devices(server, devices) as sockets:
        before = server.cpu_seconds()
        exchange(sockets, frames)
        return (server.cpu_seconds() - before) / messages * 1e6
