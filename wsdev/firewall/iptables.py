"""iptables: what ``iptables-save`` prints, as chains that can be asked.

An option that is not known here may match or not: it is never passed over.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from wsdev.firewall.rules import (
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

_HOOKS: Final = {
    "PREROUTING": "prerouting",
    "INPUT": "input",
    "OUTPUT": "output",
    "POSTROUTING": "postrouting",
}
_PRIORITIES: Final = {"raw": -300, "mangle": -150, "nat": -100, "filter": 0, "security": 50}
"""In which order the tables see a packet: enum nf_ip_hook_priorities of the kernel."""

_FATES: Final = {
    "ACCEPT": Fate.ACCEPT,
    "DROP": Fate.DROP,
    "REJECT": Fate.REJECT,
    "DNAT": Fate.ELSEWHERE,
    "REDIRECT": Fate.ELSEWHERE,
    "TPROXY": Fate.ELSEWHERE,
    "QUEUE": Fate.ELSEWHERE,
    "NFQUEUE": Fate.ELSEWHERE,
    "SNAT": Fate.ACCEPT,
    "MASQUERADE": Fate.ACCEPT,
}
_GOES_ON: Final = frozenset({
    "LOG", "NFLOG", "ULOG", "MARK", "CONNMARK", "CT", "NOTRACK", "TCPMSS", "TOS", "DSCP", "TTL",
    "HL", "SET", "AUDIT", "SECMARK", "CONNSECMARK", "CHECKSUM", "TRACE", "CLASSIFY", "RATEEST",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class IptablesRules:
    """The tables of one version of IP.

    Attributes:
        in_nftables: iptables is only the front of nftables here, so nft lists the same rules.
    """

    base_chains: tuple[BaseChain, ...]
    in_nftables: bool


def parse_iptables(text: str, *, version: int) -> IptablesRules:
    """The tables of ``iptables-save`` (``version`` 4) or ``ip6tables-save`` (6)."""
    tables: dict[str, _Table] = {}
    table = _Table("")
    for line in text.splitlines():
        if line.startswith("*"):
            table = tables.setdefault(line[1:].strip(), _Table(line[1:].strip()))
        elif line.startswith(":"):
            name, policy, *_ = [*line[1:].split(), "-", "-"]
            table.policies[name] = policy
            table.rules.setdefault(name, [])
        elif line.startswith("-A "):
            words = _words(line)
            table.rules.setdefault(words[1], []).append(_rule(line, words[2:], table))
    made = [chain for each in tables.values() for chain in each.base_chains(version)]
    return IptablesRules(tuple(made), "(nf_tables)" in text.partition("\n")[0])


@dataclass(slots=True)
class _Table:
    name: str
    policies: dict[str, str] = field(default_factory=dict)
    rules: dict[str, list[Rule]] = field(default_factory=dict)

    def base_chains(self, version: int) -> Iterator[BaseChain]:
        chains = {name: Chain(name, tuple(rules)) for name, rules in self.rules.items()}
        for name, hook in _HOOKS.items():
            if name in chains:
                yield BaseChain(
                    "iptables" if version == 4 else "ip6tables",
                    (self.name, name),
                    hook,
                    _PRIORITIES.get(self.name, 0),
                    frozenset({version}),
                    name,
                    chains,
                    Fate.DROP if self.policies.get(name) == "DROP" else Fate.ACCEPT,
                )


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:
        return line.split()


def _rule(text: str, words: Sequence[str], table: _Table) -> Rule:
    options = list(_options(words))

    def ask(packet: Packet) -> Alternatives:
        # Not before all chains are known: only then is a target one of them.
        action = next(filter(None, (_action(*each[:2], table) for each in options)), None)
        if action is None:
            return ()
        conditions = (_condition(each, packet) for each in options)
        return ((min(conditions, default=Match.YES), action),)

    return Rule(text, ask)


_FREE_TEXT: Final = frozenset({"--comment", "--log-prefix", "--nflog-prefix", "--string"})
"""Options whose value may begin with anything, a dash too."""

Option = tuple[str, list[str], bool]
"""Name, values, whether a ``!`` stands before it."""


def _options(words: Sequence[str]) -> Iterator[Option]:
    name, turned, turn = "", False, False
    values: list[str] = []
    for word in words:
        if name in _FREE_TEXT and not values:
            values.append(word)
        elif word == "!":
            turn = True
        elif word.startswith("-") and len(word) > 1 and not word[1:].isdecimal():
            if name:
                yield name, values, turned
            name, values, turned, turn = word, [], turn, False
        else:
            values.append(word)
    if name:
        yield name, values, turned


def _action(name: str, values: Sequence[str], table: _Table) -> Action | None:
    if name not in ("-j", "--jump", "-g", "--goto"):
        return None
    target = values[0] if values else ""
    if target == "RETURN":
        return Action("return")
    if target in table.rules:
        return Action("jump" if name in ("-j", "--jump") else "goto", target=target)
    if target in _GOES_ON:
        return None
    return Action("fate", _FATES.get(target, Fate.UNKNOWN))


# Conditions

_OF_TARGETS: Final = frozenset({
    "-j", "--jump", "-g", "--goto", "--reject-with", "--log-prefix", "--log-level", "--comment",
    "--to-destination", "--to-ports", "--to-source", "--random", "--queue-num", "--on-port",
    "--tproxy-mark", "--on-ip", "--queue-bypass",
})  # fmt: skip
_KNOWN_MODULES: Final = frozenset({
    "tcp", "udp", "multiport", "conntrack", "state", "comment", "addrtype", "icmp", "icmp6", "hl",
    "pkttype",
})  # fmt: skip


def _condition(option: Option, packet: Packet) -> Match:
    name, values, turned = option
    if name in _OF_TARGETS:
        return Match.YES
    if name == "-m":
        if values == ["rt"]:
            return Match.NO  # a routing header, which a TCP packet of today does not have
        return known(True) if set(values) <= _KNOWN_MODULES else Match.MAYBE
    ask = _CONDITIONS.get(name)
    answer = Match.MAYBE if ask is None else ask(packet, values)
    return flipped(answer) if turned else answer


Condition = Callable[[Packet, Sequence[str]], Match]


def _ends_match(packet: Packet, values: Sequence[str]) -> Match:
    """``--ports``: either end."""
    ends = (packet.destination_port, packet.source_port)
    return max(_ports_match(end, values) for end in ends)


def _flags_match(packet: Packet, values: Sequence[str]) -> Match:
    """``--tcp-flags`` with a mask, and those of it that are set."""
    if len(values) != 2:
        return Match.MAYBE
    return known(packet.flags & _flags(values[0]) == _flags(values[1]))


def _type_match(packet: Packet, values: Sequence[str]) -> Match:
    """``--dst-type``: a packet that comes in is for an address of the host."""
    return Match.MAYBE if packet.destination is None else known(values == ["LOCAL"])


def _kind_match(packet: Packet, values: Sequence[str]) -> Match:
    return known(values == ["unicast"]) if packet.incoming else Match.MAYBE


_CONDITIONS: Final[Mapping[str, Condition]] = {
    "-p": lambda _, values: known(values[:1] in (["tcp"], ["6"], ["all"], ["0"])),
    "-i": lambda packet, values: interface_match(packet.incoming, "".join(values), "+"),
    "-o": lambda packet, values: interface_match(packet.outgoing, "".join(values), "+"),
    "-s": lambda packet, values: network_match(packet.source, "".join(values)),
    "-d": lambda packet, values: network_match(packet.destination, "".join(values)),
    "--dport": lambda packet, values: _ports_match(packet.destination_port, values),
    "--dports": lambda packet, values: _ports_match(packet.destination_port, values),
    "--sport": lambda packet, values: _ports_match(packet.source_port, values),
    "--sports": lambda packet, values: _ports_match(packet.source_port, values),
    "--ports": _ends_match,
    "--ctstate": lambda packet, values: known(packet.state.upper() in ",".join(values).split(",")),
    "--state": lambda packet, values: known(packet.state.upper() in ",".join(values).split(",")),
    "--syn": lambda packet, _: known(packet.flags == {"syn"}),
    "--tcp-flags": _flags_match,
    "--dst-type": _type_match,
    "--pkt-type": _kind_match,
    "-f": lambda _, __: Match.NO,
}


def _flags(text: str) -> frozenset[str]:
    if text == "NONE":
        return frozenset()
    names = "fin,syn,rst,psh,ack,urg" if text == "ALL" else text.lower()
    return frozenset(names.split(","))


def _ports_match(port: int | None, values: Sequence[str]) -> Match:
    """Of ``3000``, ``3000:3010``, ``:1023`` or several of them."""
    if port is None:
        return Match.MAYBE
    for part in ",".join(values).split(","):
        first, colon, last = part.partition(":")
        ends = [first or "0", (last or "65535") if colon else first]
        if not all(end.isdecimal() for end in ends):
            return Match.MAYBE
        if int(ends[0]) <= port <= int(ends[1]):
            return Match.YES
    return Match.NO
