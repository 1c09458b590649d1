"""Visits of the real probe, and what they said; also as a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import PATIENCE

from wsdev import probe
from wsdev.commands.visiting import make_target
from wsdev.layers import Layer
from wsdev.probe import Step, Visit
from wsdev.report import encode_report, make_report

LOOPBACK = "127.0.0.1"

MAX_REPORT = 64 * 1024
"""Characters of a document, however much the other end says."""

SECRET = "wsd_pico_0000000000000000000000Canary"
"""A token of the right form with a wrong checksum: no test may find it in what is printed."""


@dataclass(frozen=True)
class Seen:
    """What a visit said.

    Attributes:
        text: All that was printed, standard error included.
    """

    exit_code: int
    text: str
    report: dict[str, Any]

    @property
    def code(self) -> str | None:
        """The fault; None if there was none."""
        verdict = self.report["verdict"]
        return verdict["code"] if verdict else None

    @property
    def evidence(self) -> str:
        """What was seen, in one text."""
        return "\n".join(self.report["verdict"]["evidence"])

    @property
    def steps(self) -> list[str]:
        """The layers that were walked."""
        return [step["name"] for step in self.report["steps"]]

    def names(self, code: str, layer: str, exit_code: int, *evidence: str) -> None:
        """Hold the verdict to a fault, and to what proves it."""
        found = self.report["verdict"]
        assert found is not None, self.text
        assert (found["code"], found["layer"]) == (code, layer), self.text
        assert self.exit_code == self.report["exit_code"] == found["exit_code"] == exit_code
        for part in evidence:
            assert part in self.evidence, f"{part!r} is not in\n{self.evidence}"
        assert found["fix"]
        assert found["why"]


def url_of(port: int, scheme: str = "ws", path: str = "") -> str:
    """The address of a port of this host."""
    return f"{scheme}://{LOOPBACK}:{port}{path}"


class Watcher:
    """Who watches a visit: says nothing, and calls ``on_done`` at the end of each step."""

    def __init__(self, on_done: Callable[[Step], None] | None = None) -> None:
        self.tried: list[Layer] = []
        self.steps: list[Step] = []
        self._on_done = on_done

    def trying(self, layer: Layer, what: str) -> None:
        """A step begins."""
        self.tried.append(layer)

    def done(self, step: Step) -> None:
        """It has ended."""
        self.steps.append(step)
        if self._on_done is not None:
            self._on_done(step)


async def visit(
    url: str | int,
    *,
    token: str | None = None,
    device: str = "pico",
    patience: float = PATIENCE,
    cacert: Path | None = None,
    name: str | None = None,
    done: Callable[[Step], None] | None = None,
    **wanted: Any,
) -> Seen:
    """Visit ``url`` (or a port of this host) with the real probe, in this process.

    Args:
        token: None lets it fetch one.
        done: Called with each step that has ended.
        wanted: Further fields of :class:`~wsdev.probe.Visit`.
    """
    if isinstance(url, int):
        url = url_of(url)
    target = make_target(
        url=url, device=device, name=name, token=token, timeout=f"{patience}s", cacert=cacert,
        insecure=False,
    )  # fmt: skip
    wanted.setdefault("messages", 1)
    planned = Visit(target, **wanted)
    async with asyncio.timeout(PATIENCE + 20 * patience):
        await probe.visit(planned, Watcher(done))
    text = encode_report(make_report(planned))
    _check_secret(token, text)
    _check_secret(token, repr(planned.facts))
    assert len(text) < MAX_REPORT
    report = json.loads(text)
    return Seen(report["exit_code"], text, report)


def _check_secret(token: str | None, text: str) -> None:
    assert token is None or len(token) < 8 or token not in text


async def connect(
    url: str | int, *options: str, token: str | None = None, device: str = "pico"
) -> Seen:
    """Visit ``url`` (or a port of this host) with the real program.

    Args:
        token: Given in the environment; None lets it fetch one.
    """
    if isinstance(url, int):
        url = url_of(url)
    process = await start(url, "--json", *options, token=token, device=device)
    try:
        async with asyncio.timeout(PATIENCE * 2):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    text = out.decode() + err.decode()
    _check_secret(token, text)
    assert out.count(b"\n") == 1, text
    return Seen(process.returncode, text, json.loads(out))


async def start(
    url: str, *options: str, token: str | None = None, device: str = "pico"
) -> asyncio.subprocess.Process:
    """The program, started; its output comes through pipes."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("WSDEV_")}
    if token is not None:
        environment["WSDEV_TOKEN"] = token
    command = ["-m", "wsdev", "connect", "--url", url, "--device", device, "-n", "1", *options]
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
    )
