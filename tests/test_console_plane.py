from __future__ import annotations

import threading
from pathlib import Path

from console_harness import running_console


async def test_work_aside_is_done_in_a_thread(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console:
        name = await console.plane.aside(lambda: threading.current_thread().name)
        assert name.startswith("console")


async def test_plane_is_closing_once_its_streams_are_to_end(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console:
        assert not console.plane.closing.is_set()
        console.plane.end_streams()
        assert console.plane.closing.is_set()
