"""The hub: who is there, and what becomes of commands to them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsdev.errors import DeviceOffline, NotAllowed, UsageError
from wsdev.hub import (
    LATE_ANSWERS,
    MAX_OPEN_COMMANDS,
    Change,
    Hub,
    Member,
    Outcome,
    SentCommand,
    Traffic,
)
from wsdev.protocol import MAX_NAME_LENGTH, CommandAck

NOW = 1000.0


class Port:
    """A device's end that keeps what it is sent."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    def send_text(self, text: bytes) -> None:
        self.sent.append(json.loads(text))

    def last_proof(self) -> float:
        return NOW

    def ask_for_proof(self) -> None:
        raise AssertionError("the hub asks nobody")

    def close(self, code: int, reason: str) -> None:
        raise AssertionError("the hub closes nobody")

    def traffic(self) -> Traffic:
        raise AssertionError("the hub counts nothing")

    def round_trips(self) -> Sequence[float]:
        raise AssertionError("the hub measures nothing")


def member(name: str) -> Member:
    return Member(name, "pico", f"s-{name}", "192.0.2.1", 0.0, Port())


def hub_with(*names: str) -> tuple[Hub, dict[str, Member]]:
    hub = Hub(max_command=4096)
    members = {name: member(name) for name in names}
    for each in members.values():
        hub.join(each)
    return hub, members


def port_of(who: Member) -> Port:
    assert isinstance(who.port, Port)
    return who.port


class Outcomes:
    """Collects settled commands."""

    def __init__(self) -> None:
        self.settled: list[SentCommand] = []

    def __call__(self, command: SentCommand) -> None:
        self.settled.append(command)

    def outcomes(self) -> list[tuple[str, Outcome]]:
        return [(command.id, command.outcome) for command in self.settled]


def not_settled(command: SentCommand) -> None:
    raise AssertionError(f"settled: {command}")


# Presence


def test_members_join_are_found_and_leave() -> None:
    hub, members = hub_with("kitchen", "hall")
    assert len(hub) == 2
    assert hub.get("kitchen") is members["kitchen"]
    hub.leave(members["kitchen"])
    assert hub.get("kitchen") is None
    assert list(hub) == [members["hall"]]


def test_renamed_member_is_found_under_its_new_name_only() -> None:
    hub, members = hub_with("pico-1")
    hub.rename(members["pico-1"], "kitchen")
    assert hub.get("kitchen") is members["pico-1"]
    assert hub.get("pico-1") is None


def test_leaving_twice_or_after_a_namesake_came_harms_nobody() -> None:
    hub, members = hub_with("kitchen")
    hub.leave(members["kitchen"])
    newer = member("kitchen")
    hub.join(newer)
    hub.leave(members["kitchen"])
    assert hub.get("kitchen") is newer


def test_listeners_hear_of_each_change_until_they_stop() -> None:
    hub = Hub(max_command=4096)
    heard: list[tuple[Change, str]] = []
    stop = hub.listen(lambda change, who: heard.append((change, who.name)))
    who = member("a")
    hub.join(who)
    hub.rename(who, "b")
    hub.leave(who)
    stop()
    hub.join(member("c"))
    assert heard == [(Change.JOINED, "a"), (Change.RENAMED, "b"), (Change.LEFT, "b")]


@given(st.text("abc-2", min_size=1, max_size=MAX_NAME_LENGTH), st.integers(0, 5))
def test_free_name_is_free_unclaimed_and_not_too_long(wanted: str, taken: int) -> None:
    hub, _ = hub_with(wanted)
    newcomer = member("newcomer")
    hub.join(newcomer)
    claimed: set[str] = set()
    for _ in range(taken):
        name = hub.free_name(newcomer, wanted, claimed.__contains__)
        if len(claimed) % 2:
            claimed.add(name)
        else:
            hub.join(member(name))
        assert len(name) <= MAX_NAME_LENGTH
    name = hub.free_name(newcomer, wanted, claimed.__contains__)
    assert hub.get(name) is None
    assert name not in claimed
    hub.rename(newcomer, name)
    assert hub.free_name(newcomer, wanted, claimed.__contains__) == name


# Commands


def test_own_form_reaches_the_device_with_an_id_and_is_settled_by_it() -> None:
    hub, members = hub_with("kitchen")
    done = Outcomes()
    sent = hub.send("kitchen", {"name": "blink", "args": {"times": 3}}, done, now=NOW)
    assert port_of(members["kitchen"]).sent == [
        {"type": "command", "id": sent.id, "name": "blink", "args": {"times": 3}}
    ]
    ack = CommandAck("success", id=sent.id, detail={"took_ms": 12})
    assert hub.acknowledged(members["kitchen"], ack) is sent
    assert done.outcomes() == [(sent.id, Outcome.ACKNOWLEDGED)]
    assert sent.detail == {"took_ms": 12}


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        ({"type": "servo", "command": {"servo1": 90, "servo2": 45}}, "servo"),
        ({"action": "capture_photo", "quality": 10}, "capture_photo"),
    ],
)
def test_operators_own_object_goes_out_as_it_is_and_is_settled_by_its_type(
    command: dict[str, Any], kind: str
) -> None:
    hub, members = hub_with("kitchen")
    done = Outcomes()
    sent = hub.send("kitchen", command, done, now=NOW)
    assert port_of(members["kitchen"]).sent == [{**command, "id": sent.id}]
    assert hub.acknowledged(members["kitchen"], CommandAck("error", command_type=kind)) is sent
    assert done.outcomes() == [(sent.id, Outcome.FAILED)]


def test_ack_by_type_settles_the_oldest_open_command_of_that_type() -> None:
    hub, members = hub_with("kitchen")
    done = Outcomes()
    first, other, second = (
        hub.send("kitchen", {"type": kind}, done, now=NOW) for kind in ("servo", "led", "servo")
    )
    for status in ("success", "ignored"):
        hub.acknowledged(
            members["kitchen"],
            CommandAck("success" if status == "success" else "ignored", command_type="servo"),
        )
    assert done.outcomes() == [(first.id, Outcome.ACKNOWLEDGED), (second.id, Outcome.IGNORED)]
    assert other.outcome is Outcome.OPEN


@pytest.mark.parametrize(
    "ack",
    [
        CommandAck("success", id="c-999"),
        CommandAck("success", id="c-999", command_type="servo"),
        CommandAck("success", command_type="led"),
        CommandAck("success"),
    ],
)
def test_ack_that_names_no_open_command_settles_nothing(ack: CommandAck) -> None:
    hub, members = hub_with("kitchen")
    sent = hub.send("kitchen", {"type": "servo"}, not_settled, now=NOW)
    assert hub.acknowledged(members["kitchen"], ack) is None
    assert sent.outcome is Outcome.OPEN


def test_one_device_cannot_settle_another_s_command() -> None:
    hub, members = hub_with("kitchen", "hall")
    sent = hub.send("kitchen", {"type": "servo"}, not_settled, now=NOW)
    assert hub.acknowledged(members["hall"], CommandAck("success", id=sent.id)) is None


def test_command_expires_once_at_its_time() -> None:
    hub, members = hub_with("kitchen")
    done = Outcomes()
    sent = hub.send("kitchen", {"name": "blink"}, done, now=NOW, timeout=5)
    hub.expire(NOW + 4.9)
    assert done.settled == []
    hub.expire(NOW + 5)
    hub.expire(NOW + 6)
    assert done.outcomes() == [(sent.id, Outcome.EXPIRED)]
    assert hub.acknowledged(members["kitchen"], CommandAck("success", id=sent.id)) is None


def test_open_commands_of_a_device_that_leaves_are_lost() -> None:
    hub, members = hub_with("kitchen")
    done = Outcomes()
    sent = [hub.send("kitchen", {"name": "blink"}, done, now=NOW) for _ in range(2)]
    hub.leave(members["kitchen"])
    assert done.outcomes() == [(command.id, Outcome.LOST) for command in sent]


def test_commands_are_settled_once_if_the_end_of_one_makes_the_device_leave() -> None:
    hub, members = hub_with("kitchen")
    outcomes = Outcomes()

    def leave(command: SentCommand) -> None:
        outcomes(command)
        hub.leave(members["kitchen"])

    first = hub.send("kitchen", {"name": "blink"}, leave, now=NOW, timeout=1)
    second = hub.send("kitchen", {"name": "blink"}, outcomes, now=NOW, timeout=1)
    hub.expire(NOW + 1)
    assert outcomes.outcomes() == [(first.id, Outcome.EXPIRED), (second.id, Outcome.LOST)]


def test_command_to_nobody_says_so() -> None:
    with pytest.raises(DeviceOffline) as caught:
        hub_with("hall")[0].send("kitchen", {"name": "blink"}, not_settled, now=NOW)
    assert caught.value.code == "offline"


def test_command_over_a_device_s_buffer_is_refused_and_not_sent() -> None:
    hub, members = hub_with("kitchen")
    with pytest.raises(UsageError) as caught:
        hub.send("kitchen", {"name": "x" * 4096}, not_settled, now=NOW)
    assert caught.value.code == "command_too_large"
    assert port_of(members["kitchen"]).sent == []
    assert members["kitchen"].commands == []


def test_device_that_answers_nothing_gets_a_bounded_number_of_commands() -> None:
    hub, members = hub_with("kitchen")
    for _ in range(MAX_OPEN_COMMANDS):
        hub.send("kitchen", {"name": "blink"}, not_settled, now=NOW)
    with pytest.raises(NotAllowed) as caught:
        hub.send("kitchen", {"name": "blink"}, not_settled, now=NOW)
    assert caught.value.code == "too_many_commands"
    assert len(port_of(members["kitchen"]).sent) == MAX_OPEN_COMMANDS


# Answers that name no id, and come late


def servo_after_a_late_one() -> tuple[Hub, Member, Outcomes, SentCommand, SentCommand]:
    """One command expired unanswered, another of its type was sent."""
    hub, members = hub_with("kitchen")
    done = Outcomes()
    first = hub.send("kitchen", {"type": "servo"}, done, now=NOW)
    hub.expire(NOW + 10)
    second = hub.send("kitchen", {"type": "servo"}, done, now=NOW + 10)
    return hub, members["kitchen"], done, first, second


BY_TYPE = CommandAck("success", command_type="servo")


def test_late_answer_by_type_is_not_taken_for_a_later_command_s() -> None:
    hub, who, done, first, second = servo_after_a_late_one()
    assert hub.acknowledged(who, BY_TYPE) is None
    assert second.outcome is Outcome.OPEN
    assert second.is_doubtful
    assert hub.acknowledged(who, BY_TYPE) is second
    assert done.outcomes() == [(first.id, Outcome.EXPIRED), (second.id, Outcome.ACKNOWLEDGED)]


def test_device_that_drops_one_command_does_not_shift_all_later_answers() -> None:
    hub, who, _, _, second = servo_after_a_late_one()
    assert hub.acknowledged(who, BY_TYPE) is None
    hub.expire(NOW + 20)
    assert second.outcome is Outcome.EXPIRED
    third = hub.send("kitchen", {"type": "servo"}, Outcomes(), now=NOW + 20)
    assert hub.acknowledged(who, BY_TYPE) is third


def test_answer_with_an_id_is_never_in_doubt() -> None:
    hub, who, _, first, second = servo_after_a_late_one()
    assert hub.acknowledged(who, CommandAck("success", id=first.id)) is None
    assert not second.is_doubtful
    assert hub.acknowledged(who, CommandAck("success", id=second.id)) is second


def test_command_that_was_never_answered_is_forgotten_after_a_while() -> None:
    hub, members = hub_with("kitchen")
    hub.send("kitchen", {"type": "servo"}, Outcomes(), now=NOW)
    hub.expire(NOW + 10)
    assert len(members["kitchen"].unanswered) == 1
    hub.expire(NOW + 10 + LATE_ANSWERS)
    assert members["kitchen"].unanswered == []
    second = hub.send("kitchen", {"type": "servo"}, Outcomes(), now=NOW + 80)
    assert hub.acknowledged(members["kitchen"], BY_TYPE) is second


def test_commands_without_answers_take_bounded_memory() -> None:
    hub, members = hub_with("kitchen")
    for number in range(3 * MAX_OPEN_COMMANDS):
        hub.send("kitchen", {"type": "servo"}, Outcomes(), now=NOW, timeout=number / 1000)
        hub.expire(NOW + 1)
    assert len(members["kitchen"].unanswered) <= MAX_OPEN_COMMANDS


def test_time_is_told_to_whoever_listens() -> None:
    hub, _ = hub_with("kitchen")
    heard: list[float] = []
    hub.listen_to_time(heard.append)
    hub.expire(NOW)
    assert heard == [NOW]


def test_ids_are_not_those_of_another_run() -> None:
    made = {hub_with("kitchen")[0].prepare({"name": "blink"}).id for _ in range(2)}
    assert len(made) == 2
    assert all(len(command_id) <= 20 for command_id in made)
