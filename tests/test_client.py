from __future__ import annotations

import asyncio
import contextlib
import gzip
import itertools
import socket
import ssl
import zlib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import respx
from fake_gateways import (
    LOOPBACK,
    Behaviour,
    EndlessAnswer,
    Issuer,
    answer,
    be_ssh,
    closed_port,
    complain_about_tls,
    full_backlog,
    hang_up,
    hang_up_in_the_head,
    say_nothing,
    serving,
    settled,
    stay_silent,
    upgrading,
)
from harness import PATIENCE, running_gateway
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.server import ServerConnection

from wsdev import client
from wsdev.client import backoff, fetch_tokens, make_tls_context, open_socket
from wsdev.errors import (
    CertificateError,
    ExitCode,
    LinkCut,
    NameNotFound,
    NoAnswer,
    NotAGateway,
    NotAllowed,
    PathError,
    Refused,
    TLSFailed,
    TokenRefused,
    WsdevError,
)
from wsdev.events import Closed, ClosedBy, Event, MessageReceived, PongReceived
from wsdev.limits import Limits
from wsdev.protocol import PICO, Ack, DeviceClass, Telemetry
from wsdev.resolver import AddressInfo
from wsdev.session import SessionPolicy
from wsdev.urls import GatewayAddress

SOON = 0.2
"""Seconds of patience with servers that will not answer."""

CANARY = "wsd_pico_0123456789abcdefghijklCANARY"


def at(port: int, *, host: str = LOOPBACK, tls: bool = False) -> GatewayAddress:
    return GatewayAddress(host, port, tls)


async def go_in(
    address: GatewayAddress,
    *,
    token: str | None = CANARY,
    device_class: DeviceClass = PICO,
    tls: ssl.SSLContext | None = None,
    patience: float = client.DEFAULT_PATIENCE,
) -> None:
    """Connect and leave; raises what a probe would show."""
    policy = SessionPolicy(Limits(handshake_timeout=patience))
    async with client.connect(
        address, device_class, token, policy=policy, tls=tls, patience=patience
    ):
        pass


async def failure(address: GatewayAddress, kind: type[WsdevError], **options: object) -> WsdevError:
    """The error of a connection, which must be of just that class and never show the token."""
    with pytest.raises(WsdevError) as caught:
        await go_in(address, **options)  # type: ignore[arg-type]
    assert type(caught.value) is kind, caught.value.cause
    shown = f"{caught.value.cause} {caught.value.hint} {caught.value.code}"
    assert CANARY not in shown
    assert "\n" not in shown
    return caught.value


async def fetch_failure(
    address: GatewayAddress, kind: type[WsdevError], **options: object
) -> WsdevError:
    with pytest.raises(WsdevError) as caught:
        await fetch_tokens(address, **options)  # type: ignore[arg-type]
    assert type(caught.value) is kind, caught.value.cause
    return caught.value


# The backoff


@given(st.floats(0, 1))
def test_backoff_doubles_up_to_a_minute_with_half_to_one_and_a_half_jitter(jitter: float) -> None:
    waits = itertools.islice(backoff(lambda: jitter), 1100)
    for attempt, wait in enumerate(waits):
        middle = min(60, 2 ** min(attempt, 10))
        assert wait == pytest.approx(middle * (0.5 + jitter))


# The way there


async def test_unknown_name_is_told() -> None:
    address = at(3000, host="no-such-host.invalid")
    error = await failure(address, NameNotFound)
    assert "no-such-host.invalid" in error.cause
    assert error.exit_code is ExitCode.NAME
    await fetch_failure(address, NameNotFound)


@pytest.mark.parametrize("host", ["a..b", "a" * 70, "xn--a", "\N{SMALL ROMAN NUMERAL ONE}"])
async def test_host_that_no_resolver_takes_is_an_unknown_name(host: str) -> None:
    await failure(at(3000, host=host), NameNotFound)
    await fetch_failure(at(3000, host=host), NameNotFound)


async def test_closed_port_is_refused() -> None:
    address = at(closed_port())
    error = await failure(address, Refused)
    assert (error.exit_code, "wsdev serve" in error.hint) == (ExitCode.REFUSED, True)
    await fetch_failure(address, Refused)


async def test_dropped_packets_are_no_answer() -> None:
    with full_backlog() as port:
        error = await failure(at(port), NoAnswer, patience=SOON)
        assert error.exit_code is ExitCode.NO_ANSWER
        await fetch_failure(at(port), NoAnswer, patience=SOON)


async def test_silence_behind_tcp_is_told_after_the_patience() -> None:
    async with serving(stay_silent) as port:
        error = await failure(at(port), NotAGateway, patience=1.0)
        assert "1 s" in error.cause
        assert isinstance(await fetch_failure(at(port), NoAnswer, patience=SOON), NoAnswer)


async def test_silence_instead_of_tls_is_no_answer() -> None:
    async with serving(stay_silent) as port:
        address = at(port, tls=True)
        await failure(address, NoAnswer, patience=SOON)
        await fetch_failure(address, NoAnswer, patience=1.0)


async def test_ssh_is_no_gateway() -> None:
    async with serving(be_ssh) as port:
        error = await failure(at(port), NotAGateway)
        assert error.exit_code is ExitCode.HTTP
        with pytest.raises(PathError):
            await fetch_tokens(at(port), patience=1.0)


@pytest.mark.parametrize("behaviour", [hang_up, hang_up_in_the_head])
async def test_server_that_hangs_up_is_a_cut_link(behaviour: Behaviour) -> None:
    async with serving(behaviour) as port:
        with pytest.raises((LinkCut, NotAGateway)):
            await go_in(at(port))
        error = await fetch_failure(at(port), LinkCut)
        assert error.exit_code is ExitCode.CUT


@pytest.mark.parametrize(
    "behaviour",
    [
        answer("200 OK", b"<html>It works!</html>", "Server: Apache/2.4.62"),
        answer("302 Found", b"", "Location: https://elsewhere.example/", "Server: Apache/2.4.62"),
        answer("401 Unauthorized", b"login first", "Server: Apache/2.4.62"),
        answer("502 Bad Gateway", b"<h1>502 Bad Gateway</h1>", "Server: Apache/2.4.62"),
    ],
    ids=["200", "302", "401", "502"],
)
async def test_web_server_is_no_gateway_and_is_named(behaviour: Behaviour) -> None:
    async with serving(behaviour) as port:
        for error in (
            await failure(at(port), NotAGateway),
            await fetch_failure(at(port), NotAGateway),
        ):
            assert "Apache/2.4.62" in error.cause
            assert error.exit_code is ExitCode.HTTP


async def test_wrong_accept_key_is_no_gateway() -> None:
    switching = b""
    behaviour = answer(
        "101 Switching Protocols",
        switching,
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    )
    async with serving(behaviour) as port:
        await failure(at(port), NotAGateway)


async def test_steering_bytes_from_a_stranger_come_out_escaped() -> None:
    async with serving(answer("502 Bad", b"", "Server: \x1b]0;owned\x07")) as port:
        for error in (
            await failure(at(port), NotAGateway),
            await fetch_failure(at(port), NotAGateway),
        ):
            assert "\x1b" not in error.cause


# Several addresses


def info(port: int, family: int = socket.AF_INET, host: str = LOOPBACK) -> AddressInfo:
    return (family, socket.SOCK_STREAM, 0, "", (host, port))


async def test_dead_ipv6_address_falls_back_to_ipv4() -> None:
    async with serving(stay_silent) as port:
        dead = info(closed_port(), socket.AF_INET6, "::1")
        with contextlib.closing(await open_socket([dead, info(port)], 10)) as sock:
            assert sock.getpeername() == (LOOPBACK, port)


async def test_silent_address_falls_back_to_the_next() -> None:
    with full_backlog() as silent:
        async with serving(stay_silent) as port:
            with contextlib.closing(await open_socket([info(silent), info(port)], SOON)) as sock:
                assert sock.getpeername() == (LOOPBACK, port)


async def test_when_no_address_answers_each_failure_is_kept() -> None:
    dead = [info(closed_port(), socket.AF_INET6, "::1"), info(closed_port())]
    with pytest.raises(OSError, match="Connect") as caught:
        await open_socket(dead, 10)
    group = caught.value.__cause__
    assert isinstance(group, ExceptionGroup)
    assert len(group.exceptions) == 2
    assert isinstance(group.exceptions[1], ConnectionRefusedError)


# TLS


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer()


async def test_plain_server_on_a_tls_address_is_told_with_the_remedy() -> None:
    async with serving(complain_about_tls) as port:
        for error in (
            await failure(at(port, tls=True), TLSFailed),
            await fetch_failure(at(port, tls=True), TLSFailed),
        ):
            assert error.exit_code is ExitCode.TLS
            assert "ws://" in error.hint


async def test_untrusted_certificate_is_told_with_the_remedy(issuer: Issuer) -> None:
    async with serving(stay_silent, issuer.context(LOOPBACK)) as port:
        for error in (
            await failure(at(port, tls=True), TLSFailed),
            await fetch_failure(at(port, tls=True), TLSFailed),
        ):
            assert "certificate" in error.cause
            assert "--cacert" in error.hint


async def test_certificate_for_another_name_is_not_accepted(issuer: Issuer) -> None:
    async with serving(stay_silent, issuer.context("other.example")) as port:
        for error in (
            await failure(at(port, tls=True), TLSFailed, tls=issuer.trust()),
            await fetch_failure(at(port, tls=True), TLSFailed, tls=issuer.trust()),
        ):
            assert LOOPBACK in error.cause


async def test_plain_address_of_a_tls_server_hints_at_wss(issuer: Issuer) -> None:
    async with serving(stay_silent, issuer.context(LOOPBACK)) as port:
        with pytest.raises(PathError) as caught:
            await go_in(at(port))
        assert "wss://" in caught.value.hint or "service" in caught.value.hint


async def test_cacert_lets_in_and_insecure_lets_anything_in(tmp_path: Path, issuer: Issuer) -> None:
    ca_file = tmp_path / "ca.pem"
    ca_file.write_bytes(issuer.pem())
    tls = (issuer.context(LOOPBACK), issuer.trust())
    async with running_gateway(tmp_path, tls=tls, public_tokens="open") as gateway:
        address = at(gateway.port, tls=True)
        trusting = make_tls_context(ca_file, insecure=False)
        await go_in(address, token=gateway.token(), tls=trusting)
        assert (await fetch_tokens(address, tls=trusting))["pico"] == [gateway.token()]
        careless = make_tls_context(None, insecure=True)
        await go_in(address, token=gateway.token(), tls=careless)
        before = asyncio.all_tasks()
        await failure(address, TLSFailed)
        await settled(before)


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_unusable_cacert_is_told(tmp_path: Path, content: bytes | None) -> None:
    ca_file = tmp_path / "ca.pem"
    if content is not None:
        ca_file.write_bytes(content)
    with pytest.raises(CertificateError) as caught:
        make_tls_context(ca_file, insecure=False)
    assert str(ca_file) in caught.value.cause


# Fetching tokens


TOKENS_URL = "http://gateway.example:3000/public/tokens"
GATEWAY = GatewayAddress("gateway.example", 3000)


@pytest.fixture
def web() -> Iterator[respx.MockRouter]:
    with respx.mock() as router:
        yield router


async def test_tokens_come_by_class(web: respx.MockRouter) -> None:
    body = {"status": "success", "pico_tokens": ["a", "b"], "esp32cam_tokens": [], "timestamp": ""}
    web.get(TOKENS_URL).respond(json=body)
    assert await fetch_tokens(GATEWAY) == {"pico": ["a", "b"], "esp32cam": []}
    sent = web.calls.last.request
    assert sent.headers["User-Agent"].startswith("wsdev/")
    assert "Authorization" not in sent.headers


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"<html></html>",
        b'{"pico_tokens": "wsd_pico_x"}',
        b'{"pico_tokens": [1, 2]}',
        b'{"pico_tokens": [["a"]]}',
        b'{"pico_tokens": null}',
        b'{"status":"success"}',
        b'{"pico_tokens": ["a"]',
        b'{"a":' * 50_000,
        b"\xff\xfe\x00",
        gzip.compress(b'{"pico_tokens": ["a"]}', mtime=0),
    ],
)
async def test_odd_body_is_no_gateways(web: respx.MockRouter, body: bytes) -> None:
    web.get(TOKENS_URL).respond(content=body)
    await fetch_failure(GATEWAY, NotAGateway)


async def test_redirect_is_not_followed(web: respx.MockRouter) -> None:
    web.get(TOKENS_URL).respond(302, headers={"Location": "http://elsewhere.example/"})
    await fetch_failure(GATEWAY, NotAGateway)
    assert web.calls.call_count == 1


async def test_chunked_answer_is_read() -> None:
    body = b'{"pico_tokens":["a"]}'

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for byte in body:
            writer.write(b"1\r\n%c\r\n" % byte)
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    async with serving(behave) as port:
        assert await fetch_tokens(at(port)) == {"pico": ["a"]}


async def test_endless_answer_is_left_soon() -> None:
    endless = EndlessAnswer()
    async with serving(endless) as port:
        await fetch_failure(at(port), NotAGateway)
        await endless.was_left.wait()
    # What the kernel's buffers hold on the way, and no more.
    assert endless.sent < 32 * 2**20


async def test_answer_that_unpacks_to_much_is_not_unpacked() -> None:
    bomb = zlib.compress(b"[" * 2**26)
    async with serving(answer("200 OK", bomb, "Content-Encoding: deflate")) as port:
        await fetch_failure(at(port), NotAGateway)


async def test_slow_drip_ends_with_the_patience() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
        await reader.read(-1)

    async with serving(drip) as port:
        await fetch_failure(at(port), NoAnswer, patience=SOON)


async def test_proxy_of_the_environment_is_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{closed_port()}")
    async with running_gateway(tmp_path, public_tokens="open") as gateway:
        assert await fetch_tokens(at(gateway.port))


async def test_closed_window_is_told_with_the_command_that_opens_it(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        error = await fetch_failure(at(gateway.port), NotAllowed)
    assert (error.code, error.exit_code) == ("tokens_closed", ExitCode.NOT_ALLOWED)
    assert "wsdev tokens open" in error.hint


async def test_too_many_fetches_are_told(tmp_path: Path) -> None:
    limits = {"token_requests_per_minute": 1}
    async with running_gateway(tmp_path, public_tokens="open", limits=limits) as gateway:
        await fetch_tokens(at(gateway.port))
        error = await fetch_failure(at(gateway.port), NotAllowed)
    assert error.code == "too_many_requests"


# What the gateway says to a device


async def test_each_wrong_token_is_told_by_its_code(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        address = at(gateway.port)
        good = gateway.token()
        _, retired = gateway.book.create("pico", name="old")
        gateway.book.revoke("old")
        unknown = TokenFromElsewhere.make(tmp_path / "other")
        for token, code in [
            (None, "token_missing"),
            (good[:-1] + ("a" if good[-1] != "a" else "b"), "token_mistyped"),
            (unknown, "token_unknown"),
            (retired, "token_retired"),
        ]:
            error = await failure(address, TokenRefused, token=token)
            assert (error.code, error.exit_code) == (code, ExitCode.TOKEN)
            assert error.hint
            (line,) = gateway.log.all("refused", code=code)
            assert line["request_id"] in error.cause


class TokenFromElsewhere:
    """A good token of another gateway."""

    @staticmethod
    def make(folder: Path) -> str:
        from wsdev.tokens import TokenBook  # noqa: PLC0415

        with TokenBook.open(folder) as book:
            return book.create("pico")[1]


async def test_token_of_another_class_and_unknown_class_are_not_allowed(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        address = at(gateway.port)
        error = await failure(address, NotAllowed, token=gateway.token("esp32cam"))
        assert error.code == "wrong_class"
        error = await failure(
            address, NotAllowed, token=gateway.token(), device_class=DeviceClass("toaster")
        )
        assert (error.code, error.exit_code) == ("unknown_class", ExitCode.NOT_ALLOWED)
        assert "/ws/pico" in error.hint
        assert "/ws/esp32cam" in error.hint


async def test_blocked_address_and_full_gateway_are_not_allowed(tmp_path: Path) -> None:
    async with running_gateway(
        tmp_path, limits={"wrong_tokens_per_minute": 1}, max_connections=1
    ) as gateway:
        address = at(gateway.port)
        await failure(address, TokenRefused)
        error = await failure(address, NotAllowed)
        assert (error.code, error.exit_code) == ("too_many_attempts", ExitCode.NOT_ALLOWED)
        async with gateway.device(name="first"):
            error = await failure(address, NotAllowed, token=gateway.token())
            assert error.code == "full"


async def test_token_goes_out_as_a_bearer_header_and_nowhere_else() -> None:
    requests: list[bytes] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.readuntil(b"\r\n\r\n"))

    async with serving(note) as port:
        for token in (CANARY, None):
            with pytest.raises(PathError):
                await go_in(at(port), token=token)
    first_line, *headers = requests[0].decode().split("\r\n")
    assert CANARY not in first_line
    assert [line for line in headers if CANARY in line] == [f"Authorization: Bearer {CANARY}"]
    assert b"Authorization" not in requests[1]


# A link


async def next_of(connection: client.DeviceConnection, kind: type[Event]) -> Event:
    while not isinstance(event := await connection.next_event(), kind):
        pass
    return event


async def test_telemetry_is_acknowledged_pings_are_answered_and_leaving_is_polite(
    tmp_path: Path,
) -> None:
    async with running_gateway(tmp_path) as gateway:
        async with client.connect(
            at(gateway.port), PICO, gateway.token(), policy=SessionPolicy()
        ) as connection:
            connection.session.send(Telemetry(data={"t": 20.5}, id="m-1"))
            connection.flush()
            event = await next_of(connection, MessageReceived)
            assert isinstance(event, MessageReceived)
            assert event.message == Ack("m-1")
            connection.ping()
            pong = await next_of(connection, PongReceived)
            assert isinstance(pong, PongReceived)
            assert pong.rtt > 0
        assert connection.closed is not None
        assert (connection.closed.code, connection.closed.by) == (1000, ClosedBy.HERE)
        line = await gateway.log.wait_for("disconnected")
        assert (line["code"], line["by"]) == (1000, "peer")


async def test_error_in_the_block_drops_the_link_and_a_cancel_closes_it(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        for error, code in ((RuntimeError, 1006), (asyncio.CancelledError, 1000)):
            with pytest.raises(error):
                async with client.connect(
                    at(gateway.port), PICO, gateway.token(), policy=SessionPolicy()
                ):
                    raise error
            assert await gateway.log.wait_for("disconnected", code=code)


async def test_cancel_before_the_gateway_lets_in_does_not_wait_for_it() -> None:
    asked = asyncio.Event()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await reader.read(-1)

    async def enter(port: int) -> None:
        policy = SessionPolicy(Limits(handshake_timeout=3600))
        async with client.connect(at(port), PICO, None, policy=policy):
            pass

    async with serving(listen) as port:
        entering = asyncio.create_task(enter(port))
        await asked.wait()
        entering.cancel()
        async with asyncio.timeout(PATIENCE):
            await asyncio.wait([entering])
    assert entering.cancelled()


async def test_end_from_the_gateway_comes_as_the_last_event(tmp_path: Path) -> None:
    async with (
        running_gateway(tmp_path) as gateway,
        client.connect(
            at(gateway.port), PICO, gateway.token(), policy=SessionPolicy()
        ) as connection,
    ):
        (member,) = gateway.hub
        member.port.close(4413, "too slow")
        closed = await next_of(connection, Closed)
        assert closed == Closed(4413, "too slow", ClosedBy.PEER)
        assert connection.closed == closed


async def test_gateway_that_ignores_the_close_frame_is_left_after_the_linger() -> None:
    async with upgrading(say_nothing) as port:
        policy = SessionPolicy(Limits(linger=0.1))
        async with client.connect(at(port), PICO, None, policy=policy):
            pass


async def test_frames_behind_the_101_are_not_lost() -> None:
    async def greet(connection: ServerConnection) -> None:
        await connection.send('{"type":"ack","id":"early"}')
        await connection.wait_closed()

    async with (
        upgrading(greet) as port,
        client.connect(at(port), PICO, None, policy=SessionPolicy()) as connection,
    ):
        event = await next_of(connection, MessageReceived)
        assert isinstance(event, MessageReceived)
        assert event.message == Ack("early")


def test_httpx_raises_no_error_that_is_let_through() -> None:
    """Each of httpx's own errors is below one that the fetch turns into ours."""
    own = [
        value
        for value in vars(httpx).values()
        if isinstance(value, type)
        and issubclass(value, Exception)
        and not issubclass(value, (httpx.HTTPError, httpx.InvalidURL))
    ]
    # Misuse of the library and of its cookies; no server brings them about.
    assert {error.__name__ for error in own} <= {
        "CookieConflict", "RequestNotRead", "ResponseNotRead", "StreamClosed", "StreamConsumed",
        "StreamError",
    }  # fmt: skip
