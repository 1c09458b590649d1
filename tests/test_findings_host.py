from __future__ import annotations

import pytest
from host_cases import CASES, INSIDE, WELL, certificate, changed, down, note, visits

from wsdev.findings import kinds as finding_kinds
from wsdev.findings.facts import TokenFacts, Visit
from wsdev.findings.host import CHECKS, WayIn, diagnose
from wsdev.findings.kinds import FINDINGS, Grade


@pytest.mark.parametrize("code", FINDINGS)
def test_each_finding_can_be_found(code: str) -> None:
    assert code in {finding.code for finding in diagnose(CASES[code]).findings}


def test_checks_are_those_of_the_table_in_its_order() -> None:
    assert list(CHECKS) == list(finding_kinds.CHECKS)
    for name, check in CHECKS.items():
        assert {f.kind.check for facts in CASES.values() for f in check(facts)} == {name}


def test_host_that_is_well_has_nothing_but_good_findings() -> None:
    diagnosis = diagnose(WELL)
    assert {finding.grade for finding in diagnosis.findings} == {Grade.OK}
    assert diagnosis.count(Grade.OK) == len(diagnosis.findings)


@pytest.mark.parametrize("code", [c for c, kind in FINDINGS.items() if kind.grade is Grade.PROBLEM])
def test_what_helps_against_a_problem_can_be_pasted_or_is_in_words(code: str) -> None:
    (finding,) = (f for f in diagnose(CASES[code]).findings if f.code == code)
    assert finding.evidence
    assert finding.kind.fix
    assert finding.command == finding.command.strip()


def test_way_in_is_the_first_address_that_answers() -> None:
    met = (
        Visit("192.168.1.7", "eth0", "no answer"),
        Visit("2001:db8::7", "eth0", "gateway", "ok"),
        Visit("127.0.0.1", "lo", "gateway", "ok"),
    )
    way_in = diagnose(changed(visits(*met), tokens=TokenFacts(window_left=9))).way_in
    assert way_in == WayIn(
        "wsdev connect --device pico --url ws://[2001:db8::7]:3000", "http://[2001:db8::7]:3000/"
    )


def test_there_is_no_way_in_without_a_gateway() -> None:
    assert diagnose(down()).way_in is None
    assert diagnose(visits(Visit("127.0.0.1", "lo", "gateway", "ok"))).way_in is None


@pytest.mark.parametrize(
    ("policy", "left", "needed"),
    [("open", 0, False), ("window", 60, False), ("window", 0, True), ("off", 60, True)],
)
def test_token_is_asked_for_where_none_is_handed_out(
    policy: str, left: float, needed: bool
) -> None:
    facts = changed(note(public_tokens=policy), tokens=TokenFacts(window_left=left))
    way_in = diagnose(changed(facts, state_option=" --state /srv/x")).way_in
    assert way_in is not None
    assert ("--token-file token.txt" in way_in.connect) == needed
    assert ("wsdev tokens create --device pico --name NAME --state /srv/x" in way_in.note) == needed


@pytest.mark.parametrize(
    ("names", "host"),
    [
        (("gw.example", "10.0.0.1"), "gw.example"),
        (("*.example", "localhost", "2001:db8::7"), "[2001:db8::7]"),
        (("*.example",), "192.168.1.7"),
        (("gw.example", "192.168.1.7"), "192.168.1.7"),
        ((), "192.168.1.7"),
    ],
)
def test_with_tls_the_way_in_is_a_name_that_the_certificate_has(
    names: tuple[str, ...], host: str
) -> None:
    way_in = diagnose(certificate(names=names)).way_in
    assert way_in is not None
    assert f"--url wss://{host}:3000" in way_in.connect
    assert way_in.page == f"https://{host}:3000/"
    assert "--cacert" not in way_in.connect


@pytest.mark.parametrize(
    ("names", "told"), [(("localhost",), True), ((INSIDE,), False), (("gw.example",), False)]
)
def test_certificate_that_is_not_for_the_way_in_is_told(names: tuple[str, ...], told: bool) -> None:
    way_in = diagnose(certificate(names=names)).way_in
    assert way_in is not None
    assert ("the certificate is for localhost" in way_in.note) == told


def test_certificate_of_an_own_issuer_needs_that_issuer() -> None:
    way_in = diagnose(certificate(is_trusted=False)).way_in
    assert way_in is not None
    assert "--cacert ca.pem" in way_in.connect
    assert "ca.pem is" in way_in.note
