"""The talk of a probe with a gateway it was let into: hello, messages, pings."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from typing import Final

from wsdev.client import DeviceConnection
from wsdev.codes import CloseCode
from wsdev.diagnosis.facts import Quality, TalkFacts, TalkTrouble
from wsdev.events import (
    BadMessageReceived,
    BinaryReceived,
    Closed,
    ClosedBy,
    Event,
    MessageReceived,
    PongReceived,
    TimeUp,
)
from wsdev.protocol import ESP32CAM, Ack, ConnectionAck, ErrorMessage, Unknown
from wsdev.sanitize import printable
from wsdev.simulator import VirtualDevice
from wsdev.target import Target
from wsdev.token_format import without_token, without_tokens

IN_VAIN_AT_MOST: Final = 3
"""Answers that may stay out in a row where losses are allowed; then the link counts as dead."""

KEPT: Final = 200
"""Bytes of a strange message that are shown."""

_GIVEN_UP: Final = (CloseCode.NO_SIGN_OF_LIFE, CloseCode.TOO_SLOW)
"""With these our own session ends: the other end neither speaks nor reads."""


class Talk:
    """What is said on one connection, and how it is answered.

    Every method ends within the target's patience for each answer; trouble stands in ``facts``.
    After trouble the methods do nothing.

    Args:
        secret: The token in use, which is in no fact, even if the other end says it.
    """

    def __init__(
        self,
        connection: DeviceConnection,
        target: Target,
        quality: Quality,
        secret: str | None = None,
    ) -> None:
        self.facts = TalkFacts()
        self._secret = secret
        self._said_instead = ""
        self.lost_pings = 0
        self._connection = connection
        self._target = target
        self._quality = quality
        self._loop = asyncio.get_running_loop()
        self._started = self._last_sent = self._loop.time()
        self._in_vain = 0
        self._device = VirtualDevice(target.device_class, target.name, random.random, self._started)

    def finish(self) -> None:
        """Nothing more is said: note how long it took, and how much it was."""
        session = self._connection.session
        self.facts.lasted = self._loop.time() - self._started
        self.facts.bytes_sent = session.bytes_sent
        self.facts.bytes_received = session.bytes_received

    async def hello(self) -> None:
        """Say who it is, and hear the welcome."""
        self.facts.doing = "hello"
        self._device.hello(self._connection.session, self._flush_time())
        self._connection.flush()
        welcome: list[ConnectionAck] = []

        def wanted(event: Event) -> bool:
            if isinstance(event, MessageReceived) and isinstance(event.message, ConnectionAck):
                welcome.append(event.message)
            return bool(welcome)

        if not await self._hear(wanted, "answer to the hello"):
            return
        told = welcome[0]
        self.facts.device, self.facts.session = self._kept(told.device), self._kept(told.session)
        self.facts.ping_interval = told.ping_interval
        self.facts.server_time, self.facts.asked_at = told.server_time, time.time()

    async def send_picture(self) -> int:
        """A picture, if the device is a camera; its size in bytes, else 0."""
        if self.facts.trouble or self._target.device_class.name != ESP32CAM.name:
            return 0
        size = self._device.send_picture(self._connection.session, self._flush_time())
        self._connection.flush()
        return size

    async def send(self, count: int) -> None:
        """Small telemetry messages, one after the other."""
        for _ in range(count):
            await self._send("message", 0)

    async def send_large(self, size: int) -> None:
        """A large one, if any is wanted."""
        largest = self._target.device_class.max_message - 512
        if size:
            self.facts.large_size = min(size, largest)
            await self._send("large", self.facts.large_size)

    async def _send(self, doing: str, padding: int) -> None:
        if self.facts.trouble:
            return
        self.facts.doing = doing
        started = self._flush_time()
        message = self._device.measure(started, padding=padding)
        self._connection.session.send(message)
        self._connection.flush()

        def wanted(event: Event) -> bool:
            return (
                isinstance(event, MessageReceived)
                and isinstance(event.message, Ack)
                and event.message.id == message.id
            )

        if await self._hear(wanted, "acknowledgement of a message"):
            self.facts.messages_acked += 1
            if not padding:
                self.facts.round_trips.append(self._loop.time() - started)

    async def ping(self, count: int) -> None:
        """Protocol pings, one after the other."""
        for _ in range(count):
            if self.facts.trouble:
                return
            self.facts.doing = "ping"
            self._last_sent = self._loop.time()
            self._connection.ping()
            answered = await self._hear(self._take_pong, "answer to a ping")
            self.lost_pings += not answered

    def _take_pong(self, event: Event) -> bool:
        if isinstance(event, PongReceived):
            self.facts.round_trips.append(event.rtt)
            return True
        return False

    def told(self, count: int, picture: int) -> str:
        """What was sent, in words."""
        large = self.facts.large_size
        first = f"a picture of {picture:,} bytes; " if picture else ""
        last = f", and one of {large:,} bytes" if large and not self.facts.trouble else ""
        small = self.facts.messages_acked - bool(last)
        return f"{first}{small} of {count} acknowledged{last}"

    # Hearing

    async def _hear(self, wanted: Callable[[Event], bool], what: str) -> bool:
        """Whether an event that is ``wanted`` comes in time; trouble is kept in the facts."""
        patience = self._target.patience
        try:
            async with asyncio.timeout(patience):
                while not self.facts.trouble:
                    event = await self._connection.next_event()
                    if wanted(event):
                        self._in_vain = 0
                        return True
                    self._note_trouble(event)
        except TimeoutError:
            self._in_vain += 1
            self.facts.lost += 1
            allowed = self._quality.max_loss is not None and self.facts.doing in ("message", "ping")
            if not allowed or self._in_vain >= IN_VAIN_AT_MOST:
                self._give_up(f"no {what} within {patience:g} s")
        return False

    def _give_up(self, detail: str) -> None:
        if self.facts.doing == "hello" and self._said_instead:
            detail = f"{detail}; it says instead: {self._said_instead}"
            self._trouble(TalkTrouble.WORDS, detail)
        else:
            self._trouble(TalkTrouble.UNANSWERED, detail)

    def _note_trouble(self, event: Event) -> None:
        if isinstance(event, Closed):
            self._note_end(event)
        elif isinstance(event, BadMessageReceived):
            said = event.text[:KEPT].decode("utf-8", "replace")
            self._trouble(TalkTrouble.WORDS, f"{event.error.cause}; it says: {said}")
        elif isinstance(event, MessageReceived) and isinstance(event.message, ErrorMessage):
            told = event.message
            self.facts.error_code, self.facts.hint = self._kept(told.code), self._kept(told.hint)
            self._trouble(TalkTrouble.ERROR, f"it says {told.code}: {told.message}")
        elif isinstance(event, MessageReceived) and isinstance(event.message, Unknown):
            self._said_instead = self._said_instead or event.text[:KEPT].decode("utf-8", "replace")
        elif isinstance(event, BinaryReceived):
            self._said_instead = self._said_instead or f"{len(event.data):,} bytes of binary"
        elif isinstance(event, TimeUp):
            self._trouble(TalkTrouble.CUT, "the connection ended")

    def _note_end(self, closed: Closed) -> None:
        reason = f"it gives the reason: {closed.reason}" if closed.reason else ""
        if closed.by is ClosedBy.HERE and closed.code in _GIVEN_UP:
            self._trouble(TalkTrouble.UNANSWERED, f"given up here: {closed.reason}")
        elif closed.by is ClosedBy.HERE:
            self._trouble(TalkTrouble.WORDS, f"its frames break RFC 6455: {closed.reason}")
        elif closed.by is ClosedBy.PATH or closed.code == CloseCode.ABNORMAL:
            self._trouble(TalkTrouble.CUT, "the connection ended without a close frame")
        else:
            self.facts.close_code = closed.code
            self._trouble(TalkTrouble.CLOSED, reason)

    def _trouble(self, kind: TalkTrouble, detail: str) -> None:
        heard = self._connection.session.last_received
        self.facts.trouble, self.facts.detail = kind, self._kept(detail)
        self.facts.silent_for = self._loop.time() - max(heard, self._last_sent)
        self.finish()

    def _kept(self, text: str) -> str:
        """Text of the other end as it may stand in the facts."""
        return printable(without_tokens(without_token(text, self._secret)))

    def _flush_time(self) -> float:
        self._last_sent = self._loop.time()
        return self._last_sent
