"""The talk by itself; with real gateways and bad paths it is in test_bad_paths.py and others."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from fake_gateways import LOOPBACK, say_nothing, upgrading
from harness import running_gateway
from websockets.asyncio.server import ServerConnection

from wsdev import client
from wsdev.diagnosis.facts import Quality, TalkTrouble
from wsdev.limits import Limits
from wsdev.probe_talk import IN_VAIN_AT_MOST, KEPT, Talk
from wsdev.protocol import ESP32CAM, PICO, DeviceClass
from wsdev.session import SessionPolicy
from wsdev.target import Target
from wsdev.urls import GatewayAddress

SOON = 0.3

NO_QUALITY = Quality()


@asynccontextmanager
async def talking(
    port: int,
    *,
    device_class: DeviceClass = PICO,
    token: str | None = None,
    quality: Quality = NO_QUALITY,
    patience: float = SOON,
    policy: SessionPolicy | None = None,
) -> AsyncIterator[Talk]:
    """A talk on an open connection."""
    address = GatewayAddress(LOOPBACK, port)
    target = Target(address, device_class, "kitchen", patience=patience)
    policy = policy or SessionPolicy(Limits(linger=0.1))
    async with client.connect(address, device_class, token, policy=policy) as connection:
        yield Talk(connection, target, quality, token)


def welcome() -> str:
    return json.dumps({
        "type": "connection_ack", "device": "kitchen", "session": "s", "server_time": 5.0,
        "ping_interval": 20, "max_message_bytes": 65536,
    })  # fmt: skip


def after_welcome(
    then: Callable[[ServerConnection], Awaitable[None]],
) -> Callable[[ServerConnection], Awaitable[None]]:
    """A server that says welcome and then does as told."""

    async def talk(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.send(welcome())
        await then(connection)

    return talk


async def test_all_that_is_said_is_counted(tmp_path: Path) -> None:
    async with (
        running_gateway(tmp_path) as gateway,
        talking(gateway.port, token=gateway.token(), patience=20) as talk,
    ):
        await talk.hello()
        assert await talk.send_picture() == 0
        await talk.send(2)
        await talk.send_large(5000)
        await talk.ping(3)
        talk.finish()
    facts = talk.facts
    assert (facts.device, facts.ping_interval, facts.trouble) == ("kitchen", 20.0, None)
    assert (facts.messages_acked, facts.large_size, facts.lost) == (3, 5000, 0)
    assert len(facts.round_trips) == 5
    assert facts.lasted is not None
    assert facts.bytes_sent > 5000
    assert talk.told(2, 0) == "2 of 2 acknowledged, and one of 5,000 bytes"
    assert talk.told(2, 1234).startswith("a picture of 1,234 bytes; ")


async def test_camera_sends_a_picture(tmp_path: Path) -> None:
    async with (
        running_gateway(tmp_path) as gateway,
        talking(
            gateway.port, device_class=ESP32CAM, token=gateway.token("esp32cam"), patience=20
        ) as talk,
    ):
        await talk.hello()
        assert await talk.send_picture() > 1000
        await talk.send(1)
    assert talk.facts.messages_acked == 1


async def test_large_message_stays_under_the_limit_of_the_class(tmp_path: Path) -> None:
    async with (
        running_gateway(tmp_path) as gateway,
        talking(gateway.port, token=gateway.token(), patience=20) as talk,
    ):
        await talk.hello()
        await talk.send_large(10_000_000)
        assert talk.facts.large_size == PICO.max_message - 512
        await talk.send_large(0)
    assert (talk.facts.messages_acked, talk.facts.trouble) == (1, None)


async def test_after_trouble_nothing_more_is_said() -> None:
    heard = 0

    async def listen(connection: ServerConnection) -> None:
        nonlocal heard
        async for _ in connection:
            heard += 1

    async with upgrading(listen) as port, talking(port) as talk:
        await talk.hello()
        assert talk.facts.trouble is TalkTrouble.UNANSWERED
        assert await talk.send_picture() == 0
        await talk.send(5)
        await talk.send_large(100)
        await talk.ping(5)
    assert heard == 1
    assert talk.facts.doing == "hello"
    assert talk.facts.detail == f"no answer to the hello within {SOON} s"


async def test_strange_words_instead_of_a_welcome_are_told_short() -> None:
    async def chat(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.send(json.dumps({"type": "chat", "text": "x" * 5000}))
        await connection.send(b"later")
        await connection.wait_closed()

    async with upgrading(chat) as port, talking(port) as talk:
        await talk.hello()
    assert talk.facts.trouble is TalkTrouble.WORDS
    assert 'it says instead: {"type": "chat"' in talk.facts.detail
    assert len(talk.facts.detail) < KEPT + 200


async def test_ack_of_another_message_is_no_answer() -> None:
    async def lie(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.send('{"type":"ack","id":"another"}')
        await connection.wait_closed()

    async with upgrading(after_welcome(lie)) as port, talking(port) as talk:
        await talk.hello()
        await talk.send(1)
    assert (talk.facts.trouble, talk.facts.messages_acked) == (TalkTrouble.UNANSWERED, 0)


async def test_losses_that_are_allowed_are_counted_until_all_is_in_vain() -> None:
    wanted = Quality(max_loss=0.5)
    async with (
        upgrading(after_welcome(say_nothing)) as port,
        talking(port, quality=wanted) as talk,
    ):
        await talk.hello()
        await talk.send(IN_VAIN_AT_MOST - 1)
        assert (talk.facts.lost, talk.facts.trouble) == (IN_VAIN_AT_MOST - 1, None)
        await talk.send(1)
    assert talk.facts.trouble is TalkTrouble.UNANSWERED


async def test_answer_between_two_losses_begins_the_count_anew() -> None:
    async def every_other(connection: ServerConnection) -> None:
        number = 0
        async for text in connection:
            number += 1
            if number % 3 == 0:
                await connection.send(json.dumps({"type": "ack", "id": json.loads(text)["id"]}))

    wanted = Quality(max_loss=0.9)
    async with upgrading(after_welcome(every_other)) as port, talking(port, quality=wanted) as talk:
        await talk.hello()
        await talk.send(6)
    assert (talk.facts.lost, talk.facts.messages_acked, talk.facts.trouble) == (4, 2, None)


@pytest.mark.parametrize("quality", [Quality(), Quality(max_loss=0.9)])
async def test_cut_is_told_with_silence_and_traffic(quality: Quality) -> None:
    async def cut(connection: ServerConnection) -> None:
        await connection.recv()
        connection.transport.abort()

    async with (
        upgrading(after_welcome(cut)) as port,
        talking(port, quality=quality, patience=20) as talk,
    ):
        await talk.hello()
        await talk.send(1)
    assert (talk.facts.trouble, talk.facts.close_code) == (TalkTrouble.CUT, None)
    assert talk.facts.silent_for is not None
    assert talk.facts.bytes_received > 0


async def test_our_own_giving_up_is_not_blamed_on_the_words_of_the_other_end() -> None:
    policy = SessionPolicy(Limits(linger=0.1), ping_after=0.1, dead_after=0.3)

    async def freeze(connection: ServerConnection) -> None:
        connection.transport.pause_reading()
        await connection.wait_closed()

    async with (
        upgrading(after_welcome(freeze), close_timeout=0.1) as port,
        talking(port, patience=30, policy=policy) as talk,
    ):
        await talk.hello()
        await talk.send(1)
    assert talk.facts.trouble is TalkTrouble.UNANSWERED
    assert "no sign of life" in talk.facts.detail


async def test_frames_against_the_protocol_are_told() -> None:
    async def break_it(connection: ServerConnection) -> None:
        connection.transport.write(b"\xff\x00")
        await connection.wait_closed()

    async with upgrading(after_welcome(break_it)) as port, talking(port, patience=20) as talk:
        await talk.hello()
        await talk.send(1)
    assert talk.facts.trouble is TalkTrouble.WORDS
    assert "its frames break RFC 6455" in talk.facts.detail
