from __future__ import annotations

import msgspec
import pytest
from any_facts import any_facts
from hypothesis import given

from wsdev.diagnosis.facts import AddressFacts, Answer, Facts, NameFacts, TcpOutcome


@pytest.mark.parametrize(
    ("ip", "family"),
    [("192.0.2.1", "IPv4"), ("2001:db8::1", "IPv6"), ("fe80::1%2", "IPv6")],
)
def test_family_of_an_address(ip: str, family: str) -> None:
    assert AddressFacts(ip, 3000).family == family


def test_address_in_use_is_the_first_that_took_the_connection() -> None:
    addresses = [
        AddressFacts("::1", 3000, outcome=TcpOutcome.REFUSED),
        AddressFacts("127.0.0.1", 3000, outcome=TcpOutcome.CONNECTED),
        AddressFacts("127.0.0.2", 3000, outcome=TcpOutcome.CONNECTED),
    ]
    facts = Facts("localhost", 3000, tls=False, name=NameFacts("localhost", addresses))
    assert facts.connected is addresses[1]


def test_no_address_is_in_use_before_one_was_tried() -> None:
    facts = Facts("localhost", 3000, tls=False)
    assert facts.connected is None
    facts.name = NameFacts("localhost", [AddressFacts("::1", 3000)])
    assert facts.connected is None


def test_header_is_found_by_name_in_any_case() -> None:
    answer = Answer(200, "OK", "1.1", [("SERVER", "first"), ("Server", "second")])
    assert answer.header("server") == "first"
    assert answer.header("via") == ""


@pytest.mark.parametrize(
    ("kind", "start", "is_html"),
    [
        ("text/html; charset=utf-8", "", True),
        ("", "<!doctype html><HTML>", True),
        ("application/json", "{}", False),
    ],
)
def test_page_for_people_is_told_from_data(kind: str, start: str, is_html: bool) -> None:
    assert Answer(200, "OK", "1.1", [("Content-Type", kind)], start).is_html == is_html


@given(any_facts(Facts))
def test_facts_survive_json(facts: Facts) -> None:
    assert msgspec.json.decode(msgspec.json.encode(facts), type=Facts) == facts


def test_facts_of_two_visits_share_nothing() -> None:
    first, second = (Facts("a", 1, tls=False, name=NameFacts("a")) for _ in range(2))
    assert first.name is not None
    assert second.name is not None
    first.name.addresses.append(AddressFacts("192.0.2.1", 1))
    first.second.default_port = True
    assert second.name.addresses == []
    assert second.second.default_port is None
