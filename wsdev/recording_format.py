"""The form of a recording: a device's session as JSON lines, to be kept, read, edited and replayed.

Pure: lines in, values out. The first line is a :class:`Header`, the last an :class:`End`, between
them each :class:`Message` has a line; docs/recordings.md tells the same to whoever edits one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Final, Literal, NamedTuple, TypeVar

import msgspec

from wsdev.errors import RecordingError
from wsdev.journal_entries import json_line
from wsdev.protocol import is_class_name
from wsdev.sanitize import printable

VERSION: Final = 1
"""Goes up when an older wsdev would replay a recording wrongly, not for what it can ignore."""

SUFFIX: Final = ".wsrec"

MAX_MESSAGE: Final = 16 * 1024 * 1024
"""Bytes of one message, 32 times what a camera of the built-in class may send."""

MAX_LINE: Final = 3 * MAX_MESSAGE // 2
"""Bytes of a line: base64 takes a third more than the message."""

MAX_SECONDS: Final = 366 * 86_400.0

HELLOS: Final = frozenset({"connect", "connection"})

_BINARY: Final = frozenset({"picture", "binary"})


class Header(msgspec.Struct, frozen=True, omit_defaults=True, rename={"device_class": "class"}):
    """Whose session it is.

    Attributes:
        wsrec: The version of the form.
        started: ISO 8601 in UTC.
        session: The public id that it had.
        wsdev: The version of wsdev that recorded it.
    """

    wsrec: int
    device: str
    device_class: str
    started: str = ""
    session: str = ""
    user_agent: str | None = None
    wsdev: str = ""


class Message(msgspec.Struct, frozen=True, omit_defaults=True, rename={"direction": "dir"}):
    """A message; what was said is in one of ``json``, ``text`` and ``base64``.

    Attributes:
        t: Seconds since the start of the session.
        direction: ``in`` from the device, ``out`` to it.
        kind: As in the journal; ``text`` for text that is no UTF-8, in ``base64``.
        json: Said in compact JSON, as our own codec writes it.
        text: Said exactly so.
        size: Bytes of a message that the recording has not, or not all of.
        cut: The text is only its beginning; it cannot be sent.
        expected: Of a message to the device: whether a replay waits for one like it.
        note: For people.
    """

    t: float
    direction: Literal["in", "out"]
    kind: str
    json: Any = msgspec.UNSET
    text: str | None = None
    size: int | None = None
    sha256: str | None = None
    cut: bool = False
    expected: bool = True
    note: str | None = None
    base64: bytes | None = None

    @property
    def is_binary(self) -> bool:
        """Whether it goes out as a binary message."""
        return self.kind in _BINARY

    @property
    def is_made(self) -> bool:
        """Whether a replay has to make something of that size in its place."""
        return self.data() is None and not self.cut

    def data(self) -> bytes | None:
        """What was said, None if the recording has not all of it."""
        if self.cut:
            return None
        if self.json is not msgspec.UNSET:
            return msgspec.json.encode(self.json)
        return self.base64 if self.text is None else self.text.encode()


class End(msgspec.Struct, frozen=True, omit_defaults=True):
    """How the session ended.

    Attributes:
        end: By the ``device``, by the ``gateway``, on the ``path``, ``lost`` with the gateway; or
            it is ``open``: the recording ends before the session.
        code: The close code.
        expected: Of an end by the gateway: whether a replay waits for one with that code.
        note: For people.
    """

    t: float
    end: Literal["device", "gateway", "path", "lost", "open"]
    code: int | None = None
    reason: str = ""
    expected: bool = True
    note: str | None = None

    @property
    def is_asked_for(self) -> bool:
        """Whether the gateway has to end a replay with this code."""
        return self.end == "gateway" and self.code is not None and self.expected


class Numbered(NamedTuple):
    """A line's meaning and its number in the file, from 1."""

    number: int
    meaning: Header | Message | End


@dataclass(slots=True)
class Outline:
    """What a whole recording holds.

    Attributes:
        sent: Messages of the device that a replay sends; ``made`` of them are made anew.
        cut: Messages that it cannot send.
        answers: Messages that it waits for.
        other: Messages to the device that it does not wait for.
        last_sent: The number of the line with the last message that is sent.
        greets: Whether the device says its name.
    """

    header: Header
    end: End
    sent: int = 0
    made: int = 0
    cut: int = 0
    answers: int = 0
    other: int = 0
    last_sent: int = 0
    greets: bool = False

    def count(self, number: int, message: Message) -> None:
        """Take a message into account."""
        if message.direction == "out":
            if message.expected:
                self.answers += 1
            else:
                self.other += 1
        elif message.cut:
            self.cut += 1
        else:
            self.sent += 1
            self.made += message.is_made
            self.last_sent = number
            self.greets |= message.kind in HELLOS


# Writing


def write_line(meaning: Header | Message | End) -> str:
    """A line with its end, in ASCII where a terminal would obey what it is shown."""
    return json_line(meaning) + "\n"


def spoken(text: str) -> dict[str, Any]:
    """The field of a :class:`Message` that says ``text`` best: ``json`` if that gives it back."""
    try:
        parsed = msgspec.json.decode(text)
        if msgspec.json.encode(parsed) == text.encode():
            return {"json": parsed}
    except (msgspec.MsgspecError, UnicodeError, RecursionError, ValueError):
        pass
    return {"text": text}


# Reading


def read_lines(stream: BinaryIO, name: str) -> Iterator[Numbered]:
    """The lines of a recording: a header, messages, an end. Empty ones and mere notes are passed.

    Args:
        name: What the file is called in errors, printable.

    Raises:
        RecordingError: ``not_a_recording``, ``newer``, ``bad_line``, ``line_too_long``, or ``cut``
            if there is no end.
    """
    place = _Place(name)
    header = end = None
    while raw := stream.readline(MAX_LINE + 1):
        place.number += 1
        if not raw.strip():
            continue
        meaning = _meaning(raw, place, is_first=header is None)
        if meaning is None:
            continue
        if end is not None:
            raise place.error("it stands behind the end", "keep one end, in the last line")
        if isinstance(meaning, Header):
            header = meaning
        elif isinstance(meaning, End):
            end = meaning
        yield Numbered(place.number, meaning)
    if header is None:
        raise place.foreign()
    if end is None:
        raise RecordingError(
            f"{name} has no end: it was cut after line {place.number}",
            'record it again, or add as its last line {"t": …, "end": "open"}',
            code="cut",
        )


def outline(lines: Iterable[Numbered]) -> Outline:
    """What the lines of :func:`read_lines` hold, all of them."""
    found: Outline | None = None
    for number, meaning in lines:
        if isinstance(meaning, Header):
            found = Outline(meaning, End(0, "open"))
            continue
        assert found is not None  # the header is the first
        if isinstance(meaning, Message):
            found.count(number, meaning)
        else:
            found.end = meaning
    assert found is not None
    return found


class _Place:
    """Where the reading is, for errors."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.number = 0

    def error(self, cause: str, hint: str, code: str = "bad_line") -> RecordingError:
        return RecordingError(f"{self.name}, line {self.number}: {cause}", hint, code=code)

    def foreign(self) -> RecordingError:
        return RecordingError(
            f"{self.name} is no recording: its first line is not the header of one",
            "make one with: wsdev record NAME",
            code="not_a_recording",
        )


def _meaning(raw: bytes, place: _Place, *, is_first: bool) -> Header | Message | End | None:
    """What a line says; None for a note."""
    if len(raw) > MAX_LINE and not is_first:
        raise place.error(f"longer than {MAX_LINE >> 20} MiB", "cut the line", "line_too_long")
    try:
        fields = msgspec.json.decode(raw, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as exc:
        if is_first:
            raise place.foreign() from None
        raise place.error(
            f"no JSON object: {printable(str(exc))}", "each line is one JSON object, on one line"
        ) from None
    if is_first:
        return _header(fields, place)
    if "dir" in fields:
        return _message(fields, place)
    if "end" in fields:
        end = _converted(fields, End, place)
        _check_time(end.t, place)
        return end
    if "note" in fields:
        return None
    raise place.error("it has neither `dir` nor `end`", 'messages have "dir": "in" or "out"')


def _header(fields: dict[str, Any], place: _Place) -> Header:
    version = fields.get("wsrec")
    if type(version) is not int or version < 1:
        raise place.foreign()
    if version > VERSION:
        raise RecordingError(
            f"{place.name} has version {version} of recordings, and this wsdev reads up to"
            f" {VERSION}",
            "update wsdev here",
            code="newer",
        )
    header = _converted(fields, Header, place)
    if not is_class_name(header.device_class):
        raise place.error("`class` is no device class", "use pico or esp32cam")
    return header


def _message(fields: dict[str, Any], place: _Place) -> Message:
    message = _converted(fields, Message, place)
    _check_time(message.t, place)
    said = [name for name in ("json", "text", "base64") if name in fields]
    if len(said) > 1:
        raise place.error(f"it has {' and '.join(said)}", "leave one of them")
    if message.direction == "out":
        if message.expected and not isinstance(_parsed(message), dict):
            raise place.error(
                "what the gateway is expected to say is no JSON object",
                'give it as "json", or add "expected": false',
            )
    elif not said and message.size is None:
        raise place.error("it says nothing", "give json, text, base64, or size")
    elif message.is_made and not message.is_binary:
        raise place.error("a text cannot be made from its size", 'give "json" or "text"')
    elif not 0 <= (message.size or 0) <= MAX_MESSAGE:
        raise place.error(
            f"`size` is not from 0 to {MAX_MESSAGE}", "no gateway takes a larger message"
        )
    return message


def _parsed(message: Message) -> Any:
    try:
        return msgspec.json.decode(message.data() or b"")
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def answer_of(message: Message) -> dict[str, Any]:
    """What an expected message to the device says; :func:`read_lines` has checked that it can."""
    parsed = _parsed(message)
    assert isinstance(parsed, dict)
    return parsed


_Meaning = TypeVar("_Meaning", Header, Message, End)


def _converted(fields: dict[str, Any], wanted: type[_Meaning], place: _Place) -> _Meaning:
    try:
        return msgspec.convert(fields, wanted)
    except msgspec.ValidationError as exc:
        raise place.error(printable(str(exc)), "see docs/recordings.md for the fields") from None


def _check_time(seconds: float, place: _Place) -> None:
    if not 0 <= seconds <= MAX_SECONDS:
        raise place.error("`t` is no time of a session", "give the seconds since its start")
