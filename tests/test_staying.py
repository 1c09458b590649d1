from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_gateways import LOOPBACK, closed_port, upgrading
from harness import Clock, RunningGateway, running_gateway
from websockets.asyncio.server import ServerConnection

from wsdev import staying
from wsdev.connection import Connection
from wsdev.errors import ExitCode, TokenRefused, WsdevError
from wsdev.hub import Outcome, SentCommand
from wsdev.protocol import BUILTIN_CLASSES
from wsdev.staying import Happening
from wsdev.target import Target
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
    return Target(address, BUILTIN_CLASSES[device_class], name, token, patience=patience)


def welcome(device: str = "kitchen") -> str:
    return json.dumps({
        "type": "connection_ack", "device": device, "session": "s", "server_time": 0.0,
        "ping_interval": 20, "max_message_bytes": 65536,
    })  # fmt: skip


def send(
    gateway: RunningGateway,
    command: dict[str, Any],
    on_done: Callable[[SentCommand], None],
    name: str = "kitchen",
) -> None:
    gateway.hub.send(name, command, on_done, now=gateway.clock())


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
            staying.stay(
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
        task = asyncio.create_task(staying.stay(target, 3600, lambda: 0.5, cancel))
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
