"""Who may come in, from where, with what token, and how often."""

from __future__ import annotations

import ipaddress
import traceback
import tracemalloc
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from websockets.datastructures import Headers

from wsdev import access
from wsdev.access import AccessRefused, Admission, Caller, Doorkeeper, IPAddress, RateWindow
from wsdev.codes import REFUSALS
from wsdev.errors import Side, WsdevError
from wsdev.limits import Limits
from wsdev.token_format import new_token

NOW = 1000.0
WALL = 1.8e9


def ip(text: str) -> IPAddress:
    address = access.parse_ip(text)
    assert address is not None
    return address


def networks(*texts: str) -> list[access.IPNetwork]:
    return [ipaddress.ip_network(text) for text in texts]


def from_address(text: str) -> Caller:
    return Caller(ip(text), ip(text), forwarded=False)


def bearer(token: str) -> Headers:
    return Headers([("Authorization", f"Bearer {token}")])


def yes() -> bool:
    return True


def no() -> bool:
    return False


# A token book in memory


def fixed_token(device_class: str, seed: int) -> str:
    """The same in each run, so that the tests keep their names."""
    return new_token(device_class, lambda count: bytes([seed]) * count)


GOOD, DEVICE, RETIRING, RETIRED, REVOKED, UNKNOWN = (fixed_token("pico", n) for n in range(6))
CAMERA = fixed_token("esp32cam", 6)
MISTYPED = GOOD[:-1] + ("x" if GOOD[-1] != "x" else "y")


@dataclass(frozen=True)
class Entry:
    id: str
    device_class: str
    tail: str
    name: str | None = None
    fixed_state: str = "active"

    def state(self, now: float) -> str:
        assert now == WALL, "states are a matter of the wall clock"
        return self.fixed_state


ENTRIES = {
    GOOD: Entry("t-good", "pico", GOOD[-4:]),
    DEVICE: Entry("t-device", "pico", DEVICE[-4:], name="kitchen"),
    CAMERA: Entry("t-camera", "esp32cam", CAMERA[-4:]),
    RETIRING: Entry("t-retiring", "pico", RETIRING[-4:], fixed_state="retiring"),
    RETIRED: Entry("t-retired", "pico", RETIRED[-4:], fixed_state="retired"),
    REVOKED: Entry("t-revoked", "pico", REVOKED[-4:], fixed_state="revoked"),
}


class Book:
    """Finds the entries above."""

    def find(self, token: bytes) -> Entry | None:
        return ENTRIES.get(token.decode("ascii"))


def doorkeeper(limits: Limits | None = None) -> Doorkeeper:
    return Doorkeeper(limits or Limits(), Book(), lambda: WALL)


def admit(
    door: Doorkeeper, token: str, address: str = "192.0.2.1", *, now: float = NOW
) -> Admission:
    return door.admit("pico", from_address(address), bearer(token), "", trusted_local=no, now=now)


def refusal(
    door: Doorkeeper, token: str, address: str = "192.0.2.1", *, now: float = NOW
) -> AccessRefused:
    with pytest.raises(AccessRefused) as caught:
        admit(door, token, address, now=now)
    return caught.value


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
    assert access.parse_ip(text) == ipaddress.ip_address(address)


@pytest.mark.parametrize(
    "text",
    ["", "localhost", "127.0.0.1.evil.com", "127.1", "0x7f000001", "2130706433", "127.0.0.01",
     "127.0.0.1%eth0", "127.0.0.1:80", "[::1]", "fe80::1%", " 127.0.0.1", "127.0.0.1\n",
     "\u0661.0.0.1"],
)  # fmt: skip
def test_what_is_no_address_is_none(text: str) -> None:
    assert access.parse_ip(text) is None


@given(st.ip_addresses(v=4))
def test_mapped_and_plain_ipv4_are_one_address(address: ipaddress.IPv4Address) -> None:
    assert access.parse_ip(f"::ffff:{address}") == access.parse_ip(str(address)) == address


@given(st.text())
def test_parse_ip_never_fails(text: str) -> None:
    address = access.parse_ip(text)
    assert address is None or access.parse_ip(str(address)) == address


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
    caller = access.caller_of(ip("10.0.0.1"), Headers(headers), PROXIES)
    assert caller == Caller(ip(address), ip("10.0.0.1"), forwarded=address != "10.0.0.1")


@pytest.mark.parametrize(
    "sent",
    ['for="6.6.6.6', 'for=6.6.6.6;x="', 'for=6.6.6.6, x="', 'for="6.6.6.6\\'],
)
@pytest.mark.parametrize("appended", ["for=198.51.100.7", 'for="[2001:db8::7]"'])
def test_unclosed_quote_does_not_swallow_what_the_proxy_appended(sent: str, appended: str) -> None:
    joined = access.caller_of(ip("10.0.0.1"), Headers(Forwarded=f"{sent}, {appended}"), PROXIES)
    assert joined.address == ip("10.0.0.1")
    lines = Headers([("Forwarded", sent), ("Forwarded", appended)])
    apart = access.caller_of(ip("10.0.0.1"), lines, PROXIES)
    assert apart.address in {ip("198.51.100.7"), ip("2001:db8::7")}


def test_both_forwarding_headers_count_when_they_agree() -> None:
    headers = Headers(
        [("X-Forwarded-For", "198.51.100.7, 10.2.3.4"), ("Forwarded", "for=198.51.100.7")]
    )
    assert access.caller_of(ip("10.0.0.1"), headers, PROXIES).address == ip("198.51.100.7")


@pytest.mark.parametrize("spoofed", ["X-Forwarded-For", "Forwarded"])
def test_forwarding_header_that_the_proxy_passed_on_lends_nobody_an_address(spoofed: str) -> None:
    by_header = {"X-Forwarded-For": "198.51.100.7", "Forwarded": "for=198.51.100.7"}
    by_header[spoofed] = by_header[spoofed].replace("198.51.100.7", "6.6.6.6")
    caller = access.caller_of(ip("10.0.0.1"), Headers(by_header), PROXIES)
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
    headers = Headers()
    headers.set_insecure("X-Forwarded-For", x_forwarded_for)
    headers.set_insecure("Forwarded", forwarded)
    for trusted in (PROXIES, []):
        assert access.caller_of(peer, headers, trusted) == Caller(peer, peer, forwarded=False)


@given(HEADER_TEXT)
def test_nothing_that_a_client_sends_outweighs_what_the_proxy_appends(sent: str) -> None:
    headers = Headers()
    headers.set_insecure("X-Forwarded-For", f"{sent}, 198.51.100.7")
    caller = access.caller_of(ip("10.0.0.1"), headers, PROXIES)
    assert caller.address == ip("198.51.100.7")

    headers = Headers()
    headers.set_insecure("Forwarded", f'{sent}, for="198.51.100.7"')
    caller = access.caller_of(ip("10.0.0.1"), headers, PROXIES)
    assert caller.address in {ip("198.51.100.7"), ip("10.0.0.1")}


# Local trust


def local(**others: str) -> Headers:
    return Headers({"Host": "localhost:3000", **others})


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.0.0.2", "::1", "::ffff:127.0.0.1", "::1%lo"])
def test_loopback_peer_is_trusted(peer: str) -> None:
    assert access.local_trust_reason(ip(peer), local()) is None


@pytest.mark.parametrize(
    "peer",
    ["0.0.0.0", "::", "192.0.2.1", "::ffff:192.0.2.1", "::127.0.0.1", "fe80::1", "1.0.0.127"],
)
def test_peer_that_is_not_loopback_is_not_trusted(peer: str) -> None:
    assert access.local_trust_reason(ip(peer), local()) == "not_loopback"


@pytest.mark.parametrize(
    "host",
    ["localhost", "LocalHost:3000", "localhost.", "pico.localhost:3000", "a.b.localhost",
     "127.0.0.1", "127.9.9.9:3000", "[::1]", "[::1]:3000", "[::ffff:127.0.0.1]:3000",
     "localhost:"],
)  # fmt: skip
def test_loopback_host_is_trusted(host: str) -> None:
    assert access.local_trust_reason(ip("::1"), Headers(Host=host)) is None


FOREIGN_HOSTS = [
    "127.0.0.1.evil.com", "evil.com", "localhost.evil.com", "evillocalhost", "evil-localhost",
    "192.0.2.1", "0.0.0.0", "[::]", "[::127.0.0.1]", "localhost:x", "localhost:3000:1",
    "localhost@evil.com", "evil.com@localhost", "::1", "[::1", "[::1]x", "[localhost]",
    ".localhost", "a..localhost", "localhost/x", "localhost ", "127.0.0.1.", "127.1",
    "localh\xf6st", "",
]  # fmt: skip


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
def test_foreign_host_voids_local_trust(host: str) -> None:
    assert access.local_trust_reason(ip("127.0.0.1"), Headers(Host=host)) == "foreign_host"


def test_missing_or_repeated_host_voids_local_trust() -> None:
    assert access.local_trust_reason(ip("::1"), Headers()) == "foreign_host"
    twice = Headers([("Host", "localhost"), ("Host", "localhost")])
    assert access.local_trust_reason(ip("::1"), twice) == "foreign_host"


@pytest.mark.parametrize(
    "origin",
    ["http://localhost", "http://localhost:3001", "https://127.0.0.1:8443", "ws://[::1]:3000",
     "WSS://pico.localhost"],
)  # fmt: skip
def test_loopback_origin_is_trusted(origin: str) -> None:
    assert access.local_trust_reason(ip("::1"), local(Origin=origin)) is None


@pytest.mark.parametrize(
    "origin",
    ["null", "file://", "file://localhost", "localhost", "ftp://localhost",
     "http://localhost/", "https://github.com/gilmaimon/TinyWebsockets",
     *(f"http://{host}" for host in FOREIGN_HOSTS)],
)  # fmt: skip
def test_foreign_origin_voids_local_trust(origin: str) -> None:
    assert access.local_trust_reason(ip("::1"), local(Origin=origin)) == "foreign_origin"


def test_repeated_origin_voids_local_trust() -> None:
    headers = local()
    for _ in range(2):
        headers["Origin"] = "http://localhost"
    assert access.local_trust_reason(ip("::1"), headers) == "foreign_origin"


@pytest.mark.parametrize(
    "name",
    ["Forwarded", "X-Forwarded-For", "x-forwarded-host", "X-Forwarded-Proto", "X-FORWARDED-new",
     "X-Real-IP", "Via", "CF-Connecting-IP", "cf-ray"],
)  # fmt: skip
def test_header_of_a_proxy_voids_local_trust(name: str) -> None:
    assert access.local_trust_reason(ip("::1"), local(**{name: "127.0.0.1"})) == "forwarded"
    assert access.local_trust_reason(ip("::1"), local(**{name: ""})) == "forwarded"


@pytest.mark.parametrize("name", ["Viaduct", "X-Real-IPs", "Config", "Not-Forwarded"])
def test_header_with_a_similar_name_is_no_proxy(name: str) -> None:
    assert access.local_trust_reason(ip("::1"), local(**{name: "x"})) is None


@given(st.ip_addresses(), HEADER_TEXT, st.none() | HEADER_TEXT)
def test_only_a_loopback_peer_can_be_trusted(
    peer: IPAddress, host: str, origin: str | None
) -> None:
    headers = Headers()
    headers.set_insecure("Host", host)
    if origin is not None:
        headers.set_insecure("Origin", origin)
    reason = access.local_trust_reason(peer, headers)
    assert peer.is_loopback or reason == "not_loopback"


# Presented tokens


def presented(*authorization: str, query: str = "") -> bytes | None:
    return access.presented_token(
        Headers([("Authorization", value) for value in authorization]), query
    )


@pytest.mark.parametrize(
    "value", ["Bearer abc", "bearer abc", "BEARER abc", "Bearer     abc", "Bearer \t abc"]
)
def test_scheme_in_any_case_with_any_space_is_taken(value: str) -> None:
    assert presented(value) == b"abc"


def test_no_token_is_none() -> None:
    assert presented() is None
    assert presented(query="device=kitchen&tokens=abc") is None


def test_identical_repeats_of_authorization_are_one() -> None:
    assert presented("Bearer abc", "Bearer abc", "Bearer abc") == b"abc"


@pytest.mark.parametrize(
    "value",
    ["", "Bearer", "Bearer ", "abc", "Basic abc", "Bearerabc", "Bearer \xe9", "Bearer abc\xe9",
     "B\xe9arer abc", "Bearer a b", "Bearer\xa0abc", "Bearer a\x1bb"],
)  # fmt: skip
def test_malformed_authorization_is_401(value: str) -> None:
    headers = Headers()
    headers.set_insecure("Authorization", value)
    with pytest.raises(AccessRefused) as caught:
        access.presented_token(headers, "token=abc")
    assert caught.value.code == "token_malformed"
    assert REFUSALS[caught.value.code].status == 401


@pytest.mark.parametrize(
    "values", [("Bearer a", "Bearer b"), ("Basic a", "Bearer a"), ("Basic a", "Basic b")]
)
def test_differing_repeats_of_authorization_are_400(values: tuple[str, ...]) -> None:
    with pytest.raises(AccessRefused) as caught:
        presented(*values)
    assert caught.value.code == "authorization_conflict"
    assert REFUSALS[caught.value.code].status == 400


@pytest.mark.parametrize(
    "query", ["token=abc", "a=b&token=abc", "token=%61bc", "token=abc&token=a%62c", "a&token=abc&"]
)
def test_token_in_the_query_is_taken(query: str) -> None:
    assert presented(query=query) == b"abc"


def test_header_wins_over_the_query() -> None:
    assert presented("Bearer abc", query="token=xyz") == b"abc"


def test_differing_tokens_in_the_query_conflict() -> None:
    with pytest.raises(AccessRefused) as caught:
        presented(query="token=a&token=b")
    assert caught.value.code == "authorization_conflict"


@pytest.mark.parametrize("query", ["token=", "token", "token=%e9", "token=\udce9", "token=a%00b"])
def test_malformed_token_in_the_query_is_401(query: str) -> None:
    with pytest.raises(AccessRefused) as caught:
        presented(query=query)
    assert caught.value.code == "token_malformed"


@given(st.lists(st.text(st.characters(max_codepoint=0xFF)), max_size=3), st.text())
def test_whatever_is_presented_is_ascii_or_refused(values: list[str], query: str) -> None:
    headers = Headers()
    for value in values:
        headers.set_insecure("Authorization", value)
    try:
        token = access.presented_token(headers, query)
    except AccessRefused:
        return
    if token is None:
        assert not values
    else:
        assert token
        assert token.isascii()


# Names


@pytest.mark.parametrize(
    ("name", "pinned_name", "is_claimed", "allowed"),
    [
        ("kitchen", "kitchen", True, True),
        ("kitchen", "kitchen", False, True),
        ("hall", "kitchen", False, False),
        ("Kitchen", "kitchen", False, False),
        ("", "kitchen", False, False),
        ("hall", None, False, True),
        ("kitchen", None, True, False),
    ],
)
def test_names_that_a_token_admits(
    name: str, pinned_name: str | None, is_claimed: bool, allowed: bool
) -> None:
    assert access.may_use_name(name, pinned_name, is_claimed) is allowed


# Rates


def test_rate_over_the_limit_blocks_for_a_minute() -> None:
    window = RateWindow(3)
    assert [window.hit(ip("192.0.2.1"), NOW) for _ in range(4)] == [0, 0, 0, 60]
    assert window.hit(ip("192.0.2.1"), NOW + 30.5) == 30
    assert window.hit(ip("192.0.2.1"), NOW + 59.9) == 1
    assert window.hit(ip("192.0.2.1"), NOW + 60) == 0


def test_count_is_forgotten_a_minute_after_its_first_event() -> None:
    window = RateWindow(2)
    assert [window.hit(ip("192.0.2.1"), NOW + at) for at in (0, 59.9, 60, 60)] == [0, 0, 0, 0]
    assert window.hit(ip("192.0.2.1"), NOW + 61) == 60


def test_events_during_a_block_do_not_prolong_it() -> None:
    window = RateWindow(1)
    waits = [window.hit(ip("192.0.2.1"), NOW + second) for second in range(62)]
    assert waits == [0, *range(60, 0, -1), 0]


def test_rate_limit_of_zero_is_off() -> None:
    window = RateWindow(0)
    assert not any(window.hit(ip("192.0.2.1"), NOW) for _ in range(1000))


def test_ipv6_is_counted_by_64_and_ipv4_by_address() -> None:
    window = RateWindow(1)
    assert window.hit(ip("2001:db8::1"), NOW) == 0
    assert window.hit(ip("2001:db8::ffff:ffff:ffff:ffff"), NOW) == 60
    assert window.hit(ip("2001:db8:0:1::1"), NOW) == 0
    assert window.hit(ip("192.0.2.1"), NOW) == 0
    assert window.hit(ip("192.0.2.2"), NOW) == 0
    assert window.hit(ip("::ffff:192.0.2.2"), NOW) == 60


def addresses(count: int, start: str = "10.0.0.0") -> Iterator[IPAddress]:
    first = ipaddress.IPv4Address(start)
    return (first + offset for offset in range(count))


def test_flood_from_many_addresses_does_not_free_a_blocked_one() -> None:
    window = RateWindow(1, capacity=10)
    attacker = ip("192.0.2.1")
    window.hit(attacker, NOW)
    assert window.hit(attacker, NOW) == 60
    for address in addresses(1000):
        window.hit(address, NOW + 1)
        window.hit(address, NOW + 1)
    assert window.hit(attacker, NOW + 2) == 58


def test_newcomer_takes_the_place_of_the_oldest_count() -> None:
    window = RateWindow(1, capacity=2)
    first, second, third = addresses(3)
    assert [window.hit(each, NOW) for each in (first, second, third)] == [0, 0, 0]
    assert [window.hit(each, NOW) for each in (third, second)] == [60, 60]
    # Two are blocked and all the others share one count.
    assert [window.hit(each, NOW) for each in (first, *addresses(5, "10.1.0.0"))] == [0] + [60] * 5
    assert window.hit(first, NOW + 60) == 0


def test_flood_from_many_addresses_does_not_grow_memory() -> None:
    window = RateWindow(1, capacity=100)
    tracemalloc.start()
    try:
        for address in addresses(5000):
            window.hit(address, NOW)
            window.hit(address, NOW)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 100_000


@given(
    limit=st.integers(1, 5),
    pauses=st.lists(st.floats(0, 40) | st.just(0.0), min_size=1, max_size=60),
)
def test_no_minute_passes_two_limits(limit: int, pauses: list[float]) -> None:
    window = RateWindow(limit)
    now = NOW
    passed: list[float] = []
    for pause in pauses:
        now += pause
        wait = window.hit(ip("192.0.2.1"), now)
        assert 0 <= wait <= 60
        if not wait:
            passed.append(now)
    for start in passed:
        assert sum(start <= at < start + 60 for at in passed) < 2 * limit


@given(st.lists(st.tuples(st.integers(1, 20), st.floats(0, 10)), max_size=100))
def test_blocked_address_stays_blocked_whatever_others_do(hits: list[tuple[int, float]]) -> None:
    window = RateWindow(1, capacity=3)
    attacker = ip("192.0.2.1")
    now = NOW
    assert [window.hit(attacker, now) for _ in range(2)] == [0, 60]
    for offset, pause in hits:
        now += pause
        if now >= NOW + 60:
            break
        window.hit(ipaddress.IPv4Address("10.0.0.0") + offset, now)
        assert 0 < window.hit(attacker, now) <= NOW + 61 - now


# The door: tokens


def test_good_token_is_let_in_from_any_address() -> None:
    door = doorkeeper()
    for address in ("192.0.2.1", "2001:db8::1", "127.0.0.1"):
        assert admit(door, GOOD, address) == Admission("t-good", None, from_address(address))


def test_device_token_is_pinned_to_its_name() -> None:
    admission = admit(doorkeeper(), DEVICE)
    assert admission.pinned_name == "kitchen"
    assert not access.may_use_name("hall", admission.pinned_name, is_claimed=False)


def test_retiring_token_is_let_in_until_its_grace_ends() -> None:
    assert admit(doorkeeper(), RETIRING).token_id == "t-retiring"


def test_token_in_the_query_is_let_in() -> None:
    caller = from_address("192.0.2.1")
    admission = doorkeeper().admit(
        "pico", caller, Headers(), f"token={GOOD}", trusted_local=no, now=NOW
    )
    assert admission.token_id == "t-good"


@pytest.mark.parametrize("address", ["192.0.2.1", "127.0.0.1"])
@pytest.mark.parametrize(
    ("token", "code", "status", "tail"),
    [
        (MISTYPED, "token_mistyped", 401, ""),
        ("hunter2", "token_mistyped", 401, ""),
        (UNKNOWN, "token_unknown", 401, UNKNOWN[-4:]),
        (RETIRED, "token_retired", 401, RETIRED[-4:]),
        (REVOKED, "token_retired", 401, REVOKED[-4:]),
        (CAMERA, "wrong_class", 403, CAMERA[-4:]),
        ("\xe9", "token_malformed", 401, ""),
    ],
)
def test_wrong_token_is_refused_even_from_trusted_loopback(
    token: str, code: str, status: int, tail: str, address: str
) -> None:
    with pytest.raises(AccessRefused) as caught:
        doorkeeper().admit(
            "pico", from_address(address), bearer(token), "", trusted_local=yes, now=NOW
        )
    refused = caught.value
    assert (refused.code, REFUSALS[refused.code].status) == (code, status)
    assert refused.token_tail == tail
    assert refused.retry_after is None


def test_without_token_only_local_trust_lets_in() -> None:
    caller = from_address("127.0.0.1")
    door = doorkeeper()
    trusted = door.admit("pico", caller, Headers(), "", trusted_local=yes, now=NOW)
    assert trusted == Admission(None, None, caller)
    with pytest.raises(AccessRefused) as caught:
        door.admit("pico", caller, Headers(), "", trusted_local=no, now=NOW)
    assert caught.value.code == "token_missing"


def test_local_trust_is_not_looked_up_when_a_token_is_sent() -> None:
    def trusted_local() -> bool:
        pytest.fail("this reads /proc")

    caller = from_address("127.0.0.1")
    door = doorkeeper()
    door.admit("pico", caller, bearer(GOOD), "", trusted_local=trusted_local, now=NOW)


def test_ten_wrong_tokens_a_minute_then_429() -> None:
    door = doorkeeper()
    codes = [refusal(door, UNKNOWN, now=NOW + second).code for second in range(11)]
    assert codes == ["token_unknown"] * 10 + ["too_many_attempts"]
    late = refusal(door, MISTYPED, now=NOW + 30)
    assert (late.code, late.retry_after) == ("too_many_attempts", 40)
    assert REFUSALS[late.code].status == 429
    assert refusal(door, MISTYPED, now=NOW + 70).code == "token_mistyped"


def test_good_token_is_let_in_while_its_address_is_blocked() -> None:
    door = doorkeeper()
    for _ in range(50):
        refusal(door, UNKNOWN)
    assert refusal(door, UNKNOWN).code == "too_many_attempts"
    assert admit(door, GOOD).token_id == "t-good"
    assert refusal(door, CAMERA).code == "wrong_class"
    assert refusal(door, UNKNOWN).code == "too_many_attempts"


def test_wrong_tokens_from_one_address_do_not_hurt_another() -> None:
    door = doorkeeper()
    for _ in range(20):
        refusal(door, UNKNOWN, "192.0.2.1")
    assert refusal(door, UNKNOWN, "192.0.2.2").code == "token_unknown"


def test_wrong_tokens_count_against_the_address_behind_the_proxy() -> None:
    door = doorkeeper()
    codes = set()
    for last in range(30):
        caller = Caller(ip(f"192.0.2.{last}"), ip("10.0.0.1"), forwarded=True)
        with pytest.raises(AccessRefused) as caught:
            door.admit("pico", caller, bearer(UNKNOWN), "", trusted_local=no, now=NOW)
        codes.add(caught.value.code)
    assert codes == {"token_unknown"}


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        (Headers(), "token_missing"),
        (Headers(Authorization="Basic x"), "token_malformed"),
        (Headers([("Authorization", "Bearer a"), ("Authorization", "Bearer b")]),
         "authorization_conflict"),
        (bearer(CAMERA), "wrong_class"),
    ],
)  # fmt: skip
def test_missing_malformed_and_wrong_class_tokens_do_not_count(headers: Headers, code: str) -> None:
    door = doorkeeper()
    for _ in range(30):
        with pytest.raises(AccessRefused) as caught:
            door.admit("pico", from_address("192.0.2.1"), headers, "", trusted_local=no, now=NOW)
        assert caught.value.code == code
    assert refusal(door, UNKNOWN).code == "token_unknown"


def test_limit_of_zero_wrong_tokens_is_off() -> None:
    door = doorkeeper(Limits(wrong_tokens_per_minute=0))
    assert {refusal(door, UNKNOWN).code for _ in range(100)} == {"token_unknown"}


# The door: connections


def test_connection_over_the_cap_is_refused_until_one_ends() -> None:
    door = doorkeeper(Limits(connections_per_address=2))
    for _ in range(2):
        admit(door, GOOD)
        door.connected(ip("192.0.2.1"))
    refused = refusal(door, GOOD)
    assert (refused.code, REFUSALS[refused.code].status) == ("too_many_connections", 429)
    assert refused.token_tail == ""
    assert admit(door, GOOD, "192.0.2.2").token_id == "t-good"
    door.disconnected(ip("192.0.2.1"))
    assert admit(door, GOOD).token_id == "t-good"


def test_connections_from_one_ipv6_64_share_the_cap() -> None:
    door = doorkeeper(Limits(connections_per_address=1))
    door.connected(ip("2001:db8::1"))
    assert refusal(door, GOOD, "2001:db8::2").code == "too_many_connections"
    assert admit(door, GOOD, "2001:db8:0:1::2").token_id == "t-good"


def test_loopback_is_free_of_the_cap_but_not_when_a_proxy_reports_it() -> None:
    door = doorkeeper(Limits(connections_per_address=1))
    door.connected(ip("127.0.0.1"))
    assert admit(door, GOOD, "127.0.0.1").token_id == "t-good"
    reported = Caller(ip("127.0.0.1"), ip("10.0.0.1"), forwarded=True)
    with pytest.raises(AccessRefused) as caught:
        door.admit("pico", reported, bearer(GOOD), "", trusted_local=no, now=NOW)
    assert caught.value.code == "too_many_connections"


def test_cap_of_zero_connections_is_off() -> None:
    door = doorkeeper(Limits(connections_per_address=0))
    for _ in range(1000):
        door.connected(ip("192.0.2.1"))
    assert admit(door, GOOD).token_id == "t-good"


def test_ending_a_connection_that_was_not_counted_is_an_error() -> None:
    door = doorkeeper()
    door.connected(ip("192.0.2.1"))
    door.disconnected(ip("192.0.2.1"))
    with pytest.raises(KeyError):
        door.disconnected(ip("192.0.2.1"))


# The door: the token endpoint


def test_tokens_are_told_while_the_window_is_open() -> None:
    door = doorkeeper()
    caller = from_address("192.0.2.1")
    door.may_fetch_tokens(caller, window_open=True, trusted_local=no, now=NOW)
    with pytest.raises(AccessRefused) as caught:
        door.may_fetch_tokens(caller, window_open=False, trusted_local=no, now=NOW)
    assert (caught.value.code, caught.value.retry_after) == ("tokens_closed", None)
    assert REFUSALS[caught.value.code].status == 403


@pytest.mark.parametrize("window_open", [True, False])
def test_token_requests_over_the_limit_are_429(window_open: bool) -> None:
    door = doorkeeper(Limits(token_requests_per_minute=3))
    caller = from_address("127.0.0.1")
    for _ in range(3):
        with nullcontext() if window_open else pytest.raises(AccessRefused, match="not handed out"):
            door.may_fetch_tokens(caller, window_open=window_open, trusted_local=no, now=NOW)
    with pytest.raises(AccessRefused) as caught:
        door.may_fetch_tokens(caller, window_open=window_open, trusted_local=no, now=NOW + 1)
    assert (caught.value.code, caught.value.retry_after) == ("too_many_requests", 60)
    assert admit(door, GOOD, "127.0.0.1").token_id == "t-good"


def test_locally_trusted_token_request_is_always_answered() -> None:
    door = doorkeeper(Limits(token_requests_per_minute=1))
    caller = from_address("127.0.0.1")
    for _ in range(100):
        door.may_fetch_tokens(caller, window_open=False, trusted_local=yes, now=NOW)
    door.may_fetch_tokens(caller, window_open=True, trusted_local=no, now=NOW)


# No secret in an error


@pytest.mark.parametrize("token", [MISTYPED, UNKNOWN, REVOKED, CAMERA, "hunter2-hunter2"])
@pytest.mark.parametrize("attempts", [1, 20])
def test_no_token_in_any_error_or_traceback(token: str, attempts: int) -> None:
    door = doorkeeper()
    for _ in range(attempts):
        refused = refusal(door, token)
    assert refused.__context__ is None
    shown = "".join(traceback.format_exception(refused)) + repr(refused) + str(vars(refused))
    shown += refused.cause + refused.hint + repr(door)
    assert token not in shown
    assert token[4:-4] not in shown


@pytest.mark.parametrize("code", sorted(REFUSALS))
def test_refusal_carries_the_registry_s_cause_and_hint(code: str) -> None:
    refused = AccessRefused(code, retry_after=7)
    assert isinstance(refused, WsdevError)
    assert refused.side is Side.PEER
    assert (refused.code, refused.cause, refused.hint) == (
        code, REFUSALS[code].message, REFUSALS[code].hint,
    )  # fmt: skip
    assert refused.retry_after == 7
