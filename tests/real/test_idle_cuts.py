"""The idle cuts of real reverse proxies, as ``wsdev connect --find-idle-cut`` finds them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from child_lines import PATIENCE
from gateway_process import running_gateway
from reverse_proxies import PROGRAMS, running_proxy
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

CUT = 1.0
"""Seconds of silence after which each of these proxies cuts."""

CONFIGURATIONS = {
    "nginx": """
server {
    listen 80;
    location / {
        proxy_pass http://127.0.0.1:3000;
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection "upgrade";
        proxy_set_header Host $http_host;
        proxy_read_timeout 1s;
    }
}
""",
    "haproxy": """
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
    timeout tunnel 1s
frontend outside
    bind :80
    default_backend gateway
backend gateway
    server gateway 127.0.0.1:3000
""",
    "caddy": """
http://gateway.example.org {
    reverse_proxy 127.0.0.1:3000 {
        transport http {
            read_timeout 1s
        }
    }
}
""",
    "apache": """
<VirtualHost *:80>
    Timeout 1
    ProxyTimeout 1
    RewriteEngine on
    RewriteCond %{HTTP:Upgrade} websocket [NC]
    RewriteRule ^/(.*) ws://127.0.0.1:3000/$1 [P,L]
    ProxyPass / http://127.0.0.1:3000/
    ProxyPreserveHost on
</VirtualHost>
""",
}


def find_idle_cut(url: str, *options: str) -> tuple[int, dict[str, Any]]:
    """The exit code of the command and the document that it prints."""
    command = [sys.executable, "-m", "wsdev", "connect", "--find-idle-cut", "--json"]
    done = subprocess.run(
        [*command, "--url", url, *options],
        capture_output=True,
        timeout=2 * PATIENCE,
        check=False,
    )
    assert done.stdout, done.stderr.decode()
    document = json.loads(done.stdout)
    assert done.returncode == document["exit_code"]
    return done.returncode, document


@pytest.mark.parametrize("kind", CONFIGURATIONS)
def test_idle_cut_of_a_proxy_is_found(
    kind: str, need: Callable[[str], str], tmp_path: Path
) -> None:
    need(PROGRAMS[kind])
    with (
        running_gateway(tmp_path / "state") as gateway,
        running_proxy(
            kind, CONFIGURATIONS[kind], tmp_path / kind, gateway_port=gateway.port
        ) as proxy,
    ):
        token = gateway.tokens["pico"]
        code, found = find_idle_cut(proxy.url(scheme="ws"), "--up-to", "4s", "--token", token)
    finding = found["finding"]
    assert (code, found["judgement"]) == (18, "too soon")
    assert finding["exact"]
    assert CUT * 0.9 <= finding["cut"] < 3.5
    assert finding["busy_cut"] is None
    assert finding["ping_interval"] in {0.2, 0.5, 1}
    assert not finding["irregular"]


@pytest.mark.parametrize(
    ("wish", "lives"), [({}, False), ({"ping_interval": 5}, True)], ids=["usual", "asked for 5 s"]
)
def test_device_that_asks_for_pings_in_time_outlives_the_cut(
    wish: dict[str, int], lives: bool, need: Callable[[str], str], tmp_path: Path
) -> None:
    need("nginx")
    text = CONFIGURATIONS["nginx"].replace("timeout 1s", "timeout 7s")
    with (
        running_gateway(tmp_path / "state") as gateway,
        running_proxy("nginx", text, tmp_path / "nginx", gateway_port=gateway.port) as proxy,
        connect(
            proxy.url("/ws/pico", scheme="ws"),
            additional_headers={"Authorization": f"Bearer {gateway.tokens['pico']}"},
            ping_interval=None,
        ) as device,
    ):
        device.send(json.dumps({"type": "connect", "device": "kitchen", **wish}))
        assert json.loads(device.recv())["type"] == "connection_ack"
        with pytest.raises(TimeoutError if lives else ConnectionClosed):
            device.recv(timeout=10)  # the library answers pings; nothing else is said
