from __future__ import annotations

from typing import get_args

import msgspec
import pytest

from wsdev import events
from wsdev.events import BinaryReceived, Closed, ClosedBy, Event, PongReceived
from wsdev.protocol import Frame

DEFINED = [
    value
    for value in vars(events).values()
    if isinstance(value, type)
    and issubclass(value, msgspec.Struct)
    and value.__module__ == events.__name__
]


def test_the_union_names_every_event() -> None:
    assert set(get_args(Event)) == set(DEFINED)


@pytest.mark.parametrize("kind", DEFINED)
def test_an_event_cannot_be_changed_by_who_hears_it(kind: type[msgspec.Struct]) -> None:
    assert kind.__struct_config__.frozen


def test_events_compare_by_what_they_tell() -> None:
    assert Closed(1000, "", ClosedBy.PEER) == Closed(1000, "", ClosedBy.PEER)
    assert Closed(1000, "", ClosedBy.PEER) != Closed(1000, "", ClosedBy.HERE)
    assert BinaryReceived(b"a", Frame(size=1)) == BinaryReceived(b"a", Frame(size=1))
    assert PongReceived(0.1) != PongReceived(0.2)


def test_who_closed_is_told_in_words_fit_for_a_log() -> None:
    assert [by.value for by in ClosedBy] == ["peer", "here", "path"]
