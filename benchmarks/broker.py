"""Mosquitto with a WebSocket listener: what a user would take in the gateway's place.

As Debian configures it, persistence and all, but for what is told in :data:`_CONFIG`.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.dialects import LOGIN, Mqtt
from benchmarks.servers import LOOPBACK, PATIENCE, BenchmarkError, Server, child

PROGRAM: Final = "mosquitto"

# It asks for a password, as the gateway asks for a token, and logs as little as the gateway does
# in the same measures. The listener that nobody uses is there because 2.0.11 does not start with
# one for WebSocket alone.
_CONFIG: Final = """\
listener 0 {folder}/unused
listener {port} {loopback}
protocol websockets
user {user}
persistence true
persistence_location {folder}/
allow_anonymous false
password_file {folder}/passwords
log_dest stderr
log_type error
log_type warning
"""


@contextmanager
def mosquitto(core: int) -> Iterator[Server]:
    """A broker in a temporary folder.

    Raises:
        BenchmarkError: it does not start; an older one may be built without WebSocket.
    """
    program = shutil.which(PROGRAM)
    assert program is not None
    with tempfile.TemporaryDirectory(prefix="wsdev-benchmark-") as folder:
        passwords = Path(folder) / "passwords"
        subprocess.run(
            ["mosquitto_passwd", "-b", "-c", passwords, *LOGIN], check=True, capture_output=True
        )
        port = _free_port()
        user = pwd.getpwuid(os.geteuid()).pw_name
        config = Path(folder) / "mosquitto.conf"
        config.write_text(_CONFIG.format(port=port, loopback=LOOPBACK, user=user, folder=folder))
        with child([program, "-c", config], core) as process:
            _wait_for(port, process)
            yield Server(process, port, Mqtt())


def _free_port() -> int:
    """A port that was free a moment ago: the broker cannot be asked which one it took."""
    with socket.create_server((LOOPBACK, 0)) as sock:
        return int(sock.getsockname()[1])


def _wait_for(port: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection((LOOPBACK, port), PATIENCE).close()
        except ConnectionRefusedError:
            time.sleep(0.02)
        else:
            return
    raise BenchmarkError("the broker did not start")
