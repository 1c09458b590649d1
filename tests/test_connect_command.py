"""``wsdev connect`` as a probe: what it writes, how it repeats, when it says no."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest
from command_line import Running, fails, into, without_coverage, wsdev
from fake_gateways import closed_port
from gateway_process import GatewayProcess, running_gateway
from rich.console import Console

from wsdev.commands.connect import EXIT_CODES
from wsdev.commands.watching import Watch, _line
from wsdev.diagnosis.verdict import FAULTS, verdict
from wsdev.errors import ExitCode
from wsdev.layers import Layer
from wsdev.probe import Visit
from wsdev.protocol import BUILTIN_CLASSES
from wsdev.report import Report, make_report
from wsdev.target import Target
from wsdev.urls import GatewayAddress

WALKED = ["name", "route", "tcp", "http", "token", "upgrade", "hello", "message", "keepalive"]
CANARY = "wsd_pico_CANARYCANARYCANARYCANARYCA"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """A gateway in which a token is needed, and which hands tokens out."""
    state = tmp_path_factory.mktemp("gateway") / "state"
    with running_gateway(state, "--no-trust-local", "--public-tokens", "open") as gateway:
        yield gateway


def at(gateway: GatewayProcess) -> list[str]:
    return ["connect", "--url", f"127.0.0.1:{gateway.port}"]


def nowhere() -> list[str]:
    return ["connect", "--url", f"127.0.0.1:{closed_port()}"]


# Start


def test_visit_without_tls_imports_nothing_that_only_others_need(gateway: GatewayProcess) -> None:
    program = (
        "import sys\n"
        "from wsdev.cli import main\n"
        f"sys.argv = ['wsdev', *{at(gateway)!r}, '--quiet']\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n    assert not end.code\n"
        "print({'cryptography', 'httpx', 'PIL', 'segno', 'sqlite3'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=without_coverage(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "set()\n"


# Exit codes


def test_help_tells_the_exit_code_of_every_fault() -> None:
    told = {int(number) for number in re.findall(r"\b(\d+) \w", EXIT_CODES)}
    assert told >= {int(fault.exit_code) for fault in FAULTS.values()}
    assert told >= {ExitCode.OK, ExitCode.USAGE, ExitCode.INTERRUPTED}


# JUnit


def cases(file: Path) -> dict[str, ElementTree.Element]:
    suite = ElementTree.parse(file).getroot()
    assert int(suite.attrib["tests"]) == len(suite.findall("testcase"))
    for outcome, count in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        assert int(suite.attrib[count]) == len(suite.findall(f"testcase/{outcome}"))
    return {case.attrib["name"]: case for case in suite.findall("testcase")}


def test_junit_has_a_passed_case_for_each_layer(gateway: GatewayProcess, tmp_path: Path) -> None:
    file = tmp_path / "smoke.xml"
    assert wsdev(*at(gateway), "--junit", str(file)).returncode == 0
    found = cases(file)
    assert list(found) == WALKED
    assert not any(case.find("failure") is not None for case in found.values())
    assert gateway.tokens["pico"] not in file.read_text()


def test_junit_names_the_broken_layer_and_skips_what_was_not_reached(
    gateway: GatewayProcess, tmp_path: Path
) -> None:
    file = tmp_path / "smoke.xml"
    wrong = ["--token", CANARY, "--junit", str(file), "-q"]
    assert wsdev(*at(gateway), *wrong).returncode == ExitCode.TOKEN
    found = cases(file)
    failure = found["token"].find("failure")
    assert failure is not None
    assert failure.attrib["type"] == "token_mistyped"
    assert "try: " in (failure.text or "")
    assert [name for name, case in found.items() if case.find("skipped") is not None] == [
        *("upgrade", "hello", "message", "keepalive")
    ]
    assert "CANARY" not in file.read_text()


def test_junit_holds_a_quality_case_only_if_quality_was_asked_for(
    gateway: GatewayProcess, tmp_path: Path
) -> None:
    file = tmp_path / "smoke.xml"
    slow = ["--max-rtt", "1ms", "--max-loss", "0", "--junit", str(file)]
    code = wsdev(*at(gateway), "--max-rtt", "1h", "--junit", str(file)).returncode
    assert code == 0
    assert list(cases(file)) == [*WALKED, "quality"]
    wsdev(*at(gateway), *slow)
    assert "quality" in cases(file)


# Markdown


def test_report_holds_what_was_seen_and_no_secret(gateway: GatewayProcess, tmp_path: Path) -> None:
    file = tmp_path / "report.md"
    assert wsdev(*at(gateway), "--report", str(file)).returncode == 0
    text = file.read_text()
    assert "all layers work" in text
    assert all(f"| {layer} | ok |" in text for layer in WALKED)
    assert gateway.tokens["pico"] not in text
    told = json.loads(text.partition("```json")[2].partition("```")[0])
    assert told["health"]["answer"]["status"] == 200


def test_report_of_a_failure_begins_with_the_verdict(
    gateway: GatewayProcess, tmp_path: Path
) -> None:
    file = tmp_path / "report.md"
    wsdev(*at(gateway), "--token", CANARY, "--report", str(file))
    text = file.read_text()
    assert "broken at the layer token" in text.splitlines()[2]
    assert "`token_mistyped`" in text
    assert "- try: Copy the whole token again." in text
    assert "CANARY" not in text


def test_file_that_cannot_be_written_is_a_usage_error(gateway: GatewayProcess) -> None:
    for option in ("--junit", "--report"):
        done = wsdev(*at(gateway), option, "/nowhere/at/all", "-q")
        assert done.returncode == ExitCode.USAGE
        assert "cannot write /nowhere/at/all" in done.stderr
        assert "--output" not in done.stderr


def test_visit_whose_output_nobody_takes_does_not_claim_an_interruption() -> None:
    done = into(">/dev/full", *nowhere())
    assert done.returncode == ExitCode.FAILED
    assert "cannot write" in done.stderr
    assert "interrupted" not in done.stderr


# Quality


def test_slow_path_fails_with_19_where_a_limit_was_given(gateway: GatewayProcess) -> None:
    document = json.loads(wsdev(*at(gateway), "--max-rtt", "1ms", "-n", "50", "--json").stdout)
    slow = document["round_trip_ms"]["p95"] > 1
    assert document["exit_code"] == (ExitCode.QUALITY if slow else ExitCode.OK)
    done = wsdev(*at(gateway), "--max-rtt", "0.001ms")
    assert done.returncode == ExitCode.USAGE


@pytest.mark.parametrize("share", ["much", "-1", "101%", "1.5", ""])
def test_share_that_cannot_be_meant_is_a_usage_error(share: str) -> None:
    assert "--max-loss" in fails(ExitCode.USAGE, *nowhere(), f"--max-loss={share}")[0]


# Again and again


def test_watch_shows_a_line_for_each_visit_and_sums_up(gateway: GatewayProcess) -> None:
    done = wsdev(*at(gateway), "--watch", "2s", "--duration", "2.5s", "--name", "watched")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert [line.split()[1] for line in lines[1:3]] == ["ok", "ok"]
    assert lines[2].endswith(" ··")
    assert lines[3] == "2 visits, 2 ok (100.0 %)"


def test_watch_counts_what_broke_and_ends_with_its_exit_code() -> None:
    done = wsdev(*nowhere(), "--watch", "2s", "--duration", "1s", "--json")
    assert done.returncode == ExitCode.REFUSED
    visit, summary = map(json.loads, done.stdout.splitlines())
    assert visit["verdict"]["code"] == "refused"
    assert summary == {
        "form": "wsdev.watch/1", "runs": 1, "ok": 0, "faults": {"refused": 1},
        "longest_outage_s": 0.0, "median_ms": None, "p95_ms": None, "exit_code": 11,
    }  # fmt: skip


def test_ctrl_c_sums_a_watch_up_and_exits_130() -> None:
    with Running([*nowhere(), "--watch", "1h"]) as running:
        running.until(" no ")
        code, out, err = running.interrupt()
    assert (code, err) == (ExitCode.INTERRUPTED, "")
    assert out.startswith("1 visit, 0 ok (0.0 %)")


def test_watch_is_not_so_often_that_the_gateway_says_no() -> None:
    lines = fails(ExitCode.USAGE, *nowhere(), "--watch", "1s")
    assert "too short" in lines[0]
    assert "2s is the shortest" in lines[1]


def test_time_without_a_good_visit_is_that_from_the_last_good_to_the_next() -> None:
    watch = Watch()
    good, bad = report(None), report("refused")
    for seconds, told in ((0, good), (30, bad), (60, good), (90, good), (120, bad)):
        watch.take(told, float(seconds))
    assert watch.worst_gap == 60.0
    assert watch.history == "·x··x"


def report(fault: str | None) -> Report:
    """The report of a visit that worked, or met ``fault``."""
    made = make_report(Visit(Target(GatewayAddress("h", 3000), BUILTIN_CLASSES["pico"], "h")))
    found = verdict(fault) if fault else None
    code = int(found.exit_code) if found else 0
    return msgspec.structs.replace(made, verdict=found, ok=found is None, exit_code=code)


@pytest.mark.parametrize("columns", [60, 80, 200])
@pytest.mark.parametrize("runs", [1, 40])
def test_line_of_a_watch_fits_a_terminal(columns: int, runs: int) -> None:
    console = Console(width=columns, force_terminal=True)
    line = _line(report(None), "·" * runs, console).plain
    assert len(line) <= columns
    assert line.endswith("·" * min(runs, 10))


def test_line_of_a_watch_in_a_pipe_is_whole() -> None:
    line = _line(report("refused"), "x" * 40, Console(width=60, force_terminal=False)).plain
    assert FAULTS["refused"].what in line
    assert line.endswith("x" * 40)


def test_watch_writes_no_file_for_one_visit(tmp_path: Path) -> None:
    wanted = ["--watch", "5s", "--junit", str(tmp_path / "x")]
    assert "one visit" in fails(ExitCode.USAGE, *nowhere(), *wanted)[0]


# Schema


def test_schema_describes_the_document_of_connect(gateway: GatewayProcess) -> None:
    schema = json.loads(wsdev("schema").stdout)
    document = json.loads(wsdev(*at(gateway), "--json").stdout)
    fields = schema["$defs"]["Report"]["properties"]
    assert set(fields) == set(document)
    assert document["form"] == schema["title"] == "wsdev.connect/1"
    assert [step["name"] for step in document["steps"]] == WALKED
    assert schema["$defs"]["Layer"]["enum"] == sorted(layer.value for layer in Layer)
