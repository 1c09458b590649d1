"""What a probe tries after a failure, to tell its cause. Short, harmless, never with a token."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from email.utils import parsedate_to_datetime
from typing import Final

from wsdev.certificate import seen_certificate, unverified_context
from wsdev.diagnosis.facts import (
    AddressFacts,
    Answer,
    Certificate,
    Facts,
    HttpFacts,
    NameFacts,
    TcpOutcome,
    TlsFacts,
)
from wsdev.diagnosis.path_rules import NEIGHBOUR_PATIENCE, TOLD_AT_ONCE
from wsdev.http_look import Way, get, open_streams
from wsdev.protocol import DEFAULT_PORT, HEALTH_PATH
from wsdev.reach import open_socket, source_address, try_all
from wsdev.tls_flight import (
    CERTIFICATE_REQUEST,
    MAX_FLIGHT,
    SERVER_HELLO_DONE,
    make_client_hello,
    message_types,
)

PATIENCE: Final = 3.0
"""Seconds for each, at most: a lost SYN or TLS segment may come a second time."""

# MQTT 3.1.1 section 3.1: CONNECT with a clean session, 60 s keepalive and an empty client id.
_MQTT_CONNECT: Final = bytes.fromhex("100c00044d5154540402003c0000")
_MQTT_CONNACK: Final = 0x20


async def look_at_failures(facts: Facts, patience: float) -> None:
    """After no address took the connection."""
    await try_rejected_again(facts)
    await who_else_listens(facts, patience)


async def try_rejected_again(facts: Facts) -> None:
    """Is there nobody, or did somebody say no? Who did, says it again."""
    assert facts.name is not None
    late = [
        one
        for one in facts.name.addresses
        if one.outcome is TcpOutcome.REJECTED and (one.seconds or 0.0) >= TOLD_AT_ONCE
    ]
    again = [AddressFacts(one.ip, one.port) for one in late]
    sock = await try_all(NameFacts(facts.name.host, again), NEIGHBOUR_PATIENCE)
    if sock is not None:
        sock.close()
    for one, second in zip(late, again, strict=True):
        one.rejected_again = second.outcome is TcpOutcome.REJECTED


async def who_else_listens(facts: Facts, patience: float) -> None:
    """After a refusal, or none at all: is it the port, or the address?"""
    assert facts.name is not None
    patience = min(patience, PATIENCE)
    addresses = facts.name.addresses
    refused = [one.ip for one in addresses if one.outcome is TcpOutcome.REFUSED]
    silent = [one.ip for one in addresses if one.outcome is TcpOutcome.UNANSWERED]
    tried = {one.ip for one in addresses}
    for other in dict.fromkeys(loopback for ip in refused for loopback in _loopbacks(ip)):
        if other not in tried and await _takes(other, facts.port, patience):
            facts.second.loopback = other
            return
    if facts.port != DEFAULT_PORT and (refused or silent):
        asked = (refused or silent)[0]
        facts.second.default_port = await _takes(asked, DEFAULT_PORT, patience)


def _loopbacks(ip: str) -> tuple[str, ...]:
    """The loopback addresses where a server may listen instead; none for another host's address."""
    if ipaddress.ip_address(ip).is_loopback or source_address(ip) == ip.partition("%")[0]:
        return ("127.0.0.1", "::1")
    return ()


async def _takes(ip: str, port: int, patience: float) -> bool:
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
    trusted = way.tls
    way = _with_tls(way)
    try:
        async with asyncio.timeout(way.patience):
            streams = await open_streams(way)
        tls.certificate = seen_certificate(streams[1].get_extra_info("ssl_object"))
        tls.issuer_akin = tls.own_issuers and _is_akin(trusted, tls.certificate)
        look = await get(way, way.gateway.path + HEALTH_PATH, streams)
    except (OSError, ValueError):
        return
    if look.facts.answer is not None:
        tls.server_time = _date(look.facts.answer)


def _is_akin(trusted: ssl.SSLContext | None, about: Certificate | None) -> bool:
    """Whether an issuer in ``trusted`` is of the organisation that issued the certificate.

    Then what is between the two is missing, rather than the trust.
    """
    if trusted is None or about is None or not about.issuer_organisation:
        return False
    wanted = (("organizationName", about.issuer_organisation),)
    return any(wanted in issuer.get("subject", ()) for issuer in trusted.get_ca_certs())


async def asks_for_certificate(way: Way) -> bool:
    """Whether the server asks the device for a certificate."""
    raw = b""
    try:
        async with asyncio.timeout(_shorter(way)):
            reader, writer = await open_streams(Way(way.gateway, way.address, None, way.patience))
            try:
                writer.write(make_client_hello(way.gateway.server_name))
                while SERVER_HELLO_DONE not in message_types(raw) and len(raw) < MAX_FLIGHT:
                    if not (part := await reader.read(MAX_FLIGHT)):
                        break
                    raw += part
            finally:
                writer.transport.abort()
    except OSError:
        pass  # what came until then may tell
    return CERTIFICATE_REQUEST in message_types(raw)


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
