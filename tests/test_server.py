from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness import (
    FAR,
    PATIENCE,
    PING,
    PONG,
    Device,
    RawClient,
    RunningGateway,
    bearer,
    check_refusal,
    frame,
    held_journal,
    running_gateway,
    staying,
    text_frame,
    upgrade_head,
)
from journal_bench import bytes_on_disk, rows

from wsdev.errors import TokenBookError
from wsdev.server import raise_file_limit
from wsdev.tokens import TokenBook

# Revoking and rotating


async def test_revoked_token_closes_the_live_link(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        token = gateway.token(name="kitchen")
        async with gateway.device(token=token) as device, gateway.device(name="other") as other:
            # As another process does it: `wsdev tokens revoke`.
            with TokenBook.open(gateway.folder, clock=gateway.wall_clock) as elsewhere:
                elsewhere.revoke("kitchen")
            gateway.clock.advance(1)
            assert await device.closed() == (4501, "the token was revoked")
            await other.telemetry("not concerned")
        await gateway.log.wait_for("disconnected", device="kitchen", code=4501)
        check_refusal(gateway, await gateway.upgrade(headers=bearer(token)), "token_retired")


async def test_book_is_looked_at_each_second() -> None:
    from wsdev.server import BOOK_INTERVAL, SWEEP_INTERVAL  # noqa: PLC0415

    assert BOOK_INTERVAL + SWEEP_INTERVAL < 2


async def test_rotation_closes_nothing_and_admits_both_until_the_grace_is_over(
    tmp_path: Path,
) -> None:
    async with running_gateway(tmp_path) as gateway, gateway.device(name="kitchen") as device:
        old = gateway.token()
        _, new = gateway.book.rotate("pico", grace=3600)
        gateway.clock.advance(1)
        await device.telemetry("stays")
        async with gateway.device(token=old), gateway.device(token=new):
            pass
        gateway.wall_clock.advance(3601)
        gateway.clock.advance(1)
        check_refusal(gateway, await gateway.upgrade(headers=bearer(old)), "token_retired")
        await device.telemetry("still stays")
        assert not gateway.log.all("disconnected", device="kitchen")


async def test_new_token_of_another_process_is_good_at_once(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway, gateway.device(name="w") as witness:
        with TokenBook.open(gateway.folder, clock=gateway.wall_clock) as elsewhere:
            _, token = elsewhere.create("pico", name="kitchen")
        await next_sweep(gateway, witness)
        async with gateway.device(token=token):
            gateway.member("kitchen")


async def next_sweep(gateway: RunningGateway, witness: Device) -> None:
    """Let 22 s pass, and see from a quiet device that all deadlines were looked at."""
    gateway.clock.advance(22)
    ping = await witness.read_frame()
    assert ping.opcode == PING
    await witness.write(frame(PONG, ping.payload))
    await witness.telemetry("the pong was read")


async def test_book_in_trouble_degrades_the_gateway_and_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_gateway(tmp_path) as gateway, gateway.device(name="w") as witness:

        def fail() -> bool:
            raise TokenBookError("the disk is full", "make room")

        with monkeypatch.context() as patched:
            patched.setattr(gateway.book, "refresh", fail)
            for _ in range(3):
                await next_sweep(gateway, witness)
            answer = await gateway.get("/healthz")
            assert (answer.status, answer.json["reason"]) == (503, "the disk is full")
            async with gateway.device():
                pass  # what is known already goes on
        await next_sweep(gateway, witness)
        assert (await gateway.get("/healthz")).status == 200
        (line,) = gateway.log.all("token_book")
        assert (line["cause"], line["hint"]) == ("the disk is full", "make room")


# Liveness


async def test_silent_device_is_pinged_then_closed(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway, gateway.device(name="kitchen") as device:
        gateway.clock.advance(20)
        assert (await device.read_frame()).opcode == PING
        gateway.clock.advance(25)
        code, reason = await device.closed()
        assert code == 4408
        assert reason.startswith("no sign of life for 4")


def sweep_before_reading(gateway: RunningGateway) -> None:
    """Do as uvloop does, whose timers come before what waits in the sockets."""
    assert gateway.gateway._sweeper is not None
    gateway.gateway._sweeper.cancel()
    gateway.gateway._sweep()


async def test_device_is_heard_before_it_is_judged_by_a_process_that_stood_still(
    tmp_path: Path,
) -> None:
    async with running_gateway(tmp_path) as gateway, gateway.device(name="kitchen") as device:
        device.writer.write(text_frame({"type": "telemetry", "data": {}, "id": 1}))
        gateway.clock.advance(50)
        sweep_before_reading(gateway)
        assert await device.receive() == {"type": "ack", "id": 1}
        await device.telemetry(2)
        assert not gateway.log.all("disconnected")


async def test_deadlines_hold_however_late_each_sweep_is(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway, gateway.device(name="kitchen") as device:
        for _ in range(2):
            gateway.clock.advance(25)
            sweep_before_reading(gateway)
        assert (await device.closed())[0] == 4408


async def test_shorter_patience_by_policy(tmp_path: Path) -> None:
    policy = {"ping_after": 1.0, "dead_after": 3.0}
    async with running_gateway(tmp_path, policy=policy) as gateway, gateway.device() as device:
        gateway.clock.advance(3)
        assert (await device.closed())[0] == 4408


async def test_bytes_are_signs_of_life_and_need_no_ping(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway, gateway.device(name="kitchen") as device:
        for number in range(5):
            gateway.clock.advance(19)
            await device.telemetry(number)


async def test_wall_clock_that_jumps_a_day_disconnects_nobody(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway, gateway.device(name="kitchen") as device:
        for day in (86400, -2 * 86400):
            gateway.wall_clock.advance(day)
            await next_sweep(gateway, device)
        assert not gateway.log.all("disconnected")


async def test_closed_peer_that_does_not_hang_up_is_dropped(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway, gateway.device(name="kitchen") as device:
        gateway.gateway.hub.get("kitchen").port.close(1008, "enough")  # type: ignore[union-attr]
        assert await device.closed() == (1008, "enough")
        gateway.clock.advance(2)
        assert await device.read_to_end() == b""
        # In order: the gateway lets go of it within the linger time.


@pytest.mark.from_source
async def test_fault_at_one_link_is_logged_and_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        running_gateway(tmp_path) as gateway,
        gateway.device(name="kitchen") as device,
        gateway.device(name="w") as witness,
    ):
        link = gateway.member("kitchen").port.link  # type: ignore[attr-defined]

        def fail(*_: object, **__: object) -> list[Any]:
            raise RuntimeError("a bug")

        monkeypatch.setattr(type(link.session), "tick", _failing_for(link.session, fail))
        await next_sweep(gateway, witness)
        line = await gateway.log.wait_for("sweep_failed")
        assert line["error"] == "RuntimeError: a bug"
        with contextlib.suppress(ConnectionResetError):
            assert await device.read_to_end() == b""
        await next_sweep(gateway, witness)


def _failing_for(session: Any, fail: Any) -> Any:
    original = type(session).tick
    return lambda self, *args, **kw: (fail if self is session else original)(self, *args, **kw)


# Caps


async def test_total_cap_refuses_one_more_and_those_there_notice_nothing(tmp_path: Path) -> None:
    async with (
        running_gateway(tmp_path, max_connections=2) as gateway,
        gateway.device(name="one") as one,
    ):
        async with gateway.device(name="two") as two:
            for _ in range(5):
                async with RawClient.connect(gateway) as client:
                    check_refusal(gateway, await client.answer(), "full")
            await one.telemetry(1)
            await two.telemetry(2)
        await gateway.log.wait_for("disconnected", device="two")
        async with gateway.device(name="three"):
            pass
        assert len(gateway.gateway) <= 2


async def test_setting_goes_before_the_file_limit(tmp_path: Path) -> None:
    async with (
        running_gateway(tmp_path, limits={"connections": 1}) as gateway,
        gateway.device(),
        RawClient.connect(gateway) as client,
    ):
        check_refusal(gateway, await client.answer(), "full")


async def test_cap_for_one_address_leaves_others_and_loopback_alone(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, limits={"connections_per_address": 1}) as gateway:
        gateway.listener.seen_as = FAR
        async with gateway.device(name="one") as one:
            async with RawClient.connect(gateway) as client:
                line = check_refusal(gateway, await client.answer(), "too_many_connections")
                assert line["address"] == FAR
            gateway.listener.seen_as = "198.51.100.1"
            async with gateway.device():
                pass
            gateway.listener.seen_as = None
            async with gateway.device(), gateway.device():
                pass
            await one.telemetry("noticed nothing")
        gateway.listener.seen_as = FAR
        await gateway.log.wait_for("disconnected", device="one")
        async with gateway.device():
            pass


async def test_no_cap_for_one_address(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, limits={"connections_per_address": 0}) as gateway:
        gateway.listener.seen_as = FAR
        async with gateway.device(), gateway.device(), gateway.device():
            assert len(gateway.hub) == 3


async def test_refused_connections_are_not_counted_for_ever(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, max_connections=1) as gateway:
        gateway.listener.seen_as = FAR
        async with gateway.device():
            for _ in range(3):
                async with RawClient.connect(gateway) as client:
                    check_refusal(gateway, await client.answer(), "full")
        await gateway.gateway.drain(0)
        assert gateway.is_at_ease()


async def test_peer_that_is_gone_before_it_has_a_name_is_let_go(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        gateway.listener.nameless = True
        async with RawClient.connect(gateway) as client:
            await client.write(upgrade_head())
            line = check_refusal(gateway, await client.answer(), "token_missing")
            assert line["address"] == "0.0.0.0"
        gateway.listener.nameless = False
        async with gateway.device(name="kitchen"):
            pass


async def test_slow_handshake_is_cut_off_however_it_drips(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway, RawClient.connect(gateway) as client:
        for byte in b"GET / HTTP/1.1":
            await client.write(bytes([byte]))
            gateway.clock.advance(0.5)
        await client.write(b"\r\nHost: x\r\n")
        gateway.clock.advance(3.1)
        check_refusal(gateway, await client.answer(), "head_timeout")


async def test_silent_socket_is_refused_after_the_handshake_time(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway, RawClient.connect(gateway) as client:
        gateway.clock.advance(10)
        check_refusal(gateway, await client.answer(), "head_timeout")


# A reader that stalls


async def send_until_full(gateway: RunningGateway, name: str, size: int) -> None:
    """Send commands of ``size`` bytes until the device is gone, as long as it takes."""
    async with asyncio.timeout(20):
        while gateway.hub.get(name) is not None:
            gateway.member(name).port.send_text(b'"' + b"x" * size + b'"')
            await asyncio.sleep(0)


async def test_device_that_reads_nothing_costs_its_queue_and_is_cut(tmp_path: Path) -> None:
    limits = {"queue_bytes": 256 * 1024}
    async with (
        running_gateway(tmp_path, limits=limits) as gateway,
        gateway.device(name="stalled", receive_buffer=4096),
        gateway.device(name="reader") as reader,
    ):
        filling = asyncio.create_task(send_until_full(gateway, "stalled", 4000))
        for number in range(50):
            await reader.telemetry(number)
        await filling
        line = await gateway.log.wait_for("disconnected", device="stalled")
        assert (line["code"], line["by"]) == (4413, "here")
        assert line["reason"] == "unread data over the limit"
        await reader.telemetry("served as ever")


async def test_device_that_stalls_below_its_queue_is_cut_after_a_while(tmp_path: Path) -> None:
    async with (
        running_gateway(tmp_path) as gateway,
        gateway.device(name="stalled", receive_buffer=4096) as stalled,
    ):
        link = gateway.member("stalled").port.link  # type: ignore[attr-defined]
        async with asyncio.timeout(20):
            while link.stalled_since is None:
                gateway.member("stalled").port.send_text(b'"' + b"x" * 4000 + b'"')
                await asyncio.sleep(0)
        # It is not read either: its own messages would make more answers.
        await stalled.send({"type": "telemetry", "data": {}, "id": 1})
        gateway.clock.advance(10)
        line = await gateway.log.wait_for("disconnected", device="stalled")
        assert (line["code"], line["reason"]) == (4413, "nothing read for 10 s")
        assert not gateway.log.all("message", device="stalled")


# The drain


async def test_drain_with_nobody_there_is_immediate(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        async with asyncio.timeout(PATIENCE):
            await gateway.gateway.drain(3600)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", gateway.port)).close()


async def test_drain_closes_a_pico_and_resets_a_camera(tmp_path: Path) -> None:
    async with (
        running_gateway(tmp_path) as gateway,
        gateway.device(name="kitchen") as pico,
        gateway.device("esp32cam", name="porch") as camera,
    ):
        await asyncio.gather(gateway.gateway.drain(0), *(end(pico, 1012), cut(camera)))
        assert gateway.is_at_ease()
        for name in ("kitchen", "porch"):
            (line,) = gateway.log.all("disconnected", device=name)
            assert (line["code"], line["by"]) == (1012, "here")


async def end(device: Device, code: int) -> None:
    """Be closed with ``code`` and answer, as a device does."""
    assert (await device.closed())[0] == code
    await device.write(frame(0x8, code.to_bytes(2, "big")))


async def cut(device: Device) -> None:
    assert await device.was_cut()


async def test_drain_goes_in_steps_and_refuses_newcomers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wsdev.server.DRAIN_STEP", 1800.0)
    async with running_gateway(tmp_path) as gateway, contextlib.AsyncExitStack() as stack:
        devices = [await stack.enter_async_context(gateway.device()) for _ in range(6)]
        drain = asyncio.create_task(gateway.gateway.drain(3600))
        assert (await devices[0].closed())[0] == 1012
        assert len(gateway.hub) == 3  # in two steps of three
        health = await gateway.get("/healthz")
        assert (health.status, health.json["status"]) == (503, "draining")
        late = await gateway.upgrade(headers=bearer(gateway.token()))
        check_refusal(gateway, late, "draining")
        await devices[-1].telemetry("served until its turn")
        drain.cancel()
        await asyncio.wait([drain])


async def test_drain_waits_for_nobody_who_does_not_leave(tmp_path: Path) -> None:
    async with (
        running_gateway(tmp_path) as gateway,
        gateway.device() as stays,
        RawClient.connect(gateway),  # has said nothing yet
    ):
        await gateway.gateway.drain(0)
        assert gateway.is_at_ease()
        assert (await stays.closed())[0] == 1012


async def test_drain_loses_nothing_that_was_acknowledged_or_held(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        messages = b"".join(
            text_frame({"type": "telemetry", "data": {}, "id": number}) for number in range(20)
        )
        async with gateway.device(also=messages) as device, staying():
            await gateway.gateway.drain(0)
            acks = [(await device.receive())["id"] for _ in range(20)]
        assert acks == [line["id"] for line in gateway.log.all("message")]


def test_file_limit_is_raised_to_the_hard_one() -> None:
    import resource  # noqa: PLC0415

    assert raise_file_limit() == resource.getrlimit(resource.RLIMIT_NOFILE)[0]


# The journal


async def test_drain_acknowledges_what_was_said_before_it_sends_a_device_away(
    tmp_path: Path,
) -> None:
    async with (
        running_gateway(tmp_path) as gateway,
        gateway.device(name="kitchen") as pico,
        gateway.device("esp32cam", name="porch") as camera,
    ):
        with held_journal(gateway.folder):
            for device in (pico, camera):
                await device.send({"type": "telemetry", "data": {}, "id": 1})
            await gateway.log.wait_for("message", count=2)
            drain = asyncio.create_task(gateway.gateway.drain(0))
            health = await gateway.get("/healthz")
            assert health.json["status"] == "draining"
            assert not gateway.log.all("disconnected")
        assert await pico.receive() == {"type": "ack", "id": 1}
        assert await camera.receive() == {"type": "ack", "id": 1}
        assert await camera.was_cut()
        await end(pico, 1012)
        await drain
    query = "SELECT device, code, closed_by FROM sessions ORDER BY device"
    assert rows(gateway.folder, query) == [("kitchen", 1012, "here"), ("porch", 1012, "here")]
    assert rows(gateway.folder, "SELECT count(*) FROM messages WHERE id = 1") == [(2,)]


async def test_drain_hears_nothing_more_once_it_waits_for_the_disk(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway, gateway.device(name="kitchen") as device:
        with held_journal(gateway.folder):
            await device.send({"type": "telemetry", "data": {}, "id": 1})
            await gateway.log.wait_for("message", id=1)
            drain = asyncio.create_task(gateway.gateway.drain(0))
            assert (await gateway.get("/healthz")).json["status"] == "draining"
            await device.send({"type": "telemetry", "data": {}, "id": 2})
        # It is not acknowledged, so it will be sent again.
        assert await device.receive() == {"type": "ack", "id": 1}
        await end(device, 1012)
        await drain
        assert not gateway.log.all("message", id=2)


async def test_drain_waits_only_so_long_for_a_disk_that_takes_nothing(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway, gateway.device(name="kitchen") as device:
        with held_journal(gateway.folder):
            await device.send({"type": "telemetry", "data": {}, "id": 1})
            await gateway.log.wait_for("message", id=1)
            drain = asyncio.create_task(gateway.gateway.drain(0))
            await end(device, 1012)  # and no ack before it
            await drain
    assert rows(gateway.folder, "SELECT count(*) FROM messages WHERE id = 1") == [(1,)]


@pytest.mark.parametrize(("takes", "most"), [(None, 1), (0.08, 8)], ids=["hangs", "slow"])
@pytest.mark.from_source
async def test_drain_waits_once_for_a_disk_that_hangs_and_not_on_and_on_for_a_slow_one(
    takes: float | None, most: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("wsdev.server.DRAIN_STEP", 0.01)
    monkeypatch.setattr("wsdev.server.SECOND_CHANCE", 0.2)
    waits = 0

    def when_recorded(call: Callable[[], None]) -> None:
        nonlocal waits
        waits += 1
        if takes is not None:
            asyncio.get_running_loop().call_later(takes, call)

    async with running_gateway(tmp_path) as gateway, contextlib.AsyncExitStack() as stack:
        devices = [await stack.enter_async_context(gateway.device()) for _ in range(20)]
        monkeypatch.setattr(gateway.journal, "when_recorded", when_recorded)
        await gateway.gateway.drain(0.2)
        assert waits <= most
        for device in devices:
            assert (await device.closed())[0] == 1012


async def test_journal_in_trouble_degrades_the_gateway_and_is_told_once(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway, gateway.device(name="w") as witness:
        with held_journal(gateway.folder):
            await witness.send({"type": "telemetry", "data": {}, "id": 1})
            line = await gateway.log.wait_for("journal_trouble")
            assert line["level"] == "error"
            assert "another process is writing" in line["cause"]
            assert line["hint"]
            gateway.clock.advance(22)
            assert (await witness.read_frame()).opcode == PING  # it was looked at once more
            answer = await gateway.get("/healthz")
            assert (answer.status, answer.json["status"]) == (503, "degraded")
            assert answer.json["reason"] == line["cause"]
            async with gateway.device():
                pass  # while there is room, newcomers are let in
        assert await witness.receive() == {"type": "ack", "id": 1}
        await gateway.log.wait_for("journal_recovered")
        assert (await gateway.get("/healthz")).status == 200
        assert len(gateway.log.all("journal_trouble")) == 1


async def test_gateway_that_can_record_no_more_sends_newcomers_away(tmp_path: Path) -> None:
    limits = {"unrecorded_rows": 10}
    async with (
        running_gateway(tmp_path, limits=limits) as gateway,
        gateway.device(name="kitchen") as device,
    ):
        with held_journal(gateway.folder):
            await device.send(*({"type": "log", "message": "x"} for _ in range(10)))
            await gateway.log.wait_for("message", count=10)
            late = await gateway.upgrade(headers=bearer(gateway.token()))
            line = check_refusal(gateway, late, "cannot_record")
            assert int(late.header("Retry-After")) > 0
            assert (await gateway.upgrade()).status == 401  # who has no token hears of nothing
        await device.telemetry(1)
        async with gateway.device():
            pass
        assert gateway.journal.left_out == 2
    query = "SELECT count(*) FROM refusals WHERE request_id = ?"
    assert rows(gateway.folder, query, line["request_id"]) == [(0,)]


async def test_refusal_is_found_in_the_journal_by_the_id_that_the_technician_saw(
    tmp_path: Path,
) -> None:
    networks = (ipaddress.ip_network("127.0.0.0/8"),)
    async with running_gateway(tmp_path, trusted_proxy=networks) as gateway:
        record, token = gateway.book.create("pico")
        gateway.book.revoke(record.id)
        headers = {"X-Forwarded-For": FAR, "User-Agent": "curl/8", **bearer(token)}
        answer = await gateway.upgrade("/ws/pico?my_token=secret", headers)
        shown = answer.json["request_id"]
        early = (await gateway.send(b"\x16\x03\x01")).json["request_id"]
    found = {row[2]: row[3:] for row in rows(gateway.folder, "SELECT * FROM refusals")}
    assert found[shown][:2] == (FAR, "127.0.0.1")
    assert found[shown][3:] == ("token_retired", 401, token[-4:], "curl/8")
    assert found[early] == ("127.0.0.1", None, None, "tls_on_plain_port", 400, None, None)
    assert b"secret" not in bytes_on_disk(gateway.folder)


async def test_totals_are_of_all_devices_those_that_left_too(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        assert gateway.gateway.totals() == (0, 0, 0, 0)
        async with gateway.device(name="one") as one:
            await one.telemetry(1)
            there = gateway.gateway.totals()
            assert (there.messages_in, there.messages_out) == (2, 2)
            assert min(there) > 0
        await gateway.log.wait_for("disconnected")
        assert gateway.gateway.totals()[:1] == there[:1]
        async with gateway.device(name="two") as two:
            await two.telemetry(2)
            both = gateway.gateway.totals()
            assert (both.messages_in, both.messages_out) == (4, 4)
            assert both.bytes_in >= 2 * there.bytes_in - 2
            assert both.bytes_out > there.bytes_out
    columns = "sum(messages_in), sum(bytes_in), sum(messages_out), sum(bytes_out)"
    (recorded,) = rows(gateway.folder, f"SELECT {columns} FROM sessions")
    assert recorded[:3] == both[:3]
