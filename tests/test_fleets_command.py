"""``wsdev connect --count`` and ``wsdev profiles`` as their users have them."""

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
    """A gateway in which a token is needed, and which hands tokens out."""
    folder = tmp_path_factory.mktemp("gateway") / "state"
    with running_gateway(folder, "--no-trust-local", "--public-tokens", "open") as gateway:
        yield gateway


def fleet(gateway: GatewayProcess, *options: str) -> list[str]:
    return ["connect", "--url", f"127.0.0.1:{gateway.port}", *options]


def test_summary_says_how_many_and_how_fast(gateway: GatewayProcess) -> None:
    done = wsdev(*fleet(gateway, "--count", "8", "--rate", "20/s", "--duration", "500ms"))
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines if line[0] != " "] == [
        "ran", "devices", "messages", "traffic", "ack", "connect",
    ]  # fmt: skip
    assert "8, 8 links let in" in done.stdout
    assert " 0 not acked" in done.stdout


def test_json_is_one_document_with_all_figures(gateway: GatewayProcess) -> None:
    found = in_json(
        *fleet(gateway, "--count", "8", "--mix", "pico=3,esp32cam=1", "--duration", "300ms"),
        "--rate", "max", "--seed", "7", "--weather", "clock-skew",
    )  # fmt: skip
    assert found["devices"] == {"count": 8, "connected": 8}
    assert found["seed"] == 7
    assert found["messages"]["sent"] == found["messages"]["acked"] > 0
    assert found["messages"]["unasked"] >= 2  # the cameras' pictures
    assert (found["crossed"], found["errors"], found["interrupted"]) == ([], [], False)
    assert 0 < found["round_trip_ms"]["p50"] <= found["round_trip_ms"]["max"]


def test_crossed_threshold_exits_19_and_a_kept_one_does_not(gateway: GatewayProcess) -> None:
    run = fleet(gateway, "--count", "2", "--rate", "20/s", "--duration", "300ms", "-q")
    assert wsdev(*run, "--fail-if", "loss>0", "--fail-if", "connected<100%").returncode == 0
    lines = fails(ExitCode.QUALITY, *run, "--fail-if", "loss>0", "--fail-if", "max>0.001ms")
    assert lines[0] == "wsdev: --fail-if: max>0.001ms"


def test_each_profile_is_its_own_part_of_the_fleet(gateway: GatewayProcess) -> None:
    profiles = ["--profile", "micropython", "--profile", "gilmaimon"]
    found = in_json(*fleet(gateway, "--count", "5", *profiles, "--duration", "100ms"), "--json")
    assert found["links"]["opened"] == 5
    classes = {line["device_class"] for line in gateway.log_lines("connected")}
    assert classes == {"pico", "esp32cam"}


def test_ctrl_c_tells_what_was_seen_so_far(gateway: GatewayProcess) -> None:
    arguments = fleet(gateway, "--count", "3", "--name", "brief", "--rate", "10/s", "--json")
    with Running(arguments) as running:
        gateway.wait_for_log("message", device="brief-00003", type="telemetry")
        code, out, err = running.interrupt()
    assert (code, err) == (ExitCode.INTERRUPTED, "")
    found = json.loads(out)
    assert found["interrupted"] is True
    assert found["messages"]["lost"] == 0
    gateway.wait_for_log("disconnected", device="brief-00003", code=1000)


def test_terminal_shows_a_table_while_it_runs(gateway: GatewayProcess) -> None:
    shown = in_a_terminal(*fleet(gateway, "--count", "3", "--rate", "20/s", "--duration", "700ms"))
    assert "3 of 3 in" in shown
    assert shown.index("running") < shown.index("links let in")


def test_nobody_there_has_the_exit_code_of_its_layer() -> None:
    url = f"127.0.0.1:{closed_port()}"
    lines = fails(ExitCode.REFUSED, "connect", "--url", url, "--count", "2")
    assert "refuses the connection" in lines[0]


def test_wrong_token_has_its_exit_code_and_is_summed_up(gateway: GatewayProcess) -> None:
    run = fleet(gateway, "--count", "2", "--duration", "200ms", "--token", "wsd_pico_x")
    done = wsdev(*run, "--json")
    assert done.returncode == ExitCode.TOKEN
    assert json.loads(done.stdout)["errors"][0]["code"] == "token_mistyped"
    assert "2x  The token is mistyped" in wsdev(*run).stdout


@pytest.mark.parametrize(
    "options",
    [
        ["--mix", "pico"],
        ["--mix", "pico=0"],
        ["--mix", "pico=1,esp32cam=1", "--device", "pico"],
        ["--mix", "pico=1,esp32cam=1", "--token", "wsd_pico_x"],
        ["--device", "No Class"],
        ["--rate", "often"],
        ["--ramp", "0/s"],
        ["--payload-size", "much"],
        ["--profile", "toaster"],
        ["--weather", "hail"],
        ["--fail-if", "mood<good"],
        ["--duration", "0s"],
        ["--count", "1000000"],
    ],
    ids=" ".join,
)
def test_option_that_cannot_be_meant_is_told(gateway: GatewayProcess, options: list[str]) -> None:
    lines = fails(ExitCode.USAGE, *fleet(gateway, "--count", "2", "--duration", "1s", *options))
    assert lines[1].startswith("  try: ")


@pytest.mark.parametrize(
    ("flag", "value"),
    [("--ramp", "500/s"), ("--rate", "max"), ("--payload-size", "1KB"), ("--seed", "7")],
)
def test_option_of_a_fleet_is_not_for_a_single_device(flag: str, value: str) -> None:
    lines = fails(ExitCode.USAGE, "connect", flag, value)
    assert lines == [
        f"wsdev: {flag} is for a fleet, and this is a visit",
        "  try: add --count, or leave it out",
    ]


@pytest.mark.parametrize("options", [["--stay"], ["--interval", "5s"], ["-n", "5"]], ids=" ".join)
@pytest.mark.parametrize("fleet", [["--count", "2"], ["--weather", "fair"]], ids=" ".join)
def test_option_of_a_single_device_is_not_for_a_fleet(fleet: list[str], options: list[str]) -> None:
    lines = fails(ExitCode.USAGE, "connect", *fleet, *options)
    assert lines[0].endswith(", and this is a fleet")
    assert lines[1].endswith("leave it out")


def test_class_without_a_token_is_told(gateway: GatewayProcess) -> None:
    fails(ExitCode.NOT_ALLOWED, *fleet(gateway, "--count", "2", "--device", "toaster"))


def test_profiles_are_listed_with_what_they_teach() -> None:
    done = wsdev("profiles")
    assert "arduino-links2004  arduinoWebSockets" in done.stdout
    assert "teaches: " in done.stdout
    assert in_json("profiles")["esp-idf"]["frames"]["fragment_above"] == 1024


def test_weathers_are_listed_too() -> None:
    assert "nat-cut" in wsdev("profiles", "--weather").stdout
    assert in_json("profiles", "--weather")["slow"]["piece"] == 1


def test_profile_of_ones_own_is_a_file(gateway: GatewayProcess, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        'summary = "mine"\n'
        '[hello]\ntype = "connect"\ndevice = "mine"\nversion = "9"\n'
        '[[says]]\nmessage = { type = "log", message = "hello", id = "$id" }\n'
    )
    run = fleet(gateway, "--count", "1", "--profile", str(file), "--rate", "20/s")
    assert in_json(*run, "--duration", "300ms")["messages"]["acked"] > 0
    assert gateway.log_lines("hello", wants="mine", version="9")
