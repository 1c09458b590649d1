from __future__ import annotations

from collections.abc import Mapping

import pytest

from wsdev.firewall.rules import (
    OPEN,
    Action,
    BaseChain,
    Chain,
    Fate,
    Match,
    Rule,
    answering_packet,
    first_packet,
    flipped,
    interface_match,
    judge,
    known,
    network_match,
)

NO, MAYBE, YES = Match.NO, Match.MAYBE, Match.YES
DROP, ACCEPT = Action("fate", Fate.DROP), Action("fate", Fate.ACCEPT)


def rule(text: str, match: Match, action: Action) -> Rule:
    return Rule(text, lambda _: ((match, action),))


def base(
    *rules: Rule,
    policy: Fate = Fate.ACCEPT,
    hook: str = "input",
    sub: Chain | None = None,
    more: Mapping[str, Chain] = {},
) -> BaseChain:
    chains = {"main": Chain("main", rules), **more} | ({"sub": sub} if sub else {})
    return BaseChain("nft", ("inet", "t", "main"), hook, 0, frozenset({4}), "main", chains, policy)


def doing(*chains: BaseChain) -> tuple[str, tuple[str, ...]]:
    verdict = judge(chains, "192.0.2.7", "eth0", 3000)
    return verdict.doing, verdict.rules


def test_the_least_condition_counts_and_can_be_turned() -> None:
    assert min(YES, MAYBE, NO) is NO
    assert [flipped(match) for match in (NO, MAYBE, YES)] == [YES, MAYBE, NO]
    assert (known(True), known(False)) == (YES, NO)


def test_without_rules_everything_gets_in() -> None:
    assert judge([], "192.0.2.7", "eth0", 3000) == OPEN
    assert doing(base()) == ("open", ())


def test_first_rule_that_applies_decides() -> None:
    assert doing(base(rule("a", YES, ACCEPT), rule("b", YES, DROP))) == ("open", ())
    assert doing(base(rule("a", NO, ACCEPT), rule("b", YES, DROP))) == ("blocks", ("b",))


def test_policy_decides_at_the_end() -> None:
    assert doing(base(policy=Fate.DROP)) == ("blocks", ("policy drop of inet t main",))


def test_rule_that_may_apply_leaves_both_ways_open() -> None:
    told = doing(base(rule("some get in", MAYBE, ACCEPT), policy=Fate.DROP))
    assert told == ("depends", ("some get in", "policy drop of inet t main"))


def test_rules_that_lead_to_the_same_need_no_doubt() -> None:
    assert doing(base(rule("a", MAYBE, ACCEPT))) == ("open", ())
    assert doing(base(rule("a", MAYBE, DROP), rule("b", YES, DROP))) == ("blocks", ("a",))


def test_chain_comes_back_unless_left_for_good() -> None:
    empty = Chain("sub", (rule("r", YES, Action("return")), rule("x", YES, DROP)))
    jump, goto = Action("jump", target="sub"), Action("goto", target="sub")
    after = rule("after", YES, DROP)
    assert doing(base(rule("j", YES, jump), after, sub=empty)) == ("blocks", ("after",))
    assert doing(base(rule("g", YES, goto), after, sub=empty)) == ("open", ())


def test_return_in_a_base_chain_is_its_policy() -> None:
    chain = base(rule("r", YES, Action("return")), rule("a", YES, ACCEPT), policy=Fate.DROP)
    assert doing(chain) == ("blocks", ("policy drop of inet t main",))


def test_missing_chain_is_not_taken_for_an_empty_one() -> None:
    assert doing(base(rule("j", YES, Action("jump", target="gone")))) == (
        "depends",
        ("chain gone",),
    )


def test_chains_that_lead_to_each_other_come_to_an_end() -> None:
    loop = Chain("sub", (rule("again", YES, Action("jump", target="sub")),))
    assert doing(base(rule("j", YES, Action("jump", target="sub")), sub=loop))[0] == "depends"


def test_many_jumps_to_one_chain_cost_no_more_than_one() -> None:
    subs = {}
    for n in range(40):
        jump = rule("j", MAYBE, Action("jump", target=f"c{n + 1}"))
        subs[f"c{n}"] = Chain(f"c{n}", (jump, jump))
    subs["c40"] = Chain("c40", ())
    assert doing(base(rule("j", YES, Action("jump", target="c0")), more=subs)) == ("open", ())


def test_drop_of_one_chain_outweighs_the_accept_of_another() -> None:
    one, other = base(rule("a", YES, ACCEPT)), base(rule("d", YES, DROP))
    assert doing(one, other) == doing(other, one) == ("blocks", ("d",))
    unsure = base(rule("m", MAYBE, DROP))
    assert doing(unsure, other) == ("blocks", ("d",))
    assert doing(unsure, one)[0] == "depends"


def test_answers_of_the_gateway_have_to_get_out() -> None:
    assert doing(base(rule("d", YES, DROP), hook="output")) == ("blocks", ("d",))
    assert doing(base(rule("d", YES, DROP), hook="forward")) == ("open", ())


def test_rules_of_the_other_ip_do_not_count() -> None:
    assert judge([base(policy=Fate.DROP)], "2001:db8::7", "eth0", 3000) == OPEN


def test_packets_are_those_of_a_tcp_handshake() -> None:
    first, answer = (make("2001:db8::7", "eth0", 3000) for make in (first_packet, answering_packet))
    assert (first.version, first.incoming, first.destination_port) == (6, "eth0", 3000)
    assert (first.state, first.flags) == ("new", frozenset({"syn"}))
    assert (answer.outgoing, answer.source_port, answer.incoming) == ("eth0", 3000, "")
    assert (answer.state, answer.flags) == ("established", frozenset({"syn", "ack"}))


@pytest.mark.parametrize(
    ("name", "pattern", "expected"),
    [("eth0", "eth0", YES), ("eth0", "eth1", NO), ("eth0", "eth*", YES), ("", "lo", NO)],
)
def test_interfaces_are_names_or_their_beginnings(name: str, pattern: str, expected: Match) -> None:
    assert interface_match(name, pattern, "*") is expected


@pytest.mark.parametrize(
    ("address", "network", "expected"),
    [
        ("192.0.2.7", "192.0.2.0/24", YES),
        ("192.0.2.7", "192.0.2.7", YES),
        ("192.0.2.7", "198.51.100.0/24", NO),
        ("192.0.2.7", "2001:db8::/32", NO),
        (None, "192.0.2.0/24", MAYBE),
        (None, "0.0.0.0/0", YES),
        ("192.0.2.7", "no network", MAYBE),
    ],
)
def test_unknown_address_may_be_in_any_network(
    address: str | None, network: str, expected: Match
) -> None:
    assert network_match(address, network) is expected
