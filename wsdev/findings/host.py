"""Facts → findings, and from them what to run in the field. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from wsdev.findings import care, reach
from wsdev.findings.facts import HostFacts, Visit
from wsdev.findings.finding import Finding
from wsdev.findings.kinds import Grade

CHECKS: Final[Mapping[str, Callable[[HostFacts], Iterator[Finding]]]] = {
    "server": reach.server,
    "listening": reach.listening,
    "addresses": reach.addresses,
    "firewall": reach.firewall,
    "ufw": reach.ufw,
    "firewalld": reach.firewalld,
    "proxy": reach.proxy,
    "certificate": reach.certificate,
    "tokens": care.tokens,
    "files": care.files,
    "clock": care.clock,
    "disk": care.disk,
    "rights": care.rights,
}
"""In the order in which they are told: the first thing that is wrong is the first to mend."""


@dataclass(frozen=True, slots=True)
class WayIn:
    """How to come in from elsewhere.

    Attributes:
        connect: The command to run in the field.
        page: The gateway's page for a phone.
        note: What has to be done first; may be empty.
    """

    connect: str
    page: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All findings, and the way in; None if nothing outside this host can come in."""

    findings: tuple[Finding, ...]
    way_in: WayIn | None

    def count(self, grade: Grade) -> int:
        """How many findings of a grade there are."""
        return sum(finding.grade is grade for finding in self.findings)


def diagnose(facts: HostFacts) -> Diagnosis:
    """What the facts mean."""
    findings = tuple(finding for check in CHECKS.values() for finding in check(facts))
    return Diagnosis(findings, _way_in(facts))


def _way_in(facts: HostFacts) -> WayIn | None:
    visit = next((v for v in facts.outside if v.outcome == "gateway"), None)
    if visit is None:
        return None
    host = _host(facts, visit)
    tls = facts.note.tls_cert is not None
    device = (facts.note.classes or ["pico"])[0]
    words = [
        f"wsdev connect --device {device} --url {'wss' if tls else 'ws'}://{host}:{facts.port}"
    ]
    notes = []
    certificate = facts.certificate
    if certificate is not None and not certificate.trouble and not certificate.is_trusted:
        words.append("--cacert ca.pem")
        notes.append("ca.pem is the issuer's certificate, copied from this host")
    is_readable = certificate is not None and not certificate.trouble
    by_address = host == _bracketed(visit.address)
    if certificate and is_readable and by_address and visit.address not in certificate.names:
        names = ", ".join(certificate.names) or "no name"
        notes.append(f"the certificate is for {names}: give the gateway one for this address")
    policy = facts.note.public_tokens
    if not (policy == "open" or (policy == "window" and facts.tokens.window_left > 0)):
        words.append("--token-file token.txt")
        create = f"wsdev tokens create --device {device} --name NAME{facts.state_option}"
        notes.append(f"token.txt holds a token, made on this host with: {create}")
    page = f"{'https' if tls else 'http'}://{host}:{facts.port}/"
    return WayIn(" ".join(words), page, "; ".join(notes))


def _host(facts: HostFacts, visit: Visit) -> str:
    """A name of the certificate if there is one, since an address would not be accepted."""
    certificate = facts.certificate
    if certificate is not None and visit.address not in certificate.names:
        for name in certificate.names:
            if "*" not in name and name != "localhost":
                return _bracketed(name)
    return _bracketed(visit.address)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
