"""That all is translated, and how, is looked at in test_fault_translations."""

from __future__ import annotations

from typing import get_args

import pytest
from fault_translations import FILE
from test_refusal_groups import grouped, refusal

from wsdev.codes import explain
from wsdev.refusal_report import report
from wsdev.remedies import fix_for
from wsdev.translation import ENGLISH, Language, translation


def test_each_language_has_its_table_but_english() -> None:
    tables = {file.stem for file in FILE.parent.glob("*.toml")}
    assert tables | {"en"} == set(get_args(Language))
    assert translation("en") is ENGLISH


@pytest.mark.parametrize("code", ["token_missing", "tls_on_plain_port", "no_request", "cut"])
def test_code_is_explained_in_persian(code: str) -> None:
    english, persian = explain(code), translation("fa").explain(code)
    assert english is not None
    assert persian is not None
    assert persian.message not in ("", english.message)
    assert persian.hint not in ("", english.hint)
    assert ENGLISH.explain(code) == english


def test_code_of_a_later_version_has_no_words() -> None:
    assert translation("fa").explain("of_a_later_version") is None


def test_refusals_are_reported_in_persian_with_what_is_known_of_them() -> None:
    words = translation("fa")
    groups = grouped(refusal(code="token_unknown", tail="abcd"), refusal(code="too_many_attempts"))
    shown = groups.by_count()
    codes = {"token_unknown", "too_many_attempts"}
    fixes = [fix_for(group, codes, words) for group in shown]
    unknown, attempts = report(groups, shown, fixes, 2, words)["groups"]
    assert "`…abcd`" in unknown["fix"]
    assert "`wsdev tokens create --device pico`" in unknown["fix"]
    assert unknown["message"].startswith("شکلِ توکن")
    assert attempts["fix"].endswith("یک دقیقه صبر کنید.")
