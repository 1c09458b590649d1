"""Conditions under which a run has failed."""

from __future__ import annotations

import pytest

from wsdev.thresholds import parse_threshold

FIGURES = {
    "count": 100, "sent": 1000, "loss": 5, "errors": 0, "reconnects": 3, "connected": 96,
    "rate": 250.0, "p50": 0.002, "p99": 0.11, "max": 0.5,
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "is_met"),
    [
        ("p99>100ms", True),
        ("p99 > 0.2s", False),
        ("p50<=2ms", True),
        ("max>=1m", False),
        ("loss>0", True),
        ("loss>0.5%", False),
        ("loss>=0.5%", True),
        ("connected<95%", False),
        ("connected<97%", True),
        ("connected<100", True),
        ("rate<300", True),
        ("errors>0", False),
        ("p999>1ms", True),  # never measured
    ],
)
def test_condition_is_met_or_not(text: str, is_met: bool) -> None:
    assert parse_threshold(text).is_met(FIGURES) is is_met


def test_share_of_nothing_is_none() -> None:
    assert not parse_threshold("loss>0%").is_met({"loss": 0, "sent": 0})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "one of p50"),
        ("p98>1ms", "one of p50"),
        ("p99=1ms", "one of p50"),
        ("p99>1", "a time with its unit"),
        ("p99>1%", "a time with its unit"),
        ("loss>1s", "a plain number or a percentage"),
        ("errors>1%", "a plain number"),
        ("rate>1.2.3", "could not convert"),
        ("max>1.2.3s", "a time like"),
    ],
)
def test_what_cannot_be_meant_is_told(text: str, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        parse_threshold(text)
