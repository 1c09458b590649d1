"""The event loop of a gateway and of a fleet."""

from __future__ import annotations

import asyncio
import sys

import pytest

from wsdev import event_loop


async def module_of_the_loop() -> str:
    return type(asyncio.get_running_loop()).__module__


def test_uvloop_is_taken_where_it_is() -> None:
    assert event_loop.run(module_of_the_loop()).startswith("uvloop")


def test_without_uvloop_it_is_asyncios_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)  # as if it could not be imported
    assert event_loop.run(module_of_the_loop()).startswith("asyncio")
