from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsdev.logs import (
    LOGGER,
    ConsoleFormatter,
    JsonFormatter,
    is_logged,
    log,
    set_up,
)
from wsdev.token_format import new_token

UNSAFE = {chr(code) for code in (*range(32), *range(0x7F, 0xA0))} | set("\u2028\u2029\u202e\u2066")


@pytest.fixture(autouse=True)
def _log_as_it_was() -> Iterator[None]:
    before = LOGGER.handlers[:], LOGGER.level, LOGGER.propagate
    yield
    LOGGER.handlers[:], LOGGER.propagate = before[0], before[2]
    LOGGER.setLevel(before[1])


Write = Callable[..., str]


@pytest.fixture(params=["json", "console"])
def style(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def written(style: str, event: str = "event", **fields: Any) -> str:
    """The line that one call of ``log`` writes."""
    stream = io.StringIO()
    set_up(style, "debug", stream)
    log(logging.INFO, event, **fields)
    return stream.getvalue()


def test_json_line_has_time_level_event_and_fields() -> None:
    line = json.loads(written("json", "connected", device="kitchen", port=3000, tls=True))
    moment = line.pop("time")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", moment)
    assert line == {
        "level": "info",
        "event": "connected",
        "device": "kitchen",
        "port": 3000,
        "tls": True,
    }


def test_console_line_is_for_eyes() -> None:
    line = written("console", "connected", device="kitchen", note="two words", empty="", tls=True)
    assert re.fullmatch(
        r'\d\d:\d\d:\d\d connected     device=kitchen note="two words" empty="" tls=true\n', line
    )


def test_fields_without_a_value_are_left_out(style: str) -> None:
    assert "via" not in written(style, via=None)


def test_times_are_rounded(style: str) -> None:
    assert "0.333333" in written(style, rtt=1 / 3)
    assert "0.3333333" not in written(style, rtt=1 / 3)


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_level_says_what_is_left_out(level: str, shown: list[str]) -> None:
    stream = io.StringIO()
    set_up("json", level, stream)
    names = logging.getLevelNamesMapping()
    for word in ("debug", "info", "warning", "error"):
        log(names[word.upper()], word)
        assert is_logged(names[word.upper()]) == (word in shown)
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == shown


def test_second_set_up_replaces_the_first() -> None:
    first, second = io.StringIO(), io.StringIO()
    set_up("json", "info", first)
    set_up("json", "info", second)
    log(logging.INFO, "once")
    assert first.getvalue() == ""
    assert second.getvalue().count("once") == 1


def test_log_goes_to_stderr_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("console", "info")
    log(logging.INFO, "here")
    assert "here" in capsys.readouterr().err


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("level", "event", "colour"),
    [
        (logging.INFO, "connected", "32"),
        (logging.INFO, "disconnected", "36"),
        (logging.WARNING, "refused", "33"),
        (logging.ERROR, "token_book", "31"),
        (logging.INFO, "message", None),
    ],
)
def test_colours_are_for_terminals_only(level: int, event: str, colour: str | None) -> None:
    terminal, file = Terminal(), io.StringIO()
    for stream in (terminal, file):
        set_up("console", "debug", stream)
        log(level, event)
    assert "\x1b" not in file.getvalue()
    assert (f"\x1b[{colour}m" in terminal.getvalue()) == (colour is not None)


# Text from peers


@given(st.text(), st.text())
def test_no_peer_text_leaves_its_line(first: str, second: str) -> None:
    for style in ("json", "console"):
        line = written(style, first=first, second=second)
        assert line.endswith("\n")
        assert not set(line[:-1]) & UNSAFE
    assert set(json.loads(written("json", text=first))) == {"time", "level", "event", "text"}


@pytest.mark.parametrize(
    "text",
    [
        'curl" device="evil',
        'curl" device=evil',
        '"device=evil',
        "curl\u00a0device=evil",
        "curl\u3000device=evil",
        'curl\\" device=evil',
        " device=evil",
    ],
)
def test_peer_text_cannot_pass_for_another_field(text: str) -> None:
    line = written("console", user_agent=text, last=1)
    fields = re.findall(r'(\w+)=("[^"]*"|\S*)', line)
    assert [name for name, _ in fields] == ["user_agent", "last"]


def test_text_in_place_of_a_number_is_cleaned_too(style: str) -> None:
    assert "\x1b" not in written(style, version={"\x1b[2J": ["\x9b"]})


def test_long_text_is_cut(style: str) -> None:
    assert len(written(style, reason="x" * 100_000)) < 500


# Secrets


@pytest.mark.parametrize("form", ["{}", "/ws/pico/{}", "x={}&y", "Bearer {}.", "{}{}", "{0!r}"])
@pytest.mark.parametrize("device_class", ["pico", "a-b_c", "x" * 24])
def test_what_looks_like_a_token_is_cut(style: str, form: str, device_class: str) -> None:
    token = new_token(device_class)
    for text in (token, token[:-1], token[:-8], token.lower(), token.swapcase()):
        line = written(style, text=form.format(text, text))
        if text.startswith("wsd_"):
            assert text[-18:] not in line
            assert "wsd_…" in line


def test_token_at_the_cut_is_cut_before() -> None:
    token = new_token("pico")
    assert token[9:20] not in written("json", text="x" * 275 + token)


@pytest.mark.parametrize("text", ["wsd_pico_…", "wsd_", "wsd_pico", "/wsd_files/readme", "kitchen"])
def test_what_is_no_token_stays(style: str, text: str) -> None:
    assert text in written(style, text=text)


def test_cutting_takes_no_time_even_of_hostile_text() -> None:
    stream = io.StringIO()
    set_up("json", "info", stream)
    for text in ("wsd_" * 100_000, "wsd_" + "a" * 400_000, "wsd_a_" * 70_000):
        log(logging.INFO, "event", text=text)
    assert stream.getvalue().count("\n") == 3


# Errors


def raised(cause: str) -> Exception:
    try:
        raise ValueError(cause)
    except ValueError as error:
        return error


@pytest.mark.parametrize("formatter", [JsonFormatter(), ConsoleFormatter(colours=False)])
def test_error_is_one_line_that_says_where(formatter: logging.Formatter) -> None:
    error = raised("bad\n\x1b[2J " + new_token("pico"))
    record = LOGGER.makeRecord(
        "wsdev", logging.ERROR, "x", 1, "sweep_failed", (), (type(error), error, None)
    )
    line = formatter.format(record)
    assert "ValueError: bad" in line
    assert "test_logs.py:" in line
    assert "\n" not in line
    assert "\x1b" not in line
    assert "wsd_…" in line


def test_error_without_a_place_is_told_all_the_same() -> None:
    error = ValueError("never raised")
    record = LOGGER.makeRecord(
        "wsdev", logging.ERROR, "x", 1, "event", (), (type(error), error, None)
    )
    assert json.loads(JsonFormatter().format(record))["at"] == "?"
