"""The disk is full: the gateway stays, acknowledges nothing that it cannot record, and recovers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from gateway_process import starting_gateway
from insistent_device import InsistentDevice, address_of, made_fleet, talk_all
from outside_looks import Pinger, cpu_seconds, health
from plain_reading import (
    check_devices,
    check_integrity,
    check_order,
    check_pictures,
    check_sessions,
    opened,
)
from small_disk import SmallDisk, mounted

from wsdev.errors import ExitCode

WATCHED = 2.0
"""Seconds in which the gateway tries to write again a few times, and is seen not to spin."""

AT_EASE = 0.4
"""Part of a core that a gateway may take which has nothing to do but to try again."""

ROOM_AT_START = (0, 12_288, 45_056, 90_112)
"""Bytes that are left when a gateway starts: too few at one step of the start or another."""


@pytest.fixture
def disk(tmp_path: Path, need: Callable[[str], str]) -> Iterator[SmallDisk]:
    with mounted(tmp_path / "disk", "12m", need) as made:
        yield made


def check_whole(disk: SmallDisk, folder: Path, fleet: list[InsistentDevice]) -> None:
    copy = disk.copy(folder)
    with opened(copy) as db:
        check_integrity(db)
        check_order(db)
        check_sessions(db, running=False)
        assert check_devices(db, fleet) == sum(device.sent for device in fleet)
        check_pictures(db, copy, kept=5)


def test_full_disk_stops_the_acks_and_nothing_else(disk: SmallDisk, tmp_path: Path) -> None:
    fleet = made_fleet()
    state = disk.path / "state"
    options = ("--log-level", "warning", "--record-pictures", "5")
    with starting_gateway(state, *options, inside=disk.inside) as gateway:
        gateway.wait_until_ready()

        async def visit() -> None:
            await talk_all(fleet, gateway.port, more=50)
            disk.fill()
            waiting = asyncio.create_task(talk_all(fleet, gateway.port, more=2000))
            trouble = await asyncio.to_thread(gateway.wait_for_log, "journal_trouble")
            status, told = await health(gateway.port)
            assert (status, told["status"]) == (503, "degraded")
            assert trouble["cause"].endswith("journal.db is full")
            assert told["reason"].endswith("journal.db is full")
            async with Pinger.connected(address_of(gateway.port)) as pinger:
                before = cpu_seconds(gateway.pid)
                await pinger.ping_for(WATCHED)
                assert cpu_seconds(gateway.pid) - before < AT_EASE * WATCHED
                assert not waiting.done()
                assert (await health(gateway.port))[0] == 503
                disk.free()
                assert await waiting == [None] * len(fleet)  # none was sent away
                await pinger.ping_for(0)
            assert (await health(gateway.port))[0] == 200

        asyncio.run(visit())
        gateway.terminate()
        assert gateway.wait() == 0
    assert len(gateway.log_lines("journal_trouble")) == 1
    assert '"level":"error"' not in gateway.log_text().replace('"level":"error"', "", 1)
    check_whole(disk, tmp_path / "copy", fleet)


def test_what_was_acked_before_a_full_disk_survives_a_kill(disk: SmallDisk, tmp_path: Path) -> None:
    fleet = made_fleet()
    state = disk.path / "state"
    with starting_gateway(state, "--log-level", "warning", inside=disk.inside) as gateway:
        gateway.wait_until_ready()

        async def visit() -> None:
            disk.fill(leave=1_000_000)
            waiting = asyncio.create_task(talk_all(fleet, gateway.port))
            await asyncio.to_thread(gateway.wait_for_log, "journal_trouble")
            gateway.kill()
            await waiting

        asyncio.run(visit())
    assert any(device.acked for device in fleet)
    with opened(disk.copy(tmp_path / "full")) as db:
        check_integrity(db)
        check_devices(db, fleet)
    disk.free()
    with starting_gateway(state, "--log-level", "warning", inside=disk.inside) as gateway:
        gateway.wait_until_ready()
        asyncio.run(talk_all(fleet, gateway.port, more=10))
    check_whole(disk, tmp_path / "copy", fleet)


def test_stop_with_a_full_disk_ends_well_and_says_what_was_not_recorded(
    disk: SmallDisk, tmp_path: Path
) -> None:
    fleet = made_fleet()
    state = disk.path / "state"
    with starting_gateway(state, "--log-level", "warning", inside=disk.inside) as gateway:
        gateway.wait_until_ready()

        async def visit() -> None:
            await talk_all(fleet, gateway.port, more=20)
            disk.fill()
            waiting = asyncio.create_task(talk_all(fleet, gateway.port))
            await asyncio.to_thread(gateway.wait_for_log, "journal_trouble")
            gateway.terminate()
            await waiting

        asyncio.run(visit())
        assert gateway.wait() == 0
    assert gateway.log_lines("not_recorded")
    with opened(disk.copy(tmp_path / "full")) as db:
        check_integrity(db)
        check_devices(db, fleet)


@pytest.mark.parametrize("first", [True, False], ids=["first start", "later start"])
def test_disk_that_is_full_at_the_start_is_told(
    first: bool, disk: SmallDisk, tmp_path: Path
) -> None:
    fleet = made_fleet()
    state = disk.path / "state"
    options = ("--log-level", "warning")

    def run_once() -> None:
        with starting_gateway(state, *options, inside=disk.inside) as gateway:
            gateway.wait_until_ready()
            asyncio.run(talk_all(fleet, gateway.port, more=30))
        assert gateway.log_text() == ""

    if not first:
        run_once()
    statuses = set()
    for leave in ROOM_AT_START:
        disk.fill(leave=leave)
        with starting_gateway(state, *options, inside=disk.inside) as gateway:
            status = gateway.wait_for_end_of_start()
        if status is not None:
            statuses.add(status)
            told, remedy = gateway.log_text().splitlines()
            assert told.startswith("wsdev: ")
            assert "is full" in told or "No space left on device" in told
            assert remedy.startswith("  try: ")
        disk.free()
    assert ExitCode.JOURNAL in statuses
    # The lock and the token book come first: they tell if there is no room for them either.
    assert statuses <= {ExitCode.STATE_FOLDER, ExitCode.TOKEN_BOOK, ExitCode.JOURNAL}
    run_once()
    check_whole(disk, tmp_path / "copy", fleet)
