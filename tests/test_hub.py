"""The hub: who is there, and what becomes of commands to them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsdev.errors import DeviceOffline, NotAllowed, UsageError
from wsdev.hub import MAX_OPEN_COMMANDS, Change, Hub, Member, Outcome, SentCommand
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
