"""Panels of bars with their spread, as SVG that reads well on light and on dark pages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final
from xml.sax.saxutils import escape

from benchmarks.figures import Bar, Figure, Panel

# Units of the drawing, which are pixels at its natural size.
MARGIN: Final = 24
COLUMNS: Final = 2
PANEL_WIDTH: Final = 430
GAP: Final = 36
LABELS: Final = 190
BARS: Final = 192
"""Width of the longest bar; what is left of a panel is for its value."""

TITLE: Final = 34
ROW: Final = 22
THICKNESS: Final = 12
LEGEND: Final = 30

_OUTLIER: Final = 1.4
"""Times the longest median: a spread that goes further is cut off, lest one bad round make all
bars short."""

_STYLE: Final = """\
.page { fill: #ffffff; stroke: #d9dee7; }
text { font: 12px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2937; }
.title { font-size: 14px; font-weight: 600; }
.unit, .none, .legend { fill: #667085; }
.value { font-variant-numeric: tabular-nums; }
.ours-name { font-weight: 600; }
.other { fill: #b4bdca; }
.ours { fill: #3b73d9; }
.zero { stroke: #98a2b3; }
.spread { stroke: #1f2937; stroke-width: 1.25; opacity: 0.75; }
.most { stroke: #d9480f; stroke-width: 2.5; }
@media (prefers-color-scheme: dark) {
.page { fill: #12161d; stroke: #303846; }
text { fill: #e5e9f0; }
.unit, .none, .legend { fill: #98a2b3; }
.other { fill: #4c5767; }
.ours { fill: #5b94f5; }
.zero { stroke: #667085; }
.spread { stroke: #e5e9f0; }
.most { stroke: #ff8a4c; }
}
"""


def draw(panels: Sequence[Panel], legend: str) -> str:
    """An SVG document.

    Args:
        legend: What a bar and the line over it are; the mark of a target is explained here.
    """
    lines = [panels[start : start + COLUMNS] for start in range(0, len(panels), COLUMNS)]
    heights = [TITLE + ROW * max(len(panel.bars) for panel in line) + GAP for line in lines]
    width = 2 * MARGIN + COLUMNS * PANEL_WIDTH + (COLUMNS - 1) * GAP
    height = 2 * MARGIN + sum(heights) - GAP + LEGEND
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
        f"<title>{escape('; '.join(panel.title for panel in panels))}</title>",
        f"<style>\n{_STYLE}</style>",
        f'<rect class="page" x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="8"/>',
    ]
    top = MARGIN
    for line, below in zip(lines, heights, strict=True):
        for place, panel in enumerate(line):
            parts.append(f'<g transform="translate({MARGIN + place * (PANEL_WIDTH + GAP)} {top})">')
            parts += _panel(panel)
            parts.append("</g>")
        top += below
    parts += [*_legend(legend, height - MARGIN), "</svg>"]
    return "\n".join(parts) + "\n"


def _legend(legend: str, y: int) -> list[str]:
    mark = MARGIN + 2
    return [
        f'<line class="most" x1="{mark}" x2="{mark}" y1="{y - 12}" y2="{y + 2}"/>',
        f'<text class="legend" x="{mark + 8}" y="{y}">target. {escape(legend)}</text>',
    ]


def _panel(panel: Panel) -> Iterator[str]:
    yield (
        f'<text class="title" y="14">{escape(panel.title)}'
        f'<tspan class="unit" font-weight="400">, {escape(panel.unit)}</tspan></text>'
    )
    full = scale_of(panel.bars)
    for number, bar in enumerate(panel.bars):
        middle = TITLE + ROW * number + ROW / 2
        name = "ours-name" if bar.is_ours else "name"
        yield f'<text class="{name}" y="{middle + 4:g}">{escape(bar.name)}</text>'
        yield from _bar(bar, middle, full)
    bottom = TITLE + ROW * len(panel.bars)
    yield f'<line class="zero" x1="{LABELS}" x2="{LABELS}" y1="{TITLE}" y2="{bottom}"/>'


def _bar(bar: Bar, middle: float, full: float) -> Iterator[str]:
    if isinstance(bar.figure, str):
        yield f'<text class="none" x="{LABELS + 6}" y="{middle + 4:g}">{escape(bar.figure)}</text>'
        return

    def at(value: float) -> float:
        return round(LABELS + BARS * min(max(value, 0.0), full) / full, 1)

    end = at(bar.figure.median)
    yield (
        f'<rect class="{"ours" if bar.is_ours else "other"}" x="{LABELS}"'
        f' y="{middle - THICKNESS / 2:g}" width="{end - LABELS:g}" height="{THICKNESS}"/>'
    )
    low, high = min(bar.figure.rounds), max(bar.figure.rounds)
    if low < high:
        yield _line("spread", at(low), middle, at(high), middle)
        for value in (low, high):
            if value <= full:
                yield _line("spread", at(value), middle - 3, at(value), middle + 3)
    right = max(end, at(high))
    if bar.most is not None:
        yield _line("most", at(bar.most), middle - 9, at(bar.most), middle + 9)
        right = max(right, at(bar.most))
    shown = f"{bar.figure.median:.1f}"
    yield f'<text class="value" x="{right + 7:g}" y="{middle + 4:g}">{shown}</text>'


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{kind}" x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}"/>'


def scale_of(bars: Sequence[Bar]) -> float:
    """The value at the end of the longest bar: all medians and targets fit, and most spreads."""
    figures = [bar.figure for bar in bars if isinstance(bar.figure, Figure)]
    longest = max((figure.median for figure in figures), default=0.0)
    furthest = max((max(figure.rounds) for figure in figures), default=0.0)
    targets = [bar.most for bar in bars if bar.most is not None]
    return max(longest, min(furthest, _OUTLIER * longest), *targets, 1e-9)
