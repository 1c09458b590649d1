"""From what was seen of name, route, TCP and TLS to a verdict. Pure."""

from __future__ import annotations

import datetime
import ipaddress
from typing import Final

from wsdev.diagnosis.facts import (
    AddressFacts,
    Certificate,
    Ending,
    Facts,
    HttpFacts,
    NameFacts,
    NameTrouble,
    TcpOutcome,
    TlsFacts,
)
from wsdev.diagnosis.verdict import Verdict, verdict
from wsdev.layers import Layer
from wsdev.protocol import DEFAULT_PORT

_DEFAULT_PORT_ANSWERS: Final = f"port {DEFAULT_PORT} of the same host takes connections"

_ITSELF: Final = "a loopback address means this very device, so the gateway has to run on it"
_START_HERE: Final = "start wsdev serve here, or give the gateway's own address"

TOLD_AT_ONCE: Final = 0.9
NEIGHBOUR_PATIENCE: Final = 2.5
"""Seconds: an unreachable host after less than the first was told by a router's or firewall's ICMP.
After more it may be that the first ICMP was lost and the second SYN, a second later, got another;
or nobody on this network has the address (Linux asks three times, a second apart:
net.ipv4.neigh.*.mcast_solicit and retrans_time_ms). A second try tells them apart: it is rejected
within the latter if somebody says no."""

EARLIEST_CLOCK: Final = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC).timestamp()
"""A clock before this wsdev was written is wrong."""

DAY: Final = 86400.0

CLOCKS_APART: Final = 1800.0
"""Seconds from which on two clocks differ for a reason: the smallest step between time zones."""

_NAME_CODES: Final = {
    NameTrouble.MALFORMED: "name_malformed",
    NameTrouble.UNKNOWN: "name_unknown",
    NameTrouble.WITHOUT_ADDRESS: "name_without_address",
    NameTrouble.UNANSWERED: "name_unanswered",
    NameTrouble.NOT_ASKED: "no_socket",
}

# OpenSSL's X509_V_ERR_… (include/openssl/x509_vfy.h).
_NOT_YET_VALID, _EXPIRED = 9, 10
_SELF_SIGNED_LEAF: Final = 18
_ISSUER_NOT_FOUND: Final = frozenset({2, 19, 20, 21})
_WRONG_NAME: Final = frozenset({62, 63, 64})

# OpenSSL's reasons (include/openssl/sslerr.h): bytes that are no TLS record, and old versions.
_NOT_TLS: Final = frozenset({
    "WRONG_VERSION_NUMBER", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "PACKET_LENGTH_TOO_LONG",
    "RECORD_LAYER_FAILURE", "UNKNOWN_PROTOCOL", "UNEXPECTED_MESSAGE", "BAD_RECORD_TYPE",
})  # fmt: skip
_BY_REASON: Final = {
    "UNSUPPORTED_PROTOCOL": "tls_too_old",
    "TLSV1_ALERT_PROTOCOL_VERSION": "tls_too_old",
    "VERSION_TOO_LOW": "tls_too_old",
    "WRONG_SSL_VERSION": "tls_too_old",
    "TLSV1_UNRECOGNIZED_NAME": "tls_name_unknown",
    "UNRECOGNIZED_NAME": "tls_name_unknown",
}
_WANTS_CERTIFICATE: Final = frozenset({
    "TLSV13_ALERT_CERTIFICATE_REQUIRED", "SSLV3_ALERT_BAD_CERTIFICATE"
})  # fmt: skip

_ISSUERS_DATES: Final = "the server's own certificate is valid now: one of its issuers' is not"
_MEND_CHAIN: Final = "let the server send a chain without it; update ca-certificates on this host"

_NGINX_WANTS_CERTIFICATE: Final = "No required SSL certificate was sent"
"""In the page with which nginx answers over TLS (ngx_http_special_response.c)."""


def name_verdict(name: NameFacts) -> Verdict | None:
    """What is wrong with the name, if anything is."""
    if name.trouble is None:
        return None
    seen = [f"looking up {name.host!r}: {name.system_says}"]
    if name.trouble is NameTrouble.UNANSWERED:
        return _dns_verdict(name, seen)
    if name.trouble is NameTrouble.UNKNOWN:
        return _unknown(name.host, seen)
    layer = Layer.NAME if name.trouble is NameTrouble.NOT_ASKED else None
    return verdict(_NAME_CODES[name.trouble], *seen, layer=layer)


def _unknown(host: str, seen: list[str]) -> Verdict:
    address, mark, interface = host.partition("%")
    if mark and ":" in address:
        seen.append(f"no interface of this host is called {interface}")
        return verdict("name_unknown", *seen, fix="use one of this host's interfaces: ip link")
    if host.lower().rstrip(".").endswith(".local"):
        seen.append("a .local name needs mDNS (avahi-daemon, libnss-mdns) on this host")
    return verdict("name_unknown", *seen)


def _dns_verdict(name: NameFacts, seen: list[str]) -> Verdict:
    if name.servers is None:
        return verdict("name_unanswered", *seen)
    if not name.servers:
        return verdict("no_name_server", *seen, "no DNS server is set in /etc/resolv.conf")
    for server in name.servers:
        said = f"answers {server.says}" if server.says else server.trouble
        seen.append(f"DNS server {server.ip}: {said or 'a broken answer'}")
    answered = any(server.says for server in name.servers)
    return verdict("name_server_fails" if answered else "name_unanswered", *seen)


def tcp_verdict(facts: Facts) -> Verdict | None:
    """What is wrong with route or TCP, if no address took the connection."""
    name = facts.name
    if name is None or facts.connected or not name.addresses:
        return None
    if any(address.outcome is None for address in name.addresses):
        return None  # not tried yet
    seen = [attempt(address) for address in name.addresses]
    outcomes = {address.outcome for address in name.addresses}
    if TcpOutcome.REFUSED in outcomes:
        return _refused(facts, seen)
    if TcpOutcome.REJECTED in outcomes:
        return verdict("rejected" if _was_told(name) else "host_absent", *seen)
    if TcpOutcome.UNANSWERED in outcomes:
        return _unanswered(facts, seen)
    if TcpOutcome.TURNED_BACK in outcomes:
        return verdict("router_no_route", *seen)
    if TcpOutcome.UNREACHABLE in outcomes:
        return _no_route(name, seen)
    tried = any(one.seconds is not None for one in name.addresses)
    return verdict("no_socket", *seen, layer=None if tried else Layer.ROUTE)


def _was_told(name: NameFacts) -> bool:
    """Whether somebody on the way said no, rather than nobody being there."""
    return any(
        one.rejected_again or (one.seconds or 0.0) < TOLD_AT_ONCE
        for one in name.addresses
        if one.outcome is TcpOutcome.REJECTED
    )


def attempt(address: AddressFacts) -> str:
    """What happened at one address, in one line."""
    where = f"[{address.ip}]" if ":" in address.ip else address.ip
    where = f"{where}:{address.port}"
    took = f" after {address.seconds * 1000:.1f} ms" if address.seconds is not None else ""
    said = f" ({address.system_says})" if address.system_says else ""
    match address.outcome:
        case TcpOutcome.CONNECTED:
            return f"{where} took the connection{took}"
        case TcpOutcome.UNANSWERED:
            return f"{where} gave no answer for {address.seconds or 0.0:.1f} s"
        case TcpOutcome.UNREACHABLE:
            return f"{where}: no way there from this host{said}"
        case TcpOutcome.TURNED_BACK:
            return f"{where}: turned back{took}{said}"
        case _:
            return f"{where} {address.outcome}{took}{said}"


def _refused(facts: Facts, seen: list[str]) -> Verdict:
    looks = facts.second
    addresses = [ipaddress.ip_address(one.ip) for one in facts.name.addresses] if facts.name else []
    if all(address.is_unspecified for address in addresses):
        return verdict("wildcard_address", *seen)
    itself = all(address.is_loopback for address in addresses)
    if looks.loopback is not None:
        other = f"{looks.loopback} port {facts.port} takes connections"
        return verdict("loopback_family" if itself else "loopback_only", *seen, other)
    if looks.default_port:
        return verdict("wrong_port", *seen, _DEFAULT_PORT_ANSWERS)
    if itself:
        return verdict("refused", *seen, _ITSELF, fix=_START_HERE)
    return verdict("refused", *seen)


def _unanswered(facts: Facts, seen: list[str]) -> Verdict:
    if facts.second.default_port:
        fix = f"add :{DEFAULT_PORT} to the address, or open port {facts.port} in the firewall"
        return verdict("unanswered", *seen, _DEFAULT_PORT_ANSWERS, fix=fix)
    return verdict("unanswered", *seen)


def _no_route(name: NameFacts, seen: list[str]) -> Verdict:
    families = {address.family for address in name.addresses}
    others = [family for family in name.routed_families if family not in families]
    if len(families) == 1 and others and name.host != name.addresses[0].ip:
        return verdict("family_unreachable", *seen, f"{others[0]} has a way out of this host")
    if all(_lacks_scope(address.ip) for address in name.addresses):
        return verdict("scope_missing", *seen)
    known = " and ".join(name.routed_families)
    ways = f"{known} only" if len(name.routed_families) == 1 else known or "neither IPv4 nor IPv6"
    return verdict("no_route", *seen, f"ways out of this host: {ways}")


def _lacks_scope(ip: str) -> bool:
    address = ipaddress.ip_address(ip)
    return address.version == 6 and address.is_link_local and not address.scope_id


# TLS


def tls_verdict(facts: Facts) -> Verdict | None:
    """What is wrong with TLS, if it was wanted and did not come about."""
    tls = facts.tls_seen
    if tls is None:
        return None
    asked = _wants_certificate(facts, tls)
    if asked:
        return verdict("tls_client_certificate", _reason(tls), asked)
    if tls.verify_code is not None:
        return _certificate_verdict(facts, tls, tls.verify_code)
    if tls.version is not None:
        return None
    plain = facts.second.plain_answer
    is_http = plain is not None and plain.answer is not None
    if tls.reason in _NOT_TLS or (is_http and not spoke_tls(tls)):
        return verdict("tls_not_spoken", _reason(tls), _plain(plain))
    if tls.reason:
        return verdict(tls_fault(tls.reason), _reason(tls), f"asked for {facts.host}")
    if tls.ended is Ending.SILENCE:
        return verdict("tls_unanswered", "TCP is connected, and no answer came to the ClientHello")
    return verdict("tls_cut", f"the connection ended ({tls.ended}) after the ClientHello")


def spoke_tls(tls: TlsFacts) -> bool:
    """Whether the other end answered in TLS, if only to refuse.

    What it says to a plain request then proves nothing: nginx has a page for those who forget TLS.
    """
    return bool(tls.reason) and tls.reason not in _NOT_TLS


def _wants_certificate(facts: Facts, tls: TlsFacts) -> str:
    """What shows that the server wants a certificate from the device; empty if nothing does."""
    if tls.reason in _WANTS_CERTIFICATE:
        return "the alert is for a certificate that the device did not send"
    if tls.asks_certificate:
        return "the server's part of the handshake asks for a certificate"
    asked = facts.health
    if asked is None or asked.answer is None or asked.answer.status != 400:
        return ""
    told = _NGINX_WANTS_CERTIFICATE in asked.answer.start
    return f"GET {asked.path} is answered: {_NGINX_WANTS_CERTIFICATE}" if told else ""


def certificate_fault(verify_code: int) -> str:
    """The fault that OpenSSL's number stands for, as far as it alone tells."""
    if verify_code in (_NOT_YET_VALID, _EXPIRED):
        return "certificate_expired" if verify_code == _EXPIRED else "certificate_not_yet_valid"
    if verify_code in _WRONG_NAME:
        return "certificate_wrong_name"
    if verify_code == _SELF_SIGNED_LEAF:
        return "certificate_self_signed"
    return "issuer_unknown" if verify_code in _ISSUER_NOT_FOUND else "certificate_refused"


def tls_fault(reason: str) -> str:
    """The fault that OpenSSL's reason for a failed handshake stands for."""
    if reason in _NOT_TLS:
        return "tls_not_spoken"
    if reason in _WANTS_CERTIFICATE:
        return "tls_client_certificate"
    return _BY_REASON.get(reason, "tls_failed")


def _reason(tls: TlsFacts) -> str:
    return f"OpenSSL says: {tls.reason.replace('_', ' ').lower()}" if tls.reason else ""


def _plain(plain: HttpFacts | None) -> str:
    if plain is None:
        return ""
    if plain.answer is not None:
        return f"a plain request there is answered with HTTP {plain.answer.status}"
    first = plain.first_bytes[:40]
    return f"without TLS the port says: {first}" if first else ""


def _certificate_verdict(facts: Facts, tls: TlsFacts, code: int) -> Verdict:
    about = tls.certificate
    seen = [tls.verify_message, describe(about) if about else ""]
    fault = certificate_fault(code)
    if code in (_NOT_YET_VALID, _EXPIRED):
        clock = _clock_evidence(tls, about)
        if clock:
            return verdict("clock_wrong", *seen, *clock)
        if about and about.not_before <= (tls.asked_at or 0.0) <= about.not_after:
            return verdict(fault, *seen, _ISSUERS_DATES, fix=_MEND_CHAIN)
        return verdict(fault, *seen)
    if code in _WRONG_NAME:
        return verdict(fault, *seen, f"asked for {facts.host}")
    if code in _ISSUER_NOT_FOUND:
        if about is not None and about.self_signed:
            return verdict("certificate_self_signed", *seen)
        if about and about.chain_length == 1 and (about.tells_issuer or tls.issuer_akin):
            alone = "the server sent this one certificate only"
            return verdict("intermediate_missing", *seen, alone)
        only = "trusted here are the issuers in the --cacert file only" if tls.own_issuers else ""
        return verdict(fault, *seen, only)
    return verdict(fault, *seen)


def _clock_evidence(tls: TlsFacts, about: Certificate | None) -> list[str]:
    """Lines that prove our own clock wrong; none if nothing does."""
    if tls.asked_at is None:
        return []
    ours = f"the clock here says {day(tls.asked_at)}"
    if tls.asked_at < EARLIEST_CLOCK:
        return [ours, "this wsdev is younger than that"]
    theirs = tls.server_time
    if theirs is None or about is None or abs(theirs - tls.asked_at) < CLOCKS_APART:
        return []
    if about.not_before <= theirs <= about.not_after:
        return [ours, f"the server says {day(theirs)}, when the certificate is valid"]
    return []


def describe(certificate: Certificate) -> str:
    """Names, issuer and validity in one line."""
    names = ", ".join(certificate.names[:5]) or certificate.subject or "no name"
    more = f" and {len(certificate.names) - 5} more" if len(certificate.names) > 5 else ""
    valid = f"{day(certificate.not_before)} to {day(certificate.not_after)}"
    return f"certificate for {names}{more}, issued by {certificate.issuer}, valid {valid}"


def day(seconds: float) -> str:
    """A Unix time as a day and minute in UTC."""
    try:
        moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    except (ValueError, OverflowError, OSError):
        return f"{seconds:.0f} s after 1970"
    return f"{moment:%Y-%m-%d %H:%M} UTC"
