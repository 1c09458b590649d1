"""Answers as values; those of real servers are in test_strangers.py and the like."""

from __future__ import annotations

import pytest
from any_facts import any_facts
from hypothesis import given

from wsdev.codes import REFUSALS
from wsdev.diagnosis.answer_rules import (
    describe,
    is_gateway,
    refusal_verdict,
    silence_verdict,
    stranger_verdict,
    upgrade_verdict,
)
from wsdev.diagnosis.facts import (
    Answer,
    Ending,
    Facts,
    HttpFacts,
    Refusal,
    SecondLooks,
    TlsFacts,
    UpgradeFacts,
)
from wsdev.diagnosis.talk_faults import SHOWN_OTHERWISE
from wsdev.diagnosis.verdict import FAULTS

HTML = ("Content-Type", "text/html")
HEALTHY = Answer(200, "OK", "1.1", [("content-type", "application/json")], '{"status":"ok"}')


def facts(*, tls: bool = False, gateway: bool = False) -> Facts:
    seen = Facts("gateway.example", 3000, tls)
    if tls:
        seen.tls_seen = TlsFacts("TLSv1.3", verified=True)
    if gateway:
        seen.health = HttpFacts("/healthz", HEALTHY)
    return seen


def page(status: int, start: str = "", *headers: tuple[str, str]) -> Answer:
    return Answer(status, "", "1.1", [HTML, *headers], start)


# No answer


@pytest.mark.parametrize(
    ("ended", "looks", "code"),
    [
        (Ending.SILENCE, SecondLooks(), "service_silent"),
        (Ending.CLOSED, SecondLooks(), "service_hangs_up"),
        (Ending.RESET, SecondLooks(), "service_hangs_up"),
        (Ending.GARBAGE, SecondLooks(), "http_broken"),
        (Ending.CLOSED, SecondLooks(speaks_mqtt=True), "mqtt_broker"),
        (Ending.SILENCE, SecondLooks(speaks_tls=True), "tls_wanted"),
    ],
)
def test_silence_is_named_by_its_end_and_the_second_looks(
    ended: Ending, looks: SecondLooks, code: str
) -> None:
    seen = facts()
    seen.second = looks
    assert silence_verdict(seen, HttpFacts("/healthz", ended=ended)).code == code


# Strange answers


@pytest.mark.parametrize(
    ("location", "tls", "code"),
    [
        ("https://gateway.example/ws/pico", False, "redirect_to_tls"),
        ("https://gateway.example:8443/ws/pico", False, "redirect_to_tls"),
        ("https://gateway.example/ws/pico/", True, "redirected"),
        ("https://www.other.example/", False, "redirected"),
        ("/ws/pico/", False, "redirected"),
        ("/login?next=/", False, "proxy_login"),
        ("http://10.0.0.1/hotspot", False, "captive_portal"),
        ("http://10.0.0.1/login", False, "captive_portal"),
        ("https://auth.example/login", True, "proxy_login"),
        ("http://[", False, "redirected"),
        ("http://x:port/", False, "redirected"),
        ("", False, "redirected"),
    ],
)
def test_redirect_is_named_by_where_it_leads(location: str, tls: bool, code: str) -> None:
    told = stranger_verdict(facts(tls=tls), page(302, "", ("Location", location)), "/ws/pico")
    assert told.code == code


@pytest.mark.parametrize(
    ("location", "where"),
    [
        ("https://gateway.example/", "use wss://gateway.example instead"),
        ("https://gateway.example:443/", "use wss://gateway.example instead"),
        ("https://gateway.example:8443/", "use wss://gateway.example:8443 instead"),
    ],
)
def test_redirect_to_tls_tells_the_address(location: str, where: str) -> None:
    told = stranger_verdict(facts(), page(301, "", ("Location", location)), "/ws/pico")
    assert told.fix.startswith(where)


LOGIN = "<title>Sign in</title><form action=/login><input type=password></form>"
GUEST = "<title>Guest Wi-Fi</title><form><button>Accept</button></form>"


@pytest.mark.parametrize(
    ("start", "tls", "gateway", "code"),
    [
        (GUEST, False, False, "captive_portal"),
        (GUEST, True, False, "web_server"),
        (LOGIN, False, False, "captive_portal"),
        (LOGIN, True, False, "proxy_login"),
        (LOGIN, False, True, "proxy_login"),
        ("<h1>Welcome to nginx!</h1>", False, False, "web_server"),
        ("<h1>Our wifi guide</h1>", False, False, "web_server"),
    ],
)
def test_page_is_a_portal_only_where_a_network_could_have_put_it(
    start: str, tls: bool, gateway: bool, code: str
) -> None:
    told = stranger_verdict(facts(tls=tls, gateway=gateway), page(200, start), "/ws/pico")
    assert told.code == code


@pytest.mark.parametrize(
    ("start", "code"),
    [
        ("400 Request Header Or Cookie Too Large", "head_limit"),
        ("Size of a request header field exceeds server limit", "head_limit"),
        ("400 No required SSL certificate was sent", "tls_client_certificate"),
        ("Bad Request", "web_server"),
    ],
)
def test_bad_request_is_named_by_its_page(start: str, code: str) -> None:
    assert stranger_verdict(facts(), page(400, start), "/ws/pico").code == code


def test_apache_that_waited_in_vain_is_not_taken_for_a_gateway_that_is_down() -> None:
    told = stranger_verdict(facts(), page(502, "Reason: Error reading from remote server"), "/")
    assert told.code == "proxy_upstream_slow"


def test_title_that_repeats_the_status_is_left_out() -> None:
    answer = Answer(404, "Not Found", "1.1", [HTML], "<title>404 Not Found</title>")
    assert stranger_verdict(facts(), answer, "/").evidence == [
        "GET /: HTTP 404 Not Found, text/html"
    ]


@given(any_facts(Facts), any_facts(Answer))
def test_any_answer_is_named(seen: Facts, answer: Answer) -> None:
    for upgrade in (False, True):
        assert stranger_verdict(seen, answer, "/ws/pico", upgrade=upgrade).code in FAULTS
    describe(answer)


@given(any_facts(Facts), any_facts(HttpFacts))
def test_any_silence_is_named(seen: Facts, asked: HttpFacts) -> None:
    assert silence_verdict(seen, asked).code in FAULTS
    is_gateway(asked)


# Refusals and the upgrade


@pytest.mark.parametrize("code", REFUSALS)
def test_refusal_keeps_the_gateways_words_and_its_number(code: str) -> None:
    kind = REFUSALS[code]
    told = Refusal(code, kind.message, kind.hint, "req7")
    answer = Answer(kind.status, "", "1.1", [("retry-after", "30")], refusal=told)
    found = refusal_verdict(answer, "/prefix/ws/pico")
    assert found.code == SHOWN_OTHERWISE.get(code, code)
    assert f"HTTP {kind.status} {code}: {kind.message}" in found.evidence[0]
    assert "request req7: wsdev logs --request-id req7 on the host" in found.evidence
    assert "wait 30 s" in found.evidence


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/ws/pico", "path_changed"),
        ("/public/tokens", "path_changed"),
        ("/devices/ws/pico", "not_found"),
        ("/devices/public/tokens", "not_found"),
    ],
)
def test_path_that_is_not_there_is_ours_or_was_changed(path: str, code: str) -> None:
    answer = Answer(404, "", "1.1", [], refusal=Refusal("not_found", "m", "h", "r"))
    found = refusal_verdict(answer, path)
    assert found.code == code
    assert ("leave /devices out" in found.fix) == (code == "not_found")


@pytest.mark.parametrize(("sent", "code"), [(True, "token_stripped"), (False, "token_missing")])
def test_missing_token_was_stripped_if_it_was_sent(sent: bool, code: str) -> None:
    answer = Answer(401, "", "1.1", [], refusal=Refusal("token_missing", "m", "h", "r"))
    found = upgrade_verdict(facts(), UpgradeFacts("/ws/pico", sent, answer=answer))
    assert found is not None
    assert found.code == code


def test_upgrade_that_came_about_is_no_fault() -> None:
    assert upgrade_verdict(facts(), UpgradeFacts("/ws/pico", True, accepted=True)) is None


@given(any_facts(Facts), any_facts(UpgradeFacts))
def test_any_upgrade_is_named_or_was_accepted(seen: Facts, upgrade: UpgradeFacts) -> None:
    found = upgrade_verdict(seen, upgrade)
    assert (found is None) == upgrade.accepted
    assert found is None or found.code in FAULTS


@pytest.mark.parametrize(
    ("answer", "is_one"),
    [
        (HEALTHY, True),
        (Answer(503, "", "1.1", HEALTHY.headers, '{"status":"degraded"}'), True),
        (Answer(503, "", "1.1", [], refusal=Refusal("full", "m", "h", "r")), True),
        (Answer(200, "", "1.1", [HTML], '{"status":"ok"}'), False),
        (Answer(404, "", "1.1", HEALTHY.headers, '{"status":"ok"}'), False),
        (None, False),
    ],
)
def test_gateway_is_known_by_its_health(answer: Answer | None, is_one: bool) -> None:
    assert is_gateway(HttpFacts("/healthz", answer)) == is_one
