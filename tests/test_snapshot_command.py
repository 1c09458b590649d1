"""``wsdev snapshot`` as its users have it."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import environment, fails
from console_commands import environment_of, fails_with, run
from console_harness import JPEG, running_console, send_picture

from wsdev.errors import ExitCode


async def test_picture_is_a_whole_new_file_and_its_size_and_age_are_told(tmp_path: Path) -> None:
    file = tmp_path / "hall.jpg"
    async with (
        running_console(tmp_path / "state") as console,
        console.gateway.device("esp32cam", name="hall") as camera,
    ):
        lines = await fails_with(
            ExitCode.NOT_THERE, console, "snapshot", "hall", "-o", str(tmp_path / "none")
        )
        assert "no picture" in lines[0]
        await send_picture(console, camera, JPEG)
        done = await run(console, "snapshot", "hall", "-o", str(file))
        assert done.returncode == ExitCode.OK
        assert re.fullmatch(
            rf"{re.escape(str(file))}: hall, {len(JPEG)} B, taken \d.* ago\n", done.stderr
        )
        assert file.read_bytes() == JPEG
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        file.write_bytes(b"mine")
        await fails_with(ExitCode.USAGE, console, "snapshot", "hall", "-o", str(file))
        assert file.read_bytes() == b"mine"
        await run(console, "snapshot", "hall", "-o", str(file), "--force")
        assert file.read_bytes() == JPEG
        for where in ("-", "/dev/stdout"):
            through = await _piped(where, environment_of(console))
            assert through.stdout == JPEG
            assert b"hall" in through.stderr
        missing = str(tmp_path / "no-folder" / "x.jpg")
        await fails_with(ExitCode.USAGE, console, "snapshot", "hall", "-o", missing)
        assert sorted(os.listdir(tmp_path)) == ["hall.jpg", "state"]


async def _piped(where: str, env: dict[str, str]) -> subprocess.CompletedProcess[bytes]:
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "wsdev", "snapshot", "hall", "-o", where],
        env=environment(env),
        capture_output=True,
        check=True,
    )


async def test_camera_that_is_away_or_unknown_is_told(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console:
        lines = await fails_with(ExitCode.OFFLINE, console, "snapshot", "hall", "-o", "-")
    assert lines[0] == "wsdev: no device of this name is connected"


def test_terminal_gets_no_picture() -> None:
    main, child = pty.openpty()
    try:
        for where in ("-", os.ttyname(child)):
            done = subprocess.run(
                [sys.executable, "-m", "wsdev", "snapshot", "hall", "-o", where],
                env=environment(),
                stdout=child,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
            )
            assert done.returncode == ExitCode.USAGE
            assert "nothing for a terminal" in done.stderr
    finally:
        os.close(main)
        os.close(child)


def test_place_is_looked_at_before_the_console_is_asked(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").touch()
    fails(ExitCode.USAGE, "snapshot", "hall", "-o", str(tmp_path / "x.jpg"))


@pytest.mark.parametrize("options", [[], ["--force"]], ids=["new", "replaced"])
def test_place_that_cannot_be_looked_at_is_told(tmp_path: Path, options: list[str]) -> None:
    place = str(tmp_path / ("x" * 300))
    lines = fails(ExitCode.USAGE, "snapshot", "hall", "-o", place, *options)
    assert lines[0].startswith("wsdev: cannot write ")
    assert lines[0].endswith("name too long")
