"""``wsdev connect --find-idle-cut`` as its users have it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import Running, fails, in_json, wsdev
from fake_gateways import closed_port
from gateway_process import GatewayProcess, running_gateway
from test_logs_command import in_a_terminal

from wsdev.errors import ExitCode


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    folder = tmp_path_factory.mktemp("gateway") / "state"
    with running_gateway(folder, "--no-trust-local", "--public-tokens", "open") as gateway:
        yield gateway


def find(gateway: GatewayProcess, *options: str, up_to: str = "1s") -> list[str]:
    url = f"127.0.0.1:{gateway.port}"
    return ["connect", "--find-idle-cut", "--up-to", up_to, "--url", url, *options]


def test_way_in_is_walked_and_then_silence_is_tried(gateway: GatewayProcess) -> None:
    done = wsdev(*find(gateway))
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert "keepalive" in lines[9]
    assert lines[10].startswith("4 silent connections, for 125 ms to 1 s; this takes ")
    assert all(line.startswith("  ok  ") and line.endswith("  alive") for line in lines[11:15])
    assert lines[15] == "The path holds: a connection lived through 1 s of silence."


def test_json_is_one_document(gateway: GatewayProcess) -> None:
    found = in_json(*find(gateway, "--json"))
    assert (found["form"], found["ok"], found["exit_code"]) == ("wsdev.idle-cut/1", True, 0)
    assert (found["judgement"], found["gateway_ping_interval"]) == ("holds", 20)
    assert found["finding"]["cut"] is None
    assert len(found["outcomes"]) == 4
    assert found["error"] is None


def test_quiet_prints_nothing_if_the_path_holds(gateway: GatewayProcess) -> None:
    done = wsdev(*find(gateway, "-q"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_device_token_will_do(tmp_path: Path) -> None:
    with running_gateway(
        tmp_path, "--no-trust-local", "--limit", "name_probe=200ms",
        device_tokens={"kitchen": "pico"},
    ) as gateway:  # fmt: skip
        done = wsdev(*find(gateway, "--token", gateway.tokens["kitchen"], "--name", "kitchen"))
    assert (done.returncode, done.stderr) == (0, "")
    assert gateway.tokens["kitchen"] not in done.stdout


def test_terminal_shows_a_bar_with_the_time_left(gateway: GatewayProcess) -> None:
    shown = in_a_terminal(*find(gateway))
    assert "silent " in shown
    assert "1 s left" in shown
    assert "The path holds" in shown


def test_ctrl_c_tells_what_is_known_so_far(gateway: GatewayProcess) -> None:
    with Running(find(gateway, up_to="10s")) as running:
        first = running.until(" s  alive")
        code, out, err = running.interrupt()
    assert first.startswith("  ok  ")
    assert (code, err) == (ExitCode.INTERRUPTED, "wsdev: interrupted; known until then:\n")
    assert "The path holds: a connection lived through " in out


def test_ctrl_c_leaves_a_whole_document(tmp_path: Path) -> None:
    with (
        running_gateway(tmp_path) as gateway,
        Running(find(gateway, "--json", up_to="1m")) as running,
    ):
        gateway.wait_for_log("hello", wants="")  # the visit has a name
        code, out, err = running.interrupt()
    assert (code, err) == (ExitCode.INTERRUPTED, "")
    found = json.loads(out)
    assert (found["interrupted"], found["ok"], found["exit_code"]) == (True, False, 130)
    assert found["judgement"] == "unknown"


@pytest.mark.parametrize(
    "options",
    [
        ["--up-to", "1m"],
        ["--find-idle-cut", "--stay"],
        ["--find-idle-cut", "--count", "3"],
        ["--find-idle-cut", "--weather", "flaky-wifi"],
        ["--find-idle-cut", "--duration", "1m"],
        ["--find-idle-cut", "--up-to", "soon"],
        ["--find-idle-cut", "--up-to", "900ms"],
    ],
    ids=" ".join,
)
def test_options_that_cannot_be_meant_together(options: list[str]) -> None:
    lines = fails(ExitCode.USAGE, "connect", *options)
    assert lines[1].startswith("  try: ")


def test_gateway_that_will_not_be_quiet_is_told(tmp_path: Path) -> None:
    with running_gateway(tmp_path, "--limit", "longest_ping_interval=1m") as gateway:
        lines = fails(ExitCode.NOT_ALLOWED, *find(gateway, up_to="50s"))
        assert "pings after 60 s, whatever it is asked: 50 s of silence cannot" in lines[0]
        assert lines[1].endswith(
            "use --up-to 35s, or run wsdev serve with --limit longest_ping_interval=75s"
        )
        done = wsdev(*find(gateway, "--json", up_to="50s"))
    assert json.loads(done.stdout)["error"]["code"] == "not_quiet"
    assert done.returncode == ExitCode.NOT_ALLOWED


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["text", "json"])
def test_broken_way_in_is_told_as_a_visit_tells_it(form: list[str]) -> None:
    done = wsdev("connect", "--find-idle-cut", "--url", f"127.0.0.1:{closed_port()}", *form)
    assert done.returncode == ExitCode.REFUSED
    if form:
        assert json.loads(done.stdout)["form"] == "wsdev.connect/1"
    else:
        assert done.stderr.startswith("wsdev: tcp: ")
