"""The command line as its users have it: run in this process, or as one of its own."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from wsdev.cli import main
from wsdev.errors import ExitCode

PATIENCE = 60
"""Seconds after which a command has failed."""


def environment(extra: Mapping[str, str] = {}) -> dict[str, str]:
    """This one without what would steer the command."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("WSDEV_", "_TYPER", "FORCE"))}
    return {**kept, "COLUMNS": "80", "NO_COLOR": "1", **extra}


def without_coverage() -> dict[str, str]:
    """The environment of a program that is not measured: what measures it imports modules too."""
    return {k: v for k, v in environment().items() if not k.startswith(("COV_", "COVERAGE_"))}


Done = subprocess.CompletedProcess[str]


def wsdev(*arguments: str, stdin: str = "", env: Mapping[str, str] = {}) -> Done:
    """Run a command to its end, in this process; a traceback fails the test."""
    out, err = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        for name in os.environ.keys() - environment().keys():
            patch.delenv(name)
        for name, value in environment(env).items():
            patch.setenv(name, value)
        patch.setattr(sys, "argv", ["wsdev", *arguments])
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        with pytest.raises(SystemExit) as end:
            main()
    code = end.value.code or 0
    assert isinstance(code, int)
    return Done(arguments, code, out.getvalue(), err.getvalue())


def process(*arguments: str, env: Mapping[str, str] = {}) -> Done:
    """Run a command to its end, as a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "wsdev", *arguments],
        env=environment(env),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def fails(
    code: ExitCode, *arguments: str, run: Callable[..., Done] = wsdev, **options: Any
) -> list[str]:
    """Run a command that must fail with ``code``; its one line and its hint."""
    done = run(*arguments, **options)
    assert done.returncode == code, done.stderr
    lines = done.stderr.splitlines()
    assert lines[0].startswith("wsdev: ")
    assert len(lines) <= 2
    return lines


def in_json(*arguments: str, **options: Any) -> Any:
    done = wsdev(*arguments, "--json", **options)
    return json.loads(done.stdout)


class Running:
    """A command that runs until it is told to stop."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "wsdev", *arguments],
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._watchdog = threading.Timer(PATIENCE, self.process.kill)
        self._watchdog.start()

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._watchdog.cancel()
        self.process.kill()
        self.process.communicate()

    def until(self, word: str) -> str:
        """The first line with that word."""
        assert self.process.stdout is not None
        return next(line for line in self.process.stdout if word in line)

    def end(self) -> tuple[int, str, str]:
        """Exit code, and the rest of both streams, once it has ended by itself."""
        out, err = self.process.communicate()
        return self.process.returncode, out, err

    def interrupt(self) -> tuple[int, str, str]:
        """Press Ctrl-C."""
        self.process.send_signal(signal.SIGINT)
        return self.end()


def into(out: str, *arguments: str) -> Done:
    """Run a command whose standard output a shell puts there; or that it starts otherwise."""
    command = [sys.executable, "-m", "wsdev", *arguments]
    done = subprocess.run(
        ["sh", "-c", f'"$@" {out}', "sh", *command],
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return Done(arguments, done.returncode, "", done.stderr)
