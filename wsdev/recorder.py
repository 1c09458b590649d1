"""A recording made of the journal's entries of one session.

What the journal does not hold is filled in where it follows: the acks and pongs that were answered.
What cannot be had is counted, and said in the line that lacks it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

from wsdev import __version__
from wsdev.codec import BadMessage, decode_from_device, decode_from_gateway, encode
from wsdev.codes import CloseCode
from wsdev.journal_entries import Entry, MessageEntry, SessionEntry, iso
from wsdev.protocol import Ack, Ping, Pong, class_of
from wsdev.recording_format import (
    HELLOS,
    MAX_MESSAGE,
    VERSION,
    End,
    Header,
    Message,
    spoken,
)
from wsdev.records import ACKNOWLEDGED, BINARY, KIND_NAMES
from wsdev.token_format import without_tokens

Line = Header | Message | End

_ACKNOWLEDGED: Final = frozenset(KIND_NAMES[kind] for kind in ACKNOWLEDGED)
_BINARY: Final = frozenset(KIND_NAMES[kind] for kind in BINARY)

_GREETING: Final = HELLOS | {"connection_ack"}
"""What a part of a session keeps of its beginning: without it, it would be nobody's."""

_ENDERS: Final[dict[str, Literal["device", "gateway", "path", "lost"]]] = {
    "peer": "device", "here": "gateway", "path": "path", "lost": "lost",
}  # fmt: skip

_NOT_KEPT: Final = "not kept: a replay makes one of this size"
_CUT: Final = "only its beginning is in the journal: a replay leaves it out"
_CUT_ANSWER: Final = "answers a message that a replay leaves out"
_OPERATOR: Final = "an operator's, not an answer"
_STAND_IN: Final = "made: the journal does not keep what the gateway closes for"
_NOT_REPEATED: Final = "what led to it is not in the journal: a replay does not wait for it"


@dataclass(slots=True)
class Tally:
    """What was recorded, and what is missing.

    Attributes:
        started: Unix milliseconds.
        seconds: From there to the end.
        from_device, to_device: Messages of the journal.
        implied: Acks and pongs, which follow from them.
        cut: Bodies of which the journal has the beginning.
        kept, not_kept: Pictures and other binary messages, with and without their bytes.
        left_out: Messages before or after the wanted time.
        absent: Messages of the device that the journal has not; 0 if that is not known.
        has_stand_in: A made message is in the place of what the gateway closed for.
        end: None while there is none.
    """

    device: str = ""
    device_class: str = ""
    session: str = ""
    started: int = 0
    seconds: float = 0.0
    from_device: int = 0
    to_device: int = 0
    implied: int = 0
    cut: int = 0
    kept: int = 0
    not_kept: int = 0
    left_out: int = 0
    absent: int = 0
    has_stand_in: bool = False
    end: End | None = None


class Recorder:
    """Takes the entries of a session in their order, gives the lines of its recording.

    Args:
        since, until: Unix milliseconds; what is before or after is left out, but for the hello.
        read_picture: Gives the bytes of a picture's file, None if it cannot.
    """

    def __init__(
        self,
        read_picture: Callable[[str], bytes | None],
        *,
        since: int | None = None,
        until: int | None = None,
    ) -> None:
        self.tally = Tally()
        self._read_picture = read_picture
        self._since = since
        self._until = until
        self._origin = 0
        self._largest: int | None = None
        self._answers_cut = False

    def take(self, entry: Entry) -> list[Line]:
        """The lines that an entry becomes; none once there was an end.

        The session's start comes first, with the device's name as it is known by then.
        """
        if self.tally.end is not None:
            return []
        if isinstance(entry, SessionEntry):
            if entry.event == "connected":
                return [self._start(entry)]
            return self._finish(entry)
        if isinstance(entry, MessageEntry):
            return self._message(entry)
        return []

    def stop(self) -> list[Line]:
        """End a recording whose session goes on; nothing to say if it has ended."""
        if self.tally.end is not None:
            return []
        return [self._end(End(self.tally.seconds, "open"))]

    # Start and end

    def _start(self, entry: SessionEntry) -> Header:
        tally = self.tally
        tally.device, tally.device_class = entry.device, entry.device_class
        tally.session = entry.session
        self._origin = max(entry.time, self._since or 0)
        tally.started = self._origin
        return Header(
            wsrec=VERSION,
            device=without_tokens(entry.device),
            device_class=entry.device_class,
            started=iso(self._origin),
            session=entry.session,
            user_agent=None if entry.user_agent is None else without_tokens(entry.user_agent),
            wsdev=__version__,
        )

    def _finish(self, entry: SessionEntry) -> list[Line]:
        if self._until is not None and entry.time >= self._until:
            return self.stop()
        tally = self.tally
        if entry.messages_in is not None and not tally.left_out:
            unreadable = entry.close_code == CloseCode.INVALID_DATA  # counted, never recorded
            tally.absent = max(0, entry.messages_in - tally.from_device - unreadable)
        end = _ENDERS.get(entry.closed_by or "", "lost")
        code, t = entry.close_code, self._seconds(entry)
        reason = without_tokens(entry.reason or "")
        if end != "gateway":
            return [self._end(End(t, end, code, reason))]
        cause = self._cause(code, t)
        if cause is None and code != CloseCode.NOT_ALLOWED:
            return [self._end(End(t, end, code, reason, expected=False, note=_NOT_REPEATED))]
        ended = self._end(End(t, end, code, reason))
        if cause is None:
            return [ended]
        tally.has_stand_in = True
        return [cause, ended]

    def _end(self, end: End) -> End:
        self.tally.end = end
        return end

    def _cause(self, code: int | None, t: float) -> Message | None:
        """A message for which the gateway closes again with ``code``, if there can be one."""
        if code == CloseCode.TOO_BIG:
            size = (self._largest or class_of(self.tally.device_class).max_message) + 1
            if size <= MAX_MESSAGE:
                return Message(t, "in", "binary", size=size, note=_STAND_IN)
        if code == CloseCode.INVALID_DATA:
            return Message(t, "in", "text", base64=b"\xff", note=_STAND_IN)
        return None

    # Messages

    def _message(self, entry: MessageEntry) -> list[Line]:
        if entry.event not in _GREETING and not self._is_wanted(entry):
            self.tally.left_out += 1
            return []
        t = self._seconds(entry)
        if entry.direction == "out":
            self.tally.to_device += 1
            return [self._to_device(entry, t)]
        self.tally.from_device += 1
        if entry.event in _BINARY:
            return [self._binary(entry, t)]
        if entry.cut or entry.body is None:
            self.tally.cut += 1
            self._answers_cut = entry.event == "bad"
            return [
                Message(
                    t, "in", entry.event, text=without_tokens(entry.body or ""),
                    size=entry.size, cut=True, note=_CUT,
                )
            ]  # fmt: skip
        self._answers_cut = False
        text = without_tokens(entry.body)
        said = Message(t, "in", entry.event, **spoken(text))
        answer = _implied(entry, text)
        if answer is None:
            return [said]
        self.tally.implied += 1
        kind = "pong" if isinstance(answer, Pong) else "ack"
        return [said, Message(t, "out", kind, **spoken(encode(answer).decode()))]

    def _to_device(self, entry: MessageEntry, t: float) -> Message:
        if entry.cut or entry.body is None:
            self.tally.cut += 1
            return Message(
                t, "out", entry.event, text=without_tokens(entry.body or ""),
                size=entry.size, cut=True, expected=False, note=_CUT,
            )  # fmt: skip
        said: dict[str, Any] = spoken(without_tokens(entry.body))
        if entry.event == "command":
            return Message(t, "out", entry.event, **said, expected=False, note=_OPERATOR)
        if entry.event == "error" and self._answers_cut:
            self._answers_cut = False
            return Message(t, "out", entry.event, **said, expected=False, note=_CUT_ANSWER)
        if entry.event == "connection_ack" and self._largest is None:
            self._largest = _largest_message(entry.body)
        return Message(t, "out", entry.event, **said)

    def _binary(self, entry: MessageEntry, t: float) -> Message:
        data = None if entry.picture is None else self._read_picture(entry.picture)
        if data is None or len(data) != entry.size:
            self.tally.not_kept += 1
            return Message(
                t, "in", entry.event, size=entry.size, sha256=entry.sha256, note=_NOT_KEPT
            )
        self.tally.kept += 1
        return Message(t, "in", entry.event, base64=data, size=entry.size, sha256=entry.sha256)

    def _is_wanted(self, entry: Entry) -> bool:
        return (self._since is None or entry.time >= self._since) and (
            self._until is None or entry.time < self._until
        )

    def _seconds(self, entry: Entry) -> float:
        """Seconds since the start. The journal's clock may jump back; a recording's does not."""
        tally = self.tally
        tally.seconds = max(tally.seconds, (entry.time - self._origin) / 1000)
        return tally.seconds


def _implied(entry: MessageEntry, text: str) -> Ack | Pong | None:
    """The answer that the journal leaves out because it follows from the message."""
    if entry.event in _ACKNOWLEDGED:
        return None if entry.id is None else Ack(entry.id)
    if entry.event != "ping":
        return None
    try:
        message = decode_from_device(text.encode())
    except BadMessage:  # a later version's
        return None
    return Pong(message.timestamp) if isinstance(message, Ping) else None


def _largest_message(welcome: str) -> int | None:
    """What a ``connection_ack`` says about the largest message."""
    try:
        message = decode_from_gateway(welcome.encode())
    except BadMessage:
        return None
    return getattr(message, "max_message_bytes", None)
