"""The real gateway as a process of its own, for tests that come from outside."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from child_lines import PATIENCE, ChildLines

from wsdev.tokens import TokenBook

LOOPBACK = "127.0.0.1"

_LAST_LINE_OF_BANNER = "Stop with Ctrl-C."
_PORT = re.compile(r"wss?://\S+:(\d+)/ws/<class>")


class GatewayProcess:
    """A running ``wsdev serve``.

    Attributes:
        banner: What the operator sees at the start.
        book: The token book of its state folder, as another program of the operator has it.
        tokens: The token of each class, and those pinned to a device's name by that name.
    """

    banner: str
    book: TokenBook

    def __init__(self, command: Sequence[str], device_tokens: Mapping[str, str]) -> None:
        self.tokens = dict(device_tokens)
        environment = {k: v for k, v in os.environ.items() if not k.startswith("WSDEV_")}
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._output = ChildLines(self._process.stdout, "gateway's output")
        self._log = ChildLines(self._process.stderr, "gateway's log")

    def wait_until_ready(self) -> None:
        """Return once the banner, which comes after the listening, is out."""
        ready = self._output.wait_for(_LAST_LINE_OF_BANNER.__eq__)
        self.banner = "\n".join(self._output.so_far())
        assert ready is not None, f"the gateway did not start: {self._log.so_far()}"

    def wait_for_end_of_start(self) -> int | None:
        """Its exit status if it did not start, None once it is ready."""
        if self._output.wait_for(_LAST_LINE_OF_BANNER.__eq__) is None:
            return self.wait()
        return None

    def use_book(self, book: TokenBook) -> None:
        """Take the class tokens from the book that the gateway has filled."""
        self.book = book
        self.tokens |= {name: listed[0] for name, listed in book.public_tokens().items()}

    @property
    def pid(self) -> int:
        """Its process id; of the command that started it, where there is one around it."""
        return self._process.pid

    @property
    def port(self) -> int:
        """The port that it chose."""
        found = _PORT.search(self.banner)
        assert found is not None, self.banner
        return int(found[1])

    @property
    def address(self) -> tuple[str, int]:
        """Where to connect from this machine."""
        return LOOPBACK, self.port

    def url(self, path: str, *, scheme: str = "ws", host: str = LOOPBACK) -> str:
        """The URL of ``path``; an IPv6 ``host`` comes in brackets."""
        return f"{scheme}://{host}:{self.port}{path}"

    # The log

    def log_lines(self, event: str, **fields: object) -> list[dict[str, Any]]:
        """The lines so far of ``event`` with at least these fields."""
        return [
            parsed
            for line in self._log.so_far()
            if (parsed := _matching(line, event, fields)) is not None
        ]

    def log_text(self) -> str:
        """All that it wrote to its log so far."""
        return "\n".join(self._log.so_far())

    def wait_for_log(self, event: str, **fields: object) -> dict[str, Any]:
        """The first line of ``event`` with at least these fields, as soon as it is there."""
        line = self._log.wait_for(lambda line: _matching(line, event, fields) is not None)
        assert line is not None, f"no {event} with {fields} in {self._log.so_far()}"
        parsed: dict[str, Any] = json.loads(line)
        return parsed

    # The end

    def terminate(self) -> None:
        """Send SIGTERM: the gateway drains."""
        self._process.terminate()

    def kill(self) -> None:
        """Send SIGKILL: it ends as it stands."""
        self._process.kill()

    def wait(self) -> int:
        """The exit status, once it has ended."""
        return self._process.wait(PATIENCE)

    def end(self) -> None:
        """End the process in any case and close what it held."""
        try:
            if self._process.poll() is None:
                self.terminate()
                self.wait()
        finally:
            self._process.kill()
            self._process.wait()
            self._output.close()
            self._log.close()

    def assert_clean_log(self) -> None:
        """Each line of the log is JSON below ``error``, and no token is in what was written."""
        lines = self._log.so_far()
        odd = [line for line in lines if not line.startswith("{") or '"level":"error"' in line]
        assert not odd, "\n".join(odd)
        written = "\n".join([*lines, *self._output.so_far()])
        leaked = [name for name, token in self.tokens.items() if token in written]
        assert not leaked, f"the gateway wrote down the tokens of {leaked}"


def _matching(line: str, event: str, fields: Mapping[str, object]) -> dict[str, Any] | None:
    if f'"event":"{event}"' not in line:
        return None
    parsed: dict[str, Any] = json.loads(line)
    return parsed if all(parsed.get(key) == value for key, value in fields.items()) else None


@contextmanager
def running_gateway(
    state: Path,
    *options: str,
    hosts: Sequence[str] = (LOOPBACK,),
    device_tokens: Mapping[str, str] | None = None,
    inside: Sequence[str] = (),
) -> Iterator[GatewayProcess]:
    """A gateway on a free port; it has ended, with a clean log, when the block has.

    Args:
        options: Further options of ``wsdev serve``.
        hosts: Where it listens; empty for all interfaces, which is for closed networks only.
        device_tokens: Classes by device name, for tokens pinned to that name. With any, the
            gateway finds a token book and does not open the window of a first start.
        inside: A command that starts another one, such as ``ip netns exec <name>``.
    """
    secrets: dict[str, str] = {}
    if device_tokens:
        with TokenBook.open(state) as book:
            secrets = {
                name: book.create(device_class, name=name)[1]
                for name, device_class in device_tokens.items()
            }
    with starting_gateway(
        state, *options, hosts=hosts, device_tokens=secrets, inside=inside
    ) as gateway:
        gateway.wait_until_ready()
        with TokenBook.open(state, create=False) as book:
            gateway.use_book(book)
            yield gateway
    gateway.assert_clean_log()


@contextmanager
def starting_gateway(
    state: Path,
    *options: str,
    hosts: Sequence[str] = (LOOPBACK,),
    device_tokens: Mapping[str, str] | None = None,
    inside: Sequence[str] = (),
) -> Iterator[GatewayProcess]:
    """A gateway that is perhaps not ready yet, and whose log may say anything; it ends in any case.

    Args:
        device_tokens: Tokens by device name, which must not be in what it writes.
    """
    serve = [sys.executable, "-m", "wsdev", "serve", "--port", "0", "--state", str(state)]
    serve += ["--log-format", "json", "--drain", "0"]
    # Each test that wants the console says so, and where: they run side by side.
    serve += [*([] if "--console" in options else ["--no-console"]), *options]
    for host in hosts:
        serve += ["--host", host]
    gateway = GatewayProcess([*inside, *serve], device_tokens or {})
    try:
        yield gateway
    finally:
        gateway.end()
