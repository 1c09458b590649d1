from __future__ import annotations

from typing import Any

import pytest
from any_facts import any_facts
from hypothesis import given
from hypothesis import strategies as st

from wsdev.diagnosis.facts import (
    AddressFacts,
    Answer,
    Certificate,
    DnsServer,
    Ending,
    Facts,
    HttpFacts,
    NameFacts,
    NameTrouble,
    SecondLooks,
    TcpOutcome,
    TlsFacts,
)
from wsdev.diagnosis.path_rules import (
    DAY,
    EARLIEST_CLOCK,
    NEIGHBOUR_PATIENCE,
    attempt,
    day,
    describe,
    name_verdict,
    tcp_verdict,
    tls_verdict,
)
from wsdev.diagnosis.verdict import FAULTS, Verdict
from wsdev.layers import Layer
from wsdev.sanitize import printable

NOW = EARLIEST_CLOCK + 100 * DAY
HERE, THERE, SIX = "192.0.2.2", "192.0.2.7", "2001:db8::7"

REFUSED, UNANSWERED, REJECTED, UNREACHABLE, TURNED_BACK, FAILED = (
    TcpOutcome.REFUSED,
    TcpOutcome.UNANSWERED,
    TcpOutcome.REJECTED,
    TcpOutcome.UNREACHABLE,
    TcpOutcome.TURNED_BACK,
    TcpOutcome.FAILED,
)


def tried(ip: str, outcome: TcpOutcome | None, seconds: float = 0.01, **more: Any) -> AddressFacts:
    return AddressFacts(ip, 3000, HERE, outcome, seconds, **more)


def facts_of(*addresses: AddressFacts, host: str = "gateway.example", **fields: Any) -> Facts:
    looks = SecondLooks(**{k: fields.pop(k) for k in ("loopback", "default_port") if k in fields})
    name = NameFacts(host, list(addresses), **fields)
    return Facts(host, 3000, tls=False, name=name, second=looks)


def found(verdict: Verdict | None) -> str:
    assert verdict is not None
    return verdict.code


# Whatever was seen


@given(any_facts(Facts))
def test_any_facts_give_a_verdict_of_the_table_or_none(facts: Facts) -> None:
    verdicts = [tcp_verdict(facts), tls_verdict(facts)]
    if facts.name is not None:
        verdicts.append(name_verdict(facts.name))
    for verdict in verdicts:
        if verdict is not None:
            assert verdict.code in FAULTS
            assert verdict.fix
            assert all(line and printable(line, 2000) == line for line in verdict.evidence)


@given(any_facts(AddressFacts))
def test_any_attempt_is_told_in_a_line_with_its_address(address: AddressFacts) -> None:
    assert f"{address.ip}" in attempt(address)
    assert f":{address.port}" in attempt(address)


@given(any_facts(Certificate))
def test_any_certificate_can_be_described(certificate: Certificate) -> None:
    assert "valid" in describe(certificate)


@given(st.floats())
def test_any_time_can_be_told(seconds: float) -> None:
    assert day(seconds)


# Name


@pytest.mark.parametrize(
    ("trouble", "code", "layer"),
    [
        (NameTrouble.MALFORMED, "name_malformed", Layer.NAME),
        (NameTrouble.UNKNOWN, "name_unknown", Layer.NAME),
        (NameTrouble.WITHOUT_ADDRESS, "name_without_address", Layer.NAME),
        (NameTrouble.UNANSWERED, "name_unanswered", Layer.NAME),
        (NameTrouble.NOT_ASKED, "no_socket", Layer.NAME),
    ],
)
def test_trouble_with_a_name(trouble: NameTrouble, code: str, layer: Layer) -> None:
    verdict = name_verdict(NameFacts("gw", trouble=trouble, system_says="so it is"))
    assert verdict is not None
    assert (verdict.code, verdict.layer) == (code, layer)
    assert verdict.evidence[0] == "looking up 'gw': so it is"


def test_name_with_an_address_is_no_trouble() -> None:
    assert name_verdict(NameFacts("gw", [AddressFacts(THERE, 3000)])) is None


@pytest.mark.parametrize(
    ("servers", "code"),
    [
        ([], "no_name_server"),
        ([DnsServer(HERE, trouble="no answer")], "name_unanswered"),
        ([DnsServer(HERE)], "name_unanswered"),  # broken words
        ([DnsServer(HERE, "SERVFAIL")], "name_server_fails"),
        ([DnsServer(HERE, trouble="no answer"), DnsServer(THERE, "REFUSED")], "name_server_fails"),
    ],
)
def test_what_the_dns_servers_say_themselves(servers: list[DnsServer], code: str) -> None:
    name = NameFacts("gw", trouble=NameTrouble.UNANSWERED, servers=servers)
    verdict = name_verdict(name)
    assert verdict is not None
    assert verdict.code == code
    told = "\n".join(verdict.evidence)
    assert all(server.ip in told for server in servers)


@pytest.mark.parametrize("host", ["gateway.local", "GATEWAY.Local", "gateway.local."])
def test_unknown_local_name_is_told_to_need_mdns(host: str) -> None:
    verdict = name_verdict(NameFacts(host, trouble=NameTrouble.UNKNOWN))
    assert verdict is not None
    assert "mDNS" in verdict.evidence[1]


# Route and TCP


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        ([REFUSED], "refused"),
        ([UNANSWERED], "unanswered"),
        ([REJECTED], "rejected"),
        ([TURNED_BACK], "router_no_route"),
        ([UNREACHABLE], "no_route"),
        ([FAILED], "no_socket"),
        # Who got further tells more.
        ([UNREACHABLE, UNANSWERED], "unanswered"),
        ([UNANSWERED, REFUSED], "refused"),
        ([FAILED, UNREACHABLE, TURNED_BACK], "router_no_route"),
        ([UNANSWERED, REJECTED], "rejected"),
    ],
)
def test_outcome_of_all_addresses(outcomes: list[TcpOutcome], code: str) -> None:
    verdict = tcp_verdict(facts_of(*(tried(THERE, outcome) for outcome in outcomes)))
    assert verdict is not None
    assert verdict.code == code
    assert all(THERE in line for line in verdict.evidence[: len(outcomes)])


def test_nothing_is_judged_before_it_was_tried() -> None:
    assert tcp_verdict(Facts("gw", 3000, tls=False)) is None
    assert tcp_verdict(facts_of()) is None
    assert tcp_verdict(facts_of(tried(THERE, REFUSED), AddressFacts(SIX, 3000))) is None


def test_one_address_that_works_is_enough() -> None:
    works = tried(SIX, TcpOutcome.CONNECTED)
    assert tcp_verdict(facts_of(tried(THERE, REFUSED), works)) is None


@pytest.mark.parametrize(
    ("seconds", "again", "code"),
    [
        (0.01, None, "rejected"),
        (1.02, True, "rejected"),
        (1.02, False, "host_absent"),
        (NEIGHBOUR_PATIENCE + 0.6, False, "host_absent"),
        (NEIGHBOUR_PATIENCE + 0.6, None, "host_absent"),
    ],
)
def test_who_says_no_is_told_from_nobody(seconds: float, again: bool | None, code: str) -> None:
    address = tried(THERE, REJECTED, seconds, rejected_again=again)
    assert found(tcp_verdict(facts_of(address))) == code


@pytest.mark.parametrize(
    ("ip", "looks", "code"),
    [
        ("127.0.0.1", {"loopback": "::1"}, "loopback_family"),
        ("127.0.1.1", {"loopback": "127.0.0.1"}, "loopback_family"),
        (THERE, {"loopback": "127.0.0.1"}, "loopback_only"),
        (THERE, {"default_port": True}, "wrong_port"),
        ("0.0.0.0", {"loopback": "127.0.0.1"}, "wildcard_address"),
        ("::", {}, "wildcard_address"),
        (THERE, {"default_port": False}, "refused"),
    ],
)
def test_second_looks_after_a_refusal(ip: str, looks: dict[str, Any], code: str) -> None:
    assert found(tcp_verdict(facts_of(tried(ip, REFUSED), **looks))) == code


def test_open_default_port_is_told_beside_a_dropped_one() -> None:
    verdict = tcp_verdict(facts_of(tried(THERE, UNANSWERED, 10.0), default_port=True))
    assert verdict is not None
    assert verdict.code == "unanswered"
    assert "port 3000 of the same host takes connections" in verdict.evidence
    assert ":3000" in verdict.fix


@pytest.mark.parametrize(
    ("ips", "host", "routed", "code"),
    [
        ([SIX], "gw.example", ["IPv4"], "family_unreachable"),
        ([THERE], "gw.example", ["IPv6"], "family_unreachable"),
        ([SIX], "gw.example", ["IPv4", "IPv6"], "family_unreachable"),
        ([SIX, THERE], "gw.example", ["IPv4"], "no_route"),
        ([SIX], SIX, ["IPv4"], "no_route"),
        ([SIX], "gw.example", [], "no_route"),
        (["fe80::1"], "fe80::1", [], "scope_missing"),
        (["fe80::1%9"], "fe80::1%9", [], "no_route"),
    ],
)
def test_no_way_there(ips: list[str], host: str, routed: list[str], code: str) -> None:
    addresses = [AddressFacts(ip, 3000, outcome=UNREACHABLE) for ip in ips]
    assert found(tcp_verdict(facts_of(*addresses, host=host, routed_families=routed))) == code


def test_host_without_descriptors_is_told_at_the_route() -> None:
    address = AddressFacts(THERE, 3000, outcome=FAILED, system_says="Too many open files")
    verdict = tcp_verdict(facts_of(address))
    assert verdict is not None
    assert (verdict.code, verdict.layer) == ("no_socket", Layer.ROUTE)


def test_address_is_told_as_in_a_url() -> None:
    assert attempt(tried(SIX, REFUSED)).startswith(f"[{SIX}]:3000 refused after 10.0 ms")
    assert "no answer for 10.0 s" in attempt(tried(THERE, UNANSWERED, 10.0))


# TLS


def certificate(**fields: Any) -> Certificate:
    return Certificate(
        **{
            "names": ["gateway.example"],
            "subject": "",
            "issuer": "CN=issuer",
            "not_before": NOW - 30 * DAY,
            "not_after": NOW + 30 * DAY,
            "self_signed": False,
            "tells_issuer": False,
            **fields,
        }
    )


def tls_facts(plain: HttpFacts | None = None, **fields: Any) -> Facts:
    facts = Facts("gateway.example", 3000, tls=True, tls_seen=TlsFacts(**fields))
    facts.second.plain_answer = plain
    return facts


def page(status: int, start: str = "") -> HttpFacts:
    return HttpFacts("/healthz", Answer(status, "", "1.1", [], start))


def test_tls_that_works_or_was_not_asked_for_is_no_fault() -> None:
    assert tls_verdict(Facts("gw", 3000, tls=False)) is None
    assert tls_verdict(tls_facts(version="TLSv1.3", verified=True)) is None


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"reason": "WRONG_VERSION_NUMBER"}, "tls_not_spoken"),
        ({"reason": "TLSV1_ALERT_PROTOCOL_VERSION"}, "tls_too_old"),
        ({"reason": "UNSUPPORTED_PROTOCOL"}, "tls_too_old"),
        ({"reason": "TLSV1_UNRECOGNIZED_NAME"}, "tls_name_unknown"),
        ({"reason": "SSLV3_ALERT_HANDSHAKE_FAILURE"}, "tls_failed"),
        (
            {"reason": "SSLV3_ALERT_HANDSHAKE_FAILURE", "asks_certificate": True},
            "tls_client_certificate",
        ),
        (
            {"version": "TLSv1.3", "reason": "TLSV13_ALERT_CERTIFICATE_REQUIRED"},
            "tls_client_certificate",
        ),
        ({"ended": Ending.SILENCE}, "tls_unanswered"),
        ({"ended": Ending.CLOSED}, "tls_cut"),
        ({"ended": Ending.RESET}, "tls_cut"),
    ],
)
def test_handshake_that_fails(fields: dict[str, Any], code: str) -> None:
    assert found(tls_verdict(tls_facts(**fields))) == code


def test_plain_answer_proves_a_port_without_tls() -> None:
    verdict = tls_verdict(tls_facts(page(200), ended=Ending.RESET))
    assert verdict is not None
    assert verdict.code == "tls_not_spoken"
    assert "HTTP 200" in verdict.evidence[0]


def test_alert_proves_tls_whatever_a_plain_request_gets() -> None:
    facts = tls_facts(page(400), reason="TLSV1_UNRECOGNIZED_NAME", ended=Ending.CLOSED)
    assert found(tls_verdict(facts)) == "tls_name_unknown"


@pytest.mark.parametrize(
    ("status", "start", "wants"),
    [
        (400, "<center>No required SSL certificate was sent</center>", True),
        (400, "<center>Bad Request</center>", False),
        (200, "No required SSL certificate was sent", False),
    ],
)
def test_page_of_nginx_tells_that_it_wants_a_certificate(
    status: int, start: str, wants: bool
) -> None:
    facts = tls_facts(version="TLSv1.3")
    facts.health = page(status, start)
    verdict = tls_verdict(facts)
    assert (verdict is not None and verdict.code == "tls_client_certificate") == wants


@pytest.mark.parametrize(
    ("code", "about", "fields", "fault"),
    [
        (10, {}, {}, "certificate_expired"),
        (9, {}, {}, "certificate_not_yet_valid"),
        (62, {}, {}, "certificate_wrong_name"),
        (64, {}, {}, "certificate_wrong_name"),
        (18, {}, {}, "certificate_self_signed"),
        (20, {"self_signed": True}, {}, "certificate_self_signed"),
        (26, {"self_signed": True}, {}, "certificate_refused"),
        (20, {"chain_length": 1}, {}, "issuer_unknown"),
        (20, {"chain_length": 1, "tells_issuer": True}, {}, "intermediate_missing"),
        (20, {"chain_length": 2, "tells_issuer": True}, {}, "issuer_unknown"),
        (20, {"chain_length": 1}, {"issuer_akin": True}, "intermediate_missing"),
        (19, {"chain_length": 2}, {"own_issuers": True}, "issuer_unknown"),
        (66, {}, {}, "certificate_refused"),
    ],
)
def test_certificate_that_is_not_accepted(
    code: int, about: dict[str, Any], fields: dict[str, Any], fault: str
) -> None:
    facts = tls_facts(verify_code=code, certificate=certificate(**about), asked_at=NOW, **fields)
    verdict = tls_verdict(facts)
    assert verdict is not None
    assert verdict.code == fault
    assert any("gateway.example" in line for line in verdict.evidence)


def test_expired_issuer_is_not_blamed_on_the_servers_own_certificate() -> None:
    verdict = tls_verdict(tls_facts(verify_code=10, certificate=certificate(), asked_at=NOW))
    assert verdict is not None
    assert verdict.code == "certificate_expired"
    assert "one of its issuers' is not" in verdict.evidence[-1]
    assert "chain" in verdict.fix
    late = tls_facts(verify_code=10, certificate=certificate(), asked_at=NOW + 31 * DAY)
    verdict = tls_verdict(late)
    assert verdict is not None
    assert verdict.fix == FAULTS["certificate_expired"].fix


def test_certificate_that_could_not_be_looked_at_is_judged_by_its_number() -> None:
    assert found(tls_verdict(tls_facts(verify_code=10, asked_at=NOW))) == "certificate_expired"


@pytest.mark.parametrize(
    ("ours", "theirs", "wrong"),
    [
        (10.0, None, True),  # 1970
        (EARLIEST_CLOCK - 1, None, True),
        (NOW + 40 * DAY, None, False),
        (NOW + 40 * DAY, NOW, True),
        (NOW - 40 * DAY, NOW, True),
        (NOW + 40 * DAY, NOW + 40 * DAY + 5, False),  # both say it has expired
        (NOW + 40 * DAY, NOW + 50 * DAY, False),
        (NOW + 30 * DAY + 60, NOW + 30 * DAY - 60, False),  # too near to tell whose is wrong
    ],
)
def test_own_clock_is_blamed_on_proof_only(ours: float, theirs: float | None, wrong: bool) -> None:
    number = 9 if ours < NOW - 30 * DAY else 10
    facts = tls_facts(
        verify_code=number, certificate=certificate(), asked_at=ours, server_time=theirs
    )
    assert (found(tls_verdict(facts)) == "clock_wrong") == wrong


def test_long_list_of_names_is_cut() -> None:
    names = [f"{n}.example" for n in range(9)]
    assert "4.example and 4 more" in describe(certificate(names=names))
    assert "CN=old" in describe(certificate(names=[], subject="CN=old"))
