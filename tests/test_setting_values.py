"""How durations and sizes are read; the other values are tried in test_settings."""

from __future__ import annotations

import pytest

from wsdev.setting_values import (
    duration_text,
    parse_duration,
    parse_keep,
    parse_limit,
    parse_size,
    size_text,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("10", 10), ("10s", 10), ("0.5s", 0.5), ("250ms", 0.25), ("10m", 600), ("1h", 3600),
     ("30d", 2_592_000), (" 3s ", 3)],
)  # fmt: skip
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "-1", "1w", "1 0", "1e3", "inf", "nan", "\u0661s"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="10s"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [("4096", 4096), ("1B", 1), ("2GB", 2 * 10**9), ("2 gb", 2 * 10**9), ("1.5KiB", 1536),
     ("500M", 5 * 10**8), ("1TiB", 2**40)],
)  # fmt: skip
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1", "1e3", "2 G B", "1PB", "\u0661"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="2GB"):
        parse_size(text)


@pytest.mark.parametrize("text", ["30d", "36h", "90m", "7s", "0.5s"])
def test_duration_is_shown_as_it_is_written(text: str) -> None:
    assert duration_text(parse_duration(text)) == text


@pytest.mark.parametrize("text", ["2GB", "1500MB", "20KB", "1TB", "1234 bytes"])
def test_size_is_shown_as_it_is_written(text: str) -> None:
    assert size_text(parse_size(text.removesuffix(" bytes"))) == text


def test_how_long_is_kept_needs_a_unit() -> None:
    assert (parse_keep("0"), parse_keep("1d")) == (0, 86_400)
    with pytest.raises(ValueError, match="with its unit"):
        parse_keep("30")


@pytest.mark.parametrize("name", ["unrecorded_rows", "head_bytes", "stall_timeout"])
def test_limit_of_nothing_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} cannot be 0"):
        parse_limit(f"{name}=0")
    assert parse_limit(f"{name}=1") == (name, 1)


def test_limit_that_nothing_turns_off_may_be_nothing() -> None:
    assert parse_limit("messages_per_minute=0") == ("messages_per_minute", 0)
