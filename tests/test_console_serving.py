from __future__ import annotations

import asyncio
import json
import re
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import closing, suppress
from pathlib import Path

import httpx
import pytest
import trustme
from console_harness import Events, running_console
from gateway_process import PATIENCE, GatewayProcess, running_gateway
from harness import bearer
from test_runner import check_failure, start

from wsdev.console import serving
from wsdev.console.inputs import MOST_BODY
from wsdev.errors import ExitCode
from wsdev.tokens import TokenBook

_URL = re.compile(r"^Console\n  (https?://\S+:\d+)/$", re.MULTILINE)


def console_url(gateway: GatewayProcess) -> str:
    """Where the console of a process is, as its banner says."""
    found = _URL.search(gateway.banner)
    assert found is not None, gateway.banner
    return found[1]


CONSOLE = ("--console", "--console-port", "0")


def test_serve_starts_the_console_and_says_where(tmp_path: Path) -> None:
    with running_gateway(tmp_path, *CONSOLE) as gateway:
        url = console_url(gateway)
        assert httpx.get(f"{url}/healthz").json()["status"] == "ok"
        assert httpx.get(f"{url}/api/devices").json()["devices"] == []


def test_without_a_console_none_is_there(tmp_path: Path) -> None:
    with running_gateway(tmp_path) as gateway:
        assert "Console\n  off (--no-console)\n" in gateway.banner


def test_port_in_use_is_told(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]
        options = ("--port", "0", "--console", "--console-port", str(port), "--state", tmp_path)
        result = start(*options)
    check_failure(result, ExitCode.ADDRESS_IN_USE, f"port {port} is in use", "--console-port")


def test_address_of_another_host_is_told(tmp_path: Path) -> None:
    options = ("--port", "0", "--console", "--console-host", "203.0.113.7", "--state", tmp_path)
    check_failure(start(*options), ExitCode.ADDRESS_UNAVAILABLE, "203.0.113.7", "--console-host")


def test_console_beyond_loopback_without_tls_is_warned_of(tmp_path: Path) -> None:
    options = (*CONSOLE, "--console-host", "0.0.0.0")
    with running_gateway(tmp_path, *options) as gateway:
        assert "WARNING: the console listens beyond this host without TLS" in gateway.banner
        assert "wsdev tokens create --operator" in gateway.banner


def test_console_beyond_loopback_speaks_tls_with_the_gateways_certificate(tmp_path: Path) -> None:
    issuer = trustme.CA()
    pem, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    certificate = issuer.issue_cert("127.0.0.1")
    certificate.cert_chain_pems[0].write_to_path(pem)
    certificate.private_key_pem.write_to_path(key)
    trust = ssl.create_default_context()
    issuer.configure_trust(trust)
    options = (*CONSOLE, "--console-host", "0.0.0.0", "--no-trust-local")
    state = tmp_path / "state"
    with running_gateway(state, *options, "--tls-cert", str(pem), "--tls-key", str(key)) as gateway:
        assert "WARNING: the console" not in gateway.banner
        found = re.search(r"https://\S+:(\d+)/\n", gateway.banner)
        assert found is not None, gateway.banner
        with TokenBook.open(state) as book:
            _, token = book.create_operator()
        with httpx.Client(base_url=f"https://127.0.0.1:{found[1]}", verify=trust) as client:
            answer = client.post("/login", json={"token": token})
            assert answer.headers["set-cookie"].startswith("__Host-wsdev_session=")
            assert answer.headers["set-cookie"].endswith("SameSite=Strict; Secure")
            assert client.get("/api/me").json()["way"] == "session"


def test_stopping_gateway_ends_streams_and_the_console(tmp_path: Path) -> None:
    with running_gateway(tmp_path, *CONSOLE) as gateway:
        url = console_url(gateway)
        with httpx.stream("GET", f"{url}/api/events", timeout=PATIENCE) as events:
            lines = events.iter_lines()
            assert next(lines) == "retry: 2000"
            gateway.terminate()
            assert "event: gateway" not in list(lines)  # it ends, and ends cleanly
        assert gateway.wait() == 0


def test_a_stalled_viewer_does_not_hold_the_stop_up(tmp_path: Path) -> None:
    with running_gateway(tmp_path, *CONSOLE) as gateway:
        port = int(console_url(gateway).rpartition(":")[2])
        with closing(socket.create_connection(("127.0.0.1", port))) as stalled:
            stalled.sendall(b"GET /api/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            stalled.recv(1)
            began = time.monotonic()
            gateway.terminate()
            assert gateway.wait() == 0
            assert time.monotonic() - began < 10


def test_console_is_imported_only_when_it_is_on() -> None:
    for arguments in (["--help"], ["serve", "--help"]):
        program = (
            f"import sys\nfrom wsdev import cli\nsys.argv = ['wsdev', *{arguments!r}]\n"
            "try:\n    cli.main()\nexcept SystemExit:\n    pass\n"
            "import json; print(json.dumps([m for m in sys.modules"
            " if m.split('.')[0] in {'starlette', 'uvicorn', 'anyio'}]))"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout.splitlines()[-1]) == []


# Hostile clients


async def test_head_that_does_not_come_whole_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "HEAD_SECONDS", 0.3)
    async with running_console(tmp_path) as console:
        silent, slow = await console.connect(), await console.connect()
        slow[1].write(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        kept = await console.connect()
        for _ in range(2):  # after an answer the next head has its time again
            kept[1].write(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert (await kept[0].readuntil(b"}")).startswith(b"HTTP/1.1 200 ")
        kept[1].write(b"GET / HT")
        for reader, writer in (silent, slow, kept):
            async with asyncio.timeout(PATIENCE):
                with suppress(ConnectionResetError):
                    assert await reader.read() == b""
            writer.close()


async def test_client_that_does_not_read_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "STALL_SECONDS", 0.3)
    async with running_console(tmp_path) as console:
        raw = await console.ask("GET", "/openapi.json")
        raw.writer.transport.pause_reading()  # type: ignore[attr-defined]
        head = f"GET /openapi.json HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {console.token}"
        raw.writer.write(f"{head}\r\n\r\n".encode() * 2000)
        assert (await console.gateway.log.wait_for("console_cut"))["cause"] == "unread"
        await raw.close()


async def test_too_many_connections_are_told_and_then_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "MOST_CONNECTIONS", 2)
    monkeypatch.setattr(serving, "SPARE_CONNECTIONS", 1)
    async with running_console(tmp_path) as console:
        held = [await console.connect() for _ in range(2)]
        told = await console.connect()
        async with asyncio.timeout(PATIENCE):
            answer = await told[0].read()
        assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        assert b"application/problem+json" in answer
        for _, writer in [*held, told]:
            writer.close()
        async with asyncio.timeout(PATIENCE):
            while (await _status(console.port)) != 200:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


async def _status(port: int) -> int:
    async with httpx.AsyncClient() as client:
        try:
            return (await client.get(f"http://127.0.0.1:{port}/healthz")).status_code
        except httpx.TransportError:
            return 0


async def test_body_over_its_bound_is_refused(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console:
        large = b'{"class": "' + b"x" * MOST_BODY + b'"}'
        answer = await console.client.post(
            "/api/tokens", content=large, headers={"Content-Type": "application/json"}
        )
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")

        async def pieces() -> AsyncIterator[bytes]:
            yield large[: MOST_BODY // 2]
            yield large[MOST_BODY // 2 :]

        answer = await console.client.post(
            "/api/tokens", content=pieces(), headers={"Content-Type": "application/json"}
        )
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


async def test_what_is_no_http_is_answered_with_a_problem(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console:
        for request in (b"NONSENSE\r\n\r\n", b"GET / HTTP/1.1\r\nX: " + b"x" * 40_000):
            reader, writer = await console.connect()
            writer.write(request)
            async with asyncio.timeout(PATIENCE):
                answer = await reader.read()
            assert answer.startswith(b"HTTP/1.1 400 ")
            assert b'"code":"bad_request"' in answer
            writer.close()
            await writer.wait_closed()


async def test_console_leaves_no_lines_of_uvicorn_and_no_fault(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console:
        async with Events.of(console):
            pass
        answer = await console.stranger.get("/api/me", headers=bearer("wrong"))
        assert answer.status_code == 401
        assert not console.gateway.log.all("fault")
        (line,) = console.gateway.log.all("console_refused")
        assert line["code"] == "operator_token_unknown"
