"""A stop under load: what was acknowledged is on disk, with one signal and with two."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

from gateway_process import starting_gateway
from insistent_device import InsistentDevice, address_of, made_fleet, talk_all
from plain_reading import check_devices, check_integrity, check_order, check_sessions, opened

from wsdev.codes import CloseCode
from wsdev.protocol import PICO

FAST = ("--log-level", "warning", "--limit", "messages_per_minute=0")

ACKS = 500
"""So many have come when the signal is sent."""


def test_sigterm_under_load_acknowledges_what_it_took_and_ends_well(tmp_path: Path) -> None:
    fleet = made_fleet()
    for _ in range(2):
        acks = 0
        with starting_gateway(tmp_path, *FAST) as gateway:
            gateway.wait_until_ready()

            def count() -> None:
                nonlocal acks
                acks += 1
                if acks == ACKS:
                    gateway.terminate()

            ends = asyncio.run(talk_all(fleet, gateway.port, on_ack=count))
            assert gateway.wait() == 0
        assert gateway.log_text() == ""
        for device, end in zip(fleet, ends, strict=True):
            if device.device_class is PICO:  # a camera is cut off, which its library takes better
                assert end is not None
                assert end.code == CloseCode.RESTART
        with opened(tmp_path) as db:
            check_integrity(db)
            check_order(db)
            check_sessions(db, running=False)
            check_devices(db, fleet)
            assert db.execute("SELECT DISTINCT how FROM runs").fetchall() == [("stopped",)]
            codes = db.execute("SELECT DISTINCT closed_by, code FROM sessions").fetchall()
            assert codes == [("here", CloseCode.RESTART)]


def test_second_signal_loses_nothing_that_was_acked(tmp_path: Path) -> None:
    fleet = made_fleet()
    idle = [InsistentDevice(f"idle-{number}", PICO, window=0) for number in range(30)]
    with starting_gateway(tmp_path, *FAST, "--drain", "1h") as gateway:
        gateway.wait_until_ready()

        async def visit() -> None:
            busy = asyncio.Event()

            def look() -> None:
                if sum(device.acks for device in fleet) >= ACKS:
                    busy.set()

            talks = [
                asyncio.create_task(device.talk(address_of(gateway.port), on_ack=look))
                for device in [*idle, *fleet]
            ]
            await busy.wait()
            gateway.terminate()
            await asyncio.wait(talks, return_when=asyncio.FIRST_COMPLETED)
            gateway.terminate()  # most are still there
            await asyncio.gather(*talks)

        asyncio.run(visit())
        assert gateway.wait() == 128 + signal.SIGTERM
    assert [line["reason"] for line in gateway.log_lines("stopped")] == ["second signal"]
    with opened(tmp_path) as db:
        check_integrity(db)
        check_order(db)
        check_devices(db, fleet)
