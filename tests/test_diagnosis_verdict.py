from __future__ import annotations

import pytest

from wsdev.diagnosis.answer_faults import ANSWER_FAULTS
from wsdev.diagnosis.path_faults import PATH_FAULTS
from wsdev.diagnosis.talk_faults import TALK_FAULTS
from wsdev.diagnosis.verdict import FAULTS, verdict
from wsdev.layers import Layer
from wsdev.token_format import new_token


def test_all_tables_are_one_with_over_forty_faults() -> None:
    assert set(FAULTS) == {*PATH_FAULTS, *ANSWER_FAULTS, *TALK_FAULTS}
    assert len(FAULTS) > 40


@pytest.mark.parametrize("code", FAULTS)
def test_verdict_is_what_the_table_says(code: str) -> None:
    fault, found = FAULTS[code], verdict(code)
    assert (found.code, found.layer, found.exit_code) == (code, fault.layer, fault.exit_code)
    assert (found.what, found.why, found.fix) == (fault.what, fault.why, fault.fix)
    assert found.what
    assert found.why
    assert found.fix


def test_evidence_is_escaped_and_free_of_tokens_and_gaps() -> None:
    token = new_token("pico")
    found = verdict("cut", "", "\x1b[2J", f"it says {token}", "x" * 10_000)
    assert found.evidence[0] == r"\x1b[2J"
    assert token[:14] not in found.evidence[1]
    assert len(found.evidence) == 3
    assert len(found.evidence[2]) == 300


def test_layer_and_fix_can_be_those_of_the_case() -> None:
    found = verdict("cut", layer=Layer.HELLO, fix="do\nthis")
    assert (found.layer, found.fix) == (Layer.HELLO, r"do\x0athis")


def test_unknown_fault_is_a_bug() -> None:
    with pytest.raises(KeyError):
        verdict("no such fault")
