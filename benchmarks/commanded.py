"""The gateway with a way to send commands, until operators have one: a socket beside its state.

    python -m benchmarks.commanded [options of wsdev serve]

Each line on the Unix socket :data:`SOCKET` names a device. It gets a command through the hub, and
the line comes back, with what became of the command behind the name.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import typer

from wsdev import runner, settings
from wsdev.commands.options import takes_serve_settings
from wsdev.errors import WsdevError
from wsdev.hub import Hub, SentCommand

SOCKET: Final = "commands"
"""In the state folder."""

COMMAND: Final = {"name": "servo", "args": {"angle": 90}}


class CommandedHub(Hub):
    """A hub that takes commands from a Unix socket too, on the gateway's event loop."""

    def __init__(self, path: Path, *, max_command: int) -> None:
        super().__init__(max_command=max_command)
        # Listens before the gateway says that it is ready.
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen()
        self._starting = asyncio.get_running_loop().create_task(
            asyncio.start_unix_server(self._take_commands, sock=listener)
        )

    async def _take_commands(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        async for line in reader:
            name = line.decode().strip()
            try:
                self.send(name, COMMAND, partial(_tell, writer, name), now=time.monotonic())
            except WsdevError as error:
                writer.write(f"{name} {error.code}\n".encode())
        writer.close()


def _tell(writer: asyncio.StreamWriter, name: str, sent: SentCommand) -> None:
    if not writer.is_closing():
        writer.write(f"{name} {sent.outcome}\n".encode())


@takes_serve_settings
def serve(flags: dict[str, Any], config: Path | None) -> None:
    """Run a gateway that takes commands, to measure them."""
    given = settings.load(flags, os.environ, config)
    hub = partial(CommandedHub, given.state_folder() / SOCKET)
    # The runner makes the hub itself. All else is to be as in the real gateway.
    with patch.object(runner, "Hub", hub):
        runner.run(given, typer.echo)


if __name__ == "__main__":
    app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)
    app.command()(serve)
    sys.exit(app())
