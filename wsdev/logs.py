"""Structured log lines: an event word and fields, as JSON or for eyes.

All peer text is made printable here, in the formatters, so no caller can forget it. What has the
look of a token is cut here too: people put tokens into paths, names and messages.
"""

from __future__ import annotations

import logging
import sys
import time
from datetime import UTC, datetime
from typing import Any, Final, TextIO

import msgspec

from wsdev.sanitize import printable
from wsdev.token_format import without_tokens

LOGGER: Final = logging.getLogger("wsdev")

_FIELDS = "wsdev_fields"
_COLOURS: Final = {logging.WARNING: "33", logging.ERROR: "31", logging.CRITICAL: "31"}
_EVENT_COLOURS: Final = {"connected": "32", "disconnected": "36", "refused": "33"}


def log(level: int, event: str, /, **fields: Any) -> None:
    """Write one line. ``None`` fields are left out; never pass a token."""
    if LOGGER.isEnabledFor(level):
        LOGGER.log(level, event, extra={_FIELDS: fields})


def log_fault(event: str, error: BaseException | None, /, **fields: Any) -> None:
    """Write one line about an error that nobody expected: its kind, its words and its place."""
    LOGGER.error(event, exc_info=error, extra={_FIELDS: fields})


is_logged: Final = LOGGER.isEnabledFor
"""Whether lines of a level are written: lets a hot path save the building of one."""


def set_up(style: str, level: str, stream: TextIO | None = None) -> None:
    """Send the log to ``stream`` (stderr) as ``json`` lines or ``console`` text.

    Only the program's entry calls this; a library user's logging stays as it is.
    """
    stream = stream or sys.stderr
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter() if style == "json" else ConsoleFormatter(stream.isatty()))
    LOGGER.handlers[:] = [handler]
    LOGGER.propagate = False
    LOGGER.setLevel(level.upper())


def _clean(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return round(value, 6)
    return printable(without_tokens(str(value)))


def _parts(record: logging.LogRecord) -> tuple[str, dict[str, Any]]:
    fields = {
        key: _clean(value)
        for key, value in getattr(record, _FIELDS, {}).items()
        if value is not None
    }
    if record.exc_info and record.exc_info[1] is not None:
        fields["error"] = _clean(f"{type(record.exc_info[1]).__name__}: {record.exc_info[1]}")
        fields["at"] = _where(record.exc_info[1])
    return printable(record.getMessage()), fields


def _where(error: BaseException) -> str:
    """File and line of the innermost frame; a whole traceback could show a header's value."""
    trace = error.__traceback__
    if trace is None:
        return "?"
    while trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"


class JsonFormatter(logging.Formatter):
    """One JSON object a line: ``time`` (ISO 8601, UTC), ``level``, ``event``, then the fields."""

    def format(self, record: logging.LogRecord) -> str:
        event, fields = _parts(record)
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"time": moment, "level": record.levelname.lower(), "event": event, **fields}
        return msgspec.json.encode(line).decode()


class ConsoleFormatter(logging.Formatter):
    """``12:04:51 connected     device=kitchen address=…`` with colours on a terminal."""

    def __init__(self, colours: bool) -> None:
        super().__init__()
        self._colours = colours

    def format(self, record: logging.LogRecord) -> str:
        event, fields = _parts(record)
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        colour = _COLOURS.get(record.levelno) or _EVENT_COLOURS.get(event)
        head = f"{event:<13}"
        if self._colours and colour:
            head = f"\x1b[{colour}m{head}\x1b[0m"
        tail = " ".join(f"{key}={_quoted(value)}" for key, value in fields.items())
        return f"{clock} {head} {tail}".rstrip()


def _quoted(value: Any) -> str:
    """A value that cannot be read as the end of itself and another field behind it."""
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value).replace('"', "'")
    return f'"{text}"' if not text or any(map(str.isspace, text)) else text
