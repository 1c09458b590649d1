from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

from wsdev.codes import REFUSALS
from wsdev.diagnosis.answer_faults import ANSWER_FAULTS
from wsdev.diagnosis.faults import Fault, keyed
from wsdev.diagnosis.path_faults import PATH_FAULTS
from wsdev.diagnosis.talk_faults import TALK_FAULTS
from wsdev.diagnosis.verdict import FAULTS
from wsdev.errors import ExitCode
from wsdev.layers import Layer

RULES = sorted(Path(__file__).parents[1].glob("wsdev/diagnosis/*.py"))

MADE_OF_OTHER_TABLES = ("close_", *REFUSALS)
"""Codes that no rule spells: a gateway's refusals and close codes come as they are."""


def constants(path: Path) -> Counter[str]:
    """The strings in a module, with how often they stand there."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return Counter(
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def spelled_verdicts() -> set[str]:
    """The codes that stand in calls of ``verdict``."""
    return {
        code
        for path in RULES
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
        if call.func.id == "verdict"
        for code in _codes_in(call.args[0])
    }


def _codes_in(argument: ast.expr) -> list[str]:
    """A code, or the two of ``a if … else b``; none where it is looked up."""
    parts = [argument.body, argument.orelse] if isinstance(argument, ast.IfExp) else [argument]
    values = [part.value for part in parts if isinstance(part, ast.Constant)]
    return [value for value in values if isinstance(value, str)]


def test_at_least_forty_faults_are_known() -> None:
    assert len(FAULTS) >= 40


def test_tables_together_are_all_faults() -> None:
    assert {**PATH_FAULTS, **ANSWER_FAULTS, **TALK_FAULTS} == FAULTS
    assert len(PATH_FAULTS) + len(ANSWER_FAULTS) + len(TALK_FAULTS) == len(FAULTS)


def test_code_that_stands_twice_is_an_error() -> None:
    fault = Fault("twice", Layer.TCP, ExitCode.REFUSED, "a", "b", "c")
    with pytest.raises(ValueError, match="twice"):
        keyed([fault, fault])


@pytest.mark.parametrize("code", FAULTS)
def test_fault_says_what_why_and_what_to_do(code: str) -> None:
    fault = FAULTS[code]
    assert fault.code == code
    assert code.isascii()
    assert code.replace("_", "").isalnum()
    assert code == code.lower()
    for words in (fault.what, fault.why, fault.fix):
        assert words == " ".join(words.split())
        assert words.isprintable()
    assert len(fault.what) <= 100
    assert len(fault.why) <= 160
    assert len(fault.fix) <= 160
    assert fault.exit_code is not ExitCode.OK
    assert fault.layer in Layer


@pytest.mark.parametrize("code", [code for code in FAULTS if code not in REFUSALS])
def test_words_of_a_fault_are_parts_of_a_line(code: str) -> None:
    """But for the gateway's own words, which are the sentences of its refusals."""
    fault = FAULTS[code]
    for words in (fault.what, fault.why, fault.fix):
        assert not words.endswith((".", ",", ":"))  # but nginx's lines end with ;


def test_no_two_faults_say_the_same() -> None:
    for field in ("what", "why"):
        told: dict[str, str] = {}
        for code, fault in {**PATH_FAULTS, **ANSWER_FAULTS}.items():
            words = getattr(fault, field)
            assert words not in told, (code, told[words])
            told[words] = code


def test_each_code_in_a_rule_is_in_the_tables() -> None:
    spelled = spelled_verdicts()
    assert len(spelled) > 20
    assert spelled <= set(FAULTS)


def test_each_fault_is_found_by_a_rule() -> None:
    """Its code stands somewhere else than in its own entry."""
    spelled: Counter[str] = sum(map(constants, RULES), Counter())
    unused = [
        code for code in FAULTS if spelled[code] < 2 and not code.startswith(MADE_OF_OTHER_TABLES)
    ]
    assert not unused
