"""The form of a token: ``wsd_<class>_<22 random characters><6 checksum characters>``.

Pure: no clock, no file, no book. The random part holds 128 bits, the checksum is the CRC-32 of
everything before it, both in base 62 and padded with zeros. So a mistyped token is told from an
unknown one without asking anyone: CRC-32 finds every change of up to four neighbouring characters
of what it covers, and a change in the checksum itself shows by comparison.

The checksum guards against typing, not against forging: only the book says who may come in.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from wsdev.errors import MistypedToken
from wsdev.protocol import is_class_name

PREFIX: Final = "wsd_"
OPERATOR: Final = "operator"
"""Stands in the place of the class in tokens that open the console; no device can be of it."""

TAIL_LENGTH: Final = 4
"""Characters that may be shown: they come from the checksum and leave over 100 bits unknown."""

_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_RANDOM_BYTES: Final = 16
_RANDOM_LENGTH: Final = 22  # 62**22 > 2**128
_CHECKSUM_LENGTH: Final = 6  # 62**6 > 2**32

# Mistyped and cut ones as well: what is left of the random part is no use to anybody.
_LOOKS_LIKE_ONE = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{12,}}")

# The same where characters are spelled as JSON escapes, also as those of JSON within JSON: all the
# backslashes of one go with it, so that what is left is JSON still. Possessive, and a run of
# backslashes is begun at its first only: one pass.
_ESCAPE: Final = "\\u00"
_ESCAPED_PREFIX = r"(?:w|(?<!\\)\\++u0077)" + "".join(
    rf"(?:{letter}|\\++u00{ord(letter) // 16}(?i:{ord(letter) % 16:x}))" for letter in PREFIX[1:]
)
_ESCAPED_CHARACTER = r"(?:[A-Za-z0-9_-]|\\++u00(?i:2d|3[0-9]|4[1-9a-f]|5[0-9af]|6[1-9a-f]|7[0-9a]))"
_LOOKS_LIKE_ONE_ESCAPED = re.compile(rf"{_ESCAPED_PREFIX}{_ESCAPED_CHARACTER}{{12,}}+")

_FORM = re.compile(
    rf"(?P<checked>{PREFIX}(?P<device_class>.+)_[0-9A-Za-z]{{{_RANDOM_LENGTH}}})"
    rf"(?P<checksum>[0-9A-Za-z]{{{_CHECKSUM_LENGTH}}})"
)


@dataclass(frozen=True, slots=True)
class ParsedToken:
    """A token whose form and checksum are right; whether a book knows it is another question."""

    text: str = field(repr=False)
    device_class: str

    @property
    def tail(self) -> str:
        """The last four characters, by which logs and people tell tokens apart."""
        return self.text[-TAIL_LENGTH:]


def new_token(device_class: str, random_bytes: Callable[[int], bytes] = secrets.token_bytes) -> str:
    """A fresh token for ``device_class``, at most 57 characters, all of them URL-safe.

    Args:
        random_bytes: Gives that many unpredictable bytes.

    Raises:
        ValueError: the class is not one by :func:`wsdev.protocol.is_class_name`.
    """
    if not is_class_name(device_class):
        raise ValueError(f"not a device class: {device_class!r}")
    number = int.from_bytes(random_bytes(_RANDOM_BYTES), "big")
    checked = f"{PREFIX}{device_class}_{_base62(number, _RANDOM_LENGTH)}"
    return checked + _checksum(checked)


def parse_token(text: str) -> ParsedToken:
    """The parts of a token.

    Raises:
        MistypedToken: no token at all, a part of one, or a wrong checksum; the cause says which
            and never holds the text.
    """
    if not text.startswith(PREFIX):
        raise MistypedToken(
            "this is not a wsdev token", f"a wsdev token starts with {PREFIX}; copy all of it"
        )
    form = _FORM.fullmatch(text)
    if form is None or not is_class_name(form["device_class"]):
        raise MistypedToken(
            "the token is cut, too long, or has a character that no token has",
            "copy the whole token again",
        )
    if form["checksum"] != _checksum(form["checked"]):
        raise MistypedToken(
            "the token's checksum is wrong: at least one character is mistyped",
            "copy the whole token again",
        )
    return ParsedToken(text, form["device_class"])


def may_hold_token(text: str) -> bool:
    """Whether :func:`without_tokens` could change ``text``; two cheap searches."""
    return PREFIX in text or _ESCAPE in text


def without_tokens(text: str) -> str:
    """``text`` with all that looks like a token cut to its prefix: fit for a log or a journal.

    Also of a token whose characters are spelled as JSON escapes, ``\\u0077sd_…``.
    """
    if _ESCAPE in text:
        return _LOOKS_LIKE_ONE_ESCAPED.sub(f"{PREFIX}…", text)
    return _LOOKS_LIKE_ONE.sub(f"{PREFIX}…", text) if PREFIX in text else text


def without_token(text: str, token: str | None) -> str:
    """``text`` with ``token`` itself blotted out, whatever its form, and its length kept.

    One of under 8 characters is no secret, and may stand in any text.
    """
    if token is None or len(token) < 8:
        return text
    return text.replace(token, "*" * len(token))


def fingerprint(text: str) -> bytes:
    """SHA-256 of a token, the only form in which a book keeps a device token.

    A fast hash is enough: 128 random bits cannot be searched.

    Args:
        text: ASCII, as :func:`new_token` and :func:`parse_token` give it.
    """
    return hashlib.sha256(text.encode("ascii")).digest()


def _checksum(checked: str) -> str:
    return _base62(zlib.crc32(checked.encode("ascii")), _CHECKSUM_LENGTH)


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
