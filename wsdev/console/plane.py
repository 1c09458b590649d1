"""What the console's answers are made from: the gateway's parts, and its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from wsdev.command_desk import CommandDesk
from wsdev.console.away import Away
from wsdev.console.cameras import Cameras
from wsdev.console.feed import Feed
from wsdev.console.gate import Gate
from wsdev.hub import Hub
from wsdev.metrics import Metrics
from wsdev.settings import ServeSettings
from wsdev.tokens import TokenBook

READERS: Final = 2
"""Threads that read the journal for answers: what a console asks must not take all of a core."""

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class GatewayParts:
    """What the console needs of the gateway beside it.

    Attributes:
        health: ``ok``, ``degraded`` or ``draining``, and why.
        clock: Monotonic seconds.
        wall_clock: Unix seconds.
    """

    settings: ServeSettings
    book: TokenBook
    hub: Hub
    commands: CommandDesk
    metrics: Metrics
    folder: Path
    health: Callable[[], tuple[str, str]]
    clock: Callable[[], float]
    wall_clock: Callable[[], float]


@dataclass(frozen=True, slots=True)
class Plane:
    """The console's own parts beside the gateway's.

    Attributes:
        closing: Is set when the console ends; what lasts looks at it.
    """

    gateway: GatewayParts
    gate: Gate
    feed: Feed
    cameras: Cameras
    away: Away
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    threads: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(READERS, "console")
    )

    async def aside(self, work: Callable[[], _Result]) -> _Result:
        """Do what reads or writes files in a thread; the devices go on meanwhile."""
        return await asyncio.get_running_loop().run_in_executor(self.threads, work)

    def end_streams(self) -> None:
        """Let all that lasts end."""
        self.closing.set()
        self.cameras.close()
        self.feed.end()

    async def close(self) -> None:
        """The threads have ended when this returns."""
        await self.feed.close()
        await self.away.close()
        await asyncio.to_thread(self.threads.shutdown, cancel_futures=True)
