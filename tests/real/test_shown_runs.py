"""The runs of ``wsdev connect`` that the README and the guide show, done again and compared.

The gateway has the address that the pages give it, on the port that is its own if nobody says
otherwise, and the device is another host.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from documents import ROOT, blocks
from gateway_process import running_gateway
from namespaces import made_network

from wsdev.protocol import DEFAULT_PORT

PAGES = ["README.md", "docs/external-connections.md", "docs/external-connections.fa.md"]
GATEWAY, DEVICE = "192.0.2.2", "192.0.2.7"

VARYING = [
    (re.compile(r" +\d+\.\d ms"), " N ms"),
    (re.compile(r"\b[0-9a-f]{12}\b"), "ID"),
]
"""What is another at each run."""

Run = tuple[str, str]
"""A command line and what it printed."""


def runs_of(page: str) -> list[Run]:
    """The visits that a page shows; not the search for idle cuts, which takes minutes."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found = []
    for shown in blocks(text):
        if shown.language == "console":
            for part in re.split(r"^\$ ", shown.text, flags=re.MULTILINE)[1:]:
                command, _, printed = part.partition("\n")
                found.append((command, printed.rstrip("\n")))
    return [run for run in found if run[0].startswith("wsdev connect") and run[1]]


def steady(printed: str) -> str:
    """What stays the same from run to run."""
    for pattern, instead in VARYING:
        printed = pattern.sub(instead, printed)
    return printed


@pytest.fixture
def device_side(need: Callable[[str], str], tmp_path: Path) -> Iterator[tuple[str, ...]]:
    """The command that starts another one on the device's host, with a gateway in its network."""
    ip = need("ip")
    with made_network(ip) as network:
        for side, address in ((network.gateway_side, GATEWAY), (network.device_side, DEVICE)):
            add = [ip, "address", "add", f"{address}/24", "dev", "uplink"]
            subprocess.run([*side, *add], check=True)
        options = ("--public-tokens", "open", "--port", str(DEFAULT_PORT))
        state = tmp_path / "state"
        with running_gateway(state, *options, hosts=(), inside=network.gateway_side):
            yield network.device_side


@pytest.mark.parametrize("page", PAGES)
def test_run_that_a_page_shows_prints_that_today(page: str, device_side: tuple[str, ...]) -> None:
    kept = {name: text for name, text in os.environ.items() if not name.startswith("WSDEV_")}
    path = os.pathsep.join((str(Path(sys.executable).parent), kept["PATH"]))
    runs = runs_of(page)
    assert runs
    for command, printed in runs:
        done = subprocess.run(
            [*device_side, "sh", "-c", f"exec 2>&1; {command}"],
            capture_output=True,
            text=True,
            env={**kept, "PATH": path},
            check=False,
        )
        assert steady(done.stdout.rstrip("\n")) == steady(printed), f"{command}\n{done.stdout}"
