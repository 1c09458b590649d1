from __future__ import annotations

import pytest

from wsdev.errors import UsageError
from wsdev.token_words import date, require_class, require_name


def test_word_that_can_be_a_class_is_let_by() -> None:
    require_class("pico")


@pytest.mark.parametrize("word", ["", "No", "a b", "x" * 25, "operator"])
def test_word_that_cannot_be_a_class_is_refused(word: str) -> None:
    with pytest.raises(UsageError):
        require_class(word)


def test_reserved_class_is_explained() -> None:
    with pytest.raises(UsageError) as refused:
        require_class("operator")
    assert "--operator" in refused.value.hint


@pytest.mark.parametrize("name", ["", "-", ".", "..", "a b", "x" * 65, "a\x1b"])
def test_name_that_no_device_has_is_refused(name: str) -> None:
    require_name("kitchen")
    with pytest.raises(UsageError):
        require_name(name)


def test_date_is_for_people() -> None:
    assert date(1_800_000_000) == "2027-01-15 08:00:00 UTC"
