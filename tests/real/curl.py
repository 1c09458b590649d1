"""curl as a test's client: the raw request by options, the raw answer in parts."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

PATIENCE = "20"
"""Seconds for a whole exchange."""


@dataclass(frozen=True)
class Answer:
    """An HTTP answer as it was on the wire: header names keep their case.

    ``size`` is that of head and body, in bytes.
    """

    status_line: str
    headers: list[tuple[str, str]]
    body: bytes
    size: int

    @property
    def status(self) -> int:
        """The code of the status line."""
        return int(self.status_line.split()[1])

    @property
    def names(self) -> list[str]:
        """The header names in order."""
        return [name for name, _ in self.headers]

    def header(self, name: str) -> str | None:
        """The value of a header that is there once; ``name`` is matched case by case."""
        values = [value for known, value in self.headers if known == name]
        assert len(values) < 2, f"{name} came {len(values)} times"
        return values[0] if values else None

    def json(self) -> Any:
        """The body, whose length and type are as its headers say."""
        assert self.header("Content-Type") == "application/json"
        assert self.header("Content-Length") == str(len(self.body))
        return json.loads(self.body)


@dataclass(frozen=True)
class Curl:
    """Runs ``program``; ``inside`` is a command that starts another one."""

    program: str
    inside: Sequence[str] = ()

    def __call__(self, url: str, *options: str) -> Answer:
        """Ask for ``url``; no configuration file, no proxy, nothing followed."""
        fixed = ["--disable", "--silent", "--show-error", "--include", "--globoff"]
        fixed += ["--noproxy", "*", "--max-time", PATIENCE]
        done = subprocess.run(
            [*self.inside, self.program, *fixed, *options, url], capture_output=True, check=False
        )
        assert done.returncode == 0, (done.returncode, done.stderr)
        head, separator, body = done.stdout.partition(b"\r\n\r\n")
        assert separator, done.stdout
        status_line, *lines = head.decode("ascii").split("\r\n")
        headers = [(name, value) for name, _, value in (line.partition(": ") for line in lines)]
        return Answer(status_line, headers, body, len(done.stdout))
