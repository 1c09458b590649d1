"""Figures from several rounds, and the tables they go into."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from rich import box
from rich.console import Console
from rich.table import Table


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

    def __str__(self) -> str:
        """The median, then the smallest and the largest."""
        return f"{self.median:.1f} ({min(self.rounds):.1f} to {max(self.rounds):.1f})"


@dataclass(frozen=True, slots=True)
class Report:
    """A table for people: a title, the head of its columns, rows of text, remarks below."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    remarks: Sequence[str] = ()

    def show(self, console: Console) -> None:
        """Print it, in a form that Markdown takes as it is."""
        table = Table(*self.columns, box=box.MARKDOWN)
        for column in table.columns[1:]:
            column.justify = "right"
        for row in self.rows:
            table.add_row(*row)
        console.print(f"\n{self.title}", highlight=False)
        console.print(table)
        for remark in self.remarks:
            console.print(remark, highlight=False)
