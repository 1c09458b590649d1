from __future__ import annotations

from wsdev.findings.finding import clean, found, moment
from wsdev.findings.kinds import FINDINGS, Grade


def test_evidence_and_command_cannot_steer_a_terminal() -> None:
    finding = found("server_missing", "a\x1b]0;x\x07", "", command="rm \x9b31m\n")
    assert finding.evidence == ("a\\x1b]0;x\\x07",)
    assert finding.command == "rm \\x9b31m\\x0a"


def test_finding_has_the_grade_of_its_code() -> None:
    finding = found("server_missing")
    assert finding.kind is FINDINGS["server_missing"]
    assert finding.grade is Grade.PROBLEM


def test_line_that_is_long_is_cut() -> None:
    (line,) = clean(["x" * 9000])
    assert len(line) == 300


def test_times_are_in_utc() -> None:
    assert moment(0) == "1970-01-01 00:00:00 UTC"
