from __future__ import annotations

import pytest
from doc_tables import DOCS, TABLES, with_table


@pytest.mark.parametrize(("page", "marker"), list(TABLES), ids="/".join)
def test_table_in_the_docs_is_that_of_the_code(page: str, marker: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    table = TABLES[page, marker]()
    assert with_table(text, marker, table) == text, "it differs: run make docs"


def test_page_without_markers_is_told() -> None:
    with pytest.raises(ValueError, match="no markers"):
        with_table("# A page\n", "faults", "")
