from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsdev.protocol import (
    BUILTIN_CLASSES,
    DEAD_AFTER,
    ESP32CAM,
    HARD_MAX_TEXT_TO_DEVICE,
    MAX_NAME_LENGTH,
    MAX_TEXT_TO_DEVICE,
    PICO,
    PING_AFTER,
    DeviceClass,
    class_of,
    clean_name,
    is_class_name,
    is_whole_jpeg,
)
from wsdev.sanitize import printable

JPEG = b"\xff\xd8 picture \xff\xd9"


# Device classes and names


def test_the_built_in_classes_are_as_the_contract_says() -> None:
    assert set(BUILTIN_CLASSES) == {"pico", "esp32cam"}
    assert (PICO.path, PICO.max_message, PICO.reset_on_drain) == ("/ws/pico", 65536, False)
    assert (ESP32CAM.path, ESP32CAM.max_message) == ("/ws/esp32cam", 524288)
    assert ESP32CAM.reset_on_drain
    assert {cls.ping_payload for cls in BUILTIN_CLASSES.values()} == {4}


def test_keepalive_is_faster_than_what_cuts_idle_links() -> None:
    assert PING_AFTER < 30  # the servo firmware's read timeout
    assert 2 * PING_AFTER < DEAD_AFTER == 45
    assert MAX_TEXT_TO_DEVICE == 4096 < HARD_MAX_TEXT_TO_DEVICE == 15 * 1024


@pytest.mark.parametrize("name", ["pico", "esp32cam", "a", "0", "my_class-2", "a" * 24])
def test_a_word_in_small_letters_can_be_a_class(name: str) -> None:
    assert is_class_name(name)


@pytest.mark.parametrize(
    "name", ["", "Pico", "a" * 25, "-a", "_a", "a/b", "a.b", "pico\n", "\u0430", "a b", "٣"]
)
def test_what_would_not_fit_a_path_or_a_token_is_no_class(name: str) -> None:
    assert not is_class_name(name)
    with pytest.raises(ValueError, match="1 to 24"):
        class_of(name)


def test_class_is_the_built_in_one_of_its_name_or_as_classes_are_by_default() -> None:
    assert class_of("esp32cam") is ESP32CAM
    assert class_of("sensor") == DeviceClass("sensor")


@pytest.mark.parametrize(
    ("name", "cleaned"),
    [
        ("kitchen", "kitchen"),
        ("pico_device", "pico_device"),
        ("The kitchen (left)", "The-kitchen-left"),
        ("Küche", "K-che"),
        ("\x1b]0;x\x07", "0-x"),
        ("a/../../b", "a-..-..-b"),
        ("---", ""),
        ("", ""),
        (".", ""),
        ("-../", ""),
        ("...", "..."),
        ("a" * 63 + "  b", "a" * 63),
        ("x" * 100, "x" * 64),
    ],
)
def test_names_are_cleaned_to_what_can_be_shown_anywhere(name: str, cleaned: str) -> None:
    assert clean_name(name) == cleaned


@given(st.text(max_size=200) | st.text("aZ09._- /", max_size=200))
def test_a_cleaned_name_is_in_the_alphabet_and_stays_as_it_is(name: str) -> None:
    cleaned = clean_name(name)
    assert re.fullmatch(rf"[A-Za-z0-9._-]{{0,{MAX_NAME_LENGTH}}}", cleaned)
    assert clean_name(cleaned) == cleaned
    assert printable(cleaned) == cleaned


# Pictures


@pytest.mark.parametrize("data", [JPEG, JPEG + bytes(10), b"\xff\xd8\xff\xd9"])
def test_a_picture_with_both_markers_is_whole(data: bytes) -> None:
    assert is_whole_jpeg(data)


@pytest.mark.parametrize("data", [b"", b"\xff\xd8", JPEG[:-1], JPEG[1:], JPEG + b"x", bytes(100)])
def test_a_cut_picture_is_not_whole(data: bytes) -> None:
    assert not is_whole_jpeg(data)
