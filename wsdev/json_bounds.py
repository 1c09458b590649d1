"""The bounds of JSON that is taken in: how deep it nests, how large its integers are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

MAX_JSON_DEPTH: Final = 32

# One pass in C folds all digits to 0 and all openers to {, so that two cheap searches tell the
# rare text that needs a closer look (0.3 µs for 120 bytes where a regular expression takes 2).
_FOLD = bytes.maketrans(b"123456789[", b"000000000{")
_LONG_NUMBER = b"0" * 19
# Possessive, and a string without an end runs to the end of the text: both in one pass. With
# backtracking a hostile text of 64 KiB holds the process for half a minute.
_JSON_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_LONG_INTEGER = re.compile(rb"(?<![0-9.eE+])(-?[0-9]{19,}+)(?![.eE])")


@dataclass(frozen=True, slots=True)
class Excess:
    """A bound that a text breaks; ``code`` is ``too_deep`` or ``number_too_large``."""

    code: str
    cause: str
    hint: str


_TOO_DEEP: Final = Excess(
    "too_deep", f"JSON is nested deeper than {MAX_JSON_DEPTH} levels", "send flatter data"
)
_TOO_LARGE: Final = Excess(
    "number_too_large", "a number does not fit in 64 bits", "send it as a string"
)


def find_excess(text: bytes) -> Excess | None:
    """Whether JSON nests over 32 levels or holds an integer over 64 bits.

    Args:
        text: UTF-8; it need not be JSON.
    """
    folded = text.translate(_FOLD)
    deep = folded.count(b"{") > MAX_JSON_DEPTH
    # Not `in`, which takes four times as long: it tries to read what it seeks as a number first.
    # Nor `find`, which takes twice as long.
    if folded.rfind(_LONG_NUMBER) < 0 and not deep:
        return None
    bare = _JSON_STRING.sub(b'""', text)
    if deep:
        depth = 0
        for byte in re.findall(rb"[\[{}\]]", bare):
            depth += 1 if byte in b"[{" else -1
            if depth > MAX_JSON_DEPTH:
                return _TOO_DEEP
    for digits in _LONG_INTEGER.findall(bare):
        # 20 digits reach 2**64; more cannot fit, and int() of thousands of digits is slow.
        if len(digits) > 20 or not -(2**63) <= int(digits) < 2**64:
            return _TOO_LARGE
    return None
