"""Real reverse proxies with the mistakes that people make; what the probe says of each."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from harness import PATIENCE, held_journal, running_gateway
from reverse_proxies import LOOPBACK, PROGRAMS, Proxy, held_port, running_proxy
from visits import Seen, url_of, visit

from wsdev.diagnosis.talk_rules import SILENT_ENOUGH
from wsdev.errors import ExitCode

HTTP, TOKEN = ExitCode.HTTP, ExitCode.TOKEN

SOON = 0.5

UPGRADE = (
    "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;"
    ' proxy_set_header Connection "upgrade";'
)
"""How nginx is told to pass the upgrade on."""


def nginx(location: str, server: str = "") -> str:
    """A site of nginx with one location and other lines."""
    return f"server {{ listen 80; {server} location / {{ {location} }} }}"


PASS = f"proxy_pass http://127.0.0.1:3000; {UPGRADE}"


def haproxy(frontend: str = "", backend: str = "", check: str = "") -> str:
    """A site of HAProxy with further lines in its frontend and backend."""
    return f"""
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 1s
    timeout tunnel 30s
    {check}
frontend outside
    bind :80
    {frontend}
    default_backend gateway
backend gateway
    {backend}
    server gateway 127.0.0.1:3000
"""


def caddy(lines: str) -> str:
    """A site of Caddy."""
    return f"http://gateway.example.org {{\n{lines}\n}}"


def apache(lines: str) -> str:
    """A site of Apache."""
    return f"<VirtualHost *:80>\n{lines}\n</VirtualHost>"


APACHE_PASS = "ProxyPass / http://127.0.0.1:3000/ upgrade=websocket"


@dataclass(frozen=True)
class Mistake:
    """A proxy that does not do, and the fault it is.

    Attributes:
        gateway: ``up``, ``down`` (nothing listens) or ``silent`` (takes connections only).
        visits: How many it takes to be seen.
        patience: Less where no answer comes.
        scheme: With which it is visited.
    """

    kind: str
    config: str
    code: str
    layer: str = "http"
    exit_code: ExitCode = HTTP
    evidence: tuple[str, ...] = ()
    gateway: str = "up"
    visits: int = 1
    patience: float = PATIENCE
    scheme: str = "ws"


MISTAKES: dict[str, Mistake] = {
    # nginx
    "nginx, as it comes": Mistake(
        "nginx", nginx("proxy_pass http://127.0.0.1:3000;"), "upgrade_http_1_0", "upgrade",
        evidence=("server: nginx", "wsdev logs --request-id"),
    ),
    "nginx, upgrade not passed": Mistake(
        "nginx", nginx("proxy_pass http://127.0.0.1:3000; proxy_http_version 1.1;"),
        "upgrade_stripped", "upgrade", evidence=("HTTP 426 upgrade_required",),
    ),
    "nginx, path cut": Mistake(
        "nginx",
        nginx("return 404;", f"location /ws/ {{ proxy_pass http://127.0.0.1:3000/; {UPGRADE} }}"),
        "path_changed", "upgrade", evidence=("its paths: /ws/pico",),
    ),
    "nginx, no rule for the path": Mistake(
        "nginx", nginx("return 404;", f"location /healthz {{ {PASS} }}"), "path_missing",
        evidence=("HTTP 404", "server: nginx"),
    ),
    "nginx, gateway down": Mistake(
        "nginx", nginx(PASS), "proxy_upstream_down", evidence=("HTTP 502 Bad Gateway",),
        gateway="down",
    ),
    "nginx, gateway silent": Mistake(
        "nginx", nginx(PASS + "proxy_read_timeout 200ms;"), "proxy_upstream_slow",
        evidence=("HTTP 504",), gateway="silent",
    ),
    "nginx, limit_req as it comes": Mistake(
        "nginx",
        "limit_req_zone $binary_remote_addr zone=one:1m rate=1r/m;"
        + nginx(f"limit_req zone=one; {PASS}"),
        "proxy_unavailable", evidence=("HTTP 503",), visits=2,
    ),
    "nginx, limit_req with 429": Mistake(
        "nginx",
        "limit_req_zone $binary_remote_addr zone=one:1m rate=1r/m; limit_req_status 429;"
        + nginx(f"limit_req zone=one; {PASS}"),
        "proxy_rate_limit", evidence=("HTTP 429",), visits=2,
    ),
    "nginx, small buffers for headers": Mistake(
        "nginx",
        nginx(PASS, "client_header_buffer_size 64; large_client_header_buffers 1 128;"
              " connection_pool_size 128;"),
        "head_limit", evidence=("HTTP 400", "Too Large"),
    ),
    "nginx, redirect to https": Mistake(
        "nginx", nginx(f"if ($scheme = http) {{ return 301 https://$host$request_uri; }} {PASS}"),
        "redirect_to_tls", evidence=("HTTP 301", "Location: https://127.0.0.1/"),
    ),
    "nginx, basic auth": Mistake(
        "nginx", nginx(f'auth_basic "Staff"; auth_basic_user_file users; {PASS}'), "proxy_login",
        evidence=('it wants: Basic realm="Staff"',),
    ),
    "nginx, deny": Mistake(
        "nginx", nginx(f"deny all; {PASS}"), "proxy_forbids", evidence=("HTTP 403",)
    ),
    "nginx, token taken off": Mistake(
        "nginx", nginx(f'{PASS} proxy_set_header Authorization "";'), "token_stripped", "upgrade",
        evidence=("HTTP 401 token_missing",),
    ),
    "nginx, a site of files": Mistake(
        "nginx", nginx("root .; add_header Content-Type text/html; return 200 '<title>Hi</title>';")
        + "# 127.0.0.1:3000",
        "web_server", evidence=("its title: Hi", "server: nginx"),
    ),
    "nginx, TLS wanted": Mistake(
        "nginx",
        "server { listen 443 ssl; ssl_certificate /etc/ssl/gateway.pem;"
        f" ssl_certificate_key /etc/ssl/gateway.pem.key; location / {{ {PASS} }} }}",
        "tls_wanted", "tls", ExitCode.TLS, evidence=("HTTP 400", "TLS handshake works"),
    ),
    "nginx, client certificates": Mistake(
        "nginx",
        "server { listen 443 ssl; ssl_certificate /etc/ssl/gateway.pem;"
        " ssl_certificate_key /etc/ssl/gateway.pem.key; ssl_verify_client on;"
        f" ssl_client_certificate ca.pem; location / {{ {PASS} }} }}",
        "tls_client_certificate", "tls", ExitCode.TLS, scheme="wss",
        evidence=("No required SSL certificate",),
    ),
    "nginx, hangs up on the upgrade": Mistake(
        "nginx", nginx(PASS, "location /ws/ { return 444; }"), "upgrade_cut", "upgrade",
    ),
    # HAProxy
    "haproxy, gateway down": Mistake(
        "haproxy", haproxy(), "proxy_unavailable", evidence=("HTTP 503",), gateway="down"
    ),
    "haproxy, gateway silent": Mistake(
        "haproxy", haproxy(), "proxy_upstream_slow", evidence=("HTTP 504",), gateway="silent"
    ),
    "haproxy, deny": Mistake("haproxy", haproxy("http-request deny"), "proxy_forbids"),
    "haproxy, rate limit": Mistake(
        "haproxy", haproxy("http-request deny deny_status 429"), "proxy_rate_limit"
    ),
    "haproxy, body limit": Mistake(
        "haproxy", haproxy("http-request deny deny_status 413"), "body_limit"
    ),
    "haproxy, login": Mistake(
        "haproxy", haproxy("http-request auth realm Staff"), "proxy_login",
        evidence=('Basic realm="Staff"',),
    ),
    "haproxy, upgrade taken off": Mistake(
        "haproxy", haproxy("http-request del-header Upgrade"), "upgrade_stripped", "upgrade"
    ),
    "haproxy, path cut": Mistake(
        "haproxy", haproxy(r"http-request replace-path /ws/(.*) /\1"), "path_changed", "upgrade"
    ),
    "haproxy, another Authorization": Mistake(
        "haproxy", haproxy("http-request add-header Authorization 'Bearer of-the-proxy'"),
        "authorization_conflict", "token", TOKEN,
    ),
    "haproxy, Authorization in another form": Mistake(
        "haproxy", haproxy("http-request set-header Authorization 'Basic cHJveHk6eA=='"),
        "token_malformed", "token", TOKEN,
    ),
    "haproxy, silent-drop": Mistake(
        "haproxy", haproxy("http-request silent-drop if { hdr(upgrade) -i websocket }"),
        "upgrade_unanswered", "upgrade", patience=SOON,
    ),
    # Caddy
    "caddy, gateway down": Mistake(
        "caddy", caddy("reverse_proxy 127.0.0.1:3000"), "proxy_upstream_down",
        evidence=("HTTP 502", "server: Caddy"), gateway="down",
    ),
    "caddy, path cut": Mistake(
        "caddy", caddy("handle_path /ws/* {\nreverse_proxy 127.0.0.1:3000\n}"), "path_changed",
        "upgrade",
    ),
    "caddy, token taken off": Mistake(
        "caddy", caddy("reverse_proxy 127.0.0.1:3000 {\nheader_up -Authorization\n}"),
        "token_stripped", "upgrade",
    ),
    "caddy, answers all itself": Mistake(
        "caddy", caddy("respond 403\n# 127.0.0.1:3000"), "proxy_forbids",
        evidence=("server: Caddy",),
    ),
    # Apache
    "apache, upgrade not passed": Mistake(
        "apache", apache("ProxyPass / http://127.0.0.1:3000/"), "upgrade_stripped", "upgrade",
    ),
    "apache, gateway down": Mistake(
        "apache", apache(APACHE_PASS), "proxy_unavailable", evidence=("HTTP 503", "Apache"),
        gateway="down",
    ),
    "apache, gateway silent": Mistake(
        "apache", apache(f"{APACHE_PASS} timeout=1"), "proxy_upstream_slow",
        evidence=("HTTP 50",), gateway="silent",
    ),
    "apache, token taken off": Mistake(
        "apache", apache(f"RequestHeader unset Authorization early\n{APACHE_PASS}"),
        "token_stripped", "upgrade",
    ),
    "apache, denied": Mistake(
        "apache",
        apache(f"<Location />\nRequire all denied\n</Location>\n{APACHE_PASS}"),
        "proxy_forbids",
    ),
    "apache, redirect to https": Mistake(
        "apache",
        apache("RewriteEngine on\nRewriteRule ^/(.*) https://%{SERVER_ADDR}/$1 [R=301,L]\n"
               f"{APACHE_PASS}"),
        "redirect_to_tls",
    ),
    "apache, small limit for headers": Mistake(
        "apache", apache(f"LimitRequestFieldSize 50\n{APACHE_PASS}"), "head_limit",
        evidence=("HTTP 400",),
    ),
}  # fmt: skip


@contextmanager
def silent_port() -> Iterator[int]:
    """A port that takes connections, and nobody ever looks at them."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize("mistake", MISTAKES)
async def test_mistake_is_named(mistake: str, need: Callable[[str], str], tmp_path: Path) -> None:
    made = MISTAKES[mistake]
    need(PROGRAMS[made.kind])
    if made.gateway == "up":
        async with running_gateway(tmp_path) as gateway:
            with running_proxy(
                made.kind, made.config, tmp_path / "proxy", gateway_port=gateway.port
            ) as proxy:
                seen = await visit_proxy(made, proxy, gateway.token())
    else:
        behind = held_port() if made.gateway == "down" else silent_port()
        with (
            behind as port,
            running_proxy(made.kind, made.config, tmp_path / "proxy", gateway_port=port) as proxy,
        ):
            seen = await visit_proxy(made, proxy, None)
    seen.names(made.code, made.layer, made.exit_code, *made.evidence)


async def visit_proxy(made: Mistake, proxy: Proxy, token: str | None) -> Seen:
    """The last of the visits that it takes."""
    url = url_of(proxy.port, made.scheme)
    cacert = proxy.ca_file if made.scheme == "wss" else None
    for _ in range(made.visits):
        seen = await visit(url, token=token, cacert=cacert, patience=made.patience)
    return seen


IDLE = f"{int(SILENT_ENOUGH * 1000) + 200}ms"

CUTTERS = {
    "nginx": nginx(f"{PASS} proxy_read_timeout {IDLE};"),
    "haproxy": haproxy().replace("timeout tunnel 30s", f"timeout tunnel {IDLE}"),
}


@pytest.mark.parametrize("kind", CUTTERS)
async def test_idle_limit_of_a_proxy_is_a_cut_in_the_silence(
    kind: str, need: Callable[[str], str], tmp_path: Path
) -> None:
    """The limit is 60 s in nginx; here the gateway is silent, as its disk takes nothing."""
    need(PROGRAMS[kind])
    async with running_gateway(tmp_path) as gateway:
        with (
            running_proxy(
                kind, CUTTERS[kind], tmp_path / "proxy", gateway_port=gateway.port
            ) as proxy,
            held_journal(gateway.folder),
        ):
            seen = await visit(proxy.port, token=gateway.token(), patience=4 * SILENT_ENOUGH)
    seen.names("cut_when_silent", "keepalive", ExitCode.CUT, "it was silent for 5.")
