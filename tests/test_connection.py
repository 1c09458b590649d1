from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
from pathlib import Path
from typing import Any

import pytest
from harness import (
    BINARY,
    CLOSE,
    FAR,
    PATIENCE,
    PING,
    PONG,
    TEXT,
    Device,
    RawClient,
    RunningGateway,
    bearer,
    frame,
    held_journal,
    running_gateway,
    staying,
    text_frame,
    upgrade_head,
)
from journal_bench import bytes_on_disk, rows

from wsdev.codes import CloseCode
from wsdev.hub import Outcome, SentCommand
from wsdev.session_record import UNRECORDED_ROWS

# Hello


async def test_hello_is_welcomed_with_what_the_device_should_know(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway, gateway.device() as device:
        welcome = await device.hello("kitchen", version="1.0.0")
        (line,) = gateway.log.all("hello")
        assert (line["wants"], line["version"]) == ("kitchen", "1.0.0")
        server_time = welcome.pop("server_time")
        assert server_time == pytest.approx(gateway.wall_clock(), abs=5)
        assert welcome == {
            "type": "connection_ack",
            "status": "connected",
            "device": "kitchen",
            "session": line["session"],
            "ping_interval": 20.0,
            "max_message_bytes": 64 * 1024,
        }
        assert gateway.log.all("connected", session=line["session"])


@pytest.mark.parametrize(("wish", "told"), [({"ping_interval": 600}, 600), ({}, 20)])
async def test_welcome_tells_the_ping_interval_that_was_asked_for(
    tmp_path: Path, wish: dict[str, int], told: int
) -> None:
    async with running_gateway(tmp_path) as gateway, gateway.device() as device:
        assert (await device.hello("kitchen", **wish))["ping_interval"] == told


async def test_interval_of_a_devices_own_holds_in_the_gateway(tmp_path: Path) -> None:
    async with (
        running_gateway(tmp_path) as gateway,
        gateway.device(name="usual") as usual,
        gateway.device() as quiet,
    ):
        await quiet.hello("quiet", ping_interval=600)
        gateway.clock.advance(50)
        assert (await usual.closed())[0] == CloseCode.NO_SIGN_OF_LIFE
        await quiet.telemetry(1)


async def test_camera_may_send_larger_messages(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway, gateway.device("esp32cam") as camera:
        assert (await camera.hello("porch"))["max_message_bytes"] == 512 * 1024


@pytest.mark.parametrize(
    ("wanted", "given"),
    [
        ("kitchen", "kitchen"),
        ("my kitchen!", "my-kitchen"),
        ("\x1b[2Jkitchen", "2Jkitchen"),
        ("x" * 100, "x" * 64),
    ],
)
async def test_name_is_cleaned_and_told(wanted: str, given: str, tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway, gateway.device() as device:
        assert (await device.hello(wanted))["device"] == given
        assert gateway.member(given).device_class == "pico"


@pytest.mark.parametrize("wanted", ["", "!!!"])
async def test_device_without_a_name_gets_one(wanted: str, tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway, gateway.device() as device:
        welcome = await device.hello(wanted)
        assert welcome["device"] == f"pico-{welcome['session']}"


async def test_hello_may_come_late_or_never(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway, gateway.device() as device:
        (line,) = gateway.log.all("connected")
        await device.telemetry(1)
        assert gateway.log.all("message", device=f"pico-{line['session']}")
        await device.hello("kitchen")
        await device.telemetry(2)
        assert gateway.log.all("message", device="kitchen", id=2)


async def test_second_hello_with_another_name_renames(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway, gateway.device(name="one") as device:
        assert (await device.hello("two"))["device"] == "two"
        assert [member.name for member in gateway.hub] == ["two"]
        async with gateway.device(name="one"):
            assert len(gateway.hub) == 2


async def test_second_hello_with_the_same_name_changes_nothing(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway, gateway.device(name="one") as device:
        for name in ("one", "..", ""):  # those that are none leave it as it is
            assert (await device.hello(name))["device"] == "one"
        assert [member.name for member in gateway.hub] == ["one"]


async def test_older_firmware_says_connection(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway, gateway.device() as device:
        await device.send({"type": "connection", "device": "cam"})
        assert (await device.receive())["device"] == "cam"


# Names that belong to a token


async def test_pinned_token_gives_its_name_before_and_without_hello(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        token = gateway.token(name="kitchen")
        async with gateway.device(token=token) as device:
            await device.telemetry(1)
            assert gateway.log.all("message", device="kitchen")
            assert (await device.hello(""))["device"] == "kitchen"


async def test_pinned_token_admits_no_other_name(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        async with gateway.device(token=gateway.token(name="kitchen")) as device:
            await device.send({"type": "connect", "device": "porch"})
            assert await device.closed() == (4503, "this token is for the name kitchen")
        await gateway.log.wait_for("disconnected", code=4503, by="here")
        assert len(gateway.hub) == 0


async def test_claimed_name_needs_its_own_token(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        record, _ = gateway.book.create("pico", name="kitchen")
        async with gateway.device() as device:
            # What it says after that is not heard.
            await device.send(
                {"type": "connect", "device": "kit chen"},
                {"type": "connect", "device": "kitchen"},
                {"type": "log", "message": "unheard"},
            )
            assert (await device.receive())["device"] == "kit-chen"
            assert await device.closed() == (4503, "the name kitchen needs its own device token")
        await gateway.log.wait_for("disconnected", code=4503)
        assert not gateway.log.all("message", type="log")
        gateway.book.revoke(record.id)
        async with gateway.device(name="kitchen"):
            pass


async def test_owner_of_a_name_does_not_share_it_with_who_came_before_the_claim(
    tmp_path: Path,
) -> None:
    async with running_gateway(tmp_path) as gateway, gateway.device(name="kitchen") as earlier:
        token = gateway.token(name="kitchen")
        async with gateway.device(token=token) as owner:
            assert (await owner.hello("kitchen"))["device"] == "kitchen"
            assert await earlier.closed() == (4503, "the name kitchen needs its own device token")
        await gateway.log.wait_for("disconnected", device="kitchen", code=4503)


async def test_locally_trusted_program_cannot_take_a_claimed_name(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, trust_local=True) as gateway:
        gateway.token(name="kitchen")
        async with gateway.device(token="") as device:
            await device.send({"type": "connect", "device": "kitchen"})
            assert (await device.closed())[0] == 4503


# Two devices, one name


async def test_silent_holder_is_replaced(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway, gateway.device(name="kitchen") as old:
        old.answers_pings = False
        async with gateway.device() as new:
            hello = asyncio.create_task(new.hello("kitchen"))
            assert (await old.read_frame()).opcode == PING
            gateway.clock.advance(2)
            assert await old.closed() == (4409, "a newer link of this device took over")
            assert (await hello)["device"] == "kitchen"
            assert len(gateway.hub) == 1
            await new.telemetry("after")
        assert gateway.log.all("disconnected", device="kitchen", code=4409, by="here")
        assert not gateway.log.all("two_devices_one_name")


async def test_live_holder_stays_and_the_newcomer_gets_a_number(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway, gateway.device(name="kitchen") as holder:
        gateway.listener.seen_as = FAR
        async with staying(holder), gateway.device() as new:
            assert (await new.hello("kitchen"))["device"] == "kitchen-2"
            (line,) = gateway.log.all("two_devices_one_name")
            assert (line["name"], line["becomes"]) == ("kitchen", "kitchen-2")
            assert (line["address"], line["newcomer"]) == ("127.0.0.1", FAR)
            assert {member.name for member in gateway.hub} == {"kitchen", "kitchen-2"}


async def test_repeated_hello_keeps_the_number(tmp_path: Path) -> None:
    async with (
        running_gateway(tmp_path) as gateway,
        gateway.device(name="kitchen") as holder,
        staying(holder),
        gateway.device(name="kitchen") as new,
    ):
        for _ in range(2):
            assert (await new.hello("kitchen"))["device"] == "kitchen-2"


async def test_pinned_newcomer_keeps_its_number_when_it_says_hello(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        token = gateway.token(name="kitchen")
        async with (
            gateway.device(token=token) as holder,
            staying(holder),
            gateway.device(token=token) as new,
        ):
            assert (await new.hello("kitchen"))["device"] == "kitchen-2"


async def test_number_that_is_claimed_is_passed_over(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway, gateway.device(name="kitchen") as holder:
        gateway.token(name="kitchen-2")
        async with staying(holder), gateway.device() as new:
            assert (await new.hello("kitchen"))["device"] == "kitchen-3"


async def test_three_newcomers_at_once_find_one_place_and_two_numbers(tmp_path: Path) -> None:
    async with (
        running_gateway(tmp_path) as gateway,
        gateway.device(name="kitchen") as old,
        gateway.device() as one,
        gateway.device() as two,
        gateway.device() as three,
    ):
        newcomers = (one, two, three)
        hellos = [asyncio.create_task(device.hello("kitchen")) for device in newcomers]
        await gateway.log.wait_for("hello", count=4)
        gateway.clock.advance(2)
        # One has the name then; the others wait for nobody a second time.
        names = {(await hello)["device"] for hello in hellos}
        assert names == {"kitchen", "kitchen-2", "kitchen-3"}
        assert (await old.closed())[0] == 4409


async def test_holder_that_leaves_meanwhile_leaves_its_name(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway, gateway.device() as new:
        async with gateway.device(name="kitchen"):
            hello = asyncio.create_task(new.hello("kitchen"))
            await gateway.log.wait_for("hello", count=2)
        assert (await hello)["device"] == "kitchen"


async def test_newcomer_that_leaves_meanwhile_is_forgotten(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway, gateway.device(name="kitchen") as holder:
        async with gateway.device() as new:
            await new.send({"type": "connect", "device": "kitchen"})
            await gateway.log.wait_for("hello", count=2)
            session = gateway.log.all("hello")[1]["session"]
            await new.write(frame(CLOSE, b"\x03\xe8"))
        # Held, it is not read: its end shows when it gets its place.
        gateway.clock.advance(2)
        await gateway.log.wait_for("disconnected", session=session)
        assert (await holder.closed())[0] == 4409


async def test_messages_wait_in_order_while_the_name_is_settled(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway, gateway.device(name="kitchen") as old:
        hello = text_frame({"type": "connect", "device": "kitchen"})
        telemetry = [{"type": "telemetry", "data": {}, "id": number} for number in range(3)]
        async with gateway.device(also=hello + b"".join(map(text_frame, telemetry))) as new:
            await new.send({"type": "telemetry", "data": {}, "id": 3})
            assert (await old.read_frame()).opcode == PING
            gateway.clock.advance(2)
            assert (await new.receive())["device"] == "kitchen"
            assert [(await new.receive())["id"] for _ in range(4)] == [0, 1, 2, 3]
        session = gateway.log.all("hello")[1]["session"]
        lines = gateway.log.all("message", session=session)
        assert [(line["device"], line["id"]) for line in lines] == [
            ("kitchen", number) for number in range(4)
        ]


async def test_two_hellos_for_taken_names_in_one_segment(tmp_path: Path) -> None:
    async with (
        running_gateway(tmp_path) as gateway,
        gateway.device(name="one") as one,
        gateway.device(name="two") as two,
        staying(one, two),
        gateway.device() as new,
    ):
        await new.send(
            {"type": "connect", "device": "one"},
            {"type": "connect", "device": "two"},
            {"type": "telemetry", "data": {}, "id": 1},
        )
        assert (await new.receive())["device"] == "one-2"
        assert (await new.receive())["device"] == "two-2"
        assert (await new.receive()) == {"type": "ack", "id": 1}
        assert {member.name for member in gateway.hub} == {"one", "two", "two-2"}


async def test_stop_while_a_name_is_being_settled(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway, gateway.device(name="kitchen") as old:
        async with gateway.device() as new:
            await new.send(
                {"type": "connect", "device": "kitchen"}, {"type": "telemetry", "data": {}, "id": 1}
            )
            await gateway.log.wait_for("hello", count=2)
            await gateway.gateway.drain(0)
            assert (await old.closed())[0] == 1012
            assert (await new.closed())[0] == 1012
        assert gateway.is_at_ease()
        # What it had said already is not lost.
        assert gateway.log.all("message", id=1)


# Messages


async def test_message_is_acknowledged_by_its_id_and_logged(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway, gateway.device(name="kitchen") as device:
        kinds = ["telemetry", "sensor_data", "heartbeat", "status", "test"]
        for number, kind in enumerate(kinds):
            await device.send({"type": kind, "data": {}, "id": number})
            assert await device.receive() == {"type": "ack", "id": number}
            assert gateway.log.all("message", device="kitchen", type=kind, id=number)
        await device.send({"type": "log", "message": "low battery", "level": "warn", "id": "l-1"})
        assert await device.receive() == {"type": "ack", "id": "l-1"}


async def test_message_without_an_id_is_kept_and_not_answered(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway, gateway.device() as device:
        await device.send({"type": "telemetry", "data": {}}, {"type": "servo_state", "id": 1})
        await device.telemetry("next")
        assert [line["type"] for line in gateway.log.all("message")] == [
            "telemetry",
            "servo_state",
            "telemetry",
        ]


async def test_bad_message_gets_an_error_and_the_link_stays(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway, gateway.device(name="kitchen") as device:
        for text, code in (
            ("{", "bad_json"),
            ("[]", "not_object"),
            ('{"type":"telemetry"}', "wrong_fields"),
            ('{"a":' * 40 + "1" + "}" * 40, "too_deep"),
            ('{"type":"telemetry","data":{"x":NaN}}', "bad_json"),
        ):
            await device.send(text)
            error = await device.receive()
            assert (error["type"], error["code"]) == ("error", code)
            assert error["hint"]
            assert gateway.log.all("bad_message", device="kitchen", code=code, size=len(text))
        await device.telemetry("still there")


async def test_picture_is_checked_and_logged(tmp_path: Path) -> None:
    whole, cut = b"\xff\xd8" + bytes(1000) + b"\xff\xd9", b"\xff\xd8" + bytes(1000) + b"\x01"
    async with running_gateway(tmp_path) as gateway, gateway.device("esp32cam") as camera:
        await camera.send({"type": "frame", "size": len(whole), "width": 640, "height": 480})
        await camera.write(frame(BINARY, whole) + frame(BINARY, cut))
        await camera.telemetry(1)
        first, second = gateway.log.all("binary")
        assert (first["size"], first["jpeg"], first["announced"]) == (1004, True, 1004)
        assert (second["size"], second["jpeg"]) == (1003, False)
        assert "announced" not in second


async def test_close_of_the_device_is_logged_with_its_totals(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        async with gateway.device(name="kitchen") as device:
            await device.telemetry(1)
            await device.write(frame(CLOSE, b"\x03\xe9going to sleep"))
            assert await device.closed() == (1001, "going to sleep")
        line = await gateway.log.wait_for("disconnected", device="kitchen")
        assert (line["code"], line["reason"], line["by"]) == (1001, "going to sleep", "peer")
        assert line["messages"] == 2
        assert line["bytes"] > 100


async def test_cut_connection_is_logged_as_the_paths(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        async with gateway.device(name="kitchen"):
            pass
        line = await gateway.log.wait_for("disconnected", device="kitchen")
        assert (line["code"], line["by"]) == (1006, "path")
        assert (line["cause"], line["level"]) == ("cut", "warning")
        assert "reason" not in line


@pytest.mark.parametrize(
    ("data", "code"),
    [(b"", "no_request"), (b"G", "head_cut"), (b"GET /ws/pico HTTP/1.1\r\nHost", "head_cut")],
)
async def test_connection_that_ends_before_its_request_leaves_a_line_and_a_row(
    data: bytes, code: str, tmp_path: Path
) -> None:
    async with running_gateway(tmp_path) as gateway:
        gateway.listener.seen_as = FAR
        async with RawClient.connect(gateway) as client:
            await client.write(data)
        line = await gateway.log.wait_for("broken")
        assert (line["code"], line["address"], line.get("bytes", 0)) == (code, FAR, len(data))
    (row,) = rows(gateway.folder, "SELECT code, address, status, request_id FROM refusals")
    assert row == (code, FAR, 0, line["request_id"])


async def test_connection_that_the_gateway_drops_when_it_stops_is_no_news(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway, RawClient.connect(gateway) as client:
        await client.write(b"GET / HT")
        await gateway.get("/healthz")  # the other one was accepted before
        await gateway.gateway.drain(0)
        assert not gateway.log.all("broken")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x81\x7f", None),
        (b"\x82\xff\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00", 1009),
        (b"\x81\x82\x00\x00\x00\x00\xc3\x28", 1007),
        (b"\x83\x80\x00\x00\x00\x00", 1002),
        (b"\x81\x02{}", 1002),
    ],
)
async def test_frame_against_the_rules_ends_the_link_with_its_code(
    data: bytes, code: int | None, tmp_path: Path
) -> None:
    async with running_gateway(tmp_path) as gateway, gateway.device(name="kitchen") as device:
        await device.write(data)
        if code is None:
            await device.write(bytes(8))
            code = 1002
        assert (await device.closed())[0] == code
        await gateway.log.wait_for("disconnected", device="kitchen", code=code, by="here")
        assert len(gateway.hub) == 0


async def test_handshake_may_come_byte_by_byte_and_with_messages_behind(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway, Device.connect(gateway) as device:
        data = upgrade_head("/ws/pico", bearer(gateway.token()))
        data += text_frame({"type": "connect", "device": "slow"})
        for byte in data:
            await device.write(bytes([byte]))
        assert b" 101 " in await device.read_head()
        assert (await device.receive())["device"] == "slow"


async def test_junk_after_a_refusal_is_dropped(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway, RawClient.connect(gateway) as client:
        hello = text_frame({"type": "connect", "device": "junk"})
        await client.write(upgrade_head() + hello)
        await client.write(hello * 100)
        assert (await client.answer()).status == 401
        with contextlib.suppress(OSError):
            await client.write(upgrade_head("/ws/pico", bearer(gateway.token())))
        assert len(gateway.hub) == 0
        assert len(gateway.log.all("refused")) == 1


# Commands


@pytest.mark.parametrize(
    ("command", "sent", "kind"),
    [
        (
            {"name": "blink", "args": {"times": 3}},
            {"type": "command", "name": "blink", "args": {"times": 3}},
            "blink",
        ),
        (
            {"type": "servo", "command": {"servo1": 90}},
            {"type": "servo", "command": {"servo1": 90}},
            "servo",
        ),
        (
            {"action": "capture_photo", "quality": 10},
            {"action": "capture_photo", "quality": 10},
            "capture_photo",
        ),
    ],
)
@pytest.mark.parametrize("by_id", [True, False])
async def test_command_reaches_the_device_and_its_ack_comes_back(
    command: dict[str, Any], sent: dict[str, Any], kind: str, by_id: bool, tmp_path: Path
) -> None:
    async with running_gateway(tmp_path) as gateway, gateway.device(name="kitchen") as device:
        done: list[SentCommand] = []
        gateway.hub.send("kitchen", command, done.append, now=gateway.clock())
        got = await device.receive()
        command_id = got.pop("id")
        assert got == sent
        reference = {"id": command_id} if by_id else {"command_type": kind}
        await device.send({"type": "ack", "status": "success", "detail": {"ok": 1}} | reference)
        await device.telemetry("after the ack")
        assert [(c.id, c.outcome, c.detail) for c in done] == [
            (command_id, Outcome.ACKNOWLEDGED, {"ok": 1})
        ]
        assert not gateway.log.all("ack_of_nothing")


async def test_ack_of_nothing_is_logged_and_does_no_harm(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway, gateway.device(name="kitchen") as device:
        await device.send({"type": "ack", "status": "success", "id": "c-99"})
        await device.telemetry(1)
        (line,) = gateway.log.all("ack_of_nothing")
        assert (line["device"], line["id"]) == ("kitchen", "c-99")


async def test_command_that_is_not_answered_expires(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway, gateway.device(name="kitchen") as device:
        done: asyncio.Future[SentCommand] = asyncio.get_running_loop().create_future()
        gateway.hub.send("kitchen", {"name": "blink"}, done.set_result, now=gateway.clock())
        gateway.clock.advance(10)
        assert (await done).outcome is Outcome.EXPIRED
        await device.receive()
        await device.telemetry("still there")


async def test_command_to_a_device_that_leaves_is_lost(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        done: asyncio.Future[SentCommand] = asyncio.get_running_loop().create_future()
        async with gateway.device(name="kitchen"):
            gateway.hub.send("kitchen", {"name": "blink"}, done.set_result, now=gateway.clock())
        assert (await done).outcome is Outcome.LOST


async def test_round_trip_of_a_ping_is_measured(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway, gateway.device(name="kitchen") as device:
        gateway.clock.advance(20)
        ping = await device.read_frame()
        assert (ping.opcode, len(ping.payload)) == (PING, 4)
        await device.write(frame(PONG, ping.payload))
        await device.telemetry(1)
        rtt = gateway.member("kitchen").rtt
        assert rtt is not None
        assert 0 <= rtt < 20


# The message budget


async def pass_time(gateway: RunningGateway, witness: Device) -> None:
    """Let 22 s pass, and see from a quiet device that the gateway has looked at all deadlines."""
    gateway.clock.advance(22)
    ping = await witness.read_frame()
    assert ping.opcode == PING
    await witness.write(frame(PONG, ping.payload))
    await witness.telemetry("the pong was read")


def log_messages(*ids: str | int) -> list[dict[str, object]]:
    return [{"type": "log", "message": "x", "id": message_id} for message_id in ids]


SLOW = {"messages_per_minute": 60}


async def test_device_over_its_budget_is_read_later_and_loses_nothing(tmp_path: Path) -> None:
    async with (
        running_gateway(tmp_path, limits=SLOW) as gateway,
        gateway.device(name="kitchen") as device,
        gateway.device(name="calm") as calm,
    ):

        async def acks() -> list[int]:
            return [(await device.receive())["id"] for _ in range(200)]

        await device.send(*log_messages(*range(70)))
        line = await gateway.log.wait_for("throttled")
        assert (line["device"], line["messages_per_minute"]) == ("kitchen", 60)
        reading = asyncio.create_task(acks())
        await device.send(*log_messages(*range(70, 140)))
        await device.send(*log_messages(*range(140, 200)))
        await calm.telemetry("served as ever")
        assert not gateway.log.all("message", id=70)
        while not gateway.log.all("message", id=199):
            await pass_time(gateway, calm)
        assert await reading == list(range(200))
        assert len(gateway.log.all("throttled")) == 1


@pytest.mark.parametrize("flood", [frame(PING, b""), frame(PONG, b""), frame(0, b"", fin=False)])
async def test_flood_of_frames_without_messages_spends_the_budget_too(
    flood: bytes, tmp_path: Path
) -> None:
    async with (
        running_gateway(tmp_path, limits=SLOW) as gateway,
        gateway.device(name="kitchen") as device,
    ):
        await device.write(frame(TEXT, b"", fin=False) + flood * 70)
        assert (await gateway.log.wait_for("throttled"))["device"] == "kitchen"


async def test_device_that_is_not_read_is_not_taken_for_dead(tmp_path: Path) -> None:
    async with (
        running_gateway(tmp_path, limits=SLOW) as gateway,
        gateway.device(name="kitchen") as device,
        staying(device),
        gateway.device(name="calm") as calm,
    ):
        # The debt takes 140 s to refill: the gateway hears nothing for longer than 45 s.
        await device.send(*({"type": "log", "message": "x"} for _ in range(200)))
        await gateway.log.wait_for("throttled")
        for _ in range(9):
            await pass_time(gateway, calm)
        await device.send({"type": "log", "message": "x", "id": "after"})
        await gateway.log.wait_for("message", id="after")
        assert not gateway.log.all("disconnected")


async def test_throttled_device_that_died_is_found_out_afterwards(tmp_path: Path) -> None:
    async with (
        running_gateway(tmp_path, limits=SLOW) as gateway,
        gateway.device(name="kitchen") as device,
        gateway.device(name="calm") as calm,
    ):
        await device.send(*({"type": "log", "message": "x"} for _ in range(200)))
        await gateway.log.wait_for("throttled")
        while not gateway.log.all("disconnected", device="kitchen", code=4408):
            await pass_time(gateway, calm)


async def test_throttled_holder_of_a_name_is_heard_when_another_wants_it(tmp_path: Path) -> None:
    async with (
        running_gateway(tmp_path, limits=SLOW) as gateway,
        gateway.device(name="kitchen") as holder,
        staying(holder),
        gateway.device() as new,
    ):
        await holder.send(*({"type": "log", "message": "x"} for _ in range(200)))
        await gateway.log.wait_for("throttled")
        assert (await new.hello("kitchen"))["device"] == "kitchen-2"


async def test_no_limit_throttles_nobody(tmp_path: Path) -> None:
    async with (
        running_gateway(tmp_path, limits={"messages_per_minute": 0}) as gateway,
        gateway.device(name="kitchen") as device,
    ):
        await device.send(*({"type": "log", "message": "x"} for _ in range(7000)))
        await device.telemetry("last")
        assert not gateway.log.all("throttled")


# The journal


def journal_of(gateway: RunningGateway, query: str) -> list[tuple[Any, ...]]:
    """What is in the journal's file."""
    return rows(gateway.folder, query)


async def all_is_recorded(gateway: RunningGateway) -> None:
    """Return once all that happened so far is on disk."""
    recorded = asyncio.Event()
    gateway.journal.when_recorded(recorded.set)
    async with asyncio.timeout(PATIENCE):
        await recorded.wait()


def ignore(_: SentCommand) -> None:
    """Nobody waits for what becomes of the command."""


async def test_conversation_is_in_the_journal_with_all_that_was_said(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        async with gateway.device(name="kitchen") as device:
            await device.telemetry(1)
            await device.send("{", {"type": "servo_state", "on": True})
            error = await device.receive()
            gateway.hub.send("kitchen", {"action": "blink"}, ignore, now=gateway.clock())
            command = await device.receive()
            await device.send({"type": "ack", "status": "success", "id": command["id"]})
            await device.write(frame(BINARY, b"\xff\xd8\xff"))
            await device.write(frame(CLOSE, b"\x03\xe9going to sleep"))
            await device.closed()
        await gateway.log.wait_for("disconnected", device="kitchen")
        await all_is_recorded(gateway)
        query = "SELECT k.name, id, body, size FROM messages JOIN kinds k USING (kind) ORDER BY 1"
        found = {name: rest for name, *rest in journal_of(gateway, query)}
        assert found["connect"] == [None, '{"type": "connect", "device": "kitchen"}', None]
        assert found["telemetry"][0] == 1
        assert found["bad"] == [None, "{", None]
        assert json.loads(found["error"][1]) == error
        assert json.loads(found["command"][1]) == command
        assert found["ack"][0] == command["id"]
        assert found["other"][1] == '{"type": "servo_state", "on": true}'
        assert found["binary"] == [None, None, 3]
        ((welcome, session),) = journal_of(
            gateway,
            "SELECT body, s.session FROM messages m JOIN sessions s ON m.session = s.sequence"
            " JOIN kinds USING (kind) WHERE kinds.name = 'connection_ack'",
        )
        assert json.loads(welcome)["session"] == session
        columns = "device, device_class, address, via, code, reason, closed_by, messages_in"
        (row,) = journal_of(gateway, f"SELECT {columns} FROM sessions")
        assert row == (
            "kitchen", "pico", "127.0.0.1", None, 1001, "going to sleep", "peer", 6,
        )  # fmt: skip


async def test_device_that_is_renamed_is_found_under_its_last_name(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway, gateway.device() as device:
        for name in ("one", "two"):
            await device.hello(name)
        await all_is_recorded(gateway)
        query = "SELECT device, user_agent, token IS NOT NULL FROM sessions"
        assert journal_of(gateway, query) == [("two", None, 1)]


async def test_pinned_device_behind_a_proxy_has_both_addresses(tmp_path: Path) -> None:
    networks = (ipaddress.ip_network("127.0.0.0/8"),)
    headers = {"X-Forwarded-For": FAR, "User-Agent": "Pico\xe9"}
    async with running_gateway(tmp_path, trusted_proxy=networks) as gateway:
        token = gateway.token(name="kitchen")
        async with gateway.device(token=token, headers=headers) as device:
            await device.telemetry(1)
            columns = "device, address, via, user_agent, token"
            ((*told, token_id),) = journal_of(gateway, f"SELECT {columns} FROM sessions")
            assert told == ["kitchen", FAR, "127.0.0.1", "Pico\xe9"]
            assert token_id == gateway.book.list()[-1].id


async def test_no_token_gets_into_the_journal_wherever_a_device_puts_it(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        token = gateway.token()
        headers = {"User-Agent": f"agent {token}"}
        async with gateway.device(headers=headers) as device:
            welcome = await device.hello(token, version=token)
            assert token[9:20] not in welcome["device"]
            assert gateway.hub.get(token) is None
            await device.send(
                {"type": "telemetry", "data": {"t": token}, "id": token},
                {"type": token},
                f"{{{token}",
            )
            await device.receive()
            gateway.hub.send(welcome["device"], {"t": token}, ignore, now=gateway.clock())
            await device.send({"type": "ack", "status": "error", "id": token, "detail": token})
            await device.write(frame(CLOSE, b"\x03\xe8" + token.encode()))
            await device.closed()
        await gateway.upgrade(f"/ws/{token}?token={token}", {"User-Agent": token})
        await gateway.get(f"/{token}?a={token}", bearer(token))
        await gateway.log.wait_for("disconnected")
        await all_is_recorded(gateway)
        assert journal_of(gateway, "SELECT count(*) FROM refusals") == [(2,)]
        assert token[9:20].encode() not in bytes_on_disk(gateway.folder)
        assert token[9:20] not in gateway.log.text.getvalue()


async def test_device_far_ahead_of_the_disk_is_not_read_but_pinged(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway, gateway.device(name="kitchen") as device:
        texts = [
            text_frame({"type": "telemetry", "data": {}, "id": number}) for number in range(1000)
        ]
        await all_is_recorded(gateway)
        with held_journal(gateway.folder):
            for text in texts:  # each in a segment of its own, as far as the kernel lets it
                await device.write(text)
            await gateway.log.wait_for("message", count=UNRECORDED_ROWS)
            for _ in range(4):  # far beyond the time after which a silent device is dead
                gateway.clock.advance(20)
                assert (await device.read_frame()).opcode == PING
            # What came in one segment is taken whole; the rest waits in the kernel.
            heard = len(gateway.log.all("message"))
            assert UNRECORDED_ROWS <= heard < 1000
            assert gateway.journal.waiting[0] == heard
        acked = [(await device.receive())["id"] for _ in range(1000)]
        assert acked == list(range(1000))
        assert not gateway.log.all("disconnected")
    # Each once, though the first group was tried over and over.
    query = "SELECT count(*), count(DISTINCT id) FROM messages WHERE id IS NOT NULL"
    assert rows(gateway.folder, query) == [(1000, 1000)]
