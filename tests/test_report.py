from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsdev.commands.junit_file import junit
from wsdev.commands.ticket import ticket
from wsdev.errors import ExitCode
from wsdev.layers import Layer
from wsdev.probe import Visit
from wsdev.protocol import PICO
from wsdev.report import FORM, encode_report, interruption, make_report, round_trips
from wsdev.target import Target
from wsdev.token_format import new_token
from wsdev.urls import GatewayAddress


def fresh(token: str | None = None) -> Visit:
    return Visit(Target(GatewayAddress("gateway.example", 3000), PICO, "kitchen", token))


def test_visit_that_has_not_begun_is_a_report_too() -> None:
    report = make_report(fresh())
    assert (report.form, report.steps, report.verdict) == (FORM, [], None)
    assert report.url == "ws://gateway.example:3000/ws/pico"


def test_interrupted_visit_is_not_ok_and_tells_where() -> None:
    visit = fresh()
    visit.trying, visit.doing = Layer.TCP, ("connecting to 192.0.2.1", 0.0)
    report = make_report(visit)
    assert (report.ok, report.exit_code) == (False, ExitCode.INTERRUPTED)
    assert report.interrupted_in is Layer.TCP
    assert report.interrupted_at.startswith("connecting to 192.0.2.1, for ")
    told = interruption(report)
    assert told.startswith("interrupted at tcp: connecting to 192.0.2.1, for ")
    assert told in junit(report)
    assert f"- result: {told} (exit code 130)" in ticket(report, datetime.now(UTC))
    assert interruption(make_report(fresh())) == ""


def test_no_token_is_in_the_document_whatever_a_peer_says() -> None:
    token = new_token("pico")
    visit = fresh(token)
    visit.facts.host = f"echo-{token}"
    assert token not in encode_report(make_report(visit))


def test_no_round_trip_no_summary() -> None:
    assert round_trips([], 3) is None


@given(st.lists(st.floats(0, 100), min_size=1))
def test_summary_is_in_order_and_of_the_samples(seconds: list[float]) -> None:
    summary = round_trips(seconds, 0)
    assert summary is not None
    assert summary.median <= summary.p95 <= summary.max or len(seconds) == 1
    assert summary.max == pytest.approx(max(seconds) * 1000, abs=0.001)
    assert (summary.samples, summary.lost) == (len(seconds), 0)
    assert 0 <= summary.jitter <= summary.max


def test_jitter_is_the_mean_step_from_one_to_the_next() -> None:
    summary = round_trips([0.010, 0.030, 0.020], 1)
    assert summary is not None
    assert summary.jitter == pytest.approx(15.0)
    assert summary.lost == 1
