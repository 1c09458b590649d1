"""The real gateway refuses or closes, for real reasons, and the probe says why."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_gateways import answer, serving
from harness import FAR, PATIENCE, RunningGateway, held_journal, running_gateway
from relay import Rules, relaying
from visits import SECRET, Seen, url_of, visit

from wsdev.codes import CLOSE_MEANINGS, REFUSALS
from wsdev.errors import ExitCode
from wsdev.probe import Step
from wsdev.protocol import PICO
from wsdev.token_format import new_token

HTTP, TOKEN, NOT_ALLOWED = ExitCode.HTTP, ExitCode.TOKEN, ExitCode.NOT_ALLOWED


def check_told(seen: Seen, gateway: RunningGateway, code: str) -> None:
    """The verdict has the gateway's words, and the number of its line in the log."""
    verdict = seen.report["verdict"]
    assert verdict["what"] == REFUSALS[code].message
    found = re.search(r"wsdev logs --request-id (\S+)", seen.evidence)
    assert found is not None
    (line,) = gateway.log.all("refused", request_id=found[1])
    assert line["code"] == code


# The token


async def test_mistyped_token(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        seen = await visit(gateway.port, token=SECRET)
    seen.names("token_mistyped", "token", TOKEN, "HTTP 401", "WWW-Authenticate: Bearer")
    check_told(seen, gateway, "token_mistyped")
    assert "checksum is wrong" in seen.report["steps"][4]["detail"]


async def test_token_that_lost_its_first_letter(tmp_path: Path) -> None:
    token = new_token("pico")[1:]
    async with running_gateway(tmp_path) as gateway:
        seen = await visit(gateway.port, token=token)
    seen.names("token_mistyped", "token", TOKEN, "HTTP 401")
    assert "not a wsdev token" in seen.report["facts"]["token"]["mistyped"]
    assert "by its form: this is not a wsdev token" in seen.evidence


async def test_token_of_another_gateway(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        seen = await visit(gateway.port, token=new_token("pico"))
    seen.names("token_unknown", "token", TOKEN, "HTTP 401")
    check_told(seen, gateway, "token_unknown")


@pytest.mark.parametrize("how", ["revoked", "rotated"])
async def test_retired_token(how: str, tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        token = gateway.token()
        if how == "revoked":
            gateway.book.revoke("pico")
        else:
            gateway.book.rotate("pico", grace=0)
        seen = await visit(gateway.port, token=token)
    seen.names("token_retired", "token", TOKEN, "HTTP 401")
    check_told(seen, gateway, "token_retired")


async def test_token_of_another_class(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        seen = await visit(gateway.port, token=gateway.token("esp32cam"))
    seen.names("wrong_class", "token", NOT_ALLOWED, "HTTP 403")
    assert "--device" in seen.report["verdict"]["fix"]
    check_told(seen, gateway, "wrong_class")


async def test_too_many_wrong_tokens(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, limits={"wrong_tokens_per_minute": 1}) as gateway:
        await visit(gateway.port, token=SECRET)
        seen = await visit(gateway.port, token=SECRET)
    seen.names("too_many_attempts", "token", NOT_ALLOWED, "HTTP 429", "wait 60 s")


# Fetching one


async def test_closed_window(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, public_tokens="off") as gateway:
        seen = await visit(gateway.port)
    seen.names("tokens_closed", "token", NOT_ALLOWED, "GET /public/tokens: HTTP 403")
    assert "wsdev tokens open" in seen.report["verdict"]["fix"]


async def test_too_many_requests(tmp_path: Path) -> None:
    limits = {"token_requests_per_minute": 1}
    async with running_gateway(tmp_path, public_tokens="open", limits=limits) as gateway:
        assert (await visit(gateway.port)).exit_code == ExitCode.OK
        seen = await visit(gateway.port)
    seen.names("too_many_requests", "token", NOT_ALLOWED, "HTTP 429", "wait ")


async def test_class_of_which_there_is_no_token(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, public_tokens="open") as gateway:
        seen = await visit(gateway.port, device="toaster")
    seen.names("token_not_offered", "token", NOT_ALLOWED, "it offers: pico, esp32cam")


# The upgrade


async def test_unknown_class(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        seen = await visit(gateway.port, device="toaster", token=gateway.token())
    seen.names("unknown_class", "upgrade", NOT_ALLOWED, "/ws/pico, /ws/esp32cam")


async def test_prefix_that_the_gateway_does_not_have(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        url = url_of(gateway.port, path="/devices")
        seen = await visit(url, token=gateway.token())
        fetching = await visit(url)
    for found in (seen, fetching):
        found.names("not_found", "http", HTTP, "HTTP 404", "its paths: /ws/pico")
        assert found.report["verdict"]["fix"].startswith("leave /devices out of --url")


async def test_too_many_connections_from_one_address(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, limits={"connections_per_address": 1}) as gateway:
        gateway.listener.seen_as = FAR
        async with gateway.device():
            seen = await visit(gateway.port, token=gateway.token())
    seen.names("too_many_connections", "upgrade", NOT_ALLOWED, "HTTP 429")


async def test_full_gateway(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, max_connections=1) as gateway, gateway.device():
        seen = await visit(gateway.port, token=gateway.token())
        fetching = await visit(gateway.port)
    for found in (seen, fetching):
        found.names("full", "upgrade", NOT_ALLOWED, "HTTP 503")
    assert "a wsdev gateway" in seen.report["steps"][3]["detail"]


async def test_draining_gateway(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        gateway.gateway.desk.draining = True
        seen = await visit(gateway.port, token=gateway.token())
    seen.names("draining", "upgrade", NOT_ALLOWED, "HTTP 503")


async def test_gateway_whose_disk_takes_no_more(tmp_path: Path) -> None:
    async with (
        running_gateway(tmp_path, limits={"unrecorded_rows": 10}) as gateway,
        gateway.device(name="kitchen") as device,
    ):
        with held_journal(gateway.folder):
            await device.send(*({"type": "log", "message": "x"} for _ in range(10)))
            await gateway.log.wait_for("message", count=10)
            seen = await visit(gateway.port, token=gateway.token())
    seen.names("cannot_record", "upgrade", NOT_ALLOWED, "HTTP 503")


async def test_refusal_of_a_newer_gateway_tells_its_own_hint() -> None:
    body = b'{"code":"moon","message":"The moon is full.","hint":"Wait.","request_id":"r1"}'
    async with serving(answer("403 Forbidden", body, "Content-Type: application/json")) as port:
        seen = await visit(port, token=SECRET)
    seen.names("refused_otherwise", "upgrade", NOT_ALLOWED, "moon: The moon is full.")
    assert seen.report["verdict"]["fix"] == "Wait."


# What something on the way does to the request

Change = Callable[[bytes], bytes]


def replaced(pattern: str, by: str) -> Change:
    """Each match in the head replaced."""
    return lambda head: re.sub(pattern.encode(), by.encode(), head, flags=re.IGNORECASE)


REWRITTEN: dict[str, tuple[Change, str, str, ExitCode]] = {
    "not HTTP": (replaced(r"HTTP/1\.1\r", "HTTP/x\r"), "bad_request", "http", HTTP),
    "Host left out": (replaced(r"Host: [^\r]*\r\n", ""), "no_host", "http", HTTP),
    "key left out": (
        replaced(r"Sec-WebSocket-Key: [^\r]*\r\n", ""), "bad_upgrade", "upgrade", HTTP
    ),
    "other version": (
        replaced("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 8"),
        "websocket_version", "upgrade", HTTP,
    ),
    "other method": (replaced("^GET ", "PUT "), "method_not_allowed", "http", HTTP),
    "path cut": (replaced("GET /ws/pico", "GET /pico"), "path_changed", "upgrade", HTTP),
    "upgrade left out": (
        replaced(r"(Upgrade|Connection): [^\r]*\r\n", ""), "upgrade_stripped", "upgrade", HTTP
    ),
    "HTTP/1.0": (replaced(r"HTTP/1\.1\r", "HTTP/1.0\r"), "upgrade_http_1_0", "upgrade", HTTP),
    "token left out": (
        replaced(r"Authorization: [^\r]*\r\n", ""), "token_stripped", "upgrade", HTTP
    ),
    "token twice": (
        replaced(r"(Authorization: )", r"Authorization: Bearer other\r\n\1"),
        "authorization_conflict", "token", TOKEN,
    ),
    "token in another form": (
        replaced(r"Authorization: Bearer", "Authorization: Token"), "token_malformed", "token",
        TOKEN,
    ),
    "fat head": (
        replaced("Host:", "Cookie: " + "x" * 9000 + r"\r\nHost:"), "head_too_large", "http", HTTP
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", REWRITTEN)
async def test_request_that_was_changed_on_the_way(kind: str, tmp_path: Path) -> None:
    change, code, layer, exit_code = REWRITTEN[kind]
    async with (
        running_gateway(tmp_path) as gateway,
        relaying(gateway.port, Rules(rewrite=change)) as port,
    ):
        seen = await visit(port, token=gateway.token())
    seen.names(code, layer, exit_code, "request ", "wsdev logs --request-id")
    assert "a wsdev gateway" in seen.report["steps"][3]["detail"]


async def test_head_that_is_held_back(tmp_path: Path) -> None:
    async with (
        running_gateway(tmp_path, limits={"handshake_timeout": 0.5}) as gateway,
        relaying(gateway.port, Rules(hold_up=100_000)) as port,
    ):
        seen = await visit(port, token=gateway.token())
    seen.names("head_timeout", "http", HTTP, "HTTP 408")


# How the gateway closes


def at_hello(act: Callable[[], object]) -> Callable[[Step], None]:
    """Calls ``act`` once the probe was welcomed."""

    def watch(step: Step) -> None:
        if step.layer == "hello":
            act()

    return watch


def check_closed(seen: Seen, code: int, exit_code: ExitCode) -> None:
    seen.names(f"close_{code}", "message", exit_code, f"code {code}")
    assert CLOSE_MEANINGS[code].meaning in seen.report["verdict"]["what"]
    assert seen.report["session"]


async def test_token_that_is_revoked_meanwhile(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        token = gateway.token()
        with held_journal(gateway.folder):

            def revoke() -> None:
                gateway.book.revoke("pico")
                gateway.clock.advance(1)

            seen = await visit(gateway.port, token=token, done=at_hello(revoke))
    check_closed(seen, 4501, ExitCode.NOT_ALLOWED)


async def test_gateway_that_restarts_meanwhile(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        drains: list[asyncio.Task[None]] = []

        def drain() -> None:
            drains.append(asyncio.create_task(gateway.gateway.drain(0)))

        seen = await visit(gateway.port, token=gateway.token(), done=at_hello(drain), messages=99)
        await asyncio.wait_for(drains[0], PATIENCE)
    check_closed(seen, 1012, ExitCode.CUT)


async def test_name_that_belongs_to_another_token(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        token = gateway.token("pico", name="kitchen")
        seen = await visit(gateway.port, token=token, name="attic")
    seen.names("close_4503", "hello", ExitCode.NOT_ALLOWED, "code 4503")


async def test_message_over_the_limit_of_the_class(tmp_path: Path) -> None:
    small = PICO.__class__("pico", max_message=1024)
    async with running_gateway(tmp_path, device_class=(small,)) as gateway:
        seen = await visit(gateway.port, token=gateway.token())
    check_closed(seen, 1009, ExitCode.PROTOCOL)
    assert "8,192 bytes" in seen.evidence


async def test_disk_that_takes_nothing_leaves_messages_unanswered(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        with held_journal(gateway.folder):
            seen = await visit(gateway.port, token=gateway.token(), patience=0.5)
    seen.names("message_unanswered", "message", ExitCode.CUT, "within 0.5 s", "says now: HTTP 200")


@pytest.mark.from_source
async def test_disk_that_takes_nothing_is_named_once_the_gateway_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wsdev.journal.SLOW_SECONDS", 0.1)
    async with running_gateway(tmp_path) as gateway:
        with held_journal(gateway.folder):
            seen = await visit(gateway.port, token=gateway.token(), patience=0.5)
    told = (
        'GET /healthz says now: HTTP 503 {"status":"degraded","reason":"the disk does not answer"}'
    )
    seen.names("cannot_record", "message", NOT_ALLOWED, "within 0.5 s", told)
