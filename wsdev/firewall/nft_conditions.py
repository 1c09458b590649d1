"""The conditions of nftables' rules, asked of a packet: libnftables-json(5).

What is not understood is never taken for a match or for none: it may apply.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from wsdev.firewall.rules import Match, Packet, flipped, interface_match, known, network_match

Sets = Mapping[str, Mapping[str, Any]]
"""The named sets and maps of a table."""

_ORDERS: Final[Mapping[str, Callable[[int, int], bool]]] = {
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
}


def condition_match(body: Any, packet: Packet, sets: Sets) -> Match:
    """Whether the condition of a ``match`` statement holds."""
    operator, left, right = body.get("op"), body.get("left"), body.get("right")
    if _is_of_another_kind(left, packet):
        return Match.NO
    if operator in _ORDERS:
        value = _port(left, packet)
        if value is None or not isinstance(right, int):
            return Match.MAYBE
        return known(_ORDERS[operator](value, right))
    if operator == "!=":
        return flipped(is_equal(left, right, packet, sets))
    return is_equal(left, right, packet, sets)


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


def is_equal(left: Any, right: Any, packet: Packet, sets: Sets) -> Match:
    """Whether a field of the packet is, or is among, what stands at the right."""
    if _is_of_another_kind(left, packet):
        return Match.NO
    if isinstance(right, str) and right.startswith("@"):
        named = sets.get(right[1:])
        if named is None:
            return Match.MAYBE
        found = is_equal(left, {"set": named.get("elem") or []}, packet, sets)
        # Its members come and go with the packets that are seen.
        return Match.MAYBE if "dynamic" in str(named.get("flags")) else found
    if isinstance(right, dict) and "set" in right:
        right = right["set"]
    if isinstance(right, list) and not _is_masked(left):
        return max((is_equal(left, each, packet, sets) for each in right), default=Match.NO)
    if isinstance(right, dict) and "elem" in right:
        return is_equal(left, right["elem"].get("val"), packet, sets)
    if isinstance(left, dict) and "concat" in left:
        parts = right.get("concat") if isinstance(right, dict) else None
        if not isinstance(parts, list) or len(parts) != len(left["concat"]):
            return Match.MAYBE
        pairs = zip(left["concat"], parts, strict=True)
        return min(is_equal(one, other, packet, sets) for one, other in pairs)
    if right == "*":
        return Match.YES
    return _is_value(left, right, packet)


def _is_masked(left: Any) -> bool:
    return isinstance(left, dict) and "&" in left


def _is_value(left: Any, right: Any, packet: Packet) -> Match:
    if not isinstance(left, dict) or not left:
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
