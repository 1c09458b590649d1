"""Who is measured: the gateway, bare peers, a broker; and which of them cannot be had here."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from benchmarks.broker import PROGRAM as BROKER
from benchmarks.broker import mosquitto
from benchmarks.dialects import Dialect
from benchmarks.servers import WSDEV_PROGRAM, Server, child, lines_until, wsdev_gateway
from wsdev.compilation import is_compiled

Start = Callable[[int], AbstractContextManager[Server]]
"""Starts a server on that core."""

WSDEV: Final = "wsdev"
NOT_COMPILED: Final = "wsdev, not compiled"
UNJOURNALLED: Final = "wsdev without journal"
FASTAPI: Final = "FastAPI on uvicorn"
WEBSOCKETS_JSON: Final = "websockets, asyncio, json"
WEBSOCKETS_UVLOOP: Final = "websockets, uvloop, msgspec"
AIOHTTP: Final = "aiohttp, uvloop, msgspec"
NODE: Final = "Node.js ws"
UWEBSOCKETS: Final = "uWebSockets (Bun)"
MOSQUITTO: Final = "Mosquitto"

FOLDER: Final = Path(__file__).parent
NODE_MODULES: Final = FOLDER / "node_modules"


@dataclass(frozen=True, slots=True)
class Contestant:
    """A server that can be measured.

    Attributes:
        name: As in the tables.
        absent: Why it cannot be had here; empty if it can.
        is_ours: The gateway; without it there is nothing to compare with.
    """

    name: str
    start: Start
    absent: str = ""
    is_ours: bool = False


@contextmanager
def _bare_peer(core: int, command: Sequence[str | Path]) -> Iterator[Server]:
    with child(command, core) as process:
        port = lines_until(process.stdout, str.isdecimal)[-1]
        yield Server(process, int(port), Dialect())


def _python_peer(name: str, program: str, *arguments: str, needs: Sequence[str] = ()) -> Contestant:
    command = (sys.executable, "-m", f"benchmarks.bare.{program}", *arguments)
    missing = [package for package in needs if find_spec(package) is None]
    absent = f"no {' and no '.join(missing)} here" if missing else ""
    return Contestant(name, partial(_bare_peer, command=command), absent)


def _node() -> Contestant:
    program = shutil.which("node")
    absent = "no Node.js here" if program is None else ""
    if not absent and not (NODE_MODULES / "ws").is_dir():
        absent = "no package ws here"
    command = (program or "node", FOLDER / "bare" / "ws_server.mjs")
    return Contestant(NODE, partial(_bare_peer, command=command), absent)


def bun_program() -> Path | None:
    """Bun as npm installed it: moved by the package's own script, or left where it came."""
    for pattern in (".bin/bun", "@oven/bun-*/bin/bun"):
        for found in sorted(NODE_MODULES.glob(pattern)):
            return found
    return None


def _bun() -> Contestant:
    program = bun_program()
    absent = "no package bun here" if program is None else ""
    command = (program or "bun", FOLDER / "bare" / "bun_server.mjs")
    return Contestant(UWEBSOCKETS, partial(_bare_peer, command=command), absent)


def gateway(
    *options: str,
    name: str = WSDEV,
    program: Sequence[str] = WSDEV_PROGRAM,
    from_source: bool = False,
) -> Contestant:
    """The gateway, which logs warnings only if the options do not say otherwise.

    Args:
        options: Of ``wsdev serve``.
        program, from_source: As :func:`benchmarks.servers.wsdev_gateway` takes them.
    """
    start = partial(
        wsdev_gateway,
        options=("--log-level", "warning", *options),
        program=program,
        from_source=from_source,
    )
    return Contestant(name, start, is_ours=True)


def not_compiled(*options: str) -> list[Contestant]:
    """The gateway as it is without a C compiler, beside the compiled one; else nobody."""
    return [gateway(*options, name=NOT_COMPILED, from_source=True)] if is_compiled() else []


def unjournalled(*options: str) -> Contestant:
    """The gateway that acknowledges what it has not recorded."""
    return gateway(*options, name=UNJOURNALLED, program=("benchmarks.unjournalled",))


WITH_CONSOLE: Final = ("--console", "--console-port", "0")
NO_MESSAGE_LIMIT: Final = ("--limit", "messages_per_minute=0")


def bare_peers() -> list[Contestant]:
    """Servers that do nothing but answer."""
    return [
        _python_peer(FASTAPI, "fastapi_server", needs=("fastapi", "uvicorn")),
        _python_peer(WEBSOCKETS_JSON, "websockets_server", "asyncio"),
        _python_peer(WEBSOCKETS_UVLOOP, "websockets_server", "uvloop"),
        _python_peer(AIOHTTP, "aiohttp_server", needs=("aiohttp",)),
        _node(),
        _bun(),
    ]


def broker() -> Contestant:
    """The product that a user would take instead."""
    absent = "" if shutil.which(BROKER) else "no Mosquitto here"
    return Contestant(MOSQUITTO, mosquitto, absent)


def everybody(*options: str) -> list[Contestant]:
    """The gateway with and without its journal, and all others; ``options`` of the gateway."""
    ours = [gateway(*options), unjournalled(*options), *not_compiled(*options)]
    return [*ours, *bare_peers(), broker()]
