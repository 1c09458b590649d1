from __future__ import annotations

import re
from pathlib import Path

import pytest

from wsdev.findings.kinds import CHECKS, FINDINGS, Grade

PAGE = (Path(__file__).parents[1] / "docs" / "doctor.md").read_text(encoding="utf-8")


def rows(header: str) -> list[list[str]]:
    """The cells of the table below this header."""
    lines = PAGE[PAGE.index(header) :].splitlines()[2:]
    table = []
    for line in lines:
        if not line.startswith("|"):
            break
        table.append([cell.strip() for cell in line.strip("|").split("|")])
    return table


def test_docs_have_every_check() -> None:
    assert rows("| check | looks at |") == [[f"`{name}`", text] for name, text in CHECKS.items()]


def test_docs_have_every_finding() -> None:
    assert rows("| code | grade | means | fix |") == [
        [f"`{code}`", kind.grade.value, kind.meaning, kind.fix] for code, kind in FINDINGS.items()
    ]


@pytest.mark.parametrize("code", FINDINGS)
def test_code_begins_with_its_check_and_a_fix_is_there_if_needed(code: str) -> None:
    kind = FINDINGS[code]
    assert kind.check in CHECKS
    assert re.fullmatch(rf"{kind.check.removesuffix('s')}s?_[a-z_]+", code) or kind.check in code
    assert bool(kind.fix) == (kind.grade is not Grade.OK)
    assert "|" not in kind.meaning + kind.fix


def test_each_check_can_find_nothing_wrong() -> None:
    good = {kind.check for kind in FINDINGS.values() if kind.grade is Grade.OK}
    assert good == set(CHECKS)
