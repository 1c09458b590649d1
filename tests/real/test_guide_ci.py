"""The smoke tests of docs/ci.md: their shell lines, run as CI runs them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml
from documents import block, page
from reverse_proxies import held_port

from wsdev.layers import Layer

FILES = ["smoke.yml", ".gitlab-ci.yml"]
INSTALL = "pip install ."
REPORT = " --junit smoke.xml"
WITHOUT = {Layer.TLS, Layer.QUALITY}
"""The layers that a visit to ws:// that sets no thresholds is not about."""


def job(file: str) -> dict[str, Any]:
    """The one job of a block of the page."""
    document: dict[str, Any] = yaml.safe_load(block(page("ci.md"), "yaml", file))
    (found,) = document.get("jobs", document).values()
    assert isinstance(found, dict)
    return found


def shell_lines(file: str) -> list[str]:
    """What CI gives to a shell, in order."""
    described = job(file)
    if "script" in described:
        return list(described["script"])
    return [step["run"] for step in described["steps"] if "run" in step]


@pytest.mark.parametrize("file", FILES)
def test_smoke_test_succeeds_with_a_gateway_that_it_starts(
    file: str, need: Callable[[str], str], tmp_path: Path
) -> None:
    shell = need("bash")
    need("curl")
    first, *lines = shell_lines(file)
    assert first == INSTALL
    # What CI does when a job ends: nothing that it started stays.
    script = "\n".join(["trap 'kill $(jobs -p); wait' EXIT", *lines])
    with held_port() as port:
        script = script.replace("127.0.0.1:3000", f"127.0.0.1:{port}")
        script = script.replace("wsdev serve", f"wsdev serve --port {port}")
        done = subprocess.run(
            [shell, "-eo", "pipefail", "-c", script],
            cwd=tmp_path,
            env={
                **{
                    name: text for name, text in os.environ.items() if not name.startswith("WSDEV_")
                },
                "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
            },
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith('{"status":"ok"}')
    assert "5 of 5 acknowledged" in done.stdout
    cases = ElementTree.parse(tmp_path / "smoke.xml").getroot().findall("testcase")
    assert [case.attrib["name"] for case in cases] == [
        layer.value for layer in Layer if layer not in WITHOUT
    ]
    assert [case.find("system-out") is not None for case in cases] == [True] * len(cases)
    assert "tokens_given" in (tmp_path / "gateway.log").read_text(encoding="utf-8")


@pytest.mark.parametrize("file", FILES)
def test_gateway_that_does_not_start_fails_the_job_and_shows_its_log(
    file: str, need: Callable[[str], str], tmp_path: Path
) -> None:
    shell = need("bash")
    need("curl")
    # Ended before anybody asks, as one that cannot start has after its many tries.
    script = "\n".join(shell_lines(file)[1:]).replace("--retry 50 ", "").replace(" &\n", "\n")
    script = script.replace("wsdev serve", "sh -c 'echo it is broken'")
    with held_port() as nobody:
        done = subprocess.run(
            [
                shell,
                "-eo",
                "pipefail",
                "-c",
                script.replace("127.0.0.1:3000", f"127.0.0.1:{nobody}"),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stdout) == (1, "it is broken\n"), done.stderr


@pytest.mark.parametrize("file", FILES)
def test_report_is_kept_whatever_happens(file: str) -> None:
    described = job(file)
    assert sum(REPORT in line for line in shell_lines(file)) == 1
    if "artifacts" in described:
        kept = described["artifacts"]
        assert (kept["when"], kept["reports"]["junit"]) == ("always", "smoke.xml")
    else:
        kept = described["steps"][-1]
        assert kept["if"] == "always()"
        assert "smoke.xml" in kept["with"]["path"].split()
