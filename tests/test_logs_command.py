"""``wsdev logs`` and ``wsdev journal`` as their users have them."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import pty
import re
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time
from pathlib import Path
from typing import Any

import pytest
from command_line import Done, Running, environment, fails, wsdev
from made_journal import START, MadeJournal, made_journal
from rich.cells import cell_len

from wsdev.codes import REFUSALS
from wsdev.commands.journal_export import FORMATS
from wsdev.errors import ExitCode
from wsdev.journal_entries import FIELDS
from wsdev.journal_filters import make_wanted
from wsdev.records import Refusal
from wsdev.refusal_groups import MOST_GROUPS
from wsdev.state_lock import LOCK_NAME, hold_state_folder

NASTY = 'a\x1b]0;x\x07 \x9b31m \u202egnp\nline two "quoted", comma 日本'
TIMES = "\N{MULTIPLICATION SIGN}"
STYLES = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[MadeJournal]:
    """A session, a refusal, a message each way, a picture, an end: numbers 1 to 9."""
    folder = tmp_path / "state"
    folder.mkdir()
    with made_journal(folder) as made:
        made.start()  # 1
        session = made.connect("kitchen", user_agent="MicroPython", token="t-3f9a2c")  # 2
        made.message(session, "telemetry", '{"type":"telemetry","data":{"t":21.5}}', "m-1")  # 3
        made.message(session, "command", '{"type":"command","name":"blink"}')  # 4
        made.refuse(token_tail="abcd", user_agent="curl/8")  # 5
        camera = made.connect("yard-cam", "esp32cam", "2001:db8::9")  # 6
        made.picture(camera, b"x" * 15_300)  # 7
        made.disconnect(session, 4)  # 8
        made.stop()  # 9
        yield made


def logs(journal: MadeJournal, *arguments: str, **options: dict[str, str]) -> Done:
    done = wsdev("logs", "--state", str(journal.folder), *arguments, **options)  # type: ignore[arg-type]
    assert done.returncode == 0, done.stderr
    return done


def on_screen(journal: MadeJournal, *arguments: str, columns: int = 80) -> str:
    """What a terminal of so many columns shows, without its styles."""
    arguments = ("logs", "--state", str(journal.folder), *arguments)
    return STYLES.sub("", in_a_terminal(*arguments, env={"COLUMNS": str(columns)}))


def in_a_terminal(*arguments: str, env: Mapping[str, str] = {}) -> str:
    """The output of a command whose standard output is a terminal."""
    main, child = pty.openpty()
    steering = {"TERM": "xterm-256color", "NO_COLOR": "", **env}
    command = [sys.executable, "-m", "wsdev", *arguments]
    with subprocess.Popen(
        command, stdout=child, stderr=child, env=environment(steering)
    ) as process:
        os.close(child)
        output = b""
        with contextlib.suppress(OSError):  # EIO: the other end is closed
            while chunk := os.read(main, 65536):
                output += chunk
        os.close(main)
    assert process.returncode == 0
    return output.decode().replace("\r\n", "\n")


def sequences(journal: MadeJournal, *arguments: str) -> list[int]:
    out = logs(journal, "--json", *arguments).stdout
    return [json.loads(line)["sequence"] for line in out.splitlines()]


# Lines


def test_each_entry_is_a_line_the_oldest_first(journal: MadeJournal) -> None:
    lines = logs(journal).stdout.splitlines()
    assert len(lines) == 9
    shown = [re.split(r"  +", line) for line in lines]
    assert [columns[1] for columns in shown] == [
        "gateway", "kitchen", "kitchen", "kitchen", "198.51.100.9", "yard-cam", "yard-cam",
        "kitchen", "gateway",
    ]  # fmt: skip
    assert [columns[2] for columns in shown] == [
        "started", "connected", "→ telemetry", "← command", "refused", "connected", "→ picture",
        "disconnected", "stopped",
    ]  # fmt: skip


def test_line_in_a_pipe_is_whole_and_its_time_says_its_zone(journal: MadeJournal) -> None:
    body = '{"type":"other","note":"' + "x" * 2000 + '"}'
    journal.message(2, "other", body)
    line = logs(journal, "-n", "1").stdout
    assert line.rstrip("\n").endswith(body)
    when = datetime.fromisoformat(line.split()[0])
    assert when.utcoffset() is not None
    assert when == datetime(2024, 1, 1, 8, 0, 9, tzinfo=UTC)


def test_details_are_in_human_units(journal: MadeJournal) -> None:
    lines = logs(journal).stdout.splitlines()
    for text in ("192.0.2.7", "pico", "token t-3f9a2c", "session 000000000002", "MicroPython"):
        assert text in lines[1]
    for text in ("401 token_mistyped", "/ws/pico", "token …abcd", "request r00000000005", "curl/8"):
        assert text in lines[4]
    for text in ("15.3 kB", "sha256 ", str(journal.folder / "pictures" / "000000000007.jpg")):
        assert text in lines[6]
    for text in ("1000 by the device: bye", "after 1 min 2 s", "in 12 (3.5 kB)", "rtt 12.3 ms"):
        assert text in lines[7]


def test_session_lost_with_the_server_says_so(journal: MadeJournal) -> None:
    with journal.file.writing():
        journal.file.lose_open(journal.last + 1)
    (line,) = logs(journal, "--grep", "lost with the server").stdout.splitlines()
    assert "yard-cam" in line
    assert "lost with the server" in line


def test_run_that_was_killed_says_so(tmp_path: Path) -> None:
    with made_journal(tmp_path) as journal:
        journal.start()
        with journal.file.writing():
            journal.file.lose_open(2)
        assert "killed or without power" in logs(journal).stdout.splitlines()[-1]


def test_link_that_broke_says_why_in_one_word(journal: MadeJournal) -> None:
    journal.disconnect(journal.connect("garden"), code=4408)
    assert "4408 no_sign_of_life by the device: bye" in logs(journal, "-n", "1").stdout
    journal.broke("head_cut")
    (line,) = logs(journal, "-n", "1").stdout.splitlines()
    assert re.split(r"  +", line)[1:3] == ["198.51.100.9", "broken"]
    assert "head_cut  request r" in line


def test_cut_body_says_how_long_it_was(journal: MadeJournal) -> None:
    journal.cut(2, '{"type":"x', 70_000)
    assert logs(journal, "-n", "1").stdout.rstrip().endswith('{"type":"x … cut, 70.0 kB in all')


@pytest.mark.parametrize("columns", [0, 80, 400])
@pytest.mark.parametrize("option", [[], ["--full"], ["--relative"], ["--json"]], ids=str)
def test_nothing_of_a_peer_reaches_the_terminal_unescaped(
    journal: MadeJournal, columns: int, option: list[str]
) -> None:
    session = journal.connect(NASTY[:40], address="192.0.2.1", user_agent=NASTY, via=NASTY[:9])
    journal.message(session, "log", NASTY, NASTY)
    journal.refuse(path=f"/ws/{NASTY}", user_agent=NASTY)
    arguments = ["-n", "3", *option]
    if columns:
        out = on_screen(journal, *arguments, columns=columns)
    else:
        out = logs(journal, *arguments).stdout
    assert all(character.isprintable() or character == "\n" for character in out)
    assert out.count("\n") == 3


# Terminals


def test_terminal_cuts_each_line_to_its_width(journal: MadeJournal) -> None:
    journal.message(2, "other", "日本" * 200)
    for columns in (40, 80, 200):
        lines = on_screen(journal, columns=columns).splitlines()
        assert len(lines) == 10
        assert max(map(cell_len, lines)) <= columns
        assert lines[-1].endswith("…")


def test_terminal_shows_whole_bodies_if_told(journal: MadeJournal) -> None:
    body = "word " * 100 + "end"
    journal.message(2, "other", body)
    assert on_screen(journal, "-n", "1", "--full").endswith(f"{body}\n")


def test_terminal_does_not_say_the_type_twice_unless_all_is_wanted(journal: MadeJournal) -> None:
    assert '→ telemetry       {"data"' in on_screen(journal)
    assert '→ telemetry       {"type"' in on_screen(journal, "--full")


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ('{"type": "log", "note": "a b"}', '{"note": "a b"}'),
        ('{"type" : "log",  "note": 1}', '{"note": 1}'),
        ('{"type": "logs", "note": 1}', '{"type": "logs", "note": 1}'),
        ('{"type": "log"}', '{"type": "log"}'),
        ('{"note": 1, "type": "log"}', '{"note": 1, "type": "log"}'),
    ],
)
def test_type_is_left_out_however_the_body_is_spaced(
    journal: MadeJournal, body: str, shown: str
) -> None:
    journal.message(2, "log", body)
    assert on_screen(journal, "-n", "1").endswith(f"→ log             {shown}\n")
    assert logs(journal, "-n", "1").stdout.endswith(f"→ log             {body}\n")


def test_refusal_is_explained_in_the_words_that_were_shown(journal: MadeJournal) -> None:
    known = REFUSALS["token_mistyped"]
    for option in ([], ["--full"]):
        shown = on_screen(journal, "--request-id", "r00000000005", *option, columns=50)
        assert shown.splitlines()[-2:] == [f"  {known.message}", f"  try: {known.hint}"]
    assert known.hint not in on_screen(journal)
    assert len(logs(journal, "--request-id", "r00000000005").stdout.splitlines()) == 1
    journal.refuse("of_a_later_version")
    assert on_screen(journal, "--request-id", "r0000000000a").count("\n") == 1


def test_age_is_shown_where_there_is_room(journal: MadeJournal) -> None:
    journal.now = int((datetime.now(UTC) - timedelta(hours=3, minutes=5)).timestamp() * 1000)
    journal.refuse()
    assert "ago" not in on_screen(journal, "-n", "1")
    assert "  3 h ago  " in on_screen(journal, "-n", "1", columns=160)
    assert on_screen(journal, "-n", "1", "-r").startswith("3 h ago  ")
    assert logs(journal, "-n", "1", "-r").stdout.startswith("3 h ago  ")


def test_real_terminal_gets_colours_by_kind(journal: MadeJournal) -> None:
    out = in_a_terminal("logs", "--state", str(journal.folder))
    assert "\x1b[32mconnected" in out
    assert "\x1b[33mdisconnected" in out
    assert "\x1b[31mrefused" in out
    assert "\x1b[36m→ telemetry" in out
    assert "\x1b[35m← command" in out


def test_no_color_leaves_no_style_at_all(journal: MadeJournal) -> None:
    state = ["--state", str(journal.folder)]
    for command in (["logs"], ["journal", "stats"]):
        for force in ("", "1"):
            env = {"NO_COLOR": "1", "FORCE_COLOR": force}
            assert "\x1b" not in in_a_terminal(*command, *state, env=env)
            assert "\x1b" in in_a_terminal(*command, *state)


def test_colours_in_a_pipe_cut_nothing(journal: MadeJournal) -> None:
    journal.message(2, "other", "x" * 2000)
    env = {"FORCE_COLOR": "1", "NO_COLOR": "", "TERM": "xterm-256color"}
    coloured = logs(journal, env=env).stdout
    assert "\x1b[32mconnected" in coloured
    plain = logs(journal).stdout
    assert [line.rstrip() for line in STYLES.sub("", coloured).splitlines()] == plain.splitlines()


# Which


def test_last_fifty_are_shown_unless_told_otherwise(journal: MadeJournal) -> None:
    journal.messages(2, 200)
    assert sequences(journal) == list(range(160, 210))
    assert sequences(journal, "-n", "3") == [207, 208, 209]
    assert sequences(journal, "-n", "0") == []
    assert len(sequences(journal, "-n", "all")) == 209
    assert len(sequences(journal, "--since", "2023-12-31")) == 209
    assert len(sequences(journal, "--since", "2023-12-31", "-n", "7")) == 7


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--device", "kitchen"], [2, 3, 4, 8]),
        (["--device", "kitchen", "--device", "yard-cam"], [2, 3, 4, 6, 7, 8]),
        (["--class", "esp32cam"], [6, 7]),
        (["--class", "esp32cam", "--class", "pico"], [2, 3, 4, 5, 6, 7, 8]),
        (["--address", "2001:db8::/32", "--address", "198.51.100.9"], [5, 6, 7]),
        (["--class", "pico"], [2, 3, 4, 5, 8]),
        (["--address", "192.0.2.7"], [2, 3, 4, 8]),
        (["--address", "[2001:db8::9]"], [6, 7]),
        (["--address", "198.51.100.77/24"], [5]),
        (["--address", "::ffff:192.0.2.7"], [2, 3, 4, 8]),
        (["--address", "::ffff:198.51.100.0/120"], [5]),
        (["--address", "::/0"], [6, 7]),
        (["--kind", "refusal", "--kind", "gateway"], [1, 5, 9]),
        (["--kind", "refusal, gateway"], [1, 5, 9]),
        (["--kind", "refusal,session", "--kind", "gateway"], [1, 2, 5, 6, 8, 9]),
        (["--grep", "BLINK", "-i"], [4]),
        (["--grep", "BLINK"], []),
        (["--grep", r'"t":2\d\.5'], [3]),
        (["--since", "2024-01-01T08:00:06Z"], [7, 8, 9]),
        (["--until", "2024-01-01T09:00:02+01:00"], [1, 2]),
        (["--request-id", "r00000000005"], [5]),
        (["--request-id", " 000000000002 "], [2, 8]),
        (["--session", " 000000000002 "], [2, 3, 4, 8]),
        (["--session", "000000000002", "--kind", "message"], [3, 4]),
    ],
    ids=str,
)
def test_options_choose(journal: MadeJournal, arguments: list[str], expected: list[int]) -> None:
    assert sequences(journal, *arguments) == expected


def test_commands_are_shown_with_their_states_and_can_be_chosen(journal: MadeJournal) -> None:
    journal.command("c-1", queue_until=START, by="o\x1b]0;x\x07")  # 10
    journal.command("c-1", "sent", session="000000000002")  # 11
    journal.command("c-1", "failed", detail='{"jam":"\\u009b31m"}')  # 12
    journal.command("c-2", device="hall")  # 13
    assert sequences(journal, "--kind", "command") == [10, 11, 12, 13]
    assert sequences(journal, "--kind", "command", "--device", "hall") == [13]
    assert sequences(journal, "--grep", "^failed$") == [12]
    assert sequences(journal, "--session", "000000000002", "--kind", "command") == [11]
    assert 10 not in sequences(journal, "--class", "pico")
    shown = [
        re.split(r"  +", line) for line in logs(journal, "--kind", "command").stdout.split("\n")
    ]
    assert [line[1:4] for line in shown[:4]] == [
        ["kitchen", "queued", "servo c-1"],
        ["kitchen", "sent", "servo c-1"],
        ["kitchen", "failed", "servo c-1"],
        ["hall", "queued", "servo c-2"],
    ]
    assert "\x1b" not in logs(journal).stdout
    assert shown[0][4] == '{"type":"servo"}'


def test_time_ago_is_counted_from_now(journal: MadeJournal) -> None:
    journal.now = int(datetime.now(UTC).timestamp() * 1000) - 30 * 60_000
    journal.refuse()
    recent = sequences(journal, "--since", "1h", "--until", "1m")
    assert recent == [10]
    assert 10 not in sequences(journal, "--until", "1h", "-n", "all")


def test_time_without_a_zone_is_local(journal: MadeJournal) -> None:
    local = datetime.fromtimestamp(START / 1000).astimezone()
    text = (local + timedelta(seconds=7)).strftime("%Y-%m-%dT%H:%M:%S")
    assert sequences(journal, "--since", text) == [8, 9]


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/St_Johns"])
def test_times_of_today_and_whole_days_are_local(
    journal: MadeJournal, zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    monkeypatch.undo()
    try:
        now = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
        today = now.astimezone().date()
        for text, day, clock in [
            ("08:48", today, "08:48"),
            ("08:48:30", today, "08:48:30"),
            (" today ", today, "00:00"),
            ("yesterday", today - timedelta(days=1), "00:00"),
            ("2026-02-01", date(2026, 2, 1), "00:00"),
        ]:
            expected = datetime.combine(day, clock_time.fromisoformat(clock)).timestamp() * 1000
            assert since(text, now) == expected
        assert (
            since("08:48+02:00", now)
            == datetime(today.year, today.month, today.day, 6, 48, tzinfo=UTC).timestamp() * 1000
        )
    finally:
        time.tzset()


def since(text: str, now: datetime) -> int | None:
    nothing: dict[str, Any] = dict.fromkeys(
        ("device", "device_class", "address", "kind", "until", "grep", "session", "request_id")
    )
    return make_wanted(since=text, ignore_case=False, now=now, **nothing).since


def test_whole_days_choose(journal: MadeJournal) -> None:
    journal.now = int(datetime.now(UTC).timestamp() * 1000)
    journal.refuse()
    assert sequences(journal, "--since", "yesterday") == [10]
    assert sequences(journal, "--until", "yesterday", "-n", "1") == [9]


def test_json_has_the_documented_fields_and_the_exact_body(journal: MadeJournal) -> None:
    journal.message(2, "log", NASTY, 7)
    entry = json.loads(logs(journal, "--json", "-n", "1").stdout)
    assert entry == {
        "sequence": 10, "time": "2024-01-01T08:00:09.000Z", "kind": "message", "event": "log",
        "direction": "in", "session": "000000000002", "device": "kitchen", "class": "pico",
        "address": "192.0.2.7", "id": 7, "body": NASTY, "size": len(NASTY.encode()), "cut": False,
        "sha256": None, "picture": None,
    }  # fmt: skip


def test_all_of_a_session_is_shown_however_long(journal: MadeJournal) -> None:
    journal.messages(6, 200)
    assert len(sequences(journal, "--session", "000000000006")) == 202


@pytest.mark.parametrize("option", ["--request-id", "--session"])
def test_unknown_id_is_told(journal: MadeJournal, option: str) -> None:
    state = ["--state", str(journal.folder)]
    for command in (["logs"], ["journal", "export"]):
        lines = fails(ExitCode.JOURNAL, *command, option, "nope\x1b", *state)
        assert "nope\\x1b" in lines[0]


def test_export_of_an_unknown_id_leaves_no_file(journal: MadeJournal, tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    arguments = ["--request-id", "nope", "-o", str(path), "--state", str(journal.folder)]
    fails(ExitCode.JOURNAL, "journal", "export", *arguments)
    assert not path.exists()


def test_device_that_never_was_is_told_with_names_like_it(journal: MadeJournal) -> None:
    for number in range(9):
        journal.connect(f"dev-{number}")
    state = ["--state", str(journal.folder)]
    for command in (["logs"], ["journal", "export"]):
        nobody = wsdev(*command, "--device", "kitchn\x1b", "--device", "yard-cam", *state)
        assert nobody.returncode == 0
        assert nobody.stderr == (
            "wsdev: the journal has no device kitchn\\x1b\n  try: kitchen, …\n"
        )
        assert len(nobody.stdout.splitlines()) == 2
        strange = wsdev(*command, "--device", "???", *state)
        assert strange.stderr.endswith("  try: dev-0, dev-1, dev-2, dev-3, dev-4, …\n")
        assert (strange.returncode, strange.stdout) == (0, "")
    known = wsdev("logs", "--device", "kitchen", "--kind", "refusal", *state)
    assert (known.returncode, known.stderr) == (0, "")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--grep", "["],
        ["--grep", "\x1b["],
        ["-i"],
        ["--since", "soon"],
        ["--since", "25:00"],
        ["--since", "tomorrow"],
        ["--since", "99999999d"],
        ["--until", "2026-13-01"],
        ["--since", "1h", "--until", "2h"],
        ["--address", "kitchen"],
        ["--address", "192.0.2.0/40"],
        ["--kind", "messages"],
        ["--kind", "message,"],
        ["--class", "No Class"],
        ["-n", "-5"],
        ["-n", "some"],
        ["-n", "9" * 5000],
        ["--follow", "--until", "1h"],
        ["--refusals", "--follow"],
        ["--refusals", "--full"],
        ["--refusals", "--session", "5e55"],
        ["--refusals", "--request-id", "r00000000005"],
        ["--refusals", "--kind", "message"],
        ["--refusals", "--kind", "refusal,gateway"],
        ["--refusals", "--sort", "address"],
        ["--refusals", "-n", "some"],
        ["--sort", "last"],
    ],
    ids=repr,
)
def test_option_that_cannot_be_meant_is_one_line_and_exits_2(
    journal: MadeJournal, arguments: list[str]
) -> None:
    lines = fails(ExitCode.USAGE, "logs", *arguments, "--state", str(journal.folder))
    assert lines[1].startswith("  try: ")
    assert all(line.isprintable() for line in lines)


COMMANDS = [
    ["logs"],
    ["logs", "--follow"],
    ["logs", "--refusals"],
    ["journal", "stats"],
    ["journal", "export"],
    ["journal", "vacuum"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_missing_journal_is_an_error_and_not_a_wait(command: list[str], tmp_path: Path) -> None:
    lines = fails(ExitCode.JOURNAL, *command, "--state", str(tmp_path / "nowhere"))
    assert "there is no journal" in lines[0]
    assert "--state" in lines[1]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("version", [0, 99])
def test_journal_of_another_version_is_told(
    command: list[str], version: int, journal: MadeJournal
) -> None:
    db = sqlite3.connect(journal.file.path)
    db.execute(f"PRAGMA user_version = {version}")
    db.close()
    lines = fails(ExitCode.JOURNAL, *command, "--state", str(journal.folder))
    assert ("newer" if version else "older") in lines[0]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_file_that_is_no_journal_is_told_and_kept(command: list[str], tmp_path: Path) -> None:
    file = tmp_path / "journal.db"
    file.write_bytes(b"something else " * 1000)
    lines = fails(ExitCode.JOURNAL, *command, "--state", str(tmp_path))
    assert "damaged or not a journal" in lines[0]
    assert file.read_bytes() == b"something else " * 1000


# Refusals by address and cause


@pytest.fixture
def refused(tmp_path: Path) -> Iterator[MadeJournal]:
    """Three without a token, two whose links were cut, one that hung up; and who was let in."""
    with made_journal(tmp_path) as made:
        made.start()
        made.refuse("token_missing", "10.0.0.7", user_agent="TinyWebsockets Client")
        session = made.connect("kitchen", user_agent="uP")
        made.message(session)
        made.refuse("token_missing", "10.0.0.7", user_agent="TinyWebsockets Client")
        made.disconnect(session, code=1006)
        made.refuse("token_missing", "10.0.0.7")
        made.disconnect(made.connect("garden"), code=4408)
        made.disconnect(made.connect("garden"), code=1006)
        made.disconnect(made.connect("cellar"))
        made.broke("head_cut", "10.0.0.8")
        yield made


def groups(journal: MadeJournal, *arguments: str) -> list[tuple[str, str, int]]:
    document = json.loads(logs(journal, "--refusals", "--json", *arguments).stdout)
    return [(group["address"], group["code"], group["count"]) for group in document["groups"]]


MISSING = ("10.0.0.7", "token_missing", 3)
CUT = ("192.0.2.7", "cut", 2)
SILENT = ("192.0.2.7", "no_sign_of_life", 1)
HUNG_UP = ("10.0.0.8", "head_cut", 1)


def test_refusals_are_counted_by_address_and_cause_with_the_fix(refused: MadeJournal) -> None:
    lines = logs(refused, "--refusals").stdout.splitlines()
    times = [
        datetime.fromisoformat(f"2024-01-01T08:00:0{second}+00:00").astimezone()
        for second in (1, 6)
    ]
    shown = " to ".join(when.isoformat(timespec="milliseconds") for when in times)
    fix = (
        'The firmware sends no Authorization header: call client.addHeader("Authorization", "Bearer'
        ' <token>") before connect(), or connect to /ws/pico?token=<token>.'
    )
    assert lines[:6] == [
        f"3 {TIMES} token_missing from 10.0.0.7  {shown}",
        "  asked for /ws/pico",
        "  user agent TinyWebsockets Client (2 of 3; 1 other)",
        "  No token was sent.",
        f"  try: {fix}",
        "  see: docs/external-connections.md#token",
    ]
    assert lines[6].startswith(f"2 {TIMES} cut from 192.0.2.7  ")
    assert lines[7:9] == ["  device kitchen (1 of 2; 1 other), lasted 1 min 2 s",
                          "  user agent uP (1 of 2; 1 other)"]  # fmt: skip
    assert len([line for line in lines if not line.startswith(" ")]) == 4


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], [MISSING, CUT, HUNG_UP, SILENT]),
        (["--sort", "count"], [MISSING, CUT, HUNG_UP, SILENT]),
        (["--sort", "last"], [HUNG_UP, CUT, SILENT, MISSING]),
        (["-n", "1"], [MISSING]),
        (["-n", "0"], []),
        (["-n", "all"], [MISSING, CUT, HUNG_UP, SILENT]),
        (["--kind", "refusal"], [MISSING, HUNG_UP]),
        (["--kind", "session"], [CUT, SILENT]),
        (["--address", "10.0.0.0/24"], [MISSING, HUNG_UP]),
        (["--device", "kitchen"], [("192.0.2.7", "cut", 1)]),
        (["--class", "pico"], [MISSING, CUT, SILENT]),
        (["--class", "esp32cam"], []),
        (["--since", "2024-01-01T08:00:06Z"],
         [HUNG_UP, ("192.0.2.7", "cut", 1), SILENT, ("10.0.0.7", "token_missing", 1)]),
        (["--until", "2024-01-01T08:00:02Z"], [("10.0.0.7", "token_missing", 1)]),
        (["--grep", "^no_sign_of_life$"], [SILENT]),
        (["--grep", "TINY", "-i"], [("10.0.0.7", "token_missing", 2)]),
    ],
    ids=repr,
)  # fmt: skip
def test_options_choose_among_refusals(
    refused: MadeJournal, arguments: list[str], expected: list[tuple[str, str, int]]
) -> None:
    assert groups(refused, *arguments) == expected


def test_refusals_as_json_are_one_document(refused: MadeJournal) -> None:
    document = json.loads(logs(refused, "--refusals", "--json", "-n", "2").stdout)
    assert [document[name] for name in ("count", "groups_left_out", "count_left_out")] == [7, 2, 2]
    assert document["count_forgotten"] == 0
    nothing = {"values": [], "others": 0}
    assert document["groups"][1] == {
        "address": "192.0.2.7", "code": "cut", "layer": "keepalive", "count": 2,
        "first": "2024-01-01T08:00:05.000Z", "last": "2024-01-01T08:00:10.000Z",
        "message": "The connection was cut without a close frame.",
        "fix": "Look at Wi-Fi, power, and the idle timeout of a proxy on the way.",
        "guide": "docs/external-connections.md#keepalive",
        "user_agents": {"values": [{"value": "uP", "count": 1}, {"value": None, "count": 1}],
                        "others": 0},
        "paths": nothing,
        "devices": {"values": [{"value": "kitchen", "count": 1}, {"value": "garden", "count": 1}],
                    "others": 0},
        "classes": {"values": [{"value": "pico", "count": 2}], "others": 0},
        "vias": nothing, "token_tails": nothing, "shortest": 62.4, "longest": 62.4,
    }  # fmt: skip


def test_docs_list_every_field_of_a_group(refused: MadeJournal) -> None:
    page = (Path(__file__).parents[1] / "docs" / "logs.md").read_text(encoding="utf-8")
    section = page.partition("## Refusals by address and cause")[2]
    document = json.loads(logs(refused, "--refusals", "--json").stdout)
    for name in (*document, *document["groups"][0]):
        assert f"`{name}`" in section, name


def test_what_is_not_shown_of_the_refusals_is_told(refused: MadeJournal) -> None:
    lines = logs(refused, "--refusals", "-n", "2").stdout.splitlines()
    assert lines[-1] == "2 more in 2 groups: show all with -n all"


def test_what_came_seldom_is_told_to_be_missing(tmp_path: Path) -> None:
    with made_journal(tmp_path) as journal:
        with journal.file.writing():
            for number in range(1, MOST_GROUPS + 2):
                refusal = Refusal(f"r{number}", f"2001:db8::{number:x}", "not_found", 404)
                journal.file.add_refusal(number, START, refusal)
        document = json.loads(logs(journal, "--refusals", "--json").stdout)
        assert document["count"] == MOST_GROUPS + 1
        assert document["count_forgotten"] == MOST_GROUPS // 2
        last = logs(journal, "--refusals").stdout.splitlines()[-1]
    assert last.startswith("2,500 more of addresses that came seldom are not told apart")


@pytest.mark.parametrize("option", [[], ["--json"], ["-r"]], ids=str)
def test_nothing_of_a_refused_peer_reaches_the_terminal_unescaped(
    refused: MadeJournal, option: list[str]
) -> None:
    refused.refuse("not_found", path=f"/ws{NASTY}", user_agent=NASTY, token_tail=NASTY, via=NASTY)
    refused.disconnect(refused.connect(NASTY, NASTY, NASTY, user_agent=NASTY), code=1002)
    for out in (
        logs(refused, "--refusals", *option).stdout,
        on_screen(refused, "--refusals", *option),
    ):
        assert all(character.isprintable() or character == "\n" for character in out)


def test_times_of_refusals_in_a_terminal_are_short_or_ages(refused: MadeJournal) -> None:
    assert f"3 {TIMES} token_missing from 10.0.0.7  2024-01-01 " in on_screen(refused, "--refusals")
    assert " d ago\n" in on_screen(refused, "--refusals", "-r")


def test_journal_without_refusals_shows_none(tmp_path: Path) -> None:
    with made_journal(tmp_path) as journal:
        journal.disconnect(journal.connect())
        assert logs(journal, "--refusals").stdout == ""
        assert json.loads(logs(journal, "--refusals", "--json").stdout)["groups"] == []
        assert "nothing that fits" in on_screen(journal, "--refusals")


# Streams


def test_following_shows_what_comes_and_ctrl_c_ends_it_quietly(journal: MadeJournal) -> None:
    arguments = ["logs", "-f", "-n", "1", "--json", "--state", str(journal.folder)]
    with Running(arguments) as running:
        assert json.loads(running.until("stopped"))["sequence"] == 9
        journal.message(2, "log", "news")
        assert json.loads(running.until("news"))["sequence"] == 10
        code, out, err = running.interrupt()
    assert (code, err) == (ExitCode.INTERRUPTED, "")
    assert len(out.splitlines()) in {0, 2}


@pytest.mark.parametrize("option", [["-n", "all"], ["-n", "all", "--json"], ["--follow"]], ids=str)
def test_reader_that_leaves_ends_the_command_quietly(
    journal: MadeJournal, option: list[str]
) -> None:
    journal.messages(2, 20_000)
    command = [sys.executable, "-m", "wsdev", "logs", *option, "--state", str(journal.folder)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_output_in_another_encoding_does_not_break(journal: MadeJournal) -> None:
    journal.message(2, "log", "日本")
    command = [sys.executable, "-m", "wsdev", "logs", "--state", str(journal.folder)]
    env = environment({"PYTHONIOENCODING": "latin-1"})
    lines = subprocess.run(command, env=env, capture_output=True, check=True).stdout
    assert b"\\u65e5" in lines
    json_lines = subprocess.run([*command, "--json"], env=env, capture_output=True, check=True)
    assert json.loads(json_lines.stdout.splitlines()[-1])["body"] == "日本"
    command[3:4] = ["journal", "export"]
    exported = subprocess.run(command, env=env, capture_output=True, check=True).stdout
    assert exported == json_lines.stdout


# journal stats


def test_stats_are_readable(journal: MadeJournal) -> None:
    out = wsdev("journal", "stats", "--state", str(journal.folder)).stdout
    for text in (
        "journal.db",
        "messages  3",
        "sessions  2, 1 open",
        "12 (3.5 kB)",
        "token_mistyped",
    ):
        assert text in out
    day = datetime.fromtimestamp(START / 1000).astimezone().strftime("%Y-%m-%d")
    assert f"wsdev 0.1.0 started {day}" in out
    assert f"stopped {day}" in out
    assert max(map(len, out.splitlines()[1:])) <= 80


def test_stats_tell_how_the_last_run_ended(tmp_path: Path) -> None:
    def last_run() -> tuple[str, bool | None, int | None]:
        text = wsdev("journal", "stats", "--state", str(tmp_path)).stdout
        found = json.loads(wsdev("journal", "stats", "--json", "--state", str(tmp_path)).stdout)
        return text, found["last_run"]["running"], found["last_run"]["process"]

    with made_journal(tmp_path) as journal:
        journal.start()
        with hold_state_folder(tmp_path):
            text, *found = last_run()
        assert f"it runs as process {os.getpid()}" in text
        assert found == [True, os.getpid()]
        text, *found = last_run()
        assert "it was killed, or this is a copy" in text
        assert found == [False, None]
        (tmp_path / LOCK_NAME).unlink()
        (tmp_path / LOCK_NAME).symlink_to("elsewhere")
        text, *found = last_run()
        assert "it runs, or was killed" in text
        assert found == [None, None]
        with journal.file.writing():
            journal.file.lose_open(2)
        assert "killed or without power; last sign of life 20" in last_run()[0]


def test_stats_say_which_sessions_are_in_the_sums(journal: MadeJournal) -> None:
    state = ["--state", str(journal.folder)]
    some = wsdev("journal", "stats", *state).stdout
    assert "Messages are of ended sessions, without the 1 open." in some
    with journal.file.writing():
        journal.file.lose_open(journal.last + 1)
    journal.connect("third")
    more = wsdev("journal", "stats", *state).stdout
    assert "sessions  3, 1 open, 1 lost with the server" in more
    assert "Messages are of ended sessions, without the 1 open and 1 lost." in more
    found = json.loads(wsdev("journal", "stats", "--json", *state).stdout)
    assert found["sessions_lost"] == 1
    assert found["by_class"][1] == {
        "name": "pico", "sessions": 2, "open": 1, "lost": 0, "ended_messages_in": 12,
        "ended_bytes_in": 3456, "ended_messages_out": 3, "ended_bytes_out": 210,
    }  # fmt: skip


@pytest.mark.parametrize("columns", [20, 40, 60, 80, 200])
def test_stats_cut_no_number_in_a_terminal(journal: MadeJournal, columns: int) -> None:
    journal.disconnect(journal.connect("n" * 64))
    env = {"COLUMNS": str(columns), "NO_COLOR": "1"}
    out = in_a_terminal("journal", "stats", "--state", str(journal.folder), env=env)
    for text, times in (("24 (6.9 kB)", 1), ("12 (3.5 kB)", 2), ("6 (420 B)", 1), ("3 (210 B)", 2)):
        assert out.count(text) == times
    assert "…" not in out


def test_stats_in_a_pipe_fold_no_name(journal: MadeJournal) -> None:
    journal.disconnect(journal.connect("n" * 64))
    assert "n" * 64 in wsdev("journal", "stats", "--state", str(journal.folder)).stdout


def test_stats_of_an_empty_journal_are_readable(tmp_path: Path) -> None:
    with made_journal(tmp_path):
        out = wsdev("journal", "stats", "--state", str(tmp_path)).stdout
    assert "nothing yet" in out
    assert "has not run yet" in out


def test_stats_as_json(journal: MadeJournal) -> None:
    found = json.loads(wsdev("journal", "stats", "--json", "--state", str(journal.folder)).stdout)
    assert (found["messages"], found["sessions"], found["sessions_open"]) == (3, 2, 1)
    assert found["oldest"] == "2024-01-01T08:00:00.000Z"
    assert found["last_run"]["ended"] == "2024-01-01T08:00:08.000Z"
    assert found["refusals_by_code"] == {"token_mistyped": 1}


# journal export


def export(journal: MadeJournal, *arguments: str) -> str:
    done = wsdev("journal", "export", "--state", str(journal.folder), *arguments)
    assert done.returncode == 0
    assert bool(done.stderr) == ("-o" in arguments)
    return done.stdout


@pytest.mark.parametrize("form", FORMATS)
def test_export_into_a_file_says_how_many_entries_went_where(
    journal: MadeJournal, form: str, tmp_path: Path
) -> None:
    path = tmp_path / "out\x1b"
    arguments = ["--format", form, "-o", str(path), "--state", str(journal.folder)]
    done = wsdev("journal", "export", *arguments)
    assert (done.stdout, done.stderr) == ("", f"9 entries written to {tmp_path}/out\\x1b\n")
    one = wsdev("journal", "export", *arguments, "--kind", "refusal")
    assert one.stderr.startswith("1 entry written")


def test_export_is_what_logs_show_as_json(journal: MadeJournal) -> None:
    journal.messages(2, 100)
    assert export(journal) == logs(journal, "--json", "-n", "all").stdout


def test_csv_has_a_row_for_each_entry_and_a_fixed_header(journal: MadeJournal) -> None:
    journal.message(2, "log", NASTY)
    rows = list(csv.reader(io.StringIO(export(journal, "--format", "csv"), newline="")))
    assert rows[0] == list(FIELDS)
    assert len(rows) == 11
    last = dict(zip(rows[0], rows[-1], strict=True))
    assert (last["body"], last["cut"], last["device"]) == (NASTY, "false", "kitchen")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_csv_has_no_text_that_a_spreadsheet_would_run(journal: MadeJournal, start: str) -> None:
    journal.message(2, "other", f"{start}cmd|' /C calc'!A0", f"{start}1")
    journal.message(2, "other", "-5", -5)
    path = journal.folder.parent / "out.csv"
    export(journal, "--format", "csv", "-o", str(path))
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert rows[-2]["body"] == f"'{start}cmd|' /C calc'!A0"
    assert rows[-2]["id"] == f"'{start}1"
    assert (rows[-1]["body"], rows[-1]["id"]) == ("'-5", "-5")


@pytest.mark.parametrize("form", FORMATS)
def test_export_takes_the_same_choices_as_logs(journal: MadeJournal, form: str) -> None:
    out = export(journal, "--format", form, "--kind", "refusal", "--class", "pico")
    assert len(out.splitlines()) == (1 if form == "jsonl" else 2)


def test_exported_file_is_for_this_user_only_and_replaces_an_older_one(
    journal: MadeJournal, tmp_path: Path
) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text("before")
    link = tmp_path / "link"
    link.symlink_to(path)
    assert export(journal, "-o", str(link)) == ""
    assert link.is_symlink()
    assert len(path.read_text(encoding="utf-8").splitlines()) == 9
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_export_that_fails_leaves_no_file(journal: MadeJournal, tmp_path: Path) -> None:
    journal.messages(2, 5000, body="x" * 100)
    journal.close()
    size = journal.file.path.stat().st_size
    with open(journal.file.path, "r+b") as file:
        file.seek(20 * 4096)
        file.write(b"\xa5" * (size - 25 * 4096))
    folder = tmp_path / "out"
    folder.mkdir()
    arguments = ["journal", "export", "-o", str(folder / "x"), "--state", str(journal.folder)]
    fails(ExitCode.JOURNAL, *arguments)
    assert list(folder.iterdir()) == []


def test_export_into_a_pipe_or_device_leaves_it_there(journal: MadeJournal) -> None:
    export(journal, "-o", os.devnull)
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


@pytest.mark.parametrize(
    "arguments", [["--format", "xml"], ["-o", "no/such/folder/x"], ["-o", "."]], ids=" ".join
)
def test_export_that_cannot_be_meant_exits_2(journal: MadeJournal, arguments: list[str]) -> None:
    lines = fails(ExitCode.USAGE, "journal", "export", *arguments, "--state", str(journal.folder))
    assert lines[1].startswith("  try: ")


@pytest.mark.parametrize("name", ["journal.db", "tokens.db", "pictures/000000000001.jpg", "new"])
def test_export_over_the_gateways_own_files_is_refused(journal: MadeJournal, name: str) -> None:
    before = journal.file.path.stat().st_ino
    arguments = ["-o", str(journal.folder / name), "--state", str(journal.folder)]
    lines = fails(ExitCode.USAGE, "journal", "export", *arguments)
    assert "state folder" in lines[0]
    assert journal.file.path.stat().st_ino == before


@pytest.mark.parametrize("pattern", ["a{99999999999}", "(" * 500 + ")" * 500])
def test_pattern_beyond_what_can_be_searched_for_is_told(
    journal: MadeJournal, pattern: str
) -> None:
    lines = fails(ExitCode.USAGE, "logs", "--grep", pattern, "--state", str(journal.folder))
    assert "--grep" in lines[0]


def test_csv_in_a_terminal_is_escaped(journal: MadeJournal) -> None:
    journal.message(2, "log", NASTY)
    out = in_a_terminal("journal", "export", "--format", "csv", "--state", str(journal.folder))
    assert "\x1b" not in out
    assert "\x9b" not in out


# journal vacuum


def test_vacuum_says_what_it_gave_back(journal: MadeJournal) -> None:
    journal.messages(2, 5000, body="x" * 200)
    journal.messages(2, 5)
    journal.forget(5010)
    done = wsdev("journal", "vacuum", "--state", str(journal.folder))
    assert re.fullmatch(r"1\.2 MB before, \d+\.\d kB now: 1\.\d MB given back\n", done.stdout)
    again = wsdev("journal", "vacuum", "--state", str(journal.folder))
    assert again.stdout.endswith("nothing to give\n")
