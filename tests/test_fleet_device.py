"""One device of a fleet, at a gateway that is only told of: what it says, and when it is back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest
from msgspec.structs import replace
from session_pair import FakeClock

from wsdev.codec import BadMessage
from wsdev.codes import CloseCode
from wsdev.data_files import Seconds
from wsdev.device_profile import PLAIN, PROFILES, DeviceProfile, Reconnect, Saying, Upgrade
from wsdev.device_session import DeviceSession
from wsdev.events import (
    BadMessageReceived,
    Closed,
    ClosedBy,
    Event,
    MessageReceived,
    Opened,
    UpgradeRefused,
)
from wsdev.fleet_device import MOST_UNACKED, FleetDevice
from wsdev.fleet_figures import FleetFigures
from wsdev.paced_transport import PacedLink
from wsdev.protocol import PICO, Ack, Command, ConnectionAck, ErrorMessage
from wsdev.session import SessionPolicy
from wsdev.simulator import VirtualDevice
from wsdev.urls import GatewayAddress
from wsdev.weather import FAIR, Forecast, Trouble, Weather, What

pytestmark = pytest.mark.from_source  # its links are of a class of the test's

WELCOME = ConnectionAck("pico", "s", 0.0, 20.0, 65536)


class StubLink:
    """A link that carries nothing; the test is the gateway."""

    def __init__(self, session: DeviceSession) -> None:
        self.session = session
        self.request = b"".join(session.data_to_send()).decode()
        self.is_held = self.is_gone = False
        self.owner: Any = None

    def attach(self, owner: Any) -> None:
        self.owner = owner

    def flush(self) -> None:
        """Nothing leaves."""

    def hold_all(self) -> None:
        self.is_held = True

    def release_all(self) -> None:
        self.is_held = False

    def abort(self) -> None:
        self.is_gone = True
        self.owner.link_lost()

    def cut(self, code: int, reason: str, *, reset: bool) -> None:
        assert reset
        self.owner.handle([Closed(code, reason, ClosedBy.HERE)])
        self.abort()


class StubFleet:
    """What a device asks of its fleet; time goes on when the test says so."""

    def __init__(self, interval: float = 1.0, weather: Weather = FAIR) -> None:
        self.address = GatewayAddress("gateway", 3000)
        self.figures = FleetFigures(count=1)
        self.weather = weather
        self.interval = interval
        self.is_ending = False
        self.clock = FakeClock(100.0)
        self.now: Callable[[], float] = self.clock
        self.agenda: list[tuple[float, Callable[[], None]]] = []
        self.links: list[StubLink] = []
        self.left_behind: list[object] = []
        self.departed: list[object] = []

    def at(self, when: float, call: Callable[[], None]) -> None:
        self.agenda.append((when, call))

    def spawn(self, device: FleetDevice) -> None:
        """The test goes on from here."""

    def link_for(self, device: FleetDevice, session: DeviceSession) -> PacedLink:
        self.links.append(StubLink(session))
        return cast(PacedLink, self.links[-1])

    def picture(self, device: FleetDevice) -> bytes:
        return b"\xff\xd8\xff\xd9"

    def leave_behind(self, link: PacedLink) -> None:
        self.left_behind.append(link)

    def gone(self, device: FleetDevice) -> None:
        self.departed.append(device)

    def pass_time(self, seconds: float) -> None:
        """Do what is due until then."""
        end = self.clock.now + seconds
        while due := sorted((e for e in self.agenda if e[0] <= end), key=lambda e: e[0]):
            self.agenda.remove(due[0])
            self.clock.now = max(self.clock.now, due[0][0])
            due[0][1]()
        self.clock.now = end


def device_of(fleet: StubFleet, profile: DeviceProfile = PLAIN) -> FleetDevice:
    forecast = Forecast(1, "1")
    virtual = VirtualDevice(PICO, "pico", forecast.jitter, fleet.now(), profile=profile)
    device = FleetDevice(
        fleet, virtual, token="wsd_pico_x", policy=SessionPolicy(), forecast=forecast, number=1
    )
    device.start()
    return device


def tell(device: FleetDevice, *events: Event) -> None:
    device.handle(events)


def hear(device: FleetDevice, *messages: Any) -> None:
    tell(device, *(MessageReceived(message, b"") for message in messages))


def let_in(device: FleetDevice) -> None:
    tell(device, Opened())
    hear(device, WELCOME)


def unacked(device: FleetDevice) -> Sequence[Any]:
    return list(device._unacked)


def test_it_says_something_each_interval_and_counts_the_acks() -> None:
    fleet = StubFleet(interval=2.0)
    device = device_of(fleet)
    fleet.pass_time(10)
    assert fleet.figures.sent == 0  # nobody has let it in
    let_in(device)
    fleet.pass_time(10)
    assert fleet.figures.sent == len(unacked(device)) == 5
    hear(device, *map(Ack, unacked(device)), Ack("unknown"))
    assert (fleet.figures.acked, fleet.figures.unacked) == (5, 0)
    assert fleet.figures.round_trips.largest <= 10


def test_it_keeps_no_more_than_so_much_unacked_and_sends_it_again() -> None:
    fleet = StubFleet()
    device = device_of(fleet)
    let_in(device)
    fleet.pass_time(MOST_UNACKED + 20)
    kept = unacked(device)
    assert len(kept) == MOST_UNACKED
    assert fleet.figures.held_back == 20
    device.link_lost()
    fleet.pass_time(2)
    let_in(device)
    assert fleet.figures.resent == MOST_UNACKED
    assert unacked(device) == kept
    assert fleet.figures.reconnects == 1


def test_stubborn_library_comes_back_at_once_and_ours_after_a_minute() -> None:
    refused = UpgradeRefused(401, [], b"")
    ours, stubborn = StubFleet(), StubFleet()
    tell(device_of(ours), refused)
    tell(device_of(stubborn, PROFILES.find("arduino-links2004")), refused)
    for fleet in (ours, stubborn):
        assert fleet.figures.errors == 1
        fleet.pass_time(0.5)
    assert (len(ours.links), len(stubborn.links)) == (1, 2)
    ours.pass_time(59)
    assert len(ours.links) == 1
    ours.pass_time(1)
    assert len(ours.links) == 2


def test_wait_doubles_until_a_link_was_stable() -> None:
    fleet = StubFleet()
    device = device_of(fleet)
    waits = []
    for stable in (False, False, False, True):
        let_in(device)
        fleet.pass_time(31 if stable else 1)
        device.link_lost()
        back = max(when for when, _ in fleet.agenda)
        waits.append(back - fleet.now())
        fleet.pass_time(back - fleet.now())
    assert [round(wait / 2**n) for n, wait in enumerate(waits[:3])] == pytest.approx([1] * 3, abs=1)
    assert waits[2] > 2
    assert waits[3] <= 1.5


def test_gilmaimon_repeats_its_authorization_up_to_a_bound() -> None:
    profile = DeviceProfile(
        "x", "x.", upgrade=Upgrade(authorization_again=True), reconnect=Reconnect(Seconds(1), False)
    )
    fleet = StubFleet()
    device = device_of(fleet, profile)
    for _ in range(20):
        let_in(device)
        device.link_lost()
        fleet.pass_time(1)
    counts = [link.request.count("Authorization: Bearer") for link in fleet.links]
    assert counts[:3] == [1, 2, 3]
    assert max(counts) == 8


def test_code_to_stay_away_is_obeyed() -> None:
    fleet = StubFleet()
    device = device_of(fleet)
    let_in(device)
    tell(device, Closed(CloseCode.TOKEN_REVOKED, "", ClosedBy.PEER))
    device.link_lost()
    assert fleet.departed == [device]
    fleet.pass_time(100)
    assert len(fleet.links) == 1


def test_reboot_forgets_and_leaves_the_link_to_the_gateway() -> None:
    fleet = StubFleet()
    device = device_of(fleet)
    let_in(device)
    fleet.pass_time(5)
    before = unacked(device)
    device.meet(Trouble(What.REBOOT, Seconds(1), (Seconds(3), Seconds(3))))
    assert (fleet.figures.forgotten, fleet.figures.unacked) == (len(before), 0)
    assert fleet.left_behind == [fleet.links[0]]
    assert (device.is_in, fleet.figures.connected, fleet.figures.waiting) == (False, 0, 1)
    fleet.pass_time(3)
    let_in(device)
    fleet.pass_time(5)
    assert not set(unacked(device)) & set(before)


def test_stall_ends_and_half_open_is_noticed_at_last() -> None:
    fleet = StubFleet()
    device = device_of(fleet)
    let_in(device)
    device.meet(Trouble(What.STALL, Seconds(1), (Seconds(2), Seconds(2))))
    held = [fleet.links[0].is_held]
    device.meet(Trouble(What.RESET, Seconds(1)))  # one at a time
    assert dict(fleet.figures.troubles) == {"stall": 1}
    fleet.pass_time(2)
    assert [*held, fleet.links[0].is_held] == [True, False]
    device.meet(Trouble(What.HALF_OPEN, Seconds(1), (Seconds(9), Seconds(9))))
    device.clear_up()
    assert fleet.links[0].is_gone
    assert fleet.figures.errors == 0


def test_link_that_breaks_when_the_run_is_over_is_soon_made_again() -> None:
    fleet = StubFleet()
    device = device_of(fleet, replace(PLAIN, reconnect=Reconnect(Seconds(60), backoff=False)))
    let_in(device)
    fleet.pass_time(5)
    said = unacked(device)
    device.meet(Trouble(What.HALF_OPEN, Seconds(1), (Seconds(9), Seconds(9))))
    fleet.is_ending = True
    device.clear_up()
    assert len(fleet.links) == 1
    fleet.pass_time(0.5)
    let_in(device)
    hear(device, *map(Ack, said))
    device.link_lost()
    assert (fleet.departed, fleet.figures.unacked) == ([device], 0)


def test_what_the_gateway_says_is_counted() -> None:
    fleet = StubFleet()
    device = device_of(fleet)
    let_in(device)
    hear(device, Command("c-1", "blink"), ErrorMessage("bad_json", "not JSON\x1b", "send JSON"))
    tell(device, BadMessageReceived(BadMessage("no", code="no_type"), b""))
    assert fleet.figures.obeyed == 1
    assert {code: cause.times for code, cause in fleet.figures.causes.items()} == {
        "bad_json": 1, "no_type": 1,
    }  # fmt: skip
    assert "\x1b" not in fleet.figures.causes["bad_json"].error.cause


def test_one_after_the_other_goes_on_with_each_ack() -> None:
    fleet = StubFleet(interval=0.0)
    device = device_of(fleet)
    let_in(device)
    for _ in range(5):
        (message_id,) = unacked(device)
        hear(device, Ack(message_id))
    assert fleet.figures.acked == 5
    fleet.is_ending = True
    hear(device, *map(Ack, unacked(device)))
    assert not unacked(device)
    device.link_lost()
    assert fleet.departed == [device]


def test_one_after_the_other_says_the_profiles_words_that_have_no_time() -> None:
    often = Saying({"type": "status", "id": "$id", "data": "often"})
    seldom = Saying({"type": "log", "id": "$id", "message": "seldom"}, every=Seconds(60))
    fleet = StubFleet(interval=0.0)
    device = device_of(fleet, replace(PLAIN, says=(often, seldom)))
    let_in(device)
    fleet.pass_time(61)  # seldom was said once, in between
    first, second = unacked(device)
    hear(device, Ack(second))
    assert unacked(device) == [first]
    hear(device, Ack(first))
    assert [b'"often"' in text for _, text in device._unacked.values()] == [True]
    assert fleet.figures.sent == 3


def test_one_after_the_other_goes_on_when_all_is_acked_that_was_sent_again() -> None:
    fleet = StubFleet(interval=0.0)
    device = device_of(fleet)
    let_in(device)
    (message_id,) = unacked(device)
    device.link_lost()
    fleet.pass_time(2)
    let_in(device)
    assert unacked(device) == [message_id]
    hear(device, Ack(message_id))
    assert len(unacked(device)) == 1


def test_device_between_two_links_leaves_at_once() -> None:
    fleet = StubFleet()
    device = device_of(fleet)
    device.link_lost()
    device.leave()
    assert fleet.departed == [device]
    fleet.pass_time(10)
    assert len(fleet.links) == 1
