"""What the pages of ``docs`` hold for tests: blocks of code and anchors."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"

BLOCK = re.compile(r"^```(\S*)[ ]?(.*)\n((?:.*\n)*?)```$", re.MULTILINE)
"""A fenced block of code: language, name, text."""

_ANCHOR = re.compile(r'<a id="([^"]+)"></a>')


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the file name that stands behind that, its text."""

    language: str
    name: str
    text: str


def page(name: str) -> str:
    """The text of a page of ``docs``."""
    return (DOCS / name).read_text(encoding="utf-8")


def blocks(text: str) -> list[Block]:
    """The fenced blocks in order."""
    return [Block(*found) for found in BLOCK.findall(text)]


def block(text: str, language: str, name: str | None = None) -> str:
    """The text of the one block of that language, and with that name if one is asked for."""
    (found,) = [
        each.text
        for each in blocks(text)
        if each.language == language and name in {None, each.name}
    ]
    return found


def anchors(text: str) -> list[str]:
    """The places that others can link to, in order."""
    return _ANCHOR.findall(text)
