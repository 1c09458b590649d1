from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_gateways import LOOPBACK, answer, say_nothing, serving, upgrading
from harness import RunningGateway, running_gateway
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.server import ServerConnection

from wsdev import probe
from wsdev.errors import ExitCode, LinkCut, NotAllowed, ProtocolViolation, WsdevError
from wsdev.hub import Outcome, SentCommand
from wsdev.probe import Target, Visit
from wsdev.protocol import BUILTIN_CLASSES
from wsdev.urls import GatewayAddress

SOON = 0.3


def target_of(
    gateway: RunningGateway | int,
    device_class: str = "pico",
    *,
    token: str | None = None,
    name: str = "kitchen",
    patience: float = 10.0,
) -> Target:
    port = gateway if isinstance(gateway, int) else gateway.port
    address = GatewayAddress(LOOPBACK, port)
    return Target(address, BUILTIN_CLASSES[device_class], name, token, None, patience)


# A visit


@pytest.mark.parametrize("device_class", ["pico", "esp32cam"])
async def test_visit_tells_each_step_and_leaves_politely(tmp_path: Path, device_class: str) -> None:
    async with running_gateway(tmp_path, public_tokens="open") as gateway:
        found = Visit()
        told: list[probe.Step] = []
        await probe.visit(target_of(gateway, device_class), 3, found, told.append)
        line = await gateway.log.wait_for("disconnected")
    picture = ["picture"] if device_class == "esp32cam" else []
    names = ["token", "connect", "hello", *picture, "telemetry", "ping", "close"]
    assert [step.name for step in found.steps] == names
    assert told == found.steps
    assert all(step.seconds >= 0 for step in told)
    assert found.device == "kitchen"
    assert found.session == line["session"]
    assert (line["code"], line["by"]) == (1000, "peer")
    assert len(found.round_trips) == 6
    assert found.summary()["samples"] == 6


async def test_token_is_in_no_step(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, public_tokens="open") as gateway:
        found = Visit()
        await probe.visit(target_of(gateway), 1, found, lambda _: None)
        token = gateway.token()
    assert token not in repr(found)


async def test_what_is_known_survives_an_error(tmp_path: Path) -> None:
    async def greet_and_go(connection: ServerConnection) -> None:
        hello = json.loads(await connection.recv())
        await connection.send(welcome(hello["device"]))
        await connection.recv()
        await connection.close(1011, "oops")

    async with upgrading(greet_and_go) as port:
        found = Visit()
        with pytest.raises(LinkCut) as caught:
            await probe.visit(target_of(port, token="x"), 1, found, lambda _: None)
    assert [step.name for step in found.steps] == ["connect", "hello"]
    assert "1011" in caught.value.cause
    assert "oops" in caught.value.cause
    assert caught.value.exit_code is ExitCode.CUT


def welcome(device: str = "kitchen") -> str:
    return json.dumps({
        "type": "connection_ack", "device": device, "session": "s", "server_time": 0.0,
        "ping_interval": 20, "max_message_bytes": 65536,
    })  # fmt: skip


async def fails(port: int, kind: type[WsdevError], **options: Any) -> WsdevError:
    with pytest.raises(WsdevError) as caught:
        await probe.visit(target_of(port, token="x", **options), 1, Visit(), lambda _: None)
    assert isinstance(caught.value, kind), caught.value.cause
    return caught.value


async def test_silence_after_the_upgrade_ends_with_the_patience() -> None:
    async with upgrading(say_nothing) as port:
        error = await fails(port, LinkCut, patience=SOON)
    assert "hello" in error.cause
    assert "0.3 s" in error.cause


async def test_silence_after_the_welcome_ends_with_the_patience() -> None:
    async def only_greet(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.send(welcome())
        await connection.wait_closed()

    async with upgrading(only_greet) as port:
        error = await fails(port, LinkCut, patience=SOON)
    assert "telemetry" in error.cause


@pytest.mark.parametrize(
    "said",
    [
        "not json",
        "[]",
        '{"type":"connection_ack"}',
        '{"type":"error","code":"no","message":"go \\u001b[31m away","hint":"\\u009bx"}',
    ],
)
async def test_wrong_words_from_the_other_end_are_a_protocol_violation(said: str) -> None:
    async def talk(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.send(said)
        await connection.wait_closed()

    async with upgrading(talk) as port:
        error = await fails(port, ProtocolViolation)
    assert error.exit_code is ExitCode.PROTOCOL
    assert "\x1b" not in error.cause
    assert "\x9b" not in error.hint


async def test_hostile_welcome_comes_out_escaped() -> None:
    async def greet(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.send(welcome("\x1b]0;owned\x07"))
        await connection.wait_closed()

    async with upgrading(greet) as port:
        found = Visit()
        with pytest.raises(LinkCut):
            await probe.visit(target_of(port, token="x", patience=SOON), 1, found, lambda _: None)
    assert "\x1b" not in found.device + found.steps[-1].detail


async def test_class_without_a_token_is_not_allowed() -> None:
    async with serving(answer("200 OK", b'{"esp32cam_tokens":["a"],"pico_tokens":[]}')) as port:
        with pytest.raises(NotAllowed) as caught:
            await probe.fetch_token(target_of(port))
    assert caught.value.code == "no_token"
    assert "esp32cam" in caught.value.hint


async def test_command_during_a_visit_disturbs_nothing(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        sent: list[SentCommand] = []

        def command(step: probe.Step) -> None:
            if step.name == "hello":
                send(gateway, {"type": "blink"}, sent.append)

        await probe.visit(target_of(gateway, token=gateway.token()), 2, Visit(), command)
        await gateway.log.wait_for("disconnected")
        assert [done.outcome for done in sent] == [Outcome.LOST]


def send(
    gateway: RunningGateway,
    command: dict[str, Any],
    on_done: Callable[[SentCommand], None],
    name: str = "kitchen",
) -> None:
    gateway.hub.send(name, command, on_done, now=gateway.clock())


# The summary


def test_no_round_trip_no_summary() -> None:
    assert Visit().summary() == {}


@given(st.lists(st.floats(0.0001, 10), min_size=1, max_size=200))
def test_summary_is_in_order_and_of_the_samples(round_trips: list[float]) -> None:
    summary = Visit(round_trips=round_trips).summary()
    assert 0 < summary["median"] <= summary["max"]
    assert summary["p95"] <= summary["max"] == round(max(round_trips) * 1000, 3)
    assert summary["p95"] in {round(value * 1000, 3) for value in round_trips}
    within = sum(round(value * 1000, 3) <= summary["p95"] for value in round_trips)
    assert within >= 0.95 * len(round_trips)
