"""The reverse proxies of docs/external-connections.md: its settings, in the real programs."""

from __future__ import annotations

import asyncio
import json
import os
import random
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from documents import block, page
from gateway_process import GatewayProcess, running_gateway
from reverse_proxies import LOOPBACK, PROGRAMS, Proxy, installed, running_proxy
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

DEVICE = "127.0.0.2"
"""Where a device comes from: on this machine as all of 127.0.0.0/8, and not the proxy's address."""

LANGUAGES = {"nginx": "nginx", "haproxy": "haproxy", "caddy": "caddyfile", "apache": "apache"}

SERVE = ("--no-trust-local", "--trusted-proxy", LOOPBACK)
"""The options of ``wsdev serve`` that the guide tells behind a proxy."""


@dataclass(frozen=True)
class Behind:
    """A gateway and the proxy in front of it."""

    gateway: GatewayProcess
    proxy: Proxy

    def device(self, path: str, **headers: str) -> connect:
        """A device from another address, over TLS that it checks.

        Not the package's client with threads: two of them use one TLS connection at a time, which
        OpenSSL does not allow, and now and then the request is not sent.
        """
        return connect(
            self.proxy.url(path, host="localhost"),
            host=LOOPBACK,
            local_addr=(DEVICE, 0),
            ssl=ssl.create_default_context(cafile=self.proxy.ca_file),
            additional_headers={name.replace("_", "-"): text for name, text in headers.items()},
            proxy=None,
        )

    async def log_line(self, event: str, **fields: object) -> dict[str, Any]:
        """The line of the gateway's log, while the devices go on."""
        return await asyncio.to_thread(self.gateway.wait_for_log, event, **fields)

    def bearer(self, device_class: str) -> str:
        """The value of Authorization for a device of that class."""
        return f"Bearer {self.gateway.tokens[device_class]}"


@pytest.fixture(params=LANGUAGES, scope="module")
def behind(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Behind]:
    """Each proxy with the settings of the guide."""
    kind: str = request.param
    if installed(kind) is None:
        pytest.skip(f"{PROGRAMS[kind]} is not installed")
    config = block(page("external-connections.md"), LANGUAGES[kind])
    folder = tmp_path_factory.mktemp(kind)
    with (
        running_gateway(folder / "state", *SERVE) as gateway,
        running_proxy(kind, config, folder / kind, gateway_port=gateway.port) as proxy,
    ):
        yield Behind(gateway, proxy)


async def hello(device: ClientConnection, name: str) -> dict[str, Any]:
    """Say hello; the welcome."""
    await device.send(json.dumps({"type": "connect", "device": name, "version": "1.0.0"}))
    welcome: dict[str, Any] = json.loads(await device.recv())
    return welcome


def test_probe_comes_through_with_a_token_that_it_fetches(behind: Behind) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "wsdev", "connect", "--device", "pico", "--json"),
            *("--url", behind.proxy.url(host="localhost"), "--cacert", behind.proxy.ca_file),
        ],
        capture_output=True,
        text=True,
        check=False,
        env={k: v for k, v in os.environ.items() if not k.startswith("WSDEV_")},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["ok"]


async def test_telemetry_is_acknowledged(behind: Behind) -> None:
    async with behind.device("/ws/pico", Authorization=behind.bearer("pico")) as device:
        assert (await hello(device, "shed"))["device"] == "shed"
        for number in range(20):
            await device.send(
                json.dumps({"type": "telemetry", "id": number, "data": {"celsius": 21.5}})
            )
        answers = [json.loads(await device.recv()) for _ in range(20)]
    assert answers == [{"type": "ack", "id": number} for number in range(20)]


async def test_picture_of_60_kilobytes_arrives_whole(behind: Behind) -> None:
    jpeg = b"\xff\xd8" + random.Random(1).randbytes(60_000) + b"\xff\xd9"
    async with behind.device("/ws/esp32cam", Authorization=behind.bearer("esp32cam")) as device:
        session = (await hello(device, "camera"))["session"]
        await device.send(jpeg)
        line = await behind.log_line("binary", session=session)
    assert (line["size"], line["jpeg"]) == (len(jpeg), True)


async def test_device_is_seen_with_its_own_address_whatever_it_claims(behind: Behind) -> None:
    claims = {"X_Forwarded_For": "203.0.113.9", "Forwarded": "for=203.0.113.9"}
    async with behind.device("/ws/pico", Authorization=behind.bearer("pico"), **claims) as device:
        session = (await hello(device, "honest"))["session"]
        line = await behind.log_line("connected", session=session)
    assert line["address"] == DEVICE


async def test_answer_to_the_upgrade_is_one_that_strict_libraries_take(behind: Behind) -> None:
    async with behind.device("/ws/pico", Authorization=behind.bearer("pico")) as device:
        assert device.response is not None
        told = device.response.headers
    # Links2004's arduinoWebSockets compares both with the whole word.
    assert [value.lower() for value in told.get_all("Connection")] == ["upgrade"]
    assert [value.lower() for value in told.get_all("Upgrade")] == ["websocket"]


async def test_pings_of_the_gateway_reach_the_device(behind: Behind) -> None:
    authorization = behind.bearer("pico")
    async with (
        behind.device("/ws/pico", Authorization=authorization) as first,
        behind.device("/ws/pico", Authorization=authorization) as second,
    ):
        assert (await hello(first, "twin"))["device"] == "twin"
        # The gateway asks the first for a sign of life; its library answers by itself.
        assert (await hello(second, "twin"))["device"] == "twin-2"


async def test_refusal_comes_through_as_the_gateway_wrote_it(behind: Behind) -> None:
    with pytest.raises(InvalidStatus) as caught:
        await behind.device("/ws/pico")
    response = caught.value.response
    refused = json.loads(response.body or b"")
    assert (response.status_code, refused["code"]) == (401, "token_missing")
    line = await behind.log_line("refused", request_id=refused["request_id"])
    assert (line["address"], line["via"]) == (DEVICE, LOOPBACK)


async def test_proxy_writes_no_token_down(behind: Behind) -> None:
    token = behind.gateway.tokens["pico"]
    async with behind.device(f"/ws/pico?token={token}") as device:
        assert (await hello(device, "poor"))["device"] == "poor"
    files = [path for path in behind.proxy.folder.rglob("*") if path.is_file()]
    assert files
    assert not [path.name for path in files if token.encode() in path.read_bytes()]
    assert token not in behind.proxy.log_text()


def test_openssl_shows_the_certificate_as_the_guide_asks_it(
    behind: Behind, need: Callable[[str], str]
) -> None:
    need("openssl")
    script = block(page("external-connections.md"), "sh", "certificate.sh")
    script = script.replace("gateway.example.org:443", f"localhost:{behind.proxy.port}")
    script = script.replace("gateway.example.org", "localhost")
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "notAfter=" in done.stdout
    assert "DNS:localhost" in done.stdout
