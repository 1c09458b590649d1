"""The gateway is killed while it has commands: none that is queued is lost, none comes twice."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from commanded_gateway import ask
from gateway_process import GatewayProcess
from plain_reading import check_integrity, check_order, opened

from wsdev.client import DeviceConnection, connect
from wsdev.command_archive import FileArchive
from wsdev.events import Closed, MessageReceived
from wsdev.protocol import PICO, Unknown
from wsdev.session import SessionPolicy
from wsdev.urls import GatewayAddress

PROGRAM = Path(__file__).parents[1] / "commanded_gateway.py"


@contextmanager
def gateway_in(state: Path, *options: str) -> Iterator[GatewayProcess]:
    state.mkdir(exist_ok=True)
    serve = [
        sys.executable,
        str(PROGRAM),
        str(state),
        *options,
        "serve",
        "--port",
        "0",
        "--no-console",
    ]
    serve += ["--state", str(state), "--host", "127.0.0.1", "--log-format", "json", "--drain", "0"]
    gateway = GatewayProcess(serve, {})
    try:
        gateway.wait_until_ready()
        yield gateway
    finally:
        gateway.end()


async def next_command(device: DeviceConnection) -> dict[str, Any] | None:
    """The next message that is a command; None once the link is gone."""
    while True:
        event = await device.next_event()
        if isinstance(event, Closed):
            return None
        if isinstance(event, MessageReceived) and isinstance(event.message, Unknown):
            return event.message.body


def visit(gateway: GatewayProcess, wanted: int) -> list[int]:
    """Be the device until so many commands came, each acknowledged by its type; their numbers."""

    async def stay() -> list[int]:
        got: list[int] = []
        address = GatewayAddress("127.0.0.1", gateway.port)
        async with (
            asyncio.timeout(60),
            connect(address, PICO, None, policy=SessionPolicy()) as device,
        ):
            device.session.hello("kitchen", "test")
            device.flush()
            while len(got) < wanted and (body := await next_command(device)) is not None:
                got.append(body["n"])
                device.session.acknowledge(command_id=None, command_type="servo")
                device.flush()
            if len(got) == wanted:
                gateway.wait_for_log("command", state="acknowledged")
        return got

    return asyncio.run(stay())


def servo(number: int) -> dict[str, Any]:
    return {"type": "servo", "n": number}


def check(state: Path) -> None:
    with opened(state) as db:
        check_integrity(db)
        check_order(db)


def test_queue_survives_a_kill_and_is_delivered_in_order_once(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with gateway_in(state) as gateway:
        ids = ask(state, *map(servo, range(6)))
        gateway.kill()
    with gateway_in(state) as gateway:
        ids += ask(state, servo(6))
        assert visit(gateway, 7) == list(range(7))
        gateway.kill()
    assert len(set(ids)) == 7
    with gateway_in(state) as gateway:
        assert FileArchive(state).queued() == []
    check(state)


def test_command_that_was_marked_and_perhaps_sent_is_lost_and_never_repeated(
    tmp_path: Path,
) -> None:
    state = tmp_path / "state"
    with gateway_in(state, "--die-marked") as gateway:
        marked = ask(state, *map(servo, range(6)))
        assert visit(gateway, 6) == []
        gateway.wait()
    with gateway_in(state) as gateway:
        found = [FileArchive(state).find(command_id) for command_id in marked]
        states = [(one.state.value, one.reason) for one in found if one is not None]
        assert states == [("lost", "lost with the server")] * 4 + [("queued", None)] * 2
        assert visit(gateway, 2) == [4, 5]
    check(state)


def test_command_that_was_sent_before_a_kill_is_not_sent_again(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with gateway_in(state) as gateway:
        ids = ask(state, *map(servo, range(2)))

        async def take_and_kill() -> None:
            address = GatewayAddress("127.0.0.1", gateway.port)
            async with connect(address, PICO, None, policy=SessionPolicy()) as device:
                device.session.hello("kitchen", "test")
                device.flush()
                body = await next_command(device)
                assert body is not None
                assert body["n"] == 0
                gateway.kill()

        asyncio.run(asyncio.wait_for(take_and_kill(), 60))
        gateway.wait()
    with gateway_in(state) as gateway:
        states = [one.state.value for id_ in ids if (one := FileArchive(state).find(id_))]
        assert states == ["lost", "lost"]
        ask(state, servo(9))
        assert visit(gateway, 1) == [9]
    check(state)


@pytest.mark.parametrize("profile", ["micropython-servo", "arduino-links2004", "gilmaimon"])
def test_simulated_devices_answer_what_waited_for_them(profile: str, tmp_path: Path) -> None:
    state = tmp_path / "state"
    with gateway_in(state) as gateway:
        device = f"{profile}-00001"
        ids = ask(state, *map(servo, range(5)), device=device)
        fleet = [sys.executable, "-m", "wsdev", "connect", "--count", "1", "--name", profile]
        fleet += ["--profile", profile, "--device", "pico", "--url", gateway.url("/ws/pico")]
        with subprocess.Popen(fleet, stdout=subprocess.DEVNULL) as process:
            for command_id in ids:
                gateway.wait_for_log("command", id=command_id, state="acknowledged")
            process.terminate()
        told = [(line["id"], line["state"]) for line in gateway.log_lines("command")]
    for state_name in ("sent", "acknowledged"):
        assert [one for one, said in told if said == state_name] == ids
