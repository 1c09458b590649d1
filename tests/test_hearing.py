from __future__ import annotations

import json

import pytest
from fake_gateways import LOOPBACK, upgrading
from websockets.asyncio.server import ServerConnection

from wsdev import client, hearing
from wsdev.errors import LinkCut, NotAllowed, ProtocolViolation, WsdevError
from wsdev.protocol import PICO, ConnectionAck
from wsdev.session import SessionPolicy
from wsdev.urls import GatewayAddress

WELCOME = json.dumps({
    "type": "connection_ack", "device": "kitchen", "session": "s", "server_time": 0.0,
    "ping_interval": 20, "max_message_bytes": 65536,
})  # fmt: skip


async def heard(*said: str, close: int = 0, patience: float = 5.0) -> ConnectionAck:
    """What a device hears whose hello is answered with these texts, and then a close code."""

    async def answer(connection: ServerConnection) -> None:
        await connection.recv()
        for text in said:
            await connection.send(text)
        if close:
            await connection.close(close, "so")
        await connection.wait_closed()

    async with upgrading(answer) as port:
        address = GatewayAddress(LOOPBACK, port)
        async with client.connect(address, PICO, "x", policy=SessionPolicy()) as connection:
            connection.session.hello("kitchen", "1")
            connection.flush()
            return await hearing.welcome(connection, patience)


async def test_answer_is_found_among_others() -> None:
    welcome = await heard('{"type":"ack","id":1}', '{"type":"news"}', WELCOME)
    assert (welcome.device, welcome.ping_interval) == ("kitchen", 20)


@pytest.mark.parametrize(
    ("said", "close", "kind"),
    [
        (["no json"], 0, ProtocolViolation),
        (['{"type":"error","code":"no","message":"\\u001b[31m"}'], 0, ProtocolViolation),
        ([], 4503, NotAllowed),
        ([], 1001, LinkCut),
    ],
)
async def test_trouble_is_an_error(said: list[str], close: int, kind: type[WsdevError]) -> None:
    with pytest.raises(WsdevError) as caught:
        await heard(*said, close=close)
    assert isinstance(caught.value, kind)
    assert "\x1b" not in caught.value.cause


async def test_silence_ends_with_the_patience() -> None:
    with pytest.raises(LinkCut) as caught:
        await heard('{"type":"ack","id":1}', patience=0.2)
    assert "no answer to the hello within 0.2 s" in caught.value.cause
