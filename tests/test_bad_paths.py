"""Paths that cut, delay, buffer and drop, in front of the real gateway; what the probe says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from harness import held_journal, running_gateway
from relay import PING, PONG, Rules, every, frames_of, frames_over, relaying
from visits import Seen, visit

from wsdev.diagnosis.facts import Quality
from wsdev.diagnosis.talk_rules import SILENT_ENOUGH
from wsdev.errors import ExitCode

CUT, HTTP = ExitCode.CUT, ExitCode.HTTP

SOON = 0.5


async def visit_through(folder: Path, rules: Rules, **wanted: Any) -> Seen:
    """A visit of the real gateway by that path."""
    async with (
        running_gateway(folder) as gateway,
        relaying(gateway.port, rules) as port,
    ):
        return await visit(port, token=gateway.token(), **wanted)


@asynccontextmanager
async def silent_gateway(folder: Path, rules: Rules) -> AsyncIterator[tuple[int, str]]:
    """A path to a gateway that acknowledges nothing, as its disk takes nothing; and a token."""
    async with running_gateway(folder) as gateway, relaying(gateway.port, rules) as port:
        with held_journal(gateway.folder):
            yield port, gateway.token()


# Cuts


@pytest.mark.parametrize("reset", [False, True], ids=["FIN", "RST"])
async def test_upgrade_that_is_cut(reset: bool, tmp_path: Path) -> None:
    seen = await visit_through(tmp_path, Rules(cut_after_down=0, reset=reset))
    seen.names("upgrade_cut", "upgrade", HTTP, "without an answer")


@pytest.mark.parametrize("reset", [False, True], ids=["FIN", "RST"])
async def test_cut_after_some_bytes(reset: bool, tmp_path: Path) -> None:
    seen = await visit_through(tmp_path, Rules(cut_after_up=900, reset=reset), messages=50)
    seen.names("cut", "message", CUT, "without a close frame", "messages acknowledged")
    assert 0 < seen.report["facts"]["talk"]["messages_acked"] < 10


async def test_cut_after_some_time(tmp_path: Path) -> None:
    rules = Rules(cut_after=SOON)
    seen = await visit_through(tmp_path, rules, messages=100_000, large=0)
    seen.names("cut", "message", CUT, "without a close frame")
    assert SOON / 2 < seen.report["facts"]["talk"]["lasted"] < 20 * SOON


async def test_cut_at_a_large_message(tmp_path: Path) -> None:
    seen = await visit_through(tmp_path, Rules(cut_after_up=4096))
    seen.names("large_message_cut", "message", CUT, "8,192 bytes; 1 small ones arrived")


@pytest.mark.parametrize("reset", [False, True], ids=["FIN", "RST"])
async def test_cut_in_the_silence(reset: bool, tmp_path: Path) -> None:
    rules = Rules(cut_when_idle=SILENT_ENOUGH + 0.2, reset=reset)
    async with silent_gateway(tmp_path, rules) as (port, token):
        seen = await visit(port, token=token, patience=4 * SILENT_ENOUGH)
    seen.names("cut_when_silent", "keepalive", CUT, "it was silent for 5.")


async def test_upgrade_that_is_swallowed(tmp_path: Path) -> None:
    seen = await visit_through(tmp_path, Rules(stop_after_down=0), patience=SOON)
    seen.names("upgrade_unanswered", "upgrade", HTTP, "no answer")


async def test_buffer_that_holds_back_what_the_gateway_says(tmp_path: Path) -> None:
    """As a proxy that buffers: the 101 comes, and then nothing until there is more of it."""
    seen = await visit_through(tmp_path, Rules(stop_after_down=129), patience=SOON)
    seen.names("hello_unanswered", "hello", ExitCode.PROTOCOL, "no answer to the hello")


async def test_buffer_that_holds_the_upgrade_back(tmp_path: Path) -> None:
    seen = await visit_through(tmp_path, Rules(hold_down=4096), patience=SOON)
    seen.names("upgrade_unanswered", "upgrade", HTTP)


async def test_path_that_stops_carrying(tmp_path: Path) -> None:
    rules = Rules(stop_after_down=600)
    seen = await visit_through(tmp_path, rules, patience=SOON, messages=50)
    seen.names("message_unanswered", "message", CUT, "no acknowledgement")
    assert seen.report["facts"]["talk"]["messages_acked"] > 0


# Frames that are lost


async def test_large_frames_are_lost(tmp_path: Path) -> None:
    seen = await visit_through(tmp_path, Rules(drop_up=frames_over(4096)), patience=SOON)
    proof = "8,192 bytes; 1 small ones arrived"
    seen.names("large_message_lost", "message", CUT, proof, 'says now: HTTP 200 {"status":"ok"}')


@pytest.mark.parametrize("way", ["pings", "pongs"])
async def test_pings_or_pongs_are_lost(way: str, tmp_path: Path) -> None:
    rules = {
        "pings": Rules(drop_up=frames_of(PING)),
        "pongs": Rules(drop_down=frames_of(PONG)),
    }[way]
    seen = await visit_through(tmp_path, rules, patience=SOON)
    seen.names("ping_unanswered", "keepalive", CUT, "no answer to a ping", "2 messages ack")


# Quality


async def test_slow_path_is_too_slow_for_who_says_so(tmp_path: Path) -> None:
    rules = Rules(delay=0.15)
    seen = await visit_through(tmp_path, rules, quality=Quality(max_rtt=0.1), messages=3)
    seen.names("too_slow", "quality", ExitCode.QUALITY, "allowed: 100 ms")
    assert seen.steps[-2:] == ["keepalive", "quality"]
    assert seen.report["round_trip_ms"]["median"] >= 150


async def test_path_that_keeps_what_was_asked_for(tmp_path: Path) -> None:
    wanted = Quality(max_rtt=30.0, max_loss=0.0)
    seen = await visit_through(tmp_path, Rules(), quality=wanted, messages=3)
    assert (seen.exit_code, seen.code) == (0, None)
    assert seen.report["steps"][-1]["detail"].startswith("6 round trips: 95 % took ")


async def test_lossy_path_is_too_lossy_for_who_says_so(tmp_path: Path) -> None:
    rules = Rules(drop_down=every(3, PONG))
    wanted = Quality(max_loss=0.1)
    seen = await visit_through(tmp_path, rules, quality=wanted, messages=4, patience=SOON)
    seen.names("too_lossy", "quality", ExitCode.QUALITY, "1 of 8 unanswered, 12.5 %", "10 %")
    assert seen.report["round_trip_ms"]["lost"] == 1


async def test_losses_that_are_allowed_are_only_told(tmp_path: Path) -> None:
    rules = Rules(drop_down=every(3, PONG))
    wanted = Quality(max_loss=0.5)
    seen = await visit_through(tmp_path, rules, quality=wanted, messages=4, patience=SOON)
    assert seen.code is None
    assert "3 answered" in seen.report["steps"][-2]["detail"]


async def test_path_that_loses_all_is_no_matter_of_quality(tmp_path: Path) -> None:
    rules = Rules(drop_down=frames_of(PONG))
    wanted = Quality(max_loss=0.9)
    seen = await visit_through(tmp_path, rules, quality=wanted, messages=9, patience=SOON)
    seen.names("ping_unanswered", "keepalive", CUT)
    assert seen.report["facts"]["talk"]["lost"] == 3
