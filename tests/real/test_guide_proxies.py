"""The reverse proxies of docs/external-connections.md: its settings, in the real programs."""

from __future__ import annotations

import contextlib
import json
import os
import random
import socket
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
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

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

    @contextlib.contextmanager
    def device(self, path: str, **headers: str) -> Iterator[ClientConnection]:
        """A device from another address, over TLS that it checks."""
        trust = ssl.create_default_context(cafile=self.proxy.ca_file)
        sock = socket.create_connection((LOOPBACK, self.proxy.port), source_address=(DEVICE, 0))
        with connect(
            self.proxy.url(path, host="localhost"),
            sock=sock,
            ssl=trust,
            additional_headers={name.replace("_", "-"): text for name, text in headers.items()},
            proxy=None,
        ) as connection:
            yield connection

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


def hello(device: ClientConnection, name: str) -> dict[str, Any]:
    """Say hello; the welcome."""
    device.send(json.dumps({"type": "connect", "device": name, "version": "1.0.0"}))
    welcome: dict[str, Any] = json.loads(device.recv())
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


def test_telemetry_is_acknowledged(behind: Behind) -> None:
    with behind.device("/ws/pico", Authorization=behind.bearer("pico")) as device:
        assert hello(device, "shed")["device"] == "shed"
        for number in range(20):
            device.send(json.dumps({"type": "telemetry", "id": number, "data": {"celsius": 21.5}}))
        answers = [json.loads(device.recv()) for _ in range(20)]
    assert answers == [{"type": "ack", "id": number} for number in range(20)]


def test_picture_of_60_kilobytes_arrives_whole(behind: Behind) -> None:
    jpeg = b"\xff\xd8" + random.Random(1).randbytes(60_000) + b"\xff\xd9"
    with behind.device("/ws/esp32cam", Authorization=behind.bearer("esp32cam")) as device:
        session = hello(device, "camera")["session"]
        device.send(jpeg)
        line = behind.gateway.wait_for_log("binary", session=session)
    assert (line["size"], line["jpeg"]) == (len(jpeg), True)


def test_device_is_seen_with_its_own_address_whatever_it_claims(behind: Behind) -> None:
    claims = {"X_Forwarded_For": "203.0.113.9", "Forwarded": "for=203.0.113.9"}
    with behind.device("/ws/pico", Authorization=behind.bearer("pico"), **claims) as device:
        session = hello(device, "honest")["session"]
        line = behind.gateway.wait_for_log("connected", session=session)
    assert line["address"] == DEVICE


def test_answer_to_the_upgrade_is_one_that_strict_libraries_take(behind: Behind) -> None:
    with behind.device("/ws/pico", Authorization=behind.bearer("pico")) as device:
        assert device.response is not None
        told = device.response.headers
    # Links2004's arduinoWebSockets compares both with the whole word.
    assert [value.lower() for value in told.get_all("Connection")] == ["upgrade"]
    assert [value.lower() for value in told.get_all("Upgrade")] == ["websocket"]


def test_pings_of_the_gateway_reach_the_device(behind: Behind) -> None:
    authorization = behind.bearer("pico")
    with (
        behind.device("/ws/pico", Authorization=authorization) as first,
        behind.device("/ws/pico", Authorization=authorization) as second,
    ):
        assert hello(first, "twin")["device"] == "twin"
        # The gateway asks the first for a sign of life; its library answers by itself.
        assert hello(second, "twin")["device"] == "twin-2"


def test_refusal_comes_through_as_the_gateway_wrote_it(behind: Behind) -> None:
    with pytest.raises(InvalidStatus) as caught, behind.device("/ws/pico"):
        pass
    response = caught.value.response
    refused = json.loads(response.body or b"")
    assert (response.status_code, refused["code"]) == (401, "token_missing")
    line = behind.gateway.wait_for_log("refused", request_id=refused["request_id"])
    assert (line["address"], line["via"]) == (DEVICE, LOOPBACK)


def test_proxy_writes_no_token_down(behind: Behind) -> None:
    token = behind.gateway.tokens["pico"]
    with behind.device(f"/ws/pico?token={token}") as device:
        assert hello(device, "poor")["device"] == "poor"
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
