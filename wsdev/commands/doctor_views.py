"""What ``wsdev doctor`` prints."""

from __future__ import annotations

import io
import os
import pwd
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.text import Text

from wsdev.commands.amounts import counted
from wsdev.doctor import Question, examine
from wsdev.errors import ExitCode
from wsdev.findings.facts import HostFacts
from wsdev.findings.finding import Finding
from wsdev.findings.host import Diagnosis, WayIn, diagnose
from wsdev.findings.kinds import Grade
from wsdev.sanitize import printable
from wsdev.settings import default_state_folder, load

_COLOURS: Final = {Grade.OK: "green", Grade.WARNING: "yellow", Grade.PROBLEM: "red"}
_INDENT: Final = " " * 9


async def run(
    state: Path | None, port: int | None, *, qr: bool, as_json: bool, quiet: bool
) -> None:
    """Examine the host, print the findings, and exit with 34 if one is a problem.

    Raises:
        UsageError: a ``WSDEV_…`` variable or its file cannot be meant.
    """
    facts = await examine(_question(state, port))
    diagnosis = diagnose(facts)
    code = ExitCode.PROBLEMS_FOUND if diagnosis.count(Grade.PROBLEM) else ExitCode.OK
    if as_json:
        sys.stdout.write(msgspec.json.encode(_document(facts, diagnosis, code)).decode() + "\n")
    else:
        _print(facts, diagnosis, qr=qr, quiet=quiet)
    if code:
        raise SystemExit(code)


def _question(state: Path | None, port: int | None) -> Question:
    settings = load({"state": state}, os.environ)
    folder = settings.state_folder().absolute()
    if settings.state is None:
        folder = usual_folder(folder, os.environ)
    is_usual = folder == default_state_folder()
    script = shutil.which("wsdev") or (
        sys.argv[0] if os.path.basename(sys.argv[0]) == "wsdev" else ""
    )
    by_module = f"{shlex.quote(sys.executable)} -m wsdev"
    return Question(
        folder=folder,
        state_option="" if is_usual else f" --state {shlex.quote(str(folder))}",
        port=port,
        settings=settings,
        command="wsdev" if shutil.which("wsdev") else by_module,
        program=shlex.quote(os.path.abspath(script)) if script else by_module,
    )


def usual_folder(own: Path, environment: Mapping[str, str]) -> Path:
    """The folder to look at if none is named: root's own, or that of the user who called sudo.

    Args:
        own: The state folder of the user who runs this.
    """
    caller = environment.get("SUDO_USER")
    if os.geteuid() != 0 or not caller or own.exists():
        return own
    try:
        home = Path(pwd.getpwnam(caller).pw_dir)
    except KeyError:
        return own
    theirs = home / own.relative_to(Path.home()) if own.is_relative_to(Path.home()) else own
    return theirs if theirs.exists() else own


def _print(facts: HostFacts, diagnosis: Diagnosis, *, qr: bool, quiet: bool) -> None:
    # Without markup: an IPv6 address in brackets, or a firewall's rule, may look like it.
    console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
    shown = [f for f in diagnosis.findings if not quiet or f.grade is not Grade.OK]
    if not quiet:
        console.print(f"port {facts.port}, state folder {printable(facts.state_shown)}")
    for finding in shown:
        _print_finding(console, finding)
    if quiet and not qr:
        return
    problems, warnings = diagnosis.count(Grade.PROBLEM), diagnosis.count(Grade.WARNING)
    counts = [counted(problems, "problem"), counted(warnings, "warning")]
    counts.append(f"{diagnosis.count(Grade.OK)} ok")
    console.print(f"{', '.join(counts)}\n")
    if diagnosis.way_in is None:
        console.print("No device can come in yet: mend the first problem above.")
        return
    mended = not diagnosis.count(Grade.PROBLEM)
    _print_way_in(console, diagnosis.way_in, mended=mended, qr=qr)


def _print_finding(console: Console, finding: Finding) -> None:
    line = Text.assemble(
        (f"{finding.grade:<8} ", _COLOURS[finding.grade]),
        (f"{finding.kind.check:<11} ", "bold"),
        finding.kind.meaning,
    )
    console.print(line)
    for each in finding.evidence:
        console.print(Text(f"{_INDENT}{each}", style="dim"))
    if finding.grade is not Grade.OK and finding.kind.fix:
        console.print(Text(f"{_INDENT}fix: {finding.kind.fix}"))
    if finding.command:
        console.print(Text(f"{_INDENT}  {finding.command}", style="cyan"))


def _print_way_in(console: Console, way_in: WayIn, *, mended: bool, qr: bool) -> None:
    console.print("In the field run:" if mended else "In the field, once that is mended, run:")
    console.print(Text(f"  {way_in.connect}", style="bold"))
    if way_in.note:
        console.print(f"  ({way_in.note})")
    if qr:
        console.print(f"\nOn a phone: {way_in.page}")
        # Its light parts are printed; the colours keep them light on a light terminal too.
        console.print(Text(qr_code(way_in.page), style="bright_white on black"))


def qr_code(text: str) -> str:
    """A QR code of half blocks, two modules to a character, with its quiet zone."""
    import segno  # noqa: PLC0415  (for --qr alone)

    out = io.StringIO()
    segno.make_qr(text).terminal(out, compact=True)
    return out.getvalue().rstrip("\n")


def _document(facts: HostFacts, diagnosis: Diagnosis, code: ExitCode) -> dict[str, Any]:
    way_in = diagnosis.way_in
    return {
        "ok": code is ExitCode.OK,
        "exit_code": int(code),
        "port": facts.port,
        "state": printable(facts.state),
        "running": facts.is_running,
        "findings": [
            {
                "check": finding.kind.check,
                "code": finding.code,
                "grade": finding.grade.value,
                "meaning": finding.kind.meaning,
                "evidence": list(finding.evidence),
                "fix": finding.kind.fix or None,
                "command": finding.command or None,
            }
            for finding in diagnosis.findings
        ],
        "connect": way_in.connect if way_in else None,
        "page": way_in.page if way_in else None,
        "note": (way_in.note or None) if way_in else None,
    }
