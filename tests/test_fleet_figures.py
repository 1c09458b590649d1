"""What a fleet counts."""

from __future__ import annotations

import pytest

from wsdev.errors import LinkCut, NotAllowed
from wsdev.fleet_figures import MOST_CAUSES, FleetFigures


def test_errors_are_counted_by_their_code_and_the_latest_is_shown() -> None:
    figures = FleetFigures()
    assert figures.most_common_error() is None
    for number in range(3):
        figures.failed(NotAllowed(f"full (request {number})", code="full"))
    figures.failed(LinkCut("cut"))
    assert figures.errors == 4
    assert [(cause.times, cause.error.cause) for cause in figures.by_number()] == [
        (3, "full (request 2)"),
        (1, "cut"),
    ]
    assert figures.most_common_error() is figures.by_number()[0].error


def test_kinds_of_errors_are_bounded() -> None:
    figures = FleetFigures()
    for number in range(3 * MOST_CAUSES):
        figures.failed(LinkCut("cut", code=f"code-{number}"))
    assert figures.errors == 3 * MOST_CAUSES
    assert len(figures.causes) == MOST_CAUSES + 1


def test_values_are_those_that_thresholds_ask_for() -> None:
    figures = FleetFigures(count=10, stayed=9, sent=100, acked=90, forgotten=2)
    values = figures.values(4.5)
    assert (values["loss"], values["rate"], values["connected"]) == (8, 20.0, 9)
    assert "p99" not in values
    figures.round_trips.add(0.25)
    assert figures.values(0)["p99"] == figures.values(0)["max"] == 0.25
    assert figures.values(0)["rate"] == 0


def test_document_tells_times_in_milliseconds() -> None:
    figures = FleetFigures(count=2, sent=3, acked=1)
    figures.round_trips.add(0.010)
    figures.failed(LinkCut("cut", "look"))
    document = figures.document(2.0)
    assert document["messages"]["lost"] == 2
    assert document["messages"]["acked_per_second"] == 0.5
    assert document["round_trip_ms"]["max"] == pytest.approx(10)
    assert document["links"]["connect_ms"] is None
    (error,) = document["errors"]
    assert error == {
        "times": 1, "code": "link_cut", "side": "on the way", "cause": "cut", "hint": "look",
    }  # fmt: skip
