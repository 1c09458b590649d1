"""Any facts that a probe could bring home, for property tests of the rules."""

from __future__ import annotations

import enum
import functools
import inspect
import typing

import msgspec
from hypothesis import strategies as st

from wsdev.diagnosis import facts as facts_module
from wsdev.diagnosis.facts import AddressFacts, Facts

_TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
_SECONDS = st.floats(0, 5e9, allow_nan=False)


def _addresses() -> st.SearchStrategy[str]:
    scoped = st.integers(1, 9).map("fe80::1%{}".format)
    return st.one_of(st.ip_addresses().map(str), st.just("127.0.0.1"), st.just("::1"), scoped)


_PLAIN: dict[object, st.SearchStrategy[typing.Any]] = {
    str: _TEXTS,
    int: st.integers(0, 2**32),
    float: _SECONDS,
    bool: st.booleans(),
}


def _of_type(kind: object) -> st.SearchStrategy[typing.Any]:
    if kind in _PLAIN:
        return _PLAIN[kind]
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin is list:
        return st.lists(_of_type(parts[0]), max_size=3)
    if origin is tuple:
        return st.tuples(*map(_of_type, parts))
    if parts:  # a union
        return st.one_of(*(st.none() if part is type(None) else _of_type(part) for part in parts))
    if inspect.isclass(kind) and issubclass(kind, msgspec.Struct):
        return any_struct(kind)
    return st.sampled_from(list(typing.cast("type[enum.Enum]", kind)))  # an enum


@functools.cache
def any_struct(kind: type[msgspec.Struct]) -> st.SearchStrategy[typing.Any]:
    """Any value of this struct of the facts."""
    hints = typing.get_type_hints(kind, vars(facts_module))
    fields = {name: _of_type(hint) for name, hint in hints.items()}
    if kind is AddressFacts:
        fields["ip"] = _addresses()
    return st.builds(kind, **fields)


def any_facts() -> st.SearchStrategy[Facts]:
    """Any facts at all, also such as no visit would bring."""
    return any_struct(Facts)
