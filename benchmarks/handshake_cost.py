"""What it costs to let a device in, to see it go, and to refuse one."""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Final

from benchmarks.contestants import WSDEV, bare_peers, broker, gateway, not_compiled
from benchmarks.figures import Result, Table
from benchmarks.load import be_refused, open_devices, reset, settle, upgrade_request
from benchmarks.scale import Scale
from benchmarks.servers import Server
from benchmarks.turns import Turns, take_turns
from wsdev.token_format import new_token

TARGET_MICROS: Final = 200.0

LET_IN: Final = "let in"
LEFT: Final = "left again"
WRONG_TOKEN: Final = "wrong token"
NO_TOKEN: Final = "no token"
UNKNOWN_PATH: Final = "unknown path"

LOGGING: Final = "wsdev, a log line each"

_NO_LIMIT: Final = ("--limit", "wrong_tokens_per_minute=0")
"""Or all wrong tokens but ten a minute would get a 429."""


def measure_handshakes(core: int, scale: Scale) -> Result:
    """CPU time per handshake: let in, left, refused.

    A refusal counts from the connection to its end, so it is compared, round by round, with one let
    in and its leaving.
    """
    contestants = [
        gateway(*_NO_LIMIT),
        gateway(*_NO_LIMIT, "--log-level", "info", name=LOGGING),
        *not_compiled(*_NO_LIMIT),
        *bare_peers(),
        broker(),
    ]
    turns = take_turns(contestants, core, scale.rounds, partial(_storm, count=scale.handshakes))
    entries = Table(
        f"Handshakes: µs of CPU each, {scale.handshakes} in a storm",
        ["server", LET_IN, LEFT],
        turns.rows(LET_IN, LEFT),
    )
    target = turns.target(
        "handshake with token check and session row", TARGET_MICROS, "µs", LET_IN, WSDEV
    )
    panel = turns.panel("Handshake", "µs", LET_IN, {WSDEV: TARGET_MICROS})
    return Result([entries, _refusals(turns)], [target], [panel])


def _refusals(turns: Turns) -> Table:
    ours = [one.name for one in turns.contestants if one.is_ours]
    rows = [
        [what, *(_beside_a_visit(turns, what, name) for name in ours)]
        for what in (WRONG_TOKEN, NO_TOKEN, UNKNOWN_PATH)
    ]
    remark = "Behind the semicolon: for one let in and left again."
    return Table("Refusals: µs of CPU each", ["refused for", *ours], rows, [remark])


def _beside_a_visit(turns: Turns, what: str, name: str) -> str:
    refused, let_in, left = (turns.figures[it][name] for it in (what, LET_IN, LEFT))
    ratios = [
        refusal / (entry + exit_)
        for refusal, entry, exit_ in zip(refused.rounds, let_in.rounds, left.rounds, strict=True)
    ]
    return f"{refused}; {median(ratios):.2f}"


def _storm(server: Server, count: int) -> dict[str, float]:
    at_rest = server.open_sockets()
    micros = {}

    def measured(what: str, work: Callable[[], None]) -> None:
        before = server.cpu_seconds()
        work()
        micros[what] = (server.cpu_seconds() - before) / count * 1e6

    def enter() -> None:
        open_devices(server, count, devices)
        # Its message comes behind all session rows.
        settle(server, devices[-1], count)

    def leave() -> None:
        reset(devices)
        server.wait_for_sockets(at_rest)

    def refuse(request: bytes, status: int) -> None:
        be_refused(server, request, status, count)
        server.wait_for_sockets(at_rest)

    devices: list[socket.socket] = []
    try:
        measured(LET_IN, enter)
    except BaseException:
        reset(devices)
        raise
    measured(LEFT, leave)
    if server.token:
        unknown = upgrade_request(server, new_token("pico"))
        measured(WRONG_TOKEN, lambda: refuse(unknown, 401))
        measured(NO_TOKEN, lambda: refuse(upgrade_request(server, ""), 401))
        no_class = upgrade_request(server, server.token, "/ws/toaster")
        measured(UNKNOWN_PATH, lambda: refuse(no_class, 404))
    return micros
