"""The servers under measurement: each a process of its own, on one core.

On Linux: CPU time in nanoseconds from the process's own clock, user and system, all threads, also
those that have ended; resident memory from ``/proc``.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from benchmarks.dialects import Dialect, Gateway
from wsdev.tokens import TokenBook

PATIENCE: Final = 30.0
"""Seconds for a server to start, to end, or to do what it was given."""

DEVICE_CLASS: Final = "pico"
LOOPBACK: Final = "127.0.0.1"

_READY: Final = "Stop with Ctrl-C."
_PORT = re.compile(r"ws://\S+:(\d+)/ws/<class>")
_CONSOLE_PORT = re.compile(r"^http://\S+:(\d+)/$", re.MULTILINE)
_RESIDENT = re.compile(r"VmRSS:\s+(\d+) kB")


class BenchmarkError(Exception):
    """A measurement that cannot be made here, or that went wrong."""


def pick_cores() -> tuple[int, int]:
    """One core for the servers and another for the load.

    Raises:
        BenchmarkError: this process may use one core only.
    """
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise BenchmarkError("two cores are needed: one for the server, one for the load")
    return cores[-1], cores[0]


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """Run on that core; a process started here stays on it with all its threads."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Server:
    """A running server.

    Attributes:
        port: Where it listens, on loopback.
        dialect: How devices talk to it.
        token: The class token that it admits; empty for one that asks for none.
        folder: Its state folder, if it has one.
        console_port: Of its console, on loopback; 0 without one.
        pid: Its process id.
    """

    def __init__(
        self,
        process: subprocess.Popen[str],
        port: int,
        dialect: Dialect,
        token: str = "",
        folder: Path | None = None,
        *,
        console_port: int = 0,
    ) -> None:
        self.port = port
        self.dialect = dialect
        self.token = token
        self.folder = folder
        self.console_port = console_port
        self.pid = process.pid
        self._proc = Path("/proc") / str(process.pid)
        # clock_getcpuclockid(3) of another process, which Python does not have: CPUCLOCK_SCHED of
        # the process. Unlike a sum over its threads it does not forget those that end.
        self._cpu_clock = ~process.pid << 3 | 2

    def cpu_seconds(self) -> float:
        """CPU time used so far, user and system."""
        return time.clock_gettime_ns(self._cpu_clock) / 1e9

    def resident_kb(self) -> float:
        """Resident memory in KB of 1,024 bytes."""
        found = _RESIDENT.search((self._proc / "status").read_text())
        if found is None:
            raise BenchmarkError("the server has ended")
        return float(found[1])

    def open_files(self) -> int:
        """File descriptors: one for each connection, and some of its own."""
        return len(os.listdir(self._proc / "fd"))

    def open_sockets(self) -> int:
        """Connections, and some of its own. Its files come and go with those who look into them."""
        count = 0
        for name in os.listdir(folder := self._proc / "fd"):
            with contextlib.suppress(FileNotFoundError):
                count += os.readlink(folder / name).startswith("socket:")
        return count

    def wait_for_sockets(self, wanted: int) -> None:
        """Return once so many are open: all that came is accepted, all that left is gone."""
        deadline = time.monotonic() + PATIENCE
        while (found := self.open_sockets()) != wanted:
            if time.monotonic() > deadline:
                raise BenchmarkError(f"{found} sockets open, {wanted} expected")
            time.sleep(0.01)


@contextmanager
def child(
    command: Sequence[str | Path], core: int, *, without: Sequence[str] = ()
) -> Iterator[subprocess.Popen[str]]:
    """A process on its core, ended with SIGTERM after the block.

    Args:
        without: Variables of the environment that it does not get; nor any of wsdev's own.
    """
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("WSDEV_") and name not in without
    }
    with on_core(core):
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()


def lines_until(stream: IO[str] | None, is_last: Callable[[str], bool]) -> list[str]:
    """What a process says until it is ready.

    Raises:
        BenchmarkError: it ended before that.
    """
    assert stream is not None
    lines: list[str] = []
    for line in stream:
        lines.append(line.strip())
        if is_last(lines[-1]):
            return lines
    raise BenchmarkError(f"the server did not start: {' '.join(lines) or 'it says nothing'}")


WSDEV_PROGRAM: Final = ("wsdev", "serve")


@contextmanager
def wsdev_gateway(
    core: int,
    options: Sequence[str] = (),
    program: Sequence[str] = WSDEV_PROGRAM,
    *,
    from_source: bool = False,
) -> Iterator[Server]:
    """A gateway with a token book of its own, which asks its own user for a token too.

    Args:
        options: Of ``wsdev serve``.
        program: A module to run and its arguments, that takes these options and does the same.
        from_source: Not the compiled package that PYTHONPATH names.
    """
    without = ("PYTHONPATH",) if from_source else ()
    with tempfile.TemporaryDirectory(prefix="wsdev-benchmark-") as folder:
        command = [sys.executable, "-m", *program, "--host", LOOPBACK, "--port", "0"]
        command += ["--state", folder, "--no-trust-local", "--drain", "0"]
        command += ["--no-console", *options]
        with child(command, core, without=without) as process:
            banner = "\n".join(lines_until(process.stdout, _READY.__eq__))
            port, console = _PORT.search(banner), _CONSOLE_PORT.search(banner)
            assert port is not None
            with TokenBook.open(Path(folder), create=False) as book:
                token = book.public_tokens()[DEVICE_CLASS][0]
            console_port = int(console[1]) if console else 0
            yield Server(
                process, int(port[1]), Gateway(), token, Path(folder), console_port=console_port
            )
