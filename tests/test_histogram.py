"""Quantiles of many values in few counters."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsdev.histogram import RELATIVE_ERROR, Histogram

VALUES = st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=200)


def filled(values: list[float]) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    return histogram


@given(VALUES, st.floats(0, 1))
def test_quantile_is_within_the_relative_error(values: list[float], share: float) -> None:
    ordered = sorted(values)
    exact = ordered[max(1, math.ceil(share * len(ordered))) - 1]
    found = filled(values).quantile(share)
    assert found == pytest.approx(exact, rel=RELATIVE_ERROR + 1e-9)


@given(VALUES)
def test_largest_count_and_total_are_exact(values: list[float]) -> None:
    histogram = filled(values)
    assert histogram.largest == histogram.quantile(1) == max(values)
    assert histogram.count == len(values)
    assert histogram.total == pytest.approx(sum(values))


@given(VALUES)
def test_quantiles_grow_with_their_share(values: list[float]) -> None:
    histogram = filled(values)
    found = [histogram.quantile(share / 10) for share in range(11)]
    assert found == sorted(found)


def test_nothing_has_no_quantile() -> None:
    assert Histogram().quantile(0.5) == 0


def test_times_that_are_no_times_count_as_a_millionth() -> None:
    histogram = filled([0.0, -1.0, 1e-9, 1.0])
    assert histogram.count == 4
    assert histogram.quantile(0.5) == pytest.approx(1e-6, rel=RELATIVE_ERROR)
