"""Metrics: what is counted, what a scrape reads from the loop, and the names of it all."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from wsdev.codes import BREAKS, REFUSALS, CloseCode
from wsdev.command_records import CommandState
from wsdev.metrics import Metrics, Totals
from wsdev.protocol import BUILTIN_CLASSES

DOCS = Path(__file__).parents[1] / "docs" / "metrics.md"

TOTALS = Totals(messages_in=10, bytes_in=2000, messages_out=7, bytes_out=300)

ON_THE_LOOP = {
    "wsdev_messages",
    "wsdev_transferred_bytes",
    "wsdev_journal_queue_rows",
    "wsdev_journal_queue_bytes",
    "wsdev_journal_degraded",
    "wsdev_journal_left_out_refusals",
}
"""Families that only the loop can tell."""


def at_once(function: Callable[..., object], *arguments: object) -> None:
    function(*arguments)


def watch(metrics: Metrics, call_soon: Callable[..., object] = at_once, **others: Any) -> None:
    sources: dict[str, Any] = {
        "totals": lambda: TOTALS,
        "queue": lambda: (5, 600),
        "journal_trouble": lambda: True,
        "refusals_left_out": lambda: 3,
    }
    metrics.watch(call_soon, **(sources | others))


@pytest.fixture
def elsewhere() -> Iterator[ThreadPoolExecutor]:
    """A thread that scrapes, as Prometheus's request has one."""
    with ThreadPoolExecutor(1) as executor:
        yield executor


def families(metrics: Metrics) -> dict[str, Metric]:
    return {family.name: family for family in metrics.registry.collect()}


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


# What is counted


def test_a_device_that_joins_is_connected_until_it_leaves() -> None:
    metrics = Metrics()
    metrics.joined("pico")
    metrics.joined("pico")
    metrics.left("pico", CloseCode.NORMAL)
    assert value(metrics, "wsdev_connected_devices", device_class="pico") == 1
    assert value(metrics, "wsdev_connected_devices", device_class="esp32cam") == 0
    assert value(metrics, "wsdev_connections_total", device_class="pico") == 2
    assert value(metrics, "wsdev_disconnections_total", code="1000") == 1


@given(st.lists(st.integers()))
def test_close_codes_that_a_peer_makes_up_add_no_series(codes: list[int]) -> None:
    metrics = Metrics()
    before = len(families(metrics)["wsdev_disconnections"].samples)
    for code in codes:
        metrics.left("pico", code)
    family = families(metrics)["wsdev_disconnections"]
    assert len(family.samples) == before
    assert sum(sample.value for sample in family.samples) == len(codes)
    made_up = sum(code not in set(map(int, CloseCode)) for code in codes)
    assert value(metrics, "wsdev_disconnections_total", code="other") == made_up


def test_a_plain_number_counts_as_the_close_code_that_it_is() -> None:
    metrics = Metrics()
    metrics.left("pico", 4408)
    assert value(metrics, "wsdev_disconnections_total", code="4408") == 1


def test_refusals_are_counted_by_code() -> None:
    metrics = Metrics()
    metrics.refused("token_missing")
    assert value(metrics, "wsdev_refusals_total", code="token_missing") == 1
    assert value(metrics, "wsdev_refusals_total", code="full") == 0


def test_commands_are_counted_by_what_became_of_them() -> None:
    metrics = Metrics()
    metrics.commanded(CommandState.LOST)
    assert value(metrics, "wsdev_commands_total", state="lost") == 1
    assert value(metrics, "wsdev_commands_total", state="acknowledged") == 0


def test_breaks_are_counted_by_code() -> None:
    metrics = Metrics()
    metrics.broke("head_cut")
    assert value(metrics, "wsdev_breaks_total", code="head_cut") == 1
    assert value(metrics, "wsdev_breaks_total", code="no_request") == 0


def test_text_that_is_no_refusal_code_becomes_no_label() -> None:
    metrics = Metrics()
    with pytest.raises(KeyError):
        metrics.refused("wsd_pico_secret")
    assert "secret" not in generate_latest(metrics.registry).decode()


def test_all_that_can_be_named_beforehand_starts_at_zero() -> None:
    metrics = Metrics(["pico", "relay"])

    def labels(name: str, label: str) -> set[str]:
        samples = families(metrics)[name].samples
        assert all(sample.value == 0 for sample in samples)
        return {sample.labels[label] for sample in samples}

    assert labels("wsdev_connected_devices", "device_class") == {"pico", "relay"}
    assert labels("wsdev_connections", "device_class") == {"pico", "relay"}
    assert labels("wsdev_refusals", "code") == set(REFUSALS)
    assert labels("wsdev_commands", "state") == {
        *("acknowledged", "failed", "ignored", "expired", "lost", "cancelled"),
    }
    assert labels("wsdev_breaks", "code") == set(BREAKS) - {"gateway_lost"}
    assert labels("wsdev_disconnections", "code") == {"other", *(str(int(c)) for c in CloseCode)}


def test_the_built_in_classes_are_there_if_none_are_named() -> None:
    samples = families(Metrics())["wsdev_connections"].samples
    assert {sample.labels["device_class"] for sample in samples} == set(BUILTIN_CLASSES)


@pytest.mark.parametrize(
    ("name", "observe", "seconds", "bound"),
    [
        ("wsdev_round_trip_seconds", Metrics.round_trip, 0.0009, "0.001"),
        # Woken by the next beacon, the second, the third.
        ("wsdev_round_trip_seconds", Metrics.round_trip, 0.110, "0.125"),
        ("wsdev_round_trip_seconds", Metrics.round_trip, 0.212, "0.25"),
        ("wsdev_round_trip_seconds", Metrics.round_trip, 0.315, "0.35"),
        ("wsdev_round_trip_seconds", Metrics.round_trip, 9.9, "10.0"),
        ("wsdev_round_trip_seconds", Metrics.round_trip, 44.0, "+Inf"),
        ("wsdev_event_loop_lag_seconds", Metrics.loop_lag, 0.3, "0.5"),
    ],
)
def test_a_time_falls_into_the_bucket_that_tells_it_apart(
    name: str, observe: Callable[[Metrics, float], None], seconds: float, bound: str
) -> None:
    metrics = Metrics()
    observe(metrics, seconds)
    buckets = [one for one in families(metrics)[name].samples if one.name == name + "_bucket"]
    assert next(one.labels["le"] for one in buckets if one.value == 1) == bound
    assert value(metrics, name + "_sum") == seconds


def test_commits_count_their_rows_from_another_thread(elsewhere: ThreadPoolExecutor) -> None:
    metrics = Metrics()
    elsewhere.submit(metrics.committed, 0.004, 500).result()
    elsewhere.submit(metrics.committed, 0.3, 2).result()
    assert value(metrics, "wsdev_journal_rows_total") == 502
    assert value(metrics, "wsdev_journal_commit_seconds_count") == 2
    assert value(metrics, "wsdev_journal_commit_seconds_bucket", le="0.005") == 1


def test_two_gateways_in_one_process_count_apart() -> None:
    one, other = Metrics(), Metrics()
    one.joined("pico")
    assert value(other, "wsdev_connections_total", device_class="pico") == 0


def test_the_process_and_python_are_measured_too() -> None:
    names = set(families(Metrics()))
    assert "python_info" in names
    if Path("/proc/self/stat").exists():
        assert {"process_cpu_seconds", "process_open_fds"} <= names


# What a scrape reads


def test_a_scrape_reads_what_is_watched(elsewhere: ThreadPoolExecutor) -> None:
    metrics = Metrics()
    watch(metrics)

    def scrape(name: str, **labels: str) -> float | None:
        return elsewhere.submit(value, metrics, name, **labels).result()

    assert scrape("wsdev_messages_total", direction="in") == 10
    assert scrape("wsdev_transferred_bytes_total", direction="in") == 2000
    assert scrape("wsdev_messages_total", direction="out") == 7
    assert scrape("wsdev_transferred_bytes_total", direction="out") == 300
    assert scrape("wsdev_journal_queue_rows") == 5
    assert scrape("wsdev_journal_queue_bytes") == 600
    assert scrape("wsdev_journal_degraded") == 1
    assert scrape("wsdev_journal_left_out_refusals_total") == 3
    assert scrape("wsdev_event_loop_responsive") == 1


def test_nothing_is_read_before_somebody_looks() -> None:
    def never() -> Totals:
        pytest.fail("read without a scrape")

    watch(Metrics(), totals=never)


def test_only_one_gateway_is_watched() -> None:
    metrics = Metrics()
    watch(metrics)
    with pytest.raises(ValueError, match="wsdev_messages"):
        watch(metrics)


async def test_it_is_read_in_the_loops_thread(elsewhere: ThreadPoolExecutor) -> None:
    metrics, threads = Metrics(), list[int]()

    def totals() -> Totals:
        threads.append(threading.get_ident())
        return TOTALS

    loop = asyncio.get_running_loop()
    watch(metrics, loop.call_soon_threadsafe, totals=totals, patience=20)
    found = await loop.run_in_executor(elsewhere, families, metrics)
    assert found["wsdev_event_loop_responsive"].samples[0].value == 1
    assert threads == [threading.get_ident()]


async def test_a_scrape_on_the_loop_does_not_wait_for_itself() -> None:
    metrics = Metrics()
    watch(metrics, asyncio.get_running_loop().call_soon_threadsafe, patience=20)
    assert value(metrics, "wsdev_messages_total", direction="in") == 10


class StalledLoop:
    """Takes calls, and runs them when it is told to."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], object]] = []

    def call_soon(self, function: Callable[..., object], *arguments: object) -> None:
        self.calls.append(lambda: function(*arguments))

    def go_on(self) -> None:
        for call in self.calls:
            call()


def closed_loop() -> Callable[..., object]:
    loop = asyncio.new_event_loop()
    loop.close()
    return loop.call_soon_threadsafe


@pytest.mark.parametrize(
    "call_soon", [StalledLoop().call_soon, closed_loop()], ids=["stalled", "closed"]
)
def test_a_loop_that_does_not_answer_hides_only_what_it_alone_knows(
    call_soon: Callable[..., object], elsewhere: ThreadPoolExecutor
) -> None:
    metrics = Metrics()
    metrics.loop_lag(3.0)
    watch(metrics, call_soon, patience=0)
    found = elsewhere.submit(families, metrics).result()
    assert {name for name, family in found.items() if not family.samples} == ON_THE_LOOP
    assert found["wsdev_event_loop_responsive"].samples[0].value == 0
    assert value(metrics, "wsdev_event_loop_lag_seconds_count") == 1


def test_a_loop_that_goes_on_reads_nothing_for_scrapes_that_are_gone(
    elsewhere: ThreadPoolExecutor,
) -> None:
    metrics, loop, read = Metrics(), StalledLoop(), list[Totals]()

    def totals() -> Totals:
        read.append(TOTALS)
        return TOTALS

    watch(metrics, loop.call_soon, totals=totals, patience=0)
    elsewhere.submit(families, metrics).result()
    loop.go_on()
    assert loop.calls
    assert not read


def test_a_fault_in_what_is_watched_reaches_the_scrape_and_not_the_loop(
    elsewhere: ThreadPoolExecutor,
) -> None:
    metrics = Metrics()
    watch(metrics, queue=lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        elsewhere.submit(families, metrics).result()


# Names and words


@pytest.fixture(scope="module")
def everything() -> Metrics:
    metrics = Metrics()
    watch(metrics)
    return metrics


def test_what_is_shown_reads_back_as_it_is(everything: Metrics) -> None:
    text = generate_latest(everything.registry).decode()
    ours = [one for one in everything.registry.collect() if one.name.startswith("wsdev_")]
    parsed = {one.name: one for one in text_string_to_metric_families(text)}
    for family in ours:
        again = parsed[family.name]
        assert (again.type, again.documentation) == (family.type, family.documentation)
        assert {(one.name, *one.labels.items()): one.value for one in again.samples} == {
            (one.name, *one.labels.items()): one.value for one in family.samples
        }


def test_names_follow_the_conventions_of_prometheus(everything: Metrics) -> None:
    # The rules of promtool check metrics, and https://prometheus.io/docs/practices/naming/.
    for family in everything.registry.collect():
        if not family.name.startswith("wsdev_"):
            continue
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", family.name)
        assert family.documentation.endswith(".")
        words = set(family.name.split("_"))
        assert not words & {"total", "count", "sum", "bucket", "info", family.type}
        assert not words & {"ms", "milliseconds", "minutes", "kilobytes", "kb", "percent"}
        assert family.type in {"counter", "gauge", "histogram"}
        if family.type == "counter":
            assert {one.name for one in family.samples} == {family.name + "_total"}
        for unit in words & {"seconds", "bytes"}:
            assert family.name.endswith("_" + unit)
            assert family.unit == unit
        assert not words & labels_of(family)


def test_no_line_tells_when_a_counter_was_made(everything: Metrics) -> None:
    assert "_created" not in generate_latest(everything.registry).decode()


def labels_of(family: Metric) -> set[str]:
    return {label for sample in family.samples for label in sample.labels} - {"le"}


def documented(family: Metric) -> tuple[str, ...]:
    """The row of docs/metrics.md."""
    name = family.name + ("_total" if family.type == "counter" else "")
    labels = ", ".join(f"`{label}`" for label in sorted(labels_of(family)))
    units = [unit for unit in ("seconds", "bytes") if family.name.endswith("_" + unit)]
    return f"`{name}`", family.type, labels, "".join(units), family.documentation


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_docs_list_every_metric_as_it_is(everything: Metrics) -> None:
    lines = DOCS.read_text("utf-8").splitlines()
    rows = {
        tuple(cell.strip() for cell in line.strip("|").split("|"))
        for line in lines
        if line.startswith("| `")
    }
    assert rows == set(map(documented, everything.registry.collect()))
