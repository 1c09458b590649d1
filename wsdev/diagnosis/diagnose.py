"""Facts in, verdict out: the first layer that broke, and what deserves a remark. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Final

import msgspec

from wsdev.diagnosis.answer_rules import (
    refusal_verdict,
    silence_verdict,
    stranger_verdict,
    upgrade_verdict,
)
from wsdev.diagnosis.facts import Facts, TcpOutcome
from wsdev.diagnosis.path_rules import (
    DAY,
    attempt,
    day,
    name_verdict,
    spoke_tls,
    tcp_verdict,
    tls_verdict,
)
from wsdev.diagnosis.talk_rules import quality_verdict, talk_verdict
from wsdev.diagnosis.verdict import Verdict, verdict
from wsdev.sanitize import printable

CLOCK_TOLERANCE: Final = 60.0
"""Seconds between two clocks that are worth a remark."""

CERTIFICATE_WARNING: Final = 14 * DAY


def diagnose(facts: Facts) -> Verdict | None:
    """The first broken layer; None if all that was tried worked.

    Whatever is None in ``facts`` was not tried, and is not judged.
    """
    found = name_verdict(facts.name) if facts.name else None
    found = found or tcp_verdict(facts) or _tls(facts) or _http(facts) or _token(facts)
    if found is None and facts.upgrade is not None:
        found = upgrade_verdict(facts, facts.upgrade)
    if found is None and facts.talk is not None:
        found = talk_verdict(facts.talk, facts.second.health) or quality_verdict(
            facts.talk, facts.quality
        )
    return found


def _tls(facts: Facts) -> Verdict | None:
    found = tls_verdict(facts)
    tls, plain = facts.tls_seen, facts.second.plain_answer
    if found is None or tls is None or plain is None or plain.answer is not None:
        return found
    if not spoke_tls(tls) and (plain.first_bytes or facts.second.speaks_mqtt):
        # Not TLS, and not a gateway without TLS either: what it is tells more.
        return silence_verdict(facts, plain)
    return found


def _http(facts: Facts) -> Verdict | None:
    """A request before the upgrade that got no answer. A strange one is left to what follows."""
    asked = facts.health
    if asked is None or asked.answer is not None:
        return None
    return silence_verdict(facts, asked)


def _token(facts: Facts) -> Verdict | None:
    asked = facts.token.fetched
    if asked is None or facts.token.usable:
        return None
    if asked.answer is None:
        return silence_verdict(facts, asked)
    if asked.answer.refusal is not None:
        return refusal_verdict(asked.answer, asked.path)
    if facts.token.offered:
        offered = f"it offers: {', '.join(facts.token.offered)}"
        return verdict("token_not_offered", offered)
    return stranger_verdict(facts, asked.answer, asked.path)


# Remarks


class Remark(msgspec.Struct, frozen=True):
    """Something that works now and will bite: a warning beside the verdict."""

    code: str
    what: str
    fix: str


REMARKS: Final[dict[str, tuple[str, str]]] = {
    "first_address_fails": (
        "the first address of the name does not answer; a device that tries only one stays out",
        "let the name mean the address that works, or let the server listen on both families",
    ),
    "clock_differs": (
        "the clocks of this device and of the gateway differ",
        "set the clock: timedatectl set-ntp true; TLS needs it right",
    ),
    "certificate_ends_soon": (
        "the server's certificate expires within 14 days",
        "renew it, and restart the server",
    ),
    "token_in_clear": (
        "the token crossed a public network unencrypted: anyone on the way can read it",
        "use wss://: start wsdev serve with --tls-cert, or put a TLS proxy in front",
    ),
    "certificate_not_checked": (
        "the certificate was not checked (--insecure): anyone could be in between",
        "leave --insecure out once the fault is found",
    ),
}
"""What and fix of each remark, by code."""


def remarks(facts: Facts) -> list[Remark]:
    """What deserves a warning though it works."""
    found: list[Remark] = []

    def remark(code: str, detail: str) -> None:
        what, fix = REMARKS[code]
        found.append(Remark(code, f"{what} ({printable(detail)})" if detail else what, fix))

    used = facts.connected
    if facts.name and used and facts.name.addresses[0].outcome is not TcpOutcome.CONNECTED:
        remark("first_address_fails", attempt(facts.name.addresses[0]))
    tls = facts.tls_seen
    if tls and tls.version and tls.certificate and tls.asked_at is not None:
        if not tls.verified:
            remark("certificate_not_checked", "")
        elif tls.certificate.not_after - tls.asked_at < CERTIFICATE_WARNING:
            remark("certificate_ends_soon", day(tls.certificate.not_after))
    in_clear = used and not facts.tls and facts.upgrade and facts.upgrade.sent_token
    if used and in_clear and ipaddress.ip_address(used.ip).is_global:
        remark("token_in_clear", used.ip)
    _remark_clock(facts, remark)
    return found


def _remark_clock(facts: Facts, remark: Callable[[str, str], None]) -> None:
    talk = facts.talk
    if talk is None or talk.server_time is None or talk.asked_at is None:
        return
    if abs(talk.server_time - talk.asked_at) > CLOCK_TOLERANCE:
        remark("clock_differs", f"here {day(talk.asked_at)}, there {day(talk.server_time)}")
