"""The shape of the house: floors, size, names, a test file for each module."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "wsdev").rglob("*.py"))
MAX_LINES = 400

TESTED_THROUGH_THE_CLI = {"__init__", "__main__"}


def name_of(module: Path) -> str:
    return str(module.relative_to(ROOT))


def test_imports_go_down_only() -> None:
    # In a process of its own: it turns off the loggers of the one that it runs in.
    program = "from importlinter.cli import lint_imports_command as lint; lint()"
    options = ["--config", str(ROOT / "pyproject.toml"), "--no-cache", "--no-logo"]
    done = subprocess.run(
        [sys.executable, "-c", program, *options], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_module_is_short_enough_to_read(module: Path) -> None:
    lines = len(module.read_text(encoding="utf-8").splitlines())
    assert lines <= MAX_LINES, f"{lines} lines: split it by noun"


@pytest.mark.parametrize("word", ["utils", "util", "helpers", "common", "misc"])
def test_no_module_is_a_drawer_for_anything(word: str) -> None:
    assert word not in {module.stem for module in MODULES}


def test_each_module_has_its_own_test_file() -> None:
    package = ROOT / "wsdev"
    wanted = {
        "_".join(("test", *module.relative_to(package).with_suffix("").parts)) + ".py"
        for module in MODULES
        if module.stem not in TESTED_THROUGH_THE_CLI
        and module.relative_to(package).parts[0] != "commands"
    }
    missing = wanted - {test.name for test in (ROOT / "tests").glob("test_*.py")}
    assert not missing, f"not there: {', '.join(sorted(missing))}"
