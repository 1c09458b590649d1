"""What the journal records: the words of its rows, without I/O.

Times are milliseconds of Unix time. The order of things is told by their sequence numbers, never
by a clock, which may jump.
"""

from __future__ import annotations

from typing import Final

import msgspec

from wsdev.token_format import without_tokens

MAX_TEXT: Final = 512
"""Characters that are kept of a header, a path or a reason."""

FROM_DEVICE: Final = {
    "connect": 1,
    "connection": 2,
    "telemetry": 3,
    "sensor_data": 4,
    "heartbeat": 5,
    "status": 6,
    "test": 7,
    "log": 8,
    "ack": 9,
    "ping": 10,
    "pong": 11,
    "frame": 12,
    "picture": 13,
    "binary": 14,
    "other": 15,
    "bad": 16,
}
"""Kinds of messages from a device, by name, with their numbers in the file; never renumber.

``picture`` is a whole JPEG and ``binary`` all other binary, ``other`` a type that the contract does
not know, ``bad`` a text against the contract.
"""

TO_DEVICE: Final = {"connection_ack": 65, "command": 66, "error": 67}
"""Kinds of messages to a device. ``ack`` and ``pong`` are implied by what they answer."""

FIRST_TO_DEVICE: Final = 64
"""Kinds above this number go to the device."""

KIND_NAMES: Final = {number: name for name, number in (FROM_DEVICE | TO_DEVICE).items()}


class SessionStart(msgspec.Struct, frozen=True):
    """A device is let in.

    Attributes:
        session: The public id, also told to the device.
        address: Where it comes from; ``via`` the proxy's address, if there is one between.
        token: The token's id, None for a local device that needed none.
        has_name: Whether ``device`` is a name that it keeps. Else it is made up for the session,
            until the device says its own.
    """

    session: str
    device: str
    device_class: str
    address: str
    via: str | None = None
    user_agent: str | None = None
    token: str | None = None
    has_name: bool = True


class SessionEnd(msgspec.Struct, frozen=True):
    """A device is gone.

    Attributes:
        closed_by: ``peer``, ``here``, ``path``, or ``lost`` with the server.
        seconds: How long it was there, by a clock that does not jump.
        median_rtt: Seconds; of its latest pongs.
    """

    code: int
    reason: str
    closed_by: str
    seconds: float
    messages_in: int
    bytes_in: int
    messages_out: int
    bytes_out: int
    median_rtt: float | None


class Refusal(msgspec.Struct, frozen=True):
    """A request that was refused, or never came whole.

    Attributes:
        code: A key of codes.REFUSALS; or of codes.BREAKS, with 0 for the status.
    """

    request_id: str
    address: str
    code: str
    status: int
    via: str | None = None
    path: str | None = None
    token_tail: str | None = None
    user_agent: str | None = None


def storable(text: str, limit: int = MAX_TEXT) -> str:
    """A peer's short text as the journal keeps it: cut, without tokens, and valid Unicode.

    Headers are decoded with surrogateescape; a lone surrogate cannot be encoded.
    """
    if not text.isascii():
        text = text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    # Cut last: what is left of a token that was cut might not look like one any more.
    return without_tokens(text)[:limit]


ACKNOWLEDGED: Final = frozenset(
    FROM_DEVICE[name] for name in ("telemetry", "sensor_data", "heartbeat", "status", "test", "log")
)
"""Kinds that are acknowledged once they are on disk, if they have an ``id``."""

PICTURE: Final = FROM_DEVICE["picture"]
BINARY: Final = frozenset((PICTURE, FROM_DEVICE["binary"]))


class PicturesKept(msgspec.Struct, frozen=True):
    """Which camera pictures are kept as files; none by default.

    Attributes:
        last: So many of each camera, the latest; 0 for no such bound.
        every: At most one of each camera in so many seconds; 0 for all.
    """

    last: int = 0
    every: float = 0.0

    def __bool__(self) -> bool:
        return bool(self.last or self.every)
