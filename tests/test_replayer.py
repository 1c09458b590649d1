"""Recordings played to a real gateway, and to servers that answer as no gateway should."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from fake_gateways import LOOPBACK, say_nothing, upgrading
from harness import RunningGateway, running_gateway
from made_recording import HEADER, OPEN, heard, made_recording, said
from websockets.asyncio.server import ServerConnection

from wsdev import replayer
from wsdev.errors import LinkCut, ProtocolViolation, TokenRefused
from wsdev.journal_entries import MessageEntry
from wsdev.journal_query import Wanted
from wsdev.journal_reader import JournalReader
from wsdev.protocol import BUILTIN_CLASSES
from wsdev.replay_check import Difference
from wsdev.replayer import Manner, Played, replay
from wsdev.target import Target
from wsdev.urls import GatewayAddress

AT_ONCE = Manner(None)
HELLO = said(type="connect", device="kitchen")
WELCOME = heard(type="connection_ack", device="kitchen")
DONE = {"t": 0, "end": "device", "code": 1000, "reason": "done"}


async def play(
    where: RunningGateway | int,
    *lines: dict[str, Any],
    header: dict[str, Any] = HEADER,
    manner: Manner = AT_ONCE,
    patience: float = 10.0,
    token: str | None = None,
    found: Played | None = None,
) -> Played:
    """Replay a made recording."""
    about, numbered = made_recording(*lines, header=header)
    found = Played() if found is None else found
    address = GatewayAddress(LOOPBACK, where if isinstance(where, int) else where.port)
    if token is None and not isinstance(where, int):
        token = where.token(header["class"])
    target = Target(
        address,
        BUILTIN_CLASSES[header["class"]],
        header["device"],
        token or "wsd_unchecked",
        patience=patience,
    )
    await replay(target, about, numbered, manner, found)
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


# A gateway that answers as it did


async def test_session_is_replayed_as_its_device_and_left_as_it_left(folder: Path) -> None:
    async with running_gateway(folder) as gateway:
        found = await play(
            gateway,
            HELLO,
            WELCOME,
            said(type="telemetry", data={}, id=7),
            heard(type="ack", id=7),
            {"t": 0, "dir": "in", "kind": "bad", "text": "{"},
            heard(type="error", code="bad_json"),
            said(type="ping", timestamp=3),
            heard(type="pong", timestamp=3),
            {"t": 0, "end": "device", "code": 3500, "reason": "asleep"},
        )
        line = await gateway.log.wait_for("disconnected", device="kitchen")
    assert (found.sent, found.matched, found.differences, found.is_over) == (4, 4, [], True)
    assert (line["code"], line["reason"], line["by"]) == (3500, "asleep", "peer")


async def test_recording_replays_again_at_the_gateway_that_knows_its_ids(folder: Path) -> None:
    lines = [HELLO, said(type="telemetry", data={}, id=7), heard(type="ack", id=7), DONE]
    async with running_gateway(folder) as gateway:
        for _ in range(3):
            found = await play(gateway, *lines)
            assert [one.kind for one in found.differences] == ["connection_ack"]  # not in it


async def test_fresh_ids_are_recorded_again_at_the_gateway_that_knows_the_old_ones(
    folder: Path,
) -> None:
    ids = [7, "a", "x" * 128, 2**62]
    lines = [said(type="status", data=0, id=one) for one in [*ids, 7]]  # 7 is sent again
    answers = [heard(type="ack", id=one) for one in [*ids, 7]]
    theirs = said(type="ack", id="command", status="success")
    async with running_gateway(folder) as gateway:
        for _ in range(2):
            manner = Manner(None, fresh_ids=True)
            found = await play(
                gateway, HELLO, WELCOME, *lines, *answers, theirs, DONE, manner=manner
            )
            assert (found.matched, found.differences) == (6, [])
    with JournalReader(gateway.folder) as reader:
        entries = [entry for page in reader.entries(Wanted()) for entry in page.entries]
    messages = [entry for entry in entries if isinstance(entry, MessageEntry)]
    fresh = [entry.id for entry in messages if entry.event == "status"]
    assert len(fresh) == len(set(fresh)) == 2 * len(ids)
    assert not set(fresh) & set(map(str, ids))
    acks = [entry.body or "" for entry in messages if entry.event == "ack"]
    assert ['"id":"command"' in body for body in acks] == [True, True]


async def test_messages_come_in_the_order_of_the_lines_at_their_times(folder: Path) -> None:
    async with running_gateway(folder) as gateway:
        lines = [said(t / 1000, type="status", data=t, id=t) for t in (0, 20, 10, 40)]
        answers = [heard(0, type="ack", id=t) for t in (0, 20, 10, 40)]
        found = await play(gateway, *lines, *answers, DONE, manner=Manner(1.0))
        assert found.matched == 4
        assert found.seconds >= 0.040
        slow = await play(gateway, *lines, *answers, DONE, manner=Manner(0.5))
        assert slow.seconds >= 0.080


async def test_device_under_another_name_is_compared_under_that(folder: Path) -> None:
    async with running_gateway(folder) as gateway:
        found = await play(gateway, HELLO, WELCOME, DONE, manner=Manner(None, "garden"))
        await gateway.log.wait_for("disconnected", device="garden")
    assert found.differences == []


@pytest.mark.parametrize("hello", ["{", "[]", '{"type":"connect"}'])
async def test_hello_without_a_name_stays_as_it_is(folder: Path, hello: str) -> None:
    line = {"t": 0, "dir": "in", "kind": "connect", "text": hello}
    async with running_gateway(folder) as gateway:
        found = await play(gateway, line, DONE, manner=Manner(None, "garden"))
    assert found.sent == 1


async def test_pictures_that_are_not_in_it_are_made_of_their_size(folder: Path) -> None:
    header = {**HEADER, "device": "yard", "class": "esp32cam"}
    async with running_gateway(folder) as gateway:
        found = await play(
            gateway,
            said(type="frame", size=20_000),
            {"t": 0, "dir": "in", "kind": "picture", "size": 20_000},
            {"t": 0, "dir": "in", "kind": "binary", "size": 9},
            {"t": 0, "dir": "in", "kind": "picture", "base64": "/9j/2Q==", "size": 4},
            DONE,
            header=header,
        )
        await gateway.log.wait_for("disconnected")
    assert (found.sent, found.made, found.differences) == (4, 2, [])
    with JournalReader(gateway.folder) as reader:
        entries = [entry for page in reader.entries(Wanted()) for entry in page.entries]
    messages = [(entry.event, entry.size) for entry in entries if isinstance(entry, MessageEntry)]
    assert messages[1:] == [("picture", 20_000), ("binary", 9), ("picture", 4)]


async def test_message_that_is_cut_is_not_sent(folder: Path) -> None:
    cut = {"t": 0, "dir": "in", "kind": "other", "text": '{"a', "size": 70_000, "cut": True}
    async with running_gateway(folder) as gateway:
        found = await play(gateway, cut, DONE)
    assert (found.sent, found.differences) == (0, [])


async def test_commands_of_now_and_of_then_are_no_answers(folder: Path) -> None:
    then = {**heard(type="command", id="old", name="blink"), "expected": False}
    async with running_gateway(folder) as gateway:

        async def operate() -> None:
            await gateway.log.wait_for("message", type="status")
            gateway.hub.send("kitchen", {"type": "servo"}, lambda _: None, now=gateway.clock())

        async with asyncio.TaskGroup() as group:
            group.create_task(operate())
            found = await play(
                gateway,
                HELLO,
                WELCOME,
                then,
                said(type="ack", id="old", status="success"),
                said(type="status", data=0, id=1),
                heard(type="ack", id=1),
                said(0.3, type="status", data=0, id=2),
                heard(0.3, type="ack", id=2),
                DONE,
                manner=Manner(1.0),
            )
    assert (found.commands, found.matched, found.differences) == (1, 3, [])


async def test_thousands_are_sent_no_faster_than_the_gateway_reads(folder: Path) -> None:
    count = 3000
    lines = [said(type="status", data="x" * 500, id=n) for n in range(count)]
    answers = [heard(type="ack", id=n) for n in range(count)]
    both = [line for pair in zip(lines, answers, strict=True) for line in pair]
    async with running_gateway(folder, limits={"messages_per_minute": 0}) as gateway:
        found = await play(gateway, *both, DONE)
    assert (found.sent, found.matched, found.differences) == (count, count, [])


@pytest.mark.parametrize("end", ["path", "lost", "open", "gateway"])
async def test_end_that_nobody_has_to_repeat_is_left_by_the_device(folder: Path, end: str) -> None:
    line = {"t": 0, "end": end, "code": 1012, "expected": False}
    async with running_gateway(folder) as gateway:
        found = await play(gateway, HELLO, WELCOME, line)
        left = await gateway.log.wait_for("disconnected")
    assert found.differences == []
    assert left["by"] == ("path" if end == "path" else "peer")


async def test_code_that_no_close_frame_may_have_becomes_a_polite_end(folder: Path) -> None:
    async with running_gateway(folder) as gateway:
        await play(gateway, {"t": 0, "end": "device", "code": 1005})
        assert (await gateway.log.wait_for("disconnected"))["code"] == 1000


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        (1009, {"kind": "binary", "size": 65_537}),
        (1007, {"kind": "text", "base64": "/w=="}),
    ],
)
async def test_close_by_the_gateway_is_an_answer_too(
    folder: Path, code: int, cause: dict[str, Any]
) -> None:
    lines = [
        HELLO,
        WELCOME,
        *(said(type="status", data=n, id=n) for n in range(50)),
        *(heard(type="ack", id=n) for n in range(50)),
        {"t": 0, "dir": "in", **cause},
    ]
    async with running_gateway(folder) as gateway:
        found = await play(gateway, *lines, {"t": 0, "end": "gateway", "code": code})
        assert (found.differences, found.matched) == ([], 51)
        other = await play(gateway, *lines, {"t": 0, "end": "gateway", "code": 4503})
    assert other.differences == [
        Difference(
            "end",
            len(lines) + 2,
            {"by": "gateway", "code": 4503},
            {"by": "gateway", "code": code},
        )
    ]


# A gateway that does not


async def test_gateway_that_does_not_close_is_waited_for_so_long(folder: Path) -> None:
    async with running_gateway(folder) as gateway:
        found = await play(
            gateway, HELLO, WELCOME, {"t": 0, "end": "gateway", "code": 1009}, patience=0.3
        )
        assert (await gateway.log.wait_for("disconnected"))["by"] == "peer"
    assert found.differences == [Difference("end", 4, {"by": "gateway", "code": 1009}, None)]


async def test_answer_that_does_not_come_is_waited_for_so_long(folder: Path) -> None:
    async with running_gateway(folder) as gateway:
        found = await play(gateway, HELLO, WELCOME, heard(type="ack", id=1), DONE, patience=0.3)
    assert found.differences == [Difference("ack", 4, {"id": 1}, None)]
    assert found.matched == 1


@contextlib.asynccontextmanager
async def answering(*answers: object, close: int | None = None) -> AsyncIterator[int]:
    """A server that answers each message with the next of these, and then closes."""

    async def talk(connection: ServerConnection) -> None:
        for answer in answers:
            await connection.recv()
            await connection.send(answer if isinstance(answer, str) else json.dumps(answer))
        if close is not None:
            await connection.close(close)
        await connection.wait_closed()

    async with upgrading(talk) as port:
        yield port


async def test_gateway_that_closes_before_the_end_has_not_heard_the_rest() -> None:
    hello = {**WELCOME["json"], "session": "a", "server_time": 1}
    hello |= {"ping_interval": 20, "max_message_bytes": 65_536}
    async with answering(hello, close=4501) as port:
        found = await play(
            port,
            HELLO,
            WELCOME,
            *(said(1, type="status", data=n, id=n) for n in range(3)),
            heard(1, type="ack", id=0),
            {**DONE, "t": 2},
            manner=Manner(1.0),
        )
    assert found.differences == [
        Difference("end", 8, None, {"by": "gateway", "code": 4501, "messages_unsent": 3})
    ]
    assert (found.sent, found.matched) == (1, 1)


async def test_answer_that_is_no_message_ends_it() -> None:
    async with answering("not JSON") as port:
        found = Played()
        with pytest.raises(ProtocolViolation):
            await play(port, HELLO, WELCOME, DONE, found=found)
    assert found.differences == [Difference("connection_ack", 3, {"device": "kitchen"}, None)]
    assert not found.is_over


async def test_link_that_is_cut_is_no_answer() -> None:
    async def cut(connection: ServerConnection) -> None:
        await connection.recv()
        connection.transport.abort()

    async with upgrading(cut) as port:
        with pytest.raises(LinkCut):
            await play(port, HELLO, WELCOME, DONE)


async def test_gateway_that_does_not_read_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replayer, "PROVE_AFTER", 2)
    found = Played()

    async def freeze(connection: ServerConnection) -> None:
        connection.transport.pause_reading()
        await connection.wait_closed()

    async with upgrading(freeze, close_timeout=0.1) as port:
        lines = [said(type="status", data=n) for n in range(5)]
        with pytest.raises(LinkCut, match="no answer to a ping"):
            await play(port, *lines, OPEN, patience=0.3, found=found)
    assert found.sent == 2


async def test_silent_server_has_not_answered(folder: Path) -> None:
    async with upgrading(say_nothing) as port:
        found = await play(port, HELLO, WELCOME, DONE, patience=0.3)
    assert [one.kind for one in found.differences] == ["connection_ack"]


async def test_token_that_is_not_accepted_is_told_as_ever(folder: Path) -> None:
    async with running_gateway(folder) as gateway:
        with pytest.raises(TokenRefused):
            await play(gateway, HELLO, DONE, token="wsd_pico_x")
