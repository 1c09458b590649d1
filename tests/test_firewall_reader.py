"""Verdicts on rule sets that a kernel holds, each beside what the kernel does to a connection.

The rules are loaded into a network namespace, read there as on any host, and a device in another
namespace tries to connect for real.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from namespaces import DEVICE, GATEWAY, Network, made_network

from wsdev.findings.facts import FirewallFacts
from wsdev.firewall_reader import Shown, look_at_firewall, show

PORT = 3000
PATIENCE = 30.0
"""Seconds after which a connection that must come about has failed."""

SILENCE = 0.3
"""Seconds without an answer that show a drop. Loopback takes a millisecond; a machine so busy that
this is not enough would let a test pass that should fail, not fail one that should pass."""

LISTEN = f"""
import socket, sys
sockets = [socket.create_server((host, {PORT}), family=family) for family, host in (
    (socket.AF_INET, ""), (socket.AF_INET6, "::"))]
print("ready", flush=True)
sys.stdin.read()
"""

CONNECT = f"""
import concurrent.futures, socket, sys
def met(address):
    try:
        socket.create_connection((address, {PORT}), timeout=float(sys.argv[1])).close()
    except TimeoutError:
        return "drop"
    except OSError:
        return "reject"
    return "open"
with concurrent.futures.ThreadPoolExecutor() as pool:
    print(*pool.map(met, sys.argv[2:]))
"""


class Host:
    """The host with the rules, and the device that wants in."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def load(self, rules: str) -> None:
        """Replace all rules: by nft's text, or by commands of iptables, a line each."""
        self.run("nft", "flush", "ruleset")
        if rules.lstrip().startswith(("iptables", "ip6tables")):
            for line in rules.strip().splitlines():
                self.run("sh", "-ec", line)
        else:
            self.run("nft", "-f", "-", stdin=rules.replace("; }", ";\n}"))

    def run(self, *command: str, stdin: str = "") -> None:
        done = subprocess.run(
            [*self._network.gateway_side, *command],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    def show(self, command: Sequence[str]) -> Shown | None:
        """Run a program as the doctor does, on this host."""
        if shutil.which(command[0], path="/usr/sbin:/sbin:/usr/bin:/bin") is None:
            return None
        return show([*self._network.gateway_side, *command])

    def look(self) -> FirewallFacts:
        addresses = [(GATEWAY[4], "uplink"), (GATEWAY[6], "uplink")]
        return look_at_firewall(addresses, PORT, self.show)

    def meets(self, patience: float) -> list[str]:
        """What a device meets that connects, by IPv4 and by IPv6."""
        command = [sys.executable, "-c", CONNECT, str(patience), *GATEWAY.values()]
        done = subprocess.run(
            [*self._network.device_side, *command], capture_output=True, text=True, check=True
        )
        return done.stdout.split()


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    search = "/usr/sbin:/sbin:/usr/bin:/bin"
    for tool in ("ip", "nft", "iptables"):
        if shutil.which(tool, path=search) is None:
            pytest.skip(f"{tool} is not installed")
    with made_network(shutil.which("ip", path=search) or "ip") as network:
        listener = subprocess.Popen(
            [*network.gateway_side, sys.executable, "-c", LISTEN],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        with listener:
            assert listener.stdout is not None
            assert listener.stdout.readline() == b"ready\n"
            yield Host(network)


def table(rules: str, policy: str = "drop", before: str = "") -> str:
    """A table with one chain for what comes in."""
    return f"""
        table inet filter {{
            {before}
            chain input {{
                type filter hook input priority filter; policy {policy};
                ct state vmap {{ established : accept, related : accept, invalid : drop }}
                iif lo accept
                meta l4proto ipv6-icmp accept
                {rules}
            }}
        }}"""


PORTS = "set ports { type inet_service; flags interval; elements = { 22, 80, 2990-3010 } }"

NFT = {
    "no rules": ("open", ""),
    "policy drop": ("drop", table("")),
    "policy accept": ("open", table("", "accept")),
    "accepted port": ("open", table("tcp dport 3000 accept")),
    "another port accepted": ("drop", table("tcp dport 3001 accept")),
    "dropped port": ("drop", table("tcp dport 3000 counter drop", "accept")),
    "rejected port": ("reject", table("tcp dport 3000 reject with tcp reset", "accept")),
    "rejected by icmp": ("reject", table("meta l4proto tcp reject", "accept")),
    "set of ports": ("open", table("tcp dport { 22, 80, 3000-3010 } accept")),
    "set without the port": ("drop", table("tcp dport { 22, 80, 3001-3010 } accept")),
    "named set": ("open", table("tcp dport @ports accept", before=PORTS)),
    "not the named set": ("drop", table("tcp dport != @ports accept", before=PORTS)),
    "range": ("open", table("tcp dport 2000-4000 accept")),
    "greater": ("open", table("tcp dport >= 3000 accept")),
    "less": ("drop", table("tcp dport < 3000 accept")),
    "all but one": ("reject", table("tcp dport != 22 reject with tcp reset", "accept")),
    "udp alone": ("drop", table("udp dport 3000 accept")),
    "either protocol": ("open", table("meta l4proto { tcp, udp } th dport 3000 accept")),
    "verdict map": ("drop", table("tcp dport vmap { 22 : accept, 3000 : drop }", "accept")),
    "map to a chain": (
        "open",
        table("tcp dport vmap { 3000 : jump in3000 }", before="chain in3000 { accept; }"),
    ),
    "jump that returns": (
        "open",
        table(
            "jump looks\ntcp dport 3000 accept",
            before="chain looks { tcp dport 3000 return; drop; }",
        ),
    ),
    "goto does not come back": (
        "drop",
        table("goto looks\ntcp dport 3000 accept", before="chain looks { tcp dport 3001 accept; }"),
    ),
    "interface": ("open", table('iifname "uplink" tcp dport 3000 accept')),
    "interface by pattern": ("open", table('iifname "up*" tcp dport 3000 accept')),
    "another interface": ("drop", table('iifname "wg0" tcp dport 3000 accept')),
    "loopback only": ("drop", table('iifname "lo" tcp dport 3000 accept')),
    "new connections": ("open", table("ct state new tcp dport 3000 accept")),
    "syn": ("open", table("tcp dport 3000 tcp flags & (fin|syn|rst|ack) == syn accept")),
    "christmas tree": (
        "open",
        table("tcp flags & (fin|psh|urg) == fin|psh|urg drop\ntcp dport 3000 accept"),
    ),
    "for the host itself": ("open", table("fib daddr type local tcp dport 3000 accept")),
    "own address": (
        "open",
        table(
            f"ip daddr {GATEWAY[4]} tcp dport 3000 accept\n"
            f"ip6 daddr {GATEWAY[6]} tcp dport 3000 accept"
        ),
    ),
    "another address": (
        "drop",
        table("ip daddr 192.0.2.9 accept\nip6 daddr 2001:db8:9::/64 tcp dport 3000 accept"),
    ),
    "any source": (
        "open",
        table("ip saddr 0.0.0.0/0 tcp dport 3000 accept\nip6 saddr ::/0 tcp dport 3000 accept"),
    ),
    "dropped before input": (
        "drop",
        (
            "table inet raw { chain early { type filter hook prerouting priority raw;"
            " tcp dport 3000 drop; }\n}"
        ),
    ),
    "second chain drops": (
        "drop",
        table("accept")
        + "\ntable inet late { chain input { type filter hook input priority 10; policy drop;"
        " ct state established accept; meta l4proto ipv6-icmp accept; }\n}",
    ),
    "answers dropped": (
        "drop",
        (
            "table inet out { chain output { type filter hook output priority 0; policy drop;"
            " meta l4proto ipv6-icmp accept; tcp sport 22 accept; }\n}"
        ),
    ),
    "answers let out": (
        "open",
        (
            "table inet out { chain output { type filter hook output priority 0; policy drop;"
            " meta l4proto ipv6-icmp accept; ct state established accept; }\n}"
        ),
    ),
    "notrack and counters": (
        "open",
        table('counter log prefix "x " tcp dport 3000 counter accept comment "ours"'),
    ),
}

TRACKED = "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"


def both(*rules: str) -> str:
    """The same rules for both versions of IP, behind what lets neighbours find each other."""
    lines = []
    for tool in ("iptables", "ip6tables"):
        lines += [f"{tool} -A INPUT -i lo -j ACCEPT", f"{tool} -A INPUT {TRACKED}"]
        lines += [f"{tool} {rule}" for rule in rules]
    return "\n".join([*lines, "ip6tables -I INPUT -p icmpv6 -j ACCEPT"])


DROP = "-P INPUT DROP"

IPTABLES = {
    "policy drop": ("drop", both(DROP)),
    "accepted port": ("open", both(DROP, "-A INPUT -p tcp --dport 3000 -j ACCEPT")),
    "another port": ("drop", both(DROP, "-A INPUT -p tcp --dport 3001 -j ACCEPT")),
    "range": ("open", both(DROP, "-A INPUT -p tcp --dport 2000:4000 -j ACCEPT")),
    "several": ("open", both(DROP, "-A INPUT -p tcp -m multiport --dports 22,2999:3001 -j ACCEPT")),
    "several others": ("drop", both(DROP, "-A INPUT -p tcp -m multiport --dports 22,80 -j ACCEPT")),
    "negated": ("drop", both(DROP, "-A INPUT -p tcp ! --dport 3000 -j ACCEPT")),
    "negated protocol": ("drop", both("-A INPUT ! -p udp -j DROP")),
    "rejected": ("reject", both("-A INPUT -p tcp --dport 3000 -j REJECT --reject-with tcp-reset")),
    "own chain": (
        "open",
        both(DROP, "-N mine", "-A INPUT -j mine", "-A mine -p tcp --dport 3000 -j ACCEPT"),
    ),
    "own chain returns": (
        "drop",
        both(DROP, "-N mine", "-A INPUT -j mine", "-A mine -p tcp --dport 3000 -j RETURN",
             "-A mine -j ACCEPT"),
    ),
    "goto": (
        "drop",
        both(DROP, "-N mine", "-A INPUT -g mine", "-A INPUT -j ACCEPT"),
    ),
    "new, commented": (
        "open",
        both(
            DROP,
            "-A INPUT -p tcp --syn -m conntrack --ctstate NEW --dport 3000"
            " -m comment --comment \"it's -j DROP ours\" -j ACCEPT",
        ),
    ),
    "to the host": (
        "open",
        both(DROP, "-A INPUT -m addrtype --dst-type LOCAL -p tcp --dport 3000 -j ACCEPT"),
    ),
    "broadcasts": (
        "drop",
        both(
            DROP, "-A INPUT -m addrtype --dst-type MULTICAST -p tcp -j ACCEPT"
        ),
    ),
    "interface": ("open", both(DROP, "-A INPUT -i upl+ -p tcp --dport 3000 -j ACCEPT")),
    "raw table": ("drop", both("-t raw -A PREROUTING -p tcp --dport 3000 -j DROP")),
    "logged": ("open", both(DROP, "-A INPUT -j NFLOG", "-A INPUT -p tcp --dport 3000 -j ACCEPT")),
    "flags": (
        "open",
        both(DROP, "-A INPUT -p tcp --tcp-flags ALL NONE -j DROP",
             "-A INPUT -p tcp --tcp-flags SYN,RST SYN --dport 3000 -j ACCEPT"),
    ),
}  # fmt: skip

CASES = [
    *(pytest.param(*case, id=f"nft, {name}") for name, case in NFT.items()),
    *(pytest.param(*case, id=f"iptables, {name}") for name, case in IPTABLES.items()),
]


@pytest.mark.parametrize(("fate", "rules"), CASES)
def test_verdict_is_what_the_kernel_does(fate: str, rules: str, host: Host) -> None:
    host.load(rules)
    facts = host.look()
    assert facts.unread == ()
    assert [address for address, _ in facts.verdicts] == list(GATEWAY.values())
    for _, verdict in facts.verdicts:
        assert verdict.doing == ("open" if fate == "open" else "blocks"), verdict.rules
        assert (verdict.rules == ()) == (fate == "open")
    assert host.meets(SILENCE if fate == "drop" else PATIENCE) == [fate, fate]


SOME = DEVICE[4].rpartition(".")[0] + ".0/24"

DEPENDS = {
    "source": (table(f"ip saddr {SOME} tcp dport 3000 accept"), f"ip saddr {SOME}"),
    "set of sources": (
        table(
            "ip saddr @bad drop\naccept",
            before="set bad { type ipv4_addr; elements = { 192.0.2.66 } }",
        ),
        "ip saddr @bad drop",
    ),
    "rate": (table("tcp dport 3000 limit rate 5/minute accept"), "limit rate 5/minute"),
    "mark": (table("meta mark 7 accept"), "meta mark"),
    "sent elsewhere": (
        (
            "table ip nat { chain pre { type nat hook prerouting priority dstnat;"
            " tcp dport 3000 redirect to :3001; }\n}"
        ),
        "redirect to :3001",
    ),
    "iptables, source": (
        f"iptables -A INPUT -s {SOME} -p tcp -j ACCEPT\niptables -P INPUT DROP",
        f"ip saddr {SOME}",
    ),
    "iptables, rate": (
        (
            "iptables -A INPUT -p tcp --dport 3000 -m limit --limit 3/s -j ACCEPT\n"
            "iptables -P INPUT DROP"
        ),
        "limit rate 3/second",
    ),
    "iptables, unknown match": (
        'iptables -A INPUT -p tcp -m string --algo bm --string "x" -j DROP',
        "-m string",
    ),
}


@pytest.mark.parametrize(("rules", "part"), DEPENDS.values(), ids=DEPENDS)
def test_what_nobody_can_know_is_told_with_the_rule(rules: str, part: str, host: Host) -> None:
    host.load(rules)
    (_, verdict), *_ = host.look().verdicts
    assert verdict.doing == "depends"
    assert any(part in rule for rule in verdict.rules), verdict.rules


def test_same_rule_of_iptables_is_read_once(host: Host) -> None:
    host.load("iptables -A INPUT -p tcp -m multiport --dports 3000 -j DROP")
    facts = host.look()
    (_, verdict), (_, other) = facts.verdicts
    assert verdict.rules == ("-A INPUT -p tcp -m multiport --dports 3000 -j DROP",)
    assert verdict.at is not None
    assert verdict.at.tool == "iptables"
    assert other.doing == "open"
    assert facts.read == ("nft", "iptables-save", "ip6tables-save")


def test_looking_changes_nothing(host: Host) -> None:
    host.load(table("tcp dport 3000 accept"))
    before = host.show(["nft", "list", "ruleset"])
    host.look()
    assert host.show(["nft", "list", "ruleset"]) == before


# Programs that are not there, are not allowed, or do not answer


def programs(outputs: dict[str, Shown]) -> Callable[[Sequence[str]], Shown | None]:
    """Of all programs only these are installed."""
    return lambda command: outputs.get(command[0])


EMPTY = Shown(json.dumps({"nftables": []}).encode())


def test_no_program_means_nothing_was_read() -> None:
    facts = look_at_firewall([("192.0.2.7", "eth0")], PORT, programs({}))
    assert facts == FirewallFacts()


def test_program_that_needs_root_is_told() -> None:
    refusal = Shown(trouble="Operation not permitted (you must be root)")
    run = programs({"nft": refusal, "iptables-save": refusal, "ufw": refusal})
    facts = look_at_firewall([("192.0.2.7", "eth0")], PORT, run)
    assert [tool for tool, _ in facts.unread] == ["nft", "iptables-save"]
    assert facts.verdicts == ()
    assert facts.ufw is not None
    assert facts.ufw.says == "unreadable"


@pytest.mark.parametrize(
    "output", [b"", b"{}", b'{"nftables": 3}', b'{"nftables": [{"rule": {"expr": 3}}]}']
)
def test_listing_that_is_not_understood_is_told(output: bytes) -> None:
    facts = look_at_firewall([("192.0.2.7", "eth0")], PORT, programs({"nft": Shown(output)}))
    assert facts.unread == (("nft", "its listing is not understood"),)


def test_older_iptables_counts_beside_nft() -> None:
    saved = b"# Generated by iptables-save v1.8.9 on a day\n*filter\n:INPUT DROP [0:0]\nCOMMIT\n"
    run = programs({"nft": EMPTY, "iptables-save": Shown(saved)})
    ((_, verdict),) = look_at_firewall([("192.0.2.7", "eth0")], PORT, run).verdicts
    assert verdict.doing == "blocks"
    assert verdict.rules == ("policy drop of filter INPUT",)


def test_ufw_and_firewalld_are_asked_for_the_port() -> None:
    run = programs(
        {
            "ufw": Shown(b"Status: inactive\n"),
            "firewall-cmd": Shown(b"", "FirewallD is not running"),
        }
    )
    facts = look_at_firewall([], PORT, run)
    assert facts.ufw is not None
    assert facts.firewalld is not None
    assert (facts.ufw.says, facts.firewalld.says) == ("inactive", "inactive")


def script(folder: Path, text: str) -> str:
    """A program of these words, alone on the path."""
    path = folder / "program"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_program_that_hangs_is_given_up(tmp_path: Path) -> None:
    assert show([script(tmp_path, "exec sleep 60")], patience=0.2) == Shown(
        trouble="no answer within 0.2 s"
    )


def test_program_that_fails_is_told_in_its_own_words(tmp_path: Path) -> None:
    shown = show([script(tmp_path, "echo you must be root >&2; echo more >&2; exit 4")])
    assert shown == Shown(trouble="you must be root")
    assert show([script(tmp_path, "exit 4")]) == Shown(trouble="exit code 4")


def test_program_that_is_missing_or_cannot_run_is_told(tmp_path: Path) -> None:
    assert show(["no-such-program-of-anyone"]) is None
    path = tmp_path / "empty"
    path.write_text("")
    path.chmod(0o755)
    told = show([str(path)])
    assert told is not None
    assert told.trouble


def test_program_speaks_english(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    assert show([script(tmp_path, "echo $LC_ALL")]) == Shown(b"C\n")
