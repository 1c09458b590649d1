"""One virtual device of a fleet: comes, speaks, obeys, suffers the weather, comes back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from wsdev.client import STABLE_AFTER, USER_AGENT, WAIT_AFTER_NO, backoff
from wsdev.codec import encode
from wsdev.codes import CloseCode, may_come_back
from wsdev.device_profile import DeviceProfile, Saying
from wsdev.device_session import DeviceSession
from wsdev.errors import ProtocolViolation, WsdevError
from wsdev.events import (
    BadMessageReceived,
    Closed,
    ClosedBy,
    Event,
    MessageReceived,
    Opened,
    UpgradeFailed,
    UpgradeRefused,
)
from wsdev.failures import closed_error, path_error, refusal_error, upgrade_error
from wsdev.fleet_figures import FleetFigures
from wsdev.paced_transport import PacedLink
from wsdev.protocol import Ack, ConnectionAck, ErrorMessage, MessageId
from wsdev.sanitize import printable
from wsdev.session import SessionPolicy
from wsdev.simulator import VirtualDevice
from wsdev.urls import GatewayAddress
from wsdev.weather import Forecast, Trouble, Weather, What

MOST_UNACKED: Final = 64
"""Messages that a device keeps until they are acknowledged; with more it says nothing."""

LAST_WAIT: Final = 0.5
"""Seconds at most for a reconnect when the run is over: there are only acks left to hear."""

TELEMETRY: Final = Saying({})
"""Stands for what a device says that has no words of a profile: telemetry or pictures."""


class Surroundings(Protocol):
    """What a device needs of its fleet."""

    address: GatewayAddress
    figures: FleetFigures
    weather: Weather
    interval: float
    is_ending: bool
    now: Callable[[], float]

    def at(self, when: float, call: Callable[[], None], /) -> None:
        """Call at that time, or soon after."""

    def spawn(self, device: FleetDevice, /) -> None:
        """Open a connection for the device's link; ends in its owner's calls or ``missed``."""

    def link_for(self, device: FleetDevice, session: DeviceSession, /) -> PacedLink:
        """A link with the device's habits."""

    def picture(self, device: FleetDevice, /) -> bytes:
        """What the device's camera sees."""

    def leave_behind(self, link: PacedLink, /) -> None:
        """Keep a link that the gateway shall believe in, for a while."""

    def gone(self, device: FleetDevice, /) -> None:
        """The device has left for good."""


class FleetDevice:
    """A link's owner; a link after the other.

    Attributes:
        link: The present one; None between two.
        is_in: Whether the gateway knows it by name.
    """

    def __init__(
        self,
        fleet: Surroundings,
        virtual: VirtualDevice,
        *,
        token: str | None,
        policy: SessionPolicy,
        forecast: Forecast,
        number: int,
    ) -> None:
        self.virtual = virtual
        self.number = number
        self.link: PacedLink | None = None
        self.is_in = False
        self._fleet = fleet
        self._token = token
        self._policy = policy
        self._forecast = forecast
        self._profile: DeviceProfile = virtual.profile
        self._says = virtual.profile.says or (TELEMETRY,)
        self._says_at_acks = tuple(saying for saying in self._says if not saying.every)
        self._session: DeviceSession | None = None
        self._unacked: dict[MessageId, tuple[float, bytes]] = {}
        self._links = 0
        self._began = 0.0
        self._in_since = 0.0
        self._is_final = self._was_hit = self._is_dead = False
        self._waits = backoff(forecast.jitter)
        self._come_now: Callable[[], None] | None = None
        self._least_wait = 0.0

    @property
    def waits_for_ack(self) -> bool:
        """Whether something it said is not acknowledged yet."""
        return bool(self._unacked)

    @property
    def _is_wanted(self) -> bool:
        """Whether it should come (again)."""
        return not self._is_final and (not self._fleet.is_ending or self.waits_for_ack)

    # Coming and going

    def start(self) -> None:
        """Come for the first time; from now on speak, and be in the weather."""
        self.come()
        for saying in self._says:
            if interval := saying.every or self._fleet.interval:
                self._speak_at(self._fleet.now() + interval * self._forecast.jitter(), saying)
        for trouble in self._fleet.weather.trouble:
            if not trouble.share:
                self._await_trouble(trouble)

    def come(self) -> None:
        """Try to get in, unless the run is over for this device."""
        if not self._is_wanted:
            self._fleet.gone(self)
            return
        self._fleet.figures.connecting += 1
        self._began, self._was_hit = self._fleet.now(), False
        upgrade = self._profile.upgrade
        headers = [("User-Agent", USER_AGENT)]
        if self._token is not None:
            times = 1 + (self._links if upgrade.authorization_again else 0)
            headers += [("Authorization", f"Bearer {self._token}")] * min(times, 8)
        device_class = self.virtual.device_class
        url = self._fleet.address.websocket_url(device_class.name)
        self._session = DeviceSession(
            self._policy, url, device_class, headers, self._began, profile=self._profile
        )
        self.link = self._fleet.link_for(self, self._session)
        self.link.attach(self)
        self._fleet.spawn(self)

    def missed(self, exc: Exception) -> None:
        """No connection came about."""
        self._fleet.figures.failed(path_error(exc, self._fleet.address))
        self.link_lost()

    def leave(self) -> None:
        """Close politely, or be gone at once if there is nothing to close."""
        self._is_final = True
        if self.link is None:
            self._fleet.gone(self)
        elif self.is_in:
            self.link.release_all()
            self.link.close(CloseCode.NORMAL, "done")
        else:
            self.link.abort()

    # A link's owner

    def link_made(self) -> None:
        """The transport is there."""

    def handle(self, events: Sequence[Event]) -> None:
        """Act on what the gateway says."""
        for event in events:
            if type(event) is MessageReceived:
                self._hear(event)
            elif isinstance(event, Opened):
                self._opened()
            elif isinstance(event, Closed):
                self._closed(event)
            elif isinstance(event, UpgradeRefused | UpgradeFailed):
                self._refused(event)
            elif isinstance(event, BadMessageReceived):
                self._fleet.figures.failed(event.error)

    def link_lost(self) -> None:
        """The transport is gone: come back in time."""
        figures = self._fleet.figures
        if self.is_in:
            figures.connected -= 1
            if self._fleet.now() - self._in_since >= STABLE_AFTER:
                self._waits = backoff(self._forecast.jitter)
        elif self.link is not None:
            figures.connecting -= 1
        self._let_go()
        reconnect = self._profile.reconnect
        wait = next(self._waits) * reconnect.after if reconnect.backoff else reconnect.after
        self._come_back_in(max(wait, self._least_wait))

    def _let_go(self) -> None:
        if self._session is not None:
            self._fleet.figures.bytes_in += self._session.bytes_received
            self._fleet.figures.bytes_out += self._session.bytes_sent
        self.link = self._session = None
        self.is_in = False

    def _come_back_in(self, wait: float) -> None:
        if not self._is_wanted:
            self._fleet.gone(self)
            return
        self._fleet.figures.waiting += 1

        def come() -> None:
            if self._come_now is come:
                self._come_now = None
                self._fleet.figures.waiting -= 1
                self.come()

        self._come_now = come
        wait = min(wait, LAST_WAIT) if self._fleet.is_ending else wait
        self._fleet.at(self._fleet.now() + wait, come)

    def _opened(self) -> None:
        figures = self._fleet.figures
        figures.connects.add(self._fleet.now() - self._began)
        figures.opened += 1
        figures.reconnects += self._links > 0
        self._links += 1
        self._least_wait = 0.0
        assert self._session is not None
        self.virtual.hello(self._session, self._fleet.now())

    def _refused(self, event: UpgradeRefused | UpgradeFailed) -> None:
        address = self._fleet.address
        error: WsdevError
        if isinstance(event, UpgradeFailed):
            error = upgrade_error(event.cause, address)
        else:
            error = refusal_error(event.status, event.headers, event.body, address)
            if event.status in {401, 403} and self._profile.reconnect.backoff:
                self._least_wait = WAIT_AFTER_NO
        self._fleet.figures.failed(error)
        if self.link is not None:
            self.link.abort()

    def _closed(self, event: Closed) -> None:
        if self._is_final or self._was_hit:
            return
        clean = event.by is ClosedBy.PEER and self._profile.reconnect.clean_close_is_final
        self._is_final = clean or not may_come_back(event.code)
        self._fleet.figures.failed(closed_error(event))

    # The conversation

    def _hear(self, event: MessageReceived) -> None:
        message = event.message
        figures = self._fleet.figures
        if type(message) is Ack:
            said = self._unacked.pop(message.id, None)
            if said is not None:
                now = self._fleet.now()
                figures.acked += 1
                figures.round_trips.add(now - said[0])
                self._say_next(now)
        elif isinstance(message, ConnectionAck):
            self._welcomed()
        elif isinstance(message, ErrorMessage):
            code, words, hint = map(printable, (message.code, message.message, message.hint))
            figures.failed(ProtocolViolation(f"the gateway answers: {words}", hint, code=code))
        elif self._session is not None:
            now = self._fleet.now()
            figures.obeyed += self.virtual.obey(message, self._session, now) is not None

    def _welcomed(self) -> None:
        figures = self._fleet.figures
        if not self.is_in:
            self.is_in = True
            figures.connecting -= 1
            figures.connected += 1
        now = self._in_since = self._fleet.now()
        assert self._session is not None
        figures.resent += len(self._unacked)
        for message_id, (_, text) in self._unacked.items():
            self._unacked[message_id] = (now, text)
            self._session.send_text(text)
        self._say_next(now)

    def _speak_at(self, when: float, saying: Saying) -> None:
        """Say it at that time, and again after its interval."""

        def speak() -> None:
            if self._is_final or self._fleet.is_ending:
                return
            if self.is_in:
                self._say(saying, self._fleet.now())
                if self.link is not None:
                    self.link.flush()
            # From the time that was meant, or each turn of the agenda would add to the interval.
            interval = saying.every or self._fleet.interval
            self._speak_at(max(when + interval, self._fleet.now()), saying)

        self._fleet.at(when, speak)

    def _say_next(self, now: float) -> None:
        """Without an interval: what has none of its own, once all before is acknowledged."""
        if self._fleet.interval or self._fleet.is_ending or self._unacked:
            return
        for saying in self._says_at_acks:
            self._say(saying, now)

    def _say(self, saying: Saying, now: float) -> None:
        session, figures = self._session, self._fleet.figures
        assert session is not None
        message_id: MessageId | None = None
        if saying.message:
            picture = self._fleet.picture(self) if saying.with_picture else b""
            filled = self.virtual.fill(saying.message, now, len(picture))
            message_id = filled.get("id")
            text = encode(filled)
        elif self.virtual.is_camera:
            picture = self._fleet.picture(self)
            text = encode(self.virtual.announce(picture, now))
        else:
            picture = b""
            measured = self.virtual.measure(now)
            message_id = measured.id
            text = encode(measured)
        if message_id is None:
            figures.unasked += 1
        elif len(self._unacked) >= MOST_UNACKED:
            figures.held_back += 1
            return
        else:
            self._unacked[message_id] = (now, text)
            figures.sent += 1
        session.send_text(text)
        if picture:
            session.send_binary(picture)

    # The weather

    def _await_trouble(self, trouble: Trouble) -> None:
        def come_true() -> None:
            if not self._is_final and not self._fleet.is_ending:
                self.meet(trouble)
                self._await_trouble(trouble)

        self._fleet.at(self._fleet.now() + self._forecast.wait(trouble), come_true)

    def is_hit(self, trouble: Trouble) -> bool:
        """Whether the device is among those that the fleet's trouble hits."""
        return self._forecast.is_hit(trouble)

    def meet(self, trouble: Trouble) -> None:
        """Let it happen, if the device is in and nothing else is happening to it."""
        link = self.link
        if link is None or not self.is_in or self._was_hit:
            return
        lasts = self._forecast.duration(trouble)
        self._fleet.figures.troubles[trouble.what.value] += 1
        self._was_hit = True
        if trouble.what is What.RESET:
            self._least_wait = lasts
            link.cut(CloseCode.ABNORMAL, "", reset=True)
        elif trouble.what in {What.STALL, What.HALF_OPEN}:
            link.hold_all()
            self._is_dead = trouble.what is What.HALF_OPEN
            self._fleet.at(self._fleet.now() + lasts, lambda: self._over(link))
        else:
            self._vanish(link, forgets=trouble.what is What.REBOOT)
            self._come_back_in(lasts)

    def clear_up(self) -> None:
        """The bad weather ends at once, and who waits out a break of it need wait no longer."""
        if self.link is not None:
            self._over(self.link)
        elif self._come_now is not None:
            self._come_now()

    def _over(self, link: PacedLink) -> None:
        if self.link is not link or not self._was_hit:
            return
        if self._is_dead:  # at last it notices
            link.cut(CloseCode.ABNORMAL, "", reset=True)
        else:
            self._was_hit = False
            link.release_all()

    def _vanish(self, link: PacedLink, *, forgets: bool) -> None:
        self._fleet.figures.connected -= 1
        self._fleet.leave_behind(link)
        self._let_go()
        if forgets:
            self._fleet.figures.forgotten += len(self._unacked)
            self._unacked.clear()
            self.virtual.reboot(self._fleet.now())
