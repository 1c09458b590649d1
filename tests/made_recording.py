"""Recordings made to order, a line at a time, as a person would write them."""

from __future__ import annotations

import io
import json
from typing import Any

from wsdev.recording_format import Numbered, Outline, outline, read_lines

HEADER: dict[str, Any] = {"wsrec": 1, "device": "kitchen", "class": "pico"}
OPEN: dict[str, Any] = {"t": 9, "end": "open"}


def said(t: float = 0, **message: Any) -> dict[str, Any]:
    """A line with what the device said."""
    return {"t": t, "dir": "in", "kind": message["type"], "json": message}


def heard(t: float = 0, **message: Any) -> dict[str, Any]:
    """A line with what it is to be answered."""
    return {"t": t, "dir": "out", "kind": message["type"], "json": message}


def file_of(*lines: dict[str, Any], header: dict[str, Any] = HEADER) -> str:
    """The text of a recording of these lines behind a header."""
    return "".join(json.dumps(line) + "\n" for line in (header, *lines))


def read(text: str | bytes) -> list[Numbered]:
    """The lines of a recording."""
    raw = text.encode() if isinstance(text, str) else text
    return list(read_lines(io.BytesIO(raw), "made.wsrec"))


def made_recording(
    *lines: dict[str, Any], header: dict[str, Any] = HEADER
) -> tuple[Outline, list[Numbered]]:
    """The outline and the lines of a recording."""
    found = read(file_of(*lines, header=header))
    return outline(found), found
