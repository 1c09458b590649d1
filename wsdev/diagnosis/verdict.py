"""The form of a verdict: which fault it is, and what proves it."""

from __future__ import annotations

import msgspec

from wsdev.diagnosis.answer_faults import ANSWER_FAULTS
from wsdev.diagnosis.faults import Fault, keyed
from wsdev.diagnosis.path_faults import PATH_FAULTS
from wsdev.diagnosis.talk_faults import TALK_FAULTS
from wsdev.errors import ExitCode
from wsdev.layers import Layer
from wsdev.sanitize import printable
from wsdev.token_format import without_tokens

FAULTS: dict[str, Fault] = keyed(
    fault for table in (PATH_FAULTS, ANSWER_FAULTS, TALK_FAULTS) for fault in table.values()
)
"""All faults by code, in the order of their layers within each table."""


class Verdict(msgspec.Struct, frozen=True):
    """The first broken layer: what happened, what proves it, why it usually does, what to do.

    Attributes:
        code: A key of :data:`FAULTS`.
        evidence: What was seen, one line each; text of peers is escaped.
    """

    code: str
    layer: Layer
    exit_code: ExitCode
    what: str
    evidence: list[str]
    why: str
    fix: str


def verdict(code: str, *evidence: str, layer: Layer | None = None, fix: str = "") -> Verdict:
    """The fault ``code``, with what proves it.

    Args:
        evidence: Lines; empty ones are left out, and all are escaped here.
        layer: Where it showed, if not where it usually does.
        fix: What to do in this very case, if it is more than the table knows.
    """
    fault = FAULTS[code]
    seen = [printable(without_tokens(line)) for line in evidence if line]
    return Verdict(
        code,
        layer or fault.layer,
        fault.exit_code,
        fault.what,
        seen,
        fault.why,
        printable(fix) if fix else fault.fix,
    )
