"""Findings about the way in: the server, its addresses, what stands in front of them."""

from __future__ import annotations

import ipaddress
import shlex
from collections.abc import Iterator
from typing import Final

from wsdev.findings.facts import CertificateFacts, HostFacts, Listening, Visit
from wsdev.findings.finding import Finding, found, moment
from wsdev.findings.kinds import Grade
from wsdev.firewall.fronts import FrontFacts
from wsdev.firewall.rules import INBOUND, BaseChain, Verdict

DAY: Final = 86_400.0
ENDS_SOON: Final = 21 * DAY
"""Let's Encrypt renews a certificate of 90 days when 30 are left: below 21 it has failed twice."""


def _socket(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def server(facts: HostFacts) -> Iterator[Finding]:
    """Whether a gateway runs, and answers."""
    if facts.holder_trouble:
        yield found("server_untold", facts.holder_trouble, command=facts.as_root)
    elif facts.is_running:
        yield _running(facts)
    else:
        yield _not_running(facts)


def _running(facts: HostFacts) -> Finding:
    who = f"process {facts.holder or '?'}"
    if facts.is_told:
        who += f", wsdev {facts.note.version}, since {moment(facts.note.started)}"
    answers = facts.answering
    if not answers and not facts.listening and facts.is_told and facts.note.port != facts.port:
        told = f"it was started with port {facts.note.port}, and nothing listens on {facts.port}"
        return found("server_other_port", who, told, command=_doctor_command(facts))
    if not answers:
        heard = [f"{_socket(v.address, facts.port)}: {v.detail}" for v in facts.visits[:4]]
        return found("server_silent", who, *heard, command=_logs_command(facts))
    degraded = next((visit for visit in answers if visit.health == "degraded"), None)
    if degraded is not None:
        told = f"/healthz says degraded: {degraded.detail}"
        return found("server_degraded", who, told, command=_health_command(facts, degraded))
    return found("server_runs", who, f"/healthz says {answers[0].health or 'nothing of its state'}")


def _logs_command(facts: HostFacts) -> str:
    return f"{facts.command} logs -n 20{facts.state_option}"


def _doctor_command(facts: HostFacts) -> str:
    return f"{facts.command} doctor{facts.state_option}"


def _health_command(facts: HostFacts, visit: Visit) -> str:
    scheme = "https -k" if facts.note.tls_cert else "http"
    scheme, _, option = scheme.partition(" ")
    where = f"{scheme}://{_socket(visit.address, facts.port)}/healthz"
    return " ".join(filter(None, ("curl", option, where)))


def _not_running(facts: HostFacts) -> Finding:
    nobody = f"nobody holds {facts.state_shown}"
    if facts.answering:
        where = _socket(facts.answering[0].address, facts.port)
        command = f"ps -o user,args -p {_owners_pid(facts)}" if _owners_pid(facts) else ""
        return found("server_elsewhere", nobody, f"a gateway answers at {where}", command=command)
    if facts.listening:
        sockets = [f"{_socket(s.address, s.port)} is {s.owner or '?'}'s" for s in facts.listening]
        return found(
            "server_port_taken",
            nobody,
            *sockets,
            command=f"{facts.command} serve{facts.state_option} --port {facts.port + 100}",
        )
    port = "" if facts.port == facts.note.port else f" --port {facts.port}"
    return found(
        "server_missing",
        f"{nobody}, and nothing listens on port {facts.port}",
        command=f"{facts.command} serve{facts.state_option}{port}",
    )


def _owners_pid(facts: HostFacts) -> int | None:
    return next((sock.pid for sock in facts.listening if sock.pid), None)


def listening(facts: HostFacts) -> Iterator[Finding]:
    """Which sockets there are."""
    if not facts.listening:
        return
    shown = ", ".join(_socket(sock.address, sock.port) for sock in facts.listening)
    if any(sock.beyond_loopback for sock in facts.listening):
        yield found("listening_outside", shown)
    elif facts.proxies:
        yield found("listening_behind_proxy", shown, _proxies_text(facts.proxies))
    else:
        port = f" --port {facts.port}"
        yield found(
            "listening_inside", shown, command=f"{facts.command} serve{facts.state_option}{port}"
        )


def addresses(facts: HostFacts) -> Iterator[Finding]:
    """What a connection to each address met."""
    outside = facts.outside
    if not outside:
        yield found("addresses_none", "only loopback", command="ip address")
        return
    if not facts.listening:
        return
    lines: dict[Grade | str, list[str]] = {"ok": [], "silent": [], "other": []}
    for visit in outside:
        where = _socket(visit.address, facts.port) + (
            f" ({visit.interface})" * bool(visit.interface)
        )
        if visit.outcome == "gateway":
            told = f"answers in {visit.seconds * 1000:.1f} ms"
            lines["ok"].append(f"{where} {told}")
        elif not any(sock.covers(visit.address) for sock in facts.listening):
            lines["ok"].append(f"{where} is not listened on")
        elif visit.outcome == "other":
            lines["other"].append(f"{where}: {visit.detail}")
        else:
            lines["silent"].append(f"{where}: {visit.detail}")
    if lines["silent"]:
        yield found("addresses_silent", *lines["silent"], *lines["ok"])
    if lines["other"]:
        command = f"sudo ss -ltnp 'sport = :{facts.port}'"
        yield found("addresses_other", *lines["other"], command=command)
    if not lines["silent"] and not lines["other"]:
        yield found("addresses_answer", *lines["ok"])


# The firewall


def firewall(facts: HostFacts) -> Iterator[Finding]:
    """What the rules do."""
    unread = [f"{tool}: {why}" for tool, why in facts.firewall.unread]
    blocked = [each for each in facts.firewall.verdicts if each[1].doing == "blocks"]
    unsure = [each for each in facts.firewall.verdicts if each[1].doing == "depends"]
    if blocked:
        command = " && ".join(dict.fromkeys(_let_in(facts, verdict) for _, verdict in blocked))
        yield found("firewall_blocks", *_rule_lines(blocked), command=command)
    elif unsure:
        (_, verdict), *_ = unsure
        yield found("firewall_depends", *_rule_lines(unsure), command=_show_rules(verdict))
    if unread:
        yield found("firewall_unread", *unread, command=facts.as_root)
    elif not facts.firewall.read:
        yield found("firewall_no_tool", command="sudo apt-get install nftables")
    elif not blocked and not unsure:
        count = len(facts.firewall.verdicts)
        told = f"rules read with {', '.join(facts.firewall.read)}, for {count} addresses"
        yield found("firewall_open", told)


def _rule_lines(verdicts: list[tuple[str, Verdict]]) -> list[str]:
    """The rules that matter, each once, and for which addresses."""
    lines: list[str] = []
    for verdict in dict.fromkeys(verdict for _, verdict in verdicts):
        where = ", ".join(address for address, each in verdicts if each == verdict)
        base = verdict.at
        place = f" in {base.tool} {' '.join(base.place)}" if base else ""
        way = "devices" if base is None or base.hook in INBOUND else "the answers"
        lines.append(f"{way} at {where}{place}:")
        lines += [f"  {rule}" for rule in verdict.rules[:6]]
        if len(verdict.rules) > 6:
            lines.append(f"  and {len(verdict.rules) - 6} more")
    return lines


def _let_in(facts: HostFacts, verdict: Verdict) -> str:
    """A command that lets the port in, by the front that the host uses."""
    base = verdict.at
    assert base is not None
    is_inbound = base.hook in INBOUND
    if (
        is_inbound
        and facts.firewall.ufw
        and facts.firewall.ufw.says not in ("inactive", "unreadable")
    ):
        return _UFW_COMMAND.format(port=facts.port)
    if is_inbound and facts.firewall.firewalld and _is_on(facts.firewall.firewalld):
        return _FIREWALLD_COMMAND.format(port=facts.port)
    return _insert(base, facts.port, is_inbound=is_inbound)


def _insert(base: BaseChain, port: int, *, is_inbound: bool) -> str:
    tool, place = base.tool, base.place
    if tool == "nft" and place[2] in _CHAINS_OF_IPTABLES:
        tool, place = ("iptables" if place[0] == "ip" else "ip6tables"), place[1:]
    if tool == "nft":
        what = f"tcp dport {port}" if is_inbound else f"tcp sport {port} ct state established"
        return f"sudo nft insert rule {' '.join(place)} {what} accept"
    table, chain = place
    shown = "" if table == "filter" else f" -t {table}"
    end = "--dport" if is_inbound else "--sport"
    return f"sudo {tool}{shown} -I {chain} -p tcp {end} {port} -j ACCEPT"


_CHAINS_OF_IPTABLES: Final = frozenset({"PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"})
"""Names that iptables gives to chains in nftables, where it does not want nft to write."""


def _show_rules(verdict: Verdict) -> str:
    base = verdict.at
    if base is None or base.tool == "nft":
        return "sudo nft list ruleset"
    return f"sudo {base.tool} -t {base.place[0]} -nvL"


_UFW_COMMAND: Final = "sudo ufw allow {port}/tcp"
_FIREWALLD_COMMAND: Final = (
    "sudo firewall-cmd --add-port={port}/tcp && sudo firewall-cmd --runtime-to-permanent"
)


def _is_on(front: FrontFacts) -> bool:
    return front.says not in ("inactive", "unreadable")


def ufw(facts: HostFacts) -> Iterator[Finding]:
    """What ufw says."""
    yield from _front(facts, "ufw", facts.firewall.ufw, _UFW_COMMAND, "sudo ufw status verbose")


def firewalld(facts: HostFacts) -> Iterator[Finding]:
    """What firewalld says."""
    told = facts.firewall.firewalld
    yield from _front(facts, "firewalld", told, _FIREWALLD_COMMAND, "sudo firewall-cmd --list-all")


def _front(
    facts: HostFacts, name: str, told: FrontFacts | None, let_in: str, show: str
) -> Iterator[Finding]:
    if told is None:
        return
    match told.says:
        case "inactive" | "lets in":
            yield found(f"{name}_lets_in", *(told.lines or ("not active",)))
        case "blocks":
            yield found(f"{name}_blocks", *told.lines, command=let_in.format(port=facts.port))
        case "depends":
            yield found(f"{name}_depends", *told.lines, command=show)
        case "unreadable":
            yield found(f"{name}_unread", *told.lines, command=facts.as_root)


# In front


def _proxies_text(proxies: tuple[Listening, ...]) -> str:
    return ", ".join(f"{p.owner or '?'} at {_socket(p.address, p.port)}" for p in proxies)


def proxy(facts: HostFacts) -> Iterator[Finding]:
    """Programs of the host that pass requests on."""
    trusted = ", ".join(facts.note.trusted_proxy)
    if not facts.proxies:
        yield found("proxy_none", f"trusted elsewhere: {trusted}" if trusted else "")
    elif trusted:
        yield found("proxy_trusted", _proxies_text(facts.proxies), f"trusted: {trusted}")
    else:
        yield found(
            "proxy_untrusted",
            _proxies_text(facts.proxies),
            command=f"{facts.command} serve{facts.state_option}"
            " --trusted-proxy 127.0.0.1 --trusted-proxy ::1",
        )


def certificate(facts: HostFacts) -> Iterator[Finding]:
    """What devices are shown for TLS."""
    told = facts.certificate
    if told is None:
        if facts.is_public and not facts.proxies:
            public = [
                visit.address
                for visit in facts.outside
                if ipaddress.ip_address(visit.address).is_global
            ]
            yield found(
                "certificate_missing",
                ", ".join(public),
                command=f"{facts.command} serve{facts.state_option}"
                " --tls-cert fullchain.pem --tls-key privkey.pem",
            )
        else:
            yield found("certificate_none")
        return
    if told.trouble:
        yield found("certificate_unread", f"{told.file}: {told.trouble}")
        return
    yield from _certificate(facts, told)


def _certificate(facts: HostFacts, told: CertificateFacts) -> Iterator[Finding]:
    left = told.ends - facts.clock.now
    lines = [
        f"{told.file}, for {', '.join(told.names) or 'no name'}",
        f"ends in {left / DAY:.0f} days" if left > 0 else f"ended {-left / DAY:.0f} days ago",
        "" if told.is_trusted else "this host does not trust its issuer: clients need --cacert",
    ]
    show = f"openssl x509 -noout -subject -dates -in {shlex.quote(told.file)}"
    if told.starts > facts.clock.now:
        yield found("certificate_future", *lines, command="date")
    elif left <= 0:
        yield found("certificate_ended", *lines, command=show)
    elif left < ENDS_SOON:
        yield found("certificate_ends_soon", *lines, command=show)
    elif told.is_that_of_the_file is not False:
        yield found("certificate_good", *lines)
    if told.is_that_of_the_file is False:
        yield found("certificate_replaced", *lines)
