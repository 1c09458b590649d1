from __future__ import annotations

import msgspec
import pytest
from any_facts import any_facts
from hypothesis import given
from hypothesis import strategies as st

from wsdev.diagnosis.diagnose import REMARKS, diagnose, remarks
from wsdev.diagnosis.facts import (
    AddressFacts,
    Answer,
    Ending,
    Facts,
    HttpFacts,
    NameFacts,
    NameTrouble,
    Quality,
    TalkFacts,
    TalkTrouble,
    TcpOutcome,
    TlsFacts,
    TokenFacts,
    UpgradeFacts,
)
from wsdev.diagnosis.verdict import FAULTS

BROKEN = {
    "name": NameFacts("h", trouble=NameTrouble.UNKNOWN),
    "tls_seen": TlsFacts(ended=Ending.CLOSED),
    "health": HttpFacts("/healthz", ended=Ending.SILENCE),
    "token": TokenFacts(fetched=HttpFacts("/public/tokens", ended=Ending.SILENCE)),
    "upgrade": UpgradeFacts("/ws/pico", sent_token=True, ended=Ending.CLOSED),
    "talk": TalkFacts("ping", TalkTrouble.UNANSWERED),
}
CODES = [
    "name_unknown", "tls_cut", "service_silent", "service_silent", "upgrade_cut",
    "ping_unanswered",
]  # fmt: skip


def facts(**fields: object) -> Facts:
    return Facts("h", 3000, tls=False, **fields)  # type: ignore[arg-type]


def connected(ip: str) -> NameFacts:
    return NameFacts("h", [AddressFacts(ip, 3000, "x", TcpOutcome.CONNECTED)])


# The verdict


@given(any_facts(Facts))
def test_any_facts_have_a_verdict_of_the_table_or_none(seen: Facts) -> None:
    found = diagnose(seen)
    if found is None:
        return
    assert found.code in FAULTS
    assert len(found.evidence) < 40
    for line in [*found.evidence, found.fix]:
        assert len(line) < 4 * 300 + 100
        assert len(line.splitlines()) <= 1
        assert "wsd_pico_AAAA" not in line


@given(any_facts(Facts))
def test_any_facts_have_bounded_remarks(seen: Facts) -> None:
    for found in remarks(seen):
        assert found.code in REMARKS
        assert len(found.what.splitlines()) == 1
        assert len(found.what) < 1500


def test_nothing_tried_is_nothing_broken() -> None:
    assert diagnose(facts()) is None
    assert remarks(facts()) == []


@pytest.mark.parametrize("first", range(len(BROKEN)))
def test_first_broken_layer_is_told_whatever_follows(first: int) -> None:
    found = diagnose(facts(**dict(list(BROKEN.items())[first:])))
    assert found is not None
    assert found.code == CODES[first]


def test_strange_health_is_left_to_what_follows() -> None:
    strange = HttpFacts("/healthz", Answer(404, "Not Found", "1.1", []))
    assert diagnose(facts(health=strange)) is None


def test_what_is_no_tls_is_called_by_its_name() -> None:
    seen = facts(tls_seen=TlsFacts(reason="WRONG_VERSION_NUMBER"))
    seen.second.plain_answer = HttpFacts("/healthz", first_bytes="SSH-2.0-x", ended=Ending.GARBAGE)
    found = diagnose(seen)
    assert found is not None
    assert found.code == "other_service"


def test_quality_is_judged_last() -> None:
    slow = TalkFacts("ping", round_trips=[1.0], judged=True)
    seen = facts(talk=slow, quality=Quality(max_rtt=0.1))
    found = diagnose(seen)
    assert found is not None
    assert found.code == "too_slow"
    slow.trouble = TalkTrouble.CUT
    found = diagnose(seen)
    assert found is not None
    assert found.code == "cut"


# Remarks


@pytest.mark.parametrize(
    ("ip", "tls", "sent", "warned"),
    [
        ("9.9.9.9", False, True, True),
        ("2606:4700::1", False, True, True),
        ("9.9.9.9", True, True, False),
        ("9.9.9.9", False, False, False),
        ("192.168.1.4", False, True, False),
        ("fe80::1%2", False, True, False),
    ],
)
def test_token_in_clear_over_a_public_network_is_warned_of(
    ip: str, tls: bool, sent: bool, warned: bool
) -> None:
    seen = Facts("h", 3000, tls, name=connected(ip), upgrade=UpgradeFacts("/ws/pico", sent))
    assert ("token_in_clear" in {found.code for found in remarks(seen)}) == warned


@pytest.mark.parametrize(("apart", "warned"), [(59, False), (-59, False), (61, True), (-61, True)])
def test_clocks_apart_by_a_minute_are_remarked(apart: float, warned: bool) -> None:
    talk = TalkFacts(server_time=1.8e9 + apart, asked_at=1.8e9)
    assert [found.code for found in remarks(facts(talk=talk))] == ["clock_differs"] * warned


def test_first_address_that_fails_is_remarked() -> None:
    name = connected("192.0.2.2")
    name.addresses.insert(0, AddressFacts("2001:db8::1", 3000, None, TcpOutcome.UNREACHABLE))
    (found,) = remarks(facts(name=name))
    assert found.code == "first_address_fails"
    assert "2001:db8::1" in found.what


@given(st.floats(allow_nan=True))
def test_any_clock_can_be_told(clock: float) -> None:
    remarks(facts(talk=TalkFacts(server_time=clock, asked_at=0.0)))


def test_facts_survive_json() -> None:
    seen = facts(**BROKEN)
    assert msgspec.json.decode(msgspec.json.encode(seen), type=Facts) == seen
