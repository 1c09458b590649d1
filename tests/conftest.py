"""What every test gets: coroutines run, tools asked for, leftovers and CI skips made failures."""

from __future__ import annotations

import asyncio
import inspect
import os
import shutil
import threading
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# The first run of a coroutine or a full /proc read under coverage is slow once, not wrong.
settings.register_profile("wsdev", settings.get_profile("default"), deadline=None)
if not os.environ.get("CI"):  # there hypothesis loads its own profile, which has no deadline
    settings.load_profile("wsdev")

SECONDS_TO_END = 2.0
"""How long a thread that was told to end may take to do so on a busy machine."""


# Coroutine tests


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run ``async def`` tests, and fail those that leave a task running."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    arguments = {name: pyfuncitem.funcargs[name] for name in names}

    async def run() -> None:
        await pyfuncitem.obj(**arguments)
        if left := asyncio.all_tasks() - {asyncio.current_task()}:
            pytest.fail(f"tasks left running: {', '.join(map(repr, left))}")

    asyncio.run(run(), debug=True)
    return True


# Leftovers


def _children() -> set[int]:
    """The ids of this process's children, ended ones that nobody waited for included."""
    while True:
        listings = Path("/proc/self/task").glob("*/children")  # none where there is no /proc
        try:
            return {int(pid) for listing in listings for pid in listing.read_text().split()}
        except (FileNotFoundError, ProcessLookupError):
            continue  # a thread ended meanwhile: its children are another thread's now


@pytest.fixture(autouse=True)
def _nothing_is_left_running() -> Iterator[None]:
    """Fail a test that leaves a thread or a child process; wider fixtures may keep theirs."""
    threads, children = set(threading.enumerate()), _children()
    yield
    for thread in (new := set(threading.enumerate()) - threads):
        thread.join(SECONDS_TO_END)
    alive = sorted(thread.name for thread in new if thread.is_alive())
    assert not alive, f"threads left running: {', '.join(alive)}"
    left = _children() - children
    assert not left, f"child processes left: {sorted(left)}"


# Tools


@pytest.fixture
def need() -> Callable[[str], str]:
    """Call it with a program's name: the program's path, or the test is skipped."""

    def find(tool: str) -> str:
        # Debian keeps ip and nft in sbin, which is not on every user's PATH.
        search = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
        path = shutil.which(tool, path=search)
        return path or pytest.skip(f"{tool} is not installed")

    return find


_Report = TypeVar("_Report", pytest.TestReport, pytest.CollectReport)


def _no_skip_in_ci(report: _Report) -> _Report:
    """Turn a skip into a failure where nobody would read it."""
    if os.environ.get("CI") and report.skipped and not hasattr(report, "wasxfail"):
        _, _, reason = report.longrepr if isinstance(report.longrepr, tuple) else ("", 0, "")
        report.outcome = "failed"
        report.longrepr = f"{reason}\nIn CI nothing may be skipped."
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Skips inside tests and fixtures, and by mark."""
    return _no_skip_in_ci((yield))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Skips of whole modules."""
    return _no_skip_in_ci((yield))


# The browser


# While it is there, an event loop counts as running: no coroutine test could.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for all tests of a file: its start takes as long as most of them."""
    from console_page import running_browser  # noqa: PLC0415 (only in the folder of these tests)

    with running_browser() as running:
        yield running
