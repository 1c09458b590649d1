"""The console's page: the size of its files, and how soon a browser that is new to it shows it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from benchmarks.contestants import WITH_CONSOLE, WSDEV, gateway
from benchmarks.figures import Figure, Result, Table, Target
from benchmarks.load import connected_devices, say_hello
from benchmarks.scale import Scale
from benchmarks.servers import LOOPBACK, PATIENCE, BenchmarkError, Server
from benchmarks.turns import start_anew
from wsdev.console.page import names, read_file

if TYPE_CHECKING:
    from playwright.sync_api import Playwright

BROWSER: Final = "chromium"

TARGET_KB: Final = 100.0
TARGET_MS: Final = 300.0

DEVICES: Final = 20

_PAINT: Final = "first paint"
_SHOWN: Final = "first device in the list"

# As root it runs in no sandbox of its own.
_ARGUMENTS: Final = ("--no-sandbox", "--disable-gpu")

# Milliseconds since the navigation began.
_FIRST_PAINT: Final = """
    new Promise((resolve) => new PerformanceObserver((list) => {
        const paint = list.getEntriesByName("first-contentful-paint")[0];
        if (paint) resolve(paint.startTime);
    }).observe({ type: "paint", buffered: true }))
"""
_DEVICE: Final = "main [data-key]"
_NOTE_WHEN_SHOWN: Final = f"""
    new MutationObserver((_, observer) => {{
        if (!document.querySelector("{_DEVICE}")) return;
        window.shown = performance.now();
        observer.disconnect();
    }}).observe(document, {{ childList: true, subtree: true }})
"""


def measure_page(core: int, scale: Scale) -> Result:
    """Bytes, and milliseconds with a new gateway and a new browser each time."""
    size = Figure([sum(len(read_file(name)) for name in names()) / 1024])
    shown = _shown(core, scale)
    table = Table(
        "The console's page",
        ["what", "unit", "median (range)"],
        [
            [f"its {len(names())} files", "KB", str(size)],
            *([what, "ms", str(figure)] for what, figure in shown.items()),
        ],
    )
    targets = [
        Target("the page's files", TARGET_KB, "KB", size),
        Target("first paint of the page, cold", TARGET_MS, "ms", shown[_PAINT]),
    ]
    return Result([table], targets)


def absent_browser() -> str:
    """Why no browser can be driven here; empty if one can."""
    if find_spec("playwright") is None:
        return "no playwright here"
    return "" if shutil.which(BROWSER) else "no Chromium here"


def _shown(core: int, scale: Scale) -> dict[str, Figure | str]:
    if absent := absent_browser():
        return {_PAINT: f"not measured: {absent}", _SHOWN: f"not measured: {absent}"}
    # The browser is this user's, and has no token to log in with. One that fails is told.
    ours = replace(gateway(*WITH_CONSOLE, "--trust-local"), is_ours=False)
    turns = start_anew([ours], core, scale.rounds, _open_page)
    return {what: turns.figure(what, WSDEV) for what in (_PAINT, _SHOWN)}


def _open_page(server: Server) -> dict[str, float]:
    from playwright.sync_api import Error, sync_playwright  # noqa: PLC0415  (need not be there)

    with connected_devices(server, DEVICES) as devices, sync_playwright() as playwright:
        say_hello(server, devices)
        try:
            return _look(server, playwright)
        except Error as error:
            raise BenchmarkError(f"the browser says: {error.message.splitlines()[0]}") from None


def _look(server: Server, playwright: Playwright) -> dict[str, float]:
    # A profile of its own, which is removed again.
    browser = playwright.chromium.launch(
        executable_path=shutil.which(BROWSER), args=list(_ARGUMENTS)
    )
    try:
        page = browser.new_page()
        page.set_default_timeout(PATIENCE * 1000)
        page.add_init_script(_NOTE_WHEN_SHOWN)
        page.goto(f"http://{LOOPBACK}:{server.console_port}/")
        page.locator(_DEVICE).first.wait_for()
        return {_PAINT: page.evaluate(_FIRST_PAINT), _SHOWN: page.evaluate("window.shown")}
    finally:
        browser.close()
