"""What a fleet of virtual devices has met: counts, round trips, errors by cause."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from wsdev.errors import WsdevError
from wsdev.histogram import Histogram

MOST_CAUSES: Final = 100
"""Kinds of errors that are told apart; a gateway's own codes could make any number of them."""

_OTHER: Final = "other"

QUANTILES: Final = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p999": 0.999}


@dataclass(slots=True)
class Cause:
    """One kind of error: how often, and the latest of it."""

    error: WsdevError
    times: int = 0


@dataclass(slots=True)
class FleetFigures:
    """Counters of one run.

    Attributes:
        count: Devices in all.
        connected, connecting, waiting: Devices that are in, on the way in, and between two tries.
        stayed: Devices that were in when the run's time was over.
        opened: Links that were let in.
        reconnects: Those of them that were not a device's first.
        sent: Messages that ask for an ack, each once.
        acked: Those of them that were acknowledged.
        resent: Sent again on a new link, for want of an ack.
        unasked: Messages and pictures that ask for no ack.
        held_back: Not said, since too much was unacknowledged.
        forgotten: Never acknowledged, and lost by the device itself in a reboot.
        obeyed: Commands that were carried out.
        bytes_out, bytes_in: On the wire, of ended links.
        round_trips: Seconds from a message to its ack.
        connects: Seconds from a connection's start to its 101.
        troubles: What the weather did.
    """

    count: int = 0
    connected: int = 0
    connecting: int = 0
    waiting: int = 0
    stayed: int = 0
    opened: int = 0
    reconnects: int = 0
    sent: int = 0
    acked: int = 0
    resent: int = 0
    unasked: int = 0
    held_back: int = 0
    forgotten: int = 0
    obeyed: int = 0
    bytes_out: int = 0
    bytes_in: int = 0
    round_trips: Histogram = field(default_factory=Histogram)
    connects: Histogram = field(default_factory=Histogram)
    troubles: Counter[str] = field(default_factory=Counter)
    causes: dict[str, Cause] = field(default_factory=dict)

    @property
    def unacked(self) -> int:
        """Messages that wait for their ack; at the end of a run, lost."""
        return self.sent - self.acked - self.forgotten

    @property
    def errors(self) -> int:
        """How many errors there were."""
        return sum(cause.times for cause in self.causes.values())

    def failed(self, error: WsdevError) -> None:
        """Count an error, with others of its kind."""
        key = error.code
        if key not in self.causes and len(self.causes) >= MOST_CAUSES:
            key = _OTHER
        cause = self.causes.setdefault(key, Cause(error))
        cause.error = error
        cause.times += 1

    def most_common_error(self) -> WsdevError | None:
        """The error that was met most often."""
        if not self.causes:
            return None
        return max(self.causes.values(), key=lambda cause: cause.times).error

    def by_number(self) -> list[Cause]:
        """The kinds of errors, the most frequent first."""
        return sorted(self.causes.values(), key=lambda cause: -cause.times)

    def values(self, seconds: float) -> dict[str, float]:
        """What :mod:`wsdev.thresholds` asks for; ``seconds`` is how long the messages took."""
        values: dict[str, float] = {
            "count": self.count,
            "sent": self.sent,
            "loss": self.unacked,
            "errors": self.errors,
            "reconnects": self.reconnects,
            "connected": self.stayed,
            "rate": self.acked / seconds if seconds else 0.0,
        }
        if self.round_trips.count:
            values |= {name: self.round_trips.quantile(q) for name, q in QUANTILES.items()}
            values["max"] = self.round_trips.largest
        return values

    def document(self, seconds: float) -> dict[str, Any]:
        """All of it, for a machine. Times in milliseconds."""
        return {
            "seconds": round(seconds, 3),
            "devices": {"count": self.count, "connected": self.stayed},
            "links": {
                "opened": self.opened,
                "reconnects": self.reconnects,
                "connect_ms": _milliseconds(self.connects),
            },
            "messages": {
                "sent": self.sent,
                "acked": self.acked,
                "lost": self.unacked,
                "resent": self.resent,
                "forgotten": self.forgotten,
                "held_back": self.held_back,
                "unasked": self.unasked,
                "obeyed": self.obeyed,
                "acked_per_second": round(self.acked / seconds, 1) if seconds else 0.0,
            },
            "bytes": {"out": self.bytes_out, "in": self.bytes_in},
            "round_trip_ms": _milliseconds(self.round_trips),
            "troubles": dict(self.troubles),
            "errors": [
                {
                    "times": cause.times,
                    "code": cause.error.code,
                    "side": cause.error.side.value,
                    "cause": cause.error.cause,
                    "hint": cause.error.hint,
                }
                for cause in self.by_number()
            ],
        }


def _milliseconds(histogram: Histogram) -> dict[str, float] | None:
    if not histogram.count:
        return None
    found = {name: round(histogram.quantile(q) * 1000, 3) for name, q in QUANTILES.items()}
    return found | {
        "max": round(histogram.largest * 1000, 3),
        "mean": round(histogram.total / histogram.count * 1000, 3),
        "samples": histogram.count,
    }
