"""What a session tells its owner. Values, in the order they happened."""

from __future__ import annotations

import enum

import msgspec

from wsdev.codec import BadMessage
from wsdev.protocol import DeviceMessage, Frame, GatewayMessage
from wsdev.request_head import Request


class ClosedBy(enum.StrEnum):
    """Who ended the conversation."""

    PEER = "peer"
    HERE = "here"
    PATH = "path"


class RequestReceived(msgspec.Struct, frozen=True):
    """Gateway: a whole request head; answer with ``accept`` or ``answer``."""

    request: Request


class HeadRejected(msgspec.Struct, frozen=True):
    """Gateway: no usable request head; ``code`` is a key of codes.REFUSALS, to be answered."""

    code: str


class Opened(msgspec.Struct, frozen=True):
    """Device: the gateway let the device in (101)."""


class UpgradeRefused(msgspec.Struct, frozen=True):
    """Device: an HTTP answer instead of the upgrade."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class UpgradeFailed(msgspec.Struct, frozen=True):
    """Device: what came back is no valid HTTP answer or no valid upgrade."""

    cause: str


class MessageReceived(msgspec.Struct, frozen=True):
    """A text message; ``text`` is its payload in UTF-8."""

    message: DeviceMessage | GatewayMessage
    text: bytes


class BadMessageReceived(msgspec.Struct, frozen=True):
    """A text message against the contract. The gateway's session has answered it already."""

    error: BadMessage
    text: bytes


class BinaryReceived(msgspec.Struct, frozen=True):
    """A binary message and the ``frame`` message that announced it, if any."""

    data: bytes
    frame: Frame | None


class PongReceived(msgspec.Struct, frozen=True):
    """The answer to the last ping; ``rtt`` in seconds."""

    rtt: float


class Closed(msgspec.Struct, frozen=True):
    """The conversation is over; told once. The transport may linger to get the last bytes out."""

    code: int
    reason: str
    by: ClosedBy


class TimeUp(msgspec.Struct, frozen=True):
    """Nothing more is expected on this transport: drop it."""


Event = (
    RequestReceived
    | HeadRejected
    | Opened
    | UpgradeRefused
    | UpgradeFailed
    | MessageReceived
    | BadMessageReceived
    | BinaryReceived
    | PongReceived
    | Closed
    | TimeUp
)
