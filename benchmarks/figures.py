"""Figures from several rounds, and what is said about them: tables, targets, bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median


@dataclass(slots=True)
class Figure:
    """One quantity, measured once a round."""

    rounds: list[float] = field(default_factory=list)

    def add(self, value: float) -> None:
        """Take in what a round gave."""
        self.rounds.append(value)

    @property
    def median(self) -> float:
        """The middle of the rounds: one that another process disturbed does not move it."""
        return median(self.rounds)

    def over(self, other: Figure) -> Figure:
        """The quotient, round by round: what disturbed a whole round falls out."""
        return Figure([a / b for a, b in zip(self.rounds, other.rounds, strict=True)])

    def minus(self, other: Figure) -> Figure:
        """The difference, round by round."""
        return Figure([a - b for a, b in zip(self.rounds, other.rounds, strict=True)])

    def __str__(self) -> str:
        """The median, then the smallest and the largest."""
        return self.text(1)

    def text(self, digits: int) -> str:
        """The same with so many digits behind the point."""
        if len(self.rounds) == 1:
            return f"{self.median:.{digits}f}"
        low, high = min(self.rounds), max(self.rounds)
        return f"{self.median:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


@dataclass(frozen=True, slots=True)
class Table:
    """A title, the heads of its columns, rows of text, remarks below."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    remarks: Sequence[str] = ()

    def markdown(self) -> str:
        """Markdown that can be read as it is: columns padded, all but the first to the right."""
        lines = [self.columns, *self.rows]
        widths = [max(len(line[place]) for line in lines) for place in range(len(self.columns))]
        rule = ["-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])]
        text = [f"**{self.title}**", "", _line(self.columns, widths), f"|{'|'.join(rule)}|"]
        text += [_line(row, widths) for row in self.rows]
        for remark in self.remarks:
            text += ["", remark]
        return "\n".join(text) + "\n"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = (
        cell.rjust(width) if place else cell.ljust(width)
        for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return f"| {' | '.join([first, *others])} |"


@dataclass(frozen=True, slots=True)
class Target:
    """What the gateway has to keep to.

    Attributes:
        what: Of which quantity, in words.
        most: The largest value that keeps it.
        unit: Of that value; empty for a factor.
        figure: What was measured, or why it was not.
    """

    what: str
    most: float
    unit: str
    figure: Figure | str

    @property
    def verdict(self) -> str:
        """Whether the median keeps it."""
        if isinstance(self.figure, str):
            return "not measured"
        return "kept" if self.figure.median <= self.most else "NOT KEPT"

    def row(self) -> list[str]:
        """Its line in the table of targets."""
        figure = self.figure if isinstance(self.figure, str) else self.figure.text(self._digits)
        return [self.what, f"{self.most:g} {self.unit}".strip(), figure, self.verdict]

    @property
    def _digits(self) -> int:
        return 1 if self.unit else 2


def table_of_targets(targets: Sequence[Target]) -> Table:
    """All targets and what became of them."""
    columns = ["what is bounded", "at most", "measured", ""]
    return Table("Targets", columns, [target.row() for target in targets])


@dataclass(frozen=True, slots=True)
class Bar:
    """A line of a chart.

    Attributes:
        figure: Its length and spread, or why there is none.
        is_ours: Drawn in the gateway's own colour.
        most: Its target, if it has one.
    """

    name: str
    figure: Figure | str
    is_ours: bool = False
    most: float | None = None


@dataclass(frozen=True, slots=True)
class Panel:
    """Bars that share a scale from zero on."""

    title: str
    unit: str
    bars: Sequence[Bar]


@dataclass(frozen=True, slots=True)
class Result:
    """What a measure found."""

    tables: Sequence[Table]
    targets: Sequence[Target] = ()
    panels: Sequence[Panel] = ()
