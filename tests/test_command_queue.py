from __future__ import annotations

import pytest

from wsdev.command_queue import (
    MOST_IN_ALL,
    MOST_OF_DEVICE,
    Batch,
    CommandQueue,
    Waiting,
    check_form,
    check_times,
    check_waiting,
)
from wsdev.command_records import MAX_QUEUE_TIME, MAX_TIMEOUT, CommandRecord
from wsdev.errors import NotAllowed, UsageError
from wsdev.hub import Member, ReadyCommand
from wsdev.token_format import new_token


def waiting(device: str = "kitchen", until: float = 100.0, number: int = 1) -> Waiting:
    command_id = f"c-{number}"
    record = CommandRecord(command_id, device, "me", "servo", {}, 10.0, 0.0)
    return Waiting(record, ReadyCommand(command_id, b"{}", "servo"), until)


def queue_of(*ones: Waiting) -> CommandQueue:
    queue = CommandQueue()
    for one in ones:
        queue.add(one)
    return queue


def test_line_keeps_the_order_and_is_gone_when_empty() -> None:
    ones = [waiting(number=number) for number in range(3)]
    queue = queue_of(*ones)
    line = queue.line("kitchen")
    assert line is not None
    assert line.waiting == ones
    assert queue.line("hall") is None
    for one in ones:
        assert queue.find(one.record) is one
        queue.remove(one)
    assert queue.line("kitchen") is None
    assert queue.find(ones[0].record) is None
    assert len(queue) == 0


def test_one_device_cannot_fill_the_queue_of_the_others() -> None:
    queue = queue_of(*(waiting(number=number) for number in range(MOST_OF_DEVICE)))
    with pytest.raises(NotAllowed) as caught:
        queue.check_room("kitchen")
    assert caught.value.code == "queue_full"
    queue.check_room("hall")


def test_all_lines_together_are_bounded() -> None:
    queue = queue_of(*(waiting(f"d-{number % 100}") for number in range(MOST_IN_ALL)))
    with pytest.raises(NotAllowed) as caught:
        queue.check_room("hall")
    assert caught.value.code == "queue_full"


def test_due_ones_are_told_at_their_time() -> None:
    early, late = waiting(until=5), waiting("hall", until=9)
    queue = queue_of(early, late)
    assert queue.due(4.9) == []
    assert queue.due(5) == [early]
    queue.remove(early)
    assert queue.due(8) == []
    assert queue.due(9) == [late]


def test_what_is_on_its_way_is_not_given_up_but_afterwards() -> None:
    one = waiting(until=5)
    queue = queue_of(one)
    line = queue.line("kitchen")
    assert line is not None
    member = Member("kitchen", "pico", "s", "192.0.2.1", 0.0, None)  # type: ignore[arg-type]
    line.batch = Batch(member, [one])
    assert queue.due(6) == []
    line.batch = None
    queue.settled_again()
    assert queue.due(6) == [one]


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), MAX_TIMEOUT + 1])
def test_timeout_that_cannot_be_meant_is_refused(timeout: float) -> None:
    with pytest.raises(UsageError) as caught:
        check_times(timeout, None)
    assert caught.value.code == "bad_timeout"


@pytest.mark.parametrize("queue_for", [0, -1, float("nan"), float("inf"), MAX_QUEUE_TIME + 1])
def test_time_in_the_queue_that_cannot_be_meant_is_refused(queue_for: float) -> None:
    with pytest.raises(UsageError) as caught:
        check_times(10, queue_for)
    assert caught.value.code == "bad_queue_time"


def test_longest_times_are_allowed() -> None:
    check_times(MAX_TIMEOUT, MAX_QUEUE_TIME)


@pytest.mark.parametrize(
    "command", [[1], {}, {"text": "hello"}, {"name": 1}, {"name": "blink", "times": 3}], ids=str
)
def test_command_that_would_not_go_out_whole_is_refused(command: object) -> None:
    with pytest.raises(UsageError) as caught:
        check_form(command)
    assert caught.value.code == "bad_command"


@pytest.mark.parametrize(
    "command", [{"type": "x", "a": 1}, {"action": "y"}, {"name": "z", "args": [1]}], ids=str
)
def test_command_of_any_known_form_is_taken(command: object) -> None:
    check_form(command)


def test_what_waits_has_a_device_and_no_secrets() -> None:
    ready = ReadyCommand("c-1", new_token("pico").encode(), "x")
    for device, may_be_kept, code in [("a b", False, "bad_name"), ("hall", True, "holds_token")]:
        with pytest.raises(UsageError) as caught:
            check_waiting(device, ready, may_be_kept=may_be_kept)
        assert caught.value.code == code
    check_waiting("hall", ready, may_be_kept=False)
