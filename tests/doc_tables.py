"""The tables of the docs that are made from the code: ``make docs`` writes them, a test compares.

Each stands between two markers, ``<!-- faults -->`` and ``<!-- /faults -->``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from wsdev.diagnosis.diagnose import REMARKS
from wsdev.diagnosis.faults import Fault
from wsdev.diagnosis.verdict import FAULTS
from wsdev.layers import Layer

DOCS = Path(__file__).parent.parent / "docs"


def by_layer() -> list[Fault]:
    """All faults, in the order in which the layers are walked."""
    order = list(Layer)
    return sorted(FAULTS.values(), key=lambda fault: order.index(fault.layer))


def fault_table() -> str:
    """Every fault: where, what, why, what to do."""
    lines = [
        "| layer | fault | exit | what happened | why it usually does | what to do |",
        "|---|---|---|---|---|---|",
    ]
    for fault in by_layer():
        told = (fault.what, fault.why, fault.fix)
        cells = (fault.layer.value, f"`{fault.code}`", str(int(fault.exit_code)), *map(cell, told))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def remark_table() -> str:
    """Every remark: what works and will bite."""
    lines = ["| note | what it means | what to do |", "|---|---|---|"]
    lines += [f"| `{code}` | {cell(what)} | {cell(fix)} |" for code, (what, fix) in REMARKS.items()]
    return "\n".join(lines)


def cell(text: str) -> str:
    """Text that a cell of a Markdown table takes as it is."""
    for mark in ("\\", "|", "<", "*", "_", "$"):
        text = text.replace(mark, f"\\{mark}")
    return text


TABLES: dict[tuple[str, str], Callable[[], str]] = {
    ("external-connections.md", "faults"): fault_table,
    ("external-connections.md", "notes"): remark_table,
}


def with_table(page: str, name: str, table: str) -> str:
    """The page with the table between its markers.

    Raises:
        ValueError: the page has no such markers.
    """
    start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    before, found, rest = page.partition(start)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"no markers for {name}")
    return f"{before}{start}{table}\n{end}{after}"


def main() -> None:
    """Write all tables."""
    for (name, marker), table in TABLES.items():
        file = DOCS / name
        page = file.read_text(encoding="utf-8")
        file.write_text(with_table(page, marker, table()), encoding="utf-8")


if __name__ == "__main__":
    main()
