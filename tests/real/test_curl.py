"""The HTTP side of the device plane, asked by curl."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme
from curl import Answer, Curl
from gateway_process import GatewayProcess, running_gateway

from wsdev.protocol import BUILTIN_CLASSES
from wsdev.token_format import new_token, parse_token

UPGRADE = (
    *("--header", "Connection: Upgrade"),
    *("--header", "Upgrade: websocket"),
    *("--header", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="),
    *("--header", "Sec-WebSocket-Version: 13"),
)
"""The handshake of RFC 6455 section 1.3."""

SMALL = 1024
"""Bytes that an answer to a device may have in all."""


@pytest.fixture
def curl(need: Callable[[str], str]) -> Curl:
    return Curl(need("curl"))


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """One that was just started for the first time and treats this machine as a stranger."""
    state = tmp_path_factory.mktemp("state")
    with running_gateway(state, "--no-trust-local") as running:
        yield running


@pytest.fixture(scope="module")
def trusting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """One that trusts its own user's programs, and hands tokens to nobody else."""
    state = tmp_path_factory.mktemp("state")
    with running_gateway(state, "--public-tokens", "off") as running:
        yield running


CANONICAL = {
    *("Allow", "Cache-Control", "Connection", "Content-Length", "Content-Type", "Date"),
    *("Retry-After",),
    *("Sec-WebSocket-Version", "Upgrade", "WWW-Authenticate", "X-Content-Type-Options"),
}


def assert_small_and_plain(answer: Answer) -> None:
    """What the poorest client can read: canonical names, a length, an end. No CORS, no redirect."""
    assert set(answer.names) <= CANONICAL
    assert answer.header("Content-Length") == str(len(answer.body))
    assert answer.header("Connection") in {"close", "close, Upgrade"}
    assert answer.size < SMALL


def assert_refused(answer: Answer, status: int, code: str) -> None:
    """A refusal that says why, what to do, and which line of the log tells more."""
    assert answer.status == status
    assert_small_and_plain(answer)
    body = answer.json()
    assert (body["status"], body["code"]) == ("error", code)
    assert body["message"]
    assert body["hint"]
    assert body["request_id"]


# What is there


def test_page_tells_that_the_gateway_is_reached_and_from_where(
    curl: Curl, gateway: GatewayProcess
) -> None:
    answer = curl(gateway.url("/", scheme="http"))
    page = answer.body.decode()
    assert answer.status == 200
    assert answer.header("Content-Type") == "text/html; charset=utf-8"
    assert "127.0.0.1" in page
    assert gateway.url("/ws/pico") in page
    assert gateway.url("/ws/esp32cam") in page
    assert not any(token in page for token in gateway.tokens.values())


def test_page_escapes_what_the_peer_calls_the_host(curl: Curl, gateway: GatewayProcess) -> None:
    host = 'Host: a"><script>alert(1)</script>\x1b]0;x\x07'
    answer = curl(gateway.url("/", scheme="http"), "--header", host)
    assert answer.status in {200, 400}
    assert b"<script>" not in answer.body
    assert b"\x1b" not in answer.body


def test_health_is_one_word(curl: Curl, gateway: GatewayProcess) -> None:
    answer = curl(gateway.url("/healthz", scheme="http"))
    assert (answer.status, answer.json()) == (200, {"status": "ok"})
    assert_small_and_plain(answer)


def test_first_start_hands_out_one_token_for_each_class(
    curl: Curl, gateway: GatewayProcess
) -> None:
    answer = curl(gateway.url("/public/tokens", scheme="http"))
    assert answer.status == 200
    assert_small_and_plain(answer)
    body = answer.json()
    for name in BUILTIN_CLASSES:
        assert body.pop(f"{name}_tokens") == [gateway.tokens[name]]
        assert parse_token(gateway.tokens[name]).device_class == name
    assert datetime.datetime.fromisoformat(body.pop("timestamp")).tzinfo is not None
    assert body == {
        "status": "success",
        "message": "Use these tokens in the Authorization header as 'Bearer <token>'",
    }


@pytest.mark.parametrize("path", ["/healthz", "/public/tokens", "/nothing", "/ws/pico"])
def test_head_gets_what_get_gets_without_the_body(
    curl: Curl, trusting: GatewayProcess, path: str
) -> None:
    url = trusting.url(path, scheme="http")
    whole, head = curl(url), curl(url, "--head")
    assert head.status_line == whole.status_line
    assert head.names == whole.names
    assert head.body == b""
    # The body of /public/tokens holds the time, that of a refusal an id: both of fixed length.
    assert head.header("Content-Length") == str(len(whole.body))


@pytest.mark.parametrize("host", [["--header", "Host:"], []], ids=["no Host", "Host"])
@pytest.mark.parametrize(
    ("path", "status"), [("/", 200), ("/healthz", 200), ("/public/tokens", 200), ("/no", 404)]
)
def test_http_1_0_is_answered(
    curl: Curl, gateway: GatewayProcess, path: str, status: int, host: list[str]
) -> None:
    answer = curl(gateway.url(path, scheme="http"), "--http1.0", *host)
    assert answer.status == status
    assert answer.header("Content-Length") == str(len(answer.body))
    assert answer.header("Connection") == "close"


def test_tls_gateway_answers_https_and_ends_it_cleanly(curl: Curl, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
        tmp_path / "gateway.pem"
    )
    options = ("--tls-cert", str(tmp_path / "gateway.pem"))
    with running_gateway(tmp_path / "state", *options) as gateway:
        known = ("--cacert", str(tmp_path / "ca.pem"))
        answer = curl(gateway.url("/healthz", scheme="https"), *known)
        assert answer.json() == {"status": "ok"}
        page = curl(gateway.url("/", scheme="https"), *known)
        assert gateway.url("/ws/pico", scheme="wss") in page.body.decode()


# What is not there


@pytest.mark.parametrize(
    "path",
    [
        *("/../etc/passwd", "/public/./tokens", "//public/tokens"),
        *("/public/tokens/", "/PUBLIC/TOKENS", "/public%2ftokens", "/public/tokens%00", "/%00"),
        *("/public/tokens;a", "/healthz/", "/public", "/ws", "/wss/pico", "/favicon.ico"),
        *("/api/devices", "/metrics", "/console", "/admin", "/docs", "/openapi.json"),
    ],
)
def test_nothing_else_is_there_however_it_is_spelled(
    curl: Curl, gateway: GatewayProcess, path: str
) -> None:
    answer = curl(gateway.url(path, scheme="http"), "--path-as-is")
    assert_refused(answer, 404, "not_found")
    paths = ["/ws/pico", "/ws/esp32cam", "/public/tokens", "/healthz", "/"]
    assert answer.json()["paths"] == paths


@pytest.mark.parametrize(
    "path", ["/ws/", "/ws/toaster", "/ws/pico/", "/ws/PICO", "/ws/pico%20", "/ws/../public/tokens"]
)
def test_unknown_class_is_told_the_known_ones(
    curl: Curl, gateway: GatewayProcess, path: str
) -> None:
    answer = curl(gateway.url(path, scheme="http"), "--path-as-is", *UPGRADE)
    assert_refused(answer, 404, "unknown_class")
    assert "/ws/pico" in answer.json()["paths"]


def test_absolute_target_opens_no_other_way_in(curl: Curl, gateway: GatewayProcess) -> None:
    page = gateway.url("/", scheme="http")
    healthy = gateway.url("/healthz", scheme="http", host="evil.example")
    assert curl(page, "--request-target", healthy).status == 200
    # From loopback, but as to a proxy: whose name the Host header bears means nothing then.
    device = gateway.url("/ws/pico", scheme="http", host="localhost")
    answer = curl(page, "--request-target", device, *UPGRADE)
    assert_refused(answer, 401, "token_missing")


@pytest.mark.parametrize("method", ["OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "FOO"])
@pytest.mark.parametrize("path", ["/public/tokens", "/healthz", "/ws/pico", "/nothing"])
def test_only_get_and_head_are_taken(
    curl: Curl, gateway: GatewayProcess, path: str, method: str
) -> None:
    answer = curl(gateway.url(path, scheme="http"), "--request", method)
    assert_refused(answer, 405, "method_not_allowed")
    assert answer.header("Allow") == "GET, HEAD"


def test_preflight_of_a_page_elsewhere_is_granted_nothing(
    curl: Curl, gateway: GatewayProcess
) -> None:
    url = gateway.url("/public/tokens", scheme="http")
    origin = ("--header", "Origin: https://elsewhere.example")
    asked = ("--header", "Access-Control-Request-Method: GET")
    preflight = curl(url, "--request", "OPTIONS", *origin, *asked)
    assert preflight.status == 405
    for answer in (preflight, curl(url, *origin)):
        assert not [name for name in answer.names if name.lower().startswith("access-control")]


def test_posted_body_does_not_cost_the_answer(curl: Curl, gateway: GatewayProcess) -> None:
    url = gateway.url("/public/tokens", scheme="http")
    answer = curl(url, "--data-binary", "x" * 60_000, "--header", "Expect:")
    assert_refused(answer, 405, "method_not_allowed")


def test_get_without_an_upgrade_is_told_what_is_spoken_here(
    curl: Curl, gateway: GatewayProcess
) -> None:
    answer = curl(gateway.url("/ws/pico", scheme="http"))
    assert_refused(answer, 426, "upgrade_required")
    assert answer.header("Upgrade") == "websocket"
    assert answer.header("Connection") == "close, Upgrade"


def test_upgrade_over_http_1_0_is_told_what_the_proxy_lacks(
    curl: Curl, gateway: GatewayProcess
) -> None:
    answer = curl(gateway.url("/ws/pico", scheme="http"), "--http1.0", *UPGRADE)
    assert_refused(answer, 426, "http_1_0")
    assert "proxy_http_version" in answer.json()["hint"]


def test_other_websocket_version_is_told_the_right_one(curl: Curl, gateway: GatewayProcess) -> None:
    version = ("--header", "Sec-WebSocket-Version: 8")
    answer = curl(gateway.url("/ws/pico", scheme="http"), *UPGRADE[:6], *version)
    assert_refused(answer, 426, "websocket_version")
    assert answer.header("Sec-WebSocket-Version") == "13"


@pytest.mark.parametrize(
    ("options", "status", "code"),
    [
        (["--header", "Host:"], 400, "no_host"),
        (["--header", "Long: " + "x" * 9000], 431, "head_too_large"),
        ([o for n in range(130) for o in ("--header", f"A{n}: b")], 431, "head_too_large"),
    ],
    ids=["no Host", "9,000 bytes", "130 lines"],
)
def test_head_out_of_bounds_is_refused(
    curl: Curl, gateway: GatewayProcess, options: list[str], status: int, code: str
) -> None:
    answer = curl(gateway.url("/healthz", scheme="http"), *options)
    assert_refused(answer, status, code)


# Who is there


@pytest.mark.parametrize(
    ("value", "status", "code"),
    [
        (None, 401, "token_missing"),
        ("Basic dXNlcjpwYXNz", 401, "token_malformed"),
        ("Bearer", 401, "token_malformed"),
        ("Bearer \N{LATIN SMALL LETTER E WITH ACUTE}", 401, "token_malformed"),
        ("Bearer none", 401, "token_mistyped"),
    ],
)
def test_device_without_a_usable_token_is_told_so_before_the_upgrade(
    curl: Curl, gateway: GatewayProcess, value: str | None, status: int, code: str
) -> None:
    sent = [] if value is None else ["--header", f"Authorization: {value}"]
    answer = curl(gateway.url("/ws/pico", scheme="http"), *UPGRADE, *sent)
    assert_refused(answer, status, code)
    assert answer.header("WWW-Authenticate") == "Bearer"
    line = gateway.wait_for_log("refused", request_id=answer.json()["request_id"])
    assert (line["code"], line["address"], line["status"]) == (code, "127.0.0.1", status)


def test_unknown_token_is_told_from_a_mistyped_one(curl: Curl, gateway: GatewayProcess) -> None:
    stranger = new_token("pico")
    mistyped = stranger[:-1] + ("0" if stranger[-1] != "0" else "1")
    for token, code in ((stranger, "token_unknown"), (mistyped, "token_mistyped")):
        url = gateway.url(f"/ws/pico?token={token}", scheme="http")
        answer = curl(url, *UPGRADE)
        assert_refused(answer, 401, code)
        line = gateway.wait_for_log("refused", request_id=answer.json()["request_id"])
        assert token not in json.dumps(line)
        assert line["path"] == "/ws/pico?token=…"


def test_token_of_another_class_is_forbidden_here(curl: Curl, gateway: GatewayProcess) -> None:
    sent = ("--header", f"Authorization: Bearer {gateway.tokens['esp32cam']}")
    answer = curl(gateway.url("/ws/pico", scheme="http"), *UPGRADE, *sent)
    assert_refused(answer, 403, "wrong_class")


def test_differing_repeats_of_authorization_are_refused(
    curl: Curl, gateway: GatewayProcess
) -> None:
    good = f"Authorization: Bearer {gateway.tokens['pico']}"
    answer = curl(
        gateway.url("/ws/pico", scheme="http"),
        *UPGRADE,
        *("--header", good, "--header", "Authorization: Bearer other"),
    )
    assert_refused(answer, 400, "authorization_conflict")


def test_control_characters_of_a_target_reach_no_log(curl: Curl, gateway: GatewayProcess) -> None:
    target = "/\x1b]0;x\x07\x7f\t?token=a\x1bb"
    answer = curl(gateway.url("/", scheme="http"), "--request-target", target)
    assert answer.status in {400, 404}
    line = gateway.wait_for_log("refused", request_id=answer.json()["request_id"])
    assert all(str(value).isprintable() for value in line.values())
    assert "a\\x1bb" not in json.dumps(line)


def test_wrong_tokens_end_in_429_with_the_time_to_wait(curl: Curl, tmp_path: Path) -> None:
    options = ("--no-trust-local", "--limit", "wrong_tokens_per_minute=2")
    with running_gateway(tmp_path, *options) as gateway:
        url = gateway.url("/ws/pico", scheme="http")
        wrong = (*UPGRADE, "--header", f"Authorization: Bearer {new_token('pico')}")
        assert [curl(url, *wrong).status for _ in range(3)] == [401, 401, 429]
        blocked = curl(url, *wrong)
        assert_refused(blocked, 429, "too_many_attempts")
        assert 1 <= int(blocked.header("Retry-After") or 0) <= 60
        assert curl(gateway.url("/healthz", scheme="http")).status == 200


def test_requests_for_tokens_end_in_429_with_the_time_to_wait(curl: Curl, tmp_path: Path) -> None:
    options = ("--no-trust-local", "--limit", "token_requests_per_minute=2")
    with running_gateway(tmp_path, *options) as gateway:
        url = gateway.url("/public/tokens", scheme="http")
        assert [curl(url).status for _ in range(2)] == [200, 200]
        blocked = curl(url)
        assert_refused(blocked, 429, "too_many_requests")
        assert 1 <= int(blocked.header("Retry-After") or 0) <= 60


# Local trust


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "127.8.8.8"])
def test_own_program_gets_tokens_although_nobody_else_does(
    curl: Curl, trusting: GatewayProcess, host: str
) -> None:
    answer = curl(trusting.url("/public/tokens", scheme="http"), "--header", f"Host: {host}:3000")
    assert answer.json()["pico_tokens"] == [trusting.tokens["pico"]]


@pytest.mark.parametrize(
    "header",
    [
        *("Host: 127.0.0.1.elsewhere.example", "Host: elsewhere.example", "Host: 0.0.0.0"),
        *("Host: 192.0.2.7:3000", "Origin: https://elsewhere.example", "Origin: null"),
        *("X-Forwarded-For: 127.0.0.1", "Forwarded: for=127.0.0.1", "X-Real-IP: 127.0.0.1"),
        *("Via: 1.1 proxy", "CF-Connecting-IP: 127.0.0.1", "x-forwarded-proto: http"),
    ],
)
def test_whoever_may_be_somebody_else_is_a_stranger(
    curl: Curl, trusting: GatewayProcess, header: str
) -> None:
    tokens = curl(trusting.url("/public/tokens", scheme="http"), "--header", header)
    assert_refused(tokens, 403, "tokens_closed")
    device = curl(trusting.url("/ws/pico", scheme="http"), *UPGRADE, "--header", header)
    assert_refused(device, 401, "token_missing")
