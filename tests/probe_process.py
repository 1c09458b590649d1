"""The real ``wsdev connect`` as a process of its own, and what it found."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wsdev.diagnosis.verdict import FAULTS

PATIENCE = 60.0
"""Seconds after which a visit counts as hanging."""


@dataclass(frozen=True)
class Found:
    """What a visit printed and how it ended; ``seconds`` is what the process took."""

    exit_code: int
    report: dict[str, Any]
    seconds: float

    @property
    def evidence(self) -> str:
        """The lines that prove the verdict."""
        return "\n".join(self.report["verdict"]["evidence"])

    @property
    def remarks(self) -> list[str]:
        """The codes of the remarks."""
        return [remark["code"] for remark in self.report["remarks"]]

    @property
    def tcp(self) -> list[tuple[str, str]]:
        """Each address that was tried, with its outcome."""
        return [(one["ip"], one["outcome"]) for one in self.report["facts"]["name"]["addresses"]]

    def assert_fault(self, code: str, *seen: str, layer: str = "") -> None:
        """It is this fault, at its layer, with its exit code; the evidence names what was seen."""
        verdict, fault = self.report["verdict"], FAULTS[code]
        assert verdict is not None, self.report["steps"]
        assert verdict["code"] == code, verdict
        assert verdict["layer"] == (layer or fault.layer)
        assert (verdict["what"], verdict["why"]) == (fault.what, fault.why)
        assert verdict["fix"]
        assert self.exit_code == self.report["exit_code"] == fault.exit_code
        assert not self.report["ok"]
        last = self.report["steps"][-1]
        assert not last["ok"]
        assert last["detail"] == fault.what
        assert all(step["ok"] for step in self.report["steps"][:-1])
        missing = [words for words in seen if words not in self.evidence]
        assert not missing, (missing, verdict["evidence"])

    def assert_fine(self, *remarks: str) -> None:
        """Nothing broke, and these are the remarks."""
        assert self.report["verdict"] is None, self.report["verdict"]
        assert (self.exit_code, self.report["ok"]) == (0, True)
        assert self.remarks == list(remarks)


def probe(
    url: str,
    *options: str,
    inside: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Found:
    """Visit ``url`` with the command itself.

    Args:
        inside: A command that starts another one, such as ``ip netns exec <name>``.
    """
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("WSDEV_", "SSL_CERT_"))}
    command = [sys.executable, "-m", "wsdev", "connect", "--json", "--url", url, *options]
    started = time.monotonic()
    done = subprocess.run(
        [*inside, *command],
        capture_output=True,
        check=False,
        env=clean | dict(environment or {}),
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=PATIENCE,
    )
    took = time.monotonic() - started
    assert done.stdout, (done.returncode, done.stderr)
    assert "Traceback" not in done.stderr, done.stderr
    return Found(done.returncode, json.loads(done.stdout), took)
