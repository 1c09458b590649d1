from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
from console_harness import Events, RunningConsole, running_console
from harness import PATIENCE, Device
from test_console_gate import problem

from wsdev.command_archive import FileArchive

SERVO = {"type": "servo", "command": {"servo1": 90}}


async def ask(console: RunningConsole, query: str = "", **body: Any) -> httpx.Response:
    body = {"command": SERVO, **body}
    return await console.client.post(f"/api/devices/kitchen/commands{query}", json=body)


async def answer_one(device: Device, status: str = "success", **fields: object) -> dict[str, Any]:
    """Take a command and answer it."""
    command = await device.receive()
    await device.send({"type": "ack", "id": command["id"], "status": status, **fields})
    return command


async def test_command_is_answered_with_what_the_device_said(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console, console.gateway.device(name="kitchen") as pico:
        asking = asyncio.create_task(ask(console))
        command = await answer_one(pico)
        assert command == {**SERVO, "id": command["id"]}
        answer = await asking
        told = answer.json()
        assert (answer.status_code, told["state"], told["is_over"]) == (200, "acknowledged", True)
        assert (told["id"], told["by"]) == (command["id"], "console:alice")
        assert answer.headers["location"] == f"/api/commands/{command['id']}"
        assert (await console.client.get(answer.headers["location"])).json() == told


async def test_command_that_fails_says_so(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console, console.gateway.device(name="kitchen") as pico:
        asking = asyncio.create_task(ask(console))
        await answer_one(pico, "error")
        answer = await asking
        assert (answer.status_code, answer.json()["state"]) == (200, "failed")


async def test_command_is_not_waited_for_if_so_wished(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console, console.gateway.device(name="kitchen") as pico:
        answer = await ask(console, "?wait=0")
        assert (answer.status_code, answer.json()["state"]) == (202, "sent")
        await console.recorded()  # that it was sent is an event too, once it is on disk
        async with Events.of(console, "?kind=command") as events:
            await answer_one(pico)
            name, data, _ = await events.next("command")
            assert (name, data["event"]) == ("command", "acknowledged")


async def test_device_that_is_away_is_told_of_at_once(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console:
        told = problem(await ask(console), 409, "offline")
        assert (told["offline_since"], told["last_seen"]) == (None, None)
        async with console.gateway.device(name="kitchen") as pico:
            await pico.telemetry(1)
        await console.gateway.log.wait_for("disconnected")
        told = problem(await ask(console), 409, "offline")
        assert isinstance(told["offline_since"], float)
        assert isinstance(told["last_seen"], float)


async def test_device_that_left_before_a_restart_is_known_from_the_journal(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console, console.gateway.device(name="kitchen"):
        pass
    async with running_console(tmp_path) as console:
        assert isinstance(problem(await ask(console), 409, "offline")["last_seen"], float)


async def test_slow_disk_holds_up_no_command_to_a_device_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, disk = threading.Semaphore(0), threading.Event()

    def slow(_: FileArchive, __: str) -> None:
        asked.release()
        disk.wait(PATIENCE)  # on the event loop the test would never end

    monkeypatch.setattr(FileArchive, "last_seen", slow)
    monkeypatch.setattr(FileArchive, "find", slow)
    async with running_console(tmp_path) as console, console.gateway.device(name="hall") as pico:
        try:
            looking = [
                asyncio.create_task(ask(console)),
                asyncio.create_task(console.client.delete("/api/commands/c-0")),
            ]
            for _ in looking:
                assert await asyncio.to_thread(asked.acquire, timeout=PATIENCE)
            sent = [
                console.plane.gateway.commands.submit(
                    "hall", {**SERVO, "n": n}, timeout=10, queue_for=60, by="me"
                )
                for n in range(2)
            ]
            assert [(await answer_one(pico))["n"] for _ in sent] == [0, 1]
            await pico.telemetry(1)
            assert not any(task.done() for task in looking)
        finally:
            disk.set()
        problem(await looking[0], 409, "offline")
        problem(await looking[1], 404, "unknown_command")


async def test_queued_command_is_delivered_when_the_device_comes(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console:
        answer = await ask(console, queue=True, queue_for=60)
        assert (answer.status_code, answer.json()["state"]) == (202, "queued")
        path = answer.headers["location"]
        async with console.gateway.device(name="kitchen") as pico:
            await answer_one(pico)
            await pico.telemetry(1)
            assert (await console.client.get(path)).json()["state"] == "acknowledged"


async def test_queued_command_is_taken_back(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console:
        path = (await ask(console, queue=True)).headers["location"]
        assert (await console.client.delete(path)).json()["state"] == "cancelled"
        problem(await console.client.delete(path), 409, "not_queued")
        problem(await console.client.get("/api/commands/c-0"), 404, "unknown_command")
        problem(await console.client.delete("/api/commands/c-0"), 404, "unknown_command")


async def test_command_that_cannot_be_meant_is_refused(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console, console.gateway.device(name="kitchen"):
        problem(await ask(console, command={}), 422, "bad_command")
        problem(await ask(console, command=[]), 422, "unfit")
        problem(await ask(console, timeout=0), 422, "unfit")
        problem(await ask(console, "?wait=-1"), 422, "unfit")
        large = {"type": "x", "data": "x" * 5000}
        problem(await ask(console, command=large), 422, "command_too_large")
