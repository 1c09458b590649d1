"""What a gateway answers to a replay, against what was recorded."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsdev.codec import decode_from_gateway
from wsdev.errors import ProtocolViolation
from wsdev.recording_format import Message
from wsdev.replay_check import MOST_OPEN, Comparison, Difference

WELCOME: dict[str, Any] = {
    "type": "connection_ack",
    "device": "kitchen",
    "session": "5e55",
    "server_time": 1.5,
    "ping_interval": 20.0,
    "max_message_bytes": 65_536,
    "status": "connected",
}


class Play(Comparison):
    """A comparison that is told what was recorded and what is seen as plain objects."""

    line = 0

    def recorded(self, *messages: dict[str, Any]) -> None:
        for message in messages:
            self.line += 1
            self.expect(self.line, Message(0, "out", message["type"], json=message))

    def seen(self, *messages: dict[str, Any]) -> None:
        for message in messages:
            text = json.dumps(message).encode()
            self.saw(decode_from_gateway(text), text)


def ack(message_id: str | int) -> dict[str, Any]:
    return {"type": "ack", "id": message_id}


def error(code: str, message: str = "") -> dict[str, Any]:
    return {"type": "error", "code": code, "message": message}


def pong(timestamp: Any) -> dict[str, Any]:
    return {"type": "pong", "timestamp": timestamp}


ANSWERS = st.lists(
    st.one_of(
        st.builds(ack, st.integers(0, 9) | st.sampled_from(["1", "2"])),
        st.builds(error, st.sampled_from("abc")),
        st.builds(pong, st.integers(0, 3)),
    ),
    max_size=20,
)


@given(ANSWERS, st.data())
def test_same_answers_make_no_difference_whenever_they_come(
    answers: list[dict[str, Any]], data: st.DataObject
) -> None:
    play = Play()
    waiting = list(answers)
    for answer in answers:
        for _ in range(data.draw(st.integers(0, 3))):
            if waiting:
                play.seen(waiting.pop(0))
        play.recorded(answer)
    play.seen(*waiting)
    assert play.differences() == []
    assert (play.matched, play.awaited) == (len(answers), 0)


@given(ANSWERS, ANSWERS)
def test_each_answer_is_matched_or_told(
    recorded: list[dict[str, Any]], seen: list[dict[str, Any]]
) -> None:
    play = Play()
    play.recorded(*recorded)
    play.seen(*seen)
    told = play.differences()
    assert play.matched + sum(one.recorded is not None for one in told) == len(recorded)
    assert play.matched + sum(one.seen is not None for one in told) == len(seen)


def test_acks_are_known_by_their_id_in_any_order() -> None:
    play = Play()
    play.recorded(ack(1), ack("1"), ack("b"))
    play.seen(ack("b"), ack("1"))
    assert play.awaited == 1
    assert play.differences() == [Difference("ack", 1, {"id": 1}, None)]


def test_ack_of_what_was_not_recorded_is_told_by_itself() -> None:
    play = Play()
    play.recorded(ack("a"))
    play.seen(ack("b"))
    assert play.differences() == [
        Difference("ack", 1, {"id": "a"}, None),
        Difference("ack", None, None, {"id": "b"}),
    ]


def test_session_and_time_are_others_in_each_run() -> None:
    play = Play()
    play.recorded(WELCOME)
    play.seen({**WELCOME, "session": "0ther", "server_time": 99.0})
    assert play.differences() == []


@pytest.mark.parametrize(
    "change",
    [{"device": "kitchen-2"}, {"ping_interval": 5.0}, {"max_message_bytes": 1}, {"status": "no"}],
)
def test_stable_field_of_the_welcome_is_compared(change: dict[str, Any]) -> None:
    play = Play()
    play.recorded(WELCOME)
    play.seen({**WELCOME, **change})
    (found,) = play.differences()
    assert found.line == 1
    assert found.recorded is not None
    assert found.seen is not None
    assert found.recorded.items() - found.seen.items() == {(name, WELCOME[name]) for name in change}


def test_device_under_another_name_is_welcomed_under_that() -> None:
    play = Play(any_name=True)
    play.recorded(WELCOME)
    play.seen({**WELCOME, "device": "garden"})
    assert play.differences() == []


def test_what_an_edited_line_leaves_out_is_not_compared() -> None:
    play = Play()
    play.recorded({"type": "connection_ack"}, {"type": "pong"})
    play.seen(WELCOME, pong(7))
    assert play.differences() == []


def test_words_of_an_error_may_be_improved_but_not_its_code() -> None:
    play = Play()
    play.recorded(error("bad_json", "no"), error("no_type"))
    play.seen(error("bad_json", "better"), error("not_object"))
    assert play.differences() == [
        Difference("error", 2, {"code": "no_type"}, {"code": "not_object"})
    ]


def test_answer_that_came_otherwise_is_not_waited_for() -> None:
    play = Play()
    play.recorded(error("a"), error("b"), ack(1))
    play.seen(error("x"), ack(2))
    assert play.awaited == 2  # b, and the ack of 1


def test_one_missing_answer_does_not_put_the_rest_out_of_step() -> None:
    play = Play()
    play.recorded(*map(error, "abcd"))
    play.seen(*map(error, "acd"))
    assert play.differences() == [Difference("error", 2, {"code": "b"}, None)]
    assert play.awaited == 0  # nobody has to wait for it


def test_one_answer_too_many_is_told_without_a_line() -> None:
    play = Play()
    play.seen(*map(error, "axb"))
    play.recorded(*map(error, "ab"))
    assert play.differences() == [Difference("error", None, None, {"code": "x"})]


def test_answers_in_another_order_are_told() -> None:
    play = Play()
    play.recorded(*map(error, "ab"))
    play.seen(*map(error, "ba"))
    assert len(play.differences()) == 1


def test_true_is_not_one() -> None:
    play = Play()
    play.recorded({"type": "pong", "timestamp": True})
    play.seen(pong(1))
    assert len(play.differences()) == 1


def test_commands_are_no_answers() -> None:
    play = Play()
    play.seen({"type": "command", "id": "c", "name": "blink"}, {"action": "go"}, {"type": "servo"})
    assert play.commands == 3
    assert play.differences() == []


def test_kind_that_this_version_does_not_compare_has_to_come() -> None:
    play = Play()
    play.recorded({"type": "ping", "timestamp": 1}, {"type": "ping"})
    play.seen({"type": "ping", "timestamp": 2})
    assert play.differences() == [Difference("ping", 2, {}, None)]


def test_gateway_that_owes_too_much_ends_it() -> None:
    play = Play()
    play.recorded(*map(ack, range(MOST_OPEN)))
    with pytest.raises(ProtocolViolation, match="owes more"):
        play.recorded(ack("one more"))


def test_gateway_that_says_too_much_ends_it() -> None:
    play = Play()
    play.seen(*map(ack, range(MOST_OPEN)))
    with pytest.raises(ProtocolViolation, match="not recorded"):
        play.seen(ack("one more"))
