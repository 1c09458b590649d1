"""Conditions under which a run has failed: ``p99>100ms``, ``loss>0``, ``connected<95%``."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from wsdev.setting_values import parse_duration

TIMES: Final = ("p50", "p90", "p95", "p99", "p999", "max")
"""Round trips, in seconds."""

COUNTS: Final = ("loss", "errors", "reconnects", "connected", "rate")
"""Numbers; ``loss`` and ``connected`` may be percentages of what was sent and of the fleet."""

WHOLES: Final = {"loss": "sent", "connected": "count"}
"""What a percentage is of."""

_FORM = re.compile(r"\s*([a-z0-9]+)\s*(>=|<=|>|<)\s*([0-9.]+)\s*(ms|s|m|%|)\s*")
_COMPARE: Final[dict[str, Callable[[float, float], bool]]] = {
    ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Threshold:
    """One condition; ``text`` is as it was given."""

    text: str
    figure: str
    comparison: str
    value: float
    is_percentage: bool

    def is_met(self, figures: Mapping[str, float]) -> bool:
        """Whether the run has failed by it.

        Args:
            figures: Values of :data:`TIMES` in seconds and of :data:`COUNTS`, and the wholes. A
                time that was never measured is not there, and fails every condition on it.
        """
        if self.figure not in figures:
            return True
        found = figures[self.figure]
        if self.is_percentage:
            whole = figures[WHOLES[self.figure]]
            found = 100 * found / whole if whole else 0.0
        return _COMPARE[self.comparison](found, self.value)


def parse_threshold(text: str) -> Threshold:
    """A condition like ``p99>100ms``.

    Raises:
        ValueError: any other form; says what is expected.
    """
    match = _FORM.fullmatch(text)
    if match is None or match[1] not in TIMES + COUNTS:
        raise ValueError(f"one of {', '.join(TIMES + COUNTS)}, then > or <, then a value")
    figure, comparison, number, unit = match.groups()
    try:
        if figure in TIMES:
            if not unit or unit == "%":
                raise ValueError("a time with its unit is expected, like 100ms")
            return Threshold(text, figure, comparison, parse_duration(number + unit), False)
        value = float(number)
    except ValueError as exc:
        raise ValueError(str(exc)) from None
    if unit and (unit != "%" or figure not in WHOLES):
        raise ValueError(f"{figure} is a plain number" + (" or a percentage" * (figure in WHOLES)))
    return Threshold(text, figure, comparison, value, unit == "%")
