from __future__ import annotations

import pytest

from wsdev.command_records import (
    CommandChange,
    CommandRecord,
    CommandState,
    record_of,
    storable_json,
)
from wsdev.token_format import new_token

ASKED = 1_800_000_000.0


def a_record(**changes: object) -> CommandRecord:
    record = CommandRecord(
        "c-1", "kitchen", "me", "servo", {"type": "servo"}, 10.0, ASKED, queue_until=ASKED + 60
    )
    for name, value in changes.items():
        setattr(record, name, value)
    return record


def fields_of(record: CommandRecord) -> dict[str, object]:
    return {name: getattr(record, name) for name in CommandRecord.__slots__}


@pytest.mark.parametrize(
    ("state", "is_over"),
    [(state, state not in {CommandState.QUEUED, CommandState.SENT}) for state in CommandState],
)
def test_command_is_over_once_no_other_state_follows(state: CommandState, is_over: bool) -> None:
    assert a_record(state=state).is_over == is_over


def test_changes_make_the_record_that_they_came_from() -> None:
    record = a_record()
    changes = [(1_800_000_000_000, record.change(first=True))]
    record.state, record.sent, record.session = CommandState.SENT, ASKED + 5, "s-1"
    changes.append((1_800_000_005_000, record.change()))
    record.state, record.ended, record.detail = CommandState.FAILED, ASKED + 6, {"jam": True}
    record.reason = "because"
    changes.append((1_800_000_006_000, record.change()))
    found = record_of(changes)
    assert found is not None
    assert fields_of(found) == fields_of(record)


def test_command_that_was_put_back_is_not_sent() -> None:
    record = a_record()
    changes = [(1, record.change(first=True)), (2, record.marked_as_sent("s-1"))]
    found = record_of([*changes, (3, record.change())])
    assert found is not None
    assert (found.state, found.sent, found.session) == (CommandState.QUEUED, None, None)
    assert found.queue_until == ASKED + 60


def test_mark_says_sent_before_the_record_does() -> None:
    record = a_record()
    mark = record.marked_as_sent("s-1")
    assert (mark.state, mark.session, mark.queue_until) == (CommandState.SENT, "s-1", None)
    assert record.state is CommandState.QUEUED


def test_no_changes_make_no_record() -> None:
    assert record_of([]) is None


def test_body_of_another_form_is_an_empty_command() -> None:
    change = CommandChange("c-1", CommandState.LOST, "kitchen", "me", "servo", body="[1]")
    found = record_of([(1, change)])
    assert found is not None
    assert found.command == {}


def test_what_is_kept_has_no_token_and_is_not_too_long() -> None:
    token = new_token("pico")
    assert token not in str(storable_json({"t": token}))
    assert storable_json({"a": [1, None]}) == {"a": [1, None]}
    assert storable_json("x" * 100, 10) == '"' + "x" * 9
