"""aiohttp on uvloop, with msgspec: python -m benchmarks.bare.aiohttp_server."""

from __future__ import annotations

import asyncio
import signal

import uvloop
from aiohttp import WSMsgType, web

from benchmarks.bare.codec import answer_to_picture, answer_to_text
from benchmarks.bare.listening import BACKLOG, create_socket, tell_port


async def answer(request: web.Request) -> web.StreamResponse:
    """Acknowledge each message of one connection."""
    socket = web.WebSocketResponse(compress=False)
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            ack = answer_to_text(message.data)
        else:
            ack = answer_to_picture(len(message.data))
        if ack is not None:
            await socket.send_str(ack.decode())
    return socket


async def _serve() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    sock = create_socket()
    await web.SockSite(runner, sock, backlog=BACKLOG).start()
    tell_port(sock)
    await stop.wait()
    await runner.cleanup()


if __name__ == "__main__":
    uvloop.run(_serve())
