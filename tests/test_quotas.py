"""Quotas: how often, from one address or device, in bounded memory."""

from __future__ import annotations

import ipaddress
import tracemalloc
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from wsdev.callers import IPAddress, parse_ip
from wsdev.quotas import MessageBudget, RateWindow

NOW = 1000.0


def ip(text: str) -> IPAddress:
    address = parse_ip(text)
    assert address is not None
    return address


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


# A device's messages


def test_whole_minute_may_come_at_once_and_then_evenly() -> None:
    budget = MessageBudget(60, NOW)
    assert budget.pay(60, NOW) == 0
    assert budget.pay(1, NOW) == 2  # a second for the message, and one more
    assert [budget.pay(1, NOW + second) for second in (2, 3, 4)] == [0, 0, 0]
    assert budget.pay(2, NOW + 5) == 2


def test_debt_of_one_segment_is_paid_off() -> None:
    budget = MessageBudget(60, NOW)
    wait = budget.pay(1000, NOW)
    assert wait == 941
    assert budget.pay(1, NOW + wait) == 0
    assert budget.pay(1, NOW + wait) > 0


def test_silence_saves_up_no_more_than_a_minute() -> None:
    budget = MessageBudget(60, NOW)
    assert budget.pay(60, NOW + 86_400) == 0
    assert budget.pay(1, NOW + 86_400) > 0


def test_budget_of_zero_is_no_limit() -> None:
    budget = MessageBudget(0, NOW)
    assert not any(budget.pay(10**9, NOW) for _ in range(100))


@given(
    per_minute=st.integers(1, 600),
    pays=st.lists(st.tuples(st.integers(1, 100), st.floats(0, 90)), max_size=60),
)
def test_who_waits_as_told_says_no_more_than_the_limit(
    per_minute: int, pays: list[tuple[int, float]]
) -> None:
    budget = MessageBudget(per_minute, NOW)
    now, said, largest = NOW, 0, 0
    for count, pause in pays:
        said += count
        largest = max(largest, count)
        now += budget.pay(count, now)
        assert said <= per_minute + (now - NOW) * per_minute / 60 + largest
        now += pause


@given(per_minute=st.integers(1, 600), counts=st.lists(st.integers(1, 100), max_size=40))
def test_debt_is_paid_off_after_the_wait_and_not_long_before(
    per_minute: int, counts: list[int]
) -> None:
    budget = MessageBudget(per_minute, NOW)
    now = NOW
    for count in counts:
        wait = budget.pay(count, now)
        if wait:
            assert wait > 1
            assert budget.pay(0, now + wait - 1.001) > 0
            now += wait
            assert budget.pay(0, now) == 0
