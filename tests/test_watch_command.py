"""``wsdev watch`` as its users have it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from command_line import Running, fails
from console_harness import RunningConsole, running_console
from harness import PATIENCE
from made_journal import START

from wsdev.commands.event_views import _line_writer, _row
from wsdev.console_following import Told
from wsdev.errors import ExitCode

HOSTILE = "\x1b[2J\u202e"


def watching(console: RunningConsole, token: Path, *options: str) -> Running:
    token.write_text(console.token)
    where = ["--console", console.url, "--token-file", str(token)]
    return Running(["watch", *where, *options])


async def is_followed(console: RunningConsole) -> None:
    async with asyncio.timeout(PATIENCE):
        while not len(console.plane.feed):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def line_of(running: Running, word: str) -> str:
    async with asyncio.timeout(PATIENCE):
        return await asyncio.to_thread(running.until, word)


async def test_events_are_lines_and_nothing_is_left_out_over_a_restart(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console, console.gateway.device(name="kitchen") as pico:
        options = ("--device", "kitchen", "--type", "message,disconnected")
        with watching(console, tmp_path / "token", *options) as running:
            await is_followed(console)
            async with console.gateway.device(name="other") as other:
                await other.telemetry("of-another-device")
            await pico.telemetry(HOSTILE)
            line = await line_of(running, "telemetry")
            assert "of-another-device" not in line
            assert "kitchen   → telemetry" in line
            assert "\x1b" not in line
            await console.stop()
            assert running.process.stderr is not None
            gone = await asyncio.to_thread(running.process.stderr.readline)
            assert gone.startswith("wsdev: the console is gone: ")
            await pico.telemetry("meanwhile")
            await console.start()
            await line_of(running, "meanwhile")
            code, _, err = await asyncio.to_thread(running.interrupt)
    assert (code, err) == (ExitCode.INTERRUPTED, "wsdev: the console is back\n")


async def test_events_are_documents_for_a_program_and_end_with_their_reader(
    tmp_path: Path,
) -> None:
    async with running_console(tmp_path) as console, console.gateway.device(name="kitchen") as pico:
        with watching(console, tmp_path / "token", "--json") as running:
            await is_followed(console)
            await pico.telemetry(HOSTILE)
            line = await line_of(running, "telemetry")
            assert "\x1b" not in line
            told = json.loads(line)
            assert (told["kind"], told["event"], told["device"]) == (
                "message", "telemetry", "kitchen",
            )  # fmt: skip
            assert running.process.stdout is not None
            running.process.stdout.close()
            async with asyncio.timeout(PATIENCE):
                code = await asyncio.to_thread(running.process.wait)
            running.process.stdout = None
    assert code == 0


def test_unknown_type_is_told() -> None:
    lines = fails(ExitCode.USAGE, "watch", "--type", "connected,nonsense\x1b")
    assert lines[0] == r"wsdev: --type: nonsense\x1b is none"
    assert "disconnected" in lines[1]


# Events that no journal holds, or that a later console tells


def row(name: str, **data: Any) -> tuple[str, str, str]:
    line = _row(Told(name, data), short=False).line
    return line.who, line.what, line.details


def test_new_name_is_told() -> None:
    told = {"device": "kitchen", "class": "pico", "session": "s-1"}
    assert row("renamed", **told) == ("kitchen", "renamed", "pico  session s-1")


def test_another_journal_is_told() -> None:
    assert row("reset") == ("gateway", "reset", "it has another journal now")


@pytest.mark.parametrize(
    "data",
    [
        {"kind": "mood", "device": "kitchen"},
        {"kind": "message", "device": "kitchen", "time": "soon"},
        {"kind": "message", "device": "kitchen", "time": 5},
        {"kind": ["message"], "device": "kitchen"},
    ],
    ids=repr,
)
def test_event_that_is_not_known_is_shown_as_it_came(data: dict[str, Any]) -> None:
    who, what, details = row("mood\x1b", **data)
    assert (who, what) == ("kitchen", r"mood\x1b")
    assert json.loads(details) == data


def test_event_of_nobody_is_shown() -> None:
    assert row("mood", device=7) == ("?", "mood", '{"device":7}')


def test_lines_are_those_of_the_journal(capsys: pytest.CaptureFixture[str]) -> None:
    import sys  # noqa: PLC0415

    fields = {
        "sequence": 1, "time": "2024-01-01T08:00:00.000Z", "kind": "gateway", "event": "dozing",
        "version": "9\x1b",
    }  # fmt: skip
    _line_writer(sys.stdout)(Told("gateway", fields))
    assert capsys.readouterr().out.split()[1:] == ["gateway", "dozing", "wsdev", r"9\x1b"]
    assert START == 1704096000000
