from __future__ import annotations

import pytest

from wsdev.firewall.fronts import parse_firewalld, parse_ufw

UFW = """Status: active
Logging: on (low)
Default: {default} (incoming), allow (outgoing), disabled (routed)
New profiles: skip

To                         Action      From
--                         ------      ----
{rules}
"""


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ("22/tcp                     ALLOW IN    Anywhere", "blocks"),
        ("3000/tcp                   ALLOW IN    Anywhere", "lets in"),
        ("3000                       ALLOW IN    Anywhere                   # ours", "lets in"),
        ("3000                       ALLOW       Anywhere", "lets in"),
        ("3000/udp                   ALLOW IN    Anywhere", "blocks"),
        ("2990:3010/tcp              ALLOW IN    Anywhere", "lets in"),
        ("80,443,3000/tcp            ALLOW IN    Anywhere", "lets in"),
        ("3000/tcp                   LIMIT IN    Anywhere", "lets in"),
        ("3000/tcp                   DENY IN     Anywhere", "blocks"),
        ("3000/tcp                   REJECT IN   Anywhere", "blocks"),
        ("Anywhere                   ALLOW IN    Anywhere", "lets in"),
        ("3000/tcp                   ALLOW OUT   Anywhere", "blocks"),
        ("3000/tcp                   ALLOW IN    192.0.2.0/24", "depends"),
        ("Anywhere                   ALLOW IN    192.0.2.9", "depends"),
        ("3000/tcp on eth0           ALLOW IN    Anywhere", "depends"),
        ("Anywhere on wg0            ALLOW IN    Anywhere", "depends"),
        ("192.0.2.2 3000/tcp         ALLOW IN    Anywhere", "depends"),
        ("Nginx Full                 ALLOW IN    Anywhere", "depends"),
        ("3000/tcp (v6)              ALLOW IN    Anywhere (v6)", "blocks"),
    ],
)
def test_ufw_rule_is_for_our_port_or_not(rule: str, says: str) -> None:
    told = parse_ufw(UFW.format(default="deny", rules=rule), 3000)
    assert told.says == says
    assert told.lines


def test_first_rule_of_ufw_decides() -> None:
    rules = "3000/tcp   DENY IN    Anywhere\n3000/tcp   ALLOW IN    Anywhere"
    told = parse_ufw(UFW.format(default="allow", rules=rules), 3000)
    assert (told.says, told.lines) == ("blocks", ("3000/tcp DENY IN Anywhere",))


def test_default_of_ufw_decides_without_a_rule() -> None:
    blocked, opened = (parse_ufw(UFW.format(default=d, rules=""), 3000) for d in ("deny", "allow"))
    assert (blocked.says, blocked.lines) == ("blocks", ("Default: deny (incoming)",))
    assert opened.says == "lets in"


def test_rule_for_some_that_fare_as_all_do_leaves_no_doubt() -> None:
    rule = "3000/tcp   ALLOW IN    192.0.2.0/24"
    assert parse_ufw(UFW.format(default="allow", rules=rule), 3000).says == "lets in"


def test_ufw_that_is_off_or_says_something_else() -> None:
    assert parse_ufw("Status: inactive\n", 3000).says == "inactive"
    assert parse_ufw("ERROR: You need to be root\n", 3000).says == "unreadable"


FIREWALLD = """public (active)
  target: {target}
  icmp-block-inversion: no
  interfaces: eth0
  sources:
  services: dhcpv6-client ssh
  ports: {ports}
  protocols:
  forward: yes
  masquerade: no
  forward-ports:
  source-ports:
  icmp-blocks:
  rich rules:
{rich}
"""


@pytest.mark.parametrize(
    ("target", "ports", "rich", "says"),
    [
        ("default", "", "", "blocks"),
        ("default", "3000/tcp", "", "lets in"),
        ("default", "80/tcp 2990-3010/tcp", "", "lets in"),
        ("default", "3000/udp", "", "blocks"),
        ("%%REJECT%%", "22/tcp", "", "blocks"),
        ("DROP", "22/tcp", "", "blocks"),
        ("ACCEPT", "", "", "lets in"),
        ("default", "", '\trule family="ipv4" port port="3000" protocol="tcp" accept', "depends"),
        ("default", "", '\trule family="ipv4" source address="192.0.2.0/24" accept', "depends"),
        ("default", "", '\trule family="ipv4" port port="22" protocol="tcp" accept', "blocks"),
    ],
)
def test_firewalld_zone_lets_our_port_in_or_not(
    target: str, ports: str, rich: str, says: str
) -> None:
    told = parse_firewalld(FIREWALLD.format(target=target, ports=ports, rich=rich), 3000)
    assert told.says == says
    assert told.lines


def test_firewalld_that_says_something_else() -> None:
    assert parse_firewalld("Authorization failed.\n", 3000).says == "unreadable"
    assert parse_firewalld("", 3000).says == "unreadable"
