"""The codec that wsdev uses too, for the bare peers of those who look for speed."""

from __future__ import annotations

import msgspec


class _Message(msgspec.Struct):
    id: str | None = None


class _Ack(msgspec.Struct, tag_field="type", tag="ack"):
    id: str


class _PictureAck(msgspec.Struct, tag_field="type", tag="ack"):
    size: int


_decoder = msgspec.json.Decoder(_Message)
_encoder = msgspec.json.Encoder()


def answer_to_text(text: str | bytes) -> bytes | None:
    """The ack of a message; None for one without ``id``."""
    message = _decoder.decode(text)
    return None if message.id is None else _encoder.encode(_Ack(message.id))


def answer_to_picture(size: int) -> bytes:
    """The ack of a picture of so many bytes."""
    return _encoder.encode(_PictureAck(size))
