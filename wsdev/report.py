"""A visit as one document: what ``wsdev connect --json`` prints. Its form is versioned."""

from __future__ import annotations

import itertools
import statistics
import time
from typing import Any, Final

import msgspec

from wsdev import __version__
from wsdev.diagnosis.diagnose import Remark
from wsdev.diagnosis.facts import Facts
from wsdev.diagnosis.talk_rules import percentile
from wsdev.diagnosis.verdict import Verdict
from wsdev.errors import ExitCode
from wsdev.layers import Layer
from wsdev.probe import Visit
from wsdev.token_format import without_tokens

FORM: Final = "wsdev.connect/1"
"""Raised when a field changes its meaning or goes; new fields may come without."""


class StepTold(msgspec.Struct, frozen=True):
    """One layer that was walked; ``ms`` is what it took."""

    name: Layer
    ok: bool
    detail: str
    ms: float


class RoundTrips(msgspec.Struct, frozen=True):
    """Messages and pings, in milliseconds.

    Attributes:
        jitter: Mean difference between one and the next.
        lost: Without an answer; not in ``samples``.
    """

    median: float
    p95: float
    max: float
    jitter: float
    samples: int
    lost: int


class Report(msgspec.Struct, frozen=True):
    """All of a visit.

    Attributes:
        ok: Whether nothing broke.
        verdict: What broke first; null if nothing did, or if it was interrupted before.
        interrupted_in: The layer that Ctrl-C interrupted, ``interrupted_at`` what was done there.
        facts: What was seen, layer by layer; text of peers as it came.
    """

    form: str
    wsdev: str
    url: str
    ok: bool
    exit_code: int
    device: str | None
    session: str | None
    steps: list[StepTold]
    round_trip_ms: RoundTrips | None
    verdict: Verdict | None
    remarks: list[Remark]
    interrupted_in: Layer | None
    interrupted_at: str
    facts: Facts


def make_report(visit: Visit) -> Report:
    """The document of a visit, whole or as far as it came."""
    found, talk, target = visit.verdict, visit.facts.talk, visit.target
    code = ExitCode.INTERRUPTED if visit.trying else ExitCode.OK
    return Report(
        form=FORM,
        wsdev=__version__,
        url=target.address.websocket_url(target.device_class.name),
        ok=found is None and visit.trying is None,
        exit_code=int(found.exit_code if found else code),
        device=(talk.device or None) if talk else None,
        session=(talk.session or None) if talk else None,
        steps=[
            StepTold(step.layer, step.ok, step.detail, round(step.seconds * 1000, 3))
            for step in visit.steps
        ],
        round_trip_ms=round_trips(talk.round_trips, talk.lost) if talk else None,
        verdict=found,
        remarks=visit.remarks,
        interrupted_in=visit.trying,
        interrupted_at=_interrupted_at(visit),
        facts=visit.facts,
    )


def interruption(report: Report) -> str:
    """Where and at what Ctrl-C came, in words; empty if it did not."""
    if report.interrupted_in is None:
        return ""
    return f"interrupted at {report.interrupted_in.value}: {report.interrupted_at}"


def _interrupted_at(visit: Visit) -> str:
    if visit.trying is None:
        return ""
    what, since = visit.doing
    return f"{what}, for {time.monotonic() - since:.1f} s"


def round_trips(seconds: list[float], lost: int) -> RoundTrips | None:
    """The summary of round trips given in seconds; None if there was none."""
    if not seconds:
        return None
    steps = [abs(later - earlier) for earlier, later in itertools.pairwise(seconds)]

    def ms(value: float) -> float:
        return round(value * 1000, 3)

    return RoundTrips(
        ms(statistics.median(seconds)),
        ms(percentile(seconds, 95)),
        ms(max(seconds)),
        ms(statistics.fmean(steps) if steps else 0.0),
        len(seconds),
        lost,
    )


def encode_report(report: Report) -> str:
    """The document as one line of JSON, without anything that looks like a token."""
    return without_tokens(msgspec.json.encode(report).decode())


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of the document."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": FORM,
        **msgspec.json.schema(Report),
    }
