"""The console's page: the size of its files, and how soon a browser that is new to it shows it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
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
    from playwright.sync_api import Page, Playwright

BROWSER: Final = "chromium"

TARGET_KB: Final = 100.0
TARGET_MS: Final = 300.0

DEVICES: Final = 20

_PAINT: Final = "first paint"
_LINE: Final = "first paint of a line of text, in a browser as new"
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
    # The browser is this user's, and has no token to log in with. One that fails is told.
    ours = gateway(*WITH_CONSOLE, "--trust-local")
    watched = replace(ours, absent=absent_browser(), is_ours=False)
    turns = start_anew([watched], core, scale.rounds, partial(_open_page, core=core))
    shown = {what: turns.figure(what, WSDEV) for what in (_PAINT, _LINE, _SHOWN)}
    rows = [[f"its {len(names())} files", "KB", str(size)]]
    rows += [
        [what, "ms", str(figure) if isinstance(figure, Figure) else f"not measured: {figure}"]
        for what, figure in shown.items()
    ]
    targets = [
        Target("the page's files", TARGET_KB, "KB", size),
        Target("first paint of the page, cold", TARGET_MS, "ms", shown[_PAINT]),
    ]
    return Result([Table("The console's page", ["what", "unit", "median (range)"], rows)], targets)


def absent_browser() -> str:
    """Why no browser can be driven here; empty if one can."""
    if find_spec("playwright") is None:
        return "no playwright here"
    return "" if shutil.which(BROWSER) else "no Chromium here"


def _open_page(server: Server, core: int) -> dict[str, float]:
    from playwright.sync_api import Error, sync_playwright  # noqa: PLC0415  (need not be there)

    # One core is less than any browser has, and the server leaves most of its own.
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores | {core})
    try:
        with connected_devices(server, DEVICES) as devices, sync_playwright() as playwright:
            say_hello(server, devices)
            with _new_page(playwright, server, "/") as page:
                page.locator(_DEVICE).first.wait_for()
                given = {_PAINT: page.evaluate(_FIRST_PAINT), _SHOWN: page.evaluate("shown")}
            with _new_page(playwright, server, "/healthz") as page:
                return {**given, _LINE: page.evaluate(_FIRST_PAINT)}
    except Error as error:
        raise BenchmarkError(f"the browser says: {error.message.splitlines()[0]}") from None
    finally:
        os.sched_setaffinity(0, cores)


@contextmanager
def _new_page(playwright: Playwright, server: Server, path: str) -> Iterator[Page]:
    """A page in a browser with a profile of its own, which is removed again."""
    program = shutil.which(BROWSER)
    browser = playwright.chromium.launch(executable_path=program, args=list(_ARGUMENTS))
    try:
        page = browser.new_page()
        page.set_default_timeout(PATIENCE * 1000)
        page.add_init_script(_NOTE_WHEN_SHOWN)
        page.goto(f"http://{LOOPBACK}:{server.console_port}{path}")
        yield page
    finally:
        browser.close()
