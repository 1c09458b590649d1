"""``/api/devices``: who is there, who was, and how well the link works."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from starlette.responses import Response

from wsdev.codes import CloseCode, explain_close
from wsdev.console.cameras import CameraState
from wsdev.console.inputs import Body, Query
from wsdev.console.operations import JSON, Call, Operation, json_answer, no_content
from wsdev.console.plane import Plane
from wsdev.console.problems import NotServed
from wsdev.device_history import RecordedLink, links_of
from wsdev.hub import Member
from wsdev.journal_reader import JournalReader

_Thing = TypeVar("_Thing")

MOST_LINKS: Final = 20
"""Of the history of one device."""

TURN: Final = 100
"""Devices that are described in one go: under a millisecond."""

_TRIPS_OF_A_DEVICE: Final = 10
"""Round trips that cost as much as all else that is told of a device: each is rounded."""

MOST_ROUND_TRIPS: Final = 60
"""Of a device's link, if they are asked for: a line of them on a page."""


class DeviceTraffic(msgspec.Struct, frozen=True):
    """Messages and bytes of one link, from the device and to it."""

    messages_in: int
    bytes_in: int
    messages_out: int
    bytes_out: int


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """A link as the journal has it; what only an end has is null while it goes on.

    Attributes:
        started, ended: Unix seconds.
        cause: How it ended, in one word.
        version: Of the device's firmware, as it said.
    """

    session: str
    address: str
    started: float
    ended: float | None
    seconds: float | None
    close_code: int | None
    cause: str | None
    reason: str | None
    closed_by: str | None
    traffic: DeviceTraffic | None
    median_round_trip: float | None
    user_agent: str | None
    version: str | None


class Device(msgspec.Struct, frozen=True, kw_only=True, rename={"device_class": "class"}):
    """A device as it is now; times are Unix seconds.

    Attributes:
        last_proof: When the last byte came from it. Of one that is away, when its link ended.
        proof_age: Seconds since then.
        round_trip: Seconds, of its last pong.
        round_trips: Of its latest pongs in this link, the oldest first; as many as were asked for.
        version: Of its firmware, as it said; of one that is away, in its last link.
        token_kind: ``class``, ``device``, or ``none`` for one trusted as local.
    """

    name: str
    device_class: str
    state: Literal["online", "offline"]
    address: str
    connected_since: float | None
    last_proof: float | None
    proof_age: float | None
    round_trip: float | None
    round_trips: list[float]
    session: str | None
    version: str | None
    token_kind: Literal["class", "device", "none"]
    traffic: DeviceTraffic | None
    camera: CameraState | None


class DeviceDetails(Device, frozen=True, kw_only=True):
    """A device, its round trips, and its latest links, the newest first."""

    links: list[Link]


class DeviceList(msgspec.Struct, frozen=True):
    """Devices in the order of their names, those that are away too."""

    devices: list[Device]
    online: int
    offline: int


class DeviceChoice(Query, frozen=True, kw_only=True, rename={"device_class": "class"}):
    """Which devices, and how many of each one's latest round trips."""

    device_class: str | None = None
    state: Literal["online", "offline"] | None = None
    round_trips: Annotated[int, msgspec.Meta(ge=0, le=MOST_ROUND_TRIPS)] = 0


class Goodbye(Body, frozen=True, kw_only=True):
    """Why a device is sent away; it is told."""

    reason: Annotated[str, msgspec.Meta(max_length=100)] = "disconnected by the operator"


class Disconnected(msgspec.Struct, frozen=True):
    """A device was sent away; most come back at once."""

    device: str
    session: str


def _token_kind(plane: Plane, token: str | None) -> Any:
    if token is None:
        return "none"
    record = plane.gateway.book.record(token)
    return "class" if record is None or record.name is None else "device"


def online(plane: Plane, member: Member, round_trips: int) -> dict[str, Any]:
    """The fields of a device that is connected, with so many of its latest round trips."""
    gateway = plane.gateway
    age = max(0.0, gateway.clock() - member.port.last_proof())
    return {
        "name": member.name,
        "device_class": member.device_class,
        "state": "online",
        "address": member.address,
        "connected_since": member.since,
        "last_proof": gateway.wall_clock() - age,
        "proof_age": age,
        "round_trip": member.rtt,
        "round_trips": _latest(member, round_trips),
        "session": member.session_id,
        "version": member.version,
        "token_kind": _token_kind(plane, member.token),
        "traffic": DeviceTraffic(*member.port.traffic()),
        "camera": plane.cameras.state(member),
    }


def _latest(member: Member, most: int) -> list[float]:
    if not most:
        return []
    # They are kept with seven digits: more would be made up.
    return [round(trip, 6) for trip in member.port.round_trips()[-most:]]


def offline(plane: Plane, link: RecordedLink) -> dict[str, Any]:
    """The fields of a device that is away."""
    seen = (link.started if link.ended is None else link.ended) / 1000
    return {
        "name": link.device,
        "device_class": link.device_class,
        "state": "offline",
        "address": link.address,
        "connected_since": None,
        "last_proof": seen,
        "proof_age": max(0.0, plane.gateway.wall_clock() - seen),
        "round_trip": None,
        "round_trips": [],
        "session": None,
        "version": link.version,
        "token_kind": _token_kind(plane, link.token),
        "traffic": None,
        "camera": None,
    }


def _link(link: RecordedLink) -> Link:
    traffic = None
    if link.messages_in is not None:
        traffic = DeviceTraffic(
            link.messages_in, link.bytes_in or 0, link.messages_out or 0, link.bytes_out or 0
        )
    lost = link.closed_by == "lost"
    cause = None if link.code is None else explain_close(link.code).word
    return Link(
        session=link.session,
        address=link.address,
        started=link.started / 1000,
        ended=None if link.ended is None else link.ended / 1000,
        seconds=link.seconds,
        close_code=link.code,
        cause="gateway_lost" if lost else cause,
        reason=link.reason,
        closed_by=link.closed_by,
        traffic=traffic,
        median_round_trip=link.median_rtt,
        user_agent=link.user_agent,
        version=link.version,
    )


def find_member(call: Call) -> Member:
    """The connected device that a request names.

    Raises:
        NotServed: 404, it is not connected.
    """
    name = call.path("name")
    member = call.plane.gateway.hub.get(name)
    if member is None:
        raise NotServed(404, "offline", "no device of this name is connected", "see /api/devices")
    return member


def turn_with(round_trips: int) -> int:
    """Devices that are described in one go, each with so many of its round trips."""
    return TURN // (1 + round_trips // _TRIPS_OF_A_DEVICE)


async def _in_turns(things: Sequence[_Thing], turn: int) -> AsyncIterator[_Thing]:
    """One after the other, with a turn for the devices' links after each few."""
    for number, thing in enumerate(things, 1):
        yield thing
        if number % turn == 0:
            await asyncio.sleep(0)


async def list_devices(call: Call) -> Response:
    """All devices that there are or were."""
    plane, choice = call.plane, call.query
    links = [] if choice.state == "online" else await plane.away.links(plane.aside)
    hub, wanted = plane.gateway.hub, choice.device_class
    members = [] if choice.state == "offline" else list(hub)
    here: dict[str, bytes] = {}
    away: dict[str, bytes] = {}
    async for member in _in_turns(members, turn_with(choice.round_trips)):
        if wanted in (None, member.device_class) and hub.get(member.name) is member:
            fields = online(plane, member, choice.round_trips)
            here[member.name] = msgspec.json.encode(Device(**fields))
    async for link in _in_turns(links, TURN):
        if wanted in (None, link.device_class) and hub.get(link.device) is None:
            away[link.device] = msgspec.json.encode(Device(**offline(plane, link)))
    return Response(_list_of(here, away), media_type=JSON)


def _list_of(here: dict[str, bytes], away: dict[str, bytes]) -> bytes:
    """A :class:`DeviceList` of devices that are encoded; who is in both has left meanwhile.

    In one piece it would hold up the links for longer than a turn, in a thread too: msgspec keeps
    Python's lock.
    """
    found = here | away
    devices = b",".join([found[name] for name in sorted(found)])
    online_count = len(found) - len(away)
    return b'{"devices":[%b],"online":%d,"offline":%d}' % (devices, online_count, len(away))


async def show_device(call: Call) -> Response:
    """One device, with its history."""
    plane, name = call.plane, call.path("name")

    def read() -> list[RecordedLink]:
        with JournalReader(plane.gateway.folder) as reader:
            return links_of(reader, name, MOST_LINKS)

    links = await plane.aside(read)
    member = plane.gateway.hub.get(name)
    if member is not None:
        fields = online(plane, member, MOST_ROUND_TRIPS)
    elif last := plane.away.latest(name, links[0] if links else None):
        fields = offline(plane, last)
    else:
        raise NotServed(404, "unknown_device", "no device of this name is known")
    return json_answer(DeviceDetails(**fields, links=[_link(link) for link in links]))


async def ping(call: Call) -> Response:
    """Ask a device for a proof of life; its round trip is told a moment later."""
    find_member(call).port.ask_for_proof()
    return no_content()


async def disconnect(call: Call) -> Response:
    """Close a device's link."""
    member = find_member(call)
    member.port.close(CloseCode.GOING_AWAY, call.body.reason)
    return json_answer(Disconnected(member.name, member.session_id))


OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/api/devices",
        handler=list_devices,
        summary="All devices, those that are away too.",
        query=DeviceChoice,
        answer=DeviceList,
    ),
    Operation(
        method="GET",
        path="/api/devices/{name}",
        handler=show_device,
        summary="One device, with its round trips and its latest links.",
        answer=DeviceDetails,
        problems={404: "no device of this name is known"},
    ),
    Operation(
        method="POST",
        path="/api/devices/{name}/ping",
        handler=ping,
        summary="Ping a device now; one that talks is else not pinged.",
        media=None,
        status=204,
        problems={404: "it is not connected"},
    ),
    Operation(
        method="POST",
        path="/api/devices/{name}/disconnect",
        handler=disconnect,
        summary="Close a device's link; most devices come back at once.",
        body=Goodbye,
        answer=Disconnected,
        problems={404: "it is not connected"},
    ),
)
