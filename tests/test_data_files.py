"""TOML files that describe devices and weather."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from wsdev.data_files import DataFolder, Seconds, parse
from wsdev.device_profile import PROFILES
from wsdev.errors import UsageError


class Thing(msgspec.Struct, forbid_unknown_fields=True):
    wait: Seconds = Seconds(3)


@pytest.mark.parametrize(
    ("text", "seconds"), [("", 3), ('wait = "500ms"', 0.5), ("wait = 2", 2), ("wait = 0.5", 0.5)]
)
def test_times_are_read_in_any_usual_form(text: str, seconds: float) -> None:
    assert parse(text, Thing, "a.toml").wait == seconds


@pytest.mark.parametrize("text", ["wait = ", 'wait = "soon"', "wait = true", "wait = [1]", "x = 1"])
def test_what_cannot_be_meant_names_the_file(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text, Thing, "a.toml")
    assert caught.value.cause.startswith("a.toml is not usable: ")
    assert "docs/fleets.md" in caught.value.hint


def test_own_file_is_found_by_its_path(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('wait = "1m"')
    folder = DataFolder("thing", "profiles", lambda text, where: parse(text, Thing, where))
    assert folder.find(str(file)).wait == 60.0


def test_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        PROFILES.find(str(tmp_path / "none.toml"))
    (tmp_path / "latin.toml").write_bytes(b"summary = '\xe9'")
    with pytest.raises(UsageError, match="not UTF-8"):
        PROFILES.find(str(tmp_path / "latin.toml"))


def test_unknown_name_is_told_with_those_there_are() -> None:
    with pytest.raises(UsageError) as caught:
        PROFILES.find("toaster")
    assert caught.value.cause == "there is no profile 'toaster'"
    assert "micropython" in caught.value.hint
