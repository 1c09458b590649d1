from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsdev.idle_cut import (
    FINE_ENOUGH,
    KNOWN,
    End,
    Finding,
    Judgement,
    Outcome,
    Plan,
    conclude,
    familiar,
    make_plan,
    second_round,
    who_cuts,
)

# The plan


@given(st.floats(0.5, 3600))
def test_first_round_rises_to_the_bound_in_a_handful_of_connections(up_to: float) -> None:
    plan = make_plan(up_to, 10)
    assert list(plan.first) == sorted(set(plan.first))
    assert plan.first[-1] == up_to
    assert 4 <= len(plan.first) <= 12
    assert 0 < plan.busy_interval < plan.first[0]


def test_ten_minutes_are_tried_with_eight_connections() -> None:
    plan = make_plan(600, 10)
    assert plan.first == [10, 20, 45, 80, 160, 290, 420, 600]
    assert plan.longest == 620


def test_between_two_silences_lies_at_most_one_known_cut() -> None:
    for low, high in pairwise([0, *make_plan(3600, 10).first]):
        assert sum(low < known.after <= high for known in KNOWN) <= 1


# From outcomes to a finding


def held(*silences: float) -> list[Outcome]:
    return [Outcome(silence, silence, End.ANSWERED, asked=True) for silence in silences]


def silent_cut(*silences: float) -> list[Outcome]:
    return [Outcome(silence, silence, End.NO_ANSWER, asked=True) for silence in silences]


def visible_cut(at: float, *silences: float, end: End = End.FIN) -> list[Outcome]:
    return [Outcome(silence, at, end) for silence in silences]


def test_path_that_holds() -> None:
    finding = conclude(held(10, 600, 45))
    assert (finding.held, finding.cut, finding.ping_interval) == (600, None, 300)
    assert finding.judge(20) is Judgement.HOLDS


def test_visible_cut_is_known_to_the_moment() -> None:
    finding = conclude([*held(10, 45), *visible_cut(60.1, 80, 600)])
    assert (finding.held, finding.cut, finding.exact, finding.end) == (45, 60.1, True, End.FIN)
    assert finding.ping_interval == 30
    assert finding.known == [KNOWN[0].who]
    assert finding.judge(20) is Judgement.IN_TIME


def test_connection_that_is_asked_at_that_very_moment_does_not_hide_the_sign() -> None:
    just_then = Outcome(60, 60.0, End.FIN, asked=True)
    finding = conclude([just_then, *held(45), *visible_cut(60.1, 80)])
    assert (finding.held, finding.cut, finding.exact) == (45, 60.1, True)


def test_silent_cut_lies_between_two_silences() -> None:
    finding = conclude([*held(10, 290), *silent_cut(420, 430)])
    assert (finding.held, finding.cut, finding.exact) == (290, 420, False)
    assert finding.ping_interval == 120
    assert finding.known == [KNOWN[3].who]


@pytest.mark.parametrize(
    ("outcomes", "judgement"),
    [
        (visible_cut(15, 20), Judgement.TOO_SOON),
        (visible_cut(20.1, 45), Judgement.TOO_SOON),
        (visible_cut(30, 45), Judgement.IN_TIME),
        ([*held(10), *silent_cut(45)], Judgement.TOO_SOON),
        ([*held(22), *silent_cut(45)], Judgement.IN_TIME),
        (silent_cut(10), Judgement.TOO_SOON),
        ([], Judgement.UNKNOWN),
    ],
    ids=["early", "with the ping", "late", "perhaps early", "after", "nothing held", "nothing"],
)
def test_cut_is_too_soon_unless_the_gateways_ping_is_sure_to_come_first(
    outcomes: list[Outcome], judgement: Judgement
) -> None:
    assert conclude(outcomes).judge(20) is judgement


def test_without_any_silence_survived_nothing_can_be_recommended() -> None:
    assert conclude(silent_cut(10, 20)).ping_interval is None


def test_longer_silence_that_was_survived_makes_it_irregular() -> None:
    finding = conclude([*visible_cut(30, 45, end=End.RESET), *held(10, 80)])
    assert finding.irregular
    assert (finding.held, finding.cut) == (10, 30)


@pytest.mark.parametrize(
    ("busy_cut", "judgement"), [(60.5, Judgement.NOT_IDLE), (300.0, Judgement.IN_TIME)]
)
def test_cut_that_meets_a_busy_connection_too_is_no_idle_cut(
    busy_cut: float, judgement: Judgement
) -> None:
    assert conclude(visible_cut(60, 80), busy_cut).judge(20) is judgement


def test_busy_connection_alone_may_be_cut() -> None:
    assert conclude(held(10), 5.0).judge(20) is Judgement.NOT_IDLE


def test_silence_that_the_other_end_broke_counts_for_as_long_as_it_was() -> None:
    finding = conclude([*held(10), Outcome(600, 31, End.SPOKEN)])
    assert (finding.held, finding.spoken) == (31, 1)


@given(st.floats(1, 3000), st.floats(10, 3600))
def test_recommended_interval_is_at_most_half_of_any_cut(cut: float, up_to: float) -> None:
    plan = make_plan(up_to, 10)
    outcomes = [
        *held(*(silence for silence in plan.first if silence < cut)),
        *silent_cut(*(silence for silence in plan.first if silence >= cut)),
    ]
    finding = conclude(outcomes)
    assert finding.ping_interval is None or finding.ping_interval <= 1.02 * cut / 2
    assert finding.held < cut
    assert finding.cut is None or finding.cut >= cut


# The second round


def after(first: list[Outcome], *, elapsed: float = 0.0) -> tuple[Finding, list[float]]:
    finding = conclude(first)
    return finding, second_round(finding, make_plan(600, 10), elapsed)


def test_second_round_narrows_a_silent_cut_down() -> None:
    _, silences = after([*held(45), *silent_cut(80)])
    assert len(silences) == 8
    assert all(a < b < a * FINE_ENOUGH for a, b in pairwise([45, *silences, 80]))


@pytest.mark.parametrize(
    "first",
    [held(600), visible_cut(60, 80), [*held(75), *silent_cut(80)], [*silent_cut(45), *held(80)]],
    ids=["no cut", "its moment is known", "known well enough", "irregular"],
)
def test_second_round_has_nothing_to_find(first: list[Outcome]) -> None:
    assert after(first)[1] == []


def test_second_round_keeps_within_the_time() -> None:
    assert after([*held(290), *silent_cut(420)], elapsed=430)[1] == []
    some = after([*held(160), *silent_cut(290)], elapsed=400)[1]
    assert some
    assert max(some) <= 210


def test_second_round_looks_below_when_nothing_was_survived() -> None:
    silences = after(silent_cut(10))[1]
    assert silences == sorted(silences)
    assert 0 < silences[0] < 0.1
    assert silences[-1] < 10


# Numbers


@given(st.floats(0.1, 1e6))
def test_familiar_number_is_not_far_below(most: float) -> None:
    number = familiar(most)
    assert number is not None
    assert number <= 1.02 * most
    assert number > most / 2.6 or most > 3600


def test_cut_that_is_seen_a_little_early_is_still_halved_to_30_s() -> None:
    assert conclude(visible_cut(59.9, 80)).ping_interval == 30


@pytest.mark.parametrize(
    ("held", "cut", "has_sign", "numbers"),
    [
        (10, 20, True, []),
        (45, 59.2, True, [0]),
        (45, 80, False, []),
        (160, 290, False, [2]),
        (290, 290.5, True, []),
        (0, 3600, False, [2, 3, 4]),
    ],
)
def test_who_is_known_to_do_that(
    held: float, cut: float, has_sign: bool, numbers: list[int]
) -> None:
    assert who_cuts(held, cut, has_sign=has_sign) == [KNOWN[number].who for number in numbers]


def test_plan_of_ones_own() -> None:
    assert Plan([1.0], 1.0, patience=0.5).longest == 2.0
