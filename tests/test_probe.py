from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_gateways import LOOPBACK, answer, closed_port, say_nothing, serving, upgrading
from harness import Clock, RunningGateway, running_gateway
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.server import ServerConnection

from wsdev import probe
from wsdev.connection import Connection
from wsdev.errors import ExitCode, LinkCut, NotAllowed, ProtocolViolation, TokenRefused, WsdevError
from wsdev.events import Closed, ClosedBy
from wsdev.failures import closed_error
from wsdev.hub import Outcome, SentCommand
from wsdev.probe import Happening, Target, Visit
from wsdev.protocol import BUILTIN_CLASSES
from wsdev.urls import GatewayAddress

SOON = 0.3


def target_of(
    gateway: RunningGateway | int,
    device_class: str = "pico",
    *,
    token: str | None = None,
    name: str = "kitchen",
    patience: float = 10.0,
) -> Target:
    port = gateway if isinstance(gateway, int) else gateway.port
    address = GatewayAddress(LOOPBACK, port)
    return Target(address, BUILTIN_CLASSES[device_class], name, token, None, patience)


# A visit


@pytest.mark.parametrize("device_class", ["pico", "esp32cam"])
async def test_visit_tells_each_step_and_leaves_politely(tmp_path: Path, device_class: str) -> None:
    async with running_gateway(tmp_path, public_tokens="open") as gateway:
        found = Visit()
        told: list[probe.Step] = []
        await probe.visit(target_of(gateway, device_class), 3, found, told.append)
        line = await gateway.log.wait_for("disconnected")
    picture = ["picture"] if device_class == "esp32cam" else []
    names = ["token", "connect", "hello", *picture, "telemetry", "ping", "close"]
    assert [step.name for step in found.steps] == names
    assert told == found.steps
    assert all(step.seconds >= 0 for step in told)
    assert found.device == "kitchen"
    assert found.session == line["session"]
    assert (line["code"], line["by"]) == (1000, "peer")
    assert len(found.round_trips) == 6
    assert found.summary()["samples"] == 6


async def test_token_is_in_no_step(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, public_tokens="open") as gateway:
        found = Visit()
        await probe.visit(target_of(gateway), 1, found, lambda _: None)
        token = gateway.token()
    assert token not in repr(found)


async def test_what_is_known_survives_an_error(tmp_path: Path) -> None:
    async def greet_and_go(connection: ServerConnection) -> None:
        hello = json.loads(await connection.recv())
        await connection.send(welcome(hello["device"]))
        await connection.recv()
        await connection.close(1011, "oops")

    async with upgrading(greet_and_go) as port:
        found = Visit()
        with pytest.raises(LinkCut) as caught:
            await probe.visit(target_of(port, token="x"), 1, found, lambda _: None)
    assert [step.name for step in found.steps] == ["connect", "hello"]
    assert "1011" in caught.value.cause
    assert "oops" in caught.value.cause
    assert caught.value.exit_code is ExitCode.CUT


def welcome(device: str = "kitchen") -> str:
    return json.dumps({
        "type": "connection_ack", "device": device, "session": "s", "server_time": 0.0,
        "ping_interval": 20, "max_message_bytes": 65536,
    })  # fmt: skip


async def fails(port: int, kind: type[WsdevError], **options: Any) -> WsdevError:
    with pytest.raises(WsdevError) as caught:
        await probe.visit(target_of(port, token="x", **options), 1, Visit(), lambda _: None)
    assert isinstance(caught.value, kind), caught.value.cause
    return caught.value


async def test_silence_after_the_upgrade_ends_with_the_patience() -> None:
    async with upgrading(say_nothing) as port:
        error = await fails(port, LinkCut, patience=SOON)
    assert "hello" in error.cause
    assert "0.3 s" in error.cause


async def test_silence_after_the_welcome_ends_with_the_patience() -> None:
    async def only_greet(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.send(welcome())
        await connection.wait_closed()

    async with upgrading(only_greet) as port:
        error = await fails(port, LinkCut, patience=SOON)
    assert "telemetry" in error.cause


@pytest.mark.parametrize(
    "said",
    [
        "not json",
        "[]",
        '{"type":"connection_ack"}',
        '{"type":"error","code":"no","message":"go \\u001b[31m away","hint":"\\u009bx"}',
    ],
)
async def test_wrong_words_from_the_other_end_are_a_protocol_violation(said: str) -> None:
    async def talk(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.send(said)
        await connection.wait_closed()

    async with upgrading(talk) as port:
        error = await fails(port, ProtocolViolation)
    assert error.exit_code is ExitCode.PROTOCOL
    assert "\x1b" not in error.cause
    assert "\x9b" not in error.hint


async def test_hostile_welcome_comes_out_escaped() -> None:
    async def greet(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.send(welcome("\x1b]0;owned\x07"))
        await connection.wait_closed()

    async with upgrading(greet) as port:
        found = Visit()
        with pytest.raises(LinkCut):
            await probe.visit(target_of(port, token="x", patience=SOON), 1, found, lambda _: None)
    assert "\x1b" not in found.device + found.steps[-1].detail


async def test_class_without_a_token_is_not_allowed() -> None:
    async with serving(answer("200 OK", b'{"esp32cam_tokens":["a"],"pico_tokens":[]}')) as port:
        with pytest.raises(NotAllowed) as caught:
            await probe.fetch_token(target_of(port))
    assert caught.value.code == "no_token"
    assert "esp32cam" in caught.value.hint


async def test_command_during_a_visit_disturbs_nothing(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        sent: list[SentCommand] = []

        def command(step: probe.Step) -> None:
            if step.name == "hello":
                send(gateway, {"type": "blink"}, sent.append)

        await probe.visit(target_of(gateway, token=gateway.token()), 2, Visit(), command)
        await gateway.log.wait_for("disconnected")
        assert [done.outcome for done in sent] == [Outcome.LOST]


def send(
    gateway: RunningGateway,
    command: dict[str, Any],
    on_done: Callable[[SentCommand], None],
    name: str = "kitchen",
) -> None:
    gateway.hub.send(name, command, on_done, now=gateway.clock())


# The summary


def test_no_round_trip_no_summary() -> None:
    assert Visit().summary() == {}


@given(st.lists(st.floats(0.0001, 10), min_size=1, max_size=200))
def test_summary_is_in_order_and_of_the_samples(round_trips: list[float]) -> None:
    summary = Visit(round_trips=round_trips).summary()
    assert 0 < summary["median"] <= summary["max"]
    assert summary["p95"] <= summary["max"] == round(max(round_trips) * 1000, 3)
    assert summary["p95"] in {round(value * 1000, 3) for value in round_trips}
    within = sum(round(value * 1000, 3) <= summary["p95"] for value in round_trips)
    assert within >= 0.95 * len(round_trips)


# What a close means


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (1000, LinkCut),
        (1006, LinkCut),
        (1012, LinkCut),
        (3999, LinkCut),
        (4409, LinkCut),
        (4499, LinkCut),
        (4500, NotAllowed),
        (4501, NotAllowed),
        (4503, NotAllowed),
        (4999, NotAllowed),
    ],
)
def test_close_code_says_whether_to_come_back(code: int, kind: type[WsdevError]) -> None:
    error = closed_error(Closed(code, "because\x1b", ClosedBy.PEER))
    assert type(error) is kind
    assert error.code == f"close_{code}"
    assert str(code) in error.cause
    assert r"because\x1b" in error.cause


def test_reason_that_only_repeats_the_meaning_is_said_once() -> None:
    error = closed_error(Closed(4501, "the token was revoked", ClosedBy.PEER))
    assert error.cause.count("revoked") == 1


# A device that stays


class Stay:
    """A staying device: what it tells, and how long it waits instead of sleeping.

    ``waits`` gets each wait as it begins; the device goes on when ``go_on`` is set.
    """

    def __init__(self, target: Target, *, interval: float = 3600) -> None:
        self.told: asyncio.Queue[Happening] = asyncio.Queue()
        self.waits: list[float] = []
        self.clock = Clock()
        self.go_on = asyncio.Semaphore(0)
        self._target, self._interval = target, interval

    async def __aenter__(self) -> Stay:
        self.task = asyncio.create_task(
            probe.stay(
                self._target,
                self._interval,
                lambda: 0.5,
                self.told.put_nowait,
                clock=self.clock,
                sleep=self._sleep,
            )
        )
        return self

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        await self.go_on.acquire()

    async def __aexit__(self, *exc_info: object) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])

    async def until(self, what: str) -> Happening:
        """The next thing told under that word."""
        async with asyncio.timeout(20):
            while True:
                told = asyncio.create_task(self.told.get())
                await asyncio.wait([told, self.task], return_when=asyncio.FIRST_COMPLETED)
                if not told.done():
                    told.cancel()
                    self.task.result()
                happening = await told
                if happening.what == what:
                    return happening

    async def failed(self) -> WsdevError:
        """The error with which it ends."""
        async with asyncio.timeout(20):
            with pytest.raises(WsdevError) as caught:
                await self.task
        return caught.value


async def test_staying_device_sends_telemetry_and_closes_politely_when_cancelled(
    tmp_path: Path,
) -> None:
    async with running_gateway(tmp_path) as gateway:
        async with Stay(target_of(gateway, token=gateway.token()), interval=0.01) as device:
            assert await device.until("online") == Happening("online", "as kitchen")
            for _ in range(3):
                await device.until("ack")
        line = await gateway.log.wait_for("disconnected")
    assert (line["code"], line["by"], line["device"]) == (1000, "peer", "kitchen")


async def test_cancel_at_the_moment_of_going_online_is_not_lost(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:

        def cancel(happening: Happening) -> None:
            if happening.what == "online":
                task.cancel()

        target = target_of(gateway, token=gateway.token())
        task = asyncio.create_task(probe.stay(target, 3600, lambda: 0.5, cancel))
        async with asyncio.timeout(20):
            await asyncio.wait([task])
        assert task.cancelled()
        await gateway.log.wait_for("disconnected", code=1000)


async def test_staying_camera_sends_pictures(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        target = target_of(gateway, "esp32cam", token=gateway.token("esp32cam"))
        async with Stay(target):
            line = await gateway.log.wait_for("binary")
    assert line["jpeg"] is True
    assert line["announced"] == line["size"]


async def test_commands_are_obeyed_and_settled(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        target = target_of(gateway, "esp32cam", token=gateway.token("esp32cam"))
        async with Stay(target) as device:
            await device.until("online")
            done: asyncio.Queue[SentCommand] = asyncio.Queue()
            commands: list[tuple[dict[str, Any], str]] = [
                ({"type": "servo", "command": {"servo1": 5, "servo2": 6}}, "servos at 5°, 6°"),
                ({"action": "capture_photo"}, "picture of"),
                ({"name": "reboot"}, "command reboot"),
            ]
            for command, expected in commands:
                send(gateway, command, done.put_nowait)
                assert (await device.until("obeyed")).detail.startswith(expected)
                async with asyncio.timeout(20):
                    assert (await done.get()).outcome is Outcome.ACKNOWLEDGED
        assert await gateway.log.wait_for("binary", count=2)


@pytest.mark.parametrize("code", [1000, 1001, 1006, 1012, 4408, 4409, 4413])
async def test_device_comes_back_with_backoff(tmp_path: Path, code: int) -> None:
    async with (
        running_gateway(tmp_path) as gateway,
        Stay(target_of(gateway, token=gateway.token())) as device,
    ):
        for attempt in range(3):
            await device.until("online")
            end(gateway, code)
            offline = await device.until("offline")
            assert str(code) in offline.detail
            assert device.waits[attempt:] == [2.0**attempt]
            device.go_on.release()
        await device.until("online")


def end(gateway: RunningGateway, code: int) -> None:
    """End the one device's link; 1006 is no close frame but a cut."""
    (member,) = gateway.hub
    if code == 1006:
        assert isinstance(member.port, Connection)
        member.port.link.abort()
    else:
        member.port.close(code, "test")


async def test_backoff_starts_anew_after_a_link_that_held(tmp_path: Path) -> None:
    async with (
        running_gateway(tmp_path) as gateway,
        Stay(target_of(gateway, token=gateway.token())) as device,
    ):
        for held in (0, 29, 31, 0):
            await device.until("online")
            device.clock.advance(held)
            end(gateway, 1012)
            await device.until("offline")
            device.go_on.release()
        await device.until("online")
    assert device.waits == [1, 2, 1, 2]


async def test_time_without_a_link_does_not_count_as_stable() -> None:
    async with Stay(target_of(closed_port(), token="x")) as device:
        for _ in range(4):
            await device.until("offline")
            device.clock.advance(3600)
            device.go_on.release()
    assert device.waits[:4] == [1, 2, 4, 8]


@pytest.mark.parametrize("code", [4500, 4501, 4503])
async def test_device_stays_away_when_told_so(tmp_path: Path, code: int) -> None:
    async with (
        running_gateway(tmp_path) as gateway,
        Stay(target_of(gateway, token=gateway.token())) as device,
    ):
        await device.until("online")
        end(gateway, code)
        error = await device.failed()
    assert (error.exit_code, error.code) == (ExitCode.NOT_ALLOWED, f"close_{code}")


async def test_revoked_token_ends_a_staying_device(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        target = target_of(gateway, token=gateway.token(name="kitchen"))
        async with Stay(target) as device:
            await device.until("online")
            gateway.book.revoke("kitchen")
            assert (await device.failed()).code == "close_4501"


async def test_no_at_the_first_try_is_final(tmp_path: Path) -> None:
    async with (
        running_gateway(tmp_path) as gateway,
        Stay(target_of(gateway, token="wrong")) as device,
    ):
        assert isinstance(await device.failed(), TokenRefused)
    assert device.waits == []


async def test_no_after_having_been_in_is_waited_out_for_a_minute(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        target = target_of(gateway, token=gateway.token(name="kitchen"))
        async with Stay(target) as device:
            await device.until("online")
            end(gateway, 1012)
            await device.until("offline")
            gateway.book.revoke("kitchen")
            device.go_on.release()
            offline = await device.until("offline")
    assert "revoked" in offline.detail
    assert device.waits == [1, 60]


async def test_gateway_that_restarts_is_tried_again_soon(tmp_path: Path) -> None:
    async with (
        running_gateway(tmp_path) as gateway,
        Stay(target_of(gateway, token=gateway.token())) as device,
    ):
        await device.until("online")
        gateway.gateway.desk.draining = True
        end(gateway, 1012)
        await device.until("offline")
        device.go_on.release()
        assert "503" in (await device.until("offline")).detail
        gateway.gateway.desk.draining = False
        device.go_on.release()
        await device.until("online")
    assert device.waits == [1, 2]


async def test_fetched_token_is_kept_when_the_window_closes(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        gateway.book.open_window(600)
        async with Stay(target_of(gateway)) as device:
            await device.until("online")
            gateway.book.close_window()
            end(gateway, 1012)
            await device.until("offline")
            device.go_on.release()
            await device.until("online")
        assert len(gateway.log.all("tokens_given")) == 1


async def test_refused_fetched_token_is_fetched_anew(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, public_tokens="open") as gateway:
        async with Stay(target_of(gateway)) as device:
            await device.until("online")
            end(gateway, 1012)
            await device.until("offline")
            gateway.book.rotate("pico", grace=0)
            device.go_on.release()
            await device.until("offline")
            device.go_on.release()
            await device.until("online")
        assert len(gateway.log.all("tokens_given")) == 2


async def test_message_ids_are_fresh_on_each_link() -> None:
    ids: list[str] = []

    async def keep_ids(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.send(welcome())
        ids.append(json.loads(await connection.recv())["id"])
        await connection.close(1012)

    async with upgrading(keep_ids) as port, Stay(target_of(port, token="x")) as device:
        for _ in range(3):
            await device.until("offline")
            device.go_on.release()
    assert len(set(ids[:3])) == 3


async def test_other_words_of_the_gateway_are_told_escaped() -> None:
    async def talk(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.send(welcome())
        await connection.send('{"type":"error","code":"x","message":"bad \\u001b[31m"}')
        await connection.send('{"type":"\\u001b]0;owned"}')
        await connection.send("{broken")
        await connection.wait_closed()

    async with upgrading(talk) as port, Stay(target_of(port, token="x")) as device:
        assert (await device.until("error")).detail == r"bad \x1b[31m"
        assert "\x1b" not in (await device.until("obeyed")).detail
    assert device.waits == []
