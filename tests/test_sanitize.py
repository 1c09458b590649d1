from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsdev.sanitize import printable

VISIBLE_FORMAT = {"AL", "L"}
"""Bidirectional classes of format characters with a shape of their own, as U+070F."""

HIDDEN_LETTERS = set("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0")
"""Letters and marks to the database that leave no ink: Unicode's other default ignorables."""

BIDI_CONTROLS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def is_unsafe(character: str) -> bool:
    """By the Unicode database: controls, line ends, bidi marks, surrogates, hidden characters."""
    category = unicodedata.category(character)
    direction = unicodedata.bidirectional(character)
    if category == "Cf":
        return direction not in VISIBLE_FORMAT or character in "\u200e\u200f\u061c"
    return (
        category in {"Cc", "Cs", "Zl", "Zp"}
        or direction in BIDI_CONTROLS
        or character in HIDDEN_LETTERS
    )


def is_unassigned(character: str) -> bool:
    return unicodedata.category(character) == "Cn"


def test_every_unsafe_character_of_unicode_is_escaped_and_no_other() -> None:
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        escaped = printable(character) != character
        # Of the unassigned, those amid the hidden ones are escaped too.
        assert is_unsafe(character) == escaped or is_unassigned(character), hex(code)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;x\x07", "\\x1b]0;x\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("a\r\nb\tc\x00", "a\\x0d\\x0ab\\x09c\\x00"),
        ("\x7f", "\\x7f"),
        ("\u202etxt.exe", "\\u202etxt.exe"),
        ("a\u2028b", "a\\u2028b"),
        ("\ud800", "\\ud800"),
        ("ki\u3164tchen\uffa0", "ki\\u3164tchen\\uffa0"),
        ("\u0600123", "\\u0600123"),
        ("\U000e0041", "\\ue0041"),
        ("Grüße, 世界 \N{THERMOMETER}", "Grüße, 世界 \N{THERMOMETER}"),
        ("back\\slash", "back\\slash"),
        ("", ""),
    ],
)
def test_known_tricks_are_shown_and_plain_text_is_left_alone(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text(st.characters(exclude_categories=[])), st.integers(1, 50))
def test_nothing_unsafe_is_left_and_all_can_be_encoded(text: str, limit: int) -> None:
    shown = printable(text, limit)
    assert not any(map(is_unsafe, shown))
    shown.encode()
    # An escape takes seven characters at most.
    assert len(shown) <= 7 * limit


@given(st.text("abc", max_size=100), st.integers(1, 60))
def test_long_text_is_cut_and_says_so(text: str, limit: int) -> None:
    shown = printable(text, limit)
    assert len(shown) <= limit
    assert shown == text or shown == text[: limit - 1] + "…"
    assert (shown == text) == (len(text) <= limit)


@given(st.text(st.characters(exclude_categories=[]), max_size=40))
def test_what_is_printable_stays_as_it_is(text: str) -> None:
    assert printable(printable(text)) == printable(text)
