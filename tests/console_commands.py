"""The commands that ask a console, run in a thread beside the console of the same test."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from command_line import Done, fails, wsdev
from console_harness import RunningConsole
from harness import Device

from wsdev.errors import ExitCode

SERVO = '{"type":"servo","command":{"servo1":90}}'


def environment_of(console: RunningConsole) -> dict[str, str]:
    """Where the console is, and a token for it."""
    return {"WSDEV_CONSOLE_URL": console.url, "WSDEV_OPERATOR_TOKEN": console.token}


async def run(console: RunningConsole, *arguments: str, **options: Any) -> Done:
    """Run a command to its end; the console's token is nowhere in what it prints."""
    done = await asyncio.to_thread(wsdev, *arguments, env=environment_of(console), **options)
    assert console.token not in done.stdout + done.stderr
    return done


async def fails_with(code: ExitCode, console: RunningConsole, *arguments: str) -> list[str]:
    """Run a command that must fail; its one line and its hint."""
    return await asyncio.to_thread(fails, code, *arguments, env=environment_of(console))


async def in_json(console: RunningConsole, *arguments: str) -> Any:
    """What a command prints with ``--json``."""
    return json.loads((await run(console, *arguments, "--json")).stdout)


async def answer(device: Device, status: str, **fields: Any) -> None:
    """Take a command and answer it."""
    command = await device.receive()
    await device.send({"type": "ack", "id": command["id"], "status": status, **fields})
