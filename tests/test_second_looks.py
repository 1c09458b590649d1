"""The looks for MQTT, TLS and plain HTTP; those for addresses and certificates follow below."""

from __future__ import annotations

import asyncio

import pytest
from fake_gateways import (
    LOOPBACK,
    Behaviour,
    Issuer,
    answer,
    be_ssh,
    closed_port,
    hang_up,
    serving,
    stay_silent,
)

from wsdev.diagnosis.facts import AddressFacts, Ending
from wsdev.http_look import Way
from wsdev.second_looks import PATIENCE, speaks_mqtt, speaks_tls, what_is_plain
from wsdev.urls import GatewayAddress


def way_to(port: int, *, tls: bool = False, path: str = "", patience: float = 0.5) -> Way:
    address = GatewayAddress(LOOPBACK, port, tls=tls, path=path)
    context = Issuer().trust() if tls else None
    return Way(address, AddressFacts(LOOPBACK, port), context, patience)


def replies(data: bytes) -> Behaviour:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(data)
        await writer.drain()

    return behave


async def test_broker_is_one_that_answers_connect_with_connack() -> None:
    heard: list[bytes] = []

    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readexactly(14))
        writer.write(b"\x20\x02\x00\x00")
        await writer.drain()

    async with serving(broker) as port:
        assert await speaks_mqtt(way_to(port))
    assert heard == [b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00"]


NOT_THAT = {
    "silent": stay_silent,
    "hangs up": hang_up,
    "ssh": be_ssh,
    "web": answer("200 OK", b""),
    "garbage": replies(b"\xff\x00"),
}


@pytest.mark.parametrize("kind", NOT_THAT)
async def test_others_speak_neither_mqtt_nor_tls(kind: str) -> None:
    async with serving(NOT_THAT[kind]) as port:
        assert not await speaks_mqtt(way_to(port))
        assert not await speaks_tls(way_to(port))


async def test_closed_port_speaks_nothing() -> None:
    way = way_to(closed_port())
    assert not await speaks_mqtt(way)
    assert not await speaks_tls(way)
    assert (await what_is_plain(way)).ended is Ending.RESET


async def test_tls_is_found_whoever_issued_the_certificate() -> None:
    async with serving(stay_silent, Issuer().context("elsewhere.example")) as port:
        assert await speaks_tls(way_to(port))


async def test_plain_look_asks_for_the_health_behind_the_prefix() -> None:
    heads: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await writer.drain()

    async with serving(listen) as port:
        found = await what_is_plain(way_to(port, tls=True, path="/devices"))
    assert found.answer is not None
    assert found.answer.status == 204
    assert heads[0].startswith(b"GET /devices/healthz HTTP/1.1\r\n")


async def test_second_looks_are_short_however_long_the_patience() -> None:
    loop = asyncio.get_running_loop()
    async with serving(stay_silent) as port:
        started = loop.time()
        await asyncio.gather(
            speaks_mqtt(way_to(port, patience=600)), speaks_tls(way_to(port, patience=600))
        )
    assert loop.time() - started < 3 * PATIENCE
