"""Who may come in, from where, with what token, and how often."""

from __future__ import annotations

import traceback
from contextlib import nullcontext
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsdev import access, callers
from wsdev.access import AccessRefused, Admission, Doorkeeper
from wsdev.callers import Caller, IPAddress
from wsdev.codes import REFUSALS
from wsdev.errors import Side, WsdevError
from wsdev.limits import Limits
from wsdev.request_head import Fields
from wsdev.token_format import new_token

NOW = 1000.0
WALL = 1.8e9


def ip(text: str) -> IPAddress:
    address = callers.parse_ip(text)
    assert address is not None
    return address


def from_address(text: str) -> Caller:
    return Caller(ip(text), ip(text), forwarded=False)


def bearer(token: str) -> Fields:
    return Fields([("Authorization", f"Bearer {token}")])


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


# Presented tokens


def presented(*authorization: str, query: str = "") -> bytes | None:
    return access.presented_token(
        Fields([("Authorization", value) for value in authorization]), query
    )


@pytest.mark.parametrize(
    "value", ["Bearer abc", "bearer abc", "BEARER abc", "Bearer     abc", "Bearer \t abc"]
)
def test_scheme_in_any_case_with_any_space_is_taken(value: str) -> None:
    assert presented(value) == b"abc"


def test_no_token_is_none() -> None:
    assert presented() is None
    assert presented(query="device=kitchen&tokens=abc") is None


def test_token_without_bearer_is_known_by_its_tail() -> None:
    for value, tail in ((GOOD, GOOD[-4:]), (GOOD[:-1], ""), ("Basic abc", "")):
        with pytest.raises(AccessRefused) as caught:
            presented(value)
        assert (caught.value.code, caught.value.token_tail) == ("token_malformed", tail)


def test_identical_repeats_of_authorization_are_one() -> None:
    assert presented("Bearer abc", "Bearer abc", "Bearer abc") == b"abc"


@pytest.mark.parametrize(
    "value",
    ["", "Bearer", "Bearer ", "abc", "Basic abc", "Bearerabc", "Bearer \xe9", "Bearer abc\xe9",
     "B\xe9arer abc", "Bearer a b", "Bearer\xa0abc", "Bearer a\x1bb"],
)  # fmt: skip
def test_malformed_authorization_is_401(value: str) -> None:
    fields = Fields()
    fields.add("Authorization", value)
    with pytest.raises(AccessRefused) as caught:
        access.presented_token(fields, "token=abc")
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
    fields = Fields()
    for value in values:
        fields.add("Authorization", value)
    try:
        token = access.presented_token(fields, query)
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
        "pico", caller, Fields(), f"token={GOOD}", trusted_local=no, now=NOW
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
    trusted = door.admit("pico", caller, Fields(), "", trusted_local=yes, now=NOW)
    assert trusted == Admission(None, None, caller)
    with pytest.raises(AccessRefused) as caught:
        door.admit("pico", caller, Fields(), "", trusted_local=no, now=NOW)
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
    ("fields", "code"),
    [
        (Fields(), "token_missing"),
        (Fields([("Authorization", "Basic x")]), "token_malformed"),
        (Fields([("Authorization", "Bearer a"), ("Authorization", "Bearer b")]),
         "authorization_conflict"),
        (bearer(CAMERA), "wrong_class"),
    ],
)  # fmt: skip
def test_missing_malformed_and_wrong_class_tokens_do_not_count(fields: Fields, code: str) -> None:
    door = doorkeeper()
    for _ in range(30):
        with pytest.raises(AccessRefused) as caught:
            door.admit("pico", from_address("192.0.2.1"), fields, "", trusted_local=no, now=NOW)
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
