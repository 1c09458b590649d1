"""One finding of ``wsdev doctor``: what was found, what shows it, and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from wsdev.findings.kinds import FINDINGS, FindingKind, Grade
from wsdev.sanitize import printable


@dataclass(frozen=True, slots=True)
class Finding:
    """A finding.

    Attributes:
        code: A key of :data:`~wsdev.findings.kinds.FINDINGS`.
        evidence: What shows it, fit for a terminal.
        command: One that helps, ready to paste; empty where none does.
    """

    code: str
    evidence: tuple[str, ...] = ()
    command: str = ""

    @property
    def kind(self) -> FindingKind:
        """What a finding of this code means."""
        return FINDINGS[self.code]

    @property
    def grade(self) -> Grade:
        """How bad it is."""
        return self.kind.grade


def found(code: str, *evidence: str, command: str = "") -> Finding:
    """A finding, its evidence made fit for a terminal."""
    return Finding(code, clean(evidence), printable(command, 1000))


def moment(seconds: float) -> str:
    """Unix seconds as people write a time."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def clean(lines: Iterable[str]) -> tuple[str, ...]:
    """Each line without what steers a terminal; no empty ones."""
    return tuple(printable(line) for line in lines if line)
