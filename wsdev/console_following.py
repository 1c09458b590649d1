"""A console's events for as long as they are wanted, over its restarts too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import msgspec

from wsdev.console_answers import TOKEN_HINT, stranger
from wsdev.console_client import ConsoleClient
from wsdev.errors import LinkCut, NotAllowed, PathError, TokenRefused, WsdevError
from wsdev.event_stream import EventStream, ServerEvent, StreamTooLarge

EVENT_KINDS: Final = {
    "connected": "session",
    "disconnected": "session",
    "renamed": "session",
    "message": "message",
    "refusal": "refusal",
    "command": "command",
    "gateway": "gateway",
}
"""The names of events, each with the kind by which a console is asked for it."""

FIRST_WAIT: Final = 0.25
"""Seconds until a console that is gone is asked again; twice as many after each try."""

LONGEST_WAIT: Final = 2.0
"""Unless the console asks for another one."""


NO_EVENTS: Final = "what it sends are no events of a console"


class Told(NamedTuple):
    """An event; ``data`` are the fields of its journal entry."""

    name: str
    data: dict[str, Any]


class Gone(NamedTuple):
    """The console is away; it is asked again until it is back."""

    error: WsdevError


class Back(NamedTuple):
    """The console is there again; what was missed comes next."""


Happening = Told | Gone | Back
Sleep = Callable[[float], Awaitable[None]]


@dataclass(slots=True)
class _Place:
    """Where in the journal one is, and how long to wait before the next try."""

    after: int
    wait: float = FIRST_WAIT
    longest: float = LONGEST_WAIT
    is_gone: bool = False


async def follow(
    client: ConsoleClient,
    names: Sequence[str] = (),
    devices: Sequence[str] = (),
    *,
    after: int | None = None,
    sleep: Sleep = asyncio.sleep,
) -> AsyncGenerator[Happening]:
    """What happens from now on; ends only by an error.

    Args:
        names: Of :data:`EVENT_KINDS`; none means all.
        after: A ``last_sequence`` of the console's that is known, to begin there.

    Raises:
        WsdevError: the console cannot be asked at the start, or lets nobody in any more. From
            ``after`` on, that it is away is no error.
    """
    place = _Place(await client.last_sequence() if after is None else after)
    kinds = sorted({EVENT_KINDS[name] for name in names})
    while True:
        error: WsdevError = LinkCut("the console ended the stream")
        try:
            async with client.events(kinds, devices, place.after) as pieces:
                if place.is_gone:
                    yield Back()
                place.is_gone, place.wait = False, FIRST_WAIT
                stream = EventStream()
                async for piece in pieces:
                    for told in _read(stream, piece, place, client):
                        if not names or told.name in names or told.name not in EVENT_KINDS:
                            yield told
        except (PathError, NotAllowed) as exc:
            error = exc
        if not place.is_gone:
            place.is_gone = True
            yield Gone(error)
        await sleep(place.wait)
        place.wait = min(place.wait * 2, max(place.longest, FIRST_WAIT))


def _read(stream: EventStream, piece: bytes, place: _Place, client: ConsoleClient) -> list[Told]:
    try:
        events = stream.feed(piece)
    except StreamTooLarge:
        raise stranger(client.address, NO_EVENTS) from None
    if any(event.name == "reset" for event in events):
        place.after = 0  # of another journal, which is empty unless the stream says more
    if stream.last_id.isdecimal() and len(stream.last_id) < 19:
        place.after = int(stream.last_id)
    place.longest = stream.retry or place.longest
    return [_told(event, client) for event in events]


def _told(event: ServerEvent, client: ConsoleClient) -> Told:
    if event.name == "logout":
        raise TokenRefused("the console lets this token in no more", TOKEN_HINT)
    try:
        return Told(event.name, msgspec.json.decode(event.data, type=dict[str, Any]))
    except (msgspec.MsgspecError, RecursionError):
        raise stranger(client.address, NO_EVENTS) from None
