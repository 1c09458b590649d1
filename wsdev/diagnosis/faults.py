"""What can be wrong with a connection: one table for the probe, the docs and the exit codes.

Pure data. Which of them it is, is found by :mod:`wsdev.diagnosis.diagnose` from what the probe saw.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from wsdev.errors import ExitCode
from wsdev.layers import Layer


@dataclass(frozen=True, slots=True)
class Fault:
    """One way in which a connection breaks.

    Attributes:
        code: A stable word for machines, a key of the table.
        what: What happened, one sentence without the details of the case.
        why: Why it usually happens.
        fix: What to do about it.
    """

    code: str
    layer: Layer
    exit_code: ExitCode
    what: str
    why: str
    fix: str


def keyed(faults: Iterable[Fault]) -> dict[str, Fault]:
    """A table by code.

    Raises:
        ValueError: a code stands there twice.
    """
    table: dict[str, Fault] = {}
    for fault in faults:
        if fault.code in table:
            raise ValueError(f"two faults are called {fault.code}")
        table[fault.code] = fault
    return table
