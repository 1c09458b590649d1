from __future__ import annotations

import re

import pytest
from fault_translations import FILE, digest, english, persian, stamped, troubles

from wsdev.cli import SUMMARIES

ENTRIES = persian()


def test_every_fault_note_code_and_fix_is_told_in_persian_as_it_is_in_english() -> None:
    # After the entries have been looked after: make translated ARGS="<code> <code>"
    assert troubles(ENTRIES) == []


@pytest.mark.parametrize("name", list(ENTRIES))
def test_latin_outside_backticks_is_words_that_keep_their_order(name: str) -> None:
    for key in ENTRIES[name].keys() - {"of"}:
        text = ENTRIES[name][key]
        assert text.count("`") % 2 == 0
        assert re.search("[آ-ی]", text), text
        outside = re.sub("`[^`]+`", "", text).replace("HTTP/1.", "HTTP 1.")
        outside = re.sub(r"\{(?:seconds|count)\}", "1", outside)
        assert not re.search(r"[][/_=$<>@#%&*+~|\\{}]|--|\d [A-Za-z]", outside), text


@pytest.mark.parametrize("name", list(ENTRIES))
def test_same_options_commands_and_addresses_stand_in_both_languages(name: str) -> None:
    original = " ".join(english()[name].values())
    told = " ".join(ENTRIES[name].values())
    commands = "|".join(SUMMARIES)
    literal = rf"--[a-z-]+|wsdev (?:{commands})|/[a-z]+/|wss?://|\d+\.\d+\.\d+\.\d+|\$\w+"
    assert set(re.findall(literal, told)) == set(re.findall(literal, original))


@pytest.mark.parametrize("name", [name for name in ENTRIES if name.startswith("fixes.")])
def test_fix_leaves_the_same_to_be_filled_in(name: str) -> None:
    filled = [set(re.findall(r"{(\w+)}", told[name]["fix"])) for told in (ENTRIES, english())]
    # Which codes stands beside it at the page, in its language.
    assert filled[0] == filled[1] - {"codes"}


def test_missing_superfluous_and_stale_entries_are_told() -> None:
    missing = {name: entry for name, entry in ENTRIES.items() if name != "faults.refused"}
    assert troubles(missing) == ["faults.refused: not translated"]
    assert troubles({**ENTRIES, "faults.old": {}}) == ["faults.old: no such code"]
    stale = {**ENTRIES["faults.refused"], "of": digest({"what": "other words"})}
    told = troubles({**ENTRIES, "faults.refused": stale})
    assert told == ["faults.refused: the English text has changed"]
    halved = {key: text for key, text in ENTRIES["faults.refused"].items() if key != "why"}
    assert troubles({**ENTRIES, "faults.refused": halved}) == [
        "faults.refused: needs what, why, fix"
    ]


def test_stamp_takes_an_entry_for_a_translation_of_todays_text() -> None:
    text = FILE.read_text(encoding="utf-8")
    stale = text.replace(ENTRIES["faults.refused"]["of"], "00000000")
    unstamped = re.sub(r"(\[faults\.refused\]\n)of = .*\n", r"\1", text)
    assert troubles(persian(stale)) == troubles(persian(unstamped)) != []
    assert stamped(stale, ["refused"]) == stamped(unstamped, ["refused"]) == text


def test_stamp_of_what_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="nonesuch"):
        stamped(FILE.read_text(encoding="utf-8"), ["nonesuch"])
