from __future__ import annotations

from collections.abc import Sequence

import pytest

from wsdev import absences
from wsdev.absences import Absences, offline
from wsdev.command_records import CommandRecord
from wsdev.errors import JournalError
from wsdev.hub import Hub, Member, Traffic
from wsdev.journal_interface import LastSeen

NOW, WALL = 1000.0, 1_800_000_000.0


class Port:
    """A device that was heard half a minute ago."""

    def send_text(self, text: bytes) -> None: ...

    def traffic(self) -> Traffic:
        raise AssertionError("nobody asks for it")

    def round_trips(self) -> Sequence[float]:
        raise AssertionError("nobody asks for it")

    def last_proof(self) -> float:
        return NOW - 30

    def ask_for_proof(self) -> None: ...

    def close(self, code: int, reason: str) -> None: ...


class Archive:
    """Knows one device; or nothing at all."""

    is_damaged = False

    def queued(self) -> list[CommandRecord]:
        return []

    def find(self, command_id: str) -> CommandRecord | None:
        return None

    def last_seen(self, device: str) -> LastSeen | None:
        if self.is_damaged:
            raise JournalError("damaged", code="damaged")
        return LastSeen(WALL - 3600, WALL - 3610) if device == "attic" else None


def made() -> tuple[Hub, Absences, Archive]:
    hub, archive = Hub(max_command=4096), Archive()
    return hub, Absences(hub, archive, clock=lambda: NOW, wall_clock=lambda: WALL), archive


def member(name: str, session: str = "c0ffee") -> Member:
    return Member(name, "pico", session, "192.0.2.1", 0.0, Port())


def test_device_that_left_is_away_since_then_and_was_seen_before() -> None:
    hub, away, _ = made()
    who = member("kitchen")
    hub.join(who)
    hub.leave(who)
    assert away.last_seen("kitchen") == (WALL, WALL - 30)
    assert away.recent("kitchen") == (WALL, WALL - 30)
    error = offline("kitchen", away.last_seen("kitchen"))
    assert (error.code, error.device) == ("offline", "kitchen")
    assert (error.since, error.last_seen) == (WALL, WALL - 30)
    assert error.cause == (
        "kitchen is offline since 2027-01-15T08:00:00Z, last seen 2027-01-15T07:59:30Z"
    )


def test_journal_is_asked_about_those_that_left_longer_ago() -> None:
    _, away, archive = made()
    assert away.last_seen("attic") == (WALL - 3600, WALL - 3610)
    assert away.recent("attic") is None
    archive.is_damaged = True
    assert away.last_seen("attic") is None


def test_device_that_never_was_there_is_told_as_such() -> None:
    error = offline("kitch\x1ben", made()[1].last_seen("kitch\x1ben"))
    assert error.since is None
    assert error.cause.endswith("is offline, and was never seen")
    assert "\x1b" not in error.cause


def test_device_with_another_name_is_away_under_the_former_one() -> None:
    hub, away, _ = made()
    who = member("kitchen")
    hub.join(who)
    hub.rename(who, "hall")
    assert away.last_seen("kitchen") == (WALL, WALL - 30)
    hub.rename(who, "kitchen")
    assert away.last_seen("kitchen") is None


def test_made_up_names_are_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(absences, "REMEMBERED", 1)
    hub, away, _ = made()
    for number in range(3):
        who = member(f"pico-{number:06x}", f"{number:06x}")
        hub.join(who)
        hub.rename(who, f"named-{number}")
        hub.leave(who)
    assert away.last_seen("pico-000000") is None
    assert away.last_seen("named-1") is None  # one is remembered
    assert away.last_seen("named-2") is not None
