"""``wsdev devices`` as its users have it."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from command_line import Running, environment, fails, without_coverage, wsdev
from console_commands import environment_of, fails_with, in_json, run
from console_harness import JPEG, RunningConsole, running_console, send_picture
from fake_gateways import closed_port
from harness import PATIENCE
from rich.console import Console

from wsdev.commands.console_options import EXIT_CODES
from wsdev.commands.device_views import Look, details, summary, table
from wsdev.commands.device_watching import _Changes, _json_writer, _line_writer, _Screen
from wsdev.console_answers import Device, DeviceList
from wsdev.errors import EXIT_CODE_MEANINGS, ExitCode

HOSTILE = "v\x1b[31mred\x1b]0;owned\x07\u202e"


def device(name: str, **fields: Any) -> Device:
    given = {"name": name, "class": "pico", "state": "online", "address": "192.0.2.7", **fields}
    return msgspec.convert(given, Device)


def drawn(what: Any, width: int = 200) -> list[str]:
    console = Console(width=width, color_system=None)
    with console.capture() as captured:
        console.print(what)
    return [line.rstrip() for line in captured.get().splitlines()]


# Once


async def test_devices_are_a_table_those_that_are_there_first(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console:
        async with console.gateway.device(name="attic"):
            pass
        await console.gateway.log.wait_for("disconnected")
        async with console.gateway.device("esp32cam") as camera:
            await camera.hello("hall", version=HOSTILE)
            await send_picture(console, camera, JPEG)
            done = await run(console, "devices")
            lines = done.stdout.splitlines()
            assert [line.split()[:2] for line in lines[1:3]] == [
                ["hall", "online"], ["attic", "offline"],
            ]  # fmt: skip
            assert lines[3] == "1 online, 1 offline"
            heads = "device, state, proof of life, address, class, round trip, in, out, since"
            assert re.split("  +", lines[0].strip()) == [*heads.split(", "), "camera", "version"]
            assert r"v\x1b[31mred\x1b]0;owned\x07\u202e" in lines[1]
            assert "\x1b" not in done.stdout
            document = await in_json(console, "devices")
            assert msgspec.convert(document, DeviceList).devices[1].version == HOSTILE
            one = (await run(console, "devices", "hall")).stdout
            assert re.search(r"connected  for \d\.\d s, session ", one), "by the console's clock"
            for word in ("hall", "esp32cam", "online", "token", "1 picture", "latest links"):
                assert word in one
            assert "\x1b" not in one
            assert (await in_json(console, "devices", "hall"))["name"] == "hall"
        away = (await run(console, "devices", "attic")).stdout
        assert "offline" in away
        assert "1006  cut" in away


async def test_each_way_not_to_get_an_answer_has_its_exit_code(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console:
        assert (await run(console, "devices")).stdout.endswith("no device has been here yet\n")
        lines = await fails_with(ExitCode.NOT_THERE, console, "devices", "nobody")
        assert lines[0] == "wsdev: no device of this name is known"
        wrong = await fails_with(
            ExitCode.TOKEN, console, "devices", "--token", "wsd_operator_wrong"
        )
        assert "wsdev tokens create --operator" in wrong[1]
        url = f"127.0.0.1:{console.gateway.port}"
        other = await fails_with(ExitCode.HTTP, console, "devices", "--console", url)
        assert "port for devices" in other[0]
        url = f"https://127.0.0.1:{console.port}"
        await fails_with(ExitCode.TLS, console, "devices", "--console", url)
        for _ in range(12):
            done = await run(console, "devices", "--token", "wsd_operator_wrong")
        assert done.returncode == ExitCode.NOT_ALLOWED
        assert "too many wrong tokens" in done.stderr


def test_console_that_does_not_run_is_told() -> None:
    url = f"http://127.0.0.1:{closed_port()}"
    assert "wsdev serve" in fails(ExitCode.REFUSED, "devices", "--console", url)[1]


def test_token_that_crosses_a_network_in_plain_text_is_warned_of() -> None:
    where = ["--console", "http://console.invalid", "--token", "wsd_operator_x"]
    done = wsdev("devices", *where)
    assert done.returncode == ExitCode.NAME
    warning = done.stderr.splitlines()[0]
    assert warning == "wsdev: the token goes to http://console.invalid as plain text; use https://"


def test_certificate_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    missing = str(tmp_path / "none.pem")
    fails(ExitCode.CERTIFICATE, "devices", "--console", "https://127.0.0.1", "--cacert", missing)


async def test_commands_of_the_console_import_none_of_its_server(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom wsdev.cli import main\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n    assert not end.code\n"
        "assert not {'starlette', 'uvicorn', 'sqlite3', 'websockets.server'} & set(sys.modules)\n"
    )
    async with running_console(tmp_path) as console:
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", program, "devices"],
            env={**without_coverage(), **environment_of(console)},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr


def test_exit_codes_of_the_consoles_commands_are_told_and_of_no_other_command() -> None:
    told = {ExitCode(int(number)) for number in re.findall(r"\b(\d+) \w", EXIT_CODES)}
    assert told >= {ExitCode.PROTOCOL, ExitCode.CUT, ExitCode.CERTIFICATE, ExitCode.INTERRUPTED}
    assert not [code for code in told if EXIT_CODE_MEANINGS[code].startswith("serve: ")]
    ends = {name: " ".join(wsdev(name, "--help").stdout.split()) for name in ("devices", "watch")}
    assert ends["devices"].endswith("Ctrl-C ends --watch with 0.")
    assert ends["watch"].endswith("130 Ctrl-C: the end of watch, as of logs -f.")


# The look


def test_narrow_terminal_gets_what_matters_most() -> None:
    devices = [device("kitchen", proof_age=3.2, version="1.0")]
    assert drawn(table(devices, 59), 59) == [
        "device   state   proof of life  address    class",
        "kitchen  online  3 s ago        192.0.2.7  pico",
    ]
    assert max(map(len, drawn(table(devices, 20), 20))) <= 20
    assert drawn(table(devices, None))[0].endswith("version")


def test_devices_without_room_are_counted() -> None:
    devices = [device(f"d{number}") for number in range(10)]
    lines = drawn(table(devices, 80, 4))
    assert [line.split()[0] for line in lines] == ["device", "d0", "d1", "d2", "and"]
    assert lines[-1] == "and 7 more"
    assert len(drawn(table(devices, 80, 10))) == 11
    assert summary(devices) == "10 online, 0 offline"


def test_device_of_which_little_is_known_can_be_shown() -> None:
    link = {"session": "s", "address": "::1", "started": 0.0}
    links = [link, {**link, "ended": 5.0, "close_code": 1006, "reason": "\x1b[2J"}]
    shown = "\n".join(drawn(details(device("a", state="asleep", links=links), 80)))
    assert "goes on" in shown
    assert r"1006  \x1b[2J" in shown
    camera = {"size": 1000, "age": 0.1, "frames_per_second": 2.0, "pictures": 3, "viewers": 1}
    shown = "\n".join(drawn(details(device("a", camera=camera, round_trip=0.0034), 80)))
    assert "1.0 kB, now, 2.0 pictures a second, 3 pictures, 1 viewer" in shown
    assert "3.4 ms" in shown
    assert "2.0 fps" in drawn(table([device("a", camera=camera)], None))[1]


# --watch


@contextlib.contextmanager
def watching(console: RunningConsole, token: Path, *options: str) -> Iterator[Running]:
    token.write_text(console.token)
    where = ["--console", console.url, "--token-file", str(token)]
    with Running(["devices", "--watch", *where, *options]) as running:
        yield running


async def line_of(running: Running, word: str) -> str:
    async with asyncio.timeout(PATIENCE):
        return await asyncio.to_thread(running.until, word)


async def test_changes_are_lines_in_a_pipe_also_over_a_restart(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console:
        async with console.gateway.device(name="kitchen"):
            with watching(console, tmp_path / "token") as running:
                await line_of(running, "kitchen   online")
                async with console.gateway.device(name="garden"):
                    assert "\x1b" not in await line_of(running, "garden    online")
                await line_of(running, "garden    offline")
                await console.stop()
                assert running.process.stderr is not None
                gone = await asyncio.to_thread(running.process.stderr.readline)
                assert gone.startswith("wsdev: the console is gone: ")
                async with console.gateway.device(name="attic"):
                    await console.start()
                    await line_of(running, "attic     online")
                code, _, err = await asyncio.to_thread(running.interrupt)
        assert (code, err) == (0, "wsdev: the console is back\n")


async def test_changes_are_documents_for_a_program(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console, console.gateway.device(name="kitchen"):
        with watching(console, tmp_path / "token", "kitchen", "--json") as running:
            assert json.loads(await line_of(running, "kitchen"))["links"]
            code, out, err = await asyncio.to_thread(running.interrupt)
        assert (code, out, err) == (0, "", "")
        with watching(console, tmp_path / "token", "--json") as running:
            assert json.loads(await line_of(running, "kitchen"))["state"] == "online"
            console.gateway.book.revoke("alice")
            code, _, err = await asyncio.to_thread(running.end)
        assert code == ExitCode.TOKEN
        assert "wsdev tokens create --operator" in err


async def test_name_that_is_gone_is_said_also_of_the_one_that_is_watched(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console, console.gateway.device() as pico:
        made_up = next(iter(console.gateway.hub)).name
        with watching(console, tmp_path / "token", made_up, "--json") as running:
            assert json.loads(await line_of(running, made_up))["state"] == "online"
            await pico.hello("kitchen")
            last = json.loads(await line_of(running, made_up))
            code, out, err = await asyncio.to_thread(running.interrupt)
    assert (last["name"], last["state"]) == (made_up, "gone")
    assert (code, out, err) == (0, "", "")


def look(*devices: Device) -> Look:
    return Look(devices, {"devices": msgspec.to_builtins(devices)})


def test_name_that_is_gone_is_said_once_and_forgotten() -> None:
    session = {"session": "s-1"}
    looks = [look(device("pico-1", **session)), *[look(device("kitchen", **session))] * 2, look()]
    documents, lines = io.StringIO(), io.StringIO()
    console = Console(file=lines, width=200, color_system=None)
    views = (_Changes(documents, _json_writer(documents)), _Changes(lines, _line_writer(console)))
    for view in views:
        for one in looks:
            view.show(one)
    told = [json.loads(line) for line in documents.getvalue().splitlines()]
    assert [(one["name"], one["state"]) for one in told] == [
        ("pico-1", "online"), ("pico-1", "gone"), ("kitchen", "online"), ("kitchen", "gone"),
    ]  # fmt: skip
    assert told[1]["class"] == "pico"
    assert [line.split()[1:3] for line in lines.getvalue().splitlines()] == [
        [one["name"], one["state"]] for one in told
    ]


def test_live_view_of_one_device_stays_when_its_name_is_gone() -> None:
    file = io.StringIO()
    console = Console(file=file, width=80, height=20, force_terminal=True, color_system=None)
    with _Screen(console, "http://console.test/", is_one=True) as screen:
        screen.show(look(device("kitchen")))
        screen.show(look())
    left = file.getvalue().rpartition("\x1b[?1049l")[2]
    assert "kitchen" in left
    assert "no such device now" in left


class Terminal:
    """A command in a terminal, and all that it has written there; it is killed after PATIENCE."""

    def __init__(self, *arguments: str, env: dict[str, str]) -> None:
        self._main, child = pty.openpty()
        self.text = ""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "wsdev", *arguments],
            stdin=child,
            stdout=child,
            stderr=child,
            env=environment({"TERM": "xterm-256color", "COLUMNS": "120", "LINES": "20", **env}),
        )
        os.close(child)
        self._watchdog = threading.Timer(PATIENCE, self.process.kill)
        self._watchdog.start()

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._watchdog.cancel()
        self.process.kill()
        self.process.wait()
        os.close(self._main)

    def until(self, word: str) -> None:
        """Return once that was written."""
        while word not in self.text:
            self._more()

    def until_without(self, word: str) -> None:
        """Return once something is written in which that is not."""
        while word in self._more():
            pass

    def _more(self) -> str:
        seen = len(self.text)
        assert self._read(), f"it ended, or was killed, after: {self.text!r}"
        return self.text[seen:]

    def _read(self) -> bool:
        with contextlib.suppress(OSError):  # EIO: the other end is closed
            if chunk := os.read(self._main, 65536):
                self.text += chunk.decode("utf-8", "replace")
                return True
        return False

    def end(self, sign: signal.Signals) -> int:
        """Send the signal; the exit code, once all is read."""
        self.process.send_signal(sign)
        while self._read():
            pass
        return self.process.wait(PATIENCE)


def test_terminal_whose_command_ends_is_not_read_for_ever() -> None:
    with Terminal("--version", env={}) as terminal:
        with pytest.raises(AssertionError, match=r"it ended, or was killed, after: 'wsdev "):
            terminal.until("what it never says")
        assert terminal.process.wait(PATIENCE) == 0


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM], ids=lambda sign: sign.name)
async def test_live_table_ends_well_with_the_cursor_shown_and_the_last_look_left(
    tmp_path: Path, sign: signal.Signals
) -> None:
    name = ["kitchen"] if sign is signal.SIGTERM else []
    async with running_console(tmp_path) as console, console.gateway.device(name="kitchen"):
        arguments = ["devices", *name, "--watch"]
        with Terminal(*arguments, env=environment_of(console)) as terminal:
            await asyncio.to_thread(terminal.until, "kitchen")
            await console.stop()
            await asyncio.to_thread(terminal.until, "is gone for")
            await console.start()
            await asyncio.to_thread(terminal.until_without, "is gone for")
            code = await asyncio.to_thread(terminal.end, sign)
    assert code == 0
    shown, hidden = terminal.text.rfind("\x1b[?25h"), terminal.text.rfind("\x1b[?25l")
    assert shown > hidden >= 0, "the cursor is hidden still"
    assert terminal.text.rfind("\x1b[?1049l") > terminal.text.rfind("\x1b[?1049h")
    assert "kitchen" in terminal.text[terminal.text.rfind("\x1b[?1049l") :]
