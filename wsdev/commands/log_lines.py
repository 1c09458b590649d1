"""An entry of the journal as a line of text: who, what, and the details, each with its style."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from wsdev.codes import BROKEN_CLOSES, CLOSE_MEANINGS, CloseCode, explain, explain_close
from wsdev.commands import amounts
from wsdev.journal_entries import (
    CommandEntry,
    Entry,
    GatewayEntry,
    MessageEntry,
    RefusalEntry,
    SessionEntry,
    moment,
)
from wsdev.sanitize import printable

_OPENING: Final = re.compile(r'\s*\{\s*"type"\s*:\s*"(\w+)"\s*,\s*', re.ASCII)
"""Of a body, with the type first; Python's own json writes blanks after its colons and commas."""

_SHA_SHOWN: Final = 12

_SESSION_STYLES: Final = {"connected": "green", "disconnected": "yellow", "lost": "red"}
_MESSAGE_STYLES: Final = {"in": "cyan", "out": "magenta"}
_COMMAND_STYLES: Final = {
    "queued": "blue",
    "sent": "magenta",
    "acknowledged": "green",
    "failed": "red",
    "lost": "red",
}
_BAD_NEWS: Final = frozenset({"bad", "error"})
_ARROWS: Final = {"in": "→", "out": "←"}
"""Between the device, which stands before it, and the gateway."""

_CLOSERS: Final = {"peer": "by the device", "here": "by the gateway", "path": "on the way"}

_RUNS: Final = {
    "started": ("green", "wsdev {}"),
    "stopped": ("yellow", "wsdev {}"),
    "lost": ("red", "wsdev {}, killed or without power: this is its last sign of life"),
}


class Line(NamedTuple):
    """A line without its time; all of it is fit for a terminal."""

    who: str
    what: str
    style: str
    details: str


def whole(text: str) -> str:
    """Peer text made printable, however long."""
    return printable(text, max(len(text), 1))


def line_of(entry: Entry, *, short: bool = False) -> Line:
    """The line that tells of an entry.

    Args:
        short: Without the type at the beginning of a body: the line says it already.
    """
    match entry:
        case SessionEntry():
            return _session(entry)
        case RefusalEntry():
            who = _address(entry.address, entry.via)
            return Line(who, whole(entry.event), "red", _refusal(entry))
        case MessageEntry():
            return _message(entry, short=short)
        case CommandEntry():
            style = _COMMAND_STYLES.get(entry.event, "yellow")
            return Line(whole(entry.device), whole(entry.event), style, _command(entry))
        case GatewayEntry():
            style, text = _RUNS.get(entry.event, ("yellow", "wsdev {}"))
            told = text.format(whole(entry.version))
            return Line("gateway", whole(entry.event), f"bold {style}", told)
    raise TypeError(type(entry))


def _address(address: str, via: str | None) -> str:
    return whole(address) + (f" via {whole(via)}" if via else "")


def _join(*parts: str | None) -> str:
    return "  ".join(part for part in parts if part)


def _session(entry: SessionEntry) -> Line:
    if entry.event == "connected":
        details = _join(
            _address(entry.address, entry.via),
            whole(entry.device_class),
            f"token {whole(entry.token)}" if entry.token else "no token",
            f"session {whole(entry.session)}",
            whole(entry.user_agent or ""),
        )
    else:
        details = _end(entry)
    style = _SESSION_STYLES.get("lost" if entry.closed_by == "lost" else entry.event, "yellow")
    return Line(whole(entry.device), whole(entry.event), style, details)


def _end(entry: SessionEntry) -> str:
    if entry.closed_by == "lost":
        return _join("lost with the server", f"session {whole(entry.session)}")
    code = entry.close_code or CloseCode.ABNORMAL
    meaning = explain_close(code)
    reason = whole(entry.reason or "") or (meaning.meaning if code in CLOSE_MEANINGS else "")
    word = f" {meaning.word}" if code in BROKEN_CLOSES else ""
    what = f"{code}{word} {_CLOSERS.get(entry.closed_by or '', _CLOSERS['path'])}"
    return _join(
        f"{what}: {reason}" if reason else what,
        f"after {amounts.duration(entry.seconds or 0)}",
        f"in {entry.messages_in} ({amounts.size(entry.bytes_in or 0)})",
        f"out {entry.messages_out} ({amounts.size(entry.bytes_out or 0)})",
        None if entry.median_rtt is None else f"rtt {amounts.round_trip(entry.median_rtt)}",
        f"session {whole(entry.session)}",
    )


def _refusal(entry: RefusalEntry) -> str:
    return _join(
        f"{entry.status or ''} {whole(entry.code)}".lstrip(),
        whole(entry.path or ""),
        f"token …{whole(entry.token_tail)}" if entry.token_tail else None,
        f"request {whole(entry.request_id)}",
        whole(entry.user_agent or ""),
    )


def shown_to_client(entry: Entry) -> list[str]:
    """What a refused client was told beside the code, as it was shown; nothing of other entries."""
    known = explain(entry.code) if isinstance(entry, RefusalEntry) else None
    return [] if known is None else [f"  {known.message}", f"  try: {known.hint}"]


def _command(entry: CommandEntry) -> str:
    until = entry.queue_until
    return _join(
        f"{whole(entry.command_type)} {whole(entry.id)}",
        whole(entry.body or ""),
        whole(entry.reason or ""),
        whole(entry.detail or ""),
        f"by {whole(entry.by)}",
        None if until is None else f"until {moment(until).astimezone().isoformat('T', 'seconds')}",
    )


def _message(entry: MessageEntry, *, short: bool) -> Line:
    direction = "out" if entry.direction == "out" else "in"
    style = "red" if entry.event in _BAD_NEWS else _MESSAGE_STYLES[direction]
    if entry.body is None:
        details = _join(
            amounts.size(entry.size),
            f"sha256 {entry.sha256[:_SHA_SHOWN]}…" if entry.sha256 else None,
            whole(entry.picture or ""),
        )
    else:
        details = entry.body
        if short and (opening := _OPENING.match(details)) and opening[1] == entry.event:
            details = "{" + details[opening.end() :]
        details = whole(details)
        if entry.cut:
            details += f" … cut, {amounts.size(entry.size)} in all"
    what = f"{_ARROWS[direction]} {whole(entry.event)}"
    return Line(whole(entry.device or "?"), what, style, details)
