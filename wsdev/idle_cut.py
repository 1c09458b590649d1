"""After how long a path cuts a silent connection: which silences to try, and what they tell.

Pure: silences and outcomes in, a finding out. All times are seconds.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Known:
    """An idle cut of the field, as its maker tells it.

    Attributes:
        has_sign: Both ends are told; else the connection is only forgotten, and what comes later
            gets no answer or a reset.
    """

    after: float
    who: str
    has_sign: bool


KNOWN: Final = (
    Known(60.0, "nginx, Apache and AWS ALB cut after 60 s unless told otherwise", True),
    Known(100.0, "Cloudflare cuts after 100 s", True),
    Known(240.0, "Azure Load Balancer forgets a connection after 4 minutes", False),
    Known(350.0, "AWS NLB forgets a connection after 350 s", False),
    Known(1200.0, "Google Cloud NAT forgets a connection after 20 minutes", False),
)

_STEPS: Final = (10.0, 20.0, 45.0, 80.0, 160.0, 290.0, 420.0, 600.0, 900.0, 1500.0, 2400.0, 3600.0)
"""Silences of a first round. Between two neighbours lies at most one of the known cuts."""

_LEAST: Final = 4
"""Silences of a first round, however short it is."""

FINE_ENOUGH: Final = 1.1
"""Not tried again between two silences whose ratio is below this."""

LATE: Final = 1.1
"""How much longer than its interval the silence before a gateway's ping may be: it looks at its
timers four times a second, and the ping takes its time."""

_TIMING: Final = 0.03
"""By how much of its time a proxy may cut earlier or later than it says."""

_ROUNDING: Final = 1.02

_FAMILIAR: Final = (
    0.1, 0.2, 0.5, 1, 2, 3, 5, 10, 15, 20, 25, 30, 45, 60, 90, 120, 150, 180,
    240, 300, 420, 600, 900, 1200, 1800, 3600,
)  # fmt: skip


class End(enum.StrEnum):
    """How a silence ended."""

    ANSWERED = "answered"
    SPOKEN = "spoken"
    CLOSE_FRAME = "close frame"
    FIN = "FIN"
    RESET = "reset"
    GARBAGE = "garbage"
    NO_ANSWER = "no answer"


_ALIVE: Final = frozenset({End.ANSWERED, End.SPOKEN})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one connection.

    Attributes:
        planned: The silence that it was meant for.
        lasted: The silence that it had: until it ended, was asked, or the other end spoke.
        end: How it ended.
        asked: It ended only when it was asked for a sign of life.
        detail: What the other end said with it; fit for a terminal.
    """

    planned: float
    lasted: float
    end: End
    asked: bool = False
    detail: str = ""

    @property
    def is_cut(self) -> bool:
        """Whether the connection did not outlive its silence."""
        return self.end not in _ALIVE


class Judgement(enum.StrEnum):
    """What a finding means for devices that leave the keepalive to the gateway."""

    HOLDS = "holds"
    IN_TIME = "in time"
    TOO_SOON = "too soon"
    NOT_IDLE = "not idle"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """What all outcomes together tell.

    Attributes:
        held: The longest silence shown to be survived, below any cut; 0 for none.
        cut: The shortest silence that was not; None if all were.
        exact: ``cut`` is when it happened, told by a sign; else it lies between the two.
        end: How the shortest one ended.
        detail: What the other end said with it.
        irregular: A longer silence was survived than one that was not.
        busy_cut: When a connection that was not silent ended as well; None if it did not.
        spoken: How many silences the other end broke.
        known: Who is known to cut at that time.
        ping_interval: At most half of what is sure to be survived, as a familiar number; None if
            nothing is.
    """

    held: float
    cut: float | None
    exact: bool
    end: End | None
    detail: str
    irregular: bool
    busy_cut: float | None
    spoken: int
    known: list[str]
    ping_interval: float | None

    @property
    def safe(self) -> float:
        """The silence that is sure to be survived, or was until now."""
        return self.cut if self.exact and self.cut is not None else self.held

    def judge(self, gateways_interval: float) -> Judgement:
        """What it means if the gateway pings after ``gateways_interval`` of silence."""
        if self.cut is None:
            if self.busy_cut is not None:
                return Judgement.NOT_IDLE
            return Judgement.HOLDS if self.held else Judgement.UNKNOWN
        if self.busy_cut is not None and self.busy_cut <= self.cut * FINE_ENOUGH + 1:
            return Judgement.NOT_IDLE
        if self.safe >= gateways_interval * LATE:
            return Judgement.IN_TIME
        return Judgement.TOO_SOON


@dataclass(frozen=True, slots=True)
class Plan:
    """How to look.

    Attributes:
        first: Silences to try at once, shortest first.
        up_to: The longest silence, and the time that both rounds may take.
        refine: Silences of a second round.
        patience: How long an answer to a ping may take.
        busy_interval: Between two pings on the connection that is not silent.
    """

    first: Sequence[float]
    up_to: float
    refine: int = 8
    patience: float = 10.0
    busy_interval: float = 5.0

    @property
    def longest(self) -> float:
        """The time that looking takes at most, getting in left out."""
        return self.up_to + 2 * self.patience


def make_plan(up_to: float, patience: float) -> Plan:
    """The plan for silences of at most ``up_to``."""
    silences = [step for step in _STEPS if step < up_to * 0.9]
    silences.append(up_to)
    while len(silences) < _LEAST:
        silences.insert(0, silences[0] / 2)
    return Plan(silences, up_to, patience=patience, busy_interval=min(5.0, silences[0] / 2))


def second_round(finding: Finding, plan: Plan, elapsed: float) -> list[float]:
    """Silences between the longest survived and the shortest cut.

    None if there is no cut, if its moment is known, if it is known well enough, or if the time is
    over: a silence that is cut is known to be only when it is over.
    """
    cut, held = finding.cut, finding.held
    if cut is None or finding.exact or finding.irregular or finding.busy_cut is not None:
        return []
    if held and cut / held < FINE_ENOUGH:
        return []
    held = held or cut / 2**plan.refine
    ratio = (cut / held) ** (1 / (plan.refine + 1))
    silences = [held * ratio**step for step in range(1, plan.refine + 1)]
    return [silence for silence in silences if elapsed + silence + plan.patience <= plan.longest]


def conclude(outcomes: Sequence[Outcome], busy_cut: float | None = None) -> Finding:
    """The finding of all outcomes so far."""
    cuts = sorted((one for one in outcomes if one.is_cut), key=lambda one: one.lasted)
    alive = [one.lasted for one in outcomes if not one.is_cut]
    # A sign at about that time tells more than a question that came in between.
    about = [one for one in cuts if one.lasted <= cuts[0].lasted * FINE_ENOUGH]
    shortest = min(about, key=lambda one: one.asked, default=None)
    limit = float("inf") if shortest is None else shortest.lasted
    held = max((lasted for lasted in alive if lasted < limit), default=0.0)
    exact = shortest is not None and not shortest.asked
    safe = limit if exact else held
    return Finding(
        held=held,
        cut=None if shortest is None else shortest.lasted,
        exact=exact,
        end=None if shortest is None else shortest.end,
        detail="" if shortest is None else shortest.detail,
        irregular=any(lasted >= limit * FINE_ENOUGH for lasted in alive),
        busy_cut=busy_cut,
        spoken=sum(one.end is End.SPOKEN for one in outcomes),
        known=[] if shortest is None else who_cuts(held, limit, has_sign=exact),
        ping_interval=familiar(safe / 2),
    )


def who_cuts(held: float, cut: float, *, has_sign: bool) -> list[str]:
    """Who is known to do so: at ``cut`` with a sign, or between the two without one."""
    if has_sign:
        held, cut = cut * (1 - _TIMING), cut * (1 + _TIMING)
    return [one.who for one in KNOWN if one.has_sign is has_sign and held <= one.after <= cut]


def familiar(most: float) -> float | None:
    """The largest number up to ``most`` that people would choose; None if it is too small.

    A little more is no harm: proxies that cut after 60 s are seen to do so after 59.9.
    """
    return max((number for number in _FAMILIAR if number <= most * _ROUNDING), default=None)
