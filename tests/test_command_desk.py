"""The command desk: what becomes of commands, with a hub and a journal that are looked into."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from harness import PATIENCE, Device, RunningGateway, running_gateway
from journal_bench import rows

from wsdev import command_desk
from wsdev.command_desk import QUEUE_WINDOW, CommandDesk
from wsdev.command_queue import MOST_OF_DEVICE
from wsdev.command_records import CommandChange, CommandRecord, CommandState
from wsdev.errors import DeviceOffline, JournalError, NotAllowed, UsageError, WsdevError
from wsdev.hub import MAX_OPEN_COMMANDS, Hub, Member, Traffic
from wsdev.journal_interface import LastSeen
from wsdev.protocol import CommandAck
from wsdev.token_format import new_token

WALL = 1_800_000_000.0
SERVO = {"type": "servo", "command": {"servo1": 90}}


class Port:
    """A device's end that keeps what it is sent; may break on it."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.on_send: Callable[[], None] = lambda: None

    def send_text(self, text: bytes) -> None:
        self.sent.append(json.loads(text))
        self.on_send()

    def traffic(self) -> Traffic:
        raise AssertionError("nobody asks for it")

    def round_trips(self) -> Sequence[float]:
        raise AssertionError("nobody asks for it")

    def last_proof(self) -> float:
        return 0.0

    def ask_for_proof(self) -> None: ...

    def close(self, code: int, reason: str) -> None: ...


class Notes:
    """A journal whose disk takes things when the test says so; and the archive of them."""

    def __init__(self) -> None:
        self.is_full = False
        self.is_damaged = False
        self.asked = 0
        self.changes: list[CommandChange] = []
        self.kept: list[CommandRecord] = []
        self._then: list[Callable[[], None]] = []

    def change_command(self, change: CommandChange) -> None:
        self.changes.append(change)

    def when_recorded(self, call: Callable[[], None]) -> None:
        self._then.append(call)

    def commit(self) -> None:
        while self._then:
            self._then.pop(0)()

    def queued(self) -> list[CommandRecord]:
        if self.is_damaged:
            raise JournalError("it is damaged", code="damaged")
        return self.kept

    def find(self, command_id: str) -> CommandRecord | None:
        self.asked += 1
        return next((record for record in self.kept if record.id == command_id), None)

    def last_seen(self, device: str) -> LastSeen | None:
        self.asked += 1
        return None


class Bench:
    """A desk with its surroundings."""

    def __init__(self, notes: Notes | None = None) -> None:
        self.now = 0.0
        self.hub = Hub(max_command=4096)
        self.notes = notes or Notes()
        self.ended: list[CommandState] = []
        self.desk = CommandDesk(
            self.hub,
            self.notes,
            self.notes,
            clock=lambda: self.now,
            wall_clock=lambda: WALL + self.now,
            on_over=self.ended.append,
        )

    def join(self, name: str = "kitchen") -> tuple[Member, Port]:
        port = Port()
        member = Member(name, "pico", f"s-{len(self.notes.changes)}", "192.0.2.1", 0.0, port)
        self.hub.join(member)
        return member, port

    def submit(
        self,
        command: dict[str, Any] | None = None,
        *,
        device: str = "kitchen",
        timeout: float = 10.0,
        queue_for: float | None = None,
    ) -> CommandRecord:
        return self.desk.submit(
            device, command or SERVO, timeout=timeout, queue_for=queue_for, by="me"
        )

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.hub.expire(self.now)

    def states(self, record: CommandRecord) -> list[str]:
        return [change.state.value for change in self.notes.changes if change.id == record.id]


def refusal(call: Callable[[], object]) -> WsdevError:
    with pytest.raises(WsdevError) as caught:
        call()
    return caught.value


def ids(port: Port) -> list[str]:
    return [message["id"] for message in port.sent]


# To a device that is there


def test_command_to_a_device_that_is_there_is_sent_at_once_and_settled_by_its_answer() -> None:
    bench = Bench()
    member, port = bench.join()
    record = bench.submit()
    assert port.sent == [{**SERVO, "id": record.id}]
    assert (record.state, record.session) == (CommandState.SENT, member.session_id)
    bench.now = 2.0
    bench.hub.acknowledged(member, CommandAck("success", id=record.id, detail={"at": 90}))
    assert (record.state, record.detail) == (CommandState.ACKNOWLEDGED, {"at": 90})
    assert (record.sent, record.ended) == (WALL, WALL + 2)
    assert bench.states(record) == ["sent", "acknowledged"]
    assert bench.ended == [CommandState.ACKNOWLEDGED]


@pytest.mark.parametrize(("status", "state"), [("error", "failed"), ("ignored", "ignored")])
def test_device_that_says_no_is_believed(status: Any, state: str) -> None:
    bench = Bench()
    member, _ = bench.join()
    record = bench.submit()
    bench.hub.acknowledged(member, CommandAck(status, command_type="servo"))
    assert (record.state.value, record.reason) == (state, None)


def test_command_without_an_answer_expires_and_says_that_it_was_sent() -> None:
    bench = Bench()
    bench.join()
    record = bench.submit(timeout=5)
    bench.pass_time(4.9)
    assert not record.is_over
    bench.pass_time(0.1)
    assert (record.state, record.sent) == (CommandState.EXPIRED, WALL)
    assert record.reason == "no answer in time"


def test_command_whose_link_ends_is_lost_and_not_sent_again() -> None:
    bench = Bench()
    member, _ = bench.join()
    record = bench.submit(queue_for=60)
    bench.hub.leave(member)
    assert (record.state, record.reason) == (
        CommandState.LOST,
        "the connection ended before an answer",
    )
    _, port = bench.join()
    bench.notes.commit()
    assert port.sent == []


def test_first_change_in_the_journal_tells_what_was_asked_by_whom() -> None:
    bench = Bench()
    bench.join()
    bench.submit(timeout=7)
    change = bench.notes.changes[0]
    assert (change.by, change.type, change.timeout) == ("me", "servo", 7)
    assert json.loads(change.body or "") == SERVO


def test_tokens_reach_the_device_and_neither_the_journal_nor_the_record() -> None:
    bench = Bench()
    member, port = bench.join()
    token = new_token("pico")
    record = bench.submit({"type": "renew", "token": token})
    assert port.sent[0]["token"] == token
    bench.hub.acknowledged(member, CommandAck("success", id=record.id, detail=token))
    assert token not in f"{bench.notes.changes}{record.command}{record.detail}"


def test_ids_of_two_runs_differ() -> None:
    made = []
    for _ in range(2):
        bench = Bench()
        bench.join()
        made += [bench.submit().id, bench.submit().id]
    assert len(set(made)) == 4


# To a device that is away


def test_command_to_an_absent_device_is_refused_without_a_look_at_the_journal() -> None:
    bench = Bench()
    member, _ = bench.join()
    bench.now = 30.0
    bench.hub.leave(member)
    for device in ("kitchen", "at\x1btic"):
        error = refusal(lambda device=device: bench.submit(device=device))  # type: ignore[misc]
        assert isinstance(error, DeviceOffline)
        assert (error.code, error.device) == ("offline", device)
        assert "\x1b" not in error.cause
    assert bench.desk.absences.recent("kitchen") == (WALL + 30, WALL)
    assert bench.notes.changes == []
    assert bench.notes.asked == 0


def test_queued_commands_go_out_in_order_once_their_marks_are_on_disk() -> None:
    bench = Bench()
    first, second = bench.submit(queue_for=60), bench.submit({"name": "blink"}, queue_for=60)
    assert bench.desk.queued("kitchen") == [first, second]
    assert bench.desk.queues() == {"kitchen": [first, second]}
    member, port = bench.join()
    assert port.sent == []
    assert [record.state.value for record in (first, second)] == ["queued", "queued"]
    assert bench.states(first) == ["queued", "sent"]
    bench.notes.commit()
    assert ids(port) == [first.id, second.id]
    assert [record.state.value for record in (first, second)] == ["sent", "sent"]
    bench.hub.acknowledged(member, CommandAck("success", command_type="blink"))
    assert (first.is_over, second.state) == (False, CommandState.ACKNOWLEDGED)
    assert bench.states(second) == ["queued", "sent", "acknowledged"]
    assert bench.desk.queued("kitchen") == []


def test_newer_command_goes_behind_those_that_wait() -> None:
    bench = Bench()
    old = bench.submit(queue_for=60)
    _, port = bench.join()
    new = bench.submit()
    assert new.state is CommandState.QUEUED
    bench.notes.commit()
    assert ids(port) == [old.id, new.id]
    last = bench.submit()
    assert ids(port) == [old.id, new.id, last.id]


def test_queue_goes_out_a_few_at_a_time() -> None:
    bench = Bench()
    records = [bench.submit(queue_for=60) for _ in range(QUEUE_WINDOW + 2)]
    member, port = bench.join()
    bench.notes.commit()
    assert ids(port) == [record.id for record in records[:QUEUE_WINDOW]]
    bench.hub.acknowledged(member, CommandAck("success", command_type="servo"))
    bench.notes.commit()
    assert ids(port) == [record.id for record in records[: QUEUE_WINDOW + 1]]
    bench.pass_time(10)
    bench.notes.commit()
    assert ids(port) == [record.id for record in records]


def test_device_that_leaves_before_the_mark_is_on_disk_gets_it_next_time() -> None:
    bench = Bench()
    record = bench.submit(queue_for=60)
    member, port = bench.join()
    bench.hub.leave(member)
    assert bench.states(record) == ["queued", "sent", "queued"]
    bench.notes.commit()
    assert port.sent == []
    _, port = bench.join()
    bench.notes.commit()
    assert ids(port) == [record.id]
    assert bench.states(record) == ["queued", "sent", "queued", "sent"]


def test_rest_of_a_batch_waits_if_the_link_breaks_within_it() -> None:
    bench = Bench()
    records = [bench.submit(queue_for=60) for _ in range(3)]
    member, port = bench.join()
    port.on_send = lambda: bench.hub.leave(member)
    bench.notes.commit()
    assert ids(port) == [records[0].id]
    assert [record.state.value for record in records] == ["lost", "queued", "queued"]
    _, port = bench.join()
    bench.notes.commit()
    assert ids(port) == [record.id for record in records[1:]]


def test_command_that_was_not_to_wait_expires_unsent_when_the_device_leaves() -> None:
    bench = Bench()
    old = bench.submit(queue_for=60)
    member, _ = bench.join()
    new = bench.submit()
    bench.hub.leave(member)
    assert old.state is CommandState.QUEUED
    assert (new.state, new.sent) == (CommandState.EXPIRED, None)
    assert new.reason == "the device left before it was sent"


def test_queue_is_for_the_name_and_follows_a_rename() -> None:
    bench = Bench()
    record = bench.submit(device="hall", queue_for=60)
    member, port = bench.join("pico-1")
    bench.notes.commit()
    assert port.sent == []
    bench.hub.rename(member, "hall")
    bench.hub.rename(member, "kitchen")
    bench.notes.commit()
    assert port.sent == []
    assert record.state is CommandState.QUEUED
    bench.hub.rename(member, "hall")
    bench.notes.commit()
    assert ids(port) == [record.id]


def test_time_to_live_ends_a_command_unsent() -> None:
    bench = Bench()
    record, other = bench.submit(queue_for=60), bench.submit(queue_for=90)
    bench.pass_time(60)
    assert (record.state, record.sent) == (CommandState.EXPIRED, None)
    assert record.reason == "its time in the queue is over"
    assert bench.desk.queued("kitchen") == [other]


def test_time_to_live_counts_again_for_what_was_put_back() -> None:
    bench = Bench()
    record = bench.submit(queue_for=60)
    member, _ = bench.join()
    bench.pass_time(61)
    assert not record.is_over
    bench.hub.leave(member)
    bench.pass_time(1)
    assert record.state is CommandState.EXPIRED


def test_full_device_takes_what_may_wait() -> None:
    bench = Bench()
    member, port = bench.join()
    for _ in range(MAX_OPEN_COMMANDS):
        bench.submit()
    assert refusal(bench.submit).code == "too_many_commands"
    record = bench.submit(queue_for=60)
    assert record.state is CommandState.QUEUED
    for _ in range(MAX_OPEN_COMMANDS - QUEUE_WINDOW + 1):
        bench.hub.acknowledged(member, CommandAck("success", command_type="servo"))
    bench.notes.commit()
    assert port.sent[-1]["id"] == record.id


# Cancelling, looking


def test_queued_command_can_be_cancelled() -> None:
    bench = Bench()
    record, other = bench.submit(queue_for=60), bench.submit(queue_for=60)
    assert bench.desk.cancel(record) is record
    assert record.state is CommandState.CANCELLED
    _, port = bench.join()
    assert refusal(lambda: bench.desk.cancel(other)).code == "not_queued"
    bench.notes.commit()
    assert ids(port) == [other.id]
    assert refusal(lambda: bench.desk.cancel(other)).code == "not_queued"
    assert refusal(lambda: bench.desk.cancel(record)).code == "not_queued"


def test_commands_are_found_in_memory_and_older_ones_in_the_journal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(command_desk, "REMEMBERED", 1)
    bench = Bench()
    member, _ = bench.join()
    records = [bench.submit() for _ in range(3)]
    assert bench.desk.get(records[0].id) is records[0]
    bench.hub.leave(member)
    assert [bench.desk.get(record.id) for record in records] == [None, None, records[2]]
    bench.notes.kept = [records[0]]
    assert bench.desk.get(records[0].id) is records[0]


async def test_settled_waits_for_the_end_or_its_patience() -> None:
    bench = Bench()
    member, _ = bench.join()
    record = bench.submit()
    assert not (await bench.desk.settled(record, 0)).is_over
    assert not (await bench.desk.settled(record, 0.001)).is_over
    async with asyncio.TaskGroup() as group:
        waits = [group.create_task(bench.desk.settled(record, PATIENCE)) for _ in range(2)]
        await asyncio.sleep(0)
        bench.hub.acknowledged(member, CommandAck("success", id=record.id))
    assert [wait.result().state for wait in waits] == [CommandState.ACKNOWLEDGED] * 2
    assert await bench.desk.settled(record, PATIENCE) is record


async def test_kept_returns_once_it_is_on_disk() -> None:
    bench = Bench()
    bench.submit(queue_for=60)
    kept = asyncio.ensure_future(bench.desk.kept())
    await asyncio.sleep(0)
    assert not kept.done()
    bench.notes.commit()
    await kept


# What is refused


def test_command_that_cannot_be_meant_is_refused_before_anything_happens() -> None:
    bench = Bench()
    _, port = bench.join()
    too_large = {"type": "x", "text": "x" * 4096}
    for call, code in [
        (lambda: bench.submit(too_large), "command_too_large"),
        (lambda: bench.submit(too_large, device="hall", queue_for=60), "command_too_large"),
        (lambda: bench.submit([1]), "bad_command"),  # type: ignore[arg-type]
        (lambda: bench.submit({"text": "hello"}), "bad_command"),
        (lambda: bench.submit({"name": "blink", "times": 3}), "bad_command"),
        (lambda: bench.submit({"name": 1}), "bad_command"),
        (lambda: bench.submit(timeout=0), "bad_timeout"),
        (lambda: bench.submit(queue_for=0), "bad_queue_time"),
        (lambda: bench.submit(device="a b", queue_for=60), "bad_name"),
        (lambda: bench.submit(device="", queue_for=60), "bad_name"),
        (
            lambda: bench.submit({"type": new_token("pico")}, device="hall", queue_for=60),
            "holds_token",
        ),
    ]:
        error = refusal(call)
        assert (type(error), error.code) == (UsageError, code)
    assert (port.sent, bench.notes.changes) == ([], [])


def test_queue_is_bounded_and_takes_nothing_that_cannot_be_kept() -> None:
    bench = Bench()
    for _ in range(MOST_OF_DEVICE):
        bench.submit(queue_for=60)
    error = refusal(lambda: bench.submit(queue_for=60))
    assert (type(error), error.code) == (NotAllowed, "queue_full")
    bench.notes.is_full = True
    assert refusal(lambda: bench.submit(device="hall", queue_for=60)).code == "cannot_record"


# After a restart


def left_over(command_id: str, **changes: Any) -> CommandRecord:
    record = CommandRecord(command_id, "kitchen", "me", "servo", SERVO, 10.0, WALL - 50)
    record.queue_until = WALL + 30
    for name, value in changes.items():
        setattr(record, name, value)
    return record


def test_what_an_earlier_run_left_waits_again_with_the_time_that_is_left() -> None:
    notes = Notes()
    notes.kept = [left_over("c-a-1"), left_over("c-a-2"), left_over("c-a-3", queue_until=WALL - 1)]
    notes.kept.append(left_over("c-a-4", command={"type": "x", "text": "x" * 4096}))
    bench = Bench(notes)
    assert [record.state.value for record in notes.kept] == ["queued", "queued", *["expired"] * 2]
    new = bench.submit(queue_for=60)
    bench.pass_time(29)
    _, port = bench.join()
    bench.notes.commit()
    assert ids(port) == ["c-a-1", "c-a-2", new.id]


def test_left_over_command_expires_in_time() -> None:
    notes = Notes()
    notes.kept = [left_over("c-a-1")]
    bench = Bench(notes)
    bench.pass_time(30)
    assert notes.kept[0].state is CommandState.EXPIRED


def test_gateway_serves_though_the_queue_cannot_be_read(caplog: pytest.LogCaptureFixture) -> None:
    notes = Notes()
    notes.is_damaged = True
    bench = Bench(notes)
    _, port = bench.join()
    bench.submit()
    assert len(port.sent) == 1


# With a real gateway


async def a_state(gateway: RunningGateway, record: CommandRecord, state: str) -> None:
    """Return once the record is in that state."""
    await gateway.log.wait_for("command", id=record.id, state=state)
    assert record.state.value == state


def submit(gateway: RunningGateway, command: Any, queue_for: float | None = None) -> CommandRecord:
    return gateway.commands.submit(
        "kitchen", command, timeout=10, queue_for=queue_for, by="operator o-1"
    )


async def answer(device: Device, **fields: Any) -> dict[str, Any]:
    """Take a command and acknowledge it; what it was."""
    got = await device.receive()
    await device.send({"type": "ack", "status": "success", **fields})
    return got


async def test_absent_device_gets_its_queue_after_the_welcome_and_acks_by_type(
    tmp_path: Path,
) -> None:
    async with running_gateway(tmp_path) as gateway:
        with pytest.raises(DeviceOffline):
            submit(gateway, SERVO)
        first = submit(gateway, {**SERVO, "n": 1}, queue_for=3600)
        second = submit(gateway, {**SERVO, "n": 2}, queue_for=3600)
        async with gateway.device(name="kitchen") as device:
            third = submit(gateway, {**SERVO, "n": 3})
            got = [(await answer(device, command_type="servo"))["n"] for _ in range(3)]
            assert got == [1, 2, 3]
            for record in (first, second, third):
                await gateway.commands.settled(record, PATIENCE)
                assert record.state is CommandState.ACKNOWLEDGED
        await gateway.commands.kept()
        with pytest.raises(DeviceOffline):
            submit(gateway, SERVO)
        found = gateway.commands._archive.find(first.id)
        assert found is not None
        assert (found.state, found.by) == (CommandState.ACKNOWLEDGED, "operator o-1")
        line = await gateway.log.wait_for("command", id=first.id, state="queued")
        assert (line["device"], line["type"], line["by"]) == ("kitchen", "servo", "operator o-1")


async def test_device_with_a_name_of_its_own_speaks_first(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        token = gateway.token(name="kitchen")
        record = submit(gateway, SERVO, queue_for=60)
        async with gateway.device(token=token) as device:
            await gateway.commands.kept()
            assert not record.sent
            assert (await device.hello("kitchen"))["type"] == "connection_ack"
            assert (await answer(device, id=record.id))["id"] == record.id
            await gateway.commands.settled(record, PATIENCE)
            assert record.state is CommandState.ACKNOWLEDGED


async def test_nothing_is_claimed_before_the_device_answers(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway, gateway.device(name="kitchen") as device:
        record = submit(gateway, SERVO)
        await device.receive()
        await device.telemetry("it is busy")
        assert record.state is CommandState.SENT
        await device.send({"type": "ack", "status": "error", "id": record.id, "detail": "jammed"})
        await gateway.commands.settled(record, PATIENCE)
        assert (record.state, record.detail) == (CommandState.FAILED, "jammed")


async def test_late_answer_by_type_is_not_taken_for_the_next_command_s(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway, gateway.device(name="kitchen") as device:
        late = submit(gateway, SERVO)
        gateway.clock.advance(10)
        await a_state(gateway, late, "expired")
        record = submit(gateway, SERVO)
        await device.receive()
        await answer(device, command_type="servo")  # the first one, though both have come
        await device.telemetry("it goes on")
        assert not record.is_over
        await device.send({"type": "ack", "status": "success", "command_type": "servo"})
        await gateway.commands.settled(record, PATIENCE)
        assert record.state is CommandState.ACKNOWLEDGED
        assert late.state is CommandState.EXPIRED


async def test_rename_delivers_what_waits_for_the_new_name(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway, gateway.device(name="hall") as device:
        record = submit(gateway, SERVO, queue_for=60)
        await device.send({"type": "connect", "device": "kitchen"})
        assert (await device.receive())["type"] == "connection_ack"
        assert (await answer(device, id=record.id))["id"] == record.id
        await gateway.commands.settled(record, PATIENCE)
        assert record.state is CommandState.ACKNOWLEDGED


async def test_restart_keeps_the_queue_and_repeats_nothing(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        async with gateway.device(name="kitchen") as device:
            sent = submit(gateway, {"type": "reboot"}, queue_for=60)
            await device.receive()
        await a_state(gateway, sent, "lost")
        waits = [submit(gateway, {**SERVO, "n": n}, queue_for=60) for n in range(2)]
    async with running_gateway(tmp_path) as gateway:
        found = gateway.commands.get(sent.id)
        assert found is not None
        assert found.state is CommandState.LOST
        assert [record.id for record in gateway.commands.queued("kitchen")] == [
            record.id for record in waits
        ]
        newer = submit(gateway, {**SERVO, "n": 2}, queue_for=60)
        async with gateway.device(name="kitchen") as device:
            got = [await answer(device, command_type="servo") for _ in range(3)]
            assert [message["n"] for message in got] == [0, 1, 2]
            assert (await gateway.commands.settled(newer, PATIENCE)).is_over
    async with running_gateway(tmp_path) as gateway:
        assert gateway.commands.queues() == {}
    numbers = rows(tmp_path / "state", "SELECT count(*), count(DISTINCT id) FROM commands")
    assert numbers == [(4 * 3 - 1, 4)]


async def test_graceful_end_between_mark_and_sending_keeps_the_command(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        record = submit(gateway, SERVO, queue_for=60)
        gateway.commands._hand_over = lambda *_: None  # type: ignore[method-assign]
        async with gateway.device(name="kitchen"):
            await gateway.commands.kept()
    async with running_gateway(tmp_path) as gateway:
        assert [one.id for one in gateway.commands.queued("kitchen")] == [record.id]


async def test_name_without_commands_costs_no_row(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        with contextlib.suppress(DeviceOffline):
            submit(gateway, SERVO)
        async with gateway.device(name="kitchen"):
            await gateway.commands.kept()
    assert rows(tmp_path / "state", "SELECT * FROM commands") == []
