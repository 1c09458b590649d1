"""The one place where text from a peer is made fit for a terminal, a log or a page."""

from __future__ import annotations

import re

# C0, DEL and C1 steer terminals (0x9b alone starts a control sequence); the bidi marks and the
# line separators reorder or break a line; surrogates cannot be encoded; characters that leave no
# ink (U+00AD, U+FEFF, the tags at U+E0000, the Hangul fillers) hide text; Arabic signs that enclose
# what follows (U+0600) swallow it.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u0890\u0891\u08e2\u115f\u1160"
    "\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0"
    "\ufff9-\ufffb\ud800-\udfff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e007f]"
)


def printable(text: str, limit: int = 300) -> str:
    """``text`` with control, bidi and line characters as ``\\x1b``, cut to ``limit`` characters.

    A backslash stays as it is: the result is for eyes, not for parsing back.
    """
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    if text.isascii() and text.isprintable():
        return text
    return _UNSAFE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
