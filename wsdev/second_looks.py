"""What a probe tries after a failure, to tell its cause. Short, harmless, never with a token."""

from __future__ import annotations

import asyncio
import ipaddress
from email.utils import parsedate_to_datetime
from typing import Final

from wsdev.certificate import seen_certificate, unverified_context
from wsdev.diagnosis.facts import Answer, Facts, HttpFacts, TlsFacts
from wsdev.http_look import Way, get, open_streams
from wsdev.protocol import DEFAULT_PORT, HEALTH_PATH
from wsdev.reach import open_socket, source_address

PATIENCE: Final = 3.0
"""Seconds for each, at most: a lost SYN or TLS segment may come a second time."""

# MQTT 3.1.1 section 3.1: CONNECT with a clean session, 60 s keepalive and an empty client id.
_MQTT_CONNECT: Final = bytes.fromhex("100c00044d5154540402003c0000")
_MQTT_CONNACK: Final = 0x20


async def who_else_listens(facts: Facts, patience: float) -> None:
    """After a refusal: is it the port, or the address?"""
    assert facts.name is not None
    patience = min(patience, PATIENCE)
    for address in facts.name.addresses:
        if await _takes(other := _other_loopback(address.ip), facts.port, patience):
            facts.second.loopback = other
            return
    if facts.port != DEFAULT_PORT:
        first = facts.name.addresses[0].ip
        facts.second.default_port = await _takes(first, DEFAULT_PORT, patience)


def _other_loopback(ip: str) -> str:
    """The loopback address where a server may listen instead; empty for another host's address."""
    address = ipaddress.ip_address(ip)
    if address.is_loopback:
        return "127.0.0.1" if address.version == 6 else "::1"
    if source_address(ip) == ip:  # one of this host's own
        return "127.0.0.1"
    return ""


async def _takes(ip: str, port: int, patience: float) -> bool:
    if not ip:
        return False
    try:
        async with asyncio.timeout(patience):
            sock = await open_socket(ip, port)
    except OSError:
        return False
    sock.close()
    return True


async def what_is_plain(way: Way) -> HttpFacts:
    """What a port says to a plain request, that failed with TLS."""
    plain = Way(way.gateway, way.address, None, _shorter(way))
    return (await get(plain, way.gateway.path + HEALTH_PATH)).facts


async def how_is_health(way: Way) -> HttpFacts:
    """What the gateway says of itself, when it does not answer a device."""
    hurried = Way(way.gateway, way.address, way.tls, _shorter(way))
    return (await get(hurried, way.gateway.path + HEALTH_PATH)).facts


async def speaks_tls(way: Way) -> bool:
    """Whether a TLS handshake works on a port that was asked in plain."""
    try:
        async with asyncio.timeout(_shorter(way)):
            _, writer = await open_streams(_with_tls(way))
    except OSError:
        return False
    writer.transport.abort()
    return True


async def speaks_mqtt(way: Way) -> bool:
    """Whether an MQTT broker is there."""
    try:
        async with asyncio.timeout(_shorter(way)):
            reader, writer = await open_streams(way)
            try:
                writer.write(_MQTT_CONNECT)
                return (await reader.read(1))[:1] == bytes([_MQTT_CONNACK])
            finally:
                writer.transport.abort()
    except OSError:
        return False


async def look_at_certificate(way: Way, tls: TlsFacts) -> None:
    """The certificate that was not accepted, and the server's idea of the time."""
    way = _with_tls(way)
    try:
        async with asyncio.timeout(way.patience):
            streams = await open_streams(way)
        tls.certificate = seen_certificate(streams[1].get_extra_info("ssl_object"))
        look = await get(way, way.gateway.path + HEALTH_PATH, streams)
    except (OSError, ValueError):
        return
    if look.facts.answer is not None:
        tls.server_time = _date(look.facts.answer)


def _date(answer: Answer) -> float | None:
    """The server's clock, if it tells (RFC 9110 section 6.6.1)."""
    try:
        return parsedate_to_datetime(answer.header("date")).timestamp()
    except (ValueError, TypeError):
        return None


def _with_tls(way: Way) -> Way:
    return Way(way.gateway, way.address, unverified_context(), _shorter(way))


def _shorter(way: Way) -> float:
    return min(way.patience, PATIENCE)
