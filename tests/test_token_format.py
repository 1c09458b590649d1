from __future__ import annotations

import hashlib
import itertools
import json
import re
import string
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsdev.errors import MistypedToken
from wsdev.token_format import (
    ParsedToken,
    fingerprint,
    may_hold_token,
    new_token,
    parse_token,
    without_tokens,
)

BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase

class_names = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,23}", fullmatch=True)
random_parts = st.binary(min_size=16, max_size=16)


@st.composite
def tokens(draw: st.DrawFn) -> str:
    part = draw(random_parts)
    return new_token(draw(class_names), lambda _size: part)


def cause_of(text: str) -> str:
    with pytest.raises(MistypedToken) as caught:
        parse_token(text)
    return caught.value.cause


def test_token_has_the_form_of_the_contract() -> None:
    token = new_token("pico", bytes)
    checked = "wsd_pico_" + "0" * 22
    assert token.startswith(checked)
    number = 0
    for character in token[len(checked) :]:
        number = number * 62 + BASE62.index(character)
    assert number == zlib.crc32(checked.encode())
    assert len(token) == len(checked) + 6


def test_all_ones_fit_into_the_random_part() -> None:
    token = new_token("pico", lambda size: b"\xff" * size)
    number = 0
    for character in token.removeprefix("wsd_pico_")[:22]:
        number = number * 62 + BASE62.index(character)
    assert number == 2**128 - 1


def test_tokens_differ_by_default() -> None:
    assert len({new_token("pico") for _ in range(100)}) == 100


@given(device_class=class_names, part=random_parts)
def test_every_class_name_makes_a_token_that_parses_back(device_class: str, part: bytes) -> None:
    token = new_token(device_class, lambda _size: part)
    assert len(token) <= 64
    assert re.fullmatch(r"[A-Za-z0-9_-]+", token)
    parsed = parse_token(token)
    assert parsed == ParsedToken(token, device_class)
    assert parsed.tail == token[-4:]


@pytest.mark.parametrize("device_class", ["", "Pico", "pi co", "a" * 25, "pico\n", "кот", "a/b"])
def test_what_is_no_class_name_makes_no_token(device_class: str) -> None:
    with pytest.raises(ValueError, match="not a device class"):
        new_token(device_class)


@given(token=tokens(), data=st.data())
def test_single_character_typo_is_always_caught(token: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(token) - 1))
    wrong = data.draw(st.characters().filter(lambda character: character != token[place]))
    cause_of(token[:place] + wrong + token[place + 1 :])


def test_every_single_character_typo_of_one_token_is_caught() -> None:
    token = new_token("esp32cam", bytes)
    for place, wrong in itertools.product(range(len(token)), BASE62 + "_-"):
        if wrong != token[place]:
            cause_of(token[:place] + wrong + token[place + 1 :])


@given(token=tokens(), data=st.data())
def test_swapped_neighbours_in_the_random_part_are_caught(token: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(len(token) - 28, len(token) - 8))
    swapped = token[:place] + token[place + 1] + token[place] + token[place + 2 :]
    if swapped != token:
        cause_of(swapped)


@given(token=tokens(), data=st.data())
def test_cut_token_is_caught(token: str, data: st.DataObject) -> None:
    cause_of(token[: data.draw(st.integers(0, len(token) - 1))])


@given(text=st.text())
def test_any_text_gets_a_verdict(text: str) -> None:
    cause_of(text)


def test_causes_tell_what_is_wrong() -> None:
    token = new_token("pico", bytes)
    assert cause_of("hunter2") == "this is not a wsdev token"
    assert "cut" in cause_of(token[:-1])
    assert "cut" in cause_of(token + "\n")
    assert "checksum" in cause_of(token.replace("000", "001"))
    assert "checksum" in cause_of(token.replace("pico", "pica"))


@given(token=tokens())
def test_mistyped_token_stays_out_of_its_error(token: str) -> None:
    body = token[-28:]
    for wrong in (token[1:], token[:-1], token[:-1] + ("0" if token[-1] != "0" else "1")):
        with pytest.raises(MistypedToken) as caught:
            parse_token(wrong)
        shown = f"{caught.value!r} {caught.value} {caught.value.cause} {caught.value.hint}"
        assert body[:8] not in shown
        assert caught.value.__context__ is None


def test_repr_hides_the_text() -> None:
    token = new_token("pico")
    assert token[-28:] not in repr(parse_token(token))
    assert "pico" in repr(parse_token(token))


def test_fingerprint_is_sha256_of_the_ascii_bytes() -> None:
    token = new_token("pico", bytes)
    assert fingerprint(token) == hashlib.sha256(token.encode("ascii")).digest()


# Tokens in other texts


@given(token=tokens(), before=st.text(), after=st.text(st.characters(exclude_characters="_-")))
def test_no_token_is_left_in_a_text(token: str, before: str, after: str) -> None:
    shown = without_tokens(before + token + after)
    assert token not in shown
    assert token[-20:] not in shown.replace(before, "").replace(after, "")


def test_what_stands_around_a_token_stays() -> None:
    token = new_token("pico")
    assert without_tokens(f'{{"token":"{token}"}}') == '{"token":"wsd_…"}'
    assert without_tokens(f"a {token}, {token}.") == "a wsd_…, wsd_…."


def test_mistyped_and_cut_tokens_are_taken_out_too() -> None:
    token = new_token("pico")
    for wrong in (token[:-5], token + "x", token.replace("pico", "Pico"), token[:16]):
        assert without_tokens(wrong) == "wsd_…"


@pytest.mark.parametrize(
    "text", ["", "wsd_", "wsd_pico", "wsd_pico_ab", "WSD_pico_0123456789", "ws d_pico_0123456789"]
)
def test_text_without_tokens_stays_as_it_is(text: str) -> None:
    assert without_tokens(text) == text


@given(st.text())
def test_text_that_was_cleaned_is_clean(text: str) -> None:
    assert without_tokens(without_tokens(text)) == without_tokens(text)


def escaped(text: str, which: list[bool], *, upper: bool) -> str:
    """JSON's inner text in which the characters that ``which`` tells are escapes."""
    digits = "04X" if upper else "04x"
    pairs = zip(text, itertools.cycle(which), strict=False)
    return "".join(rf"\u{ord(letter):{digits}}" if hide else letter for letter, hide in pairs)


@given(
    token=tokens(),
    which=st.lists(st.booleans(), min_size=1, max_size=60),
    upper=st.booleans(),
    wraps=st.integers(0, 2),
)
def test_no_token_is_left_in_json_however_it_is_escaped(
    token: str, which: list[bool], upper: bool, wraps: int
) -> None:
    text = f'["a\\\\{escaped(token, which, upper=upper)} b"]'
    for _ in range(wraps):
        text = json.dumps([text])
    shown = without_tokens(text)
    assert may_hold_token(text)
    for _ in range(wraps):
        (shown,) = json.loads(shown)
    (inner,) = json.loads(shown)
    # The backslash before an escape may go with it.
    assert inner in ("a\\wsd_… b", "awsd_… b")


def test_escapes_that_are_no_token_stay_as_they_are() -> None:
    for text in (
        r"\u00e4\u0077sd_kurz",
        r"gr\u00fc\u00dfe",
        r"wsd_pico\u0020abcdefghijkl",
        r"\u0077",
    ):
        assert without_tokens(text) == text
    assert not may_hold_token(r"{\"a\": \"\u20ac\"}")


def test_hostile_text_is_cleaned_in_one_pass() -> None:
    for hostile in ("\\", "w\\", r"w\u0073", r"\u0077", r"\\u0077\u0073\u0064", r"wsd\u005f a"):
        text = hostile * 100_000 + r" \u0020"
        assert without_tokens(text) == text
    for hostile in (r"\u0077sd_", r"wsd\u005f"):
        assert without_tokens(hostile * 100_000) == "wsd_…"
    assert without_tokens("wsd_" * 100_000) == "wsd_…"
    assert without_tokens("wsd_a " * 100_000) == "wsd_a " * 100_000
