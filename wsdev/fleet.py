"""A fleet of virtual devices in one process: thousands of links, no task for any of them."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import random
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from wsdev.client import DEFAULT_PATIENCE
from wsdev.device_profile import PLAIN, DeviceProfile
from wsdev.device_session import DeviceSession
from wsdev.failures import path_error
from wsdev.fleet_device import FleetDevice
from wsdev.fleet_figures import FleetFigures
from wsdev.limits import Limits
from wsdev.link import read_buffer
from wsdev.paced_transport import PacedLink, PacedTransport
from wsdev.protocol import DeviceClass, clean_name
from wsdev.resolver import AddressInfo
from wsdev.resolver import resolve as look_up
from wsdev.session import SessionPolicy
from wsdev.simulator import VirtualDevice
from wsdev.tcp import connect_tcp
from wsdev.urls import GatewayAddress
from wsdev.weather import FAIR, Forecast, Trouble, Weather

TURN: Final = 0.005
"""Seconds between two looks at the agenda: what a thousand devices do comes in few turns."""

SWEEP: Final = 0.25
"""Seconds between two looks at all links."""

AT_THE_DOOR: Final = 256
"""Connections on their way in at one time; a gateway's backlog holds some more."""

BELIEVED_FOR: Final = 60.0
"""Seconds that a link which vanished stays open: longer than a gateway believes in it."""

PICTURES: Final = 8
"""Different pictures of all cameras: to make one takes longer than to send it."""


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a fleet: devices of one class with the same habits.

    Attributes:
        token: Of the class; None for none, on a gateway that trusts this host.
    """

    device_class: DeviceClass
    count: int
    profile: DeviceProfile = PLAIN
    token: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """A run.

    Attributes:
        ramp: Devices that start in a second.
        interval: Seconds between two messages of a device; 0: the next follows an ack at once.
        duration: Seconds after the last device has started; None: until cancelled.
        payload: Bytes of filler in telemetry, and of a picture; 0: as they are.
        patience: Seconds for one step of a connection, and for the last acks.
        seed: Two runs with the same seed have the same weather.
        sources: Local addresses to connect from, in turn; none: the system chooses.
    """

    address: GatewayAddress
    shares: Sequence[Share]
    name: str
    ramp: float = 500.0
    interval: float = 1.0
    duration: float | None = None
    payload: int = 0
    patience: float = DEFAULT_PATIENCE
    weather: Weather = FAIR
    seed: int = 0
    tls: ssl.SSLContext | None = None
    sources: Sequence[str] = ()


class Fleet:
    """The devices of a plan, and what they meet.

    Args:
        infos: Where to connect to, as ``getaddrinfo`` gives it; the first is taken.
    """

    def __init__(self, plan: Plan, infos: Sequence[AddressInfo]) -> None:
        self.plan = plan
        self.address = plan.address
        self.weather = plan.weather
        self.interval = plan.interval
        self.figures = FleetFigures(count=sum(share.count for share in plan.shares))
        self.is_ending = False
        self._loop = asyncio.get_running_loop()
        # The event loop's own clock stands still for a turn, and shows whole milliseconds.
        self.now = time.monotonic
        self._family, *_, self._socket_address = infos[0]
        self._buffer = read_buffer()
        self._door = asyncio.Semaphore(AT_THE_DOOR)
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._coming: dict[FleetDevice, asyncio.Task[None]] = {}
        self._left_behind: set[PacedLink] = set()
        self._pictures: list[bytes] = []
        self._devices: list[FleetDevice] = []
        self._present: set[FleetDevice] = set()
        self._is_over = asyncio.Event()
        self._all_heard = asyncio.Event()
        self._all_gone = asyncio.Event()
        self._next_sweep = 0.0
        self._timer: asyncio.TimerHandle | None = None

    # The run

    async def run(self) -> None:
        """Let them come, live, and leave; leaves nothing open, also when cancelled."""
        self._devices = self._make_devices()
        if any(device.virtual.sends_pictures for device in self._devices):
            self._pictures = await asyncio.to_thread(_make_pictures, self.plan.payload)
        self._present = set(self._devices)
        started = self.now()
        for position, device in enumerate(self._devices):
            self.at(started + position / self.plan.ramp, device.start)
        storms = Forecast(self.plan.seed, "fleet")
        for trouble in self.plan.weather.trouble:
            if trouble.share:
                self._await_storm(trouble, storms)
        self._tick()
        try:
            await self._live(len(self._devices) / self.plan.ramp)
        finally:
            await self._leave()

    def finish(self) -> None:
        """End the run as if its time were over."""
        self._is_over.set()

    async def _live(self, ramp: float) -> None:
        duration = self.plan.duration
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if duration is None else ramp + duration):
                await self._is_over.wait()
        self.figures.stayed = self.figures.connected
        self.is_ending = True
        for device in self._devices:
            device.clear_up()
        # What was said shall be heard: those who wait for an ack may still get it.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.plan.patience):
                await self._all_heard.wait()

    async def _leave(self) -> None:
        self.is_ending = True
        for device in list(self._present):
            device.leave()
        for task in list(self._coming.values()):
            task.cancel()
        if self._present:
            try:
                async with asyncio.timeout(self.plan.patience):
                    await self._all_gone.wait()
            except TimeoutError:
                for device in list(self._present):
                    if device.link is not None:
                        device.link.abort()
        for link in self._left_behind:
            link.abort(reset=True)
        if self._timer is not None:
            self._timer.cancel()

    def _make_devices(self) -> list[FleetDevice]:
        """All of them, the classes mixed as evenly as can be."""
        made: list[tuple[float, FleetDevice]] = []
        number = 0
        now = self.now()
        for share in self.plan.shares:
            policy = _policy(share.profile)
            for index in range(share.count):
                number += 1
                forecast = Forecast(self.plan.seed, str(number))
                virtual = VirtualDevice(
                    share.device_class,
                    clean_name(f"{self.plan.name or share.device_class.name}-{number:05d}"),
                    random.random,  # not the seed's: two runs are never taken for one
                    now,
                    profile=share.profile,
                    padding=self.plan.payload,
                    clock_error=forecast.clock_error(self.plan.weather),
                )
                device = FleetDevice(
                    self, virtual, token=share.token, policy=policy,
                    forecast=forecast, number=number,
                )  # fmt: skip
                made.append(((index + 0.5) / share.count, device))
        return [device for _, device in sorted(made, key=lambda pair: pair[0])]

    # What the devices ask for

    def at(self, when: float, call: Callable[[], None]) -> None:
        """Call at that time, or within a turn after it."""
        heapq.heappush(self._agenda, (when, next(self._numbers), call))

    def spawn(self, device: FleetDevice) -> None:
        """Open a connection for the device's link."""
        task = self._loop.create_task(self._connect(device))
        self._coming[device] = task
        task.add_done_callback(lambda _: self._coming.pop(device, None))

    def link_for(self, device: FleetDevice, session: DeviceSession) -> PacedLink:
        """A link with the device's habits, in this weather."""
        profile, weather = device.virtual.profile, self.plan.weather

        def pace(transport: asyncio.Transport) -> PacedTransport:
            return PacedTransport(
                transport,
                piece=weather.piece,
                pause=weather.pause,
                lines=profile.upgrade.lines,
                apart=profile.frames.pieces,
            )

        return PacedLink(session, self.now, self._buffer, pace)

    def picture(self, device: FleetDevice) -> bytes:
        """What the device's camera sees."""
        return self._pictures[(device.number + int(self.now())) % len(self._pictures)]

    def leave_behind(self, link: PacedLink) -> None:
        """Keep a link that the gateway shall believe in, for a while."""
        link.attach(_Nobody(lambda: self._left_behind.discard(link)))
        link.hold_all()
        self._left_behind.add(link)
        self.at(self.now() + BELIEVED_FOR, lambda: link.abort(reset=True))

    def gone(self, device: FleetDevice) -> None:
        """The device has left for good."""
        self._present.discard(device)
        if not self._present:
            self._all_gone.set()

    # Inside

    async def _connect(self, device: FleetDevice) -> None:
        link = device.link
        assert link is not None
        try:
            async with self._door:
                async with asyncio.timeout(self.plan.patience):
                    sock = await connect_tcp(
                        self._family, self._socket_address, self._source(device.number)
                    )
                    await self._loop.create_connection(
                        lambda: link,
                        sock=sock,
                        ssl=self.plan.tls,
                        server_hostname=self.address.host if self.plan.tls else None,
                    )
        except OSError as exc:
            device.missed(exc)
        except asyncio.CancelledError:
            device.link_lost()
            raise

    def _source(self, number: int) -> str | None:
        sources = self.plan.sources
        return sources[number % len(sources)] if sources else None

    def _await_storm(self, trouble: Trouble, forecast: Forecast) -> None:
        def come_true() -> None:
            if self.is_ending:
                return
            for device in self._devices:
                if device.is_hit(trouble):
                    device.meet(trouble)
            self._await_storm(trouble, forecast)

        self.at(self.now() + forecast.wait(trouble), come_true)

    def _tick(self) -> None:
        """One turn: what is due on the agenda, and now and then all links."""
        now = self.now()
        agenda = self._agenda
        while agenda and agenda[0][0] <= now:
            heapq.heappop(agenda)[2]()
        if self.is_ending and not any(device.waits_for_ack for device in self._present):
            self._all_heard.set()
        if now >= self._next_sweep:
            self._next_sweep = now + SWEEP
            for device in self._devices:
                link = device.link
                if link is not None and link.is_due(now):
                    link.sweep(now)
        self._timer = self._loop.call_later(TURN, self._tick)


class _Nobody:
    """The owner of a link that vanished: nobody acts on what the gateway says."""

    def __init__(self, at_end: Callable[[], object]) -> None:
        self._at_end = at_end

    def link_made(self) -> None:
        """It was made long ago."""

    def handle(self, events: Sequence[object]) -> None:
        """Nobody hears it."""

    def link_lost(self) -> None:
        """The gateway does not believe in it any more."""
        self._at_end()


def _policy(profile: DeviceProfile) -> SessionPolicy:
    keepalive = profile.keepalive
    return SessionPolicy(
        Limits(handshake_timeout=profile.upgrade.patience),
        ping_after=keepalive.ping_after or float("inf"),
        dead_after=keepalive.dead_after or float("inf"),
    )


def _make_pictures(size: int) -> list[bytes]:
    from wsdev.pictures import make_picture, make_picture_of_size  # noqa: PLC0415  (loads Pillow)

    numbers = range(0, PICTURES * 40, 40)
    if not size:
        return [make_picture(number, "fleet") for number in numbers]
    return [make_picture_of_size(number, "fleet", size) for number in numbers]


async def resolve(address: GatewayAddress) -> list[AddressInfo]:
    """The gateway's addresses, IPv4 first: on loopback they give more local ports.

    Raises:
        PathError: the name has none, or no DNS server answers in time.
    """
    try:
        infos = await look_up(address.host, address.port, DEFAULT_PATIENCE)
    except TimeoutError:
        silent = socket.gaierror(socket.EAI_AGAIN, "no answer in time")
        raise path_error(silent, address) from None
    except (OSError, UnicodeError) as exc:
        raise path_error(exc, address) from None
    return sorted(infos, key=lambda info: info[0] is not socket.AF_INET)
