"""The gateway is killed at each of the system calls by which it makes or recovers its journal."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from gateway_process import starting_gateway
from insistent_device import InsistentDevice, talk_all
from plain_reading import (
    JOURNAL,
    check_devices,
    check_integrity,
    check_order,
    check_sessions,
    opened,
)

from wsdev.protocol import PICO

QUIET = ("--log-level", "warning")

CALLS = "pwrite64,ftruncate,unlink,fdatasync,fsync"
"""By which SQLite changes a file."""

ALL = int(os.environ.get("WSDEV_KILLS", "8")) >= 100
"""Each such call in the long run, a few in the usual one."""


def killed_at(number: int, state: Path, strace: str) -> bool:
    """Kill a gateway as it begins its call ``number`` on the journal; False if it made fewer."""
    names = [f"{state / JOURNAL}{tail}" for tail in ("", "-wal", "-journal")]
    paths = [word for name in names for word in ("-P", name)]
    inject = f"inject={CALLS}:signal=KILL:when={number}"
    command = (strace, "-D", "-f", "-qq", "-o", os.devnull, *paths, "-e", inject)
    with starting_gateway(state, *QUIET, inside=command) as gateway:
        return gateway.wait_for_end_of_start() is not None


@pytest.mark.parametrize(
    ("first", "step"), [(True, 20), (False, 4)], ids=["first start", "recovery"]
)
def test_kill_at_any_step_of_a_start_is_recovered_from(
    first: bool, step: int, tmp_path: Path, need: Callable[[str], str]
) -> None:
    strace = need("strace")
    said = InsistentDevice("kitchen", PICO, window=50)
    state = tmp_path / "state"
    number = kills = 0
    while True:
        number += 1 if ALL else step
        if first:
            state = tmp_path / str(number)
            said = InsistentDevice("kitchen", PICO, window=50)
        elif not kills:
            with starting_gateway(state, *QUIET) as gateway:
                gateway.wait_until_ready()
                asyncio.run(talk_all([said], gateway.port, more=100))
                gateway.kill()
        if not killed_at(number, state, strace):
            break
        kills += 1
        with starting_gateway(state, *QUIET) as gateway:
            gateway.wait_until_ready()
            asyncio.run(talk_all([said], gateway.port, more=10))
            gateway.kill()
        assert "journal_set_aside" not in gateway.log_text()
        with opened(state) as db:
            check_integrity(db)
            check_order(db)
            check_sessions(db, running=True)
            check_devices(db, [said])
    assert kills
    print(f"{kills} kills")  # noqa: T201
