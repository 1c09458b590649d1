"""Who is calling: addresses, hops behind proxies, local trust."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from wsdev import callers
from wsdev.callers import Caller, IPAddress
from wsdev.request_head import Fields


def ip(text: str) -> IPAddress:
    address = callers.parse_ip(text)
    assert address is not None
    return address


def networks(*texts: str) -> list[callers.IPNetwork]:
    return [ipaddress.ip_network(text) for text in texts]


# Addresses


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::ffff:127.0.0.1", "127.0.0.1"),
        ("::FFFF:7f00:2", "127.0.0.2"),
        ("::1", "::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:192.0.2.1%eth0", "192.0.2.1"),
        ("2001:DB8::0001", "2001:db8::1"),
    ],
)
def test_addresses_are_unwrapped_and_lose_their_scope(text: str, address: str) -> None:
    assert callers.parse_ip(text) == ipaddress.ip_address(address)


@pytest.mark.parametrize(
    "text",
    ["", "localhost", "127.0.0.1.evil.com", "127.1", "0x7f000001", "2130706433", "127.0.0.01",
     "127.0.0.1%eth0", "127.0.0.1:80", "[::1]", "fe80::1%", " 127.0.0.1", "127.0.0.1\n",
     "\u0661.0.0.1"],
)  # fmt: skip
def test_what_is_no_address_is_none(text: str) -> None:
    assert callers.parse_ip(text) is None


@given(st.ip_addresses(v=4))
def test_mapped_and_plain_ipv4_are_one_address(address: ipaddress.IPv4Address) -> None:
    assert callers.parse_ip(f"::ffff:{address}") == callers.parse_ip(str(address)) == address


@given(st.text())
def test_parse_ip_never_fails(text: str) -> None:
    address = callers.parse_ip(text)
    assert address is None or callers.parse_ip(str(address)) == address


# Callers behind proxies

PROXIES = networks("10.0.0.0/8", "2001:db8:ffff::/48")


@pytest.mark.parametrize(
    ("headers", "address"),
    [
        ([], "10.0.0.1"),
        ([("X-Forwarded-For", "198.51.100.7")], "198.51.100.7"),
        ([("x-forwarded-for", "6.6.6.6, 198.51.100.7")], "198.51.100.7"),
        ([("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-For", "198.51.100.7")], "198.51.100.7"),
        ([("X-Forwarded-For", "198.51.100.7, 10.2.3.4")], "198.51.100.7"),
        ([("X-Forwarded-For", "198.51.100.7"), ("X-Forwarded-For", "10.2.3.4")], "198.51.100.7"),
        ([("X-Forwarded-For", "198.51.100.7,2001:db8:ffff::1")], "198.51.100.7"),
        ([("X-Forwarded-For", "10.2.3.4, 10.5.6.7")], "10.2.3.4"),
        ([("X-Forwarded-For", "198.51.100.7:4711")], "198.51.100.7"),
        ([("X-Forwarded-For", "::ffff:198.51.100.7")], "198.51.100.7"),
        ([("X-Forwarded-For", "2001:db8::7")], "2001:db8::7"),
        ([("X-Forwarded-For", "[2001:db8::7]:4711")], "2001:db8::7"),
        ([("X-Forwarded-For", "6.6.6.6, unknown")], "10.0.0.1"),
        ([("X-Forwarded-For", "6.6.6.6, nonsense, 10.2.3.4")], "10.2.3.4"),
        ([("X-Forwarded-For", "6.6.6.6,")], "10.0.0.1"),
        ([("X-Forwarded-For", "")], "10.0.0.1"),
        ([("X-Forwarded-For", "6.6.6.6, 1.2.3.4.evil.com")], "10.0.0.1"),
        ([("X-Real-IP", "6.6.6.6")], "10.0.0.1"),
        ([("Forwarded", "for=198.51.100.7")], "198.51.100.7"),
        ([("Forwarded", "For=198.51.100.7;proto=http;by=10.0.0.1")], "198.51.100.7"),
        ([("Forwarded", 'proto=http; for="198.51.100.7:4711"')], "198.51.100.7"),
        ([("Forwarded", 'for="[2001:db8::7]:4711"')], "2001:db8::7"),
        ([("Forwarded", 'for="[2001:db8::7]"')], "2001:db8::7"),
        ([("Forwarded", r'for="198.51.100.\7"')], "198.51.100.7"),
        ([("Forwarded", "for=6.6.6.6, for=198.51.100.7")], "198.51.100.7"),
        ([("Forwarded", "for=6.6.6.6"), ("Forwarded", "for=198.51.100.7")], "198.51.100.7"),
        ([("Forwarded", "for=198.51.100.7, for=10.2.3.4")], "198.51.100.7"),
        ([("Forwarded", "for=6.6.6.6, for=unknown")], "10.0.0.1"),
        ([("Forwarded", "for=6.6.6.6, for=_hidden, for=10.2.3.4")], "10.2.3.4"),
        ([("Forwarded", "for=6.6.6.6, proto=http")], "10.0.0.1"),
        ([("Forwarded", "for=6.6.6.6;")], "10.0.0.1"),
        ([("Forwarded", "6.6.6.6")], "10.0.0.1"),
        ([("Forwarded", "")], "10.0.0.1"),
    ],
)
def test_the_rightmost_hop_that_is_no_trusted_proxy_is_the_caller(
    headers: list[tuple[str, str]], address: str
) -> None:
    caller = callers.caller_of(ip("10.0.0.1"), Fields(headers), PROXIES)
    assert caller == Caller(ip(address), ip("10.0.0.1"), forwarded=address != "10.0.0.1")


@pytest.mark.parametrize(
    "sent",
    ['for="6.6.6.6', 'for=6.6.6.6;x="', 'for=6.6.6.6, x="', 'for="6.6.6.6\\'],
)
@pytest.mark.parametrize("appended", ["for=198.51.100.7", 'for="[2001:db8::7]"'])
def test_unclosed_quote_does_not_swallow_what_the_proxy_appended(sent: str, appended: str) -> None:
    joined = callers.caller_of(
        ip("10.0.0.1"), Fields([("Forwarded", f"{sent}, {appended}")]), PROXIES
    )
    assert joined.address == ip("10.0.0.1")
    lines = Fields([("Forwarded", sent), ("Forwarded", appended)])
    apart = callers.caller_of(ip("10.0.0.1"), lines, PROXIES)
    assert apart.address in {ip("198.51.100.7"), ip("2001:db8::7")}


def test_both_forwarding_headers_count_when_they_agree() -> None:
    fields = Fields(
        [("X-Forwarded-For", "198.51.100.7, 10.2.3.4"), ("Forwarded", "for=198.51.100.7")]
    )
    assert callers.caller_of(ip("10.0.0.1"), fields, PROXIES).address == ip("198.51.100.7")


@pytest.mark.parametrize("spoofed", ["X-Forwarded-For", "Forwarded"])
def test_forwarding_header_that_the_proxy_passed_on_lends_nobody_an_address(spoofed: str) -> None:
    by_header = {"X-Forwarded-For": "198.51.100.7", "Forwarded": "for=198.51.100.7"}
    by_header[spoofed] = by_header[spoofed].replace("198.51.100.7", "6.6.6.6")
    caller = callers.caller_of(ip("10.0.0.1"), Fields(by_header.items()), PROXIES)
    assert caller == Caller(ip("10.0.0.1"), ip("10.0.0.1"), forwarded=False)


HEADER_TEXT = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF)) | st.from_regex(
    r'(for=)?"?\[?[0-9.:]{1,15}\]?"?([,;] ?(for=)?[0-9.]{7,9}){0,3}', fullmatch=True
)


@given(st.ip_addresses(), HEADER_TEXT, HEADER_TEXT)
def test_forwarded_address_counts_only_from_a_trusted_proxy(
    peer: IPAddress, x_forwarded_for: str, forwarded: str
) -> None:
    peer = ip(str(peer))
    assume(not any(peer in network for network in PROXIES))
    fields = Fields()
    fields.add("X-Forwarded-For", x_forwarded_for)
    fields.add("Forwarded", forwarded)
    for trusted in (PROXIES, []):
        assert callers.caller_of(peer, fields, trusted) == Caller(peer, peer, forwarded=False)


@given(HEADER_TEXT)
def test_nothing_that_a_client_sends_outweighs_what_the_proxy_appends(sent: str) -> None:
    fields = Fields()
    fields.add("X-Forwarded-For", f"{sent}, 198.51.100.7")
    caller = callers.caller_of(ip("10.0.0.1"), fields, PROXIES)
    assert caller.address == ip("198.51.100.7")

    fields = Fields()
    fields.add("Forwarded", f'{sent}, for="198.51.100.7"')
    caller = callers.caller_of(ip("10.0.0.1"), fields, PROXIES)
    assert caller.address in {ip("198.51.100.7"), ip("10.0.0.1")}


# Local trust


def local(**others: str) -> Fields:
    return Fields({"Host": "localhost:3000", **others}.items())


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.0.0.2", "::1", "::ffff:127.0.0.1", "::1%lo"])
def test_loopback_peer_is_trusted(peer: str) -> None:
    assert callers.local_trust_reason(ip(peer), local()) is None


@pytest.mark.parametrize(
    "peer",
    ["0.0.0.0", "::", "192.0.2.1", "::ffff:192.0.2.1", "::127.0.0.1", "fe80::1", "1.0.0.127"],
)
def test_peer_that_is_not_loopback_is_not_trusted(peer: str) -> None:
    assert callers.local_trust_reason(ip(peer), local()) == "not_loopback"


@pytest.mark.parametrize(
    "host",
    ["localhost", "LocalHost:3000", "localhost.", "pico.localhost:3000", "a.b.localhost",
     "127.0.0.1", "127.9.9.9:3000", "[::1]", "[::1]:3000", "[::ffff:127.0.0.1]:3000",
     "localhost:"],
)  # fmt: skip
def test_loopback_host_is_trusted(host: str) -> None:
    assert callers.local_trust_reason(ip("::1"), Fields([("Host", host)])) is None


FOREIGN_HOSTS = [
    "127.0.0.1.evil.com", "evil.com", "localhost.evil.com", "evillocalhost", "evil-localhost",
    "192.0.2.1", "0.0.0.0", "[::]", "[::127.0.0.1]", "localhost:x", "localhost:3000:1",
    "localhost@evil.com", "evil.com@localhost", "::1", "[::1", "[::1]x", "[localhost]",
    ".localhost", "a..localhost", "localhost/x", "localhost ", "127.0.0.1.", "127.1",
    "localh\xf6st", "",
]  # fmt: skip


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
def test_foreign_host_voids_local_trust(host: str) -> None:
    assert callers.local_trust_reason(ip("127.0.0.1"), Fields([("Host", host)])) == "foreign_host"


def test_missing_or_repeated_host_voids_local_trust() -> None:
    assert callers.local_trust_reason(ip("::1"), Fields()) == "foreign_host"
    twice = Fields([("Host", "localhost"), ("Host", "localhost")])
    assert callers.local_trust_reason(ip("::1"), twice) == "foreign_host"


@pytest.mark.parametrize(
    "origin",
    ["http://localhost", "http://localhost:3001", "https://127.0.0.1:8443", "ws://[::1]:3000",
     "WSS://pico.localhost"],
)  # fmt: skip
def test_loopback_origin_is_trusted(origin: str) -> None:
    assert callers.local_trust_reason(ip("::1"), local(Origin=origin)) is None


@pytest.mark.parametrize(
    "origin",
    ["null", "file://", "file://localhost", "localhost", "ftp://localhost",
     "http://localhost/", "https://github.com/gilmaimon/TinyWebsockets",
     *(f"http://{host}" for host in FOREIGN_HOSTS)],
)  # fmt: skip
def test_foreign_origin_voids_local_trust(origin: str) -> None:
    assert callers.local_trust_reason(ip("::1"), local(Origin=origin)) == "foreign_origin"


def test_repeated_origin_voids_local_trust() -> None:
    fields = local()
    for _ in range(2):
        fields.add("Origin", "http://localhost")
    assert callers.local_trust_reason(ip("::1"), fields) == "foreign_origin"


@pytest.mark.parametrize(
    "name",
    ["Forwarded", "X-Forwarded-For", "x-forwarded-host", "X-Forwarded-Proto", "X-FORWARDED-new",
     "X-Real-IP", "Via", "CF-Connecting-IP", "cf-ray"],
)  # fmt: skip
def test_header_of_a_proxy_voids_local_trust(name: str) -> None:
    assert callers.local_trust_reason(ip("::1"), local(**{name: "127.0.0.1"})) == "forwarded"
    assert callers.local_trust_reason(ip("::1"), local(**{name: ""})) == "forwarded"


@pytest.mark.parametrize("name", ["Viaduct", "X-Real-IPs", "Config", "Not-Forwarded"])
def test_header_with_a_similar_name_is_no_proxy(name: str) -> None:
    assert callers.local_trust_reason(ip("::1"), local(**{name: "x"})) is None


@given(st.ip_addresses(), HEADER_TEXT, st.none() | HEADER_TEXT)
def test_only_a_loopback_peer_can_be_trusted(
    peer: IPAddress, host: str, origin: str | None
) -> None:
    fields = Fields()
    fields.add("Host", host)
    if origin is not None:
        fields.add("Origin", origin)
    reason = callers.local_trust_reason(peer, fields)
    assert peer.is_loopback or reason == "not_loopback"


def test_address_of_a_peer_is_spelled_out_once() -> None:
    callers.peer_ip.cache_clear()
    assert [callers.peer_ip("::ffff:192.0.2.7") for _ in range(3)] == [
        callers.parse_ip("192.0.2.7")
    ] * 3
    assert callers.peer_ip.cache_info().misses == 1
    for number in range(5000):
        callers.peer_ip(f"10.0.{number >> 8}.{number & 255}")
    assert callers.peer_ip.cache_info().currsize == 1024
