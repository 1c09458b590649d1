"""``wsdev record`` and ``wsdev replay`` as their users have them."""

from __future__ import annotations

import json
import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import Running, fails, wsdev
from gateway_process import GatewayProcess, running_gateway
from made_journal import MadeJournal, made_journal
from made_recording import HEADER, OPEN, file_of, heard, said

from wsdev.errors import ExitCode

HELLO = '{"type":"connect","device":"kitchen"}'


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("recorded") / "state"


@pytest.fixture(scope="module")
def gateway(state: Path) -> Iterator[GatewayProcess]:
    with running_gateway(state, "--record-pictures", "5") as running:
        yield running


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


def lines_of(path: Path | str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text("utf-8").splitlines()]


def at(gateway: GatewayProcess) -> list[str]:
    return ["--url", f"127.0.0.1:{gateway.port}"]


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[MadeJournal]:
    """A session of kitchen that has ended, and one that goes on."""
    folder = tmp_path / "made"
    folder.mkdir()
    with made_journal(folder) as made:
        for _ in range(2):
            session = made.connect()
            made.message(session, "connect", HELLO)
            last = made.message(session, "telemetry", '{"type":"telemetry","data":{},"id":1}', 1)
        made.disconnect(session - 3, last - 3)
        yield made


def record(journal: MadeJournal, *arguments: str) -> str:
    """Record; what it says."""
    done = wsdev("record", *arguments, "--state", str(journal.folder))
    assert done.returncode == 0, done.stderr
    return done.stderr


# From one gateway to another


@pytest.mark.parametrize(("device_class", "name"), [("pico", "kitchen"), ("esp32cam", "yard")])
def test_session_that_was_recorded_replays_without_a_difference(
    gateway: GatewayProcess, state: Path, tmp_path: Path, device_class: str, name: str
) -> None:
    visit = wsdev("connect", "--device", device_class, "--name", name, *at(gateway))
    assert visit.returncode == 0, visit.stderr
    gateway.wait_for_log("disconnected", device=name)
    done = wsdev("record", name, "--state", str(state))
    assert done.returncode == 0, done.stderr
    (file,) = Path().glob(f"{name}-2*Z.wsrec")
    assert f"{name} ({device_class}), session " in done.stderr
    assert f"wsdev replay {file}" in done.stderr
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    pictures = [line for line in lines_of(file) if line.get("kind") == "picture"]
    assert len(pictures) == (device_class == "esp32cam")
    assert all("base64" in line for line in pictures)
    with running_gateway(tmp_path / "other") as other:
        for where in (gateway, other):
            done = wsdev("replay", str(file), *at(where), "--speed", "max")
            assert done.returncode == 0, done.stdout + done.stderr
            assert "7 of 7 answers as recorded" in done.stdout
    token = gateway.tokens[device_class]
    assert token not in file.read_text()


def test_recording_from_a_pipe_is_played_with_fresh_ids(
    gateway: GatewayProcess, state: Path
) -> None:
    text = file_of(
        said(type="connect", device="piped"),
        heard(type="connection_ack", device="piped"),
        said(type="status", data=0, id=1),
        heard(type="ack", id=1),
        OPEN,
        header={**HEADER, "device": "piped"},
    )
    replay = ["replay", "-", *at(gateway), "--speed", "max", "--fresh-ids"]
    for _ in range(2):
        done = wsdev(*replay, stdin=text)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.startswith("standard input: piped (pico)")
        assert "as fast as it goes, with fresh ids" in done.stdout
    shown = wsdev("logs", "--device", "piped", "--json", "--state", str(state)).stdout
    recorded = [json.loads(line) for line in shown.splitlines() if '"status"' in line]
    assert len({entry["id"] for entry in recorded}) == len(recorded) == 2


def test_pipe_that_gives_no_recording_is_told() -> None:
    done = wsdev("replay", "-", stdin="hello\n")
    assert done.returncode == ExitCode.RECORDING
    assert done.stderr.startswith("wsdev: standard input is no recording")
    fails(ExitCode.USAGE, "replay", "-", "--token-file", "-")


def test_answers_that_differ_are_listed_and_end_with_33(gateway: GatewayProcess) -> None:
    Path("a.wsrec").write_text(
        file_of(
            said(type="connect", device="other"),
            heard(type="connection_ack", device="other", ping_interval=5),
            said(type="status", id=1),
            heard(type="ack", id=1),
            {"t": 0, "dir": "in", "kind": "bad", "text": "["},
            OPEN,
            header={**HEADER, "device": "other"},
        )
    )
    replay = ["replay", "a.wsrec", *at(gateway), "--speed", "max"]
    done = wsdev(*replay)
    assert done.returncode == ExitCode.ANSWERS_DIFFER
    assert [line.split() for line in done.stdout.splitlines()[-4:-1]] == [
        ["line", "3", "-", "connection_ack", "ping_interval=5"],
        ["+", "connection_ack", "ping_interval=20.0"],
        ["not", "in", "it", "+", "error", 'code="bad_json"'],
    ]
    assert done.stdout.splitlines()[-1].startswith("3 of 3 sent, 1 of 2 answers as recorded")
    assert done.stderr.startswith("wsdev: 2 differences ")
    quiet = wsdev(*replay, "--quiet")
    assert quiet.returncode == ExitCode.ANSWERS_DIFFER
    assert "line 3" in quiet.stdout


def test_json_is_one_document(gateway: GatewayProcess) -> None:
    Path("a.wsrec").write_text(file_of(said(type="connect", device="kitchen"), OPEN))
    done = wsdev("replay", "a.wsrec", *at(gateway), "--speed", "100", "--json", "--name", "x")
    document = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (ExitCode.ANSWERS_DIFFER, "")
    assert document["exit_code"] == ExitCode.ANSWERS_DIFFER
    assert document["error"]["code"] == "answers_differ"
    assert (document["device"], document["recorded"]["device"]) == ("x", "kitchen")
    (difference,) = document["differences"]
    assert (difference["kind"], difference["line"], difference["recorded"]) == (
        "connection_ack",
        None,
        None,
    )
    Path("a.wsrec").write_text(file_of(OPEN))
    done = wsdev("replay", "a.wsrec", *at(gateway), "--speed", "100", "--json")
    assert json.loads(done.stdout)["ok"] is True
    assert done.returncode == 0


def test_quiet_replay_prints_nothing_if_all_is_well(gateway: GatewayProcess) -> None:
    Path("a.wsrec").write_text(file_of(OPEN))
    done = wsdev("replay", "a.wsrec", *at(gateway), "--speed", "max", "-q")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_many_differences_are_not_all_printed(gateway: GatewayProcess) -> None:
    bad = {"t": 0, "dir": "in", "kind": "bad", "text": "["}
    Path("a.wsrec").write_text(file_of(*[bad] * 60, OPEN))
    done = wsdev("replay", "a.wsrec", *at(gateway), "--speed", "max")
    assert "… and 10 more; --json has all" in done.stdout


def test_what_a_recording_lacks_is_said_before_it_is_played(gateway: GatewayProcess) -> None:
    picture = {"t": 0, "dir": "in", "kind": "picture", "size": 4000}
    cut = {"t": 0, "dir": "in", "kind": "other", "text": "{", "size": 90_000, "cut": True}
    Path("a.wsrec").write_text(file_of(picture, cut, OPEN))
    out = wsdev("replay", "a.wsrec", *at(gateway), "--speed", "max").stdout
    assert "made      1 binary message " in out
    assert "left out  1 message " in out


def test_replay_that_does_not_get_in_fails_as_a_visit_does(gateway: GatewayProcess) -> None:
    Path("a.wsrec").write_text(file_of(OPEN))
    fails(ExitCode.TOKEN, "replay", "a.wsrec", *at(gateway), "--token", "wsd_pico_x")
    done = wsdev("replay", "a.wsrec", *at(gateway), "--token", "wsd_pico_x", "--json")
    assert json.loads(done.stdout)["error"]["side"] == "the other end"
    assert done.returncode == ExitCode.TOKEN


def test_operator_sees_what_a_file_says_escaped(gateway: GatewayProcess) -> None:
    nasty = "\x1b]0;x\x07\u202e"
    header = {**HEADER, "device": nasty, "started": nasty, "wsdev": nasty}
    answer = {**heard(type="error", code=nasty), "kind": "error"}
    other = {"t": 0, "dir": "out", "kind": nasty, "json": {}}
    Path("a.wsrec").write_text(file_of(answer, other, {**OPEN, "t": 0}, header=header))
    done = wsdev("replay", "a.wsrec", *at(gateway), "--timeout", "0.2s")
    assert done.returncode == ExitCode.ANSWERS_DIFFER
    assert all(line.isprintable() for line in (done.stdout + done.stderr).splitlines())


# What is recorded


def test_last_session_is_recorded_also_while_it_goes_on(journal: MadeJournal) -> None:
    assert "ends before the session does" in record(journal, "kitchen", "-o", "a.wsrec")
    found = lines_of("a.wsrec")
    assert [line.get("kind") for line in found] == [None, "connect", "telemetry", "ack", None]
    assert found[0]["session"] == "000000000004"
    assert found[-1] == {"t": 2, "end": "open"}


def test_session_is_chosen_by_its_id_or_by_time(journal: MadeJournal) -> None:
    told = record(journal, "--session", "000000000001", "-o", "a.wsrec")
    assert "ended 1000 by the device: bye" in told
    assert "missing: 10 messages" in told
    told = record(journal, "kitchen", "--until", "2024-01-01T08:00:02Z", "-o", "b.wsrec")
    assert "left out: 1 message " in told
    assert lines_of("b.wsrec")[0]["session"] == "000000000001"


def test_recording_goes_to_standard_output(journal: MadeJournal) -> None:
    done = wsdev("record", "kitchen", "-o", "-", "--state", str(journal.folder))
    assert json.loads(done.stdout.splitlines()[0])["wsrec"] == 1
    assert done.stderr.startswith("written: kitchen (pico)")
    assert not list(Path().iterdir())


def test_what_is_missing_is_said(journal: MadeJournal) -> None:
    session = journal.connect("yard", "esp32cam")
    journal.cut(session, '{"type":"x', 90_000)
    journal.picture(session, b"\xff\xd8" + bytes(600), kept=False)
    journal.picture(session, b"\xff\xd8" + bytes(700))
    told = record(journal, "yard", "-o", "a.wsrec")
    assert "missing: the rest of 1 long message" in told
    assert "missing: the bytes of 1 binary message" in told
    assert [("base64" in line) for line in lines_of("a.wsrec")[2:4]] == [False, True]
    record(journal, "yard", "-o", "b.wsrec", "--no-pictures")
    assert "base64" not in Path("b.wsrec").read_text()


@pytest.mark.parametrize(
    ("code", "words"), [(1009, "made: a message"), (4409, "missing: why the gateway closed")]
)
def test_close_by_the_gateway_is_told(journal: MadeJournal, code: int, words: str) -> None:
    session = journal.connect("yard")
    journal.disconnect(session, code=code)
    with journal.file.writing():
        journal.file._db.execute("UPDATE sessions SET closed_by = 'here' WHERE code = ?", (code,))
    assert words in record(journal, "yard", "-o", "a.wsrec")


# Files


def test_file_is_not_replaced_unless_that_is_meant(journal: MadeJournal) -> None:
    Path("a.wsrec").write_text("mine")
    arguments = ["record", "kitchen", "-o", "a.wsrec", "--state", str(journal.folder)]
    lines = fails(ExitCode.USAGE, *arguments)
    assert "--force" in lines[1]
    assert Path("a.wsrec").read_text() == "mine"
    assert wsdev(*arguments, "--force").returncode == 0
    assert lines_of("a.wsrec")
    assert [path.name for path in Path().iterdir()] == ["a.wsrec"]


@pytest.mark.parametrize(
    "name", ["nowhere/a.wsrec", "state/a.wsrec", "x" * 300], ids=["no-folder", "state", "too-long"]
)
def test_file_that_cannot_be_there_is_told(journal: MadeJournal, name: str) -> None:
    Path("state").symlink_to(journal.folder)
    fails(ExitCode.USAGE, "record", "kitchen", "-o", name, "--state", str(journal.folder))


@pytest.mark.parametrize("name", ["\u202e..", "--", "/etc/x"])
def test_name_of_a_file_is_clean_whatever_the_device_is_called(
    journal: MadeJournal, name: str
) -> None:
    journal.connect(name)
    done = wsdev("record", "--state", str(journal.folder), "--", name)
    assert done.returncode == 0, done.stderr
    (file,) = Path().iterdir()
    assert file.name.removesuffix(".wsrec").replace("-", "").replace(".", "").isalnum()


@pytest.mark.parametrize("text", ["", "hello", file_of(), file_of({"t": 0}, OPEN)])
def test_file_that_is_no_recording_is_told(text: str) -> None:
    Path("a.wsrec").write_text(text)
    (line, hint) = fails(ExitCode.RECORDING, "replay", "a.wsrec")
    assert "a.wsrec" in line
    assert hint


def test_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    fails(ExitCode.RECORDING, "replay", "nowhere.wsrec")
    fails(ExitCode.RECORDING, "replay", str(tmp_path))
    os.mkfifo("pipe")
    handle = os.open("pipe", os.O_RDWR)
    try:
        fails(ExitCode.RECORDING, "replay", "pipe")
    finally:
        os.close(handle)


# What cannot be meant


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], ExitCode.USAGE, "whose session"),
        (["kitchen", "--live", "--since", "1h"], ExitCode.USAGE, "--live"),
        (["kitchn"], ExitCode.JOURNAL, "no device kitchn"),
        (["--session", "5e55"], ExitCode.JOURNAL, "no session 5e55"),
        (["garden", "--session", "000000000001"], ExitCode.JOURNAL, "no device garden"),
        (["kitchen", "--until", "2020-01-01"], ExitCode.JOURNAL, "no session in that time"),
    ],
)
def test_session_that_cannot_be_found_is_told(
    journal: MadeJournal, arguments: list[str], code: ExitCode, words: str
) -> None:
    lines = fails(code, "record", *arguments, "--state", str(journal.folder))
    assert words in lines[0]
    assert len(lines) == 2
    assert not list(Path().iterdir())


def test_folder_without_a_journal_is_told(tmp_path: Path) -> None:
    fails(ExitCode.JOURNAL, "record", "kitchen", "--state", str(tmp_path / "work"))


@pytest.mark.parametrize("speed", ["0", "-1", "fast", "nan", "inf", ""])
def test_speed_that_cannot_be_meant_is_told(speed: str) -> None:
    fails(ExitCode.USAGE, "replay", "a.wsrec", "--speed", speed)


def test_name_that_cannot_be_used_is_told() -> None:
    Path("a.wsrec").write_text(file_of(OPEN))
    fails(ExitCode.USAGE, "replay", "a.wsrec", "--name", "///")
    assert "never says" in fails(ExitCode.USAGE, "replay", "a.wsrec", "--name", "x")[0]


# Live


def test_live_recording_waits_for_the_device_and_ends_with_it(
    gateway: GatewayProcess, state: Path
) -> None:
    arguments = ["record", "later", "--live", "-o", "a.wsrec", "--state", str(state)]
    with Running(arguments) as running:
        until_told(running, "waiting for later")
        assert wsdev("connect", "--name", "later", *at(gateway)).returncode == 0
        code, _, err = running.end()
    assert (code, "ended 1000 by the device" in err) == (0, True)
    found = lines_of("a.wsrec")
    assert sum(line.get("kind") == "telemetry" for line in found) == 6
    assert found[-1]["end"] == "device"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_live_recording_that_is_stopped_is_whole(
    gateway: GatewayProcess, state: Path, number: signal.Signals
) -> None:
    name = f"stay-{number}"
    stay = ["connect", "--stay", "--json", "--name", name, *at(gateway)]
    arguments = ["record", name, "-f", "-o", "a.wsrec", "--state", str(state)]
    with Running(stay) as device:
        device.until("ack")
        with Running(arguments) as running:
            until_told(running, f"{name} is here since")
            running.process.send_signal(number)
            code, _, err = running.end()
        device.interrupt()
    assert (code, "ends before the session does" in err) == (0, True)
    found = lines_of("a.wsrec")
    assert found[1]["kind"] == "connect"
    assert found[-1]["end"] == "open"
    assert wsdev("replay", "a.wsrec", *at(gateway), "--speed", "max").returncode == 0


def test_live_recording_of_nobody_leaves_no_file(journal: MadeJournal) -> None:
    with Running(["record", "nobody", "--live", "--state", str(journal.folder)]) as running:
        until_told(running, "waiting for nobody")
        assert running.interrupt()[0] == ExitCode.INTERRUPTED
    assert not list(Path().iterdir())


def until_told(running: Running, words: str) -> None:
    """Until standard error says it."""
    assert running.process.stderr is not None
    assert any(words in line for line in running.process.stderr), "it has ended"
