"""The event loop of a gateway and of a fleet."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys

import pytest

from wsdev import event_loop


async def module_of_the_loop() -> str:
    return type(asyncio.get_running_loop()).__module__


def test_uvloop_is_taken_where_it_is() -> None:
    assert event_loop.run(module_of_the_loop()).startswith("uvloop")


def test_without_uvloop_it_is_asyncios_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)  # as if it could not be imported
    assert event_loop.run(module_of_the_loop()).startswith("asyncio")


class Turns:
    """Counts the turns of the running loop for as long as it is not stopped."""

    def __init__(self) -> None:
        self.count = 0
        self.is_over = False
        self._count()

    def _count(self) -> None:
        self.count += 1
        if not self.is_over:
            asyncio.get_running_loop().call_soon(self._count)


async def turns_of_a_storm(size: int) -> list[int]:
    """In which turns connections are made that all waited at the door."""
    made: list[int] = []
    all_made = asyncio.Event()

    class Newcomer(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            made.append(turns.count)
            if len(made) == size:
                all_made.set()

    with contextlib.ExitStack() as stack:
        door = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=size))
        for _ in range(size):
            stack.enter_context(socket.create_connection(door.getsockname()))
        turns = Turns()
        loop = asyncio.get_running_loop()
        async with await loop.create_server(Newcomer, sock=door, backlog=size):
            await all_made.wait()
        turns.is_over = True
    return made


def test_storm_of_connections_leaves_turns_for_the_others() -> None:
    made = event_loop.run(turns_of_a_storm(20))
    assert len(set(made)) == 20
