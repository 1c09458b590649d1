"""What the gateway counts and measures, for Prometheus. docs/metrics.md lists all of it.

What happens seldom (a connection, a ping, a commit) is counted when it happens. What happens with
each message is counted by its owner anyway, and only read when somebody looks.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Final, NamedTuple

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from wsdev.codes import BREAKS, REFUSALS, CloseCode
from wsdev.command_records import OPEN_STATES, CommandState
from wsdev.protocol import BUILTIN_CLASSES

LOOP_PATIENCE: Final = 1.0
"""Seconds that a scrape waits for the event loop; Prometheus gives up after 10."""

OTHER_CODE: Final = "other"
"""Stands for all close codes that are not ours: the peer chooses them, so they are no labels."""

ROUND_TRIP_BUCKETS: Final = (
    *(0.001, 0.002, 0.005, 0.01, 0.02, 0.05),
    # A Wi-Fi station that saves power hears of a frame with a beacon: after up to 102.4 ms, or
    # two or three times that where the access point's DTIM period says so.
    *(0.125, 0.25, 0.35),
    *(0.5, 1.0, 2.0, 5.0, 10.0),
)
COMMIT_BUCKETS: Final = (
    *(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05),
    # Cheap SD cards take this long for a flush now and then.
    *(0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0),
)
LOOP_LAG_BUCKETS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

CallSoon = Callable[..., object]
"""Calls a function with arguments on the event loop, as ``loop.call_soon_threadsafe`` does."""


class Totals(NamedTuple):
    """All messages of devices since the start, and the bytes on all connections."""

    messages_in: int
    bytes_in: int
    messages_out: int
    bytes_out: int


class Metrics:
    """The metrics of one gateway. Any thread may call anything here.

    Args:
        device_classes: Names of the classes that there are, so that each is shown from the start.

    Attributes:
        registry: Everything, also of the process and of Python; nothing of other gateways.
    """

    def __init__(self, device_classes: Iterable[str] = BUILTIN_CLASSES) -> None:
        self.registry: CollectorRegistry = _Registry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._connected = Gauge(
            "wsdev_connected_devices",
            "Devices that are connected now.",
            ["device_class"],
            registry=self.registry,
        )
        self._connections = Counter(
            "wsdev_connections_total",
            "Devices let in.",
            ["device_class"],
            registry=self.registry,
        )
        disconnections = Counter(
            "wsdev_disconnections_total",
            "Connections that ended, by close code; codes that are not wsdev's are `other`.",
            ["code"],
            registry=self.registry,
        )
        refusals = Counter(
            "wsdev_refusals_total",
            "Requests refused before the upgrade, by reason.",
            ["code"],
            registry=self.registry,
        )
        breaks = Counter(
            "wsdev_breaks_total",
            "Connections that broke before there was a request to answer, by reason.",
            ["code"],
            registry=self.registry,
        )
        commands = Counter(
            "wsdev_commands_total",
            "Commands to devices that are over, by what became of them.",
            ["state"],
            registry=self.registry,
        )
        self._round_trip = Histogram(
            "wsdev_round_trip_seconds",
            "Time from a ping to its pong, all devices.",
            registry=self.registry,
            unit="seconds",
            buckets=ROUND_TRIP_BUCKETS,
        )
        self._commit = Histogram(
            "wsdev_journal_commit_seconds",
            "Time to write and sync one group of the journal.",
            registry=self.registry,
            unit="seconds",
            buckets=COMMIT_BUCKETS,
        )
        self._rows = Counter(
            "wsdev_journal_rows_total",
            "Rows that the journal has committed; a message that is sent again counts too.",
            registry=self.registry,
        )
        self._deletion = Histogram(
            "wsdev_journal_deletion_seconds",
            "Time of one step in which the journal deletes what is old.",
            registry=self.registry,
            unit="seconds",
            buckets=COMMIT_BUCKETS,
        )
        self._loop_lag = Histogram(
            "wsdev_event_loop_lag_seconds",
            "How late the event loop runs what is due.",
            registry=self.registry,
            unit="seconds",
            buckets=LOOP_LAG_BUCKETS,
        )
        # A series that starts with its first event hides that event from rate().
        for name in device_classes:
            self._connected.labels(name)
            self._connections.labels(name)
        self._refusals = {code: refusals.labels(code) for code in REFUSALS}
        self._breaks = {code: breaks.labels(code) for code in BREAKS if code != "gateway_lost"}
        over = [state for state in CommandState if state not in OPEN_STATES]
        self._commands = {state: commands.labels(state.value) for state in over}
        self._disconnections = {int(code): disconnections.labels(int(code)) for code in CloseCode}
        self._other_disconnections = disconnections.labels(OTHER_CODE)

    def joined(self, device_class: str) -> None:
        """A device is let in."""
        self._connected.labels(device_class).inc()
        self._connections.labels(device_class).inc()

    def left(self, device_class: str, code: int) -> None:
        """A device that had joined is gone."""
        self._connected.labels(device_class).dec()
        self._disconnections.get(code, self._other_disconnections).inc()

    def refused(self, code: str) -> None:
        """A request was refused; ``code`` is a key of :data:`wsdev.codes.REFUSALS`."""
        self._refusals[code].inc()

    def broke(self, code: str) -> None:
        """A connection broke; ``code`` is a key of :data:`wsdev.codes.BREAKS`."""
        self._breaks[code].inc()

    def commanded(self, state: CommandState) -> None:
        """A command is over."""
        self._commands[state].inc()

    def round_trip(self, seconds: float) -> None:
        """A pong came."""
        self._round_trip.observe(seconds)

    def committed(self, seconds: float, rows: int) -> None:
        """The journal has one more group on disk."""
        self._commit.observe(seconds)
        self._rows.inc(rows)

    def deleted(self, seconds: float) -> None:
        """The journal has done a step of deleting what is old."""
        self._deletion.observe(seconds)

    def loop_lag(self, seconds: float) -> None:
        """The event loop ran something ``seconds`` after it was due."""
        self._loop_lag.observe(seconds)

    def watch(
        self,
        call_soon: CallSoon,
        *,
        totals: Callable[[], Totals],
        queue: Callable[[], tuple[int, int]],
        journal_trouble: Callable[[], bool],
        refusals_left_out: Callable[[], int],
        patience: float = LOOP_PATIENCE,
    ) -> None:
        """Read these at each scrape. Call it once, on the event loop.

        A scrape that the loop does not answer in time shows ``wsdev_event_loop_responsive 0`` and
        none of these; all else is there.

        Args:
            call_soon: The loop's ``call_soon_threadsafe``; the other functions run on the loop.
            queue: Rows and bytes that wait for the journal.
            journal_trouble: Whether nothing can be recorded now, or nothing old be deleted.
            refusals_left_out: Refusals that the journal had no room for, since the start.
            patience: Seconds that a scrape waits for the loop.

        Raises:
            ValueError: something is watched already.
        """

        def read() -> _Reading:
            return _Reading(totals(), *queue(), journal_trouble(), refusals_left_out())

        self.registry.register(_AtScrape(call_soon, read, patience))


class _Registry(CollectorRegistry):
    """Leaves out the ``_created`` samples: in the text format they double the counters' lines.

    The package's own switch for them is one for the whole process.
    """

    def collect(self) -> Iterable[Metric]:
        for metric in super().collect():
            metric.samples = [one for one in metric.samples if not one.name.endswith("_created")]
            yield metric


class _Reading(NamedTuple):
    """What is read on the loop."""

    totals: Totals
    queue_rows: int
    queue_bytes: int
    degraded: bool
    refusals_left_out: int


class _AtScrape(Collector):
    """Asks the loop for a reading, and does without one while the loop stalls."""

    def __init__(self, call_soon: CallSoon, read: Callable[[], _Reading], patience: float) -> None:
        self._call_soon = call_soon
        self._read = read
        self._patience = patience
        self._loop_thread = threading.get_ident()

    def describe(self) -> Iterable[Metric]:
        """The families without samples; the registry asks for the names."""
        return _families(None)

    def collect(self) -> Iterable[Metric]:
        """The families; called in the thread of whoever scrapes."""
        return _families(self._ask())

    def _ask(self) -> _Reading | None:
        if threading.get_ident() == self._loop_thread:
            return self._read()  # the loop would wait for itself
        answer: Future[_Reading] = Future()
        try:
            self._call_soon(self._answer, answer)
        except RuntimeError:  # the loop is closed
            return None
        try:
            return answer.result(self._patience)
        except TimeoutError:
            answer.cancel()
            return None

    def _answer(self, answer: Future[_Reading]) -> None:
        if not answer.set_running_or_notify_cancel():
            return  # nobody waits any more
        try:
            answer.set_result(self._read())
        except Exception as error:
            answer.set_exception(error)


def _families(reading: _Reading | None) -> Iterable[Metric]:
    responsive = GaugeMetricFamily(
        "wsdev_event_loop_responsive",
        "Whether the event loop answered this scrape in time; if 0, what it tells is left out.",
    )
    messages = CounterMetricFamily(
        "wsdev_messages_total",
        "Messages, `in` from devices and `out` to them.",
        labels=["direction"],
    )
    size = CounterMetricFamily(
        "wsdev_transferred_bytes_total",
        "Bytes on the connections, handshakes and frames included, `in` from devices or `out`.",
        labels=["direction"],
        unit="bytes",
    )
    queue_rows = GaugeMetricFamily(
        "wsdev_journal_queue_rows", "Rows that wait to be written to the journal."
    )
    queue_bytes = GaugeMetricFamily(
        "wsdev_journal_queue_bytes",
        "Payload of the messages that wait to be written to the journal.",
        unit="bytes",
    )
    degraded = GaugeMetricFamily(
        "wsdev_journal_degraded",
        "1 while the journal cannot record, or cannot delete what is old; else 0.",
    )
    left_out = CounterMetricFamily(
        "wsdev_journal_left_out_refusals_total",
        "Refusals that are not in the journal, since it had no room.",
    )
    responsive.add_metric([], reading is not None)
    if reading is not None:
        totals = reading.totals
        messages.add_metric(["in"], totals.messages_in)
        messages.add_metric(["out"], totals.messages_out)
        size.add_metric(["in"], totals.bytes_in)
        size.add_metric(["out"], totals.bytes_out)
        queue_rows.add_metric([], reading.queue_rows)
        queue_bytes.add_metric([], reading.queue_bytes)
        degraded.add_metric([], reading.degraded)
        left_out.add_metric([], reading.refusals_left_out)
    return responsive, messages, size, queue_rows, queue_bytes, degraded, left_out
