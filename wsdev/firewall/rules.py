"""What a firewall does with a packet, in the terms that nftables and iptables share.

A rule is asked whether it matches, and may answer that it depends: on who sends, how often, or on
something that is not known here. So a walk through the chains ends with all that can happen, and
with the rules on which it depends. Nothing here reads a rule set; :mod:`wsdev.firewall.nft` and
:mod:`wsdev.firewall.iptables` do.
"""

from __future__ import annotations

import enum
import ipaddress
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal


class Match(enum.IntEnum):
    """Whether a rule applies to a packet. The least of all its conditions counts."""

    NO = 0
    MAYBE = 1
    YES = 2


def flipped(match: Match) -> Match:
    """The answer to the opposite question."""
    return Match(2 - match)


def known(truth: bool) -> Match:
    """The answer where everything is known."""
    return Match.YES if truth else Match.NO


class Fate(enum.StrEnum):
    """What becomes of a packet."""

    ACCEPT = "accept"
    DROP = "drop"
    REJECT = "reject"
    ELSEWHERE = "elsewhere"
    """Sent to another port or address, or to a program that decides."""
    UNKNOWN = "unknown"
    """A rule does something that is not understood here."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One TCP packet between a device somewhere and the gateway; None is what nobody can know.

    Attributes:
        version: 4 or 6.
        incoming: The interface it comes in by; empty for one that goes out.
        outgoing: The interface it goes out by; empty for one that comes in.
        state: Of the connection: ``new`` or ``established``.
        flags: Of TCP, in lower case.
    """

    version: Literal[4, 6]
    incoming: str
    outgoing: str
    source: str | None
    destination: str | None
    source_port: int | None
    destination_port: int | None
    state: str
    flags: frozenset[str]


def first_packet(address: str, interface: str, port: int) -> Packet:
    """The packet with which a device asks for a connection to ``address``."""
    version: Literal[4, 6] = 6 if ":" in address else 4
    return Packet(version, interface, "", None, address, None, port, "new", frozenset({"syn"}))


def answering_packet(address: str, interface: str, port: int) -> Packet:
    """The gateway's answer to it."""
    version: Literal[4, 6] = 6 if ":" in address else 4
    flags = frozenset({"syn", "ack"})
    return Packet(version, "", interface, address, None, port, None, "established", flags)


def interface_match(name: str, pattern: str, wildcard: str) -> Match:
    """Whether an interface is meant by ``pattern``, which may end with ``wildcard``."""
    if pattern.endswith(wildcard):
        return known(name.startswith(pattern.removesuffix(wildcard)))
    return known(name == pattern)


def network_match(address: str | None, network: str) -> Match:
    """Whether an address is in ``network``; an address that nobody knows may be in any."""
    try:
        net = ipaddress.ip_network(network, strict=False)
    except ValueError:
        return Match.MAYBE
    if address is None:
        return Match.YES if net.prefixlen == 0 else Match.MAYBE
    return known(ipaddress.ip_address(address) in net)


@dataclass(frozen=True, slots=True)
class Action:
    """What a rule does once it applies: a fate, or a way through the chains."""

    kind: Literal["fate", "jump", "goto", "return"]
    fate: Fate = Fate.ACCEPT
    target: str = ""


Alternatives = Sequence[tuple[Match, Action]]


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule: its text, and what it may do with a packet; nothing for one that only counts."""

    text: str
    ask: Callable[[Packet], Alternatives] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Chain:
    """Rules in their order."""

    name: str
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class BaseChain:
    """A chain at which packets come in from the kernel.

    Attributes:
        tool: ``nft``, ``iptables`` or ``ip6tables``.
        place: How the tool names it: family, table and chain.
        versions: Of IP, that come here.
        chains: All chains of its table by name, itself included.
        policy: What becomes of a packet that gets to its end.
    """

    tool: str
    place: tuple[str, ...]
    hook: str
    priority: int
    versions: frozenset[int]
    chain: str
    chains: Mapping[str, Chain] = field(repr=False, compare=False)
    policy: Fate = Fate.ACCEPT


Doing = Literal["open", "blocks", "depends"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a firewall does with a connection.

    Attributes:
        rules: The texts of the rules that decide, or on which it depends.
        at: The base chain where it is decided; None if everything gets through.
    """

    doing: Doing
    rules: tuple[str, ...] = ()
    at: BaseChain | None = None


OPEN: Final = Verdict("open")

INBOUND: Final = ("ingress", "prerouting", "input")
OUTBOUND: Final = ("output", "postrouting")

_DEEPEST: Final = 64
"""Chains that lead to each other; more than the kernel takes (16 jumps in nftables)."""


def judge(chains: Iterable[BaseChain], address: str, interface: str, port: int) -> Verdict:
    """What happens to a device that connects to ``address``: its first packet, and the answer."""
    there = list(chains)
    ways = (
        (INBOUND, first_packet(address, interface, port)),
        (OUTBOUND, answering_packet(address, interface, port)),
    )
    doubt: Verdict | None = None
    for hooks, packet in ways:
        path = [base for base in there if base.hook in hooks and packet.version in base.versions]
        path.sort(key=lambda base: (hooks.index(base.hook), base.priority))
        for base in path:
            verdict = _judge_one(base, packet)
            if verdict.doing == "blocks":
                return verdict
            if verdict.doing == "depends" and doubt is None:
                doubt = verdict
    return doubt or OPEN


def _judge_one(base: BaseChain, packet: Packet) -> Verdict:
    walk = _Walk(base.chains, packet)
    ends, falls = walk.through(base.chain)
    if falls:
        ends = ends | {base.policy: f"policy {base.policy} of {' '.join(base.place)}"}
    if set(ends) <= {Fate.ACCEPT}:
        return OPEN
    if set(ends) <= {Fate.DROP, Fate.REJECT}:
        return Verdict("blocks", tuple(ends.values()), base)
    deciding = dict.fromkeys(walk.doubtful)
    deciding |= {text: None for fate, text in ends.items() if fate is not Fate.ACCEPT}
    return Verdict("depends", tuple(deciding), base)


class _Walk:
    """One packet's ways through the chains of a table."""

    def __init__(self, chains: Mapping[str, Chain], packet: Packet) -> None:
        self._chains = chains
        self._packet = packet
        self._been: dict[str, tuple[dict[Fate, str], bool]] = {}
        self._depth = 0
        self.doubtful: list[str] = []

    def through(self, name: str) -> tuple[dict[Fate, str], bool]:
        """The fates that can be met in a chain, each with its rule, and whether its end can be."""
        if name in self._been:
            return self._been[name]
        chain = self._chains.get(name)
        if chain is None or self._depth > _DEEPEST:
            return {Fate.UNKNOWN: f"chain {name}"}, False
        self._depth += 1
        self._been[name] = self._through(chain)
        self._depth -= 1
        return self._been[name]

    def _through(self, chain: Chain) -> tuple[dict[Fate, str], bool]:
        ends: dict[Fate, str] = {}
        leaves = False  # to where the chain was called from
        for rule in chain.rules:
            for match, action in rule.ask(self._packet):
                if match is Match.NO:
                    continue
                met, comes_back = self._do(action, rule)
                for fate, text in met.items():
                    ends.setdefault(fate, text)
                goes_on = comes_back and action.kind == "jump"
                if match is Match.MAYBE and not (goes_on and not met):
                    self.doubtful.append(rule.text)
                leaves = leaves or (comes_back and not goes_on)
                if match is Match.YES and not goes_on:
                    return ends, leaves
        return ends, True

    def _do(self, action: Action, rule: Rule) -> tuple[dict[Fate, str], bool]:
        """The fates that an action leads to, and whether it can come back."""
        if action.kind == "fate":
            return {action.fate: rule.text}, False
        if action.kind == "return":
            return {}, True
        return self.through(action.target)
