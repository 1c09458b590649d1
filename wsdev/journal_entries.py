"""What is read from the journal: its entries, in the words of ``--json`` and of an export.

The names and meanings of the fields are a contract: docs/logs.md lists them, a test compares.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final

import msgspec

from wsdev.codes import explain, explain_close
from wsdev.protocol import MessageId


class Entry(msgspec.Struct, frozen=True, gc=False, rename={"device_class": "class"}):
    """Something that happened.

    Attributes:
        sequence: Its place in the order of things.
        time: Milliseconds of Unix time.
        event: What happened, one word.
    """

    kind: ClassVar[str]

    sequence: int
    time: int
    event: str


class GatewayEntry(Entry, frozen=True, gc=False):
    """A gateway ``started``, ``stopped``, or was ``lost``."""

    kind: ClassVar[str] = "gateway"

    version: str


class SessionEntry(Entry, frozen=True, gc=False):
    """A device ``connected`` or ``disconnected``; what only an end has is None at the start.

    Attributes:
        session: The public id, also told to the device.
        close_code: None when it was lost with the server, too.
    """

    kind: ClassVar[str] = "session"

    session: str
    device: str
    device_class: str
    address: str
    via: str | None
    user_agent: str | None
    token: str | None
    close_code: int | None = None
    reason: str | None = None
    closed_by: str | None = None
    seconds: float | None = None
    messages_in: int | None = None
    bytes_in: int | None = None
    messages_out: int | None = None
    bytes_out: int | None = None
    median_rtt: float | None = None


class RefusalEntry(Entry, frozen=True, gc=False):
    """A request was ``refused``; or its connection was ``broken``, with nothing to answer.

    Attributes:
        status: Of HTTP; None if it was broken.
    """

    kind: ClassVar[str] = "refusal"

    request_id: str
    address: str
    via: str | None
    path: str | None
    code: str
    status: int | None
    token_tail: str | None
    user_agent: str | None


class MessageEntry(Entry, frozen=True, gc=False):
    """A message; the event is its type.

    Attributes:
        direction: ``in`` from the device, ``out`` to it.
        body: Its text; None for binary.
        size: Bytes of the whole message.
        cut: Whether the body is only its beginning.
        sha256: Of a binary one, in hex.
        picture: The file with the camera's picture, if it is kept and still there.
    """

    kind: ClassVar[str] = "message"

    direction: str
    session: str | None
    device: str | None
    device_class: str | None
    address: str | None
    id: MessageId | None
    body: str | None
    size: int
    cut: bool
    sha256: str | None
    picture: str | None


class CommandEntry(Entry, frozen=True, gc=False):
    """A command to a device; the event is its state from then on.

    Attributes:
        session: The session that it was sent in.
        command_type: The word by which a device without ids acknowledges it.
        by: Who asked for it.
        body: The command as it was given; with the first state only, as ``timeout`` is.
        queue_until: Until when it may wait for its device, Unix ms.
        reason: Why, in words, where the state does not say it.
        detail: What the device said about it, JSON.
    """

    kind: ClassVar[str] = "command"

    device: str
    id: str
    command_type: str
    by: str
    body: str | None = None
    timeout: float | None = None
    queue_until: int | None = None
    session: str | None = None
    reason: str | None = None
    detail: str | None = None


ENTRY_TYPES: Final[tuple[type[Entry], ...]] = (
    GatewayEntry,
    SessionEntry,
    RefusalEntry,
    MessageEntry,
    CommandEntry,
)
_TYPES: Final = {entry_type.kind: entry_type for entry_type in ENTRY_TYPES}
KINDS: Final = tuple(_TYPES)

_FIRST_FIELDS: Final = ("sequence", "time", "kind", "event")

FIELDS: Final = (
    *_FIRST_FIELDS,
    *dict.fromkeys(
        field.encode_name
        for entry_type in (SessionEntry, RefusalEntry, MessageEntry, CommandEntry, GatewayEntry)
        for field in msgspec.structs.fields(entry_type)
        if field.encode_name not in _FIRST_FIELDS
    ),
    "cause",
    "message",
    "hint",
)
"""All fields of all kinds, in the order in which a table has them."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_MOST_NUMBER: Final = 253_370_764_800_000
"""Of an entry that another program tells: the Unix ms at which the year 9999 begins, for which each
time zone has a date; no amount is larger."""

_NOT_PLAIN: Final = re.compile("[^\x20-\x7e]")


def moment(milliseconds: int) -> datetime:
    """A time of the journal, in UTC."""
    return _EPOCH + timedelta(milliseconds=milliseconds)


def iso(milliseconds: int) -> str:
    """A time of the journal as ``2026-01-31T08:30:00.000Z``."""
    return moment(milliseconds).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def cause(entry: SessionEntry) -> str | None:
    """The word for how a session ended, as in :mod:`wsdev.codes`; None at its start."""
    if entry.closed_by == "lost":
        return "gateway_lost"
    return None if entry.close_code is None else explain_close(entry.close_code).word


def document(entry: Entry) -> dict[str, Any]:
    """The entry's fields by name; the time is ISO 8601 in UTC with milliseconds.

    A refusal also has the words that its client was shown, None if a later version's code. A
    session has the cause of its end in one word.
    """
    fields = msgspec.to_builtins(entry)
    if isinstance(entry, RefusalEntry):
        known = explain(entry.code)
        fields["message"] = known and known.message
        fields["hint"] = known and known.hint
    elif isinstance(entry, SessionEntry):
        fields["cause"] = cause(entry)
    elif isinstance(entry, CommandEntry) and entry.queue_until is not None:
        fields["queue_until"] = iso(entry.queue_until)
    return {
        "sequence": fields.pop("sequence"),
        "time": iso(fields.pop("time")),
        "kind": entry.kind,
        **fields,
    }


def entry_of(fields: Mapping[str, Any]) -> Entry | None:
    """The entry that :func:`document` made these fields of; None if they are none that is known.

    A console leaves out the picture's path.
    """
    kind = _TYPES.get(str(fields.get("kind")))
    if kind is None:
        return None
    values: dict[str, Any] = {"picture": None, **fields}
    try:
        for name in ("time", "queue_until"):
            if values.get(name) is not None:
                values[name] = _milliseconds(values[name])
        entry = msgspec.convert(values, kind)
    except (msgspec.ValidationError, TypeError, ValueError):
        return None
    numbers = msgspec.structs.asdict(entry) | {"id": None}  # a message's own is any
    fits = all(
        0 <= value <= _MOST_NUMBER for value in numbers.values() if isinstance(value, int | float)
    )
    return entry if fits else None


def _milliseconds(text: str) -> int:
    return round((datetime.fromisoformat(text) - _EPOCH) / timedelta(milliseconds=1))


def json_line(thing: Any) -> str:
    """JSON without the line's end; what a terminal would obey is escaped, as JSON allows."""
    text = msgspec.json.encode(thing).decode()
    if text.isascii() and text.isprintable():
        return text
    return _NOT_PLAIN.sub(_json_escape, text)


def _json_escape(match: re.Match[str]) -> str:
    character = match[0]
    if character.isprintable():
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))


def texts(entry: Entry) -> str:
    """What a search looks at, a text a line: words, ids and codes, not times and amounts."""
    found = [value for value in msgspec.structs.astuple(entry)[2:] if type(value) is str]
    match entry:
        case SessionEntry(close_code=int(number)) | RefusalEntry(status=int(number)):
            found.append(str(number))
        case MessageEntry(id=int(number)):
            found.append(str(number))
    if isinstance(entry, SessionEntry) and (word := cause(entry)):
        found.append(word)
    return "\n".join(found)
