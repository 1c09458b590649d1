"""The bare peer: an asyncio server of the `websockets` package that answers each message.

    python -m benchmarks.bare_server asyncio|uvloop

As a beginner writes it (asyncio and json) or as one who looks for speed does (uvloop, msgspec).
No tokens, no classes, no limits, no names: what the package itself costs. Prints its port.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
import uvloop
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

Handler = Callable[[ServerConnection], Awaitable[None]]

LOOPBACK: Final = "127.0.0.1"
BACKLOG: Final = 2048


class _Message(msgspec.Struct):
    id: str = ""


class _Ack(msgspec.Struct, tag_field="type", tag="ack"):
    id: str


_decoder = msgspec.json.Decoder(_Message)
_encoder = msgspec.json.Encoder()


async def answer_with_json(connection: ServerConnection) -> None:
    """Acknowledge each message, with the standard library's codec."""
    try:
        async for text in connection:
            message = json.loads(text)
            await connection.send(json.dumps({"type": "ack", "id": message.get("id", "")}))
    except ConnectionClosed:
        pass


async def answer_with_msgspec(connection: ServerConnection) -> None:
    """Acknowledge each message, with the codec that wsdev uses, from bytes to bytes."""
    try:
        while True:
            message = _decoder.decode(await connection.recv(decode=False))
            await connection.send(_encoder.encode(_Ack(message.id)), text=True)
    except ConnectionClosed:
        pass


async def _serve(handler: Handler) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with serve(handler, LOOPBACK, 0, compression=None, backlog=BACKLOG) as server:
        sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
        sys.stdout.flush()
        await stop.wait()


def main(kind: str) -> None:
    """Serve until SIGTERM."""
    if kind == "uvloop":
        uvloop.run(_serve(answer_with_msgspec))
    else:
        asyncio.run(_serve(answer_with_json))


if __name__ == "__main__":
    main(sys.argv[1])
