from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsdev.json_bounds import MAX_JSON_DEPTH, find_excess


@given(st.binary())
def test_any_bytes_are_looked_through(text: bytes) -> None:
    excess = find_excess(text)
    assert excess is None or excess.code in {"too_deep", "number_too_large"}


@pytest.mark.parametrize(("opener", "closer"), [("[", "]"), ('{"a":', "}")])
def test_bound_of_the_depth_is_exact(opener: str, closer: str) -> None:
    def nested(levels: int) -> bytes:
        return (opener * levels + "0" + closer * levels).encode()

    assert find_excess(nested(MAX_JSON_DEPTH)) is None
    excess = find_excess(nested(MAX_JSON_DEPTH + 1))
    assert excess is not None
    assert excess.code == "too_deep"


@given(st.integers(-(2**70), 2**70))
def test_bound_of_integers_is_64_bits(number: int) -> None:
    excess = find_excess(json.dumps({"n": number}).encode())
    assert (excess is None) == (-(2**63) <= number < 2**64)


@given(st.text(alphabet='[{0123456789\\"a'))
def test_what_stands_in_a_string_breaks_no_bound(text: str) -> None:
    assert find_excess(json.dumps({"text": text * 40}).encode()) is None
