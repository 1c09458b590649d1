"""Servers take turns, round after round, so that what disturbs a round disturbs all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from subprocess import SubprocessError

from benchmarks.contestants import Contestant
from benchmarks.figures import Bar, Figure, Panel, Target
from benchmarks.servers import BenchmarkError, Server

Measure = Callable[[Server], Mapping[str, float]]
"""What one server's turn gives: quantities by name."""


@dataclass(slots=True)
class Turns:
    """What all turns gave.

    Attributes:
        contestants: In the order of the tables.
        figures: By quantity, then by contestant.
        absent: Contestants without figures, and why.
    """

    contestants: Sequence[Contestant]
    figures: dict[str, dict[str, Figure]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)

    def add(self, contestant: Contestant, given: Mapping[str, float]) -> None:
        """Take in one turn."""
        for what, value in given.items():
            by_name = self.figures.setdefault(what, {})
            by_name.setdefault(contestant.name, Figure()).add(value)

    def leave_out(self, contestant: Contestant, reason: str) -> None:
        """One that cannot go on: what it gave so far is not shown."""
        self.absent[contestant.name] = reason
        for by_name in self.figures.values():
            by_name.pop(contestant.name, None)

    def figure(self, what: str, name: str) -> Figure | str:
        """A figure, or why there is none."""
        return self.figures.get(what, {}).get(name) or self.absent.get(name, "no such thing")

    def rows(self, *quantities: str, compare: str = "") -> list[list[str]]:
        """For each contestant its name and its figures.

        Args:
            compare: A contestant; the last column then tells how many times its first figure.
        """
        rows = []
        for contestant in self.contestants:
            name = contestant.name
            found = [self.figure(what, name) for what in quantities]
            if name in self.absent:
                row = [name, f"not measured: {self.absent[name]}", *[""] * (len(quantities) - 1)]
            else:
                row = [name, *map(str, found)]
            if compare:
                ratio = self.ratio(quantities[0], name, compare)
                row.append("" if isinstance(ratio, str) else f"{ratio.median:.2f}")
            rows.append(row)
        return rows

    def ratio(self, what: str, name: str, other: str) -> Figure | str:
        """How many times the other's figure, or why that is not known."""
        one, two = self.figure(what, name), self.figure(what, other)
        if isinstance(one, str):
            return one
        return two if isinstance(two, str) else one.over(two)

    def target(self, what: str, most: float, unit: str, quantity: str, name: str) -> Target:
        """A bound on a figure of a contestant."""
        return Target(what, most, unit, self.figure(quantity, name))

    def panel(self, title: str, unit: str, quantity: str, most: Mapping[str, float]) -> Panel:
        """The bars of one quantity; ``most`` are the targets of contestants, in its unit."""
        bars = [
            Bar(one.name, self.figure(quantity, one.name), one.is_ours, most.get(one.name))
            for one in self.contestants
        ]
        return Panel(title, unit, bars)


def take_turns(
    contestants: Sequence[Contestant], core: int, rounds: int, measure: Measure
) -> Turns:
    """Start all servers and measure them in turn, round after round.

    One more round comes first and does not count: for imports, caches, compilers.

    Raises:
        BenchmarkError, OSError: from the gateway. Others that fail are left out and told.
    """
    turns = Turns(contestants)
    running: dict[str, Server] = {}
    with ExitStack() as stack:

        def start(one: Contestant) -> None:
            running[one.name] = stack.enter_context(one.start(core))

        def warm_up(one: Contestant) -> None:
            measure(running[one.name])

        def run(one: Contestant) -> None:
            turns.add(one, measure(running[one.name]))

        for do in (start, warm_up, *[run] * rounds):
            _let_each(turns, do)
    return turns


def start_anew(
    contestants: Sequence[Contestant], core: int, rounds: int, measure: Measure
) -> Turns:
    """The same with a new process for each turn, and nothing before the first round."""
    turns = Turns(contestants)

    def run(one: Contestant) -> None:
        with one.start(core) as server:
            turns.add(one, measure(server))

    for _ in range(rounds):
        _let_each(turns, run)
    return turns


def _let_each(turns: Turns, do: Callable[[Contestant], None]) -> None:
    for contestant in turns.contestants:
        if contestant.name in turns.absent:
            continue
        if contestant.absent:
            turns.leave_out(contestant, contestant.absent)
            continue
        try:
            do(contestant)
        except (BenchmarkError, OSError, SubprocessError) as error:
            if contestant.is_ours:
                raise
            turns.leave_out(contestant, str(error))
