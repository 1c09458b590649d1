"""Other services than a gateway on the port, and what the probe calls them."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from fake_gateways import (
    Behaviour,
    Issuer,
    answer,
    hang_up,
    hang_up_in_the_head,
    serving,
    stay_silent,
    upgrading,
)
from visits import SECRET, url_of, visit
from websockets.asyncio.server import ServerConnection

from wsdev.errors import ExitCode

HTTP, PROTOCOL, CUT = ExitCode.HTTP, ExitCode.PROTOCOL, ExitCode.CUT

SOON = 1.5
"""Patience with those that never answer; the others are quicker on any machine."""

HTML = "Content-Type: text/html"
JSON = "Content-Type: application/json"


def says(*parts: bytes, after_request: bool = True, hangs_up: bool = True) -> Behaviour:
    """A service that says this, whatever it is asked."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if after_request:
            await reader.read(1)
        for part in parts:
            writer.write(part)
            await writer.drain()
        if not hangs_up:
            await reader.read(-1)

    return behave


def endless(block: bytes, first: bytes = b"") -> Behaviour:
    """A service that never stops saying this."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(first)
        while True:
            writer.write(block)
            await writer.drain()
            await asyncio.sleep(0)

    return behave


def drip(first: bytes, one: bytes) -> Behaviour:
    """A server that gives a byte now and then, and never an end."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(first)
        while True:
            writer.write(one)
            await writer.drain()
            await asyncio.sleep(0.02)

    return behave


async def reset_at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take the connection and answer with RST."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read something and answer with RST."""
    await reader.read(1)
    await reset_at_once(reader, writer)


@dataclass(frozen=True)
class Stranger:
    """A server, and the fault that it is."""

    behave: Behaviour
    code: str
    layer: str = "http"
    exit_code: int = ExitCode.HTTP
    evidence: tuple[str, ...] = ()


GREETINGS = {
    "ssh": (b"SSH-2.0-OpenSSH_9.2p1\r\n", "SSH"),
    "smtp": (b"220 mail.example.org ESMTP Postfix\r\n", "a mail or FTP server"),
    "pop3": (b"+OK Dovecot ready.\r\n", "POP3"),
    "imap": (b"* OK [CAPABILITY IMAP4rev1] ready\r\n", "IMAP"),
    "redis": (b"-ERR unknown command 'GET'\r\n", "Redis"),
    "vnc": (b"RFB 003.008\n", "VNC"),
    "rtsp": (b"RTSP/1.0 400 Bad Request\r\n\r\n", "RTSP"),
    "telnet": (b"\xff\xfd\x18\xff\xfd\x20login: ", "telnet"),
    "mysql": (b"\x4a\x00\x00\x00\x0a8.0.36\x00", "MySQL"),
    "grpc": (b"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x05\x00\x00\x40\x00", "HTTP/2"),
    "amqp": (b"AMQP\x00\x00\x09\x01", "AMQP"),
}


@pytest.mark.parametrize("kind", GREETINGS)
async def test_service_that_greets_is_called_by_its_name(kind: str) -> None:
    greeting, name = GREETINGS[kind]
    async with serving(says(greeting, hangs_up=False)) as port:
        seen = await visit(port, patience=SOON)
    seen.names("other_service", "http", HTTP, name)


STRANGERS: dict[str, Stranger] = {
    "silent": Stranger(stay_silent, "service_silent", evidence=("GET /healthz: no answer",)),
    "hangs up": Stranger(hang_up, "service_hangs_up", evidence=("closed without an answer",)),
    "hangs up in the head": Stranger(
        hang_up_in_the_head, "service_hangs_up", evidence=("HTTP/1.1 101",)
    ),
    "garbage": Stranger(says(b"\x00\x01\x02garbage"), "http_broken", evidence=(r"\x00\x01\x02",)),
    "endless garbage": Stranger(endless(b"\xde\xad" * 4096), "http_broken"),
    "endless head": Stranger(
        endless(b"X-More: and more\r\n" * 512, b"HTTP/1.1 200 OK\r\n"), "http_broken"
    ),
    "head that breaks HTTP": Stranger(
        says(b"HTTP/1.1 200 OK\r\nno colon in here\r\n\r\n"),
        "http_broken",
        evidence=("no colon",),
    ),
    "drips a head": Stranger(drip(b"HTTP/1.1 200 OK\r\nX: ", b"x"), "service_silent"),
    "endless page": Stranger(
        endless(b"<p>more" * 4096, b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"),
        "web_server",
    ),
    "drips a page": Stranger(drip(b"HTTP/1.1 200 OK\r\n\r\n", b"x"), "web_server"),
    "web server": Stranger(
        answer("200 OK", b"<html><title>It works!</title>", HTML, "Server: Apache"),
        "web_server",
        evidence=("its title: It works!", "server: Apache", "HTTP 200 OK, text/html"),
    ),
    "other JSON": Stranger(answer("200 OK", b'{"hello":1}', JSON), "web_server"),
    "404": Stranger(answer("404 Not Found", b"nope"), "path_missing", evidence=("HTTP 404",)),
    "410": Stranger(answer("410 Gone", b""), "path_missing"),
    "405": Stranger(answer("405 Method Not Allowed", b""), "web_server"),
    "418": Stranger(answer("418 I'm a teapot", b""), "web_server", evidence=("teapot",)),
    "500": Stranger(answer("500 Internal Server Error", b""), "server_error"),
    "511": Stranger(answer("511 Network Authentication Required", b""), "captive_portal"),
    "portal page": Stranger(
        answer(
            "200 OK",
            b"<html><title>Guest Wi-Fi</title><form>Please accept the terms of use</form>",
            HTML,
        ),
        "captive_portal",
        evidence=("its title: Guest Wi-Fi",),
    ),
    "portal that leads on": Stranger(
        answer(
            "200 OK",
            b'<HTML><META HTTP-EQUIV="Refresh" CONTENT="0;URL=http://10.0.0.1/hotspot"></HTML>',
            HTML,
        ),
        "captive_portal",
    ),
    "portal redirect": Stranger(
        answer("302 Found", b"", "Location: http://login.hotel.example/portal?url=x"),
        "captive_portal",
        evidence=("Location: http://login.hotel.example/portal?url=x",),
    ),
    "http to https": Stranger(
        answer("301 Moved Permanently", b"", "Location: https://127.0.0.1:8443/healthz"),
        "redirect_to_tls",
    ),
    "moved": Stranger(
        answer("308 Permanent Redirect", b"", "Location: http://new.example.org/"),
        "redirected",
        evidence=("Location: http://new.example.org/",),
    ),
    "moved to nowhere": Stranger(
        answer("302 Found", b"", "Location: http://[broken"), "redirected"
    ),
    "login page of the site": Stranger(
        answer("302 Found", b"", "Location: /login?next=/public/tokens"), "proxy_login"
    ),
    "basic auth": Stranger(
        answer("401 Unauthorized", b"", 'WWW-Authenticate: Basic realm="Staff"'),
        "proxy_login",
        evidence=('Basic realm="Staff"',),
    ),
    "company proxy": Stranger(answer("407 Proxy Authentication Required", b""), "proxy_login"),
    "403": Stranger(
        answer("403 Forbidden", b"", "cf-mitigated: challenge"),
        "proxy_forbids",
        evidence=("cf-mitigated: challenge",),
    ),
    "413": Stranger(answer("413 Content Too Large", b""), "body_limit"),
    "414": Stranger(answer("414 URI Too Long", b""), "head_limit"),
    "431": Stranger(answer("431 Request Header Fields Too Large", b""), "head_limit"),
    "429": Stranger(answer("429 Too Many Requests", b""), "proxy_rate_limit"),
    "502": Stranger(answer("502 Bad Gateway", b""), "proxy_upstream_down"),
    "503": Stranger(answer("503 Service Unavailable", b""), "proxy_unavailable"),
    "504": Stranger(answer("504 Gateway Timeout", b""), "proxy_upstream_slow"),
    "CDN 521": Stranger(
        answer("521 Origin Down", b"", "Server: cloudflare", "CF-Ray: 8f0-FRA"),
        "origin_unreachable",
        evidence=("cf-ray: 8f0-FRA", "HTTP 521"),
    ),
    "CDN 525": Stranger(answer("525 SSL Handshake Failed", b""), "origin_unreachable"),
    "tunnel without its other end": Stranger(
        answer("404 Not Found", b"", "ngrok-error-code: ERR_NGROK_3200"),
        "origin_unreachable",
        evidence=("ERR_NGROK_3200",),
    ),
    "resets at once": Stranger(reset_at_once, "service_hangs_up", evidence=("reset",)),
    "resets at the request": Stranger(reset, "service_hangs_up", evidence=("reset",)),
    "mutual TLS": Stranger(
        answer("400 Bad Request", b"<title>No required SSL certificate was sent</title>", HTML),
        "tls_client_certificate",
        "tls",
        ExitCode.TLS,
    ),
}


@pytest.mark.parametrize("kind", STRANGERS)
async def test_stranger_is_named(kind: str) -> None:
    stranger = STRANGERS[kind]
    async with serving(stranger.behave) as port:
        seen = await visit(port, patience=SOON)
    seen.names(stranger.code, stranger.layer, stranger.exit_code, *stranger.evidence)


UPGRADE_ONLY = ["404", "403", "502", "CDN 521", "http to https", "basic auth", "web server"]


@pytest.mark.parametrize("kind", UPGRADE_ONLY)
async def test_stranger_is_named_with_a_token_given_too(kind: str) -> None:
    stranger = STRANGERS[kind]
    async with serving(stranger.behave) as port:
        seen = await visit(port, patience=SOON, token=SECRET)
    seen.names(stranger.code, stranger.layer, stranger.exit_code, "Upgrade: websocket")


async def test_redirect_to_tls_names_the_address_to_use() -> None:
    async with serving(STRANGERS["http to https"].behave) as port:
        seen = await visit(port)
    assert "wss://127.0.0.1:8443 " in seen.report["verdict"]["fix"]


async def test_login_page_over_trusted_tls_is_the_sites_own() -> None:
    issuer = Issuer()
    behave = STRANGERS["portal redirect"].behave
    async with serving(behave, issuer.context("127.0.0.1")) as port:
        with issuer.authority.cert_pem.tempfile() as file:
            seen = await visit(url_of(port, "wss"), cacert=Path(file))
    seen.names("proxy_login", "http", HTTP)


# The upgrade


def health_and(then: Behaviour) -> Behaviour:
    """Health as a gateway's, and the upgrade treated otherwise."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"upgrade: websocket" in head.lower():
            again = asyncio.StreamReader()
            again.feed_data(head)
            await then(again, writer)
            return
        body = b'{"status":"ok"}'
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
        writer.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()

    return behave


NO_ACCEPT = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"

AT_THE_UPGRADE: dict[str, Stranger] = {
    "silent": Stranger(stay_silent, "upgrade_unanswered", "upgrade", evidence=("no answer",)),
    "cut": Stranger(hang_up, "upgrade_cut", "upgrade", evidence=("closed without an answer",)),
    "101 without the right headers": Stranger(
        says(NO_ACCEPT), "upgrade_broken", "upgrade", evidence=("Sec-WebSocket-Accept", "HTTP/1.1")
    ),
    "garbage": Stranger(
        says(b"\x00\xffnot HTTP\r\n"), "upgrade_broken", "upgrade", evidence=(r"\x00",)
    ),
    "426": Stranger(answer("426 Upgrade Required", b""), "upgrade_not_supported", "upgrade"),
    "501": Stranger(answer("501 Not Implemented", b""), "upgrade_not_supported", "upgrade"),
    "405": Stranger(answer("405 Method Not Allowed", b""), "upgrade_not_supported", "upgrade"),
    "400": Stranger(answer("400 Bad Request", b""), "upgrade_not_supported", "upgrade"),
    "403": Stranger(answer("403 Forbidden", b""), "proxy_forbids"),
    "page": Stranger(answer("200 OK", b"<html><form>login</form>", HTML), "proxy_login"),
    "page that never ends": Stranger(
        drip(b"HTTP/1.1 403 Forbidden\r\nServer: waf\r\nContent-Length: 99999\r\n\r\n", b"x"),
        "proxy_forbids",
        evidence=("server: waf",),
    ),
    "endless page": Stranger(
        endless(b"x" * 65536, b"HTTP/1.1 500 Oops\r\n\r\n"), "server_error", evidence=("500",)
    ),
}


@pytest.mark.parametrize("kind", AT_THE_UPGRADE)
async def test_trouble_at_the_upgrade_is_named(kind: str) -> None:
    stranger = AT_THE_UPGRADE[kind]
    async with serving(health_and(stranger.behave)) as port:
        seen = await visit(port, patience=SOON, token=SECRET)
    seen.names(stranger.code, stranger.layer, stranger.exit_code, *stranger.evidence)


# After the upgrade


Talk = Callable[[ServerConnection], Awaitable[None]]


def welcome(device: str = "kitchen") -> str:
    return json.dumps({
        "type": "connection_ack", "device": device, "session": "s", "server_time": 0.0,
        "ping_interval": 20, "max_message_bytes": 65536,
    })  # fmt: skip


def replies(*texts: str | bytes) -> Talk:
    """A server that answers each message with the next of these, and then stays silent."""

    async def talk(connection: ServerConnection) -> None:
        for text in texts:
            await connection.recv()
            await connection.send(text)
        await connection.wait_closed()

    return talk


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


def acks(*, then: Talk) -> Talk:
    """A gateway that takes one message, and then behaves otherwise."""

    async def talk(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.send(welcome())
        said = json.loads(await connection.recv())
        await connection.send(json.dumps({"type": "ack", "id": said["id"]}))
        await then(connection)

    return talk


async def stay(connection: ServerConnection) -> None:
    await connection.recv()
    await connection.wait_closed()


async def shout(connection: ServerConnection) -> None:
    """Flood with what nobody asked for, and never answer."""
    await connection.recv()
    while True:
        await connection.send('{"type":"command","id":"1"}' + " " * 1000)


ERROR = '{"type":"error","code":"bad_hello","message":"who are you","hint":"say it again"}'

TALKS: dict[str, tuple[Talk, str, str, int, tuple[str, ...]]] = {
    "silent": (replies(), "hello_unanswered", "hello", PROTOCOL, ("within 1.5 s",)),
    "floods": (shout, "hello_unanswered", "hello", PROTOCOL, ("within 1.5 s",)),
    "echo": (echo, "words_broken", "hello", PROTOCOL, ("it says instead: {", "connect")),
    "binary": (replies(b"\x00" * 99), "words_broken", "hello", PROTOCOL, ("99 bytes of binary",)),
    "no JSON": (replies("Welcome!"), "words_broken", "hello", PROTOCOL, ("it says: Welcome!",)),
    "half a welcome": (replies('{"type":"connection_ack"}'), "words_broken", "hello", PROTOCOL, ()),
    "too large": (replies("x" * 70_000), "words_broken", "hello", PROTOCOL, ("RFC 6455",)),
    "error": (
        replies(ERROR),
        "answered_with_error",
        "hello",
        PROTOCOL,
        ("bad_hello", "who are you"),
    ),
    "no acks": (replies(welcome()), "message_unanswered", "message", CUT, ("0 messages",)),
    "no ack of the large": (acks(then=stay), "large_message_lost", "message", CUT, ("8,192",)),
}


@pytest.mark.parametrize("kind", TALKS)
async def test_talk_of_another_server_is_named(kind: str) -> None:
    talk, code, layer, exit_code, evidence = TALKS[kind]
    async with upgrading(talk) as port:
        seen = await visit(port, patience=SOON, token=SECRET)
    seen.names(code, layer, exit_code, *evidence)


async def test_other_websocket_server_that_hands_out_no_token_is_no_gateway() -> None:
    async with upgrading(echo) as port:
        seen = await visit(port)
    seen.names("web_server", "http", HTTP, "HTTP 426")


async def test_hint_of_an_error_is_the_fix() -> None:
    async with upgrading(replies(ERROR)) as port:
        seen = await visit(port, token=SECRET)
    assert seen.report["verdict"]["fix"] == "say it again"


CLOSES = {
    1000: CUT, 1001: CUT, 1002: PROTOCOL, 1003: PROTOCOL, 1007: PROTOCOL, 1008: CUT,
    1009: PROTOCOL, 1011: CUT, 1012: CUT, 4408: CUT, 4409: CUT, 4413: CUT,
    4501: ExitCode.NOT_ALLOWED, 4503: ExitCode.NOT_ALLOWED,
}  # fmt: skip


@pytest.mark.parametrize("code", CLOSES)
async def test_close_code_is_explained(code: int) -> None:
    async def close(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.close(code, "because of it")

    async with upgrading(close) as port:
        seen = await visit(port, token=SECRET)
    seen.names(f"close_{code}", "hello", CLOSES[code], "it gives the reason: because of it")
    assert str(code) in seen.report["verdict"]["what"]


async def test_close_without_a_code_is_explained() -> None:
    async def close(connection: ServerConnection) -> None:
        await connection.recv()
        connection.transport.write(b"\x88\x00")
        await connection.wait_closed()

    async with upgrading(close) as port:
        seen = await visit(port, token=SECRET)
    seen.names("close_1005", "hello", CUT)


@pytest.mark.parametrize("code", [3000, 4000, 4999])
async def test_close_code_of_another_server_is_shown(code: int) -> None:
    async def close(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.close(code, "mine")

    async with upgrading(close) as port:
        seen = await visit(port, token=SECRET)
    seen.names("close_other", "hello", CUT, str(code), "mine")
