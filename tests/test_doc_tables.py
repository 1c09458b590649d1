from __future__ import annotations

import pytest
from doc_tables import DOCS, TABLES, cell, persian_cell, with_table, without_tables

MARK = "\N{LEFT-TO-RIGHT MARK}"


@pytest.mark.parametrize(("page", "marker"), list(TABLES), ids="/".join)
def test_table_in_the_docs_is_that_of_the_code(page: str, marker: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    table = TABLES[page, marker]()
    assert with_table(text, marker, table) == text, "it differs: run make docs"


def test_page_without_markers_is_told() -> None:
    with pytest.raises(ValueError, match="no markers"):
        with_table("# A page\n", "faults", "")


def test_table_goes_between_its_own_markers_and_can_be_taken_out() -> None:
    page = "<!-- a-b -->\n<!-- /a-b -->\n<!-- c -->\nold\n<!-- /c -->\n"
    made = with_table(page, "a-b", "new")
    assert made == page.replace("-->\n<!-- /a-b", "-->\nnew\n<!-- /a-b")
    assert without_tables(made) == page.replace("old\n", "")


def test_signs_of_markdown_are_text_in_a_cell() -> None:
    assert cell("a|b <c> $d_e *f*") == r"a\|b \<c> \$d\_e \*f\*"


def test_code_in_a_persian_cell_keeps_its_signs_where_they_are() -> None:
    assert persian_cell("با `--host` و `ip route` و a_b") == (
        rf"با {MARK}`--host`{MARK} و `ip route` و a\_b"
    )
    assert persian_cell("`a|b_c`") == r"`a\|b_c`"
