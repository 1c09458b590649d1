"""``wsdev serve`` with a door to its command desk: a Unix socket beside its state.

    python commanded_gateway.py STATE [--die-marked] [options of wsdev serve]

Each line on the socket is the JSON of a device's name and a command to queue for it; the command's
id comes back once it is on disk.
With ``--die-marked`` the process kills itself between the mark on disk and the sending.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

from wsdev import command_desk, runner
from wsdev.cli import main

SOCKET = "commands.sock"


class CommandedDesk(command_desk.CommandDesk):
    """A desk that also listens on a socket, from before the gateway says that it is ready."""

    path: Path
    dies_marked = False

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self.path))
        listener.listen()
        self._serving = asyncio.get_running_loop().create_task(
            asyncio.start_unix_server(self._serve, sock=listener)
        )

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async for line in reader:
            device, command = json.loads(line)
            record = self.submit(device, command, timeout=60, queue_for=3600, by="test")
            await self.kept()
            writer.write(f"{record.id}\n".encode())
        writer.close()

    def _hand_over(self, *arguments: Any) -> None:
        if self.dies_marked:
            os.kill(os.getpid(), signal.SIGKILL)
        super()._hand_over(*arguments)


def ask(state: Path, *commands: dict[str, Any], device: str = "kitchen") -> list[str]:
    """Queue commands for a device; their ids, once they are on disk."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(30)
        sock.connect(str(state / SOCKET))
        with sock.makefile("rw") as file:
            ids = []
            for command in commands:
                file.write(f"{json.dumps([device, command])}\n")
                file.flush()
                ids.append(file.readline().strip())
    return ids


if __name__ == "__main__":
    state = Path(sys.argv.pop(1))
    CommandedDesk.path = state / SOCKET
    if "--die-marked" in sys.argv:
        CommandedDesk.dies_marked = True
        sys.argv.remove("--die-marked")
    with patch.object(runner, "CommandDesk", CommandedDesk):
        main()
