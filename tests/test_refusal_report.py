from __future__ import annotations

from wsdev.journal_entries import RefusalEntry
from wsdev.refusal_groups import RefusalGroups
from wsdev.refusal_report import hidden_count, report


def groups() -> RefusalGroups:
    made = RefusalGroups()
    for number, code in enumerate(["not_found"] * 3 + ["token_missing"]):
        made.take([
            RefusalEntry(
                number, 0, "refused", "r", "192.0.2.1", None, "/x", code, 404, None, "curl"
            )
        ])  # fmt: skip
    return made


def test_report_tells_of_what_is_shown_and_counts_the_rest() -> None:
    made = groups()
    (first, second) = made.by_count()
    told = report(made, [first], ["mend it"], 2)
    assert (told["count"], told["groups_left_out"], told["count_left_out"]) == (4, 1, 1)
    (group,) = told["groups"]
    assert (group["code"], group["count"], group["fix"]) == ("not_found", 3, "mend it")
    assert group["paths"] == {"values": [{"value": "/x", "count": 3}], "others": 0}
    assert hidden_count(made, [first, second]) == 0
