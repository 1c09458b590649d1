"""The harness that runs real reverse proxies."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from curl import Curl
from gateway_process import running_gateway
from reverse_proxies import LOOPBACK, PROGRAMS, held_port, running_proxy

PLAIN = {
    "nginx": "server { listen 80; location / { proxy_pass http://127.0.0.1:3000; } }",
    "haproxy": """
defaults
    mode http
    timeout connect 5s
    timeout client 5s
    timeout server 5s
frontend outside
    bind :80
    default_backend gateway
backend gateway
    server gateway 127.0.0.1:3000
""",
    "caddy": "http://gateway.example.org {\n    reverse_proxy 127.0.0.1:3000\n}",
    "apache": "<VirtualHost *:80>\n    ProxyPass / http://127.0.0.1:3000/\n</VirtualHost>",
}
"""As short as can be: requests are passed on."""


@pytest.mark.parametrize("kind", PLAIN)
def test_proxy_is_ready_and_passes_requests_on(
    kind: str, need: Callable[[str], str], tmp_path: Path
) -> None:
    need(PROGRAMS[kind])
    curl = Curl(need("curl"))
    with (
        running_gateway(tmp_path / "state") as gateway,
        running_proxy(kind, PLAIN[kind], tmp_path / kind, gateway_port=gateway.port) as proxy,
    ):
        answer = curl(proxy.url("/healthz", scheme="http"))
        assert (answer.status, answer.body) == (200, b'{"status":"ok"}')
    with socket.socket() as late, pytest.raises(ConnectionRefusedError):
        late.connect((LOOPBACK, proxy.port))


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        ("nginx", "proxy_pass"),
        ("haproxy", "default_backend"),
        ("caddy", "reverse_proxy"),
        ("apache", "ProxyPass"),
    ],
)
def test_proxy_that_does_not_start_tells_its_own_log(
    kind: str, word: str, need: Callable[[str], str], tmp_path: Path
) -> None:
    need(PROGRAMS[kind])
    broken = PLAIN[kind].replace(word, "nonsense")
    with (
        pytest.raises(AssertionError, match=r"(?s)did not start:.*nonsense"),
        running_proxy(kind, broken, tmp_path, gateway_port=1),
    ):
        pass


def fail_behind(proxy_folder: Path, curl: Curl) -> None:
    """Ask a proxy whose gateway is down, and fail once it has said so."""
    with (
        held_port() as nobody,
        running_proxy("nginx", PLAIN["nginx"], proxy_folder, gateway_port=nobody) as proxy,
    ):
        assert curl(proxy.url("/", scheme="http")).status == 502
        proxy.wait_for_log("Connection refused")
        raise RuntimeError


def test_failure_behind_a_proxy_tells_the_proxys_log(
    need: Callable[[str], str], tmp_path: Path
) -> None:
    need("nginx")
    with pytest.raises(RuntimeError) as caught:
        fail_behind(tmp_path, Curl(need("curl")))
    assert "Connection refused" in "\n".join(caught.value.__notes__)


def test_held_port_is_given_to_nobody_and_refuses_until_somebody_listens() -> None:
    with held_port() as port, socket.socket() as other, socket.socket() as early:
        with pytest.raises(ConnectionRefusedError):
            early.connect((LOOPBACK, port))
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind((LOOPBACK, port))
        other.listen()
        socket.create_connection((LOOPBACK, port)).close()
