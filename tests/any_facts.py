"""Facts of any kind, for property tests of what is made of them."""

from __future__ import annotations

import types
import typing
from typing import Any, TypeVar

import msgspec
from hypothesis import strategies as st

from wsdev.codes import CLOSE_MEANINGS, REFUSALS

T = TypeVar("T", bound=msgspec.Struct)

_ADDRESSES = st.sampled_from(
    ["127.0.0.1", "192.0.2.7", "9.9.9.9", "::1", "fe80::1%2", "2001:db8::1"]
) | st.ip_addresses().map(str)
_TEXTS = st.one_of(
    st.text(max_size=40),
    st.text(min_size=1, max_size=20).map(lambda text: text * 500),
    st.sampled_from([
        *REFUSALS, "hello", "message", "large", "ping", "/ws/pico", "/public/tokens", "/x/healthz",
        "<html><form>login", "SSH-2.0", "https://127.0.0.1/", "http://[", "wsd_pico_" + "A" * 28,
    ]),
)  # fmt: skip
_NUMBERS = st.one_of(
    st.integers(-5, 70_000), st.sampled_from([*CLOSE_MEANINGS, 200, 301, 400, 403, 426, 502, 521])
)


def any_facts(kind: type[T]) -> st.SearchStrategy[T]:
    """Any value of that struct, with addresses that are some."""
    fields = msgspec.structs.fields(kind)
    made = {one.name: _ADDRESSES if one.name == "ip" else _of(one.type) for one in fields}
    return st.builds(kind, **made)


def _of(kind: Any) -> st.SearchStrategy[Any]:
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return st.one_of(*map(_of, parts))
    if origin is list:
        return st.lists(_of(parts[0]), max_size=3)
    if origin is tuple:
        return st.tuples(*map(_of, parts))
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return any_facts(kind)
    if kind is str:
        return _TEXTS
    if kind is float:
        return st.floats(0, 5e9)  # seconds, Unix times too
    return _NUMBERS if kind is int else st.from_type(kind)
