from __future__ import annotations

import pytest
from any_facts import any_facts
from hypothesis import given
from hypothesis import strategies as st

from wsdev.diagnosis.facts import Answer, HttpFacts, Quality, TalkFacts, TalkTrouble
from wsdev.diagnosis.talk_rules import (
    SILENT_ENOUGH,
    describe_quality,
    percentile,
    quality_verdict,
    talk_verdict,
)
from wsdev.diagnosis.verdict import FAULTS
from wsdev.layers import Layer

CASES = [
    ("hello", TalkTrouble.UNANSWERED, "hello_unanswered", Layer.HELLO),
    ("message", TalkTrouble.UNANSWERED, "message_unanswered", Layer.MESSAGE),
    ("large", TalkTrouble.UNANSWERED, "large_message_lost", Layer.MESSAGE),
    ("ping", TalkTrouble.UNANSWERED, "ping_unanswered", Layer.KEEPALIVE),
    ("hello", TalkTrouble.CUT, "cut", Layer.HELLO),
    ("message", TalkTrouble.CUT, "cut", Layer.MESSAGE),
    ("large", TalkTrouble.CUT, "large_message_cut", Layer.MESSAGE),
    ("ping", TalkTrouble.CUT, "cut", Layer.KEEPALIVE),
    ("hello", TalkTrouble.WORDS, "words_broken", Layer.HELLO),
    ("ping", TalkTrouble.WORDS, "words_broken", Layer.KEEPALIVE),
    ("message", TalkTrouble.ERROR, "answered_with_error", Layer.MESSAGE),
]


@pytest.mark.parametrize(("doing", "trouble", "code", "layer"), CASES)
def test_trouble_is_named_after_what_was_in_vain(
    doing: str, trouble: TalkTrouble, code: str, layer: Layer
) -> None:
    found = talk_verdict(TalkFacts(doing, trouble))
    assert found is not None
    assert (found.code, found.layer) == (code, layer)


@pytest.mark.parametrize(
    ("silent_for", "code"),
    [(None, "cut"), (SILENT_ENOUGH - 0.1, "cut"), (SILENT_ENOUGH, "cut_when_silent")],
)
def test_cut_after_silence_is_told_with_its_time(silent_for: float | None, code: str) -> None:
    found = talk_verdict(TalkFacts("ping", TalkTrouble.CUT, silent_for=silent_for))
    assert found is not None
    assert found.code == code
    assert ("it was silent for 5.0 s" in found.evidence) == (code == "cut_when_silent")


@pytest.mark.parametrize(("close_code", "code"), [(4501, "close_4501"), (4321, "close_other")])
def test_close_is_named_by_its_code(close_code: int, code: str) -> None:
    found = talk_verdict(TalkFacts("hello", TalkTrouble.CLOSED, close_code=close_code))
    assert found is not None
    assert found.code == code
    assert f"a close frame with the code {close_code}" in found.evidence


@pytest.mark.parametrize(
    ("health", "code", "evidence"),
    [
        (HttpFacts("/healthz"), "message_unanswered", "gets no answer now either"),
        (
            HttpFacts("/healthz", Answer(200, "OK", "1.1", [], '{"status":"ok"}')),
            "message_unanswered",
            "says now: HTTP 200",
        ),
        (
            HttpFacts("/healthz", Answer(503, "", "1.1", [], '{"status":"degraded"}')),
            "cannot_record",
            "says now: HTTP 503",
        ),
    ],
    ids=["silent", "ok", "degraded"],
)
def test_message_in_vain_is_told_with_the_gateways_health(
    health: HttpFacts, code: str, evidence: str
) -> None:
    found = talk_verdict(TalkFacts("message", TalkTrouble.UNANSWERED), health)
    assert found is not None
    assert (found.code, found.layer) == (code, Layer.MESSAGE)
    assert evidence in found.evidence[-1]


def test_hint_of_the_gateway_is_the_fix() -> None:
    found = talk_verdict(TalkFacts("message", TalkTrouble.ERROR, hint="send less"))
    assert found is not None
    assert found.fix == "send less"


@given(any_facts(TalkFacts), any_facts(Quality))
def test_any_talk_is_judged(talk: TalkFacts, wanted: Quality) -> None:
    for found in (talk_verdict(talk), quality_verdict(talk, wanted)):
        assert found is None or found.code in FAULTS
    describe_quality(talk)


# Quality


def talk(*round_trips: float, lost: int = 0) -> TalkFacts:
    return TalkFacts("ping", round_trips=list(round_trips), lost=lost, judged=True)


@pytest.mark.parametrize(
    ("found", "wanted", "code"),
    [
        (talk(0.1, 0.1), Quality(max_rtt=0.1), None),
        (talk(0.1, 0.2), Quality(max_rtt=0.1), "too_slow"),
        (talk(*[0.1] * 95, *[9.0] * 5), Quality(max_rtt=0.1), None),
        (talk(*[0.1] * 94, *[9.0] * 6), Quality(max_rtt=0.1), "too_slow"),
        (talk(*[0.1] * 9, lost=1), Quality(max_loss=0.1), None),
        (talk(*[0.1] * 8, lost=1), Quality(max_loss=0.1), "too_lossy"),
        (talk(9.0, lost=1), Quality(max_rtt=0.1, max_loss=0.0), "too_lossy"),
        (talk(9.0, lost=9), Quality(), None),
        (talk(), Quality(max_rtt=0.1, max_loss=0.0), None),
    ],
)
def test_quality_is_held_to_what_was_asked_for(
    found: TalkFacts, wanted: Quality, code: str | None
) -> None:
    verdict = quality_verdict(found, wanted)
    assert (verdict.code if verdict else None) == code


def test_quality_is_not_judged_before_the_end() -> None:
    slow = talk(9.0, lost=9)
    slow.judged = False
    assert quality_verdict(slow, Quality(max_rtt=0.1, max_loss=0.0)) is None


@given(st.lists(st.floats(0, 10), min_size=1, max_size=200), st.integers(1, 100))
def test_percentile_is_the_least_that_covers_so_many(values: list[float], percent: int) -> None:
    found = percentile(values, percent)
    assert found in values
    assert sum(value <= found for value in values) * 100 >= percent * len(values)
    assert sum(value < found for value in values) * 100 < percent * len(values)
