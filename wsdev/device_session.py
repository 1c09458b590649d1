"""The device's end of a conversation: the upgrade request, hello, answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from msgspec import UNSET, UnsetType
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Opcode
from websockets.http11 import Response
from websockets.protocol import CLIENT
from websockets.typing import Origin, Subprotocol
from websockets.uri import parse_uri

from wsdev.codec import BadMessage, decode_from_gateway
from wsdev.device_profile import PLAIN, DeviceProfile
from wsdev.events import Event, Opened, UpgradeFailed, UpgradeRefused
from wsdev.protocol import CommandAck, Connect, DeviceClass, GatewayMessage, Ping, Pong
from wsdev.sanitize import printable
from wsdev.session import Session, SessionPolicy, State
from wsdev.wire import WIRE_LOGGER, Wire

MAX_HEARD: Final = 8 * 1024
"""Bytes kept of an answer to the upgrade: the head of any usual one, and a refusal whole."""


class DeviceSession(Session):
    """One gateway as a device sees it.

    Args:
        url: ``ws://`` or ``wss://`` with the path of the device class.
        headers: Extra request headers, ``Authorization`` among them.
        profile: Whose habits it has.

    Attributes:
        heard: The start of what came instead of a valid upgrade; empty once there was one.
    """

    __slots__ = ("_fragment_above", "_upgrade", "device_class", "heard")

    def __init__(
        self,
        policy: SessionPolicy,
        url: str,
        device_class: DeviceClass,
        headers: Sequence[tuple[str, str]],
        now: float,
        *,
        profile: DeviceProfile = PLAIN,
    ) -> None:
        super().__init__(policy, now)
        self.device_class = device_class
        self.heard = b""
        self._fragment_above = profile.frames.fragment_above
        uri = parse_uri(url)
        habits = profile.upgrade
        self._upgrade: ClientProtocol | None = ClientProtocol(
            uri,
            origin=Origin(habits.origin.replace("$host", f"{uri.host}:{uri.port}")) or None,
            subprotocols=[Subprotocol(name) for name in habits.subprotocols] or None,
            extensions=[ClientPerMessageDeflateFactory()] if policy.compression else None,
            max_size=profile.frames.largest_inbound or device_class.max_message,
            logger=WIRE_LOGGER,
        )
        request = self._upgrade.connect()
        if not habits.port_in_host:
            del request.headers["Host"]
            request.headers["Host"] = f"[{uri.host}]" if ":" in uri.host else uri.host
        for name, value in headers:
            request.headers[name] = value
        self._upgrade.send_request(request)
        self.unsent += self._upgrade.data_to_send()

    # The upgrade

    def _receive_handshake(self, data: bytes, now: float) -> list[Event]:
        assert self._upgrade is not None
        self.heard = (self.heard + data)[:MAX_HEARD]
        self._upgrade.receive_data(data)
        return self._upgraded(self._upgrade, now)

    def receive_eof(self, now: float) -> list[Event]:
        """The peer half-closed; an HTTP answer without a length ends here."""
        if self.state is State.HANDSHAKE:
            assert self._upgrade is not None
            self._upgrade.receive_eof()
            return self._upgraded(self._upgrade, now)
        return super().receive_eof(now)

    def _upgraded(self, ws: ClientProtocol, now: float) -> list[Event]:
        received = ws.events_received()
        failure = ws.handshake_exc
        if failure is not None:
            self.unsent += ws.data_to_send()
            self._start_closing(now)
            if isinstance(failure, InvalidStatus):
                response = failure.response
                return [
                    UpgradeRefused(
                        response.status_code,
                        list(response.headers.raw_items()),
                        bytes(response.body),
                    )
                ]
            root = failure.__cause__ or failure
            return [UpgradeFailed(printable(str(root)))]
        if not received:
            return []
        assert isinstance(received[0], Response)
        # Frames may follow the 101 in the same segment, and end the conversation with it.
        ws.events = received[1:] + ws.events
        self._upgrade, self.heard = None, b""
        assert ws.max_message_size is not None
        wire = Wire(CLIENT, ws.max_message_size, library=ws)
        self._open(wire, now)
        opened: list[Event] = [Opened()]
        return opened + self._take_frames(wire, wire.waiting(), now)

    def _handshake_timed_out(self, now: float) -> list[Event]:
        self._start_closing(now)
        timeout = self.policy.limits.handshake_timeout
        return [UpgradeFailed(f"no answer to the upgrade within {timeout:g} s")]

    # The conversation

    def hello(self, name: str, version: str, *, ping_interval: float | UnsetType = UNSET) -> None:
        """Send ``connect``; the gateway answers ``connection_ack``.

        Args:
            ping_interval: Seconds of silence after which to be pinged, if not the usual.
        """
        self.send(Connect(device=name, version=version, ping_interval=ping_interval))

    def send_text(self, text: bytes) -> None:
        """Send UTF-8 text, in fragments if the profile has it so; nothing happens unless open."""
        if self._fragment_above and len(text) > self._fragment_above:
            self._send_fragments(Opcode.TEXT, text)
        else:
            super().send_text(text)

    def send_binary(self, data: bytes) -> None:
        """Send binary data, in fragments if the profile has it so; nothing unless open."""
        if self._fragment_above and len(data) > self._fragment_above:
            self._send_fragments(Opcode.BINARY, data)
        else:
            super().send_binary(data)

    def _send_fragments(self, opcode: Opcode, data: bytes) -> None:
        if self._may_send:
            self.messages_sent += 1
            self.unsent += self._frames().fragments(opcode, data, self._fragment_above)

    def acknowledge(
        self, *, command_id: str | None, command_type: str | None, detail: Any = None
    ) -> None:
        """Tell the gateway that a command was carried out."""
        self.send(CommandAck("success", id=command_id, command_type=command_type, detail=detail))

    def _decode(self, text: bytes) -> GatewayMessage:
        return decode_from_gateway(text)

    def _answer_ping(self, ping: Ping) -> None:
        self.send(Pong(ping.timestamp))

    def _answer_bad(self, error: BadMessage) -> None:
        """A device has no word for that; the owner sees the event."""
