"""Another program holds the journal's file: devices wait for their acks, and nothing else stops."""

from __future__ import annotations

import asyncio
import urllib.request
from pathlib import Path

from gateway_process import running_gateway, starting_gateway
from harness import PING, held_journal
from harness import running_gateway as running_in_process
from insistent_device import InsistentDevice, address_of, made_fleet, talk_all
from outside_looks import Pinger
from plain_reading import check_devices, check_order, check_sessions, opened

from wsdev.codes import CloseCode
from wsdev.connection import Connection
from wsdev.link import Hold
from wsdev.protocol import PICO
from wsdev.session_record import UNRECORDED_ROWS

STALL = 5.0
"""Seconds that the disk takes nothing."""

READ_AT_ONCE = 256 * 1024
"""Bytes that the event loop may take from a socket before it can be told to stop."""


def flood() -> InsistentDevice:
    """A device that hardly waits for acks."""
    return InsistentDevice("flood", PICO, window=6000)


def rows_waiting(metrics_url: str) -> float:
    """What waits for the disk, as Prometheus would be told."""
    with urllib.request.urlopen(metrics_url) as page:
        for line in page.read().decode().splitlines():
            if line.startswith("wsdev_journal_queue_rows "):
                return float(line.split()[1])
    raise AssertionError("the queue is not measured")


def test_stalled_disk_costs_no_pong_and_no_device_and_bounded_memory(tmp_path: Path) -> None:
    others, hasty = made_fleet(), flood()
    fleet = [*others, hasty]
    # At the level `info`, at which the page of the metrics is told.
    options = ("--limit", "messages_per_minute=0", "--metrics-port", "0")
    with starting_gateway(tmp_path, *options) as gateway:
        gateway.wait_until_ready()
        url = gateway.wait_for_log("metrics")["url"]

        async def visit() -> None:
            async with Pinger.connected(address_of(gateway.port)) as pinger:
                await talk_all(fleet, gateway.port, more=20)
                with held_journal(tmp_path):
                    waiting = asyncio.gather(
                        talk_all(others, gateway.port, more=200),
                        talk_all([hasty], gateway.port, more=6000),
                    )
                    await pinger.ping_for(STALL)
                    assert not waiting.done()
                    rows = await asyncio.to_thread(rows_waiting, url)
                for ends in await waiting:
                    assert set(ends) == {None}  # none was sent away
                await pinger.ping_for(0)
            # Of each device, and of the pinger what it asked.
            bound = sum(UNRECORDED_ROWS + READ_AT_ONCE // len(d.message(1)) for d in fleet)
            assert UNRECORDED_ROWS <= rows <= bound + 2 * pinger.count
            assert rows < hasty.sent

        asyncio.run(visit())
        gateway.terminate()
        assert gateway.wait() == 0
    assert len(gateway.log_lines("journal_trouble")) == 1
    assert len(gateway.log_lines("journal_recovered")) == 1
    assert not gateway.log_lines("disconnected", code=CloseCode.NO_SIGN_OF_LIFE)
    with opened(tmp_path) as db:
        check_order(db)
        check_sessions(db, running=False)
        assert check_devices(db, fleet) == sum(device.sent for device in fleet)


def test_flood_of_one_device_holds_up_no_other(tmp_path: Path) -> None:
    patient, hasty = InsistentDevice("patient", PICO, window=1), flood()
    options = ("--limit", "messages_per_minute=0", "--log-level", "warning")
    with running_gateway(tmp_path, *options) as gateway:

        async def visit() -> None:
            flooding = asyncio.create_task(talk_all([hasty], gateway.port))
            await talk_all([patient], gateway.port, more=20)
            assert not flooding.done()
            gateway.terminate()
            await flooding

        asyncio.run(visit())
        assert gateway.wait() == 0
    assert len(patient.acked) == 20
    assert hasty.acked
    with opened(tmp_path) as db:
        check_devices(db, [patient, hasty])


async def test_device_that_is_not_read_is_pinged_and_not_given_up(tmp_path: Path) -> None:
    quick = {"ping_after": 0.1, "dead_after": 1.0}
    async with running_in_process(tmp_path, policy=quick) as gateway:
        async with gateway.device(name="kitchen") as device:
            with held_journal(gateway.folder):
                messages = [{"type": "telemetry", "data": {}, "id": n} for n in range(400)]
                await device.send(*messages)
                for _ in range(10):  # over twice as long as one that is read may be silent
                    assert (await device.read_frame()).opcode == PING
            acked = [(await device.receive())["id"] for _ in messages]
        assert acked == list(range(400))
        assert not gateway.log.all("disconnected", code=CloseCode.NO_SIGN_OF_LIFE)


async def test_device_that_is_read_again_has_time_to_prove_that_it_lives(tmp_path: Path) -> None:
    async with running_in_process(tmp_path) as gateway, gateway.device(name="kitchen") as device:
        port = gateway.member("kitchen").port
        assert isinstance(port, Connection)
        link = port.link
        link.hold(Hold.JOURNAL)
        gateway.clock.advance(600)
        link.release(Hold.JOURNAL)
        link.sweep(gateway.clock())  # before the event loop has read what came meanwhile
        await device.telemetry(1)
