"""nftables: what ``nft -j list ruleset`` prints, as chains that can be asked.

The form is that of libnftables-json(5). What is not understood is never taken for a match or for
none: it may apply.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from wsdev.firewall.nft_conditions import condition_match, is_equal
from wsdev.firewall.rules import (
    Action,
    Alternatives,
    BaseChain,
    Chain,
    Fate,
    Match,
    Packet,
    Rule,
)

_VERSIONS: Final = {
    "ip": frozenset({4}),
    "ip6": frozenset({6}),
    "inet": frozenset({4, 6}),
    "netdev": frozenset({4, 6}),
}
_FATES: Final = {"accept": Fate.ACCEPT, "drop": Fate.DROP, "reject": Fate.REJECT}
_ELSEWHERE: Final = frozenset({"dnat", "redirect", "tproxy", "fwd"})
_UNSURE: Final = frozenset(
    {"limit", "ct count", "quota", "meter", "xt", "osf", "socket", "synproxy"}
)
_SENT: Final = frozenset({"snat", "masquerade"})

Key = tuple[str, str]
"""Family and table."""


@dataclass(frozen=True, slots=True)
class NftRules:
    """A rule set.

    Attributes:
        base_chains: Where packets come in.
        foreign: Tables with rules that only iptables can spell out.
    """

    base_chains: tuple[BaseChain, ...]
    foreign: frozenset[Key]


def parse_nft(listing: bytes, text: str = "") -> NftRules:
    """The rule set of ``nft -j list ruleset``.

    Args:
        text: What ``nft -a list ruleset`` prints: rules as their author knows them.

    Raises:
        ValueError: not such a listing.
    """
    try:
        items = msgspec.json.decode(listing, type=_Listing).nftables
    except (msgspec.MsgspecError, RecursionError):
        raise ValueError("not a listing of nft") from None
    texts = _rule_texts(text)
    tables: dict[Key, _Table] = {}
    bases: list[tuple[_Table, dict[str, Any]]] = []
    foreign = set()
    for item in items:
        for kind, body in item.items():
            if not isinstance(body, dict) or kind in ("metainfo", "table"):
                continue
            key = (str(body.get("family")), str(body.get("table")))
            table = tables.setdefault(key, _Table(key))
            if kind == "chain":
                table.rules[str(body.get("name"))] = []
                if "hook" in body:
                    bases.append((table, body))
            elif kind in ("set", "map"):
                table.sets[str(body.get("name"))] = body
            elif kind == "rule":
                told = texts.get((*key, int(body.get("handle", 0))))
                table.rules.setdefault(str(body.get("chain")), []).append(
                    _rule(body.get("expr") or [], told, table)
                )
                if any("xt" in statement for statement in body.get("expr") or []):
                    foreign.add(key)
    made = [_base_chain(table, body) for table, body in bases if table.key[0] in _VERSIONS]
    return NftRules(tuple(made), frozenset(foreign))


class _Listing(msgspec.Struct):
    nftables: list[dict[str, Any]]


@dataclass(slots=True)
class _Table:
    key: Key
    rules: dict[str, list[Rule]] = field(default_factory=dict)
    sets: dict[str, dict[str, Any]] = field(default_factory=dict)


def _base_chain(table: _Table, body: Mapping[str, Any]) -> BaseChain:
    name = str(body.get("name"))
    chains = {name: Chain(name, tuple(rules)) for name, rules in table.rules.items()}
    policy = Fate.DROP if body.get("policy") == "drop" else Fate.ACCEPT
    priority = body.get("prio", 0)
    place = (*table.key, name)
    versions = _VERSIONS[table.key[0]]
    return BaseChain(
        "nft",
        place,
        str(body.get("hook")),
        priority if isinstance(priority, int) else 0,
        versions,
        name,
        chains,
        policy,
    )


_HANDLE = re.compile(r"\s*(.*?)\s*# handle (\d+)")


def _rule_texts(text: str) -> dict[tuple[str, str, int], str]:
    """Rules by family, table and handle."""
    found: dict[tuple[str, str, int], str] = {}
    family = table = ""
    for line in text.splitlines():
        match = _HANDLE.fullmatch(line)
        if match is None:
            continue
        if match[1].startswith("table "):
            _, family, table, *_ = match[1].split()
        elif not match[1].endswith("{"):
            found[family, table, int(match[2])] = match[1]
    return found


# Rules


def _rule(statements: Sequence[Any], told: str | None, table: _Table) -> Rule:
    text = told or msgspec.json.encode(statements).decode()

    def ask(packet: Packet) -> Alternatives:
        try:
            return tuple(_alternatives(statements, packet, table))
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
            # Of a form that this version of nft does not have: it may do anything.
            return ((Match.MAYBE, Action("fate", Fate.UNKNOWN)),)

    return Rule(text, ask)


def _alternatives(
    statements: Sequence[Any], packet: Packet, table: _Table
) -> Iterator[tuple[Match, Action]]:
    applies = Match.YES
    for statement in statements:
        if not isinstance(statement, dict):
            applies = min(applies, Match.MAYBE)
            continue
        for kind, body in statement.items():
            if kind == "match":
                applies = min(applies, condition_match(body, packet, table.sets))
            elif kind == "vmap":
                yield from _verdict_map(body, applies, packet, table)
            elif (action := _action(kind, body)) is not None:
                unknown = kind == "xt" and isinstance(body, dict) and body.get("type") == "match"
                if not unknown:
                    yield (applies, action)
            if kind in _UNSURE or (kind == "set" and "stmt" in str(body)):
                applies = min(applies, Match.MAYBE)
        if applies is Match.NO:
            return


def _action(kind: str, body: Any) -> Action | None:
    if kind in _FATES:
        return Action("fate", _FATES[kind])
    if kind in _SENT:
        return Action("fate", Fate.ACCEPT)
    if kind in _ELSEWHERE or kind == "queue":
        return Action("fate", Fate.ELSEWHERE)
    if kind == "xt":
        return Action("fate", Fate.UNKNOWN)
    if kind in {"jump", "goto"}:
        return Action("jump" if kind == "jump" else "goto", target=str(body.get("target")))
    if kind == "return":
        return Action("return")
    return None


def _verdict_map(body: Any, applies: Match, packet: Packet, table: _Table) -> Alternatives:
    data = body.get("data")
    if isinstance(data, str) and data.startswith("@"):
        data = table.sets.get(data[1:], {}).get("elem", [])
    elif isinstance(data, dict):
        data = data.get("set")
    found: list[tuple[Match, Action]] = []
    for key, verdict in data or []:
        match = min(applies, is_equal(body.get("key"), key, packet, table.sets))
        kind, inner = next(iter(verdict.items()))
        action = _action(kind, inner)
        if match is not Match.NO and action is not None:
            found.append((match, action))
    return found
