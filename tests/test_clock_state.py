from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from wsdev import clock_state
from wsdev.clock_state import clock_state as look


def test_kernel_tells_one_or_the_other(tmp_path: Path) -> None:
    synchronized, told_by = look(tmp_path / "none")
    assert synchronized in (True, False)
    assert told_by == "the kernel"


def test_kernel_says_the_same_to_strace(need: Callable[[str], str], tmp_path: Path) -> None:
    """The flag is read where the kernel writes it: strace knows the structure by heart."""
    strace = need("strace")
    python = "from wsdev.clock_state import clock_state; print(clock_state()[0])"
    trace = tmp_path / "trace"
    command = [strace, "-v", "-o", str(trace), "-e", "trace=adjtimex,clock_adjtime"]
    done = subprocess.run(
        [*command, sys.executable, "-c", python], capture_output=True, text=True, check=True
    )
    (line,) = (line for line in trace.read_text().splitlines() if "adj" in line)
    assert "modes=0" in line
    status = line.split("status=")[1].split(",")[0]
    assert done.stdout.strip() == str("STA_UNSYNC" not in status)


def test_mark_of_timesyncd_counts_where_the_kernel_was_not_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "synchronized"
    mark.touch()
    monkeypatch.setattr(clock_state, "_kernel_says", lambda: False)
    assert look(mark) == (True, "systemd-timesyncd")
    mark.unlink()
    assert look(mark) == (False, "the kernel")


def test_other_systems_tell_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("wsdev.clock_state.sys.platform", "darwin")
    assert look(tmp_path / "none") == (None, "the kernel")
