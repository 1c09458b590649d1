"""Holds a table of faults to the tests that produce them for real."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

TESTS = Path(__file__).parent


def check_proven(
    codes: Iterable[str], proven: Mapping[str, str], not_proven: Mapping[str, str]
) -> None:
    """Each fault is in one of the two, and each test named is there."""
    assert set(codes) == proven.keys() | not_proven.keys()
    assert not proven.keys() & not_proven.keys()
    assert all(not_proven.values())
    missing = [f"{code}: {place}" for code, place in proven.items() if not _is_there(code, place)]
    assert not missing, "\n".join(missing)


def _is_there(code: str, place: str) -> bool:
    """Whether the file has that test, with that case, and names the fault."""
    file, _, test = place.partition("::")
    name, _, case = test.partition("[")
    source = _source(file)
    is_case = not case or case.rstrip("]") in source
    return f"def {name}(" in source and is_case and _says(code, source)


def _says(code: str, source: str) -> bool:
    # The close codes are made of numbers there.
    return f'"{code}"' in source or code.removeprefix("close_") in source


@cache
def _source(file: str) -> str:
    return (TESTS / file).read_text(encoding="utf-8")
