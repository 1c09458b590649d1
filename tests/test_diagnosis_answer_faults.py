from __future__ import annotations

from proofs import check_proven
from proven_answer_faults import NOT_PROVEN, PROVEN

from wsdev.diagnosis.answer_faults import ANSWER_FAULTS
from wsdev.errors import ExitCode
from wsdev.layers import Layer


def test_each_fault_is_produced_for_real_by_a_test() -> None:
    check_proven(ANSWER_FAULTS, PROVEN, NOT_PROVEN)


def test_each_fault_is_one_line_in_each_part() -> None:
    for code, fault in ANSWER_FAULTS.items():
        assert fault.code == code
        for text in (fault.what, fault.why, fault.fix):
            assert text.isprintable()
            assert 10 < len(text) < 250
            assert not text.endswith(".")


def test_all_end_with_the_code_of_a_strange_answer() -> None:
    assert {fault.exit_code for fault in ANSWER_FAULTS.values()} == {ExitCode.HTTP}
    assert {fault.layer for fault in ANSWER_FAULTS.values()} == {Layer.HTTP, Layer.UPGRADE}
