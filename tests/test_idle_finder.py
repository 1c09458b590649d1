from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from fake_gateways import LOOPBACK
from forgetful_relay import forgetful_relay
from harness import FAR, PATIENCE, RunningGateway, running_gateway

from wsdev.connection import Connection
from wsdev.errors import NotAllowed, Refused, TokenRefused
from wsdev.idle_cut import End, Judgement, Outcome, Plan
from wsdev.idle_finder import Search, find_idle_cut
from wsdev.protocol import PICO
from wsdev.target import Target
from wsdev.urls import GatewayAddress

QUICK = Plan([0.2, 0.6, 1.8], 1.8, patience=PATIENCE, busy_interval=0.1)

FORGETS = 1.8
"""Seconds after which the relay forgets, with room on both sides for a machine under load."""

COARSE = Plan([0.1, 0.6, 5.0], 60.0, refine=4, patience=2.0, busy_interval=0.1)


@dataclass
class Seen:
    """A watcher that keeps what it is told, and lets others wait for it."""

    rounds: list[Sequence[float]] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    silence: asyncio.Event = field(default_factory=asyncio.Event)
    outcome: asyncio.Event = field(default_factory=asyncio.Event)

    def began(self, silences: Sequence[float]) -> None:
        self.rounds.append(silences)
        self.silence.set()

    def came(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        self.outcome.set()


def search_at(
    gateway: RunningGateway,
    *,
    port: int | None = None,
    plan: Plan = QUICK,
    token: str | None = None,
) -> Search:
    target = Target(GatewayAddress(LOOPBACK, port or gateway.port), PICO, "pico", patience=5.0)
    return Search(target, token or gateway.token(), plan)


async def test_path_that_holds_is_silent_for_all_the_time(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        search, seen = search_at(gateway), Seen()
        await find_idle_cut(search, seen)
        assert await gateway.log.wait_for("disconnected", count=4)
        assert gateway.is_at_ease()
    assert seen.rounds == [QUICK.first]
    assert [one.end for one in seen.outcomes] == [End.ANSWERED] * 3
    assert seen.outcomes == search.outcomes
    assert all(one.planned <= one.lasted for one in seen.outcomes)
    assert search.finding.judge(1.0) is Judgement.HOLDS
    assert search.ping_interval == 20


async def test_path_that_forgets_is_found_by_a_ping_and_narrowed_down(tmp_path: Path) -> None:
    async with (
        running_gateway(tmp_path) as gateway,
        forgetful_relay(gateway.port, FORGETS) as port,
    ):
        search, seen = search_at(gateway, port=port, plan=COARSE), Seen()
        await find_idle_cut(search, seen)
    finding = search.finding
    assert finding.end is End.NO_ANSWER
    assert not finding.exact
    assert finding.cut is not None
    assert finding.held < FORGETS <= finding.cut
    assert len(seen.rounds) == 2
    _, second = seen.rounds
    assert all(0.6 < silence < 5.0 for silence in second)
    assert finding.held > 0.7, "the second round has brought the two closer"
    assert finding.cut < 4.0
    assert finding.busy_cut is None


async def test_once_it_is_cut_nobody_waits_for_longer_silences(tmp_path: Path) -> None:
    plan = Plan([0.1, 2.5, 3600.0], 3600.0, refine=1, patience=2.0, busy_interval=0.1)
    async with (
        running_gateway(tmp_path, limits={"longest_ping_interval": 7200}) as gateway,
        forgetful_relay(gateway.port, FORGETS) as port,
    ):
        search = search_at(gateway, port=port, plan=plan)
        await find_idle_cut(search, Seen())
    longest = max(search.outcomes, key=lambda one: one.planned)
    assert longest.end is End.NO_ANSWER
    assert longest.lasted < 60


async def test_close_frame_is_found_the_moment_it_comes(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        search, seen = search_at(gateway), Seen()
        async with asyncio.TaskGroup() as group:
            group.create_task(find_idle_cut(search, seen))
            await seen.silence.wait()
            for member in list(gateway.hub):
                member.port.close(4409, "\x1b[31mtired")
    finding = search.finding
    assert finding.exact
    assert finding.end is End.CLOSE_FRAME
    assert finding.detail == "4409 \\x1b[31mtired"
    assert finding.judge(20) is Judgement.NOT_IDLE


async def test_reset_is_told_from_a_close(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        search, seen = search_at(gateway), Seen()
        async with asyncio.TaskGroup() as group:
            group.create_task(find_idle_cut(search, seen))
            await seen.silence.wait()
            for member in list(gateway.hub):
                assert isinstance(member.port, Connection)
                member.port.link.abort(reset=True)
    assert {one.end for one in search.outcomes} == {End.RESET}


async def test_bytes_that_are_no_websocket_are_told_as_such(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        search, seen = search_at(gateway), Seen()
        async with asyncio.TaskGroup() as group:
            group.create_task(find_idle_cut(search, seen))
            await seen.silence.wait()
            for member in list(gateway.hub):
                assert isinstance(member.port, Connection)
                transport = member.port.link._transport
                assert transport is not None
                transport.write(b"HTTP/1.1 408 Request Timeout\r\n" + b"X: y\r\n" * 50)
    assert {one.end for one in search.outcomes} == {End.GARBAGE}


class FromFarAfterwards(Seen):
    """After the first cut, new connections seem to come from one far address."""

    def __init__(self, gateway: RunningGateway) -> None:
        super().__init__()
        self._listener = gateway.listener

    def came(self, outcome: Outcome) -> None:
        super().came(outcome)
        if outcome.is_cut:
            self._listener.seen_as = FAR


async def test_first_round_stands_if_there_can_be_no_second(tmp_path: Path) -> None:
    async with (
        running_gateway(tmp_path, limits={"connections_per_address": 1}) as gateway,
        forgetful_relay(gateway.port, FORGETS) as port,
    ):
        search, seen = search_at(gateway, port=port, plan=COARSE), FromFarAfterwards(gateway)
        await find_idle_cut(search, seen)
    assert isinstance(search.hindrance, NotAllowed)
    assert search.hindrance.code == "too_many_connections"
    assert len(seen.rounds) == 1
    assert search.finding.end is End.NO_ANSWER


async def test_silence_that_a_command_broke_counts_no_further(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        search, seen = search_at(gateway), Seen()
        async with asyncio.TaskGroup() as group:
            group.create_task(find_idle_cut(search, seen))
            await seen.silence.wait()
            for member in gateway.hub:
                member.port.send_text(b'{"type":"servo"}')
    assert search.finding.spoken
    assert search.finding.held < 1.8


async def test_gateway_that_will_not_be_quiet_is_told_before_any_silence(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, limits={"longest_ping_interval": 0}) as gateway:
        plan = Plan([10.0, 20.0], 20.0, patience=1.0)
        search, seen = search_at(gateway, plan=plan), Seen()
        with pytest.raises(NotAllowed) as caught:
            await find_idle_cut(search, seen)
    assert caught.value.code == "not_quiet"
    assert "--up-to 13s" in caught.value.hint
    assert not seen.rounds


async def test_way_in_that_is_broken_is_told_as_such(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        with pytest.raises(TokenRefused):
            await find_idle_cut(search_at(gateway, token="wsd_pico_x"), Seen())
    with pytest.raises(Refused):
        await find_idle_cut(search_at(gateway, token="x"), Seen())


async def test_device_token_is_good_for_all_connections(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, limits={"name_probe": 0.2}) as gateway:
        token = gateway.token("pico", "kitchen")
        search = search_at(gateway, token=token)
        await find_idle_cut(search, Seen())
    assert [one.end for one in search.outcomes] == [End.ANSWERED] * 3


async def test_interrupted_search_leaves_what_is_known_and_nothing_open(tmp_path: Path) -> None:
    plan = Plan([0.1, 60.0], 60.0, patience=PATIENCE, busy_interval=0.1)
    async with running_gateway(tmp_path) as gateway:
        search, seen = search_at(gateway, plan=plan), Seen()
        task = asyncio.create_task(find_idle_cut(search, seen))
        await seen.silence.wait()
        await seen.outcome.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await gateway.log.wait_for("disconnected", count=3)
    assert search.finding.held == pytest.approx(0.1, abs=2)
    assert search.finding.cut is None
