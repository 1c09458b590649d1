"""What the figures belong to: the machine in general terms, and versions."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.broker import PROGRAM as BROKER
from benchmarks.contestants import NODE_MODULES, bun_program
from benchmarks.page import BROWSER
from wsdev.compilation import is_compiled

_VERSION = re.compile(r"\d+(\.\d+)+")
_PACKAGES = ("wsdev", "websockets", "uvloop", "msgspec", "fastapi", "uvicorn", "aiohttp")


def facts() -> list[str]:
    """Sentences about the machine and what ran on it."""
    kernel = ".".join(platform.release().split(".")[:2]).split("-")[0]
    return [
        f"{processor()}, {os.cpu_count()} cores, Linux {kernel} ({platform.machine()}).",
        f"{', '.join(versions())}.",
    ]


def processor() -> str:
    """The maker's name of the processor, as the kernel knows it."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        text = ""
    found = re.search(r"^(?:model name|Model)\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else "A processor without a name"


def versions() -> list[str]:
    """Everything that took part and is there."""
    found = [f"Python {platform.python_version()}"]
    for package in _PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
        if package == "wsdev" and is_compiled():
            found[-1] += " (compiled)"
    found += _of_program("Node.js", [shutil.which("node"), "--version"])
    found += _of_module("ws", NODE_MODULES / "ws" / "package.json")
    found += _of_program("Bun", [bun_program(), "--version"])
    found += _of_program("Mosquitto", [shutil.which(BROKER), "-h"])
    return found + _of_program("Chromium", [shutil.which(BROWSER), "--version"])


def _of_program(name: str, command: Sequence[str | Path | None]) -> list[str]:
    program, *arguments = command
    if program is None:
        return []
    told = subprocess.run(
        [program, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    found = _VERSION.search(told.stdout)
    return [f"{name} {found[0]}"] if found else []


def _of_module(name: str, package: Path) -> list[str]:
    try:
        return [f"{name} {json.loads(package.read_text(encoding='utf-8'))['version']}"]
    except OSError:
        return []
