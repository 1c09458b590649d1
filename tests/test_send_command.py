"""``wsdev send`` as its users have it."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from pathlib import Path
from typing import Any

import pytest
import respx
from command_line import Running, fails, into, wsdev
from console_commands import SERVO, answer, fails_with, run
from console_harness import RunningConsole, running_console
from fake_gateways import serving
from harness import PATIENCE, Device

from wsdev.commands import sending
from wsdev.commands.sending import end_of
from wsdev.console_answers import SentCommand
from wsdev.errors import ExitCode, ProtocolViolation

SEND = ("send", "kitchen", SERVO)


async def sent_to(console: RunningConsole, device: Device, status: str, **fields: Any) -> Any:
    """A command that the device answers so."""
    running = asyncio.create_task(run(console, *SEND))
    await answer(device, status, **fields)
    return await running


# What became of it


async def test_ack_is_printed_and_the_exit_code_tells_success_from_failure(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console, console.gateway.device(name="kitchen") as pico:
        good = await sent_to(console, pico, "success", servo1=90)
        assert (good.returncode, good.stderr) == (ExitCode.OK, "")
        assert re.match(r"kitchen  acknowledged  servo c-\S+  after \d", good.stdout)
        failed = await sent_to(console, pico, "error")
        assert failed.returncode == ExitCode.COMMAND_FAILED
        assert failed.stdout.startswith("kitchen  failed  servo c-")
        assert failed.stderr.startswith("wsdev: kitchen says that the command failed")
        ignored = await sent_to(console, pico, "ignored")
        assert ignored.returncode == ExitCode.COMMAND_IGNORED


async def test_device_that_is_away_is_told_at_once(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console:
        lines = await fails_with(ExitCode.OFFLINE, console, *SEND)
    assert lines[0] == "wsdev: kitchen is offline, and was never seen"
    assert "--queue 1h" in lines[1]


async def test_no_answer_in_time_is_told_from_never_sent(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console, console.gateway.device(name="kitchen"):
        late = await run(console, *SEND, "--timeout", "100ms")
        assert late.returncode == ExitCode.COMMAND_TIMED_OUT
        assert "may have been carried out" in late.stderr
        never = await run(console, "send", "garden", SERVO, "--queue", "100ms")
        assert never.returncode == ExitCode.COMMAND_EXPIRED
        assert "never sent" in never.stderr


async def test_device_that_leaves_before_its_answer_loses_the_command(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console:
        async with console.gateway.device(name="kitchen") as pico:
            running = asyncio.create_task(run(console, *SEND))
            await pico.receive()
        lost = await running
    assert lost.returncode == ExitCode.COMMAND_LOST
    assert "may have been carried out" in lost.stderr


async def test_queued_command_is_waited_for_until_the_device_has_answered(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console:
        running = asyncio.create_task(run(console, *SEND, "--queue", "1h"))
        await console.gateway.log.wait_for("command", state="queued")
        async with console.gateway.device(name="kitchen") as pico:
            await answer(pico, "success")
            done = await running
    assert done.returncode == ExitCode.OK
    assert "acknowledged" in done.stdout


async def test_without_waiting_the_id_is_all_that_is_printed(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console, console.gateway.device(name="kitchen") as pico:
        done = await run(console, *SEND, "--no-wait")
        assert done.returncode == ExitCode.OK
        assert done.stdout == f"{(await pico.receive())['id']}\n"


async def test_json_is_the_consoles_document_and_its_exit_code_the_same(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console, console.gateway.device(name="kitchen") as pico:
        running = asyncio.create_task(run(console, *SEND, "--json"))
        await answer(pico, "error", why="\x1b[31m\u202e")
        done = await running
    assert (done.returncode, done.stderr) == (ExitCode.COMMAND_FAILED, "")
    assert done.stdout.isprintable() or done.stdout.rstrip("\n").isprintable()
    document = json.loads(done.stdout)
    assert (document["state"], document["command"]) == ("failed", json.loads(SERVO))


async def test_restart_of_the_console_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said, say = threading.Event(), sending._say

    def saying(text: str) -> None:
        say(text)
        said.set()

    monkeypatch.setattr(sending, "_say", saying)
    async with running_console(tmp_path) as console, console.gateway.device(name="kitchen") as pico:
        running = asyncio.create_task(run(console, *SEND))
        command = await pico.receive()
        await console.stop()
        assert await asyncio.to_thread(said.wait, PATIENCE)
        await pico.send({"type": "ack", "id": command["id"], "status": "success"})
        await console.start()
        done = await running
    assert done.returncode == ExitCode.OK
    assert done.stderr.startswith("wsdev: the console is gone: ")


async def test_console_that_stays_away_is_given_up_and_the_id_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "GIVEN_UP_AFTER", 0.0)
    async with running_console(tmp_path) as console, console.gateway.device(name="kitchen") as pico:
        running = asyncio.create_task(run(console, *SEND))
        command = await pico.receive()
        await console.stop()
        done = await running
    assert done.returncode in {ExitCode.REFUSED, ExitCode.HTTP}
    assert f"the command {command['id']} goes on without us" in done.stderr
    assert f"/api/commands/{command['id']}" in done.stderr


@pytest.mark.parametrize(
    ("status", "code", "cause", "hint"),
    [
        (401, ExitCode.TOKEN, "it ended; the command c-7 goes on without us", "tokens create"),
        (404, ExitCode.COMMAND_LOST, "the console knows the command c-7 no more", "carried out"),
        (500, ExitCode.PROTOCOL, "it ended; the command c-7 goes on without us", "/commands/c-7"),
    ],
)
def test_error_while_it_is_waited_for_keeps_the_commands_id(
    status: int, code: ExitCode, cause: str, hint: str
) -> None:
    command = {"id": "c-7", "device": "kitchen", "state": "sent", "type": "servo", "asked": 0}
    problem = {"status": status, "code": "x", "detail": "it ended"}
    headers = {"content-type": "application/problem+json"}
    url = "http://console.test:3001"
    with respx.mock(base_url=url) as web:
        route = web.post("/api/devices/kitchen/commands?wait=0")
        route.respond(202, json={**command, "is_over": False})
        web.get("/api/commands/c-7").respond(status, json=problem, headers=headers)
        lines = fails(code, *SEND, "--console", url)
        assert route.call_count == 1
    assert lines[0] == f"wsdev: {cause}"
    assert hint in lines[1]


async def test_ctrl_c_says_that_the_command_goes_on_and_its_id(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console:
        token = tmp_path / "token"
        token.write_text(console.token)
        arguments = [*SEND, "--queue", "1h", "--console", console.url, "--token-file", str(token)]
        with Running(arguments) as running:
            assert running.process.stderr is not None
            queued = await asyncio.to_thread(running.process.stderr.readline)
            code, out, err = await asyncio.to_thread(running.interrupt)
    command_id = re.search(r"c-\S+(?= is queued until )", queued)
    assert command_id is not None
    assert (code, out) == (ExitCode.INTERRUPTED, "")
    assert f"the command {command_id[0]} goes on without us" in err
    assert f"{console.url}/api/commands/{command_id[0]}" in err


async def test_ctrl_c_before_the_console_answers_says_that_it_may_have_been_sent() -> None:
    asked = asyncio.Event()

    async def stay_silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.readuntil(SERVO.partition(":")[0].encode())
        asked.set()
        await reader.read()

    async with serving(stay_silent) as port:
        with Running([*SEND, "--console", f"http://127.0.0.1:{port}"]) as running:
            async with asyncio.timeout(PATIENCE):
                await asked.wait()
            code, out, err = await asyncio.to_thread(running.interrupt)
    assert (code, out) == (ExitCode.INTERRUPTED, "")
    assert "the command may have been sent" in err.splitlines()[0]


def test_state_of_a_later_console_is_told() -> None:
    command = SentCommand(id="c", device="d", state="x\x1b", is_over=True, type="t", asked=0.0)
    assert isinstance(end_of(command), ProtocolViolation)


# Arguments


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"type":"servo" "x":1}', 'at line 1 column 17: {"type":"servo"  >>> "x":1}'),
        ("{'type':1}", "at line 1 column 2: { >>> 'type':1}"),
        ("", "at line 1 column 1: >>>"),
        ('{"a":"' + "x" * 50 + '\x1b"}', r"x >>> \x1b"),
        ('{"a":NaN}', "NaN is no number"),
        ('{"a":1e999}', "1e999 is out of range"),
        ('{"a":[{"b\\u001b":1,"b\\u001b":2}]}', r"of one name: b\x1b"),
        ("[" * 100_000, "at most 65,536"),
        ("[" * 60_000, "recursion"),
        ("[1]", "not an object"),
    ],
)
def test_json_that_breaks_is_told_with_its_place(text: str, told: str) -> None:
    lines = fails(ExitCode.USAGE, "send", "kitchen", text)
    assert told in " ".join(lines)
    assert "\x1b" not in lines[0]


def test_command_comes_from_stdin() -> None:
    done = wsdev("send", "kitchen", "-", stdin='{"type":\n')
    assert done.returncode == ExitCode.USAGE
    assert 'at line 1 column 9: {"type": >>>' in done.stderr
    assert "twice" in wsdev("send", "kitchen", "-", "--token-file", "-").stderr


def test_closed_stdin_is_told() -> None:
    assert into("<&-", "send", "kitchen", "-").stderr.startswith("wsdev: stdin is closed\n")


@pytest.mark.parametrize(
    "options",
    [
        ["--timeout", "2h"],
        ["--timeout", "0"],
        ["--queue", "31d"],
        ["--queue", "soon"],
        ["--console", "ftp://host"],
        ["--console", "http://alice:secret@host"],
        ["--token", "tökén"],
    ],
    ids=" ".join,
)
def test_option_that_cannot_be_meant_is_told(options: list[str]) -> None:
    lines = fails(ExitCode.USAGE, *SEND, *options)
    assert lines[1].startswith("  try: ")
    assert "secret" not in lines[0]


def test_device_without_a_name_is_told() -> None:
    assert "wsdev devices" in fails(ExitCode.USAGE, "send", "", SERVO)[1]


async def test_command_that_no_device_can_take_is_told(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console:
        lines = await fails_with(ExitCode.USAGE, console, "send", "kitchen", "{}")
    assert "a type or an action" in lines[0]
