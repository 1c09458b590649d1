from __future__ import annotations

import importlib
import tomllib
from importlib.machinery import ExtensionFileLoader
from pathlib import Path
from typing import Any

import pytest

from wsdev.compilation import is_compiled

ROOT = Path(__file__).parents[1]


def hook() -> dict[str, Any]:
    """How the hot path is compiled."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    return dict(wheel["hooks"]["mypyc"])


HOT = sorted(Path(name).stem for name in hook()["include"])


@pytest.mark.parametrize("name", HOT)
def test_all_of_the_hot_path_is_compiled_or_nothing(name: str) -> None:
    module = importlib.import_module(f"wsdev.{name}")
    assert isinstance(module.__loader__, ExtensionFileLoader) == is_compiled()
    assert (ROOT / "wsdev" / f"{name}.py").is_file(), "not there any more"


def test_nobody_needs_a_compiler_who_does_not_ask_for_it() -> None:
    assert hook()["enable-by-default"] is False
