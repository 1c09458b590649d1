"""The console's page in a real browser, beside a real gateway and devices that come and go."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from gateway_process import GatewayProcess, running_gateway
from playwright.sync_api import Browser, Page, expect, sync_playwright
from websockets.sync.client import ClientConnection, connect

PATIENCE = 20_000
"""Milliseconds after which the page has failed to show something; never a time to wait."""

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

_CONSOLE = re.compile(r"^  (https?://\S+)/$", re.MULTILINE)

expect.set_options(timeout=PATIENCE)


class Console(NamedTuple):
    """A gateway, and its page's address."""

    gateway: GatewayProcess
    url: str


@contextlib.contextmanager
def running_browser() -> Iterator[Browser]:
    """The Chromium of the system; none is ever fetched."""
    chromium = shutil.which("chromium") or pytest.skip("chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


def console_url(gateway: GatewayProcess) -> str:
    """Where the gateway's console is, as its banner says."""
    *_, url = _CONSOLE.findall(gateway.banner)
    return str(url)


@contextlib.contextmanager
def running_console(state: Path, *options: str, port: int = 0) -> Iterator[Console]:
    """A gateway with a console; a port of 0 is a free one."""
    given = ("--console", "--console-port", str(port), *options)
    with running_gateway(state, *given) as gateway:
        yield Console(gateway, console_url(gateway))


@contextlib.contextmanager
def device(gateway: GatewayProcess, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """``wsdev connect`` with these options for as long as the block runs."""
    command = [sys.executable, "-m", "wsdev", "connect", "--url", gateway.url(""), *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.wait()


def staying(kind: str, name: str, interval: str = "1s", *more: str) -> Sequence[str]:
    """Options of a virtual device that stays."""
    return ("--device", kind, "--name", name, "--stay", "--interval", interval, *more)


@contextlib.contextmanager
def raw_device(
    gateway: GatewayProcess, hello: dict[str, Any], token: str | None = None, kind: str = "pico"
) -> Iterator[ClientConnection]:
    """A device that says what the test wants; it came in when this yields."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    # An ack of the hello says that it is in.
    with connect(gateway.url(f"/ws/{kind}"), additional_headers=headers, proxy=None) as link:
        link.send(json.dumps(hello))
        link.recv()
        yield link


@contextlib.contextmanager
def page_of(
    browser: Browser,
    url: str,
    *,
    path: str = "/",
    width: int = 1280,
    height: int = 800,
    **more: Any,
) -> Iterator[Page]:
    """A page of its own session, which must not complain of anything in the browser's console."""
    with watched_page(browser, width=width, height=height, **more) as (page, complaints):
        page.goto(url + path)
        yield page
        assert not complaints, complaints


class WatchedPage(NamedTuple):
    """A page, and of what it complained in the browser's console."""

    page: Page
    complaints: list[str]


@contextlib.contextmanager
def watched_page(
    browser: Browser, *, width: int = 1280, height: int = 800, **more: Any
) -> Iterator[WatchedPage]:
    """An empty page of its own session."""
    more.setdefault("locale", "en-GB")
    context = browser.new_context(viewport={"width": width, "height": height}, **more)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: complaints.append(dialog.message))
    page.on("console", lambda said: _complain(complaints, said.type, said.text))
    try:
        yield WatchedPage(page, complaints)
    finally:
        context.close()


_EXPECTED = re.compile(r"Failed to load resource|ERR_")
"""What Chromium says of each answer that is no success, and of a gateway that is away."""


def _complain(complaints: list[str], kind: str, text: str) -> None:
    if kind in {"error", "warning"} and not _EXPECTED.search(text):
        complaints.append(text)
