"""From HTTP answers, and answers that did not come, to a verdict. Pure."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from wsdev.diagnosis.facts import Answer, Ending, Facts, HttpFacts, UpgradeFacts
from wsdev.diagnosis.verdict import FAULTS, Verdict, verdict

_SERVICES: Final[tuple[tuple[str, str], ...]] = (
    ("SSH-", "SSH"),
    ("220", "a mail or FTP server"),
    ("+OK", "a POP3 server"),
    ("* OK", "an IMAP server"),
    ("RFB ", "VNC"),
    ("-ERR", "Redis"),
    ("\x15\x03", "TLS"),
)
"""How other services greet, or answer a request that they do not understand."""

_PORTAL_WORDS: Final = (
    "login",
    "log in",
    "sign in",
    "portal",
    "hotspot",
    "guest",
    "accept",
    "wifi",
)

_BY_STATUS: Final[dict[int, str]] = {
    403: "proxy_forbids",
    404: "path_missing",
    407: "proxy_login",
    413: "body_limit",
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


def silence_verdict(facts: Facts, asked: HttpFacts) -> Verdict:
    """A request that got no answer at all."""
    looks = facts.second
    started = asked.first_bytes[:60]
    said = f"it says: {started}" if started else ""
    if looks.speaks_tls:
        return verdict("tls_wanted", _ending(asked.ended), "a TLS handshake works on this port")
    for greeting, service in _SERVICES:
        if asked.first_bytes.startswith(greeting):
            return verdict("other_service", f"the answer is that of {service}", said)
    if looks.speaks_mqtt:
        return verdict("mqtt_broker", "an MQTT CONNECT is answered with a CONNACK")
    if asked.ended is Ending.GARBAGE:
        return verdict("http_broken", said)
    if asked.ended is Ending.SILENCE:
        return verdict("service_silent", f"GET {asked.path}: no answer", said)
    return verdict("service_hangs_up", f"GET {asked.path}: {_ending(asked.ended)}")


def _ending(ended: Ending | None) -> str:
    return {
        Ending.SILENCE: "no answer",
        Ending.CLOSED: "closed without an answer",
        Ending.RESET: "reset without an answer",
        Ending.GARBAGE: "an answer that is not HTTP",
    }.get(ended or Ending.SILENCE, "")


def stranger_verdict(facts: Facts, answer: Answer, path: str) -> Verdict:
    """An HTTP answer that is not in a gateway's words."""
    seen = [f"GET {path}: {describe(answer)}", _server(answer)]
    status = answer.status
    if status == 400 and facts.second.speaks_tls:
        return verdict("tls_wanted", *seen, "a TLS handshake works on this port")
    if 300 <= status < 400:
        return _redirect_verdict(facts, answer, seen)
    if status == 401:
        return verdict("proxy_login", *seen, f"it wants: {answer.header('www-authenticate')}")
    if status == 400 and "large" in answer.start.lower():
        return verdict("head_limit", *seen)
    if status in _BY_STATUS:
        return verdict(_BY_STATUS[status], *seen)
    if 520 <= status <= 530:  # Cloudflare's own: docs on "Cloudflare 5xx errors"
        return verdict("origin_unreachable", *seen)
    if status >= 500:
        return verdict("server_error", *seen)
    if status < 300 and answer.is_html and _is_portal(answer):
        return verdict("captive_portal", *seen, _title(answer))
    if status < 300:
        return verdict("web_server", *seen, _title(answer))
    return verdict("upgrade_not_supported" if _is_there(facts) else "web_server", *seen)


def _redirect_verdict(facts: Facts, answer: Answer, seen: list[str]) -> Verdict:
    location = answer.header("location")
    seen = [*seen, f"Location: {location}"]
    try:
        target = urlsplit(location)
        host = target.hostname
    except ValueError:
        return verdict("redirected", *seen)
    same_host = host in (None, facts.host)
    if target.scheme == "https" and same_host and not facts.tls:
        return verdict("redirect_to_tls", *seen)
    if not same_host and any(word in location.lower() for word in _PORTAL_WORDS):
        return verdict("captive_portal", *seen)
    return verdict("redirected", *seen)


def _is_there(facts: Facts) -> bool:
    """Whether a gateway has answered already."""
    return facts.health is not None and facts.health.answer is not None and is_gateway(facts.health)


def is_gateway(asked: HttpFacts) -> bool:
    """Whether the answer to ``/healthz`` is a gateway's."""
    answer = asked.answer
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
    names = ("server", "via", "x-powered-by", "cf-ray", "x-cache", "x-amz-cf-id", "x-served-by")
    found = [f"{name}: {answer.header(name)}" for name in names if answer.header(name)]
    return "; ".join(found)


def _is_portal(answer: Answer) -> bool:
    page = answer.start.lower()
    return "<form" in page or any(word in page for word in _PORTAL_WORDS)


def _title(answer: Answer) -> str:
    low = answer.start.lower()
    start, end = low.find("<title>"), low.find("</title>")
    return f"its title: {answer.start[start + 7 : end].strip()}" if 0 <= start < end else ""


# The upgrade


def upgrade_verdict(facts: Facts, upgrade: UpgradeFacts) -> Verdict | None:
    """Why the upgrade did not come about; None if it did."""
    if upgrade.accepted:
        return None
    asked = f"GET {upgrade.path} with Upgrade: websocket"
    if upgrade.answer is not None and upgrade.answer.refusal is not None:
        return _refused(upgrade, upgrade.answer)
    if upgrade.answer is not None:
        return stranger_verdict(facts, upgrade.answer, upgrade.path)
    if upgrade.broken:
        return verdict("upgrade_broken", asked, upgrade.broken)
    if upgrade.ended is Ending.SILENCE:
        return verdict("upgrade_unanswered", f"{asked}: no answer")
    return verdict("upgrade_cut", f"{asked}: {_ending(upgrade.ended)}")


_SEEN_OTHERWISE: Final = {
    "upgrade_required": "upgrade_stripped",
    "bad_upgrade": "upgrade_stripped",
    "websocket_version": "upgrade_stripped",
    "http_1_0": "upgrade_http_1_0",
    "not_found": "path_changed",
    "method_not_allowed": "path_changed",
}
"""Refusals of requests that we did not send so: something on the way changed them."""


def _refused(upgrade: UpgradeFacts, answer: Answer) -> Verdict:
    assert answer.refusal is not None
    code = _SEEN_OTHERWISE.get(answer.refusal.code, answer.refusal.code)
    if code == "token_missing" and upgrade.sent_token:
        code = "token_stripped"
    return refusal_verdict(answer, f"GET {upgrade.path}", code)


def refusal_verdict(answer: Answer, asked: str, code: str = "") -> Verdict:
    """A refusal in a gateway's own words.

    Args:
        code: The fault, if it is another than the gateway's word for it.
    """
    told = answer.refusal
    assert told is not None
    code = code or told.code
    seen = [
        f"{asked}: HTTP {answer.status} {told.code}: {told.message}",
        f"request {told.request_id}: wsdev logs --request-id {told.request_id} on the host",
        f"WWW-Authenticate: {answer.header('www-authenticate')}"
        if answer.header("www-authenticate")
        else "",
        f"wait {answer.header('retry-after')} s" if answer.header("retry-after") else "",
        f"its paths: {', '.join(told.paths)}" if told.paths else "",
        _server(answer),
    ]
    if code not in FAULTS:
        return verdict("refused_otherwise", *seen, fix=told.hint)
    return verdict(code, *seen)
