"""The relay that imitates bad paths does what its rules say, and nothing else."""

from __future__ import annotations

import asyncio

import pytest
from fake_gateways import LOOPBACK, serving
from harness import frame
from relay import PING, Rules, every, frames_of, frames_over, relaying

HEAD = b"GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n"
PLAIN = b"GET / HTTP/1.1\r\n\r\n"


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


async def through(rules: Rules, *said: bytes, wait_for: int | None = None) -> bytes:
    """What comes back of ``said``: until the end, or so many bytes."""
    async with serving(echo) as target, relaying(target, rules) as port:
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
        for part in said:
            writer.write(part)
            await writer.drain()
        try:
            return await (reader.read() if wait_for is None else reader.readexactly(wait_for))
        finally:
            writer.transport.abort()


async def test_without_rules_all_is_carried() -> None:
    assert await through(Rules(), HEAD, b"more", wait_for=len(HEAD) + 4) == HEAD + b"more"


async def test_cut_after_bytes_ends_there() -> None:
    assert await through(Rules(cut_after_down=10), HEAD) == HEAD[:10]


async def test_plain_requests_are_left_alone_unless_told_otherwise() -> None:
    rules = Rules(cut_after_down=10)
    assert await through(rules, PLAIN, wait_for=len(PLAIN)) == PLAIN
    assert await through(Rules(only_upgrades=False, cut_after_down=10), PLAIN) == PLAIN[:10]


async def test_reset_is_a_reset() -> None:
    with pytest.raises(ConnectionResetError):
        await through(Rules(cut_after=0.0, reset=True), HEAD)


async def test_silence_is_cut_and_talk_is_not() -> None:
    assert await through(Rules(cut_when_idle=0.3), HEAD, b"more") == HEAD + b"more"


async def test_what_is_held_back_comes_once_it_is_enough() -> None:
    rules = Rules(hold_up=len(HEAD) + 5)
    assert await through(rules, HEAD, b"1234", b"5", wait_for=len(HEAD) + 5) == HEAD + b"12345"


async def test_dropped_frames_are_missing_and_others_are_whole() -> None:
    small, large, ping = frame(1, b"ab"), frame(1, b"x" * 300), frame(PING, b"")
    kept = HEAD + small + ping
    rules = Rules(drop_up=frames_over(200))
    assert (
        await through(rules, HEAD + small + large[:9], large[9:] + ping, wait_for=len(kept)) == kept
    )
    kept = HEAD + small + large
    rules = Rules(drop_up=frames_of(PING))
    assert await through(rules, HEAD, ping + small + ping, large, wait_for=len(kept)) == kept


def test_every_drops_each_so_manieth_of_that_kind() -> None:
    drop = every(2, PING)
    assert [drop(PING, 0), drop(1, 0), drop(PING, 0), drop(PING, 0)] == [False, False, True, False]
