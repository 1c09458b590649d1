"""nftables: what ``nft -j list ruleset`` prints, as chains that can be asked.

The form is that of libnftables-json(5). What is not understood is never taken for a match or for
none: it may apply.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from wsdev.firewall_rules import (
    Action,
    Alternatives,
    BaseChain,
    Chain,
    Fate,
    Match,
    Packet,
    Rule,
    flipped,
    interface_match,
    known,
    network_match,
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
                applies = min(applies, _match(body, packet, table))
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
        match = min(applies, _is_equal(body.get("key"), key, packet, table))
        kind, inner = next(iter(verdict.items()))
        action = _action(kind, inner)
        if match is not Match.NO and action is not None:
            found.append((match, action))
    return found


# Conditions

_TURNED: Final = {"!=": "=="}
_ORDERS: Final[Mapping[str, Callable[[int, int], bool]]] = {
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
}


def _match(body: Any, packet: Packet, table: _Table) -> Match:
    operator, left, right = body.get("op"), body.get("left"), body.get("right")
    if _is_of_another_kind(left, packet):
        return Match.NO
    if operator in _ORDERS:
        value = _port(left, packet)
        if value is None or not isinstance(right, int):
            return Match.MAYBE
        return known(_ORDERS[operator](value, right))
    if operator == "!=":
        return flipped(_is_equal(left, right, packet, table))
    return _is_equal(left, right, packet, table)


_OTHER_PROTOCOLS: Final = frozenset({
    "udp", "udplite", "sctp", "dccp", "icmp", "icmpv6", "igmp", "esp", "ah", "comp", "arp",
    "vlan", "mh", "rt", "frag", "hbh", "dst",
})  # fmt: skip


def _is_of_another_kind(left: Any, packet: Packet) -> bool:
    """Whether the field is one that this packet does not have: nft then never matches."""
    if not isinstance(left, dict):
        return False
    if "exthdr" in left:
        return True
    payload = left.get("payload")
    protocol = payload.get("protocol") if isinstance(payload, dict) else None
    return (
        protocol in _OTHER_PROTOCOLS
        or (protocol == "ip" and packet.version == 6)
        or (protocol == "ip6" and packet.version == 4)
    )


def _is_equal(left: Any, right: Any, packet: Packet, table: _Table) -> Match:
    """Whether a field of the packet is, or is among, what stands at the right."""
    if _is_of_another_kind(left, packet):
        return Match.NO
    if isinstance(right, str) and right.startswith("@"):
        named = table.sets.get(right[1:])
        if named is None:
            return Match.MAYBE
        found = _is_equal(left, {"set": named.get("elem") or []}, packet, table)
        # Its members come and go with the packets that are seen.
        return Match.MAYBE if "dynamic" in str(named.get("flags")) else found
    if isinstance(right, dict) and "set" in right:
        right = right["set"]
    if isinstance(right, list) and not _is_masked(left):
        return max((_is_equal(left, each, packet, table) for each in right), default=Match.NO)
    if isinstance(right, dict) and "elem" in right:
        return _is_equal(left, right["elem"].get("val"), packet, table)
    if isinstance(left, dict) and "concat" in left:
        parts = right.get("concat") if isinstance(right, dict) else None
        if not isinstance(parts, list) or len(parts) != len(left["concat"]):
            return Match.MAYBE
        pairs = zip(left["concat"], parts, strict=True)
        return min(_is_equal(one, other, packet, table) for one, other in pairs)
    if right == "*":
        return Match.YES
    return _is_value(left, right, packet)


def _is_masked(left: Any) -> bool:
    return isinstance(left, dict) and "&" in left


def _is_value(left: Any, right: Any, packet: Packet) -> Match:
    if not isinstance(left, dict):
        return Match.MAYBE
    if "&" in left:
        return _flags_match(left["&"], right, packet)
    (kind, body), *_ = left.items()
    if kind == "payload" and isinstance(body, dict):
        return _payload_match(left, body, right, packet)
    if kind == "meta" and isinstance(body, dict):
        return _meta_match(str(body.get("key")), right, packet)
    if kind == "ct" and isinstance(body, dict):
        return _connection_match(str(body.get("key")), right, packet)
    if kind == "fib" and isinstance(body, dict):
        return _route_match(body, right, packet)
    return Match.MAYBE


def _port(left: Any, packet: Packet) -> int | None:
    payload = left.get("payload") if isinstance(left, dict) else None
    name = payload.get("field") if isinstance(payload, dict) else None
    return {"dport": packet.destination_port, "sport": packet.source_port}.get(str(name))


def _payload_match(left: Any, body: Mapping[str, Any], right: Any, packet: Packet) -> Match:
    name = body.get("field")
    if name in ("dport", "sport"):
        return _number_match(_port(left, packet), right)
    if name in ("protocol", "nexthdr"):
        return known(right in ("tcp", 6))
    if name in ("saddr", "daddr") and body.get("protocol") in ("ip", "ip6"):
        return _address_match(packet.source if name == "saddr" else packet.destination, right)
    if name == "flags" and isinstance(right, str):
        return known(right in packet.flags)
    return Match.MAYBE


def _number_match(value: int | None, right: Any) -> Match:
    if isinstance(right, dict) and "range" in right:
        first, last = right["range"]
        if value is None or not isinstance(first, int) or not isinstance(last, int):
            return Match.MAYBE
        return known(first <= value <= last)
    if value is None or not isinstance(right, int):
        return Match.MAYBE
    return known(value == right)


def _address_match(address: str | None, right: Any) -> Match:
    if isinstance(right, str):
        return network_match(address, right)
    if isinstance(right, dict) and "prefix" in right:
        return network_match(address, f"{right['prefix'].get('addr')}/{right['prefix'].get('len')}")
    return Match.MAYBE


def _flags_match(masked: Any, right: Any, packet: Packet) -> Match:
    """``tcp flags & (fin | syn) == syn``."""
    if not isinstance(masked, list) or len(masked) != 2:
        return Match.MAYBE
    left, mask = masked
    if not (isinstance(left, dict) and left.get("payload", {}).get("field") == "flags"):
        return Match.MAYBE
    wanted = _flag_names(right)
    if wanted is None or (among := _flag_names(mask)) is None:
        return Match.MAYBE
    return known(packet.flags & among == wanted)


def _flag_names(value: Any) -> frozenset[str] | None:
    if value == 0:
        return frozenset()
    if isinstance(value, dict) and isinstance(value.get("|"), list):
        value = value["|"]
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list):
        return None
    found: set[str] = set()
    for each in value:
        names = frozenset({each}) if isinstance(each, str) else _flag_names(each)
        if names is None:
            return None
        found |= names
    return frozenset(found)


def _meta_match(key: str, right: Any, packet: Packet) -> Match:
    if key in ("iif", "iifname") and isinstance(right, str):
        return interface_match(packet.incoming, right, "*")
    if key in ("oif", "oifname") and isinstance(right, str):
        return interface_match(packet.outgoing, right, "*")
    if key == "nfproto":
        return known(right == f"ipv{packet.version}")
    if key == "protocol":
        return known(right == ("ip" if packet.version == 4 else "ip6"))
    if key == "l4proto":
        return known(right in ("tcp", 6))
    if key == "pkttype" and packet.incoming:
        return known(right in ("host", "unicast"))
    return Match.MAYBE


def _connection_match(key: str, right: Any, packet: Packet) -> Match:
    if key == "state" and isinstance(right, str):
        return known(right == packet.state)
    if key == "status" and right in ("dnat", "snat"):
        return Match.NO
    if key == "direction":
        return known(right == ("original" if packet.state == "new" else "reply"))
    return Match.MAYBE


def _route_match(body: Mapping[str, Any], right: Any, packet: Packet) -> Match:
    flags = body.get("flags")
    flags = [flags] if isinstance(flags, str) else flags or []
    if body.get("result") == "type" and "daddr" in flags and packet.destination is not None:
        return known(right == "local")
    if body.get("result") in ("oif", "oifname") and right in (False, "missing"):
        return Match.NO  # a device that nobody can answer is another trouble than the firewall
    return Match.MAYBE
