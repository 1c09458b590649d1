"""The host's firewall, as its own programs show it. Nothing is changed, and none may hang."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wsdev.findings.facts import FirewallFacts
from wsdev.firewall.fronts import FrontFacts, parse_firewalld, parse_ufw
from wsdev.firewall.iptables import IptablesRules, parse_iptables
from wsdev.firewall.nft import NftRules, parse_nft
from wsdev.firewall.rules import BaseChain, judge

PATIENCE: Final = 5.0
"""Seconds for one program. A rule set of 20,000 rules is listed in about one."""

LEGACY_TABLES: Final = "/proc/net/ip{}_tables_names"
"""Which tables of the older iptables are in the kernel; the file is there only with its module."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a program printed; ``trouble`` says why it printed nothing of use."""

    output: bytes = b""
    trouble: str = ""


Show = Callable[[Sequence[str]], Shown | None]
"""Runs a program; None if it is not installed."""


def show(command: Sequence[str], patience: float = PATIENCE) -> Shown | None:
    """What a program prints, in plain English; None if it is not installed."""
    # Debian keeps these programs in sbin, which is not on every user's PATH.
    search = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
    program = shutil.which(command[0], path=search)
    if program is None:
        return None
    try:
        done = subprocess.run(
            [program, *command[1:]],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=patience,
            check=False,
            env={**os.environ, "LC_ALL": "C", "PATH": search},
        )
    except subprocess.TimeoutExpired:
        return Shown(trouble=f"no answer within {patience:g} s")
    except OSError as exc:
        return Shown(trouble=exc.strerror or "cannot be run")
    if done.returncode != 0:
        said = (done.stderr or done.stdout).decode("utf-8", "replace").strip().splitlines()
        return Shown(done.stdout, said[0] if said else f"exit code {done.returncode}")
    return Shown(done.stdout)


def look_at_firewall(
    addresses: Sequence[tuple[str, str]], port: int, run: Show = show
) -> FirewallFacts:
    """What the rules do with devices that connect.

    Args:
        addresses: The host's addresses beyond loopback, each with its interface.
        run: Runs a program.
    """
    rules = _Rules()
    rules.read_nft(run)
    for version, prefix in ((4, "ip"), (6, "ip6")):
        rules.read_iptables(run, f"{prefix}tables", version)
    verdicts = tuple(
        (address, judge(rules.chains, address, interface, port)) for address, interface in addresses
    )
    return FirewallFacts(
        tuple(rules.read),
        tuple(rules.unread.items()),
        verdicts if rules.read else (),
        _ask_ufw(run, port),
        _ask_firewalld(run, port),
    )


class _Rules:
    """The base chains of all programs that could be read."""

    def __init__(self) -> None:
        self.chains: list[BaseChain] = []
        self.read: list[str] = []
        self.unread: dict[str, str] = {}
        self._nft: NftRules | None = None

    def read_nft(self, run: Show) -> None:
        listing = run(["nft", "-j", "list", "ruleset"])
        if listing is None:
            return
        if listing.trouble:
            self.unread["nft"] = listing.trouble
            return
        texts = run(["nft", "-a", "list", "ruleset"])
        try:
            spelled = texts.output.decode("utf-8", "replace") if texts else ""
            self._nft = parse_nft(listing.output, spelled)
        except (ValueError, TypeError, AttributeError, KeyError):
            self.unread["nft"] = "its listing is not understood"
            return
        self.read.append("nft")
        self.chains += self._nft.base_chains

    def read_iptables(self, run: Show, tool: str, version: int) -> None:
        saved = run([f"{tool}-save"])
        if saved is None:
            return
        if saved.trouble:
            self.unread[f"{tool}-save"] = saved.trouble
            return
        found = parse_iptables(saved.output.decode("utf-8", "replace"), version=version)
        self._take(f"{tool}-save", found, version)
        if found.in_nftables or not found.base_chains:
            legacy = run([f"{tool}-legacy-save"]) if _has_legacy_tables(version) else None
            if legacy is not None and not legacy.trouble:
                text = legacy.output.decode("utf-8", "replace")
                self._take(f"{tool}-legacy-save", parse_iptables(text, version=version), version)

    def _take(self, tool: str, found: IptablesRules, version: int) -> None:
        self.read.append(tool)
        if self._nft is None or not found.in_nftables:
            self.chains += found.base_chains
            return
        # The same rules as nft lists; but only here are iptables' own matches spelled out.
        family = "ip" if version == 4 else "ip6"
        ours = {
            base.place[0]: base
            for base in found.base_chains
            if (family, base.place[0]) in self._nft.foreign
        }
        self.chains = [
            base
            for base in self.chains
            if not (base.tool == "nft" and base.place[0] == family and base.place[1] in ours)
        ]
        self.chains += [base for base in found.base_chains if base.place[0] in ours]


def _has_legacy_tables(version: int) -> bool:
    try:
        return bool(Path(LEGACY_TABLES.format("" if version == 4 else "6")).read_text("ascii"))
    except OSError:
        return False


def _ask_ufw(run: Show, port: int) -> FrontFacts | None:
    told = run(["ufw", "status", "verbose"])
    if told is None:
        return None
    if told.trouble:
        return FrontFacts("unreadable", (told.trouble,))
    return parse_ufw(told.output.decode("utf-8", "replace"), port)


def _ask_firewalld(run: Show, port: int) -> FrontFacts | None:
    told = run(["firewall-cmd", "--list-all"])
    if told is None:
        return None
    if "not running" in told.trouble or b"not running" in told.output:
        return FrontFacts("inactive")
    if told.trouble:
        return FrontFacts("unreadable", (told.trouble,))
    return parse_firewalld(told.output.decode("utf-8", "replace"), port)
