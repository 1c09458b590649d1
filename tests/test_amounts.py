"""Amounts as people read them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from wsdev.commands import amounts


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (1234, "1.2 kB"),
        (999_940, "999.9 kB"),
        (999_960, "1.0 MB"),
        (2_000_000_000, "2.0 GB"),
        (3 * 10**16, "30000.0 TB"),
    ],
)
def test_size(count: int, expected: str) -> None:
    assert amounts.size(count) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-1, "0 ms"),
        (0.0421, "42 ms"),
        (0.9996, "1.0 s"),
        (3.21, "3.2 s"),
        (9.97, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (62, "1 min 2 s"),
        (7200, "2 h"),
        (7265, "2 h 1 min"),
        (90_000, "1 d 1 h"),
        (86_400 * 400, "400 d"),
    ],
)
def test_duration(seconds: float, expected: str) -> None:
    assert amounts.duration(seconds) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.4, "now"),
        (-0.4, "now"),
        (3.9, "3 s ago"),
        (119, "1 min ago"),
        (7300, "2 h ago"),
        (86_400 * 3, "3 d ago"),
        (-5, "in 5 s"),
    ],
)
def test_age(seconds: float, expected: str) -> None:
    assert amounts.age(seconds) == expected


@pytest.mark.parametrize(("seconds", "expected"), [(0.00342, "3.4 ms"), (2.5, "2.5 s")])
def test_round_trip(seconds: float, expected: str) -> None:
    assert amounts.round_trip(seconds) == expected


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ((2026, 3, 2, 0, 0, 1), "00:00:01"),
        ((2026, 3, 1, 23, 59, 59), "Mar 01 23:59:59"),
        ((2025, 12, 31, 23, 0, 0), "2025-12-31 23:00:00"),
    ],
)
def test_moment_says_the_date_only_where_it_is_another(
    when: tuple[int, int, int, int, int, int], expected: str
) -> None:
    zone = timezone(timedelta(hours=1))
    now = datetime(2026, 3, 2, 12, 0, 0, tzinfo=zone)
    assert amounts.moment(datetime(*when, tzinfo=zone), now) == expected


@pytest.mark.parametrize(
    ("count", "expected"), [(0, "0 acks"), (1, "1 ack"), (2, "2 acks"), (2048, "2,048 acks")]
)
def test_counted(count: int, expected: str) -> None:
    assert amounts.counted(count, "ack") == expected
    assert amounts.counted(count, "ack", "acks") == expected
