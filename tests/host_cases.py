"""Hosts as wsdev doctor may find them: one that is well, and what can be wrong with it."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from wsdev.findings.facts import (
    CertificateFacts,
    ClockFacts,
    DiskFacts,
    FileLimits,
    FirewallFacts,
    HostFacts,
    Listening,
    Rights,
    TokenFacts,
    Visit,
)
from wsdev.firewall.fronts import FrontFacts
from wsdev.firewall.rules import BaseChain, Verdict
from wsdev.serve_note import ServeNote

NOW: Final = datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp()
DAY: Final = 86_400.0
INSIDE: Final = "192.168.1.7"
PUBLIC: Final = "9.9.9.9"

NOTE: Final = ServeNote(
    pid=4242,
    version="0.1.0",
    started=NOW - 60,
    addresses=[("0.0.0.0", 3000), ("::", 3000)],
    classes=["pico", "esp32cam"],
    max_connections=20_000,
    journal_max=2_000_000_000,
)

WELL: Final = HostFacts(
    command="wsdev",
    program="/usr/bin/wsdev",
    state="/home/pi/.local/state/wsdev",
    state_shown="~/.local/state/wsdev",
    state_option="",
    holder=4242,
    note=NOTE,
    is_told=True,
    port=3000,
    listening=(Listening("0.0.0.0", 3000, 4242, "wsdev"), Listening("::", 3000, 4242, "wsdev")),
    visits=(
        Visit(INSIDE, "eth0", "gateway", "ok", seconds=0.001),
        Visit("127.0.0.1", "lo", "gateway", "ok", seconds=0.001),
    ),
    firewall=FirewallFacts(("nft",), (), ((INSIDE, Verdict("open")),)),
    proxies=(),
    certificate=None,
    tokens=TokenFacts(live=2),
    files=FileLimits(20_064, 30),
    clock=ClockFacts(NOW, True, "the kernel", NOW - 5),
    disk=DiskFacts(50_000_000_000, 100_000_000_000, True, False, 1_000_000),
    rights=(Rights(".", 0o700, 1000), Rights("tokens.db", 0o600, 1000)),
    user=1000,
    gateway_user=1000,
)

CERTIFICATE: Final = CertificateFacts(
    "/etc/gw.pem", "", ("gw.example",), NOW - DAY, NOW + 90 * DAY, True, True
)
NGINX: Final = Listening("0.0.0.0", 443, 99, "nginx")
TLS: Final = msgspec.structs.replace(NOTE, tls_cert="/etc/gw.pem")


def changed(facts: HostFacts = WELL, **changes: Any) -> HostFacts:
    """The host with other facts."""
    return dataclasses.replace(facts, **changes)


def note(**changes: Any) -> HostFacts:
    """The host with a gateway that was started otherwise."""
    return changed(note=msgspec.structs.replace(NOTE, **changes))


def certificate(**changes: Any) -> HostFacts:
    """The host with TLS."""
    return changed(note=TLS, certificate=dataclasses.replace(CERTIFICATE, **changes))


def visits(*met: Visit) -> HostFacts:
    """The host whose addresses met something else."""
    return changed(visits=met)


def chain(tool: str = "nft", place: tuple[str, ...] = ("inet", "filter", "input")) -> BaseChain:
    """Where a verdict was made."""
    hook = place[-1].lower()
    return BaseChain(tool, place, hook, 0, frozenset({4, 6}), place[-1], {})


def firewall(doing: str, *rules: str, at: BaseChain | None = None, **fronts: Any) -> HostFacts:
    """The host with a firewall."""
    verdict = Verdict(doing, rules, at or chain())  # type: ignore[arg-type]
    return changed(firewall=FirewallFacts(("nft",), (), ((INSIDE, verdict),), **fronts))


def front(name: str, says: str, *lines: str) -> HostFacts:
    """The host with ufw or firewalld."""
    told: Any = {name: FrontFacts(says, lines)}  # type: ignore[arg-type]
    return changed(firewall=dataclasses.replace(WELL.firewall, **told))


def down(**more: Any) -> HostFacts:
    """The host with no gateway."""
    nobody: dict[str, Any] = {"holder": None, "is_told": False, "listening": (), "files": None}
    refused = (Visit(INSIDE, "eth0", "refused", detail="refuses the connection"),)
    return changed(**{**nobody, "visits": refused, **more})


def public(**more: Any) -> HostFacts:
    """The host with an address that everybody can reach."""
    return changed(visits=(Visit(PUBLIC, "eth0", "gateway", "ok"),), **more)


SILENT: Final = Visit(INSIDE, "eth0", "no answer", detail="no answer within 3 s")
INSIDE_ONLY: Final = (Listening("127.0.0.1", 3000, 4242, "wsdev"),)
OPEN_NOTE: Final = msgspec.structs.replace(NOTE, public_tokens="open")

REACH: Final[dict[str, HostFacts]] = {
    "server_runs": WELL,
    "server_missing": down(),
    "server_port_taken": down(listening=(Listening("0.0.0.0", 3000, 7, "node"),)),
    "server_elsewhere": down(
        visits=(Visit(INSIDE, "eth0", "gateway", "ok"),),
        listening=(Listening("0.0.0.0", 3000, 7, "wsdev"),),
    ),
    "server_untold": down(holder_trouble="cannot read the lock: Permission denied"),
    "server_other_port": changed(
        port=3100, listening=(), visits=(Visit(INSIDE, "eth0", "refused"),)
    ),
    "server_silent": visits(SILENT),
    "server_degraded": visits(Visit(INSIDE, "eth0", "gateway", "degraded", "disk full")),
    "listening_outside": WELL,
    "listening_behind_proxy": changed(listening=INSIDE_ONLY, proxies=(NGINX,)),
    "listening_inside": changed(listening=INSIDE_ONLY),
    "addresses_answer": WELL,
    "addresses_silent": visits(SILENT, Visit("192.168.2.7", "eth1", "gateway", "ok")),
    "addresses_other": visits(Visit(INSIDE, "eth0", "other", detail="answers HTTP/1.1 404")),
    "addresses_none": visits(Visit("127.0.0.1", "lo", "gateway", "ok")),
    "firewall_open": WELL,
    "firewall_blocks": firewall("blocks", "tcp dport 3000 drop"),
    "firewall_depends": firewall("depends", "ip saddr 10.0.0.0/8 accept", "policy drop"),
    "firewall_unread": changed(firewall=FirewallFacts(unread=(("nft", "you must be root"),))),
    "firewall_no_tool": changed(firewall=FirewallFacts()),
    "ufw_lets_in": front("ufw", "lets in", "3000/tcp ALLOW IN Anywhere"),
    "ufw_blocks": front("ufw", "blocks", "Default: deny (incoming)"),
    "ufw_depends": front("ufw", "depends", "3000/tcp ALLOW IN 10.0.0.0/8"),
    "ufw_unread": front("ufw", "unreadable", "ERROR: You need to be root"),
    "firewalld_lets_in": front("firewalld", "inactive"),
    "firewalld_blocks": front("firewalld", "blocks", "zone public: ports: none"),
    "firewalld_depends": front("firewalld", "depends", 'rule family="ipv4" accept'),
    "firewalld_unread": front("firewalld", "unreadable", "Authorization failed."),
    "proxy_none": WELL,
    "proxy_trusted": changed(
        note(trusted_proxy=["127.0.0.1/32"]), proxies=(NGINX,)
    ),
    "proxy_untrusted": changed(proxies=(NGINX,)),
    "certificate_good": certificate(),
    "certificate_none": WELL,
    "certificate_missing": public(),
    "certificate_ends_soon": certificate(ends=NOW + 20 * DAY),
    "certificate_ended": certificate(ends=NOW - DAY),
    "certificate_future": certificate(starts=NOW + DAY),
    "certificate_replaced": certificate(is_that_of_the_file=False),
    "certificate_unread": certificate(trouble="No such file or directory"),
}  # fmt: skip

CARE: Final[dict[str, HostFacts]] = {
    "tokens_kept": WELL,
    "tokens_window": changed(tokens=TokenFacts(window_left=300, live=2)),
    "tokens_open": changed(note=OPEN_NOTE),
    "tokens_in_clear": public(note=OPEN_NOTE),
    "tokens_trouble": changed(tokens=TokenFacts(trouble="the token book is damaged")),
    "files_enough": WELL,
    "files_few": changed(note(max_connections=192), files=FileLimits(256, 30)),
    "files_spent": changed(files=FileLimits(1024, 1000)),
    "clock_right": WELL,
    "clock_free": changed(clock=ClockFacts(NOW, False, "the kernel", 0)),
    "clock_untold": changed(clock=ClockFacts(NOW, None, "", 0)),
    "clock_back": changed(clock=ClockFacts(NOW, True, "the kernel", NOW + 3600)),
    "clock_wrong": changed(clock=ClockFacts(0.0, False, "the kernel", 0)),
    "disk_room": WELL,
    "disk_tight": changed(disk=DiskFacts(1_000_000_000, 2_000_000_000, True, False, 0)),
    "disk_full": changed(disk=DiskFacts(1_000_000, 2_000_000_000, True, False, 5_000_000)),
    "disk_read_only": changed(disk=DiskFacts(10**10, 10**11, True, True, 0)),
    "rights_private": WELL,
    "rights_loose": changed(rights=(Rights(".", 0o700, 1000), Rights("tokens.db", 0o644, 1000))),
    "rights_open": changed(rights=(Rights(".", 0o755, 1000), Rights("tokens.db", 0o644, 1000))),
    "rights_foreign": changed(rights=(Rights(".", 0o700, 1000), Rights("tokens.db", 0o600, 0))),
}

CASES: Final = REACH | CARE
