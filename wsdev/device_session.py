"""The device's end of a conversation: the upgrade request, hello, answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.http11 import Response
from websockets.typing import Origin, Subprotocol
from websockets.uri import parse_uri

from wsdev.device_profile import PLAIN, DeviceProfile
from wsdev.events import Event, Opened, UpgradeFailed, UpgradeRefused
from wsdev.protocol import (
    BadMessage,
    CommandAck,
    Connect,
    DeviceClass,
    DeviceMessage,
    GatewayMessage,
    Ping,
    Pong,
    decode_from_gateway,
)
from wsdev.sanitize import printable
from wsdev.session import WIRE_LOGGER, Session, SessionPolicy, State


class DeviceSession(Session):
    """One gateway as a device sees it.

    Args:
        url: ``ws://`` or ``wss://`` with the path of the device class.
        headers: Extra request headers, ``Authorization`` among them.
        profile: Whose habits it has.
    """

    __slots__ = ("_profile", "device_class")

    _ws: ClientProtocol

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
        self._profile = profile
        uri = parse_uri(url)
        upgrade = profile.upgrade
        self._ws = ClientProtocol(
            uri,
            origin=Origin(upgrade.origin.replace("$host", f"{uri.host}:{uri.port}")) or None,
            subprotocols=[Subprotocol(name) for name in upgrade.subprotocols] or None,
            extensions=[ClientPerMessageDeflateFactory()] if policy.compression else None,
            max_size=profile.frames.largest_inbound or device_class.max_message,
            logger=WIRE_LOGGER,
        )
        request = self._ws.connect()
        if not upgrade.port_in_host:
            del request.headers["Host"]
            request.headers["Host"] = f"[{uri.host}]" if ":" in uri.host else uri.host
        for name, value in headers:
            request.headers[name] = value
        self._ws.send_request(request)
        self._collect(self._ws)

    # The upgrade

    def _receive_handshake(self, data: bytes, now: float) -> list[Event]:
        self._ws.receive_data(data)
        return self._upgraded(now)

    def receive_eof(self, now: float) -> list[Event]:
        """The peer half-closed; an HTTP answer without a length ends here."""
        if self.state is State.HANDSHAKE:
            self._ws.receive_eof()
            return self._upgraded(now)
        return super().receive_eof(now)

    def _upgraded(self, now: float) -> list[Event]:
        ws = self._ws
        received = ws.events_received()
        failure = ws.handshake_exc
        if failure is not None:
            self._collect(ws)
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
        self._go(State.OPEN)
        self.due = now + min(self.policy.ping_after, self.policy.dead_after)
        events: list[Event] = [Opened()]
        # Frames may follow the 101 in the same segment, and end the conversation with it.
        ws.events = received[1:] + ws.events
        return events + self._receive_frames(b"", now)

    def _handshake_timed_out(self, now: float) -> list[Event]:
        self._start_closing(now)
        timeout = self.policy.limits.handshake_timeout
        return [UpgradeFailed(f"no answer to the upgrade within {timeout:g} s")]

    # The conversation

    def hello(self, name: str, version: str) -> None:
        """Send ``connect``; the gateway answers ``connection_ack``."""
        self.send(Connect(device=name, version=version))

    def send_text(self, text: bytes) -> None:
        """Send UTF-8 text, in fragments if the profile has it so; nothing happens unless open."""
        if not self._send_fragments(text, is_text=True):
            super().send_text(text)

    def send_binary(self, data: bytes) -> None:
        """Send binary data, in fragments if the profile has it so; nothing unless open."""
        if not self._send_fragments(data, is_text=False):
            super().send_binary(data)

    def _send_fragments(self, data: bytes, *, is_text: bool) -> bool:
        """Send a message as several frames (RFC 6455 section 5.4); False if one is enough."""
        most = self._profile.frames.fragment_above
        if not most or len(data) <= most:
            return False
        if ws := self._open_ws():
            begin = ws.send_text if is_text else ws.send_binary
            begin(data[:most], fin=False)
            for start in range(most, len(data), most):
                ws.send_continuation(data[start : start + most], fin=start + most >= len(data))
            self.messages_sent += 1
            self._collect(ws)
        return True

    def acknowledge(
        self, *, command_id: str | None, command_type: str | None, detail: Any = None
    ) -> None:
        """Tell the gateway that a command was carried out."""
        self.send(CommandAck("success", id=command_id, command_type=command_type, detail=detail))

    def _decode(self, text: bytes) -> DeviceMessage | GatewayMessage:
        return decode_from_gateway(text)

    def _answer(self, message: DeviceMessage | GatewayMessage) -> None:
        if isinstance(message, Ping):
            self.send(Pong(message.timestamp))

    def _answer_bad(self, error: BadMessage) -> None:
        """A device has no word for that; the owner sees the event."""
