from __future__ import annotations

import pytest
from host_cases import (
    DAY,
    INSIDE,
    NGINX,
    NOW,
    PUBLIC,
    REACH,
    TLS,
    WELL,
    certificate,
    chain,
    changed,
    down,
    firewall,
    front,
    note,
    public,
    visits,
)

from wsdev.findings.facts import FirewallFacts, HostFacts, Listening, Visit
from wsdev.findings.finding import Finding
from wsdev.findings.host import CHECKS
from wsdev.firewall.fronts import FrontFacts
from wsdev.firewall.rules import BaseChain, Verdict


def findings(check: str, facts: HostFacts) -> dict[str, Finding]:
    return {finding.code: finding for finding in CHECKS[check](facts)}


@pytest.mark.parametrize("code", REACH)
def test_facts_lead_to_their_finding(code: str) -> None:
    check = code.partition("_")[0]
    assert code in findings(check, REACH[code])


def test_start_command_keeps_folder_and_port() -> None:
    facts = down(state_option=" --state '/srv/a b'", port=3100)
    told = findings("server", facts)["server_missing"]
    assert told.command == "wsdev serve --state '/srv/a b' --port 3100"
    assert findings("server", down())["server_missing"].command == "wsdev serve"


def test_program_that_has_the_port_is_named() -> None:
    told = findings("server", REACH["server_port_taken"])["server_port_taken"]
    assert "0.0.0.0:3000 is node's" in told.evidence
    assert told.command == "wsdev serve --port 3100"


def test_reason_of_a_degraded_gateway_is_escaped() -> None:
    facts = visits(Visit(INSIDE, "eth0", "gateway", "degraded", "\x1b[31mfull"))
    told = findings("server", facts)["server_degraded"]
    assert told.evidence[-1] == "/healthz says degraded: \\x1b[31mfull"
    assert told.command == f"curl http://{INSIDE}:3000/healthz"
    told = findings("server", changed(facts, note=TLS))["server_degraded"]
    assert told.command == f"curl -k https://{INSIDE}:3000/healthz"


def test_without_a_gateway_nothing_is_said_of_its_sockets() -> None:
    assert findings("listening", down()) == {}
    assert findings("addresses", down()) == {}


def test_address_that_is_not_listened_on_need_not_answer() -> None:
    facts = changed(
        visits(Visit(INSIDE, "eth0", "gateway", "ok"), Visit("10.9.9.9", "wg0", "refused")),
        listening=(Listening(INSIDE, 3000),),
    )
    told = findings("addresses", facts)["addresses_answer"]
    assert told.evidence[1] == "10.9.9.9:3000 (wg0) is not listened on"


NFT = chain()
NFT_OUT = chain(place=("inet", "filter", "output"))
IPT = chain("iptables", ("filter", "INPUT"))
IPT_RAW = chain("ip6tables", ("raw", "PREROUTING"))
IPT_IN_NFT = chain("nft", ("ip6", "filter", "INPUT"))
ON, OFF = FrontFacts("blocks"), FrontFacts("inactive")


@pytest.mark.parametrize(
    ("at", "fronts", "command"),
    [
        (NFT, {}, "sudo nft insert rule inet filter input tcp dport 3000 accept"),
        (
            NFT_OUT,
            {},
            "sudo nft insert rule inet filter output tcp sport 3000 ct state established accept",
        ),
        (IPT, {}, "sudo iptables -I INPUT -p tcp --dport 3000 -j ACCEPT"),
        (IPT_RAW, {}, "sudo ip6tables -t raw -I PREROUTING -p tcp --dport 3000 -j ACCEPT"),
        (IPT_IN_NFT, {}, "sudo ip6tables -I INPUT -p tcp --dport 3000 -j ACCEPT"),
        (IPT, {"ufw": ON}, "sudo ufw allow 3000/tcp"),
        (IPT, {"ufw": OFF}, "sudo iptables -I INPUT -p tcp --dport 3000 -j ACCEPT"),
        (
            NFT,
            {"firewalld": ON},
            "sudo firewall-cmd --add-port=3000/tcp && sudo firewall-cmd --runtime-to-permanent",
        ),
        (NFT, {"firewalld": OFF}, "sudo nft insert rule inet filter input tcp dport 3000 accept"),
    ],
)
def test_command_that_lets_in_is_for_the_program_that_blocks(
    at: BaseChain, fronts: dict[str, FrontFacts], command: str
) -> None:
    told = findings("firewall", firewall("blocks", "policy drop", at=at, **fronts))
    assert told["firewall_blocks"].command == command


def test_rule_is_shown_once_for_all_its_addresses_and_escaped() -> None:
    verdict = Verdict("blocks", ("drop \x1b[2J",), NFT)
    facts = changed(
        firewall=FirewallFacts(("nft",), (), ((INSIDE, verdict), ("10.0.0.9", verdict)))
    )
    assert findings("firewall", facts)["firewall_blocks"].evidence == (
        f"devices at {INSIDE}, 10.0.0.9 in nft inet filter input:",
        "  drop \\x1b[2J",
    )


def test_many_rules_are_cut() -> None:
    told = findings("firewall", firewall("depends", *map(str, range(20))))["firewall_depends"]
    assert told.evidence[-1] == "  and 14 more"
    assert told.command == "sudo nft list ruleset"
    told = findings("firewall", firewall("depends", "x", at=IPT))["firewall_depends"]
    assert told.command == "sudo iptables -t filter -nvL"


def test_rules_that_could_be_read_count_beside_those_that_could_not() -> None:
    facts = changed(
        firewall=FirewallFacts(
            ("iptables-save",), (("nft", "no answer"),), ((INSIDE, Verdict("blocks", ("x",), IPT)),)
        )
    )
    told = findings("firewall", facts)
    assert list(told) == ["firewall_blocks", "firewall_unread"]
    assert told["firewall_unread"].command.startswith("sudo /usr/bin/wsdev doctor --state ")


def test_front_that_is_not_installed_is_not_mentioned() -> None:
    assert findings("ufw", WELL) == findings("firewalld", WELL) == {}
    told = findings("ufw", front("ufw", "inactive"))["ufw_lets_in"]
    assert told.evidence == ("not active",)


def test_front_that_blocks_is_told_how_to_let_in() -> None:
    assert findings("ufw", front("ufw", "blocks", "x"))["ufw_blocks"].command == (
        "sudo ufw allow 3000/tcp"
    )
    assert findings("ufw", front("ufw", "depends", "x"))["ufw_depends"].command == (
        "sudo ufw status verbose"
    )


def test_trusted_proxy_elsewhere_is_told() -> None:
    told = findings("proxy", note(trusted_proxy=["10.0.0.0/8"]))["proxy_none"]
    assert told.evidence == ("trusted elsewhere: 10.0.0.0/8",)


def test_command_for_a_proxy_is_one_that_serve_takes() -> None:
    told = findings("proxy", changed(proxies=(NGINX,)))["proxy_untrusted"]
    assert told.evidence == ("nginx at 0.0.0.0:443",)
    assert told.command == "wsdev serve --trusted-proxy 127.0.0.1 --trusted-proxy ::1"


def test_missing_certificate_names_the_public_addresses() -> None:
    assert findings("certificate", public())["certificate_missing"].evidence == (PUBLIC,)
    behind = findings("certificate", public(proxies=(NGINX,)))
    assert list(behind) == ["certificate_none"]


def test_old_certificate_that_was_replaced_is_told_twice() -> None:
    facts = certificate(ends=NOW - DAY, is_that_of_the_file=False)
    assert list(findings("certificate", facts)) == ["certificate_ended", "certificate_replaced"]


def test_certificate_tells_days_and_trust() -> None:
    told = findings("certificate", REACH["certificate_ends_soon"])["certificate_ends_soon"]
    assert told.evidence == ("/etc/gw.pem, for gw.example", "ends in 20 days")
