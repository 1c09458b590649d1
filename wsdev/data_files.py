"""Data files that describe devices and weather: TOML, ours by name or the user's own by path."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from wsdev.errors import UsageError
from wsdev.setting_values import parse_duration

T = TypeVar("T")


class Seconds(float):
    """A time; in a file ``500ms``, ``10s``, ``1m`` or plain seconds."""


def _take_seconds(kind: type, value: Any) -> Any:
    if kind is not Seconds or isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("a time like 10s is expected")
    return Seconds(parse_duration(str(value)))


def parse(text: str, kind: type[T], where: str) -> T:
    """The ``kind`` that a TOML text describes; ``where`` is its file, for errors.

    Raises:
        UsageError: no TOML, an unknown field, or a value of the wrong type.
    """
    try:
        return msgspec.toml.decode(text, type=kind, dec_hook=_take_seconds)
    except (msgspec.MsgspecError, ValueError) as exc:
        raise UsageError(
            f"{where} is not usable: {exc}", "see the fields in docs/fleets.md"
        ) from None


class DataFolder(Generic[T]):
    """A folder of wsdev's own with files of one kind.

    Args:
        word: What one is called.
        folder: Its name inside the package.
        parse: Makes one of a text and the file's name.
    """

    def __init__(self, word: str, folder: str, parse: Callable[[str, str], T]) -> None:
        self._word = word
        self._folder = folder
        self._parse = parse

    def all(self) -> dict[str, T]:
        """Those that come with wsdev, by name."""
        files = (resources.files("wsdev") / self._folder).iterdir()
        return {
            file.name.removesuffix(".toml"): self._parse(file.read_text("utf-8"), file.name)
            for file in sorted(files, key=lambda file: file.name)
            if file.name.endswith(".toml")
        }

    def find(self, name: str) -> T:
        """One of ours by its name, or one in a file of the user's, which ends in ``.toml``.

        Raises:
            UsageError: neither.
        """
        if name.endswith(".toml"):
            try:
                return self._parse(Path(name).read_text("utf-8"), name)
            except (OSError, UnicodeError) as exc:
                reason = exc.strerror if isinstance(exc, OSError) else "not UTF-8"
                raise UsageError(f"cannot read {name}: {reason}", "check path and rights") from None
        known = self.all()
        if name not in known:
            raise UsageError(
                f"there is no {self._word} {name!r}",
                f"use one of {', '.join(known)}, or a .toml file",
            )
        return known[name]
