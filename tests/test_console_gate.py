from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from console_harness import GUARD, RunningConsole, running_console
from harness import FAR, bearer

import wsdev.console
from wsdev.console.app import Application
from wsdev.console.logins import LIFETIME
from wsdev.console.operations import Operation

ROUTES = [
    ("GET", "/api/devices"),
    ("GET", "/api/devices/kitchen"),
    ("POST", "/api/devices/kitchen/disconnect"),
    ("POST", "/api/devices/kitchen/ping"),
    ("GET", "/api/devices/kitchen/snapshot.jpg"),
    ("GET", "/api/devices/kitchen/stream.mjpeg"),
    ("POST", "/api/devices/kitchen/commands"),
    ("GET", "/api/commands/t-123456"),
    ("DELETE", "/api/commands/t-123456"),
    ("GET", "/api/events"),
    ("GET", "/api/disk"),
    ("GET", "/api/journal"),
    ("GET", "/api/refusals"),
    ("GET", "/api/tokens"),
    ("POST", "/api/tokens"),
    ("POST", "/api/tokens/window"),
    ("DELETE", "/api/tokens/window"),
    ("POST", "/api/tokens/t-123456/rotate"),
    ("DELETE", "/api/tokens/t-123456"),
    ("GET", "/api/me"),
    ("GET", "/metrics"),
    ("GET", "/openapi.json"),
]
PAGE = Path(wsdev.console.__file__).with_name("static")
PUBLIC = {"/", "/healthz", "/login", "/logout"}


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, object]:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    told: dict[str, object] = answer.json()
    assert (answer.status_code, told["status"], told["code"]) == (status, status, code)
    return told


async def test_every_route_is_refused_without_credentials(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console:
        operations: tuple[Operation, ...] = Application(console.plane).operations
        page_files = {file.name for file in PAGE.iterdir()}
        templates = {
            (op.method, op.path.replace("{name}", "kitchen").replace("{id}", "t-123456"))
            for op in operations
            if op.path not in PUBLIC and op.path.removeprefix("/") not in page_files
        }
        assert templates == set(ROUTES)
        device_token = bearer(console.gateway.token("pico", name="kitchen"))
        class_token = bearer(console.gateway.token("pico"))
        for method, path in [*ROUTES, ("GET", "/api/nothing"), ("OPTIONS", "/api/devices")]:
            answer = await console.stranger.request(method, path)
            problem(answer, 401, "operator_token_missing")
            assert answer.headers["www-authenticate"] == "Bearer"
            assert "access-control-allow-origin" not in answer.headers
        for token in (device_token, class_token):
            answer = await console.stranger.get("/api/devices", headers=token)
            problem(answer, 401, "operator_token_unknown")


async def test_operator_token_opens_the_console_and_no_device_path(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console:
        assert (await console.client.get("/api/devices")).status_code == 200
        me = (await console.client.get("/api/me")).json()
        assert (me["way"], me["name"]) == ("token", "alice")
        answer = await console.gateway.upgrade("/ws/pico", bearer(console.token))
        assert answer.json["code"] == "wrong_class"
        assert "operator" not in str(console.gateway.book.public_tokens())
        async with console.gateway.device(name="alice") as device:
            await device.telemetry(1)  # its name claims nothing
            assert console.gateway.hub.get("alice") is not None


async def test_revoked_operator_token_is_refused(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console:
        console.gateway.book.revoke(console.token)
        problem(await console.client.get("/api/devices"), 401, "token_retired")


async def test_repeated_authorization_that_differs_is_a_bad_request(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console:
        headers = [("Authorization", f"Bearer {console.token}"), ("Authorization", "Bearer x")]
        answer = await console.stranger.get("/api/devices", headers=headers)
        problem(answer, 400, "authorization_conflict")
        answer = await console.stranger.get("/api/me", headers=[(b"Authorization", b"Bearer \xe9")])
        problem(answer, 401, "token_malformed")


async def test_wrong_tries_are_limited_and_a_good_token_gets_in_all_the_same(
    tmp_path: Path,
) -> None:
    async with running_console(tmp_path, limits={"wrong_tokens_per_minute": 3}) as console:
        for _ in range(3):
            answer = await console.stranger.get("/api/me", headers=bearer("wsd_nonsense"))
            problem(answer, 401, "operator_token_unknown")
        answer = await console.stranger.get("/api/me", headers=bearer("wsd_nonsense"))
        problem(answer, 429, "too_many_attempts")
        assert int(answer.headers["retry-after"]) > 0
        answer = await console.stranger.post("/login", json={"token": "wsd_nonsense"})
        problem(answer, 429, "too_many_attempts")
        assert (await console.client.get("/api/me")).status_code == 200


# Local trust


async def test_own_program_on_this_host_needs_no_token(tmp_path: Path) -> None:
    async with running_console(tmp_path, trust_local=True) as console:
        assert (await console.stranger.get("/api/me")).json()["way"] == "local"


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": f"{FAR}:3001"},
        {"Host": "127.0.0.1.evil.example"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"X-Forwarded-For": FAR},
        {"Forwarded": f"for={FAR}"},
        {"Via": "1.1 proxy"},
    ],
    ids=lambda headers: "-".join(next(iter(headers.items()))),
)
async def test_local_trust_is_void(tmp_path: Path, headers: dict[str, str]) -> None:
    async with running_console(tmp_path, trust_local=True) as console:
        answer = await console.stranger.get("/api/me", headers=headers)
        problem(answer, 401, "operator_token_missing")


async def test_target_with_a_host_of_its_own_is_not_trusted(tmp_path: Path) -> None:
    async with running_console(tmp_path, trust_local=True) as console:
        reader, writer = await console.connect()
        writer.write(b"GET http://evil.example/api/me HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 401 ")
        writer.close()
        await writer.wait_closed()


async def test_page_of_another_site_reads_nothing_on_local_trust(tmp_path: Path) -> None:
    async with running_console(tmp_path, trust_local=True) as console:
        for site in ("cross-site", "same-site"):
            answer = await console.stranger.get("/api/me", headers={"Sec-Fetch-Site": site})
            problem(answer, 403, "foreign_site")
        for site in ("same-origin", "none"):
            answer = await console.stranger.get("/api/me", headers={"Sec-Fetch-Site": site})
            assert answer.status_code == 200


# Forgery


@pytest.mark.parametrize("way", ["local", "session"])
async def test_change_is_safe_from_forgery(tmp_path: Path, way: str) -> None:
    async with running_console(tmp_path, trust_local=way == "local") as console:
        client = console.stranger
        if way == "session":
            await log_in(console)
        own = console.url.rstrip("/")
        plain = await client.post("/api/tokens/window")
        problem(plain, 403, "forgery_guard")
        form = {"Content-Type": "text/plain"}
        problem(
            await client.post("/api/tokens/window", headers=form, content="{}"),
            403,
            "forgery_guard",
        )
        for headers in (
            {"Origin": "http://localhost:8080"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
            {"Sec-Fetch-Site": "none"},
        ):
            answer = await client.post("/api/tokens/window", headers=GUARD | headers)
            problem(answer, 403, "foreign_site")
        for headers in (
            GUARD,
            GUARD | {"Origin": own, "Sec-Fetch-Site": "same-origin"},
            GUARD | {"Origin": own.replace("http:", "https:")},
            {"Content-Type": "application/json"},
        ):
            answer = await client.post("/api/tokens/window", headers=headers)
            assert answer.status_code == 200, answer.text


# Sessions


async def log_in(console: RunningConsole) -> httpx.Response:
    answer = await console.stranger.post("/login", json={"token": console.token})
    assert answer.status_code == 200, answer.text
    return answer


async def test_session_cookie_comes_with_a_login_and_goes_with_the_logout(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console:
        cookie = (await log_in(console)).headers["set-cookie"]
        assert cookie.startswith("wsdev_session=")
        assert cookie.endswith("Path=/; HttpOnly; SameSite=Strict")
        assert f"Max-Age={LIFETIME};" in cookie
        assert (await console.stranger.get("/api/me")).json()["way"] == "session"
        kept = dict(console.stranger.cookies)
        assert (await console.stranger.post("/logout", headers=GUARD)).status_code == 204
        assert not console.stranger.cookies
        console.stranger.cookies.update(kept)
        problem(await console.stranger.get("/api/me"), 401, "operator_token_missing")


async def test_login_asks_for_an_operator_token_and_for_the_guard(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console:
        for token in (console.gateway.token("pico"), "", "wsd_operator_x"):
            answer = await console.stranger.post("/login", json={"token": token})
            problem(answer, 401, "operator_token_unknown")
            assert "set-cookie" not in answer.headers
        headers = {"Sec-Fetch-Site": "cross-site"}
        answer = await console.stranger.post(
            "/login", json={"token": console.token}, headers=headers
        )
        problem(answer, 403, "foreign_site")


async def test_session_ends_with_its_token_and_with_its_time(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console:
        await log_in(console)
        console.gateway.clock.advance(LIFETIME + 1)
        problem(await console.stranger.get("/api/me"), 401, "operator_token_missing")
        await log_in(console)
        assert (await console.stranger.get("/api/me")).status_code == 200
        console.gateway.book.revoke(console.token)
        problem(await console.stranger.get("/api/me"), 401, "operator_token_missing")


async def test_odd_cookies_are_no_session(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console:
        for cookie in ("wsdev_session=", "wsdev_session=x", "=;;;", "wsdev_session=\xe9"):
            answer = await console.stranger.get(
                "/api/me", headers=[(b"Cookie", cookie.encode("latin-1"))]
            )
            problem(answer, 401, "operator_token_missing")
