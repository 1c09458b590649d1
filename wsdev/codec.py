"""The codec of the wire's messages: JSON text in, typed messages out, and back. Pure."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from wsdev.errors import ProtocolViolation
from wsdev.json_bounds import Excess, find_excess
from wsdev.protocol import (
    Ack,
    Command,
    CommandAck,
    Connect,
    Connection,
    ConnectionAck,
    DeviceMessage,
    ErrorMessage,
    Frame,
    GatewayMessage,
    Heartbeat,
    LegacyTelemetry,
    Log,
    Ping,
    Pong,
    Status,
    Telemetry,
    Test,
    Unknown,
)
from wsdev.sanitize import printable


class BadMessage(ProtocolViolation):
    """A text message that is not what the contract says; ``code`` tells which way."""

    code = "bad_message"


_from_device: msgspec.json.Decoder[Any] = msgspec.json.Decoder(
    Connect | Connection | Telemetry | LegacyTelemetry | Heartbeat | Status | Test
    | Log | CommandAck | Ping | Pong | Frame
)  # fmt: skip
_from_gateway: msgspec.json.Decoder[Any] = msgspec.json.Decoder(
    ConnectionAck | Ack | Pong | Ping | ErrorMessage | Command
)
_DEVICE_TYPES: Final = frozenset({
    "connect", "connection", "telemetry", "sensor_data", "heartbeat", "status", "test",
    "log", "ack", "ping", "pong", "frame",
})  # fmt: skip
_GATEWAY_TYPES: Final = frozenset({"connection_ack", "ack", "pong", "ping", "error", "command"})
_anything: msgspec.json.Decoder[Any] = msgspec.json.Decoder()
_encoder = msgspec.json.Encoder()


def _out_of_bounds(excess: Excess) -> BadMessage:
    """The error for what a decoder or a database may choke on."""
    return BadMessage(excess.cause, excess.hint, code=excess.code)


def decode_from_device(text: bytes) -> DeviceMessage:
    """The message that a device sent.

    Args:
        text: A text frame's payload, already known to be UTF-8.

    Raises:
        BadMessage: not JSON, not an object, no ``type``, wrong fields, too deep, too large.
    """
    if (excess := find_excess(text)) is not None:
        raise _out_of_bounds(excess)
    try:
        return _from_device.decode(text)  # type: ignore[no-any-return]
    except (msgspec.DecodeError, RecursionError) as exc:
        unknown = _untagged(text, exc, _DEVICE_TYPES)
        if not unknown.type:
            raise BadMessage(
                "the message has no `type`",
                'add a "type" field, for example "telemetry"',
                code="no_type",
            ) from None
        return unknown


def decode_from_gateway(text: bytes) -> GatewayMessage:
    """The message that the gateway sent; an operator's own object may lack a ``type``.

    Raises:
        BadMessage: not JSON, not an object, wrong fields, too deep, too large.
    """
    if (excess := find_excess(text)) is not None:
        raise _out_of_bounds(excess)
    try:
        return _from_gateway.decode(text)  # type: ignore[no-any-return]
    except (msgspec.DecodeError, RecursionError) as exc:
        return _untagged(text, exc, _GATEWAY_TYPES)


def _untagged(text: bytes, exc: Exception, known: frozenset[str]) -> Unknown:
    """The message that the typed decoder did not take, if it is of an unknown type."""
    try:
        body = _anything.decode(text)
    except (msgspec.DecodeError, RecursionError) as bad:
        raise BadMessage(
            f"not JSON: {printable(str(bad))}", "send one JSON object per message", code="bad_json"
        ) from None
    if not isinstance(body, dict):
        raise BadMessage(
            "the message is not a JSON object",
            "send one JSON object per message",
            code="not_object",
        )
    kind = body.get("type", "")
    if not isinstance(kind, str):
        raise BadMessage("`type` is not a string", "make `type` a string", code="no_type")
    if kind in known:
        raise BadMessage(
            f"wrong fields in `{kind}`: {printable(str(exc))}",
            "see docs/protocol.md for the fields of each message",
            code="wrong_fields",
        )
    return Unknown(kind, body)


def encode(message: msgspec.Struct | dict[str, Any]) -> bytes:
    """JSON text of a message, compact, UTF-8; an :class:`Unknown` gives its body."""
    if type(message) is Unknown:  # msgspec's classes are slow at isinstance
        return _encoder.encode(message.body)
    return _encoder.encode(message)


def message_type(message: DeviceMessage | GatewayMessage) -> str:
    """The ``type`` on the wire, as received for unknown ones."""
    if isinstance(message, Unknown):
        return message.type
    return str(message.__struct_config__.tag)
