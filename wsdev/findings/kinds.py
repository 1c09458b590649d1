"""What ``wsdev doctor`` can find: one table, from which docs/doctor.md is checked.

A finding's code never changes its meaning; scripts tell findings apart by it.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final


class Grade(enum.StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class FindingKind:
    """One thing that can be found.

    Attributes:
        check: What was looked at: a key of :data:`CHECKS`.
        meaning: In a line.
        fix: What to do; empty where nothing is.
    """

    check: str
    grade: Grade
    meaning: str
    fix: str = ""


CHECKS: Final[dict[str, str]] = {
    "server": "whether a gateway runs with the state folder, and answers",
    "listening": "the addresses that it listens on",
    "addresses": "a real connection and a GET /healthz to each address of the host",
    "firewall": "the rules of nftables and iptables, for a device that connects and for the answer",
    "ufw": "what ufw says of the port, where it is installed",
    "firewalld": "what firewalld says of the port, where it is installed",
    "proxy": "nginx, Apache, Caddy, HAProxy and the like on ports 80 and 443 of the host",
    "certificate": "the certificate that devices are shown",
    "tokens": "who gets a token, and over what",
    "files": "how many connections the gateway's file limit leaves room for",
    "clock": "whether the clock is kept right, and can be right",
    "disk": "room for the journal",
    "rights": "who can read the state folder",
}

_OK, _WARNING, _PROBLEM = Grade.OK, Grade.WARNING, Grade.PROBLEM

FINDINGS: Final[dict[str, FindingKind]] = {
    "server_runs": FindingKind("server", _OK, "a gateway runs and answers"),
    "server_missing": FindingKind(
        "server", _PROBLEM, "no gateway runs with this state folder", "start it"
    ),
    "server_port_taken": FindingKind(
        "server",
        _PROBLEM,
        "no gateway runs with this state folder, and another program has the port",
        "stop the other program, or start the gateway on another port",
    ),
    "server_elsewhere": FindingKind(
        "server",
        _WARNING,
        "a gateway answers on the port, but not one of this state folder",
        "run this with the --state of that gateway, as its user",
    ),
    "server_untold": FindingKind(
        "server",
        _PROBLEM,
        "whether a gateway runs cannot be told",
        "run this as the gateway's user, or as root",
    ),
    "server_other_port": FindingKind(
        "server",
        _PROBLEM,
        "the gateway runs on another port than --port names",
        "leave --port out",
    ),
    "server_silent": FindingKind(
        "server",
        _PROBLEM,
        "the gateway's process is there, but answers nowhere",
        "look at its log; if it says nothing, start it again",
    ),
    "server_degraded": FindingKind(
        "server", _PROBLEM, "the gateway answers, but cannot do its work", "mend what it says"
    ),
    "listening_outside": FindingKind("listening", _OK, "devices elsewhere can reach a socket"),
    "listening_behind_proxy": FindingKind(
        "listening", _OK, "on loopback only, and a proxy of this host is in front"
    ),
    "listening_inside": FindingKind(
        "listening",
        _PROBLEM,
        "on loopback only: nothing but this host can connect",
        "start it without --host, or with an address of this host",
    ),
    "addresses_answer": FindingKind("addresses", _OK, "each address listened on answers"),
    "addresses_silent": FindingKind(
        "addresses",
        _PROBLEM,
        "an address that is listened on does not answer",
        "look at the firewall's rules for connections of the host to itself",
    ),
    "addresses_other": FindingKind(
        "addresses",
        _PROBLEM,
        "something else than a gateway answers",
        "find out what it is, and give one of the two another port",
    ),
    "addresses_none": FindingKind(
        "addresses",
        _PROBLEM,
        "this host has no address beyond loopback",
        "connect it to a network",
    ),
    "firewall_open": FindingKind("firewall", _OK, "no rule keeps devices from the port"),
    "firewall_blocks": FindingKind(
        "firewall",
        _PROBLEM,
        "the rules keep devices from the port",
        "let the port in; what nft and iptables are told is gone at the next boot, unless saved",
    ),
    "firewall_depends": FindingKind(
        "firewall",
        _WARNING,
        "it depends on these rules whether a device gets in",
        "read them: who sends, how often, or more than is understood here decides",
    ),
    "firewall_unread": FindingKind(
        "firewall", _WARNING, "the rules cannot be read", "look as root"
    ),
    "firewall_no_tool": FindingKind(
        "firewall",
        _WARNING,
        "neither nft nor iptables is installed, so rules, if there are any, cannot be read",
        "install nftables to be sure",
    ),
    "ufw_lets_in": FindingKind("ufw", _OK, "ufw lets the port in, or is not active"),
    "ufw_blocks": FindingKind("ufw", _PROBLEM, "ufw keeps devices from the port", "let it in"),
    "ufw_depends": FindingKind("ufw", _WARNING, "it depends on these rules of ufw", "read them"),
    "ufw_unread": FindingKind("ufw", _WARNING, "ufw does not tell its state", "look as root"),
    "firewalld_lets_in": FindingKind(
        "firewalld", _OK, "firewalld lets the port in, or is not running"
    ),
    "firewalld_blocks": FindingKind(
        "firewalld", _PROBLEM, "firewalld keeps devices from the port", "let it in"
    ),
    "firewalld_depends": FindingKind(
        "firewalld", _WARNING, "it depends on these rules of firewalld", "read them"
    ),
    "firewalld_unread": FindingKind(
        "firewalld", _WARNING, "firewalld does not tell its state", "look as root"
    ),
    "proxy_none": FindingKind("proxy", _OK, "no proxy on ports 80 and 443"),
    "proxy_trusted": FindingKind("proxy", _OK, "a proxy is there, and proxies are trusted"),
    "proxy_untrusted": FindingKind(
        "proxy",
        _WARNING,
        "a proxy is there, and no proxy is trusted: who comes through it is seen with its address",
        "if it passes devices on, name its network; otherwise nothing",
    ),
    "certificate_good": FindingKind("certificate", _OK, "it is valid for weeks"),
    "certificate_none": FindingKind("certificate", _OK, "no TLS, and no public address"),
    "certificate_missing": FindingKind(
        "certificate",
        _WARNING,
        "an address is public and there is no TLS: tokens travel in the clear",
        "use TLS, or put a TLS proxy in front",
    ),
    "certificate_ends_soon": FindingKind(
        "certificate", _WARNING, "it ends soon", "renew it, then start the gateway again"
    ),
    "certificate_ended": FindingKind(
        "certificate",
        _PROBLEM,
        "it has ended: devices that check it turn away",
        "renew it, then start the gateway again",
    ),
    "certificate_future": FindingKind(
        "certificate",
        _PROBLEM,
        "it is not valid yet",
        "set the clock right, or have the certificate made again",
    ),
    "certificate_replaced": FindingKind(
        "certificate",
        _WARNING,
        "the gateway shows another certificate than its file holds",
        "start the gateway again, so that it takes the new one",
    ),
    "certificate_unread": FindingKind(
        "certificate", _WARNING, "the certificate cannot be looked at", "mend what it says"
    ),
    "tokens_kept": FindingKind("tokens", _OK, "tokens are not handed out now"),
    "tokens_window": FindingKind("tokens", _OK, "tokens are handed out for a while"),
    "tokens_open": FindingKind(
        "tokens",
        _WARNING,
        "anyone who can reach the port can fetch a token",
        "hand tokens out by a window, or by hand",
    ),
    "tokens_in_clear": FindingKind(
        "tokens",
        _WARNING,
        "tokens are handed out at a public address without TLS: others can read them",
        "close the window, and use TLS",
    ),
    "tokens_trouble": FindingKind(
        "tokens", _PROBLEM, "the token book cannot be used", "mend what it says"
    ),
    "files_enough": FindingKind("files", _OK, "there is room for many connections"),
    "files_few": FindingKind(
        "files",
        _WARNING,
        "the file limit leaves room for few connections",
        "raise the limit of open files, then start the gateway again",
    ),
    "files_spent": FindingKind(
        "files",
        _PROBLEM,
        "nearly all files that the gateway may open are open: it turns devices away",
        "raise the limit of open files, then start the gateway again",
    ),
    "clock_right": FindingKind("clock", _OK, "the clock is kept right"),
    "clock_free": FindingKind(
        "clock",
        _WARNING,
        "nothing keeps the clock right: times in the journal will drift",
        "turn time synchronisation on",
    ),
    "clock_untold": FindingKind(
        "clock", _WARNING, "nothing tells whether the clock is kept right", "compare it by eye"
    ),
    "clock_back": FindingKind(
        "clock",
        _WARNING,
        "a file of the state folder is from the future: the clock was set back",
        "check the clock; the journal keeps its order in any case",
    ),
    "clock_wrong": FindingKind(
        "clock", _PROBLEM, "the clock is years behind", "set it, and keep it synchronised"
    ),
    "disk_room": FindingKind("disk", _OK, "there is room"),
    "disk_tight": FindingKind(
        "disk",
        _WARNING,
        "the journal may outgrow the disk before the oldest goes",
        "start the gateway with a smaller journal, or free some space",
    ),
    "disk_full": FindingKind(
        "disk",
        _PROBLEM,
        "the disk is full: nothing is recorded, so nothing is acknowledged",
        "free some space",
    ),
    "disk_read_only": FindingKind(
        "disk", _PROBLEM, "the file system is read-only", "look at the kernel's log, then remount"
    ),
    "rights_private": FindingKind("rights", _OK, "for the gateway's user alone"),
    "rights_loose": FindingKind(
        "rights", _WARNING, "more rights than needed, and nothing in the open", "take them away"
    ),
    "rights_open": FindingKind(
        "rights", _PROBLEM, "others on this host can read or change the state", "take that away"
    ),
    "rights_foreign": FindingKind(
        "rights",
        _PROBLEM,
        "files belong to another user than the gateway's: it may not be able to write them",
        "give them to the gateway's user",
    ),
}
