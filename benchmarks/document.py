"""The page about performance: what a whole run writes into it, and leaves alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.chart import draw
from benchmarks.figures import Result, table_of_targets
from benchmarks.servers import BenchmarkError

FOLDER: Final = Path(__file__).parents[1] / "docs"
PAGE: Final = FOLDER / "performance.md"
CHART: Final = FOLDER / "performance.svg"

BEGIN: Final = "<!-- make bench writes from here -->"
END: Final = "<!-- to here -->"


def write(results: Sequence[Result], facts: Sequence[str], rounds: int) -> None:
    """Put a whole run in the place of the last one, with its chart beside the page.

    Raises:
        BenchmarkError: the page lacks the marks.
    """
    page = PAGE.read_text(encoding="utf-8")
    page = between_marks(page, written(results, facts, rounds))
    panels = [panel for result in results for panel in result.panels]
    CHART.write_text(draw(panels, legend(rounds)), encoding="utf-8")
    PAGE.write_text(page, encoding="utf-8")


def legend(rounds: int) -> str:
    """What the chart's bars are."""
    return f"Bar: median of {rounds} rounds. Line: smallest to largest. Less is better."


def written(results: Sequence[Result], facts: Sequence[str], rounds: int) -> str:
    """Markdown of a run: facts, chart, targets, tables."""
    targets = [target for result in results for target in result.targets]
    tables = [table for result in results for table in result.tables]
    head = [*facts, f"Median of {rounds} rounds, the smallest and the largest in parentheses."]
    parts = ["  \n".join(head), f"![The figures below as bars]({CHART.name})"]
    parts += [table.markdown().rstrip() for table in (table_of_targets(targets), *tables)]
    return "\n\n".join(parts)


def between_marks(page: str, text: str) -> str:
    """The page with ``text`` between the marks, and all else as it was.

    Raises:
        BenchmarkError: the marks are not there, once each and in order.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in after or END in before:
        raise BenchmarkError(f"{PAGE.name} needs the lines {BEGIN} and {END}, once each")
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"
