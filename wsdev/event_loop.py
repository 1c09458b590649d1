"""The event loop that both ends run on: uvloop, or asyncio's own where there is none.

uvloop accepts one connection in a turn, so a fleet that comes back at once leaves turns for the
devices that are there; asyncio's own takes in one turn all that wait at the door.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

_Result = TypeVar("_Result")


def run(main: Coroutine[Any, Any, _Result]) -> _Result:
    """Run a coroutine to its end; Ctrl-C cancels it."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(main)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415  (not on every platform)
    except ImportError:
        return None
    return uvloop.new_event_loop
