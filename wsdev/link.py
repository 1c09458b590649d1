"""The asyncio shell that both ends share: feed bytes to a session, flush what it wants to say.

One protocol object per connection and no task or timer of its own: the owner sweeps.
"""

from __future__ import annotations

import asyncio
import enum
import socket
import struct
from collections.abc import Callable, Sequence
from typing import Final, Protocol, cast

from wsdev.codes import CloseCode
from wsdev.events import Closed, ClosedBy, Event, TimeUp
from wsdev.session import Session, State

READ_SIZE: Final = 16 * 1024
"""Bytes that are read at a time: holds act between two reads, so a peer that packs thousands of
frames into its bytes is stopped after so many."""

MANY_FRAMES: Final = 500
"""In one read; after so many the others have a turn. uvloop would read on until nothing is left."""

WRITE_HIGH_WATER: Final = 64 * 1024
"""Bytes in our write buffer above which the peer counts as not reading."""

_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


class Hold(enum.IntFlag):
    """Why a link does not read; the peer feels it as TCP backpressure."""

    UNREAD = 1  # the peer does not read what we send
    RATE = 2  # its message budget is spent
    NAME = 4  # its name is being settled
    JOURNAL = 8  # much of what it said is not recorded yet
    DRAIN = 16  # it is about to be sent away; what it said is recorded first
    TURN = 32  # it said a lot at once; the others come next
    PAUSE = 64  # the owner pretends to be away


class LinkOwner(Protocol):
    """Who is told what happens on a link."""

    def link_made(self) -> None:
        """The transport is there."""

    def handle(self, events: Sequence[Event]) -> None:
        """Act on events; what that makes the session say is flushed afterwards."""

    def link_lost(self) -> None:
        """The transport is gone; the last call."""


def read_buffer() -> memoryview:
    """A buffer to read into, for any number of links of one event loop."""
    return memoryview(bytearray(READ_SIZE))


class Link(asyncio.BufferedProtocol):
    """One connection: a transport on one side, a session on the other.

    Args:
        session: Either end's conversation.
        clock: Monotonic seconds, the loop's.
        buffer: A :func:`read_buffer` to share; one of its own if left out.

    Attributes:
        stalled_since: Since when the peer does not read what we send.
        was_reset: The transport ended in a TCP reset.
    """

    __slots__ = (
        "_backlog",
        "_buffer",
        "_clock",
        "_holds",
        "_owner",
        "_transport",
        "session",
        "stalled_since",
        "was_reset",
    )

    def __init__(
        self, session: Session, clock: Callable[[], float], buffer: memoryview | None = None
    ) -> None:
        self.session = session
        self.stalled_since: float | None = None
        self.was_reset = False
        self._backlog = 0
        self._buffer = read_buffer() if buffer is None else buffer
        self._clock = clock
        self._owner: LinkOwner | None = None
        self._transport: asyncio.Transport | None = None
        self._holds = 0  # a sum of `Hold`: an IntFlag is slow to look at

    def attach(self, owner: LinkOwner) -> None:
        """Name the owner; before the transport is made."""
        self._owner = owner

    # Called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start: the session may have something to say already."""
        # uvloop's transports behave as asyncio.Transport without being subclasses of it.
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=WRITE_HIGH_WATER)
        if self._owner is not None:
            self._owner.link_made()
        self.flush()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where to read to. The loop fills it and reports at once: links can share it."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes from the peer are in the buffer."""
        session = self.session
        before = session.charged
        self.dispatch(session.receive(bytes(self._buffer[:nbytes]), self._clock()))
        if session.charged - before > MANY_FRAMES:
            self.hold(Hold.TURN)
            asyncio.get_running_loop().call_soon(self.release, Hold.TURN)

    def eof_received(self) -> None:
        """The peer half-closed: the conversation ends, the transport closes after the flush."""
        self.dispatch(self.session.receive_eof(self._clock()))

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is gone."""
        self._transport = None
        self.was_reset = isinstance(exc, ConnectionResetError)
        self.dispatch(self.session.lost(self._clock()))
        if self._owner is not None:
            self._owner.link_lost()
            self._owner = None

    def pause_writing(self) -> None:
        """Our buffer is over the mark: stop reading too, so that answers cannot pile up."""
        self.stalled_since = self._clock()
        self._backlog = self._unread()
        self.hold(Hold.UNREAD)

    def resume_writing(self) -> None:
        """The peer reads again."""
        self.stalled_since = None
        self.release(Hold.UNREAD)

    # Called by the owner

    def dispatch(self, events: Sequence[Event]) -> None:
        """Hand events to the owner, none too (frames may have come all the same), then flush."""
        if self._owner is not None:
            self._owner.handle(events)
        if self.session.unsent:
            self.flush()
        if events and type(events[-1]) is TimeUp:
            self.abort()

    def flush(self) -> None:
        """Write what the session wants to say."""
        out = self.session.data_to_send()
        if not out:
            return
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        half_close = out[-1] == b""
        if half_close:
            out.pop()
        if out:
            data = out[0] if len(out) == 1 else b"".join(out)
            if self.stalled_since is not None:
                self._backlog += len(data)
            transport.write(data)
        if half_close:
            # TLS cannot half-close; close() still flushes.
            if transport.can_write_eof():
                transport.write_eof()
            else:
                transport.close()
        elif self.stalled_since is not None:
            limits = self.session.policy.limits
            if self._unread() > limits.queue_bytes:
                self.cut(CloseCode.TOO_SLOW, "unread data over the limit")

    def is_due(self, now: float) -> bool:
        """Whether :meth:`sweep` has anything to do."""
        return now >= self.session.due or self.stalled_since is not None

    def sweep(self, now: float) -> None:
        """Let time pass: the session's deadlines and a reader that stalls."""
        if now >= self.session.due:
            self.dispatch(self.session.tick(now, deaf=bool(self._holds)))
        if self.stalled_since is not None:
            limits = self.session.policy.limits
            if (unread := self._unread()) < self._backlog:
                # Slow, but it reads.
                self._backlog = unread
                self.stalled_since = now
            elif now - self.stalled_since >= limits.stall_timeout:
                # A close frame would queue behind what is not read: the end itself has to tell.
                self.cut(CloseCode.TOO_SLOW, f"nothing read for {limits.stall_timeout:.0f} s")

    def _unread(self) -> int:
        """Bytes that wait in our buffer for the peer to read."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def cut(self, code: int, reason: str, *, reset: bool = False) -> None:
        """End the conversation without a close frame and drop the transport.

        Args:
            code: For our own records; the peer sees only the end.
            reset: Make it a TCP reset for certain.
        """
        was_open = self.session.state is State.OPEN
        self.session.lost(self._clock())
        if was_open and self._owner is not None:
            self._owner.handle([Closed(code, reason, ClosedBy.HERE)])
        self.abort(reset=reset)

    def close(self, code: int, reason: str) -> None:
        """Close the conversation with a code and a reason."""
        self.dispatch(self.session.close(code, reason, self._clock()))

    def hold(self, why: Hold) -> None:
        """Stop reading until each reason is released."""
        if not self._holds and self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()
        self._holds |= int(why)

    def release(self, why: Hold) -> None:
        """Take back one reason; reading goes on when none is left."""
        if not self._holds:
            return  # the usual case, at each ack
        if not self._holds & int(why):
            return
        self._holds &= ~int(why)
        if not self._holds and self._transport is not None and not self._transport.is_closing():
            self.session.listen_again(self._clock())
            self._transport.resume_reading()

    def abort(self, *, reset: bool = False) -> None:
        """Drop the transport; with ``reset`` the peer gets a TCP reset for certain."""
        transport = self._transport
        if transport is None:
            return
        if reset:
            sock = transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        transport.abort()

    def extra_info(self, name: str) -> object:
        """What asyncio knows of the transport (``peername``, ``ssl_object`` …)."""
        return None if self._transport is None else self._transport.get_extra_info(name)
