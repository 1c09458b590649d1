from __future__ import annotations

import pytest
from proofs import check_proven
from proven_talk_faults import NOT_PROVEN, PROVEN

from wsdev.codes import CLOSE_MEANINGS, REFUSALS, CloseCode, may_come_back
from wsdev.diagnosis.talk_faults import SHOWN_OTHERWISE, TALK_FAULTS
from wsdev.diagnosis.verdict import FAULTS
from wsdev.errors import ExitCode


def test_each_fault_is_produced_for_real_by_a_test() -> None:
    check_proven(TALK_FAULTS, PROVEN, NOT_PROVEN)


@pytest.mark.parametrize("code", REFUSALS)
def test_each_refusal_is_a_fault_in_the_gateways_words(code: str) -> None:
    if code in SHOWN_OTHERWISE:
        assert code not in FAULTS
        assert SHOWN_OTHERWISE[code] in FAULTS
        return
    assert TALK_FAULTS[code].what == REFUSALS[code].message
    assert TALK_FAULTS[code].fix == REFUSALS[code].hint


@pytest.mark.parametrize("code", [code for code in CLOSE_MEANINGS if code != CloseCode.ABNORMAL])
def test_each_close_code_is_a_fault_that_says_whether_to_come_back(code: int) -> None:
    fault = TALK_FAULTS[f"close_{int(code)}"]
    assert CLOSE_MEANINGS[code].meaning in fault.what
    assert (fault.exit_code is ExitCode.NOT_ALLOWED) == (not may_come_back(code))


def test_cut_without_a_close_frame_is_no_close_code() -> None:
    assert f"close_{int(CloseCode.ABNORMAL)}" not in TALK_FAULTS
