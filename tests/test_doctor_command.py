"""What ``wsdev doctor`` prints; tests/real/test_doctor_on_a_host.py has it on whole hosts."""

from __future__ import annotations

import io
import json
import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest
import segno
from host_cases import CASES, WELL, down
from rich.console import Console

from wsdev.commands import doctor_views
from wsdev.findings.host import diagnose
from wsdev.findings.kinds import FINDINGS, Grade


def printed(code: str, monkeypatch: pytest.MonkeyPatch, *, quiet: bool = False) -> str:
    """What is printed for a host, on something that is no terminal."""
    out = io.StringIO()
    monkeypatch.setattr(
        doctor_views, "Console", lambda **options: Console(file=out, width=80, **options)
    )
    facts = CASES[code]
    doctor_views._print(facts, diagnose(facts), qr=False, quiet=quiet)
    return out.getvalue()


@pytest.mark.parametrize("code", FINDINGS)
def test_finding_is_printed_with_its_fix_and_its_command(
    code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = printed(code, monkeypatch)
    kind = FINDINGS[code]
    assert f"{kind.grade:<8} {kind.check:<11} {kind.meaning}\n" in text
    assert kind.grade is Grade.OK or f"fix: {kind.fix}\n" in text
    (finding,) = (each for each in diagnose(CASES[code]).findings if each.code == code)
    assert finding.command in text
    assert "\x1b" not in text


def test_quiet_is_silent_where_all_is_well(monkeypatch: pytest.MonkeyPatch) -> None:
    assert diagnose(WELL).count(Grade.OK) > 5
    assert printed("server_runs", monkeypatch, quiet=True) == ""
    assert printed("server_missing", monkeypatch, quiet=True).startswith("problem  server")


def test_way_in_is_told_only_if_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "In the field run:\n  wsdev connect" in printed("server_runs", monkeypatch)
    assert "once that is mended, run:\n" in printed("firewall_blocks", monkeypatch)
    assert "No device can come in yet" in printed("server_missing", monkeypatch)


def test_json_has_all_findings_and_null_for_what_is_not_there() -> None:
    facts = down()
    diagnosis = diagnose(facts)
    document = json.loads(json.dumps(doctor_views._document(facts, diagnosis, 34)))  # type: ignore[arg-type]
    assert [each["code"] for each in document["findings"]] == [f.code for f in diagnosis.findings]
    assert document["ok"] is False
    assert document["connect"] is document["page"] is document["note"] is None
    good = next(each for each in document["findings"] if each["grade"] == "ok")
    assert good["fix"] is None


def test_qr_code_has_the_modules_of_the_text() -> None:
    text = "http://192.0.2.2:3000/"
    lines = doctor_views.qr_code(text).splitlines()
    wanted = list(segno.make_qr(text).matrix_iter(border=4))
    for row, modules in enumerate(wanted):
        line = lines[row // 2]
        light = "█▀" if row % 2 == 0 else "█▄"
        assert [block not in light for block in line] == [bool(module) for module in modules]


def test_sudo_looks_at_the_gateway_of_its_caller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs, own = tmp_path / "home", tmp_path / "root"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("HOME", str(own))
    entry = pwd.struct_passwd(("pi", "x", 1000, 1000, "", str(theirs), "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwnam", {"pi": entry}.__getitem__)
    folder = Path(".local/state/wsdev")
    usual = doctor_views.usual_folder
    assert usual(own / folder, {"SUDO_USER": "pi"}) == own / folder, "neither has one"
    (theirs / folder).mkdir(parents=True)
    assert usual(own / folder, {"SUDO_USER": "pi"}) == theirs / folder
    assert usual(own / folder, {"SUDO_USER": "gone"}) == own / folder
    assert usual(own / folder, {}) == own / folder
    (own / folder).mkdir(parents=True)
    assert usual(own / folder, {"SUDO_USER": "pi"}) == own / folder
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert usual(theirs / "x", {"SUDO_USER": "pi"}) == theirs / "x"


def test_variable_that_cannot_be_meant_is_told(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "wsdev", "doctor", "--state", str(tmp_path)],
        env={**os.environ, "WSDEV_PORT": "many"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "WSDEV_PORT" in done.stderr


def test_heavy_libraries_come_only_when_they_are_needed() -> None:
    program = (
        "import sys, wsdev.commands.doctor_views\n"
        "print({'cryptography', 'segno', 'httpx', 'wsdev.server'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
