"""``GET /api/events``: what happens, as server-sent events."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Annotated, Final

import msgspec
from starlette.responses import Response

from wsdev.console.feed import Choice, Viewer, event_text, tell_all
from wsdev.console.inputs import Query
from wsdev.console.journal import Kind
from wsdev.console.operations import Call, Operation
from wsdev.console.problems import NotServed
from wsdev.console.streams import Stream
from wsdev.journal_query import Wanted
from wsdev.journal_reader import JournalReader

HEARTBEAT: Final = 15.0
"""Seconds of silence after which a comment says that the stream is alive; proxies cut at 60."""

LOOK_INTERVAL: Final = 1.0
"""Seconds between two looks whether the viewer may still watch."""

RETRY: Final = b"retry: 2000\n\n"
"""Milliseconds after which a browser comes back."""


class EventChoice(Query, frozen=True, kw_only=True, rename={"device_class": "class"}):
    """Which events are wanted."""

    kind: tuple[Kind, ...] = ()
    device: tuple[str, ...] = ()
    device_class: tuple[str, ...] = ()
    after: Annotated[int, msgspec.Meta(ge=0, le=2**53)] | None = None

    def choice(self) -> Choice:
        """The same for the feed."""
        return Choice(frozenset(self.kind), frozenset(self.device), frozenset(self.device_class))


async def watch(call: Call) -> Response:
    """The stream, from the number in ``Last-Event-ID`` on, or ``after``, or from now."""
    given = call.request.headers.get("last-event-id", "")
    after = int(given) if given.isascii() and given.isdecimal() else call.query.after
    if after is not None and after > 2**53:
        raise NotServed(422, "unfit", "Last-Event-ID is no number of the journal's", "leave it out")
    async with call.plane.feed.followed():
        pass  # so that a journal that cannot be read is told as a problem
    return Stream(_events(call, after), "text/event-stream", {"X-Accel-Buffering": "no"})


async def _events(call: Call, after: int | None) -> AsyncGenerator[bytes, None]:
    plane, choice = call.plane, call.query.choice()
    feed = plane.feed
    async with feed.followed():
        yield RETRY
        if after is not None and after > feed.reached and after > await _newest(call):
            # Another journal: the old one was set aside, or the state folder is a new one.
            after = feed.reached
            yield event_text("reset", "{}", after)
        while after is not None and after < feed.reached and not plane.closing.is_set():
            text, after = await _catch_up(call, choice, after, feed.reached)
            yield text or b": looking\n\n"
        viewer = feed.add(choice, after or 0)
        try:
            async for text in _live(call, viewer):
                yield text
        finally:
            feed.remove(viewer)


async def _live(call: Call, viewer: Viewer) -> AsyncGenerator[bytes, None]:
    silent = 0.0
    while not call.plane.closing.is_set():
        if call.operator is None or not call.plane.gate.still_admits(call.operator):
            yield event_text("logout", "{}")
            return
        text = await viewer.read(LOOK_INTERVAL)
        silent = 0.0 if text else silent + LOOK_INTERVAL
        if text:
            yield text
        elif viewer.is_over:
            yield b": too slow, come back\n\n"
            return
        elif silent >= HEARTBEAT:
            silent = 0.0
            yield b": still here\n\n"


async def _newest(call: Call) -> int:
    """The journal's last number; the feed hears of it a moment later."""

    def read() -> int:
        with JournalReader(call.plane.gateway.folder) as reader:
            return reader.last_sequence()

    return await call.plane.aside(read)


async def _catch_up(call: Call, choice: Choice, after: int, last: int) -> tuple[bytes, int]:
    """A page of what was missed, and the number up to which it was looked at."""

    def read() -> tuple[bytes, int]:
        with JournalReader(call.plane.gateway.folder) as reader:
            for page in reader.entries(Wanted(), after + 1, last):
                told = tell_all(page.entries)
                return b"".join(one.text for one in told if choice.takes(one)), page.reached
        return b"", last

    return await call.plane.aside(read)


OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/api/events",
        handler=watch,
        summary="What happens, as server-sent events; goes on from Last-Event-ID.",
        query=EventChoice,
        media="text/event-stream",
        lasts=True,
    ),
)
