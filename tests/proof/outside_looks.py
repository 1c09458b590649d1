"""What can be seen of a gateway from outside: its health, its answers to pings, its work."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Self

from insistent_device import PATIENCE

from wsdev.client import DeviceConnection, connect
from wsdev.events import Event, MessageReceived, PongReceived
from wsdev.protocol import PICO, Ping, Pong
from wsdev.session import SessionPolicy
from wsdev.urls import GatewayAddress

PAUSE = 0.05
"""Seconds between a pong and the next ping."""


async def health(port: int) -> tuple[int, dict[str, Any]]:
    """Status and body of ``/healthz``."""
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        await writer.wait_closed()
    told = json.loads(body)
    assert isinstance(told, dict)
    return int(head.split()[1]), told


def cpu_seconds(pid: int) -> float:
    """What a process has worked so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Pinger:
    """A device that has nothing to say but wants answers."""

    def __init__(self, link: DeviceConnection) -> None:
        self._link = link
        self.count = 0

    @classmethod
    @contextlib.asynccontextmanager
    async def connected(cls, address: GatewayAddress) -> AsyncIterator[Self]:
        """Connected as ``pinger``."""
        async with connect(address, PICO, None, policy=SessionPolicy()) as link:
            link.session.hello("pinger", "proof")
            link.flush()
            yield cls(link)
            assert link.closed is None

    async def ping_for(self, seconds: float) -> None:
        """Ping both as the protocol does and as firmware does, and miss no answer; at least once.

        Args:
            seconds: How long to go on.
        """
        ends = time.monotonic() + seconds
        while True:
            self.count += 1
            self._link.session.send(Ping(self.count))
            self._link.ping()
            async with asyncio.timeout(PATIENCE):
                missing = {Pong, PongReceived}
                while missing:
                    missing.discard(self._kind(await self._link.next_event()))
            if time.monotonic() >= ends:
                return
            await asyncio.sleep(PAUSE)

    def _kind(self, event: Event) -> type:
        assert self._link.closed is None, self._link.closed
        if not isinstance(event, MessageReceived):
            return type(event)
        if isinstance(event.message, Pong):
            assert event.message.timestamp == self.count
        return type(event.message)
