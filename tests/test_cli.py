"""The CLI as its users have it: arguments and environment in, two streams and an exit code out."""

from __future__ import annotations

import contextlib
import functools
import json
import re
import resource
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from command_line import (
    Running,
    environment,
    fails,
    in_json,
    into,
    process,
    without_coverage,
    wsdev,
)
from fake_gateways import closed_port
from gateway_process import GatewayProcess, running_gateway
from harness import is_root
from made_journal import made_journal

from wsdev import __version__
from wsdev.cli import SUMMARIES, main
from wsdev.commands import (
    connect,
    console,
    devices,
    doctor,
    journal,
    logs,
    profiles,
    record,
    replay,
    schema,
    send,
    serve,
    snapshot,
    tokens,
    watch,
)
from wsdev.compilation import is_compiled
from wsdev.errors import ExitCode
from wsdev.tokens import TokenBook

# Help


def test_help_starts_fast_and_imports_no_heavy_module() -> None:
    program = (
        "import sys\n"
        "from wsdev.cli import main\n"
        "sys.argv = ['wsdev', '--help']\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n    assert not end.code\n"
        "print(*sys.modules, file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=without_coverage(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "serve" in done.stdout
    loaded = set(done.stderr.split())
    heavy = {
        "asyncio", "cryptography", "h11", "httpx", "msgspec", "PIL", "pydantic", "rich", "segno",
        "sqlite3", "ssl", "uvloop", "websockets",
    }  # fmt: skip
    assert not loaded & heavy
    own = {name for name in loaded if name.startswith("wsdev")}
    assert own == {"wsdev", "wsdev.cli", "wsdev.errors"}


def least_cpu_seconds(*program: str) -> float:
    """Of several runs, since what else runs on the machine only adds."""
    costs: list[float] = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, *program],
            env=without_coverage(),
            stdout=subprocess.DEVNULL,
            check=True,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        costs.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(costs)


def test_help_costs_little_more_than_typer_itself() -> None:
    typer = least_cpu_seconds("-c", "import typer")
    assert least_cpu_seconds("-m", "wsdev", "--help") < 1.6 * typer


COMMANDS = [
    [],
    ["serve"],
    ["connect"],
    ["doctor"],
    *([c] for c in ("devices", "send", "watch", "snapshot", "console")),
    ["record"],
    ["replay"],
    ["tokens"],
    *(["tokens", c] for c in ("list", "create", "rotate", "revoke", "check", "open", "close")),
    ["profiles"],
    ["logs"],
    ["journal"],
    *(["journal", c] for c in ("stats", "export", "vacuum")),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_each_command_has_help(
    command: list[str],
    flag: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "argv", ["wsdev", *command, flag])
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code
    shown = capsys.readouterr().out
    assert shown.startswith(" ".join(["Usage: wsdev", *command]))
    assert max(map(len, shown.splitlines())) <= 80
    assert not re.search(r"--\S+ <", shown), "an option without a word for its value"
    assert "..." not in shown.replace("[ARGS]...", ""), "a summary is cut"


def test_summaries_are_the_commands_own() -> None:
    docs = {
        "serve": serve.serve,
        "connect": connect.connect,
        "schema": schema.schema,
        "doctor": doctor.doctor,
        "devices": devices.devices,
        "send": send.send,
        "watch": watch.watch,
        "snapshot": snapshot.snapshot,
        "console": console.console,
        "record": record.record,
        "replay": replay.replay,
        "tokens": tokens.fetch,
        "profiles": profiles.profiles,
        "logs": logs.logs,
        "journal": journal.options,
    }
    own = {name: (command.__doc__ or "").splitlines()[0] for name, command in docs.items()}
    assert own == SUMMARIES


def test_without_arguments_the_help_is_shown() -> None:
    done = wsdev()
    assert done.returncode == ExitCode.USAGE
    assert "Commands:" in done.stdout + done.stderr


def test_version() -> None:
    mark = " (compiled)" if is_compiled() else ""
    assert process("--version").stdout == f"wsdev {__version__}{mark}\n"
    assert wsdev("-V").returncode == 0


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("wsdev ", "serve connect tokens logs journal"),
        ("wsdev tokens re", "revoke"),
        ("wsdev serve --po", "--port"),
    ],
)
def test_bash_completion_offers_what_fits(words: str, expected: str) -> None:
    done = process(
        env={
            "_WSDEV_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(words.count(" ")),
        }
    )
    assert set(expected.split()) <= set(done.stdout.split())


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script_can_be_shown(shell: str) -> None:
    done = wsdev("--show-completion", shell)
    assert done.returncode == 0
    assert "_WSDEV_COMPLETE" in done.stdout


# Usage errors


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["--nonsense"],
        ["connect", "--nonsense"],
        ["connect", "--messages", "0"],
        ["tokens", "nonsense"],
        ["tokens", "revoke"],
    ],
    ids=" ".join,
)
def test_wrong_command_line_exits_2(arguments: list[str]) -> None:
    done = wsdev(*arguments)
    assert done.returncode == ExitCode.USAGE
    assert "Error: " in done.stderr


def test_mistyped_command_gets_a_suggestion() -> None:
    assert "'tokens'" in wsdev("tokns").stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["connect", "--url", "ftp://gateway"],
        ["connect", "--url", "gateway/\x1b]0;x"],
        ["connect", "--device", "No Class"],
        ["connect", "--timeout", "soon"],
        ["connect", "--timeout", "0"],
        ["connect", "--token", ""],
        ["connect", "--token", "tökén"],
        ["connect", "--token-file", "no-such-file"],
        ["tokens", "--url", "gateway:port"],
        ["tokens", "check"],
        ["tokens", "create"],
        ["tokens", "create", "--operator", "--device", "pico"],
        ["tokens", "open", "--for", "0"],
        ["tokens", "rotate", "pico", "--grace", "never"],
        ["serve", "--port", "70000"],
        ["serve", "--config", "no-such-file"],
    ],
    ids=repr,
)
def test_value_that_cannot_be_meant_is_one_line_and_exits_2(arguments: list[str]) -> None:
    lines = fails(ExitCode.USAGE, *arguments)
    assert lines[1].startswith("  try: ")
    assert "\x1b" not in lines[0]


# serve


def serve_fails(code: ExitCode, *arguments: str) -> list[str]:
    """``wsdev serve`` sets the log up for its whole process: run it in one of its own."""
    return fails(code, "serve", *arguments, run=process)


def test_key_without_certificate_is_told(tmp_path: Path) -> None:
    lines = serve_fails(ExitCode.USAGE, "--tls-key", "key.pem", "--state", str(tmp_path))
    assert "--tls-cert" in lines[0]


def test_port_in_use_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        state = str(tmp_path / "state")
        lines = serve_fails(
            ExitCode.ADDRESS_IN_USE, "--host", "127.0.0.1", "--port", port, "--state", state
        )
    assert port in lines[0]


def test_foreign_address_is_told(tmp_path: Path) -> None:
    serve_fails(ExitCode.ADDRESS_UNAVAILABLE, "--host", "203.0.113.1", "--state", str(tmp_path))


def test_state_folder_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    serve_fails(ExitCode.STATE_FOLDER, "--port", "0", "--state", str(tmp_path / "file"))


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_bad_certificate_is_told(tmp_path: Path, content: str | None) -> None:
    cert = tmp_path / "cert.pem"
    if content is not None:
        cert.write_text(content)
    state = str(tmp_path / "state")
    lines = serve_fails(ExitCode.CERTIFICATE, "--tls-cert", str(cert), "--state", state)
    assert str(cert) in lines[0]


def test_second_gateway_on_one_state_folder_is_told(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with running_gateway(state):
        serve_fails(
            ExitCode.ALREADY_RUNNING, "--host", "127.0.0.1", "--port", "0", "--state", str(state)
        )


ABOVE_RIGHTS = ("dac_override", "dac_read_search")
"""The capabilities with which root reads what nobody may."""


@pytest.mark.parametrize("command", [["tokens", "list"], ["logs"], ["journal", "stats"]], ids=str)
def test_state_folder_that_cannot_be_read_is_told_as_our_own_error(
    command: list[str], tmp_path: Path, need: Callable[[str], str]
) -> None:
    dropped = ",".join(f"-{name}" for name in ABOVE_RIGHTS)
    drop = [need("setpriv"), f"--bounding-set={dropped}", f"--inh-caps={dropped}"]
    state = tmp_path / "state"
    state.mkdir(0o000)
    done = subprocess.run(
        [*(drop if is_root() else []), sys.executable, "-m", "wsdev", *command, "--state", state],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == ExitCode.STATE_FOLDER
    assert done.stderr.startswith(f"wsdev: the state folder {state} cannot be used: ")


# Output that goes nowhere


PRINTING = [
    ["--help"],
    ["--version"],
    ["tokens", "list"],
    ["tokens", "list", "--json"],
    ["logs", "-n", "all"],
    ["logs", "-n", "all", "--json"],
    ["journal", "stats"],
    ["journal", "export"],
]


@pytest.mark.parametrize("command", PRINTING, ids=" ".join)
def test_output_that_cannot_be_written_is_told(command: list[str], state: str) -> None:
    with made_journal(Path(state)) as made:
        made.messages(made.connect(), 1000)
    run = functools.partial(into, ">/dev/full")
    where = [] if command[0].startswith("-") else ["--state", state]
    lines = fails(ExitCode.FAILED, *command, *where, run=run)
    assert lines[0] == "wsdev: cannot write: No space left on device"


def test_error_keeps_its_exit_code_when_nobody_reads(state: str) -> None:
    for out in (">/dev/full", ">&-"):
        done = into(out, "tokens", "check", "nonsense", "--state", state)
        assert done.returncode == ExitCode.TOKEN_MISTYPED
        assert len(done.stderr.splitlines()) == 2


def test_closed_output_is_nothing_to_complain_of(state: str) -> None:
    done = into(">&-", "tokens", "list", "--state", state)
    assert (done.returncode, done.stderr) == (0, "")


# The token book on the host


@pytest.fixture
def state(tmp_path: Path) -> str:
    """A state folder with a book that has the class tokens."""
    folder = tmp_path / "state"
    with TokenBook.open(folder) as book:
        book.ensure_classes(["pico", "esp32cam"])
    return str(folder)


def test_book_is_missing_is_told(tmp_path: Path) -> None:
    fails(ExitCode.TOKEN_BOOK, "tokens", "list", "--state", str(tmp_path / "none"))


def test_state_folder_comes_from_the_environment_too(state: str) -> None:
    assert in_json("tokens", "list", env={"WSDEV_STATE": state})["tokens"]


def test_life_of_a_device_token(state: str) -> None:
    name = "n" * 64
    here = ["--state", state]
    made = wsdev("tokens", "create", "--device", "pico", "--name", name, "-q", *here)
    token = made.stdout.removesuffix("\n")
    assert made.stdout == f"{token}\n"
    assert token.startswith("wsd_pico_")

    assert wsdev("tokens", "check", token, *here).returncode == 0
    good = in_json("tokens", "check", *here, env={"WSDEV_TOKEN": token})
    assert (good["verdict"], good["device"], good["state"]) == ("good", name, "active")
    assert token not in json.dumps(good)

    again = fails(
        ExitCode.TOKEN_BOOK, "tokens", "create", "--device", "pico", "--name", name, *here
    )
    assert "rotate" in again[1]

    newer = in_json("tokens", "rotate", name, "--grace", "1h", *here)
    assert newer["token"] != token
    assert (
        in_json("tokens", "check", "--token-file", "-", *here, stdin=token + "\n")["state"]
        == "retiring"
    )

    ended = in_json("tokens", "revoke", name, *here)
    assert len(ended["revoked"]) == 2
    assert wsdev("tokens", "revoke", name, *here).stdout == "it had ended already\n"
    lines = fails(ExitCode.TOKEN_RETIRED, "tokens", "check", token, *here)
    assert token not in "".join(lines)


def test_life_of_an_operator_token(state: str) -> None:
    here = ["--state", state]
    made = wsdev("tokens", "create", "--operator", "--name", "alice", *here)
    assert "for the operator alice" in made.stdout
    assert "keep it as you keep a password" in made.stdout
    token = made.stdout.splitlines()[1]
    listed = wsdev("tokens", "list", *here).stdout
    assert "operator  alice" in listed
    assert token not in listed
    assert "the operator alice" in wsdev("tokens", "check", token, *here).stdout
    assert "its sessions end" in wsdev("tokens", "revoke", "alice", *here).stdout
    lines = fails(ExitCode.TOKEN_RETIRED, "tokens", "check", token, *here)
    assert "--operator" in lines[1]


@pytest.mark.parametrize("name", [[], ["--name", "kitchen"]], ids=["class", "device"])
def test_new_token_is_shown_whole_and_for_whom(state: str, name: list[str]) -> None:
    shown = wsdev("tokens", "create", "--device", "pico", *name, "--state", state).stdout
    head, token, *rest = shown.splitlines()
    assert head.endswith("for the device kitchen" if name else "for any pico")
    assert wsdev("tokens", "check", token, "--state", state).stdout.startswith("good: ")
    assert bool(rest) == bool(name)


def test_check_tells_mistyped_unknown_and_retired_apart(state: str, tmp_path: Path) -> None:
    with TokenBook.open(tmp_path / "other") as book:
        _, foreign = book.create("pico")
    mistyped = foreign[:-1] + ("a" if foreign[-1] != "a" else "b")
    for token, code, verdict in [
        (mistyped, ExitCode.TOKEN_MISTYPED, "token_mistyped"),
        ("nonsense", ExitCode.TOKEN_MISTYPED, "token_mistyped"),
        (foreign, ExitCode.TOKEN_UNKNOWN, "token_unknown"),
    ]:
        done = wsdev("tokens", "check", token, "--state", state, "--json")
        assert done.returncode == code
        assert json.loads(done.stdout)["verdict"] == verdict
        assert token not in done.stdout + done.stderr
        fails(code, "tokens", "check", token, "--state", state)


def test_mistyped_token_is_told_without_a_book(tmp_path: Path) -> None:
    fails(ExitCode.TOKEN_MISTYPED, "tokens", "check", "nonsense", "--state", str(tmp_path / "no"))


def test_list_shows_each_class_token_whole_and_device_tokens_by_their_tail(state: str) -> None:
    name = "n" * 64
    secret = in_json("tokens", "create", "--device", "pico", "--name", name, "--state", state)
    shown = wsdev("tokens", "list", "--state", state).stdout
    listed = in_json("tokens", "list", "--state", state)
    assert secret["token"] not in shown + json.dumps(listed)
    assert secret["token"][-4:] in shown
    assert name in shown
    assert {entry["class"] for entry in listed["tokens"]} == {"pico", "esp32cam"}
    class_tokens = [entry["token"] for entry in listed["tokens"] if entry["token"]]
    assert len(class_tokens) == 2
    # Piped, the terminal's 80 columns cut nothing.
    assert all(token in shown for token in class_tokens)
    assert "\x1b" not in shown


def test_window_opens_and_closes(state: str) -> None:
    assert "10m" in wsdev("tokens", "open", "--state", state).stdout
    assert 590 < in_json("tokens", "list", "--state", state)["window_seconds"] <= 600
    assert "min more" in wsdev("tokens", "list", "--state", state).stdout
    assert wsdev("tokens", "close", "--state", state).returncode == 0
    assert in_json("tokens", "list", "--state", state)["window_seconds"] == 0
    assert "wsdev tokens open" in wsdev("tokens", "list", "--state", state).stdout


def test_window_lasts_as_long_as_told(state: str) -> None:
    wsdev("tokens", "open", "--for", "2h", "--state", state)
    assert 7190 < in_json("tokens", "list", "--state", state)["window_seconds"] <= 7200


def test_unknown_target_is_told_without_repeating_it(state: str) -> None:
    lines = fails(ExitCode.TOKEN_BOOK, "tokens", "revoke", "no-such-thing", "--state", state)
    assert "no-such-thing" not in "".join(lines)


def test_book_of_others_is_private(state: str) -> None:
    files = [Path(state), *Path(state).iterdir()]
    assert not any(stat.S_IMODE(file.stat().st_mode) & 0o077 for file in files)


# Against a running gateway


@pytest.fixture(scope="module")
def gateway_state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state folder of :func:`gateway`."""
    return tmp_path_factory.mktemp("gateway") / "state"


@pytest.fixture(scope="module")
def gateway(gateway_state: Path) -> Iterator[GatewayProcess]:
    """A gateway in which a token is needed, and which hands tokens out."""
    with running_gateway(
        gateway_state,
        "--no-trust-local",
        "--public-tokens",
        "open",
        device_tokens={"doomed": "pico"},
    ) as gateway:
        yield gateway


def at(gateway: GatewayProcess) -> list[str]:
    return ["--url", f"127.0.0.1:{gateway.port}"]


def test_fetched_tokens_come_as_table_bare_or_json(gateway: GatewayProcess) -> None:
    token, camera = gateway.tokens["pico"], gateway.tokens["esp32cam"]
    table = wsdev("tokens", *at(gateway)).stdout
    assert token in table
    assert camera in table
    assert wsdev("tokens", *at(gateway), "-q").stdout in {f"{token}\n", f"{camera}\n"}
    assert wsdev("tokens", *at(gateway), "--device", "esp32cam", "-q").stdout == f"{camera}\n"
    assert in_json("tokens", *at(gateway))["tokens"] == {"pico": [token], "esp32cam": [camera]}
    lines = fails(ExitCode.NOT_ALLOWED, "tokens", *at(gateway), "--device", "toaster")
    assert "pico" in lines[1]


@pytest.mark.parametrize("device", ["pico", "esp32cam"])
def test_connect_says_what_happened_and_never_the_token(
    gateway: GatewayProcess, device: str
) -> None:
    done = wsdev("connect", *at(gateway), "--device", device, "--name", f"one-{device}", "-n", "2")
    assert done.returncode == 0, done.stderr
    for word in ("name", "tcp", "token", "upgrade", f"one-{device}", "2 of 2", "2 pings"):
        assert word in done.stdout
    assert "median" in done.stdout
    assert "p95" in done.stdout
    assert gateway.tokens[device] not in done.stdout + done.stderr


def test_text_of_a_hostile_gateway_is_neither_markup_nor_steering() -> None:
    hostile = {"pico_tokens": ["[red]x[/nothing]\x1b]0;owned\x07"], "[b]_tokens": ["y"]}
    with web_server(json.dumps(hostile).encode()) as port:
        shown = wsdev("tokens", "--url", f"127.0.0.1:{port}").stdout
    assert r"[red]x[/nothing]\x1b]0;owned\x07" in shown
    assert "[b]" in shown


@contextlib.contextmanager
def web_server(body: bytes) -> Iterator[int]:
    """A server that gives one answer to one request; gives its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n"
                connection.sendall(head.encode() + body)

        thread = threading.Thread(target=answer)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def test_connect_json_is_one_document(gateway: GatewayProcess) -> None:
    done = wsdev("connect", *at(gateway), "--name", "two", "--json")
    document = json.loads(done.stdout)
    assert (document["ok"], document["exit_code"], document["device"]) == (True, 0, "two")
    assert {"median", "p95", "max", "jitter", "samples", "lost"} == set(document["round_trip_ms"])
    assert gateway.tokens["pico"] not in done.stdout
    assert done.stderr == ""


def test_quiet_connect_prints_nothing(gateway: GatewayProcess) -> None:
    done = wsdev("connect", *at(gateway), "-q")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_failed_connect_is_told_in_text_and_json(gateway: GatewayProcess) -> None:
    wrong = ["--token", "wsd_pico_CANARYCANARYCANARYCANARYCA"]
    told = wsdev("connect", *at(gateway), *wrong)
    assert told.returncode == ExitCode.TOKEN
    assert "CANARY" not in told.stdout + told.stderr
    lines = told.stderr.splitlines()
    assert lines[0].startswith("wsdev: token: ")
    assert {line[:8] for line in lines[1:]} == {"  seen: ", "  why:  ", "  try:  "}
    done = wsdev("connect", *at(gateway), *wrong, "--json")
    document = json.loads(done.stdout)
    assert done.returncode == document["exit_code"] == ExitCode.TOKEN
    assert not document["ok"]
    assert document["verdict"]["layer"] == "token"
    assert document["verdict"]["code"] == "token_mistyped"
    assert document["verdict"]["fix"]
    assert "CANARY" not in done.stdout + done.stderr


def test_closed_port_is_told_with_its_exit_code() -> None:
    url = f"127.0.0.1:{closed_port()}"
    assert "wsdev serve" in fails(ExitCode.REFUSED, "tokens", "--url", url)[1]
    told = wsdev("connect", "--url", url)
    assert told.returncode == ExitCode.REFUSED
    assert "wsdev serve" in told.stderr


def test_flag_comes_before_file_and_file_before_the_environment(
    gateway: GatewayProcess, tmp_path: Path
) -> None:
    good, bad = gateway.tokens["pico"], "wrong"
    file = tmp_path / "token"
    for in_flag, in_file, in_environment in [
        (good, bad, bad),
        (None, good, bad),
        (None, None, good),
    ]:
        arguments = [] if in_flag is None else ["--token", in_flag]
        if in_file is not None:
            file.write_text(f"  {in_file}\r\n")
            arguments += ["--token-file", str(file)]
        done = wsdev("connect", *at(gateway), *arguments, "-q", env={"WSDEV_TOKEN": in_environment})
        assert done.returncode == 0, done.stderr


def test_token_comes_from_stdin(gateway: GatewayProcess) -> None:
    token = gateway.tokens["pico"] + "\n"
    assert wsdev("connect", *at(gateway), "--token-file", "-", "-q", stdin=token).returncode == 0
    wrong = wsdev("connect", *at(gateway), "--token-file", "-", stdin="wrong\n")
    assert wrong.returncode == ExitCode.TOKEN
    fails(ExitCode.USAGE, "connect", *at(gateway), "--token-file", "-", stdin="\n")


def test_address_comes_from_the_environment(gateway: GatewayProcess) -> None:
    env = {"WSDEV_URL": gateway.url("/ws/esp32cam")}
    done = wsdev("connect", "--json", env=env)
    assert json.loads(done.stdout)["url"] == gateway.url("/ws/esp32cam")


def test_ctrl_c_on_a_staying_device_closes_politely_and_exits_130(
    gateway: GatewayProcess,
) -> None:
    stay = ["connect", "--stay", *at(gateway), "--json", "--name", "stay-json"]
    with Running(stay) as running:
        assert json.loads(running.until("online"))["detail"] == "as stay-json"
        code, out, err = running.interrupt()
    assert (code, err) == (ExitCode.INTERRUPTED, "")
    events = [json.loads(line)["event"] for line in out.splitlines()]
    assert events[-1] == "stopped"
    assert gateway.wait_for_log("disconnected", device="stay-json", code=1000)["by"] == "peer"


def test_ctrl_c_on_a_visit_exits_130_without_a_traceback(gateway: GatewayProcess) -> None:
    arguments = ["connect", *at(gateway), "--name", "long-visit", "-n", "10000"]
    with Running(arguments) as running:
        gateway.wait_for_log("message", device="long-visit")
        code, _, err = running.interrupt()
    assert code == ExitCode.INTERRUPTED
    assert re.fullmatch(r"wsdev: interrupted at message: sending 10000 .*, for \d.* s\n", err), err
    gateway.wait_for_log("disconnected", device="long-visit", code=1000)


def test_revoking_on_the_host_ends_the_staying_device_with_exit_16(
    gateway: GatewayProcess, gateway_state: Path, tmp_path: Path
) -> None:
    token = gateway.tokens["doomed"]
    file = tmp_path / "token"
    file.write_text(token)
    stay = ["connect", "--stay", *at(gateway), "--token-file", str(file), "--name", "doomed"]
    with Running(stay) as running:
        running.until("online")
        assert wsdev("tokens", "revoke", "doomed", "--state", str(gateway_state)).stdout
        code, out, err = running.end()
    assert code == ExitCode.NOT_ALLOWED
    assert "revoked" in err
    assert token not in out + err
    gateway.wait_for_log("disconnected", device="doomed", code=4501)


def test_closing_the_window_is_noticed_by_a_running_gateway(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "state", "--no-trust-local") as gateway:
        assert wsdev("tokens", *at(gateway), "-q").returncode == 0
        wsdev("tokens", "close", "--state", str(tmp_path / "state"))
        # Each process takes its time to start: these are more than the 2 s in which it must show,
        # and fewer than the requests of a minute.
        for _ in range(25):
            done = process("tokens", *at(gateway), "-q")
            if done.returncode:
                break
        assert done.returncode == ExitCode.NOT_ALLOWED
        assert "wsdev tokens open" in done.stderr
        gateway.wait_for_log("refused", code="tokens_closed")
