"""``wsdev console`` as its users have it."""

from __future__ import annotations

import asyncio
import webbrowser
from pathlib import Path

import pytest
from command_line import fails, into, wsdev
from console_commands import run
from console_harness import RunningConsole, running_console
from fake_gateways import closed_port

from wsdev.errors import ExitCode


@pytest.fixture(autouse=True)
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that a browser was told to open, on a host without a screen."""
    found: list[str] = []

    def open_url(url: str) -> bool:
        found.append(url)
        return True

    monkeypatch.setattr(webbrowser, "open", open_url)
    for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    return found


async def shown(console: RunningConsole, *options: str) -> tuple[str, str]:
    done = await run(console, "console", *options)
    assert done.returncode == ExitCode.OK
    return done.stdout, done.stderr


async def test_page_is_opened_where_there_is_a_screen(
    tmp_path: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_console(tmp_path, trust_local=True) as console:
        url = f"{console.url}/"
        assert await shown(console) == (
            f"{url}\n",
            "no screen here: open the address in a browser\n",
        )
        assert not opened
        monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
        assert await shown(console) == (f"{url}\n", "")
        assert opened == [url]
        monkeypatch.setattr(webbrowser, "open", lambda _: False)
        assert "no browser" in (await shown(console))[1]


async def test_login_is_told_and_no_token_goes_to_the_browser(
    tmp_path: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROWSER", "some-browser")
    async with running_console(tmp_path) as console:
        _, err = await shown(console)
        assert err == "log in there with a token of: wsdev tokens create --operator\n"
        assert console.token not in opened[0]


async def test_closed_standard_error_is_nothing_to_fail_of(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console:
        done = await asyncio.to_thread(into, "2>&-", "console", "--console", console.url)
    assert done.returncode == ExitCode.OK


def test_printing_asks_nobody(opened: list[str]) -> None:
    done = wsdev("console", "--print", "--console", "https://host/wsdev/")
    assert (done.returncode, done.stdout) == (0, "https://host:443/wsdev/\n")
    assert not opened


def test_console_that_does_not_run_is_told(opened: list[str]) -> None:
    where = f"127.0.0.1:{closed_port()}"
    fails(ExitCode.REFUSED, "console", "--console", where)
    assert not opened
