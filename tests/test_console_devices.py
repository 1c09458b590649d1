from __future__ import annotations

import asyncio
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from console_harness import GUARD, running_console
from starlette.requests import Request
from test_console_gate import problem
from test_hub import Port

from wsdev.codes import CloseCode
from wsdev.console.away import KNOWN_FOR
from wsdev.console.devices import (
    MOST_ROUND_TRIPS,
    TURN,
    DeviceChoice,
    DeviceList,
    list_devices,
)
from wsdev.console.operations import Call
from wsdev.hub import Member, Traffic


async def test_connected_device_is_shown_with_its_link(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console:
        token = console.gateway.token("pico", name="kitchen")
        async with console.gateway.device(token=token) as device:
            await device.hello("kitchen", version="1.2\x1b[31m")
            await device.telemetry(1)
            await console.recorded()
            (listed,) = (await console.client.get("/api/devices")).json()["devices"]
            shown = (await console.client.get("/api/devices/kitchen")).json()
            assert {**shown, "proof_age": 0, "last_proof": 0, "links": 0} == {
                **listed, "proof_age": 0, "last_proof": 0, "links": 0,
            }  # fmt: skip
            assert (shown["state"], shown["class"], shown["address"]) == (
                "online", "pico", "127.0.0.1",
            )  # fmt: skip
            assert (shown["token_kind"], shown["version"]) == ("device", "1.2\x1b[31m")
            assert 0 <= shown["proof_age"] < 20
            assert shown["traffic"]["messages_in"] == 2
            (link,) = shown["links"]
            assert (link["session"], link["ended"], link["traffic"]) == (
                shown["session"], None, None,
            )  # fmt: skip
            assert link["version"] == shown["version"]


async def test_device_that_is_away_is_known_from_the_journal(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console:
        async with console.gateway.device() as device:
            await device.hello("kitchen", version="1.2")
            await device.telemetry(1)
        await console.gateway.log.wait_for("disconnected")
        await console.recorded()
        shown = (await console.client.get("/api/devices/kitchen")).json()
        assert (shown["state"], shown["session"], shown["token_kind"]) == ("offline", None, "class")
        assert (shown["version"], shown["round_trips"]) == ("1.2", [])
        (link,) = shown["links"]
        assert link["ended"] == shown["last_proof"]
        assert (link["cause"], link["traffic"]["messages_in"]) == ("cut", 2)
        listed = (await console.client.get("/api/devices")).json()
        assert [(d["name"], d["state"]) for d in listed["devices"]] == [("kitchen", "offline")]
        assert (listed["online"], listed["offline"]) == (0, 1)


async def test_devices_are_chosen_by_class_and_state(tmp_path: Path) -> None:
    async with (
        running_console(tmp_path) as console,
        console.gateway.device(name="kitchen"),
        console.gateway.device("esp32cam", name="hall"),
    ):
        async with console.gateway.device(name="gone") as gone:
            await gone.telemetry(1)
        await console.gateway.log.wait_for("disconnected")
        await console.recorded()
        console.gateway.clock.advance(KNOWN_FOR + 1)

        async def names(**query: str) -> list[str]:
            answer = await console.client.get("/api/devices", params=query)
            return [device["name"] for device in answer.json()["devices"]]

        assert await names() == ["gone", "hall", "kitchen"]
        assert await names(state="online") == ["hall", "kitchen"]
        assert await names(state="offline") == ["gone"]
        assert await names(**{"class": "esp32cam"}) == ["hall"]
        answer = await console.client.get("/api/devices", params={"state": "asleep"})
        problem(answer, 422, "unfit")
        problem(await console.client.get("/api/devices?clas=pico"), 422, "unfit")


async def test_unknown_device_is_not_found(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console:
        problem(await console.client.get("/api/devices/nobody"), 404, "unknown_device")
        answer = await console.client.post("/api/devices/nobody/disconnect")
        problem(answer, 404, "offline")


async def test_device_is_sent_away_with_a_reason(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console:
        async with console.gateway.device(name="kitchen") as device:
            answer = await console.client.post(
                "/api/devices/kitchen/disconnect", json={"reason": "new firmware"}
            )
            assert answer.json()["device"] == "kitchen"
            assert await device.closed() == (CloseCode.GOING_AWAY, "new firmware")
        async with console.gateway.device(name="kitchen") as device:
            await console.client.post("/api/devices/kitchen/disconnect")
            assert (await device.closed())[1] == "disconnected by the operator"


class ManyPort(Port):
    def last_proof(self) -> float:
        return 0.0

    def traffic(self) -> Traffic:
        return Traffic(1, 2, 3, 4)

    def round_trips(self) -> Sequence[float]:
        return array("f", [number / 1000 for number in range(MOST_ROUND_TRIPS + 4)])


@pytest.mark.parametrize(("round_trips", "fewest"), [(0, 10), (MOST_ROUND_TRIPS, 70)])
async def test_long_list_lets_the_links_have_their_turns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, round_trips: int, fewest: int
) -> None:
    pieces: list[bytes] = []
    encode = msgspec.json.encode

    def encode_piece(thing: object, **more: Any) -> bytes:
        pieces.append(encode(thing, **more))
        return pieces[-1]

    async with running_console(tmp_path) as console:
        hub = console.gateway.hub
        members = [
            Member(f"pico-{number:04}", "pico", f"s-{number}", "192.0.2.1", 0.0, ManyPort())
            for number in range(10 * TURN)
        ]
        for member in members:
            hub.join(member)
        monkeypatch.setattr(msgspec.json, "encode", encode_piece)
        choice = DeviceChoice(state="online", round_trips=round_trips)
        asked = Call(console.plane, Request({"type": "http"}), None, choice)
        listing = asyncio.create_task(list_devices(asked))
        turns = 0
        while not listing.done():
            await asyncio.sleep(0)
            turns += 1
        assert turns >= fewest
        assert max(map(len, pieces)) < 1024  # all of them at once would take long
        told = msgspec.json.decode(bytes((await listing).body), type=DeviceList)
        assert [device.name for device in told.devices] == [member.name for member in members]
        assert {len(device.round_trips) for device in told.devices} == {round_trips}
        assert (told.online, told.offline) == (len(members), 0)
        for member in members:
            hub.leave(member)


async def test_device_is_pinged_for_who_looks_at_it(tmp_path: Path) -> None:
    async with (
        running_console(tmp_path) as console,
        console.gateway.device(name="kitchen") as device,
    ):
        answer = await console.client.post("/api/devices/kitchen/ping", headers=GUARD)
        assert answer.status_code == 204
        await device.telemetry(1)  # answers the ping that is before the ack
        await device.telemetry(2)
        assert console.gateway.member("kitchen").rtt is not None
        shown = (await console.client.get("/api/devices/kitchen")).json()
        assert shown["round_trips"] == [round(shown["round_trip"], 6)]
        away = await console.client.post("/api/devices/attic/ping", headers=GUARD)
        problem(away, 404, "offline")


async def test_round_trips_are_told_as_far_back_as_is_asked(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console:
        member = Member("kitchen", "pico", "s-1", "192.0.2.1", 0.0, ManyPort())
        console.gateway.hub.join(member)

        async def told(path: str) -> Any:
            return (await console.client.get(f"/api/devices{path}")).json()

        assert (await told(""))["devices"][0]["round_trips"] == []
        (listed,) = (await told("?round_trips=3"))["devices"]
        assert listed["round_trips"] == [0.061, 0.062, 0.063]
        assert len((await told("/kitchen"))["round_trips"]) == MOST_ROUND_TRIPS
        problem(await console.client.get("/api/devices?round_trips=61"), 422, "unfit")
        console.gateway.hub.leave(member)
