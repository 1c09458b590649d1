"""The asyncio server of the `websockets` package.

    python -m benchmarks.bare.websockets_server asyncio|uvloop

As a beginner writes it (asyncio and json) or as one who looks for speed does (uvloop, msgspec).
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Awaitable, Callable

import uvloop
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from benchmarks.bare.codec import answer_to_picture, answer_to_text
from benchmarks.bare.listening import BACKLOG, create_socket, tell_port

Handler = Callable[[ServerConnection], Awaitable[None]]


async def answer_with_json(connection: ServerConnection) -> None:
    """Acknowledge each message, with the standard library's codec."""
    try:
        async for data in connection:
            if isinstance(data, bytes):
                await connection.send(json.dumps({"type": "ack", "size": len(data)}))
                continue
            message = json.loads(data)
            if "id" in message:
                await connection.send(json.dumps({"type": "ack", "id": message["id"]}))
    except ConnectionClosed:
        pass


async def answer_with_msgspec(connection: ServerConnection) -> None:
    """Acknowledge each message, with the codec that wsdev uses, from bytes to bytes."""
    try:
        while True:
            data = await connection.recv(decode=False)
            # Undecoded, text and binary look alike; no picture begins like an object in JSON.
            is_text = data.startswith(b"{")
            answer = answer_to_text(data) if is_text else answer_to_picture(len(data))
            if answer is not None:
                await connection.send(answer, text=True)
    except ConnectionClosed:
        pass


async def _serve(handler: Handler) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    sock = create_socket()
    async with serve(handler, sock=sock, compression=None, backlog=BACKLOG):
        tell_port(sock)
        await stop.wait()


def main(kind: str) -> None:
    """Serve until SIGTERM."""
    if kind == "uvloop":
        uvloop.run(_serve(answer_with_msgspec))
    else:
        asyncio.run(_serve(answer_with_json))


if __name__ == "__main__":
    main(sys.argv[1])
