"""Values that several commands take: times, and tokens that nobody else shall see."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path
from typing import BinaryIO, Final

from wsdev.errors import UsageError
from wsdev.setting_values import duration_text, parse_duration

TOKEN_VARIABLE: Final = "WSDEV_TOKEN"


def seconds(option: str, text: str, *, least: float = 0.001, most: float = math.inf) -> float:
    """The seconds of a time option.

    Raises:
        UsageError: not a time, less than ``least``, or over ``most``.
    """
    try:
        value = parse_duration(text)
    except ValueError as exc:
        raise UsageError(f"{option}: {text!r} is not usable: {exc}", "for example 10s") from None
    if value < least:
        least_told = f"{least:g}s" if least >= 1 else f"{least * 1000:g}ms"
        raise UsageError(f"{option}: {text!r} is too short", f"{least_told} is the shortest")
    if value > most:
        raise UsageError(f"{option}: {text!r} is too long", f"{duration_text(most)} is the longest")
    return value


def standard_input() -> BinaryIO:
    """Standard input as bytes, for what ``-`` stands for.

    Raises:
        UsageError: it is closed.
    """
    if sys.stdin is None:
        raise UsageError("stdin is closed", "- reads it: pipe something into it")
    return sys.stdin.buffer


def find_token(
    token: str | None, token_file: Path | None, *, variable: str = TOKEN_VARIABLE
) -> str | None:
    """The token that was given: flag, then file, then environment; None if none was.

    Raises:
        UsageError: the file cannot be read, or holds nothing usable.
    """
    if token is None and token_file is not None:
        try:
            raw = standard_input().read() if str(token_file) == "-" else token_file.read_bytes()
        except OSError as exc:
            raise UsageError(
                f"cannot read --token-file {token_file}: {exc.strerror}", "check path and rights"
            ) from None
        token = raw.decode("utf-8", "replace")
    if token is None:
        token = os.environ.get(variable)
    if token is None:
        return None
    token = token.strip()
    if not token or not token.isascii() or not token.isprintable():
        raise UsageError("the token given is empty or not plain ASCII", "give the token alone")
    return token
