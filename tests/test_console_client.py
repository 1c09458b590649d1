from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
import respx
import trustme
from console_harness import JPEG, RunningConsole, running_console, send_picture
from fake_gateways import closed_port, serving
from harness import PATIENCE

from wsdev import console_client
from wsdev.console_client import ConsoleClient
from wsdev.errors import (
    DeviceOffline,
    LinkCut,
    NameNotFound,
    NoAnswer,
    NotAGateway,
    NotAllowed,
    NotThere,
    PathError,
    ProtocolViolation,
    Refused,
    TLSFailed,
    TokenRefused,
    UsageError,
    WsdevError,
)
from wsdev.urls import parse_console_address

COMMAND = {"type": "servo", "command": {"servo1": 90}}
URL = "http://console.test:3001"
CANARY = "c4n4ry-token-of-mine"


def client_of(console: RunningConsole, token: str | None = "", **given: object) -> ConsoleClient:
    token = console.token if token == "" else token
    return ConsoleClient(parse_console_address(console.url), token=token, **given)  # type: ignore[arg-type]


@pytest.fixture
def web() -> Iterator[respx.MockRouter]:
    with respx.mock(base_url=URL, assert_all_called=False) as router:
        yield router


async def failure(client: ConsoleClient, path: str = "devices") -> WsdevError:
    async with client:
        with pytest.raises(WsdevError) as caught:
            await (client.snapshot("hall") if path == "snapshot" else client.devices())
    return caught.value


async def stranger(web: respx.MockRouter, path: str = "devices") -> WsdevError:
    return await failure(ConsoleClient(parse_console_address(URL), token=CANARY), path)


# A real console


async def test_devices_come_as_structs_and_as_they_were_told(tmp_path: Path) -> None:
    async with (
        running_console(tmp_path) as console,
        console.gateway.device(name="kitchen"),
        client_of(console) as client,
    ):
        await console.recorded()  # a link is told from the journal
        found, document = await client.devices()
        assert [(device.name, device.state) for device in found.devices] == [("kitchen", "online")]
        assert document["online"] == 1
        one, document = await client.device("kitchen")
        assert one.links[0].session == one.session == document["session"]
        who = await client.who()
        assert (who.way, who.name) == ("token", "alice")


async def test_unknown_device_is_told_with_names_that_are_like_it(tmp_path: Path) -> None:
    async with (
        running_console(tmp_path) as console,
        console.gateway.device(name="kitchen"),
        client_of(console) as client,
    ):
        with pytest.raises(NotThere) as unknown:
            await client.device("Kitchn")
        assert unknown.value.hint == "did you mean kitchen?"
        with pytest.raises(DeviceOffline) as away:
            await client.send("kitchn", COMMAND, answer_in=1)
        assert away.value.hint.startswith("did you mean kitchen? ")
        assert away.value.device == "kitchn"
        with pytest.raises(NotThere) as nothing:
            await client.snapshot("kitchen")
        assert (nothing.value.code, nothing.value.hint) == ("no_picture", "wait for one")
        with pytest.raises(DeviceOffline) as strange:
            await client.send("zzz", COMMAND, answer_in=1)
        assert "did you mean" not in strange.value.hint


async def test_command_is_sent_and_looked_up(tmp_path: Path) -> None:
    async with (
        running_console(tmp_path) as console,
        console.gateway.device(name="kitchen") as pico,
        client_of(console) as client,
    ):
        sent = (await client.send("kitchen", COMMAND, answer_in=5)).value
        assert (sent.state, sent.is_over) == ("sent", False)
        command = await pico.receive()
        await pico.send({"type": "ack", "id": command["id"], "status": "success"})
        await pico.telemetry(1)
        assert (await client.command(sent.id)).value.state == "acknowledged"
        queued = await client.send("garden", COMMAND, answer_in=5, queue_for=60)
        assert (queued.value.state, queued.document["queue_until"] is None) == ("queued", False)
        with pytest.raises(UsageError):
            await client.send("kitchen", {}, answer_in=5)
        with pytest.raises(NotThere):
            await client.command("c-none")


async def test_snapshot_is_the_picture_and_its_age(tmp_path: Path) -> None:
    async with (
        running_console(tmp_path) as console,
        console.gateway.device("esp32cam", name="hall") as camera,
        client_of(console) as client,
    ):
        await send_picture(console, camera, JPEG)
        picture = await client.snapshot("hall")
        assert picture.data == JPEG
        assert picture.age is not None


async def test_without_a_good_token_it_is_said_how_to_make_one(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console:
        for token in (None, "wsd_operator_wrong"):
            error = await failure(client_of(console, token))
            assert isinstance(error, TokenRefused)
            assert "wsdev tokens create --operator" in error.hint


async def test_tls_is_spoken_and_its_faults_are_told(tmp_path: Path) -> None:
    issuer = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trusting = ssl.create_default_context()
    issuer.issue_cert("127.0.0.1").configure_cert(server)
    issuer.configure_trust(trusting)
    async with running_console(tmp_path, tls=(server, trusting)) as console:
        async with client_of(console, tls=trusting) as client:
            assert (await client.who()).name == "alice"
        untrusted = await failure(client_of(console, tls=ssl.create_default_context()))
        assert isinstance(untrusted, TLSFailed)
        assert "certificate" in untrusted.cause
        address = parse_console_address(console.url.replace("https", "http"))
        plain = await failure(ConsoleClient(address))
        assert isinstance(plain, NotAGateway)
        assert f"--console https://127.0.0.1:{console.port}" in plain.hint


async def test_plain_console_asked_by_tls_is_told(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console:
        address = parse_console_address(console.url.replace("http", "https"))
        error = await failure(ConsoleClient(address, tls=ssl.create_default_context()))
    assert isinstance(error, TLSFailed)
    assert error.hint == f"a console without TLS is at http://127.0.0.1:{console.port}"


# The way there


async def test_console_that_does_not_run_is_told() -> None:
    error = await failure(ConsoleClient(parse_console_address(f"127.0.0.1:{closed_port()}")))
    assert isinstance(error, Refused)
    assert "wsdev serve" in error.hint
    assert "--no-console" in error.hint


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (httpx.ConnectTimeout("x"), NoAnswer),
        (httpx.ReadTimeout("x"), NoAnswer),
        (httpx.UnsupportedProtocol("x"), NameNotFound),
        (httpx.RemoteProtocolError("x"), NotAGateway),
        (httpx.ReadError("x"), NotAGateway),
    ],
    ids=repr,
)
async def test_each_fault_of_the_way_is_an_error(
    web: respx.MockRouter, fault: Exception, kind: type[PathError]
) -> None:
    web.get("/api/devices").mock(side_effect=fault)
    assert type(await stranger(web)) is kind


@pytest.mark.parametrize(
    ("url", "fault", "hint"),
    [
        (
            "http://gateway.test",
            ConnectionRefusedError(),
            "the console is on port 3001 unless told otherwise: --console http://gateway.test:3001",
        ),
        (
            "https://[::1]",
            ConnectionRefusedError(),
            "the console is on port 3001 unless told otherwise: --console https://[::1]:3001",
        ),
        (URL, ConnectionResetError(), "check host and port in --console"),
    ],
    ids=["port 80", "port 443", "reset"],
)
async def test_address_that_leads_nowhere_is_told_with_a_better_one(
    monkeypatch: pytest.MonkeyPatch, url: str, fault: OSError, hint: str
) -> None:
    async def fail(*_: object) -> httpx.Response:
        raise httpx.ConnectError("x") from fault

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", fail)
    assert (await failure(ConsoleClient(parse_console_address(url)))).hint == hint


async def test_silent_server_is_given_up_in_time() -> None:
    async def say_nothing(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with serving(say_nothing) as port:
        address = parse_console_address(f"127.0.0.1:{port}")
        assert isinstance(await failure(ConsoleClient(address, patience=0.1)), NoAnswer)


async def test_server_that_speaks_no_http_is_told() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9\r\n")
        await reader.readuntil(b"\r\n\r\n")

    async with serving(greet) as port:
        error = await failure(ConsoleClient(parse_console_address(f"127.0.0.1:{port}")))
    assert isinstance(error, NotAGateway)
    assert "speaks no HTTP" in error.cause


async def test_command_that_may_have_been_sent_is_told_so(web: respx.MockRouter) -> None:
    route = web.post("/api/devices/kitchen/commands?wait=0")
    route.mock(side_effect=httpx.ReadTimeout("x"))
    async with ConsoleClient(parse_console_address(URL)) as client:
        with pytest.raises(NoAnswer, match="may have been done"):
            await client.send("kitchen", COMMAND, answer_in=1)
    assert route.call_count == 1, "a command is sent once, and never again"


PROBLEM = {"content-type": "application/problem+json"}


@pytest.mark.parametrize(
    ("answer", "kind", "perhaps"),
    [
        (httpx.Response(504, text="Gateway Timeout"), NotAGateway, True),
        (httpx.Response(200, text="<html>"), NotAGateway, True),
        (httpx.Response(202, content=b"x" * 1001), NotAGateway, True),
        (
            httpx.Response(
                500, json={"status": 500, "code": "bug", "detail": "x"}, headers=PROBLEM
            ),
            ProtocolViolation,
            True,
        ),
        (
            httpx.Response(
                503, json={"status": 503, "code": "ends", "detail": "x"}, headers=PROBLEM
            ),
            NotAllowed,
            False,
        ),
        (httpx.Response(413, text="Too Large"), NotAGateway, False),
    ],
    ids=["proxy-late", "unreadable", "endless", "broken", "refused", "refused-by-proxy"],
)
async def test_answer_after_which_a_command_may_have_been_sent_is_told_so(
    web: respx.MockRouter,
    monkeypatch: pytest.MonkeyPatch,
    answer: httpx.Response,
    kind: type[WsdevError],
    perhaps: bool,
) -> None:
    monkeypatch.setattr(console_client, "MOST_OF_ANSWER", 1000)
    web.post("/api/devices/kitchen/commands?wait=0").mock(return_value=answer)
    async with ConsoleClient(parse_console_address(URL)) as client:
        with pytest.raises(kind) as caught:
            await client.send("kitchen", COMMAND, answer_in=1)
    assert type(caught.value) is kind
    assert caught.value.cause.endswith("; what was asked for may have been done") is perhaps


# Strangers


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, text="<html>"),
        httpx.Response(302, headers={"location": "https://elsewhere.test/"}),
        httpx.Response(401, text=f"no {CANARY} here", headers={"www-authenticate": "Basic"}),
        httpx.Response(502, text="Bad Gateway", headers={"server": "nginx"}),
    ],
    ids=lambda answer: str(answer.status_code),
)
async def test_other_web_server_is_told_and_given_no_second_request(
    web: respx.MockRouter, answer: httpx.Response
) -> None:
    route = web.get("/api/devices").mock(return_value=answer)
    error = await stranger(web)
    assert isinstance(error, NotAGateway)
    assert route.call_count == 1


async def test_token_that_a_server_repeats_is_not_shown(web: respx.MockRouter) -> None:
    problem = {
        "status": 403,
        "code": "x",
        "detail": f"your {CANARY}",
        "hint": CANARY,
    }
    headers = {"content-type": "application/problem+json"}
    web.get("/api/devices").respond(403, json=problem, headers=headers)
    error = await stranger(web)
    assert CANARY not in error.cause + error.hint


@pytest.mark.parametrize("listed", [500, 200])
async def test_error_is_told_without_names_if_there_are_none(
    web: respx.MockRouter, listed: int
) -> None:
    problem = {"status": 404, "code": "unknown_device", "detail": "no device of this name"}
    headers = {"content-type": "application/problem+json"}
    web.get("/api/devices/hall").respond(404, json=problem, headers=headers)
    hall = {"name": "hall", "class": "pico", "state": "online", "address": "::1"}
    web.get("/api/devices").respond(listed, json={"devices": [hall]})
    async with ConsoleClient(parse_console_address(URL)) as client:
        with pytest.raises(NotThere) as caught:
            await client.device("hall")
    assert (caught.value.cause, caught.value.hint) == ("no device of this name", "")


async def test_answer_without_end_is_given_up(
    web: respx.MockRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console_client, "MOST_OF_ANSWER", 1000)
    web.get("/api/devices").respond(200, content=b"x" * 1001)
    assert "no end" in (await stranger(web)).cause


async def test_picture_that_is_none_is_told_and_one_without_an_age_is_taken(
    web: respx.MockRouter,
) -> None:
    route = web.get("/api/devices/hall/snapshot.jpg").respond(200, content=b"GIF89a")
    assert "no JPEG" in (await stranger(web, "snapshot")).cause
    async with ConsoleClient(parse_console_address(URL)) as client:
        for age in ("old", "inf", "nan", "1e300"):
            route.respond(200, content=JPEG, headers={"x-picture-age": age})
            assert await client.snapshot("hall") == (JPEG, None)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (httpx.Response(200, text="hello"), "no stream of events"),
        (httpx.Response(502, text="Bad Gateway"), "HTTP 502"),
    ],
)
async def test_events_of_a_stranger_are_none(
    web: respx.MockRouter, answer: httpx.Response, told: str
) -> None:
    web.get("/api/events").mock(return_value=answer)
    async with ConsoleClient(parse_console_address(URL)) as client:
        with pytest.raises(NotAGateway, match=told):
            await client.events(["session"], ["kitchen"], 7).__aenter__()
    request = web.calls.last.request
    assert request.headers["last-event-id"] == "7"
    assert str(request.url.query, "ascii") == "kind=session&device=kitchen"


async def test_refusal_of_the_events_that_does_not_end_is_given_up_in_time() -> None:
    async def refuse_slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 100\r\n\r\nBad")
        await reader.read()

    async with serving(refuse_slowly) as port:
        address = parse_console_address(f"127.0.0.1:{port}")
        async with ConsoleClient(address, patience=0.2) as client, asyncio.timeout(PATIENCE):
            with pytest.raises(NoAnswer):
                await client.events([], [], 0).__aenter__()


async def test_stream_that_is_cut_is_told(web: respx.MockRouter) -> None:
    async def cut() -> AsyncIterator[bytes]:
        yield b"data: x\n\n"
        raise httpx.ReadError("reset")

    headers = {"content-type": "text/event-stream"}
    web.get("/api/events").mock(return_value=httpx.Response(200, headers=headers, content=cut()))
    async with (
        ConsoleClient(parse_console_address(URL)) as client,
        client.events([], [], 0) as pieces,
    ):
        assert await anext(pieces) == b"data: x\n\n"
        with pytest.raises(LinkCut):
            await anext(pieces)
