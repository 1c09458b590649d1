"""The gateway with a way to send commands, until operators have one: a socket beside its state.

    python -m benchmarks.commanded SOCKET [options of wsdev serve]

Each line on the Unix socket is a device's name. It gets a command through the hub, and the line
comes back with what became of that behind it, once the device has said so.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import typer

from wsdev import runner, settings
from wsdev.commands.options import takes_serve_settings
from wsdev.errors import WsdevError
from wsdev.hub import Hub, SentCommand

COMMAND = {"name": "servo", "args": {"angle": 90}}


class CommandedHub(Hub):
    """A hub that takes commands from a Unix socket of its own, on the gateway's event loop."""

    def __init__(self, *, max_command: int) -> None:
        super().__init__(max_command=max_command)
        path = sys.argv[1]
        self._starting = asyncio.get_running_loop().create_task(
            asyncio.start_unix_server(self._serve, path)
        )

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def settled(name: bytes, outcome: str) -> None:
            writer.write(b"%s %s\n" % (name, outcome.encode()))

        async for line in reader:
            name = line.strip()

            def on_done(sent: SentCommand, name: bytes = name) -> None:
                settled(name, sent.outcome)

            try:
                self.send(name.decode(), COMMAND, on_done, now=time.monotonic())
            except WsdevError as error:
                settled(name, error.cause)
        writer.close()


