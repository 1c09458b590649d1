"""The gateway is killed at random moments under load: what it acknowledged is on disk, once.

``WSDEV_KILLS`` is how often (8; ``make test-long`` takes more), ``WSDEV_SEED`` repeats a run's
moments as far as a machine can.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Iterable
from pathlib import Path

import pytest
from gateway_process import GatewayProcess, starting_gateway
from insistent_device import InsistentDevice, made_fleet, talk_all
from plain_reading import (
    check_devices,
    check_integrity,
    check_order,
    check_pictures,
    check_sessions,
    lost_sessions,
    opened,
)

KILLS = int(os.environ.get("WSDEV_KILLS", "8"))
SEED = int(os.environ.get("WSDEV_SEED", random.SystemRandom().randrange(10**6)))

FAST = ("--log-level", "warning", "--limit", "messages_per_minute=0")
"""The disk is to be the limit, not the budget."""

LAST_ROUND = 300
"""Messages that each device sends once nobody kills any more."""

MORE_THAN_FIT = 6000
"""Messages that take more than the smallest journal."""

START_UP = 1.0
"""Seconds within which a gateway starts, more or less: a kill before that is one of a start."""


class Moments:
    """When to kill: soon after the load began as often as in its midst."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def under_load(self) -> tuple[float, bool]:
        """Seconds, and whether they count from the first ack on; else from the connecting."""
        longest = self._random.choice((0.03, 0.2, 0.8))
        return self._random.uniform(0.003, longest), self._random.random() < 0.75

    def at_start(self) -> float | None:
        """Seconds after the process was made, for one start in four."""
        return self._random.uniform(0.0, START_UP) if self._random.random() < 0.25 else None


async def killed_under_load(
    gateway: GatewayProcess, fleet: Iterable[InsistentDevice], moment: tuple[float, bool]
) -> None:
    after, from_first_ack = moment
    timers: list[asyncio.TimerHandle] = []

    def begin() -> None:
        if not timers:
            timers.append(asyncio.get_running_loop().call_later(after, gateway.kill))

    if not from_first_ack:
        begin()
    await talk_all(fleet, gateway.port, on_ack=begin)


def kill_at_start(state: Path, options: Iterable[str], after: float) -> None:
    with starting_gateway(state, *options) as gateway:
        time.sleep(after)
        gateway.kill()


def killed_again_and_again(
    state: Path, fleet: list[InsistentDevice], rounds: int, *options: str, whole: bool = True
) -> None:
    """Kill, restart and resend for so many rounds, look at the journal after each, then stop."""
    options = (*FAST, *options)
    moments = Moments(SEED)
    lost = at_start = 0
    for number in range(rounds):
        if (after := moments.at_start()) is not None:
            kill_at_start(state, options, after)
            at_start += 1
        with starting_gateway(state, *options) as gateway:
            gateway.wait_until_ready()
            with opened(state) as db:
                check_sessions(db, running=True)
                lost = lost_sessions(db)
                if number % 10 == 5:
                    check_integrity(db)
                    check_devices(db, fleet, whole=whole)
            asyncio.run(killed_under_load(gateway, fleet, moments.under_load()))
        assert '"level":"error"' not in gateway.log_text()
        assert "journal_set_aside" not in gateway.log_text()
    assert lost
    with starting_gateway(state, *options) as gateway:
        gateway.wait_until_ready()
        asyncio.run(talk_all(fleet, gateway.port, more=LAST_ROUND))
        gateway.terminate()
        assert gateway.wait() == 0
    assert '"level":"error"' not in gateway.log_text()
    sent, acks = sum(device.sent for device in fleet), sum(device.acks for device in fleet)
    print(f"{rounds} kills under load, {at_start} at a start:", end=" ")  # noqa: T201
    print(f"{sent} messages, {acks} acks, {lost} sessions lost")  # noqa: T201


@pytest.fixture(autouse=True)
def _tells_its_seed() -> None:
    print(f"WSDEV_SEED={SEED}")  # noqa: T201  (pytest shows it when a test fails)


def test_each_acked_message_is_there_once_however_often_the_gateway_is_killed(
    tmp_path: Path,
) -> None:
    fleet = made_fleet()
    killed_again_and_again(tmp_path, fleet, KILLS, "--record-pictures", "5")
    with opened(tmp_path) as db:
        check_integrity(db)
        check_order(db)
        check_sessions(db, running=False)
        count = check_devices(db, fleet)
        assert count == sum(device.sent for device in fleet)
        assert count < sum(device.acks for device in fleet)  # repeats were acked, not recorded
        assert check_pictures(db, tmp_path, kept=5)


def test_a_kill_loses_nothing_with_the_sync_of_sd_cards_either(tmp_path: Path) -> None:
    fleet = made_fleet()
    killed_again_and_again(tmp_path, fleet, max(4, KILLS // 5), "--journal-sync", "normal")
    with opened(tmp_path) as db:
        check_integrity(db)
        check_order(db)
        check_sessions(db, running=False)
        assert check_devices(db, fleet) == sum(device.sent for device in fleet)


def test_only_the_oldest_is_gone_when_a_full_journal_is_killed(tmp_path: Path) -> None:
    fleet = made_fleet(sent_again=0)  # what is gone is not known any more
    options = ("--journal-max", "1MB", "--record-pictures", "5")
    with starting_gateway(tmp_path, *FAST, *options) as gateway:
        gateway.wait_until_ready()
        asyncio.run(talk_all(fleet[2:3], gateway.port, more=MORE_THAN_FIT))
    killed_again_and_again(tmp_path, fleet, max(4, KILLS // 5), *options, whole=False)
    with opened(tmp_path) as db:
        check_integrity(db)
        check_order(db)
        check_sessions(db, running=False)
        assert check_devices(db, fleet, whole=False) < sum(device.sent for device in fleet)
        check_pictures(db, tmp_path, kept=5)
