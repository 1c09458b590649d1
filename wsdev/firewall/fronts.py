"""ufw and firewalld: what their own status says of a port. They write the rules that nft lists."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

Says = Literal["inactive", "lets in", "blocks", "depends", "unreadable"]


@dataclass(frozen=True, slots=True)
class FrontFacts:
    """What a front of the firewall says of the port.

    Attributes:
        lines: Of its own output, those that decide.
    """

    says: Says
    lines: tuple[str, ...] = ()


# What ufw prints

_UFW_RULE = re.compile(r"(.+?)\s+(ALLOW|DENY|REJECT|LIMIT)(?: (IN|OUT|FWD))?\s+(\S.*?)(?:\s+#.*)?")
_UFW_DEFAULT = re.compile(r"Default: (\w+) \(incoming\)")
_UFW_SAYS: Final[dict[str, Says]] = {
    "ALLOW": "lets in",
    "LIMIT": "lets in",
    "DENY": "blocks",
    "REJECT": "blocks",
    "allow": "lets in",
    "deny": "blocks",
    "reject": "blocks",
}


def parse_ufw(text: str, port: int) -> FrontFacts:
    """What ``ufw status verbose`` says of IPv4. The first rule that applies decides."""
    if "Status: inactive" in text:
        return FrontFacts("inactive")
    if "Status: active" not in text:
        return FrontFacts("unreadable")
    default = _UFW_DEFAULT.search(text)
    said = _UFW_SAYS.get(default[1] if default else "", "blocks")
    line = default[0] if default else "no rule for the port"
    doubtful: list[tuple[Says, str]] = []
    for each in text.splitlines():
        rule = _UFW_RULE.fullmatch(each.strip())
        if rule is None or rule[3] in ("OUT", "FWD") or "(v6)" in each:
            continue
        covers = _ufw_covers(rule[1], port)
        shown = " ".join(each.split())
        if covers is None or (covers and rule[4] != "Anywhere"):
            doubtful.append((_UFW_SAYS[rule[2]], shown))
        elif covers:
            said, line = _UFW_SAYS[rule[2]], shown
            break
    # A rule for some peers or interfaces changes nothing where the rest fares the same.
    opposing = [shown for says, shown in doubtful if says != said]
    return FrontFacts("depends", (*opposing, line)) if opposing else FrontFacts(said, (line,))


def _ufw_covers(target: str, port: int) -> bool | None:
    """Whether a rule is for our port on all addresses; None if only for some, or untold."""
    place, on, _ = target.partition(" on ")
    words = place.split()
    if words == ["Anywhere"]:
        return None if on else True
    ports, _, protocol = words[-1].partition("/")
    if protocol == "udp":
        return False
    found = _covers(ports.split(","), port, ":")
    return None if found and (on or len(words) > 1) else found


def _covers(parts: Sequence[str], port: int, dash: str) -> bool | None:
    for part in parts:
        first, _, last = part.partition(dash)
        if not first.isdecimal() or not (last or first).isdecimal():
            return None
        if int(first) <= port <= int(last or first):
            return True
    return False


# What firewall-cmd prints

_ZONE = re.compile(r"^(\S+)( \(.*active.*\))?\s*$", re.MULTILINE)
_FIELD = re.compile(r"^  ([a-z-]+): ?(.*)$", re.MULTILINE)


def parse_firewalld(text: str, port: int) -> FrontFacts:
    """What ``firewall-cmd --list-all`` says of its zone."""
    zone = _ZONE.search(text)
    fields = {name: value.strip() for name, value in _FIELD.findall(text)}
    if zone is None or "target" not in fields:
        return FrontFacts("unreadable")
    target = fields["target"]
    for entry in fields.get("ports", "").split():
        ports, _, protocol = entry.partition("/")
        if protocol == "tcp" and _covers([ports], port, "-"):
            return FrontFacts("lets in", (f"zone {zone[1]}: ports: {entry}",))
    rich = [line.strip() for line in text.splitlines() if line.strip().startswith("rule ")]
    about = [line for line in rich if "port" not in line or f'"{port}"' in line]
    if about:
        return FrontFacts("depends", tuple(about))
    said = f"zone {zone[1]}: target: {target}, ports: {fields.get('ports') or 'none'}"
    return FrontFacts("lets in" if target == "ACCEPT" else "blocks", (said,))
