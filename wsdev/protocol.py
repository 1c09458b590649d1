"""The vocabulary of the wire: device classes, paths, messages.

Both ends use this module, so there is one definition of each word.
docs/protocol.md tells the same to firmware authors.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

import msgspec

# Paths of the device plane.
TOKENS_PATH: Final = "/public/tokens"
HEALTH_PATH: Final = "/healthz"
PAGE_PATH: Final = "/"
DEVICE_PATH_PREFIX: Final = "/ws/"

DEFAULT_PORT: Final = 3000
DEFAULT_CONSOLE_PORT: Final = 3001
SUBPROTOCOL: Final = "wsdev.v1"

PING_AFTER: Final = 20.0
"""Seconds of silence before a ping: below the 30 s read timeout of the MicroPython servo firmware
and the 60 s idle cut of nginx and AWS ALB."""

DEAD_AFTER: Final = 45.0
"""Seconds without a byte after which a link is dead: two missed pings and some Wi-Fi trouble."""

SHORTEST_PING_INTERVAL: Final = 5.0
"""Seconds; a device that asks for shorter ones gets these. Each ping costs a wake-up of its radio,
and no idle cut that is known from the field comes sooner than 30 s."""

MAX_TEXT_TO_DEVICE: Final = 4096
"""Bytes of one text frame to a device."""

HARD_MAX_TEXT_TO_DEVICE: Final = 15 * 1024
"""Links2004's arduinoWebSockets closes with 1009 above this (WEBSOCKETS_MAX_DATA_SIZE)."""

MAX_ID_LENGTH: Final = 128


# Device classes


@dataclass(frozen=True, slots=True)
class DeviceClass:
    """What the gateway knows about a kind of device.

    Attributes:
        name: The word in ``/ws/<name>`` and in the class's tokens.
        max_message: Largest message in bytes that a device of the class may send.
        ping_payload: Bytes in a keepalive ping, 0 or 4. One MicroPython client hangs on empty
            pings, another hands non-empty ones to the application.
        reset_on_drain: Cut with a TCP reset instead of a close frame when the gateway drains;
            esp_websocket_client takes a clean close as final and never comes back.
    """

    name: str
    max_message: int = 64 * 1024
    ping_payload: int = 4
    reset_on_drain: bool = False

    @property
    def path(self) -> str:
        """The path at which devices of this class connect."""
        return DEVICE_PATH_PREFIX + self.name


PICO: Final = DeviceClass("pico")
# A UXGA picture is at most 384 KB: the driver caps JPEG at width * height / 5.
ESP32CAM: Final = DeviceClass("esp32cam", max_message=512 * 1024, reset_on_drain=True)
BUILTIN_CLASSES: Final = {cls.name: cls for cls in (PICO, ESP32CAM)}

_CLASS_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,23}")


def is_class_name(name: str) -> bool:
    """Whether ``name`` can be a device class; 24 characters keep tokens under 64."""
    return _CLASS_NAME.fullmatch(name) is not None


def class_of(name: str) -> DeviceClass:
    """The built-in class of that name, else one as they are by default.

    Raises:
        ValueError: no class can have that name.
    """
    if not is_class_name(name):
        raise ValueError("a class is 1 to 24 of a-z, 0-9, _ and -, for example sensor")
    return BUILTIN_CLASSES.get(name) or DeviceClass(name)


_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")
MAX_NAME_LENGTH: Final = 64


def clean_name(name: str) -> str:
    """The name as the gateway uses it: ``[A-Za-z0-9._-]{0,64}``; empty if nothing is left.

    Also empty for ``.`` and ``..``, which each client folds in a URL (RFC 3986 section 5.2.4): the
    console could not be asked for such a device.
    """
    cleaned = _NOT_IN_NAMES.sub("-", name).strip("-")[:MAX_NAME_LENGTH].rstrip("-")
    return "" if cleaned in (".", "..") else cleaned


# Messages, device to gateway. Unknown fields are ignored (msgspec's default).

BoundedText = Annotated[str, msgspec.Meta(max_length=MAX_ID_LENGTH)]

Timestamp = BoundedText | int | float | None
"""Bounded, since it comes back in an answer that has to fit a device's buffer."""

MessageId = BoundedText | int


class Connect(msgspec.Struct, tag_field="type", tag="connect"):
    """The hello.

    Attributes:
        device: The name that the device wants.
        ping_interval: Seconds of silence after which it wants to be pinged. Anything else than a
            number counts as left out: firmware may mean something of its own by this name.
    """

    device: str = ""
    version: Any = None
    ping_interval: Any = msgspec.UNSET


class Connection(Connect, tag="connection"):
    """The same from the camera firmware with gilmaimon's library."""


class Telemetry(msgspec.Struct, tag_field="type", tag="telemetry"):
    """Measured values. Acknowledged when it has an ``id``."""

    data: dict[str, Any]
    id: MessageId | None = None
    seq: int | None = None
    uptime_ms: int | float | None = None


class LegacyTelemetry(msgspec.Struct, tag_field="type", tag="sensor_data"):
    """The older names of telemetry, whose fields are free."""

    data: Any = None
    id: MessageId | None = None


class Heartbeat(LegacyTelemetry, tag="heartbeat"):
    """Older telemetry under the name ``heartbeat``."""


class Status(LegacyTelemetry, tag="status"):
    """Older telemetry under the name ``status``."""


class Test(LegacyTelemetry, tag="test"):
    """Older telemetry under the name ``test``."""

    __test__ = False  # pytest: not a test class


class Log(msgspec.Struct, tag_field="type", tag="log"):
    """A line of the device's own log. Acknowledged when it has an ``id``."""

    message: str
    level: str = "info"
    id: MessageId | None = None


class CommandAck(msgspec.Struct, tag_field="type", tag="ack", omit_defaults=True):
    """What became of a command; without ``id`` the oldest open one of ``command_type`` is meant."""

    status: Literal["success", "error", "ignored"]
    id: BoundedText | None = None
    command_type: str | None = None
    detail: Any = None


class Ping(msgspec.Struct, tag_field="type", tag="ping", omit_defaults=True):
    """An application ping; ``timestamp`` comes back as it was."""

    timestamp: Timestamp = None


class Frame(msgspec.Struct, tag_field="type", tag="frame", omit_defaults=True):
    """Describes the binary message that follows."""

    size: int | None = None
    width: int | None = None
    height: int | None = None
    timestamp: Any = None
    fps: float | None = None


# Messages, gateway to device.


class ConnectionAck(msgspec.Struct, tag_field="type", tag="connection_ack"):
    """Answers ``connect``. ``server_time`` in Unix seconds, since devices have no clock."""

    device: str
    session: str
    server_time: float
    ping_interval: float
    max_message_bytes: int
    status: str = "connected"


class Ack(msgspec.Struct, tag_field="type", tag="ack"):
    """The message with this ``id`` is kept."""

    id: MessageId


class Pong(msgspec.Struct, tag_field="type", tag="pong", omit_defaults=True):
    """Answers ``ping``."""

    timestamp: Timestamp = None
    server_time: float | None = None


class ErrorMessage(msgspec.Struct, tag_field="type", tag="error"):
    """Something was wrong with what the device sent; the connection stays."""

    code: str
    message: str
    hint: str = ""


class Command(msgspec.Struct, tag_field="type", tag="command", omit_defaults=True):
    """An operator's command in the gateway's own form."""

    id: str
    name: str = ""
    args: Any = None


class Unknown(msgspec.Struct):
    """A message of a type that this version does not know, kept whole."""

    type: str
    body: dict[str, Any]


DeviceMessage = (
    Connect | Connection | Telemetry | LegacyTelemetry | Heartbeat | Status | Test
    | Log | CommandAck | Ping | Pong | Frame | Unknown
)  # fmt: skip
GatewayMessage = ConnectionAck | Ack | Pong | Ping | ErrorMessage | Command | Unknown


# Pictures

JPEG_START: Final = b"\xff\xd8"
JPEG_END: Final = b"\xff\xd9"


def is_whole_jpeg(data: bytes) -> bool:
    """Whether both JPEG markers are there (ITU T.81 B.1.1.3, SOI and EOI).

    Some camera drivers pad with zeros after the end marker; those are passed over.
    """
    if not data.startswith(JPEG_START):
        return False
    return data.endswith(JPEG_END) or data.rstrip(b"\0").endswith(JPEG_END)
