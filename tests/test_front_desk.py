from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from harness import (
    AS_NOBODY,
    FAR,
    UPGRADE,
    Answer,
    Device,
    Headers,
    RawClient,
    RunningGateway,
    bearer,
    check_refusal,
    head,
    held_journal,
    is_root,
    running_gateway,
    upgrade_head,
)
from journal_bench import rows

from wsdev.codes import REFUSALS
from wsdev.front_desk import redacted_target
from wsdev.settings import load
from wsdev.token_format import new_token

STRANGER = new_token("pico")


# Each refusal, for real

Provoke = Callable[[RunningGateway], Awaitable[Answer]]


async def slow_head(gateway: RunningGateway) -> Answer:
    async with RawClient.connect(gateway) as client:
        await client.write(b"GET / HTTP/1.1\r\n")
        gateway.clock.advance(10)
        return await client.answer()


async def revoked_token(gateway: RunningGateway) -> Answer:
    record, token = gateway.book.create("pico", name="gone")
    gateway.book.revoke(record.id)
    return await gateway.upgrade(headers=bearer(token))


async def another_class(gateway: RunningGateway) -> Answer:
    return await gateway.upgrade("/ws/esp32cam", bearer(gateway.token("pico")))


async def twice(gateway: RunningGateway, action: Callable[[], Awaitable[Answer]]) -> Answer:
    await action()
    return await action()


async def one_too_many(gateway: RunningGateway) -> Answer:
    gateway.listener.seen_as = FAR
    async with gateway.device(), RawClient.connect(gateway) as client:
        return await client.answer()


async def one_above_all(gateway: RunningGateway) -> Answer:
    async with (
        gateway.device(),
        gateway.device(),
        gateway.device(),
        RawClient.connect(gateway) as client,
    ):
        return await client.answer()


async def while_draining(gateway: RunningGateway) -> Answer:
    gateway.gateway.desk.draining = True
    return await gateway.upgrade(headers=bearer(gateway.token()))


async def with_no_room_in_the_journal(gateway: RunningGateway) -> Answer:
    with held_journal(gateway.folder):
        for _ in range(LIMITS["unrecorded_rows"]):
            await gateway.get("/nowhere")
        return await gateway.upgrade(headers=bearer(gateway.token()))


LIMITS = {
    "unrecorded_rows": 10,
    "wrong_tokens_per_minute": 1,
    "token_requests_per_minute": 1,
    "connections": 3,
    "connections_per_address": 1,
}

REFUSED: dict[str, Provoke] = {
    "bad_request": lambda g: g.send(b"GET /\r\n\r\n"),
    "no_host": lambda g: g.send(b"GET / HTTP/1.1\r\n\r\n"),
    "bad_upgrade": lambda g: g.send(head("/ws/pico", UPGRADE | {"Sec-WebSocket-Key": "short"})),
    "tls_on_plain_port": lambda g: g.send(bytes.fromhex("160301020001")),
    "authorization_conflict": lambda g: g.upgrade(
        headers=[("Authorization", "Bearer a"), ("Authorization", "Bearer b")]
    ),
    "head_timeout": slow_head,
    "token_missing": lambda g: g.upgrade(),
    "token_malformed": lambda g: g.upgrade(headers={"Authorization": "Bearer \xe9"}),
    "token_mistyped": lambda g: g.upgrade(headers=bearer(STRANGER[:-1])),
    "token_unknown": lambda g: g.upgrade(headers=bearer(STRANGER)),
    "token_retired": revoked_token,
    "wrong_class": another_class,
    "tokens_closed": lambda g: g.get("/public/tokens"),
    "not_found": lambda g: g.get("/admin"),
    "unknown_class": lambda g: g.upgrade("/ws/toaster"),
    "method_not_allowed": lambda g: g.get("/public/tokens", method="OPTIONS"),
    "upgrade_required": lambda g: g.get("/ws/pico"),
    "http_1_0": lambda g: g.send(head("/ws/pico", UPGRADE, version="HTTP/1.0")),
    "websocket_version": lambda g: g.send(
        head("/ws/pico", UPGRADE | {"Sec-WebSocket-Version": "8"})
    ),
    "too_many_attempts": lambda g: twice(g, lambda: g.upgrade(headers=bearer(STRANGER))),
    "too_many_requests": lambda g: twice(g, lambda: g.get("/public/tokens")),
    "too_many_connections": one_too_many,
    "head_too_large": lambda g: g.get("/", {"X-Long": "x" * 9000}),
    "full": one_above_all,
    "cannot_record": with_no_room_in_the_journal,
    "draining": while_draining,
}


def test_every_refusal_is_tried() -> None:
    assert set(REFUSED) == set(REFUSALS)


@pytest.mark.parametrize("code", REFUSED)
async def test_refusal_says_why_and_leaves_a_line_with_the_same_id(
    code: str, tmp_path: Path
) -> None:
    async with running_gateway(tmp_path, limits=LIMITS) as gateway:
        answer = await REFUSED[code](gateway)
        line = check_refusal(gateway, answer, code)
        far = code == "too_many_connections"
        assert line["address"] == (FAR if far else "127.0.0.1")
        if REFUSALS[code].status == 401:
            assert answer.header("WWW-Authenticate") == "Bearer"
        if code in {"too_many_attempts", "too_many_requests"}:
            assert answer.header("Retry-After") == "60"


async def test_draining_tells_when_to_come_back(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        assert (await while_draining(gateway)).header("Retry-After") == "5"
        health = await gateway.get("/healthz")
        assert (health.status, health.json["status"]) == (503, "draining")
        for target in ("/", "/public/tokens", "/nowhere"):
            check_refusal(gateway, await gateway.get(target), "draining")


# The plain answers


@pytest.fixture
def asked(tmp_path: Path) -> Callable[..., Awaitable[Answer]]:
    """The answer to one request at a gateway with given settings."""

    async def ask(target: str, headers: Headers = (), **settings: Any) -> Answer:
        async with running_gateway(tmp_path, **settings) as gateway:
            return await gateway.get(target, headers)

    return ask


async def test_healthy_gateway_says_ok(asked: Callable[..., Awaitable[Answer]]) -> None:
    answer = await asked("/healthz")
    assert (answer.status, answer.json) == (200, {"status": "ok"})


async def test_place_of_the_files_is_not_told_to_strangers(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, state=tmp_path) as gateway:
        gateway.gateway.desk.trouble = f"the disk of {tmp_path}/state/journal.db is full"
        answer = await gateway.get("/healthz")
        assert answer.json["reason"] == "the disk of …/state/journal.db is full"


async def test_trouble_makes_the_gateway_degraded(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        gateway.gateway.desk.trouble = "the disk is full"
        answer = await gateway.get("/healthz")
        assert answer.status == 503
        assert answer.json == {"status": "degraded", "reason": "the disk is full"}
        async with gateway.device(name="kitchen") as device:
            await device.telemetry("still served")


async def test_page_shows_the_host_as_the_phone_reached_it(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, public_tokens="open") as gateway:
        answer = await gateway.get("/", {"Host": "gateway.example:3000"})
        assert b"ws://gateway.example:3000/ws/pico" in answer.body
        assert b"127.0.0.1" in answer.body
        assert b"handed out now" in answer.body
        assert gateway.token().encode() not in answer.body
        old = await gateway.send(b"GET / HTTP/1.0\r\n\r\n")
        assert f"ws://127.0.0.1:{gateway.port}/ws/pico".encode() in old.body


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("http://gateway.example/healthz", 200),
        ("HTTP://gateway.example:3000/", 200),
        ("http://gateway.example", 200),
        ("http://gateway.example?x=/", 200),
        ("https://gateway.example/elsewhere", 404),
        ("ftp://gateway.example/healthz", 404),
        ("gateway.example:3000", 404),
        ("*", 404),
    ],
)
async def test_target_may_carry_scheme_and_host(target: str, status: int, tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        assert (await gateway.get(target)).status == status


async def test_two_hosts_are_refused(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        answer = await gateway.get("/", [("Host", "a"), ("Host", "b")])
        check_refusal(gateway, answer, "no_host")


@pytest.mark.parametrize("target", ["/", "/healthz", "/public/tokens", "/nowhere", "/ws/pico"])
async def test_head_is_answered_without_a_body(target: str, tmp_path: Path) -> None:
    async with running_gateway(tmp_path, public_tokens="open") as gateway:
        get, only_head = await gateway.get(target), await gateway.get(target, method="HEAD")
        assert only_head.status == get.status
        assert only_head.header("Content-Length") == get.header("Content-Length")
        assert only_head.body == b""


async def test_head_with_upgrade_headers_is_not_let_in(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        headers = UPGRADE | bearer(gateway.token())
        answer = await gateway.get("/ws/pico", headers, method="HEAD")
        assert answer.status == 426
        assert len(gateway.hub) == 0


@pytest.mark.parametrize("method", ["OPTIONS", "POST", "PUT", "DELETE", "TRACE", "CONNECT"])
@pytest.mark.parametrize("target", ["/", "/healthz", "/public/tokens", "/ws/pico"])
async def test_other_methods_get_405_and_no_cors_header(
    method: str, target: str, tmp_path: Path
) -> None:
    async with running_gateway(tmp_path, public_tokens="open") as gateway:
        answer = await gateway.get(target, {"Origin": "https://evil.example"}, method=method)
        check_refusal(gateway, answer, "method_not_allowed")
        assert answer.header("Allow") == "GET, HEAD"


@pytest.mark.parametrize(
    "target",
    [
        "/admin",
        "/console",
        "/metrics",
        "/api/devices",
        "/ws",
        "/ws/",
        "/ws/pico/",
        "/ws/pico/..",
        "/ws//pico",
        "/WS/pico",
        "/ws/%70ico",
        "/public",
        "/public/tokens/",
        "/public/../public/tokens",
        "//public/tokens",
        "/healthz/",
        "*",
        "/%2e%2e/etc/passwd",
    ],
)
async def test_nothing_else_is_reachable(target: str, tmp_path: Path) -> None:
    async with running_gateway(tmp_path, public_tokens="open", trust_local=True) as gateway:
        for answer in (await gateway.get(target), await gateway.upgrade(target)):
            assert answer.status == 404
            assert answer.json["paths"] == [
                "/ws/pico",
                "/ws/esp32cam",
                "/public/tokens",
                "/healthz",
                "/",
            ]


async def test_further_device_class_has_its_path_and_its_tokens(tmp_path: Path) -> None:
    classes = load({"device_class": ["sensor"]}, {}).device_class
    settings: dict[str, Any] = {"device_class": classes, "public_tokens": "open"}
    async with running_gateway(tmp_path, **settings) as gateway:
        listed = (await gateway.get("/public/tokens")).json
        async with gateway.device("sensor", token=listed["sensor_tokens"][0]):
            (member,) = gateway.hub
            assert member.device_class == "sensor"


# Tokens handed out


async def test_open_policy_hands_out_the_tokens_of_each_class(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, public_tokens="open") as gateway:
        gateway.listener.seen_as = FAR
        gateway.token(name="kitchen")  # a device token is nobody else's
        answer = await gateway.get("/public/tokens", {"User-Agent": "probe"})
        assert answer.status == 200
        listed = {key: value for key, value in answer.json.items() if key.endswith("_tokens")}
        assert listed == {
            "pico_tokens": [gateway.token("pico")],
            "esp32cam_tokens": [gateway.token("esp32cam")],
        }
        assert "Access-Control-Allow-Origin" not in dict(answer.headers)
        (line,) = gateway.log.all("tokens_given")
        assert (line["address"], line["user_agent"]) == (FAR, "probe")


async def test_window_hands_out_until_its_time_is_over(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, public_tokens="window") as gateway:
        check_refusal(gateway, await gateway.get("/public/tokens"), "tokens_closed")
        gateway.book.open_window(600)
        assert (await gateway.get("/public/tokens")).status == 200
        gateway.wall_clock.advance(590)
        assert (await gateway.get("/public/tokens")).status == 200
        gateway.wall_clock.advance(11)
        check_refusal(gateway, await gateway.get("/public/tokens"), "tokens_closed")
        gateway.book.open_window(600)
        gateway.book.close_window()
        check_refusal(gateway, await gateway.get("/public/tokens"), "tokens_closed")


async def test_off_policy_hands_out_nothing_even_with_an_open_window(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, public_tokens="off") as gateway:
        gateway.book.open_window(600)
        check_refusal(gateway, await gateway.get("/public/tokens"), "tokens_closed")


@pytest.mark.parametrize("policy", ["window", "off"])
async def test_locally_trusted_request_is_always_answered(policy: str, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"public_tokens": policy, "trust_local": True}
    async with running_gateway(
        tmp_path, limits={"token_requests_per_minute": 1}, **settings
    ) as gateway:
        for _ in range(3):
            assert (await gateway.get("/public/tokens")).status == 200


# Local trust


@asynccontextmanager
async def trusting(folder: Path, **settings: Any) -> AsyncIterator[RunningGateway]:
    async with running_gateway(folder, trust_local=True, **settings) as gateway:
        yield gateway


async def test_own_program_on_this_host_needs_no_token(tmp_path: Path) -> None:
    async with trusting(tmp_path) as gateway:
        async with gateway.device(token="", name="kitchen"):
            (line,) = gateway.log.all("connected")
            assert line["token"] == "none, trusted as local"
        local = {"Host": f"localhost:{gateway.port}", "Origin": "http://localhost:3001"}
        async with gateway.device(token="", headers=local):
            pass


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "0.0.0.0"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "file://"},
        {"Forwarded": "for=127.0.0.1"},
        {"X-Forwarded-For": "127.0.0.1"},
        {"X-Forwarded-Proto": "https"},
        {"X-Real-IP": "127.0.0.1"},
        {"Via": "1.1 proxy"},
        {"CF-Connecting-IP": "127.0.0.1"},
    ],
    ids=str,
)
async def test_local_trust_is_void_with_a_sign_of_a_stranger(
    headers: dict[str, str], tmp_path: Path
) -> None:
    async with trusting(tmp_path, public_tokens="off") as gateway:
        answer = await gateway.upgrade(headers=headers)
        check_refusal(gateway, answer, "token_missing")
        check_refusal(gateway, await gateway.get("/public/tokens", headers), "tokens_closed")
        async with gateway.device(headers=headers):
            pass  # with a token none of them matters


async def test_token_that_is_sent_must_be_good_even_locally(tmp_path: Path) -> None:
    async with trusting(tmp_path) as gateway:
        check_refusal(gateway, await gateway.upgrade(headers=bearer(STRANGER)), "token_unknown")


async def test_far_peer_is_not_local_whatever_it_says(tmp_path: Path) -> None:
    async with trusting(tmp_path) as gateway:
        gateway.listener.seen_as = FAR
        line = check_refusal(
            gateway, await gateway.upgrade(headers={"Host": "localhost"}), "token_missing"
        )
        assert line["address"] == FAR


async def test_switch_ends_local_trust(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, trust_local=False) as gateway:
        check_refusal(gateway, await gateway.upgrade(), "token_missing")


PROXY = """
client = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
client.sendall(sys.argv[2].encode())
print(client.makefile().readline(), end="")
"""


@pytest.mark.skipif(not is_root(), reason="only root can start a process of another user")
async def test_program_of_another_user_needs_a_token(tmp_path: Path) -> None:
    async with trusting(tmp_path) as gateway:
        request = upgrade_head().decode()
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-c", AS_NOBODY + PROXY, str(gateway.port), request),
            stdout=subprocess.PIPE,
        )
        output, _ = await child.communicate()
        assert output == b"HTTP/1.1 401 Unauthorized\n"
        assert gateway.log.all("refused", code="token_missing", address="127.0.0.1")


# Trusted proxies


PROXIES = load({"trusted_proxy": ["127.0.0.0/8"]}, {}).trusted_proxy


async def test_address_that_a_trusted_proxy_reports_counts(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, trusted_proxy=PROXIES) as gateway:
        headers = {"X-Forwarded-For": f"198.51.100.1, {FAR}"}
        line = check_refusal(gateway, await gateway.upgrade(headers=headers), "token_missing")
        assert (line["address"], line["via"]) == (FAR, "127.0.0.1")
        async with gateway.device(headers=headers, name="kitchen"):
            assert gateway.member("kitchen").address == FAR
            (line,) = gateway.log.all("connected")
            assert (line["address"], line["via"]) == (FAR, "127.0.0.1")


async def test_forwarded_address_from_anybody_else_is_ignored(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, trusted_proxy=PROXIES) as gateway:
        gateway.listener.seen_as = FAR
        headers = {"X-Forwarded-For": "127.0.0.1"}
        line = check_refusal(gateway, await gateway.upgrade(headers=headers), "token_missing")
        assert line["address"] == FAR
        assert "via" not in line


async def test_cap_for_one_address_counts_what_the_proxy_reports(tmp_path: Path) -> None:
    limits = {"connections_per_address": 1}
    async with running_gateway(tmp_path, trusted_proxy=PROXIES, limits=limits) as gateway:
        far = {"X-Forwarded-For": FAR}
        async with gateway.device(headers=far, name="kitchen") as device:
            answer = await gateway.upgrade(headers=far | bearer(gateway.token()))
            check_refusal(gateway, answer, "too_many_connections")
            async with gateway.device(headers={"X-Forwarded-For": "198.51.100.1"}):
                pass
            await device.telemetry("noticed nothing")
        await gateway.log.wait_for("disconnected", device="kitchen")
        async with gateway.device(headers=far):
            pass


# Secrets and escapes in the log


def secrets_of(gateway: RunningGateway) -> list[str]:
    return [gateway.token(), gateway.token(name="kitchen"), STRANGER, new_token("esp32cam")]


async def test_no_token_is_ever_logged_or_answered(tmp_path: Path) -> None:
    limits = {"wrong_tokens_per_minute": 0}
    async with running_gateway(tmp_path, limits=limits) as gateway:
        answers = b""
        secrets = secrets_of(gateway)
        targets: list[tuple[str, Headers]]
        for token in secrets:
            mistyped = token[:-1] + ("a" if token[-1] != "a" else "b")
            encoded = "".join(f"%{ord(letter):02x}" for letter in token)
            for text in (token, mistyped, token[:-3], encoded):
                targets = [
                    ("/ws/pico", bearer(text)),
                    ("/ws/pico", {"Authorization": text}),
                    ("/ws/pico", {"Authorization": f"Basic {text}"}),
                    ("/ws/pico", [("Authorization", f"Bearer {text}"), ("Authorization", "x")]),
                    (f"/ws/pico?token={text}", {}),
                    (f"/ws/pico?a=b&tok%65n={text}&c", {}),
                    (f"/nowhere?token={text}", {}),
                    (f"/ws/pico?access_token={text}", {}),
                    (f"/ws/pico?TOKEN={text}", {}),
                    (f"/ws/pico?{text}", {}),
                    (f"/ws/{text}", {}),
                    (f"/ws/pico/{text}", {}),
                    ("/nowhere", {"User-Agent": f"curl {text}"}),
                    ("/ws/pico", {"Sec-WebSocket-Protocol": text}),
                ]
                for target, headers in targets:
                    async with RawClient.connect(gateway) as client:
                        await client.write(upgrade_head(target, headers))
                        answer = await client.read_head()
                        answers += answer
                        if not answer.startswith(b"HTTP/1.1 101"):
                            answers += await client.read_to_end()
        said = gateway.log.text.getvalue() + answers.decode()
        for token in secrets:
            for canary in (token, token[:-3], token[:-6]):
                assert canary not in said


async def test_message_with_a_token_in_it_leaves_none_in_the_log(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway, gateway.device() as device:
        token = gateway.token()
        await device.hello("x", version=token)
        await device.send({"type": token}, {"type": "log", "message": "m", "level": token})
        await device.telemetry(token)
        assert token not in gateway.log.text.getvalue()


async def test_refused_token_is_known_by_its_tail(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        answer = await gateway.upgrade(headers=bearer(STRANGER))
        line = check_refusal(gateway, answer, "token_unknown")
        assert line["token"] == f"…{STRANGER[-4:]}"


async def test_escapes_from_the_wire_never_reach_the_log_raw(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        await gateway.send(b"GET /\x1b]0;x\x07\x7f HTTP/1.1\r\nHost: x\r\n\r\n")
        await gateway.get("/nowhere?%1b]0;x%07=%9b31m%0a%e2%80%ae", {"User-Agent": "\x9b31m\x85"})
        async with gateway.device(headers={"User-Agent": "\x9b31m"}) as device:
            await device.hello("\x1b[31m\u202e\u2028kitchen", version="\x1b[2J\n")
            await device.send(
                {"type": "\x1b[31m\u2029"},
                {"type": "ack", "status": "success", "command_type": "\x9b2J\n"},
            )
            await device.send({"type": "log", "message": "\n", "level": "\x1b["})
            await device.write(
                bytes.fromhex("8892 00000000 03e8") + b"\x1b]0;x\x07\xc2\x9b31m\n,,,,"
            )
            await gateway.log.wait_for("disconnected")
        unsafe = {chr(code) for code in (*range(32), *range(0x7F, 0xA0), 0x202E, 0x2028, 0x2029)}
        assert not set(gateway.log.text.getvalue()) & (unsafe - {"\n"})
        lines = gateway.log.text.getvalue().splitlines()
        assert len(lines) == 2 * len(gateway.log.lines)


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        ("/ws/pico", "/ws/pico"),
        ("/ws/pico?", "/ws/pico?"),
        ("/ws/pico?token=secret", "/ws/pico?token=…"),
        ("/ws/pico?a=1&token=secret&b=2", "/ws/pico?a=1&token=…&b=2"),
        ("/ws/pico?%74oken=secret", "/ws/pico?token=…"),
        ("/ws/pico?token=secret&token=other", "/ws/pico?token=…&token=…"),
        ("/ws/pico?TOKEN=secret", "/ws/pico?TOKEN=…"),
        ("/x?a=%1b[", "/x?a=%1B%5B"),
    ],
)
def test_token_in_a_target_is_redacted_however_it_is_spelled(target: str, shown: str) -> None:
    assert redacted_target(target) == shown


@pytest.mark.parametrize("times", range(1, 8))
@pytest.mark.parametrize(
    "target", ["/ws/%s", "/x;t=%s", "/x?a=%s&b=1", "/x?%s", "http://%s/", "/%%2F%s"]
)
def test_token_in_a_target_is_redacted_however_it_is_encoded(target: str, times: int) -> None:
    token = new_token("pico", bytes)
    for which in ("w", "_", "0", token):
        encoded = token
        for _ in range(times):
            encoded = "".join(
                f"%{ord(letter):02x}" if letter in f"{which}%" else letter for letter in encoded
            )
        shown = redacted_target(target % encoded)
        assert "wsd_…" in shown or shown.endswith("…")
        for _ in range(10):
            shown = unquote(shown)
            assert token[10:] not in shown


def test_target_that_is_encoded_without_end_is_cut_where_that_begins() -> None:
    assert redacted_target("/a/%" + "25" * 20 + "41/b") == "/a/…"
    assert redacted_target("/a/%25252e%41/b%zz") == "/a/%25252e%41/b%zz"


async def test_encoded_token_is_neither_logged_nor_recorded(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        token = gateway.token()
        for number, encoded in enumerate(
            (token.replace("w", "%77"), token.replace("_", "%5f"), token.replace("_", "%255F"))
        ):
            await gateway.get(f"/{number};{encoded}")
        assert [line["path"] for line in gateway.log.all("refused")] == [
            f"/{number};wsd_…" for number in range(3)
        ]
    assert rows(gateway.folder, "SELECT path FROM refusals ORDER BY path") == [
        (f"/{number};wsd_…",) for number in range(3)
    ]


async def test_device_presents_its_token_in_the_query(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway, RawClient.connect(gateway) as client:
        await client.write(upgrade_head(f"/ws/pico?token={gateway.token()}"))
        assert (await client.read_head()).startswith(b"HTTP/1.1 101 ")


async def test_upgrade_is_short_and_the_gateway_never_speaks_first(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway, Device.connect(gateway) as device:
        await device.write(upgrade_head("/ws/pico", bearer(gateway.token())))
        answer = await device.read_head()
        assert len(answer) < 512
        names = [line.split(b":")[0] for line in answer.split(b"\r\n")[1:] if line]
        assert names == [b"Upgrade", b"Connection", b"Sec-WebSocket-Accept"]
        await device.send({"type": "ping", "timestamp": 1})
        assert (await device.receive())["type"] == "pong"


async def test_method_that_is_no_word_is_refused_too(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        for method in ("M-SEARCH", "A" * 20):
            answer = await gateway.get("/healthz", method=method)
            assert (answer.status, answer.header("Allow")) == (405, "GET, HEAD")


async def test_every_answer_tells_the_time(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, public_tokens="open") as gateway:
        gateway.wall_clock.advance(60)
        for path in ("/", "/healthz", "/public/tokens", "/nowhere", "/ws/pico"):
            answer = await gateway.get(path)
            assert answer.header("Date").startswith("Fri, 15 Jan 2027 08:01:0"), path
