"""How the libraries and firmware of real devices behave on the wire, read from data files.

Each profile is a TOML file in ``wsdev/profiles``, or one of the user's own; its fields are those of
:class:`DeviceProfile`. docs/fleets.md tells what they mean.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from wsdev.data_files import DataFolder, Seconds, parse
from wsdev.errors import UsageError
from wsdev.protocol import is_class_name


class Upgrade(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the request of the upgrade looks like.

    Attributes:
        origin: The Origin header; ``$host`` is the gateway's host and port. Empty: none.
        subprotocols: What is offered; the gateway need not take any.
        port_in_host: Whether the Host header names the port.
        patience: Seconds for the answer.
        authorization_again: Each reconnect sends the Authorization header once more.
        lines: Each line of the head leaves in a TCP segment of its own.
    """

    origin: str = ""
    subprotocols: tuple[str, ...] = ()
    port_in_host: bool = True
    patience: Seconds = Seconds(10)
    authorization_again: bool = False
    lines: bool = False


class Frames(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What frames are taken and made.

    Attributes:
        largest_inbound: Bytes of a message; a larger one is answered with close code 1009. 0 leaves
            it to the device class.
        fragment_above: Bytes of one frame; a longer message leaves in several. 0: never.
        pieces: Head and payload of a frame leave in TCP segments of their own.
    """

    largest_inbound: int = 0
    fragment_above: int = 0
    pieces: bool = False


class Reconnect(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What follows when a link ends.

    Attributes:
        after: Seconds until the next try.
        backoff: Whether the wait doubles, up to a minute, with jitter.
        clean_close_is_final: A close frame of the gateway's ends it for good.
    """

    after: Seconds = Seconds(1)
    backoff: bool = True
    clean_close_is_final: bool = False


class Keepalive(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a dead link is noticed.

    Attributes:
        ping_after: Seconds of silence after which the device pings; 0: never.
        dead_after: Seconds of silence after which it gives the link up; 0: never.
    """

    ping_after: Seconds = Seconds(20)
    dead_after: Seconds = Seconds(45)


class Saying(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something that the device says again and again.

    Attributes:
        message: The JSON object, with the placeholders of :data:`PLACEHOLDERS`.
        every: Seconds; 0 is the rate that the run asks for.
        with_picture: A JPEG follows as a binary message.
    """

    message: dict[str, Any]
    every: Seconds = Seconds(0)
    with_picture: bool = False


PLACEHOLDERS: Final = ("$name", "$id", "$seq", "$uptime_ms", "$uptime_s", "$size")
"""Values in a message that are filled in when it is sent."""


class DeviceProfile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A kind of device.

    Attributes:
        summary: What it is, in one line.
        teaches: What a gateway that serves it has to tolerate.
        device_class: The class that it connects as, unless another is asked for.
        hello: The first message; empty: wsdev's own.
        says: Empty: telemetry with an id, or pictures, at the rate that the run asks for.
        acks_by_id: Whether a command's acknowledgement names its id, or only its type.
    """

    summary: str
    teaches: str = ""
    device_class: str = ""
    upgrade: Upgrade = Upgrade()
    frames: Frames = Frames()
    reconnect: Reconnect = Reconnect()
    keepalive: Keepalive = Keepalive()
    hello: dict[str, Any] = {}
    says: tuple[Saying, ...] = ()
    acks_by_id: bool = True


PLAIN: Final = DeviceProfile("wsdev's own virtual device", "The contract, kept to the letter.")


def parse_profile(text: str, where: str) -> DeviceProfile:
    """The profile in a TOML text; ``where`` is its file, for errors.

    Raises:
        UsageError: no TOML, an unknown field, or a value that cannot be meant.
    """
    profile = parse(text, DeviceProfile, where)
    if profile.device_class and not is_class_name(profile.device_class):
        raise UsageError(
            f"{where}: {profile.device_class!r} is no device class", "use pico or esp32cam"
        )
    return profile


PROFILES: Final = DataFolder("profile", "profiles", parse_profile)
