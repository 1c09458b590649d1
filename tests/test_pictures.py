from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from wsdev.pictures import MAX_BYTES, make_picture, make_picture_of_size
from wsdev.protocol import ESP32CAM, is_whole_jpeg


def test_picture_is_a_vga_jpeg_that_decodes() -> None:
    with Image.open(io.BytesIO(make_picture(1, "camera"))) as picture:
        picture.load()
        assert (picture.format, picture.size, picture.mode) == ("JPEG", (640, 480), "RGB")


def test_bound_is_what_the_camera_driver_keeps_to() -> None:
    assert MAX_BYTES == 61_440 < ESP32CAM.max_message


@settings(max_examples=25)
@given(st.integers(0, 10**9), st.from_regex(r"[A-Za-z0-9._-]{0,64}", fullmatch=True))
def test_any_picture_is_whole_and_within_the_bound(number: int, caption: str) -> None:
    picture = make_picture(number, caption)
    assert is_whole_jpeg(picture)
    assert len(picture) <= MAX_BYTES


def test_each_picture_differs_from_the_one_before() -> None:
    pictures = [make_picture(number, "camera") for number in range(1, 12)]
    assert len(set(pictures)) == len(pictures)


@pytest.mark.parametrize("other", ["kitchen", ""])
def test_caption_shows_in_the_picture(other: str) -> None:
    assert make_picture(1, "camera") != make_picture(1, other)


@settings(max_examples=25)
@given(st.integers(300, 200_000), st.integers(1, 100))
def test_picture_of_any_size_decodes(size: int, number: int) -> None:
    data = make_picture_of_size(number, "replay", size)
    assert len(data) == size
    assert is_whole_jpeg(data)
    with Image.open(io.BytesIO(data)) as picture:
        picture.load()


@pytest.mark.parametrize("size", range(12))
def test_picture_that_is_too_small_for_one_has_its_size(size: int) -> None:
    data = make_picture_of_size(1, "replay", size)
    assert len(data) == size
    assert is_whole_jpeg(data) is (size >= 4)
