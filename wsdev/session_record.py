"""What one session leaves in the journal, and the acks that follow from it."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Final

from wsdev.codec import encode
from wsdev.events import BadMessageReceived, BinaryReceived, Closed, MessageReceived
from wsdev.gateway_session import GatewaySession, error_message
from wsdev.hub import Member, Traffic
from wsdev.journal_interface import Journal
from wsdev.link import Hold, Link
from wsdev.protocol import (
    CommandAck,
    Connect,
    Connection,
    Frame,
    Heartbeat,
    LegacyTelemetry,
    Log,
    MessageId,
    Ping,
    Pong,
    Status,
    Telemetry,
    Test,
    is_whole_jpeg,
)
from wsdev.records import FROM_DEVICE, TO_DEVICE, SessionEnd, SessionStart, storable

UNRECORDED_ROWS: Final = 256
"""Messages of one device that may wait to be recorded; with more, it is not read."""

UNRECORDED_BYTES: Final = 2 * 1024 * 1024

REMEMBERED_RTTS: Final = 64
"""Round trips of a session that are remembered, for its median and for the console: the latest,
some 20 minutes of silence. At most 0.4 KB of a connection."""

_KINDS: Final[dict[type, int]] = {
    kind: FROM_DEVICE[str(kind.__struct_config__.tag)]
    for kind in (
        Connect, Connection, Telemetry, LegacyTelemetry, Heartbeat, Status, Test, Log, CommandAck,
        Ping, Pong, Frame,
    )
}  # fmt: skip
_OTHER: Final = FROM_DEVICE["other"]
_BAD: Final = FROM_DEVICE["bad"]
_PICTURE: Final = FROM_DEVICE["picture"]
_BINARY: Final = FROM_DEVICE["binary"]


def start_of(member: Member, via: str | None, user_agent: str | None) -> SessionStart:
    """How the session of a device that was just let in begins."""
    return SessionStart(
        session=member.session_id,
        device=member.name,
        device_class=member.device_class,
        address=member.address,
        via=via,
        user_agent=None if user_agent is None else storable(user_agent),
        token=member.token,
        has_name=False,
    )


class SessionRecord:
    """Records a session from its start on; as a :class:`~wsdev.journal_group.Sender`, acknowledges.

    A device that says more than the disk takes is not read until the disk has caught up. It is
    pinged all the same.

    Args:
        now: Monotonic seconds.
    """

    __slots__ = (
        "_is_held",
        "_journal",
        "_key",
        "_link",
        "_rtts",
        "_session",
        "_since",
        "_unrecorded_bytes",
        "_unrecorded_rows",
    )

    def __init__(
        self,
        journal: Journal,
        session: GatewaySession,
        link: Link,
        start: SessionStart,
        now: float,
    ) -> None:
        self._journal = journal
        self._session = session
        self._link = link
        self._since = now
        self._rtts: array[float] | None = None
        self._unrecorded_rows = 0
        self._unrecorded_bytes = 0
        self._is_held = False
        self._key = journal.start_session(start)

    def traffic(self) -> Traffic:
        """What went over the connection so far."""
        session = self._session
        return Traffic(
            session.messages_received,
            session.bytes_received,
            session.messages_sent,
            session.bytes_sent,
        )

    def renamed(self, name: str) -> None:
        """The device has another name."""
        self._journal.rename_session(self._key, name)

    def said_version(self, version: str | None) -> None:
        """The device said the version of its firmware."""
        self._journal.note_version(self._key, version)

    def round_trips(self) -> Sequence[float]:
        """Seconds of the latest pongs, the oldest first."""
        return self._rtts or ()

    def took_pong(self, rtt: float) -> None:
        """The device answered a ping after ``rtt`` seconds."""
        if self._rtts is None:
            self._rtts = array("f")
        elif len(self._rtts) >= REMEMBERED_RTTS:
            del self._rtts[0]
        self._rtts.append(rtt)

    def took_message(self, event: MessageReceived) -> MessageId | None:
        """Record what the device said; returns its ``id``, if it has one."""
        message = event.message
        # Of the device's own, or of the command that is answered.
        message_id: MessageId | None = getattr(message, "id", None)
        self._take(_KINDS.get(type(message), _OTHER), event.text, message_id)
        return message_id

    def took_bad_message(self, event: BadMessageReceived) -> None:
        """Record what was against the contract, and what was answered."""
        self._take(_BAD, event.text, None)
        self.sent("error", encode(error_message(event.error)))

    def took_binary(self, event: BinaryReceived) -> bool:
        """Record that a picture or other binary came; returns whether it is a whole picture."""
        whole = is_whole_jpeg(event.data)
        self._take(_PICTURE if whole else _BINARY, event.data, None)
        return whole

    def _take(self, kind: int, data: bytes, message_id: MessageId | None) -> None:
        journal = self._journal
        self._unrecorded_rows += 1
        self._unrecorded_bytes += len(data)
        journal.record(self._key, kind, data, message_id, self)
        if (
            self._unrecorded_rows >= UNRECORDED_ROWS
            or self._unrecorded_bytes >= UNRECORDED_BYTES
            or journal.is_full
        ):
            self._is_held = True
            self._link.hold(Hold.JOURNAL)

    def recorded(self, rows: int, size: int, ids: Sequence[MessageId]) -> None:
        """What the device said is on disk: acknowledge it, and read on."""
        self._unrecorded_rows -= rows
        self._unrecorded_bytes -= size
        if ids:
            for message_id in ids:
                self._session.ack(message_id)
            self._link.flush()
        if (
            self._is_held
            and self._unrecorded_rows <= UNRECORDED_ROWS // 2
            and self._unrecorded_bytes <= UNRECORDED_BYTES // 2
        ):
            self._is_held = False
            self._link.release(Hold.JOURNAL)

    def sent(self, word: str, text: bytes) -> None:
        """Record what was said to the device; ``word`` is a kind of records.TO_DEVICE."""
        self._journal.record(self._key, TO_DEVICE[word], text, None, None)

    def ended(self, closed: Closed, now: float) -> None:
        """The device is gone."""
        session = self._session
        rtts = sorted(self._rtts or ())
        end = SessionEnd(
            code=closed.code,
            reason=storable(closed.reason),
            closed_by=closed.by.value,
            seconds=now - self._since,
            messages_in=session.messages_received,
            bytes_in=session.bytes_received,
            messages_out=session.messages_sent,
            bytes_out=session.bytes_sent,
            median_rtt=rtts[len(rtts) // 2] if rtts else None,
        )
        self._journal.end_session(self._key, end)
