"""The tables of the docs that are made from the code: ``make docs`` writes them, a test compares.

Each stands between two markers, ``<!-- faults -->`` and ``<!-- /faults -->``. The Persian ones are
made with the translations in ``wsdev/translations/fa.toml``: whoever has looked after the entries
of some codes there says so with ``make translated ARGS="refused wrong_port"``.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from fault_translations import FILE, Texts, english, persian, stamped

from wsdev.diagnosis.diagnose import REMARKS
from wsdev.diagnosis.faults import Fault
from wsdev.diagnosis.verdict import FAULTS
from wsdev.errors import EXIT_CODE_MEANINGS
from wsdev.layers import Layer

DOCS = Path(__file__).parent.parent / "docs"

_FAULT_HEAD = ("fault", "exit", "what happened", "why it usually does", "what to do")
_NOTE_HEAD = ("note", "what it means", "what to do")
_FAULT_HEAD_FA = ("خطا", "کد خروج", "چه شد", "معمولاً چرا", "چه باید کرد")
_NOTE_HEAD_FA = ("یادداشت", "یعنی چه", "چه باید کرد")

_LEFT_TO_RIGHT = "\N{LEFT-TO-RIGHT MARK}"
_LETTERS_OUTSIDE = re.compile(r"[A-Za-z0-9](.*[A-Za-z0-9])?")
_CODE = re.compile(rf"{_LEFT_TO_RIGHT}?`([^`\n]+)`{_LEFT_TO_RIGHT}?")


def by_layer() -> dict[Layer, list[Fault]]:
    """All faults, in the order in which the layers are walked."""
    found: dict[Layer, list[Fault]] = {layer: [] for layer in Layer}
    for fault in FAULTS.values():
        found[fault.layer].append(fault)
    return found


# Tables


def fault_tables() -> str:
    """Every fault: where, what, why, what to do; a table for each layer."""
    return _fault_tables(_FAULT_HEAD, english(), cell)


def persian_fault_tables() -> str:
    """The same in Persian."""
    return _fault_tables(_FAULT_HEAD_FA, english() | persian(), persian_cell)


def _fault_tables(
    head: tuple[str, ...], told: dict[str, Texts], as_cell: Callable[[str], str]
) -> str:
    parts = []
    for layer, faults in by_layer().items():
        rows = []
        for fault in faults:
            texts = told[f"faults.{fault.code}"]
            cells = (as_cell(texts[key]) for key in ("what", "why", "fix"))
            rows.append((f"`{fault.code}`", str(int(fault.exit_code)), *cells))
        title = f'<a id="faults-{layer}"></a>\n### [{layer}](#{layer})'
        parts.append(f"{title}\n\n{table(head, rows)}\n")
    return "\n".join(["", *parts])


def note_table() -> str:
    """Every remark: what works and will bite."""
    return _note_table(_NOTE_HEAD, english(), cell)


def persian_note_table() -> str:
    """The same in Persian."""
    return _note_table(_NOTE_HEAD_FA, english() | persian(), persian_cell)


def _note_table(
    head: tuple[str, ...], told: dict[str, Texts], as_cell: Callable[[str], str]
) -> str:
    texts = {code: told[f"notes.{code}"] for code in REMARKS}
    rows = [
        (f"`{code}`", as_cell(text["what"]), as_cell(text["fix"])) for code, text in texts.items()
    ]
    return f"\n{table(head, rows)}\n"


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A Markdown table of cells that are Markdown already."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def exit_code_table() -> str:
    """What the process tells the shell."""
    rows = [(str(int(code)), cell(meaning)) for code, meaning in EXIT_CODE_MEANINGS.items()]
    return f"\n{table(('code', 'meaning'), rows)}\n"


# Cells


def cell(text: str) -> str:
    """Text that a cell of a Markdown table takes as it is."""
    for mark in ("\\", "|", "<", "*", "_", "$"):
        text = text.replace(mark, f"\\{mark}")
    return text


def persian_cell(text: str) -> str:
    """The same for text from right to left, with code in backticks."""
    parts = text.split("`")
    parts[::2] = map(cell, parts[::2])
    parts[1::2] = (part.replace("|", "\\|") for part in parts[1::2])
    return beside_persian("`".join(parts))


def beside_persian(text: str) -> str:
    """Text from right to left whose code, in backticks, can be read from left to right.

    Code that begins or ends with a sign gets a mark on both sides, or the sign would go to the
    other end: the signs of ``--host`` have no direction of their own.
    """
    return _CODE.sub(_marked, text)


def _marked(code: re.Match[str]) -> str:
    mark = "" if _LETTERS_OUTSIDE.fullmatch(code[1]) else _LEFT_TO_RIGHT
    return f"{mark}`{code[1]}`{mark}"


# Pages

TABLES: dict[tuple[str, str], Callable[[], str]] = {
    ("../README.md", "exit-codes"): exit_code_table,
    ("external-connections.md", "faults"): fault_tables,
    ("external-connections.md", "notes"): note_table,
    ("external-connections.fa.md", "faults"): persian_fault_tables,
    ("external-connections.fa.md", "notes"): persian_note_table,
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


def without_tables(page: str) -> str:
    """The page with nothing between its markers."""
    return re.sub(r"(<!-- ([\w-]+) -->\n).*?(<!-- /\2 -->)", r"\1\3", page, flags=re.DOTALL)


def main(codes: list[str]) -> None:
    """Write all tables; before, take the translations of these codes for those of today's text."""
    FILE.write_text(stamped(FILE.read_text(encoding="utf-8"), codes), encoding="utf-8")
    for (name, marker), make in TABLES.items():
        file = DOCS / name
        page = file.read_text(encoding="utf-8")
        file.write_text(with_table(page, marker, make()), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
