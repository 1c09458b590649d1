"""The faults of what answers before the WebSocket: another service, a proxy, a portal."""

from __future__ import annotations

from typing import Final

from wsdev.diagnosis.faults import Fault, keyed
from wsdev.errors import ExitCode
from wsdev.layers import Layer
from wsdev.protocol import DEFAULT_PORT


def _http(code: str, what: str, why: str, fix: str) -> Fault:
    return Fault(code, Layer.HTTP, ExitCode.HTTP, what, why, fix)


def _upgrade(code: str, what: str, why: str, fix: str) -> Fault:
    return Fault(code, Layer.UPGRADE, ExitCode.HTTP, what, why, fix)


ANSWER_FAULTS: Final = keyed([
    _http(
        "other_service",
        "another service answers on that port, not a web server",
        "the port is that of SSH, mail, a database or the like",
        f"check the port; wsdev listens on {DEFAULT_PORT} unless told otherwise",
    ),
    _http(
        "mqtt_broker",
        "an MQTT broker answers on that port",
        "1883 is MQTT's port; brokers for MQTT stand on many device hosts",
        f"use the gateway's port, {DEFAULT_PORT} unless told otherwise",
    ),
    _http(
        "service_silent",
        "the port takes the connection and then says nothing",
        "another kind of service, a server that hangs, or a path that carries no data",
        "check the port; on the host run: wsdev doctor",
    ),
    _http(
        "service_hangs_up",
        "the other end closes the connection without an answer",
        "another kind of service, a proxy whose own server is gone, or a filter on the way",
        "check the port; look at the log of the server or proxy there",
    ),
    _http(
        "http_broken",
        "what answers is not valid HTTP",
        "another kind of service, or a middlebox that alters answers",
        "check the port; look at the first bytes shown",
    ),
    _http(
        "captive_portal",
        "a login page of the network answers in place of the gateway",
        "a guest Wi-Fi that wants a click or a password first; devices cannot give one",
        "log in with a browser on this network, or use a network without such a page",
    ),
    _http(
        "web_server",
        "a web server answers, but it is not a wsdev gateway",
        "the port is that of another site, or the proxy sends this path elsewhere",
        f"check the port ({DEFAULT_PORT} by default); let the proxy pass /ws/, /public/tokens and"
        " /healthz on to wsdev",
    ),
    _http(
        "path_missing",
        "the web server there has nothing at this path",
        "a proxy without a rule for the path, or a prefix that the address lacks",
        "let the proxy pass /ws/, /public/tokens and /healthz on, or add its prefix to --url",
    ),
    _http(
        "redirect_to_tls",
        "the server sends everybody from http to https",
        "a proxy with a redirect; device libraries do not follow it",
        "use wss:// instead of ws://, or except /ws/ from the redirect",
    ),
    _http(
        "redirected",
        "the server sends the device to another address",
        "a moved site, a missing slash, or a login page; device libraries do not follow it",
        "use the address shown, or let the server answer this path itself",
    ),
    _http(
        "proxy_upstream_down",
        "the proxy answers, but finds no gateway behind it",
        "wsdev serve is not running, or the proxy's upstream has the wrong address or port",
        "start wsdev serve; check the upstream (proxy_pass, server, reverse_proxy)",
    ),
    _http(
        "proxy_upstream_slow",
        "the proxy waited in vain for an answer of the gateway",
        "the gateway hangs, or a firewall drops what goes from the proxy to it",
        "on the gateway's host run: wsdev doctor; check the upstream's address",
    ),
    _http(
        "proxy_unavailable",
        "the proxy has no server to send this to now",
        "HAProxy and Apache say so when the gateway is down, nginx when limit_req or limit_conn"
        " holds the request back",
        "start wsdev serve; look at the proxy's status and log",
    ),
    _http(
        "origin_unreachable",
        "the CDN or tunnel answers, but does not reach the server behind it",
        "the origin is down, refuses the CDN, or has a certificate that it does not accept; or the"
        " tunnel's other end is not running",
        "look at the number shown in its documentation; start the tunnel, open the origin to it",
    ),
    _http(
        "server_error",
        "the server or proxy there has an error of its own",
        "a broken configuration or program",
        "look at its error log at the time of this request",
    ),
    _http(
        "body_limit",
        "the proxy says that the request is too large",
        "a limit on the size of requests (client_max_body_size in nginx)",
        "raise the limit for this path; WebSocket messages do not count against it",
    ),
    _http(
        "head_limit",
        "the proxy says that the request's head is too large",
        "small buffers for headers (large_client_header_buffers in nginx, tune.bufsize in HAProxy)",
        "raise the limit to 8 KiB, or send fewer headers",
    ),
    _http(
        "proxy_login",
        "a proxy on the way wants a login of its own",
        "basic authentication in front of the site, or a proxy of the company",
        "except /ws/ and /public/tokens from it: the token protects them",
    ),
    _http(
        "proxy_forbids",
        "a proxy or firewall in front forbids this request",
        "a list of addresses, a web application firewall, or a filter for browsers only",
        "allow the path /ws/ there; look at its log at the time of this request",
    ),
    _http(
        "proxy_rate_limit",
        "a proxy in front says: too many requests",
        "a limit on requests for each address (limit_req_status 429 in nginx, deny_status 429 in"
        " HAProxy)",
        "wait, then come back more slowly; raise the limit for /ws/",
    ),
    _upgrade(
        "upgrade_stripped",
        "a proxy does not pass the upgrade on: the gateway sees a plain request",
        "Upgrade and Connection are headers for one hop (RFC 9110 section 7.8), so a proxy drops"
        " them unless told otherwise",
        "in nginx: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;"
        ' proxy_set_header Connection "upgrade"; in Apache: ProxyPass … upgrade=websocket',
    ),
    _upgrade(
        "upgrade_http_1_0",
        "a proxy speaks HTTP/1.0 to the gateway, and WebSocket needs HTTP/1.1",
        "nginx speaks 1.0 to the servers behind it unless told otherwise",
        "in nginx: proxy_http_version 1.1; and pass Upgrade and Connection on",
    ),
    _upgrade(
        "path_changed",
        "the gateway is there, but sees another path than was asked for",
        "a proxy takes a part of the path off, or adds one",
        "let the proxy pass the path on as it is (nginx: no / after the port in proxy_pass), or"
        " add its prefix to --url",
    ),
    _upgrade(
        "upgrade_not_supported",
        "the server there does not take the upgrade to WebSocket",
        "a proxy that does not know WebSocket, or another server",
        "turn WebSocket on in the proxy; check the port and the path",
    ),
    _upgrade(
        "upgrade_broken",
        "the answer to the upgrade breaks RFC 6455",
        "a proxy or library that answers 101 without the right headers",
        "look at the reason given; update the proxy or server there",
    ),
    _upgrade(
        "upgrade_unanswered",
        "the upgrade gets no answer, though other requests do",
        "a proxy that waits for the whole answer (buffering), or a filter against WebSocket",
        "turn buffering off for /ws/; try wss://, which filters cannot read",
    ),
    _upgrade(
        "upgrade_cut",
        "the connection is cut at the upgrade, though other requests are answered",
        "a filter on the way that does not let WebSocket through",
        "try wss://, which filters cannot read; try another network",
    ),
    _upgrade(
        "token_stripped",
        "the gateway saw no token, though one was sent",
        "a proxy takes the Authorization header off, as Apache does for CGI and some logins do",
        "let the proxy pass Authorization on, or use /ws/<class>?token=…",
    ),
])  # fmt: skip
