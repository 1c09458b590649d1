"""Conditions asked directly; tests/test_nft_rules.py and test_firewall.py have them in rules."""

from __future__ import annotations

from typing import Any

import pytest

from wsdev.firewall.nft_conditions import condition_match, is_equal
from wsdev.firewall.rules import Match, answering_packet, first_packet

FOUR = first_packet("192.0.2.7", "eth0", 3000)
SIX = first_packet("2001:db8::7", "eth0", 3000)
ANSWER = answering_packet("192.0.2.7", "eth0", 3000)

DPORT = {"payload": {"protocol": "tcp", "field": "dport"}}
SPORT = {"payload": {"protocol": "th", "field": "sport"}}
FLAGS = {"payload": {"protocol": "tcp", "field": "flags"}}
SOURCE = {"payload": {"protocol": "ip", "field": "saddr"}}
TARGET = {"payload": {"protocol": "ip6", "field": "daddr"}}
STATE = {"ct": {"key": "state"}}


def condition(left: Any, right: Any, op: str = "==") -> dict[str, Any]:
    return {"op": op, "left": left, "right": right}


def test_answer_has_the_ports_and_the_state_of_an_answer() -> None:
    assert condition_match(condition(SPORT, 3000), ANSWER, {}) is Match.YES
    assert condition_match(condition(DPORT, 3000), ANSWER, {}) is Match.MAYBE
    assert condition_match(condition(STATE, "established", "in"), ANSWER, {}) is Match.YES
    assert condition_match(condition(SOURCE, "192.0.2.7"), ANSWER, {}) is Match.YES


@pytest.mark.parametrize("op", ["==", "!=", "in"])
def test_field_of_the_other_ip_never_matches(op: str) -> None:
    assert condition_match(condition(SOURCE, "192.0.2.1", op), SIX, {}) is Match.NO
    assert condition_match(condition(TARGET, "2001:db8::7", op), FOUR, {}) is Match.NO


def test_address_may_be_a_prefix() -> None:
    prefix = {"prefix": {"addr": "2001:db8::", "len": 32}}
    assert condition_match(condition(TARGET, prefix), SIX, {}) is Match.YES
    assert condition_match(condition(TARGET, {"range": ["::1", "::9"]}), SIX, {}) is Match.MAYBE


@pytest.mark.parametrize(
    ("mask", "wanted", "expected"),
    [
        (["fin", "syn", "rst", "ack"], "syn", Match.YES),
        ({"|": [{"|": ["fin", "syn"]}, "rst"]}, "syn", Match.YES),
        ({"|": ["fin", "psh"]}, {"|": ["fin", "psh"]}, Match.NO),
        (["fin", "syn"], 0, Match.NO),
        (["fin", "psh"], 0, Match.YES),
        (3, 2, Match.MAYBE),
    ],
)
def test_flags_are_compared_below_their_mask(mask: Any, wanted: Any, expected: Match) -> None:
    assert condition_match(condition({"&": [FLAGS, mask]}, wanted), FOUR, {}) is expected


def test_single_flag_is_set_or_not() -> None:
    assert condition_match(condition(FLAGS, "syn", "in"), FOUR, {}) is Match.YES
    assert condition_match(condition(FLAGS, "ack", "in"), FOUR, {}) is Match.NO
    assert condition_match(condition(FLAGS, "ack", "in"), ANSWER, {}) is Match.YES


def test_named_set_is_looked_up() -> None:
    sets = {"ours": {"elem": [22, {"range": [2999, 3001]}]}, "empty": {}}
    assert is_equal(DPORT, "@ours", FOUR, sets) is Match.YES
    assert is_equal(DPORT, "@empty", FOUR, sets) is Match.NO
    assert is_equal(DPORT, "@gone", FOUR, sets) is Match.MAYBE


def test_expression_that_is_not_known_may_be_anything() -> None:
    for left in (None, 3, "x", {}, {"numgen": {"mode": "inc"}}, {"payload": {"base": "nh"}}):
        assert condition_match(condition(left, 3), FOUR, {}) is Match.MAYBE
