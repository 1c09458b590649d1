"""From HTTP answers, and answers that did not come, to a verdict. Pure."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from wsdev.codes import REFUSALS
from wsdev.diagnosis.facts import Answer, Ending, Facts, HttpFacts, UpgradeFacts
from wsdev.diagnosis.talk_faults import SHOWN_OTHERWISE
from wsdev.diagnosis.verdict import Verdict, verdict
from wsdev.protocol import DEVICE_PATH_PREFIX, TOKENS_PATH

_SERVICES: Final[tuple[tuple[int, str, str], ...]] = (
    (0, "SSH-", "SSH"),
    (0, "220", "a mail or FTP server"),
    (0, "+OK", "a POP3 server"),
    (0, "* OK", "an IMAP server"),
    (0, "RFB ", "VNC"),
    (0, "-ERR", "Redis"),
    (0, "-DENIED", "Redis"),
    (0, "ERROR\r\n", "memcached"),
    (0, "AMQP", "an AMQP broker (RabbitMQ)"),
    (0, "RTSP/", "a camera's RTSP stream"),
    (0, "SIP/", "SIP (telephony)"),
    (0, "\xff\xfb", "telnet"),
    (0, "\xff\xfd", "telnet"),
    (0, "\x15\x03", "TLS"),
    (3, "\x00\x0a", "MySQL or MariaDB"),  # number 0 of a connection's packets, version 10
    (3, "\x04\x00\x00\x00\x00\x00", "HTTP/2 without TLS (gRPC)"),  # RFC 9113 section 6.5
)
"""How other services greet, or answer a request that they do not understand; and where in it."""

_LOGIN_WORDS: Final = ("login", "log in", "signin", "sign in", "log on", "auth", "sso", "password")
_PORTAL_WORDS: Final = (
    "portal", "hotspot", "wifi", "wi-fi", "wlan", "guest", "captive", "wispr", "splash",
    "terms of use", "terms and conditions", "accept",
)  # fmt: skip
"""Of a page that a network shows; WISPr is the protocol of Wi-Fi hotspots for such pages."""

_BY_STATUS: Final[dict[int, str]] = {
    403: "proxy_forbids",
    404: "path_missing",
    410: "path_missing",
    407: "proxy_login",
    413: "body_limit",
    414: "head_limit",
    426: "upgrade_not_supported",
    429: "proxy_rate_limit",
    431: "head_limit",
    501: "upgrade_not_supported",
    502: "proxy_upstream_down",
    503: "proxy_unavailable",
    504: "proxy_upstream_slow",
    511: "captive_portal",  # RFC 6585 section 6
}
"""What a status means that is not in a gateway's own words."""

_TITLE: Final = re.compile(r"<title>\s*([^<]{1,200})", re.IGNORECASE)
_OWN_PATH: Final = re.compile(
    rf"(?:{re.escape(TOKENS_PATH)}|{re.escape(DEVICE_PATH_PREFIX)}[^/]*)$"
)


def silence_verdict(facts: Facts, asked: HttpFacts) -> Verdict:
    """A request that got no answer at all."""
    looks = facts.second
    started = asked.first_bytes[:60]
    said = f"it says: {started}" if started else ""
    if looks.speaks_tls:
        return verdict("tls_wanted", _ending(asked.ended), "a TLS handshake works on this port")
    for start, greeting, service in _SERVICES:
        if asked.first_bytes.startswith(greeting, start):
            return verdict("other_service", f"the answer is that of {service}", said)
    if looks.speaks_mqtt:
        return verdict("mqtt_broker", "an MQTT CONNECT is answered with a CONNACK")
    if asked.ended is Ending.GARBAGE:
        return verdict("http_broken", said)
    if asked.ended is Ending.SILENCE:
        return verdict("service_silent", f"GET {asked.path}: no answer", said)
    return verdict("service_hangs_up", f"GET {asked.path}: {_ending(asked.ended)}", said)


def _ending(ended: Ending | None) -> str:
    return {
        Ending.SILENCE: "no answer",
        Ending.CLOSED: "closed without an answer",
        Ending.RESET: "reset without an answer",
        Ending.GARBAGE: "an answer that is not HTTP",
    }.get(ended or Ending.SILENCE, "")


def stranger_verdict(facts: Facts, answer: Answer, path: str, *, upgrade: bool = False) -> Verdict:
    """An HTTP answer that is not in a gateway's words.

    Args:
        upgrade: The upgrade was asked for, not a page.
    """
    asked = f"GET {path} with Upgrade: websocket" if upgrade else f"GET {path}"
    seen = [f"{asked}: {describe(answer)}", _server(answer), _title(answer)]
    status = answer.status
    if 300 <= status < 400:
        return _redirect_verdict(facts, answer, seen)
    if status == 401:
        return verdict("proxy_login", *seen, f"it wants: {answer.header('www-authenticate')}")
    if status == 400 and (code := _bad_request(facts, answer)):
        works = "a TLS handshake works on this port" if code == "tls_wanted" else ""
        return verdict(code, *seen, works)
    if code := _by_status(answer, upgrade=upgrade):
        return verdict(code, *seen)
    if status < 300 and answer.is_html:
        return verdict(_page(facts, answer), *seen)
    if status < 300:
        return verdict("web_server", *seen)
    return verdict("upgrade_not_supported" if upgrade and _is_there(facts) else "web_server", *seen)


def _bad_request(facts: Facts, answer: Answer) -> str:
    """The fault behind a 400, where the page or a second look tells it."""
    page = answer.start.lower()
    if facts.second.speaks_tls:
        return "tls_wanted"
    if "ssl certificate" in page:  # nginx: ssl_verify_client
        return "tls_client_certificate"
    return "head_limit" if "large" in page or "exceeds server limit" in page else ""


def _by_status(answer: Answer, *, upgrade: bool) -> str:
    """The fault that a status stands for, if it does for one."""
    status = answer.status
    if answer.header("ngrok-error-code"):  # a tunnel, with nobody at its other end
        return "origin_unreachable"
    if 520 <= status <= 530:  # Cloudflare's own: docs on "Cloudflare 5xx errors"
        return "origin_unreachable"
    if status == 502 and "error reading from remote server" in answer.start.lower():
        return "proxy_upstream_slow"  # Apache, when the gateway says nothing
    code = _BY_STATUS.get(status, "server_error" if status >= 500 else "")
    if code == "upgrade_not_supported" and not upgrade:
        return "web_server"  # such as another WebSocket server, which takes nothing else
    return code


def _redirect_verdict(facts: Facts, answer: Answer, seen: list[str]) -> Verdict:
    location = answer.header("location")
    seen = [*seen, f"Location: {location}"]
    try:
        target = urlsplit(location)
        host, port = target.hostname, target.port
    except ValueError:
        return verdict("redirected", *seen)
    same_host = host in (None, facts.host)
    if target.scheme == "https" and same_host and not facts.tls:
        where = f"[{facts.host}]" if ":" in facts.host else facts.host
        where = f"wss://{where}" + (f":{port}" if port not in (None, 443) else "")
        fix = f"use {where} instead of ws://, or except /ws/ from the redirect"
        return verdict("redirect_to_tls", *seen, fix=fix)
    words = location.lower()
    if not same_host and any(word in words for word in _PORTAL_WORDS + _LOGIN_WORDS):
        return verdict("proxy_login" if _is_untouched(facts) else "captive_portal", *seen)
    if any(word in words for word in _LOGIN_WORDS):
        return verdict("proxy_login", *seen)
    return verdict("redirected", *seen)


def _is_untouched(facts: Facts) -> bool:
    """Whether the answer is the site's own for sure, and not that of a network in between."""
    proven = facts.tls_seen is not None and facts.tls_seen.verified
    return proven or _is_there(facts)


def _page(facts: Facts, answer: Answer) -> str:
    """The fault behind a page with status 200."""
    page = answer.start.lower()
    leads_on = any(mark in page for mark in ("<form", 'http-equiv="refresh"', "location"))
    if leads_on and not _is_untouched(facts) and any(word in page for word in _PORTAL_WORDS):
        return "captive_portal"
    if "<form" in page and any(word in page for word in _LOGIN_WORDS):
        return "proxy_login" if _is_untouched(facts) else "captive_portal"
    return "web_server"


def _is_there(facts: Facts) -> bool:
    """Whether a gateway has answered already."""
    return facts.health is not None and facts.health.answer is not None and is_gateway(facts.health)


def is_gateway(asked: HttpFacts) -> bool:
    """Whether the answer to ``/healthz`` is a gateway's."""
    answer = asked.answer
    if answer is not None and answer.refusal is not None:
        return True
    return (
        answer is not None
        and answer.status in (200, 503)
        and "json" in answer.header("content-type")
        and '"status"' in answer.start
    )


def describe(answer: Answer) -> str:
    """Status, reason and kind of an answer."""
    kind = answer.header("content-type").partition(";")[0]
    words = f"HTTP {answer.status} {answer.reason}".rstrip()
    return f"{words}, {kind}" if kind else words


def _server(answer: Answer) -> str:
    betrayed = betraying_headers(answer)
    return f"its headers say: {betrayed}" if betrayed else ""


def betraying_headers(answer: Answer) -> str:
    """The headers that a proxy or CDN adds, and ``Server``."""
    names = (
        "server", "via", "x-powered-by", "cf-ray", "cf-mitigated", "x-cache", "x-amz-cf-id",
        "x-served-by", "ngrok-error-code",
    )  # fmt: skip
    found = [f"{name}: {answer.header(name)}" for name in names if answer.header(name)]
    return "; ".join(found)


def _title(answer: Answer) -> str:
    """What a page calls itself, unless that is only its status again."""
    found = _TITLE.search(answer.start)
    title = " ".join(found[1].split()) if found else ""
    status = f"{answer.status} {answer.reason}".lower()
    return "" if not title or title.lower() in status else f"its title: {title}"


# The upgrade


def upgrade_verdict(facts: Facts, upgrade: UpgradeFacts) -> Verdict | None:
    """Why the upgrade did not come about; None if it did."""
    if upgrade.accepted:
        return None
    asked = f"GET {upgrade.path} with Upgrade: websocket"
    if upgrade.answer is not None and upgrade.answer.refusal is not None:
        return _refused(facts, upgrade, upgrade.answer)
    if upgrade.answer is not None:
        return stranger_verdict(facts, upgrade.answer, upgrade.path, upgrade=True)
    said = f"it says: {upgrade.first_bytes[:60]}" if upgrade.first_bytes else ""
    if upgrade.broken:
        return verdict("upgrade_broken", asked, upgrade.broken, said)
    if upgrade.ended is Ending.SILENCE:
        return verdict("upgrade_unanswered", f"{asked}: no answer", said)
    return verdict("upgrade_cut", f"{asked}: {_ending(upgrade.ended)}", said)


_ALTERED: Final = (
    "let the proxy on the way pass the Host and Sec-WebSocket-* headers on as they are"
)
_FIXES: Final = {
    "bad_request": "look for a proxy or middlebox that alters requests; try wss://",
    "no_host": _ALTERED,
    "bad_upgrade": _ALTERED,
    "websocket_version": _ALTERED,
    "method_not_allowed": "let the proxy on the way pass GET on as it is",
    "authorization_conflict": "let only one of proxy and device send Authorization",
    "wrong_class": "name the token's class with --device, or use a token of this class",
    "token_malformed": "let the proxy on the way pass Authorization on as it is",
}
"""What to do where a probe is refused: what it sends is right, so it was changed on the way; and
its class and its token are options."""


def _refused(facts: Facts, upgrade: UpgradeFacts, answer: Answer) -> Verdict:
    assert answer.refusal is not None
    stripped = answer.refusal.code == "token_missing" and upgrade.sent_token
    mistyped = facts.token.mistyped if answer.refusal.code == "token_mistyped" else ""
    return refusal_verdict(
        answer,
        upgrade.path,
        f"by its form: {mistyped}" if mistyped else "",
        code="token_stripped" if stripped else "",
    )


def refusal_verdict(answer: Answer, path: str, *seen_here: str, code: str = "") -> Verdict:
    """A refusal in a gateway's own words.

    Args:
        path: What was asked for.
        seen_here: What else proves it.
        code: The fault, if it is another than the gateway's word for it.
    """
    told = answer.refusal
    assert told is not None
    code = code or SHOWN_OTHERWISE.get(told.code, told.code)
    fix = _FIXES.get(code, "")
    prefix = _prefix(path)
    if code == "not_found" and not prefix:
        code = "path_changed"
    elif code == "not_found":
        fix = f"leave {prefix} out of --url, or let the proxy in front take it off"
    seen = [
        f"GET {path}: HTTP {answer.status} {told.code}: {told.message}",
        *seen_here,
        f"request {told.request_id}: wsdev logs --request-id {told.request_id} on the host",
        f"WWW-Authenticate: {answer.header('www-authenticate')}"
        if answer.header("www-authenticate")
        else "",
        f"wait {answer.header('retry-after')} s" if answer.header("retry-after") else "",
        f"its paths: {', '.join(told.paths)}" if told.paths else "",
        _server(answer),
    ]
    if told.code not in REFUSALS:
        return verdict("refused_otherwise", *seen, fix=told.hint)
    return verdict(code, *seen, fix=fix)


def _prefix(path: str) -> str:
    """What stands in ``path`` before a path of the gateway's own."""
    found = _OWN_PATH.search(path)
    return path[: found.start()] if found else ""
