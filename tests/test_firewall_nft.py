"""What no kernel of a test has to know; tests/test_firewall.py has the rest, beside a kernel."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsdev.firewall.nft import parse_nft
from wsdev.firewall.rules import judge

ADDRESS = "192.0.2.7"
DPORT = {"payload": {"protocol": "tcp", "field": "dport"}}


def listing(*statements: Any, sets: list[Any] | None = None, **chain: Any) -> bytes:
    """A rule set of one input chain, with one rule."""
    where = {"family": "inet", "table": "t"}
    base = {"name": "in", "type": "filter", "hook": "input", "prio": 0, "policy": "accept"}
    items: list[Any] = [
        {"metainfo": {"json_schema_version": 1}},
        {"table": {"family": "inet", "name": "t", "handle": 1}},
        *({"set": {**where, **each}} for each in sets or []),
        {"chain": {**where, **base, **chain}},
        {"rule": {**where, "chain": "in", "handle": 4, "expr": list(statements)}},
    ]
    return json.dumps({"nftables": items}).encode()


def doing(*statements: Any, **more: Any) -> str:
    return judge(parse_nft(listing(*statements, **more)).base_chains, ADDRESS, "eth0", 3000).doing


def match(left: Any, right: Any, op: str = "==") -> dict[str, Any]:
    return {"match": {"op": op, "left": left, "right": right}}


DROP = {"drop": None}


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (match(DPORT, 3000), "blocks"),
        (match(DPORT, {"set": [22, {"elem": {"val": 3000, "comment": "x"}}]}), "blocks"),
        (match(DPORT, {"range": [2999, 3000]}), "blocks"),
        (match(DPORT, "http"), "depends"),
        (match(DPORT, "@gone"), "depends"),
        (match(DPORT, 3000, "<="), "blocks"),
        (match(DPORT, 3000, ">"), "open"),
        (match({"payload": {"protocol": "udp", "field": "dport"}}, 3000), "open"),
        (match({"payload": {"protocol": "udp", "field": "dport"}}, 22, "!="), "open"),
        (match({"payload": {"protocol": "ip6", "field": "saddr"}}, "::1", "!="), "open"),
        (match({"payload": {"protocol": "tcp", "field": "sport"}}, {"range": [1, 9]}), "depends"),
        (match({"payload": {"protocol": "tcp", "field": "window"}}, 1), "depends"),
        (match({"exthdr": {"name": "rt", "field": "type"}}, 0), "open"),
        (match({"ct": {"key": "state"}}, ["established", "related"], "in"), "open"),
        (match({"ct": {"key": "state"}}, ["invalid", "new"], "in"), "blocks"),
        (match({"ct": {"key": "status"}}, "dnat", "in"), "open"),
        (match({"ct": {"key": "direction"}}, "original"), "blocks"),
        (match({"ct": {"key": "mark"}}, 1), "depends"),
        (match({"meta": {"key": "oifname"}}, "eth0"), "open"),
        (match({"meta": {"key": "pkttype"}}, "broadcast"), "open"),
        (match({"meta": {"key": "protocol"}}, "ip"), "blocks"),
        (match({"meta": {"key": "nfproto"}}, "ipv6"), "open"),
        (match({"meta": {"key": "skuid"}}, 0), "depends"),
        (match({"fib": {"result": "oif", "flags": ["saddr", "iif"]}}, False), "open"),
        (match({"fib": {"result": "type", "flags": ["saddr"]}}, "local"), "depends"),
        (match({"concat": [DPORT, {"meta": {"key": "iifname"}}]},
               {"set": [{"concat": [3000, "eth0"]}]}), "blocks"),
        (match({"concat": [DPORT, DPORT]}, {"set": [{"concat": [3000, 22]}]}), "open"),
        (match({"concat": [DPORT, DPORT]}, 3000), "depends"),
        (match({"|": [DPORT, 1]}, 3000), "depends"),
        ("flow", "depends"),
        ({"limit": {"rate": 3, "per": "second"}}, "depends"),
        ({"xt": {"type": "match", "name": "multiport"}}, "depends"),
        ({"counter": {"packets": 0}}, "blocks"),
        ({"log": {"prefix": "x"}}, "blocks"),
    ],
    ids=str,
)  # fmt: skip
def test_rule_applies_or_not_or_may(condition: Any, expected: str) -> None:
    assert doing(condition, DROP) == expected


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        ({"accept": None}, "open"),
        ({"reject": {"type": "tcp reset"}}, "blocks"),
        ({"queue": {"num": 1}}, "depends"),
        ({"redirect": {"port": 9}}, "depends"),
        ({"masquerade": None}, "open"),
        ({"xt": {"type": "target", "name": "REJECT"}}, "depends"),
        ({"return": None}, "open"),
        ({"jump": {"target": "gone"}}, "depends"),
        ({"mangle": {}}, "open"),
    ],
    ids=str,
)
def test_rule_does_what_it_ends_with(last: Any, expected: str) -> None:
    assert doing(match(DPORT, 3000), last) == expected


def test_named_set_that_packets_change_may_hold_anything() -> None:
    named = {"name": "seen", "type": "inet_service", "flags": ["dynamic"], "elem": [3000]}
    assert doing(match(DPORT, "@seen"), DROP, sets=[named]) == "depends"
    assert doing(match(DPORT, "@seen"), DROP, sets=[{**named, "flags": ["interval"]}]) == "blocks"


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ([[3000, DROP]], "blocks"),
        ([[22, DROP]], "open"),
        ([[22, {"accept": None}], ["*", DROP]], "blocks"),
    ],
)
def test_verdict_map_may_be_named(elements: Any, expected: str) -> None:
    named = {"name": "todo", "type": "inet_service", "map": "verdict", "elem": elements}
    where = {"family": "inet", "table": "t"}
    text = json.loads(listing({"vmap": {"key": DPORT, "data": "@todo"}}))
    text["nftables"].insert(2, {"map": {**where, **named}})
    rules = parse_nft(json.dumps(text).encode())
    assert judge(rules.base_chains, ADDRESS, "eth0", 3000).doing == expected


def test_rule_is_told_as_its_author_wrote_it() -> None:
    text = (
        "table inet t { # handle 1\n\tchain in { # handle 2\n\t\ttcp dport 3000 drop # handle 4\n"
    )
    rules = parse_nft(listing(match(DPORT, 3000), DROP), text)
    assert judge(rules.base_chains, ADDRESS, "eth0", 3000).rules == ("tcp dport 3000 drop",)


def test_without_its_text_a_rule_is_told_as_json() -> None:
    rules = parse_nft(listing(match(DPORT, 3000), DROP))
    (told,) = judge(rules.base_chains, ADDRESS, "eth0", 3000).rules
    assert json.loads(told)[-1] == DROP


def test_tables_of_other_families_are_left_out() -> None:
    text = listing(DROP).replace(b'"inet"', b'"bridge"')
    assert parse_nft(text).base_chains == ()


def test_tables_that_only_iptables_can_spell_out_are_named() -> None:
    text = listing({"xt": {"type": "match", "name": "limit"}}, DROP)
    assert parse_nft(text).foreign == {("inet", "t")}


@pytest.mark.parametrize("text", [b"", b"x", b"[]", b"{}", b"[" * 99_999])
def test_other_text_is_told(text: bytes) -> None:
    with pytest.raises(ValueError, match="not a listing"):
        parse_nft(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["tcp", "dport", "@x", "lo", "*"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["payload", "meta", "key", "set", "range", "prefix", "&", "concat", "elem"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@given(left=JSON, right=JSON, op=st.sampled_from(["==", "!=", "<", "in"]))
def test_condition_of_any_form_gets_an_answer(left: Any, right: Any, op: str) -> None:
    assert doing(match(left, right, op), DROP) in ("open", "blocks", "depends")
