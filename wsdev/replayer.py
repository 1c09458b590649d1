"""Plays a recording to a gateway, as the device that it is of, and compares the answers."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from wsdev import client
from wsdev.codes import CloseCode
from wsdev.errors import LinkCut
from wsdev.events import (
    BadMessageReceived,
    Closed,
    ClosedBy,
    Event,
    MessageReceived,
    PongReceived,
)
from wsdev.failures import closed_error
from wsdev.limits import Limits
from wsdev.protocol import MAX_ID_LENGTH
from wsdev.recording_format import HELLOS, End, Header, Message, Numbered, Outline
from wsdev.replay_check import Comparison, Difference
from wsdev.session import SessionPolicy
from wsdev.target import Target, fetch_token

PROVE_AFTER: Final = 64
PROVE_AFTER_BYTES: Final = 256 * 1024
"""Messages and bytes after which the gateway has to show, with a pong, that it has read them. So no
more than that and one message waits here, however fast a recording is played."""

_QUEUE: Final = 64 * 1024 * 1024
"""Bytes that may wait here for a gateway that does not read: more than the above ever are."""

_PLAYABLE_CODES: Final = frozenset((*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)))
"""What may be in a close frame (RFC 6455 section 7.4)."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How a recording is played.

    Attributes:
        speed: How many times as fast as it was; None for as fast as it goes.
        name: Another name for the device; None for its own.
        fresh_ids: Whether messages get other ids, so that a gateway that knows them records them.
    """

    speed: float | None = 1.0
    name: str | None = None
    fresh_ids: bool = False


@dataclass(slots=True)
class Played:
    """What a replay showed, so far.

    Attributes:
        sent: Messages; ``made`` of them were made in the place of what is not in the recording.
        matched: Answers that came as recorded.
        commands: Messages of an operator that came meanwhile.
        differences: Whatever was otherwise than recorded.
        seconds: How long it took, from the upgrade.
        is_over: Whether it came to its end.
    """

    sent: int = 0
    made: int = 0
    matched: int = 0
    commands: int = 0
    differences: list[Difference] = field(default_factory=list)
    seconds: float = 0.0
    is_over: bool = False


async def replay(
    target: Target, about: Outline, lines: Iterable[Numbered], manner: Manner, found: Played
) -> None:
    """Go in as the device, say what it said when it said it, and leave as it left.

    Args:
        target: Its patience is the time that each wait for the gateway may take.
        about: The outline of the same lines.
        found: Filled in on the way, so that what is known survives an error.

    Raises:
        PathError, PeerError: no way in, the link was cut or fell silent, or what comes is no
            message. A gateway that answers otherwise, or closes with another code, is no error but
            a difference.
        RecordingError: as ``lines`` give it.
    """
    token = target.token
    if token is None:
        token = await fetch_token(target)
    limits = Limits(
        handshake_timeout=target.patience, stall_timeout=target.patience, queue_bytes=_QUEUE
    )
    async with client.connect(
        target.address,
        target.device_class,
        token,
        policy=SessionPolicy(limits),
        tls=target.tls,
        patience=target.patience,
    ) as connection:
        player = _Player(connection, about, manner, target.patience, found)
        try:
            await player.play(lines)
        finally:
            player.report()


class _Player:
    """One replay on one connection."""

    def __init__(
        self,
        connection: client.DeviceConnection,
        about: Outline,
        manner: Manner,
        patience: float,
        found: Played,
    ) -> None:
        self._connection = connection
        self._about = about
        self._manner = manner
        self._patience = patience
        self._found = found
        self._new_id = _FreshIds(secrets.randbits(48)).of if manner.fresh_ids else _same
        self._check = Comparison(any_name=manner.name is not None, new_id=self._new_id)
        self._now = asyncio.get_running_loop().time
        self._started = self._now()
        self._closed: Closed | None = None
        self._pongs = 0
        self._unproven = 0
        self._unproven_bytes = 0
        self._end_differs: list[Difference] = []

    def report(self) -> None:
        """Write down what is known by now."""
        found = self._found
        found.seconds = self._now() - self._started
        found.matched, found.commands = self._check.matched, self._check.commands
        found.differences = [*self._check.differences(), *self._end_differs]

    async def play(self, lines: Iterable[Numbered]) -> None:
        """Send the device's messages, each at its time, and wait for what is to come."""
        for number, meaning in lines:
            if isinstance(meaning, Header):
                continue
            await self._wait_until(meaning.t)
            if isinstance(meaning, End):
                await self._finish(number, meaning)
            elif self._closed is not None:
                continue  # what is not sent any more is not answered either
            elif meaning.direction == "out":
                if meaning.expected:
                    self._check.expect(number, meaning)
            elif not meaning.cut:
                if number == self._about.last_sent and self._about.end.is_asked_for:
                    # What the gateway closes for: it may close before it has acknowledged.
                    await self._settle()
                await self._send(meaning)

    async def _send(self, message: Message) -> None:
        data = message.data()
        if data is None:
            data = self._make(message)
            self._found.made += 1
        else:
            data = self._adapted(message, data)
        if self._unproven >= PROVE_AFTER or self._unproven_bytes >= PROVE_AFTER_BYTES:
            await self._prove()
            if self._closed is not None:
                return
        session = self._connection.session
        if message.is_binary:
            session.send_binary(data)
        else:
            session.send_text(data)
        self._connection.flush()
        self._found.sent += 1
        self._unproven += 1
        self._unproven_bytes += len(data)

    def _adapted(self, message: Message, data: bytes) -> bytes:
        """What was said, under the name and with the ids of this replay."""
        manner = self._manner
        if manner.name is not None and message.kind in HELLOS:
            data = _changed(data, "device", lambda _: manner.name)
        if manner.fresh_ids and message.kind not in _KEEPS_ITS_ID:
            data = _changed(data, "id", self._new_id)
        return data

    def _make(self, message: Message) -> bytes:
        from wsdev.pictures import make_picture_of_size  # noqa: PLC0415  (loads Pillow)

        size = message.size or 0
        if message.kind != "picture":
            return bytes(size)
        return make_picture_of_size(self._found.made + 1, "replay", size)

    # Waiting

    async def _wait_until(self, seconds: float) -> None:
        """Take what comes until that time of the recording."""
        if self._manner.speed is None:
            deadline = self._now()
        else:
            deadline = self._started + seconds / self._manner.speed
        await self._take_until(lambda: False, deadline)

    async def _prove(self) -> None:
        """Until the gateway has read all that was sent.

        Raises:
            LinkCut: it does not in time.
        """
        await self._pong(self._now() + self._patience)
        self._unproven = self._unproven_bytes = 0

    async def _settle(self) -> None:
        """Until all answers are there, or time is up; then the gateway must be alive at least.

        Raises:
            LinkCut: it is not.
        """
        deadline = self._now() + self._patience
        # Twice: a WebSocket library may answer the ping before the messages that it has read
        # together with it. What these were answered comes before the second pong.
        await self._pong(deadline)
        await self._pong(deadline)
        await self._take_until(lambda: not self._check.awaited, deadline)

    async def _pong(self, deadline: float) -> None:
        before = self._pongs
        self._connection.ping()
        await self._take_until(lambda: self._pongs > before, deadline)
        if self._closed is None and self._pongs == before:
            raise LinkCut(
                f"no answer to a ping within {self._patience:g} s",
                "the link is up but the gateway does not read: look at its /healthz and log (is"
                " its disk full?); or give it more --timeout",
            )

    async def _take_until(self, is_done: Callable[[], bool], deadline: float) -> None:
        """Take what comes until that is enough, the link ends, or the time is over."""
        while self._closed is None and not is_done():
            # Not left to a timeout that is over at once: it would swallow a Ctrl-C of that moment.
            if self._now() >= deadline:
                return
            try:
                async with asyncio.timeout_at(deadline):
                    event = await self._connection.next_event()
            except TimeoutError:
                return
            self._take(event)

    def _take(self, event: Event) -> None:
        if isinstance(event, MessageReceived):
            self._check.saw(event.message, event.text)
        elif isinstance(event, PongReceived):
            self._pongs += 1
        elif isinstance(event, BadMessageReceived):
            raise event.error
        elif isinstance(event, Closed):
            self._closed = event

    # The end

    async def _finish(self, number: int, end: End) -> None:
        if end.is_asked_for:
            await self._take_until(lambda: False, self._now() + self._patience)
        elif self._closed is None:
            await self._settle()
        closed = self._closed
        if closed is not None and closed.by is not ClosedBy.PEER:
            raise closed_error(closed)
        unsent = self._about.sent - self._found.sent
        recorded = {"by": end.end, "code": end.code} if end.is_asked_for else None
        seen = None if closed is None else {"by": "gateway", "code": closed.code}
        if unsent and seen is not None:
            seen["messages_unsent"] = unsent
        self._found.is_over = True
        if recorded != seen:
            self._end_differs.append(Difference("end", number, recorded, seen))
        if closed is None:
            self._leave(end)

    def _leave(self, end: End) -> None:
        """As the device did: politely, with its code, or cut."""
        if end.end == "path":
            self._connection.abort()
        elif end.end == "device":
            code = end.code if end.code in _PLAYABLE_CODES else None
            self._connection.link.close(CloseCode.NORMAL if code is None else code, end.reason)


_KEEPS_ITS_ID: Final = frozenset({"ack", "bad", "picture", "binary"})
"""Kinds of messages whose id, if any, is a command's, or is not to be read."""


class _FreshIds:
    """Ids that are others in each replay; what was sent again is sent again with the same.

    Args:
        salt: 48 bits. With more, a number could become one that JSON's readers round (2**53).
    """

    def __init__(self, salt: int) -> None:
        self._salt = salt

    def of(self, recorded: Any) -> Any:
        """The id in the place of that one; what can be no id stays."""
        if type(recorded) is int:
            return recorded ^ self._salt
        if type(recorded) is not str:
            return recorded
        fresh = f"{self._salt:012x}-{recorded}"
        if len(fresh) <= MAX_ID_LENGTH:
            return fresh
        return f"{self._salt:012x}-{hashlib.sha256(recorded.encode()).hexdigest()}"


def _same(recorded: Any) -> Any:
    return recorded


def _changed(text: bytes, field: str, change: Callable[[Any], Any]) -> bytes:
    """A JSON object with another value in that field; without the field it stays, as all else."""
    try:
        fields = msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return text
    if not isinstance(fields, dict) or field not in fields:
        return text
    return msgspec.json.encode({**fields, field: change(fields[field])})
