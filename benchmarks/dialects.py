"""What devices say to each kind of server, as masked frames that can be made in advance.

All say the same: telemetry of :data:`MESSAGE_BYTES`, with or without an acknowledgement, and
pictures of :data:`PICTURE_BYTES`.
"""

from __future__ import annotations

import random
import struct
from functools import cache
from typing import Final

import msgspec
from websockets.frames import Frame, Opcode

MESSAGE_BYTES: Final = 118
UNACKED_BYTES: Final = 100
"""The same message without its ``id``."""

PICTURE_BYTES: Final = 20 * 1024

LOGIN: Final = ("device", "a-password-of-some-letters")
"""User and password for a broker, in the place of the gateway's token."""


def text_frame(message: object) -> bytes:
    """A masked frame, as a client must send it (RFC 6455 section 5.3)."""
    return Frame(Opcode.TEXT, msgspec.json.encode(message)).serialize(mask=True)


def binary_frame(data: bytes) -> bytes:
    """The same with binary in it."""
    return Frame(Opcode.BINARY, data).serialize(mask=True)


def whole_messages(data: bytes) -> tuple[list[bytes], bytes]:
    """The messages in a server's frames, each whole and unmasked, and the bytes behind them."""
    messages = []
    while len(data) >= 2:
        start, size = 2, data[1]
        if size == 126:
            start, size = 4, int.from_bytes(data[2:4])
        elif size > 126:
            start, size = 10, int.from_bytes(data[2:10])
        if len(data) < start + size:
            break
        messages.append(data[start : start + size])
        data = data[start + size :]
    return messages, data


def telemetry(number: int | None) -> dict[str, object]:
    """A message with an id that no other one has; None for one without."""
    return {
        "type": "telemetry",
        **({} if number is None else {"id": f"{number:010d}"}),
        "data": {"temperature": 21.5, "humidity": 40.25, "rssi": -61},
        "uptime_ms": 12345678900,
    }


@cache
def picture() -> bytes:
    """What a gateway takes for a JPEG picture: both markers, and what cannot be compressed."""
    inside = random.Random(PICTURE_BYTES).randbytes(PICTURE_BYTES - 4)
    return b"\xff\xd8" + inside + b"\xff\xd9"


class Dialect:
    """JSON and pictures to a bare server.

    Attributes:
        subprotocol: To ask for in the upgrade; empty for none.
        ack: Is in each acknowledgement, once.
        acks_pictures: Whether a picture is acknowledged too.
    """

    subprotocol = ""
    ack = b'"ack"'
    acks_pictures = True

    def login(self, number: int) -> tuple[bytes, bytes]:
        """What device ``number`` says after the upgrade, and what is in the answer; or nothing."""
        return b"", b""

    def hello(self, number: int) -> tuple[bytes, bytes]:
        """The same, for what it says before it falls silent."""
        return self.acked(number), self.ack

    def acked(self, number: int) -> bytes:
        """Telemetry that is acknowledged."""
        return text_frame(telemetry(number))

    def unacked(self) -> bytes:
        """Telemetry that is not."""
        return text_frame(telemetry(None))

    def picture(self, number: int) -> bytes:
        """A picture."""
        return binary_frame(picture())


class Gateway(Dialect):
    """wsdev's own: docs/protocol.md. It acknowledges no pictures, and wants them announced."""

    acks_pictures = False

    def hello(self, number: int) -> tuple[bytes, bytes]:
        """The device tells its name."""
        name = {"type": "connect", "device": device_name(number)}
        return text_frame(name), b'"connection_ack"'

    def picture(self, number: int) -> bytes:
        """An announcement, then the picture."""
        return text_frame({"type": "frame", "size": PICTURE_BYTES}) + super().picture(number)


def device_name(number: int) -> str:
    """The name of the device with that number."""
    return f"device-{number}"


class Mqtt(Dialect):
    """MQTT 3.1.1, one packet in each binary frame. Acknowledged means QoS 1, else QoS 0."""

    subprotocol = "mqtt"
    # A frame of four bytes that holds a PUBACK of two. No packet id that stands before or in it
    # can complete a second one.
    ack = b"\x82\x04\x40\x02"

    def login(self, number: int) -> tuple[bytes, bytes]:
        """CONNECT with user and password, a clean session and no keepalive (section 3.1)."""
        flags = 0b1100_0010
        head = _string(b"MQTT") + struct.pack("!BBH", 4, flags, 0)
        texts = (device_name(number), *LOGIN)
        accepted = b"\x20\x02\x00\x00"
        return _packet(0x10, head + b"".join(_string(text.encode()) for text in texts)), accepted

    def hello(self, number: int) -> tuple[bytes, bytes]:
        """PINGREQ, answered with PINGRESP: it has said its name already."""
        return _packet(0xC0, b""), b"\xd0\x00"

    def acked(self, number: int) -> bytes:
        """PUBLISH at QoS 1, answered with PUBACK (section 3.3)."""
        return _publish(msgspec.json.encode(telemetry(number)), number)

    def unacked(self) -> bytes:
        """PUBLISH at QoS 0."""
        return _packet(0x30, _TELEMETRY + msgspec.json.encode(telemetry(None)))

    def picture(self, number: int) -> bytes:
        """PUBLISH at QoS 1 too."""
        return _publish(picture(), number)


def _string(text: bytes) -> bytes:
    return struct.pack("!H", len(text)) + text


_TELEMETRY: Final = _string(b"devices/telemetry")


def _publish(payload: bytes, number: int) -> bytes:
    packet_id = struct.pack("!H", number % 0xFFFF + 1)  # 0 is not allowed
    return _packet(0x32, _TELEMETRY + packet_id + payload)


def _packet(kind: int, content: bytes) -> bytes:
    """A control packet: kind and flags, the length in groups of seven bits, the content."""
    length, left = b"", len(content)
    while True:
        left, group = left >> 7, left & 0x7F
        length += bytes([group | 0x80 if left else group])
        if not left:
            return binary_frame(bytes([kind]) + length + content)
