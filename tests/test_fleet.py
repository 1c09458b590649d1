"""A fleet at a real gateway: nothing acknowledged is lost, whatever the weather."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from fake_gateways import be_ssh, closed_port, serving
from harness import PATIENCE, RunningGateway, running_gateway

from wsdev.data_files import Seconds
from wsdev.device_profile import PLAIN, PROFILES, DeviceProfile, Keepalive, Reconnect, Saying
from wsdev.errors import NameNotFound
from wsdev.fleet import Fleet, Plan, Share, resolve
from wsdev.protocol import BUILTIN_CLASSES
from wsdev.records import PICTURE
from wsdev.resolver import AddressInfo
from wsdev.urls import GatewayAddress
from wsdev.weather import FAIR, Trouble, Weather, What

SOON = Reconnect(after=Seconds(0.05), backoff=False)
AT_ONCE = (Seconds(0.01), Seconds(0.05))


def habits(**changes: Any) -> DeviceProfile:
    return DeviceProfile("a test's", "Nothing.", reconnect=SOON, **changes)


def plan_for(port: int, *shares: Share, **changes: Any) -> Plan:
    return Plan(
        address=GatewayAddress("127.0.0.1", port), shares=shares, name="", ramp=1000.0,
        **({"interval": 0.02, "seed": 1} | changes),
    )  # fmt: skip


def share(gateway: RunningGateway, name: str, count: int, profile: DeviceProfile = PLAIN) -> Share:
    return Share(BUILTIN_CLASSES[name], count, profile, gateway.token(name))


async def until(is_true: Callable[[], object]) -> None:
    """Look now and then at what others do in their own time."""
    async with asyncio.timeout(PATIENCE):
        while not is_true():  # noqa: ASYNC110  (a fleet tells nobody what it counts)
            await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def running(plan: Plan) -> AsyncIterator[Fleet]:
    """A fleet that runs while the block does; at its end the time is over."""
    fleet = Fleet(plan, await resolve(plan.address))
    task = asyncio.create_task(fleet.run())
    try:
        yield fleet
        fleet.finish()
        async with asyncio.timeout(PATIENCE):
            await task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def recorded(gateway: RunningGateway, query: str) -> list[tuple[Any, ...]]:
    uri = f"file:{gateway.folder / 'journal.db'}?mode=ro"
    with contextlib.closing(sqlite3.connect(uri, uri=True)) as db:
        return db.execute(query).fetchall()


TWICE = """
    SELECT messages.id, messages.body, messages.time, sessions.device, sessions.session
    FROM messages JOIN sessions ON sessions.sequence = messages.session WHERE messages.id IN (
        SELECT id FROM messages WHERE id IS NOT NULL GROUP BY id HAVING count(*) > 1
    ) ORDER BY messages.id
"""
"""Messages that are there more than once, and under which names."""


def check_all_is_there(gateway: RunningGateway, fleet: Fleet) -> None:
    """Each acknowledged message is in the journal, and once."""
    ids = recorded(gateway, "SELECT id FROM messages WHERE id IS NOT NULL")
    assert len(ids) >= fleet.figures.acked
    if len(ids) != len(set(ids)):
        pytest.fail(f"{recorded(gateway, TWICE)}, {gateway.log.all('two_devices_one_name')}")


async def test_fleet_comes_speaks_and_leaves_politely(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        plan = plan_for(
            gateway.port, share(gateway, "pico", 20), share(gateway, "esp32cam", 5), payload=20_000
        )
        async with running(plan) as fleet:
            figures = fleet.figures
            await until(lambda: figures.connected == 25 and figures.acked > 100)
            await until(lambda: figures.unasked > 20)
            assert {member.name for member in gateway.hub} >= {"pico-00001", "esp32cam-00021"}
        await until(gateway.is_at_ease)
        await gateway.all_recorded()
        assert figures.stayed == 25
        assert figures.connected == figures.connecting == figures.waiting == figures.unacked == 0
        assert (figures.opened, figures.reconnects, figures.errors) == (25, 0, 0)
        assert figures.round_trips.count == figures.acked == figures.sent
        assert figures.connects.count == 25
        check_all_is_there(gateway, fleet)
        assert recorded(gateway, "SELECT DISTINCT code FROM sessions") == [(1000,)]
        sizes = recorded(gateway, "SELECT DISTINCT size FROM messages WHERE size > 10000")
        assert sizes == [(20_000,)]
        assert figures.bytes_out > 25 * 20_000


async def test_one_after_the_other_at_any_speed(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        plan = plan_for(gateway.port, share(gateway, "pico", 10), interval=0.0)
        async with running(plan) as fleet:
            await until(lambda: fleet.figures.acked > 500)
            assert fleet.figures.unacked <= 10
        assert fleet.figures.unacked == 0
        check_all_is_there(gateway, fleet)


async def test_class_of_any_name_sends_the_pictures_of_its_profile(tmp_path: Path) -> None:
    looks = Saying({"type": "frame", "size": "$size"}, with_picture=True)
    async with running_gateway(tmp_path) as gateway:
        plan = plan_for(gateway.port, share(gateway, "pico", 2, habits(says=(looks,))))
        async with running(plan) as fleet:
            await until(lambda: fleet.figures.unasked > 4)
        await until(gateway.is_at_ease)
        await gateway.all_recorded()
        assert fleet.figures.errors == 0
        assert recorded(gateway, f"SELECT count(*) > 4 FROM messages WHERE kind = {PICTURE}") == [
            (1,)
        ]


async def test_duration_ends_the_run_by_itself(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        plan = plan_for(gateway.port, share(gateway, "pico", 3), duration=1.0)
        fleet = Fleet(plan, await resolve(plan.address))
        async with asyncio.timeout(PATIENCE):
            await fleet.run()
        assert fleet.figures.opened == 3
        await until(gateway.is_at_ease)
        await gateway.all_recorded()


@pytest.mark.parametrize("name", list(PROFILES.all()))
async def test_gateway_serves_each_library_as_it_is(name: str, tmp_path: Path) -> None:
    profile = PROFILES.find(name)
    async with running_gateway(tmp_path) as gateway:
        plan = plan_for(gateway.port, share(gateway, profile.device_class, 3, profile))
        async with running(plan) as fleet:
            figures = fleet.figures
            await until(lambda: figures.connected == 3 and figures.acked + figures.unasked > 30)
            port = next(iter(gateway.hub)).port
            port.send_text(b'{"type":"servo","command":{"servo1":10,"servo2":20}}')
            await until(lambda: figures.obeyed == 1)
        assert (figures.errors, figures.unacked) == (0, 0)
        check_all_is_there(gateway, fleet)


@pytest.mark.parametrize("what", list(What))
async def test_nothing_acknowledged_is_lost_in(what: What, tmp_path: Path) -> None:
    trouble = Trouble(what, Seconds(0.8), AT_ONCE)
    async with running_gateway(tmp_path) as gateway:
        plan = plan_for(
            gateway.port, share(gateway, "pico", 20, habits()),
            weather=Weather("bad", (trouble,)),
        )  # fmt: skip
        async with running(plan) as fleet:
            figures = fleet.figures
            await until(lambda: figures.troubles[what.value] > 20 and figures.acked > 200)
        assert (figures.errors, figures.unacked) == (0, 0)
        assert figures.sent == figures.acked + figures.forgotten
        assert bool(figures.reconnects) is (what is not What.STALL)
        assert bool(figures.forgotten) <= (what is What.REBOOT)
        check_all_is_there(gateway, fleet)
        await until(gateway.is_at_ease)
        await gateway.all_recorded()


async def test_storm_cuts_its_share_of_the_fleet_at_once(tmp_path: Path) -> None:
    storm = Trouble(What.RESET, Seconds(0.5), AT_ONCE, share=1.0)
    async with running_gateway(tmp_path) as gateway:
        plan = plan_for(
            gateway.port, share(gateway, "pico", 10, habits()), weather=Weather("bad", (storm,))
        )
        async with running(plan) as fleet:
            await until(lambda: fleet.figures.reconnects >= 20)
        assert fleet.figures.unacked == 0
        check_all_is_there(gateway, fleet)


async def test_byte_by_byte_and_with_clocks_that_are_off(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        weather = Weather("slow", piece=1, clock_off=Seconds(200_000))
        plan = plan_for(gateway.port, share(gateway, "pico", 3), weather=weather, interval=0.5)
        async with running(plan) as fleet:
            await until(lambda: fleet.figures.acked > 6)
        assert (fleet.figures.errors, fleet.figures.unacked) == (0, 0)
        await gateway.all_recorded()
        uptimes = recorded(gateway, "SELECT json_extract(body, '$.uptime_ms') FROM messages")
        assert max(abs(uptime) for (uptime,) in uptimes if uptime is not None) > 1_000_000


async def test_refused_devices_tell_why_and_try_again(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        wrong = Share(BUILTIN_CLASSES["pico"], 2, habits(), "wsd_pico_nonsense")
        async with running(plan_for(gateway.port, wrong)) as fleet:
            await until(lambda: fleet.figures.errors > 5)
        error = fleet.figures.most_common_error()
        assert error is not None
        assert error.code in {"token_mistyped", "too_many_attempts"}
        assert (fleet.figures.opened, fleet.figures.connecting) == (0, 0)


async def test_revoked_device_stays_away(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        async with running(plan_for(gateway.port, share(gateway, "pico", 2, habits()))) as fleet:
            figures = fleet.figures
            await until(lambda: figures.connected == 2)
            next(iter(gateway.hub)).port.close(4501, "revoked")
            await until(lambda: figures.errors and figures.connected == 1)
        assert [cause.error.code for cause in figures.by_number()] == ["close_4501"]
        assert figures.reconnects == 0


async def test_clean_close_is_final_for_esp_idf_only(tmp_path: Path) -> None:
    final = DeviceProfile(
        "final", "x.", reconnect=Reconnect(Seconds(0.05), False, clean_close_is_final=True)
    )
    async with running_gateway(tmp_path) as gateway:
        shares = (share(gateway, "pico", 1, final), share(gateway, "esp32cam", 1, habits()))
        async with running(plan_for(gateway.port, *shares)) as fleet:
            figures = fleet.figures
            await until(lambda: figures.connected == 2)
            for member in list(gateway.hub):
                member.port.close(1000, "")
            await until(lambda: figures.reconnects == 1 and figures.connected == 1)
            assert [member.device_class for member in gateway.hub] == ["esp32cam"]


async def test_device_that_hears_nothing_gives_up_and_comes_back(tmp_path: Path) -> None:
    impatient = habits(keepalive=Keepalive(Seconds(0), Seconds(0.3)))
    async with running_gateway(tmp_path) as gateway:
        plan = plan_for(gateway.port, share(gateway, "pico", 1, impatient), interval=60.0)
        async with running(plan) as fleet:
            await until(lambda: fleet.figures.reconnects >= 1)
        assert "close_4408" in fleet.figures.causes


async def test_device_that_waits_to_come_back_hears_its_ack_before_the_end(tmp_path: Path) -> None:
    patient = DeviceProfile("patient", "x.", reconnect=Reconnect(Seconds(3600), False))
    async with running_gateway(tmp_path) as gateway:
        # One after the other: something is always on its way.
        plan = plan_for(gateway.port, share(gateway, "pico", 1, patient), interval=0.0)
        async with running(plan) as fleet:
            figures = fleet.figures
            await until(lambda: figures.acked)
            next(iter(gateway.hub)).port.close(1012, "")
            await until(lambda: figures.waiting)
            assert figures.sent == figures.acked + 1
        assert (figures.sent, figures.reconnects) == (figures.acked, 1)


async def test_something_else_at_the_port_is_told() -> None:
    async with serving(be_ssh) as port:
        pico = Share(BUILTIN_CLASSES["pico"], 2, habits(), None)
        async with running(plan_for(port, pico, patience=1.0)) as fleet:
            await until(lambda: fleet.figures.errors > 2)
    error = fleet.figures.most_common_error()
    assert error is not None
    assert "does not answer as a WebSocket server" in error.cause


async def test_nobody_there_is_told() -> None:
    pico = Share(BUILTIN_CLASSES["pico"], 2, habits(), None)
    async with running(plan_for(closed_port(), pico)) as fleet:
        await until(lambda: fleet.figures.errors > 2)
    assert list(fleet.figures.causes) == ["refused"]
    assert fleet.figures.connecting == 0


async def test_name_that_is_none_is_told() -> None:
    with pytest.raises(NameNotFound):
        await resolve(GatewayAddress("no-such-host.invalid", 3000))


async def test_silent_dns_is_told_and_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nobody(*_: object) -> list[AddressInfo]:
        raise TimeoutError

    monkeypatch.setattr("wsdev.fleet.look_up", nobody)
    with pytest.raises(NameNotFound, match="no DNS server answers"):
        await resolve(GatewayAddress("gateway.example", 3000))


async def test_sources_are_used_in_turn(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        plan = plan_for(gateway.port, share(gateway, "pico", 4), sources=("127.0.0.2", "127.0.0.3"))
        async with running(plan) as fleet:
            await until(lambda: fleet.figures.connected == 4)
            seen = sorted(member.address for member in gateway.hub)
        assert seen == ["127.0.0.2", "127.0.0.2", "127.0.0.3", "127.0.0.3"]


async def test_cancelled_fleet_leaves_nothing_open(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        plan = plan_for(gateway.port, share(gateway, "pico", 5), weather=FAIR)
        fleet = Fleet(plan, await resolve(plan.address))
        task = asyncio.create_task(fleet.run())
        await until(lambda: fleet.figures.connected == 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(gateway.is_at_ease)
        await gateway.all_recorded()
        assert fleet.figures.connected == 0
