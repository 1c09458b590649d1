"""How much of everything is measured."""

from __future__ import annotations

from dataclasses import dataclass, field, replace


def _number(default: int, about: str) -> int:
    return field(default=default, metadata={"help": about})


@dataclass(frozen=True, slots=True)
class Scale:
    """Numbers that the command line can change; the defaults are those of a whole run."""

    rounds: int = _number(5, "of which the median is taken")
    devices: int = _number(100, "that send messages")
    messages: int = _number(20_000, "in a round")
    unacked_rate: int = _number(10_000, "messages a second without ack")
    picture_rate: int = _number(2_000, "pictures a second")
    pictures: int = _number(3_000, "in a round")
    idle_devices: int = _number(2_000, "that are connected and silent")
    handshakes: int = _number(1_000, "in a round")
    commands: int = _number(500, "in a round")
    command_rate: int = _number(100, "commands a second")
    command_load: int = _number(5_000, "messages a second beside the commands")
    journal_rate: int = _number(20_000, "messages a second into the journal")
    old_rows: int = _number(500_000, "in the journal when it shrinks")
    fleet_devices: int = _number(1_000, "of a fleet whose own cost is measured")
    fleet_seconds: int = _number(3, "for which that fleet is watched in a round")
    fleet_rate: int = _number(25, "messages a second of each of its devices")
    viewers: int = _number(50, "of one camera")
    watch_seconds: int = _number(
        1, "of talk beside each slow viewer, and twice that of pictures, in a round"
    )

    def quick(self) -> Scale:
        """A tenth or so of it: whether all works, not what it costs."""
        return replace(
            self,
            rounds=1,
            messages=4_000,
            pictures=400,
            idle_devices=200,
            handshakes=100,
            commands=50,
            old_rows=50_000,
            fleet_devices=100,
            fleet_seconds=1,
        )
