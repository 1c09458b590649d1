"""FastAPI on uvicorn, with what uvicorn chooses: python -m benchmarks.bare.fastapi_server.

It chooses uvloop, since wsdev brings that.
"""

from __future__ import annotations

import asyncio
import json

import uvicorn
from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from benchmarks.bare.listening import BACKLOG, create_socket, tell_port


async def answer(socket: WebSocket) -> None:
    """Acknowledge each message of one connection, as ``receive_json`` and ``send_json`` would.

    Those know either text or binary.
    """
    await socket.accept()
    try:
        while True:
            event = await socket.receive()
            if event["type"] == "websocket.disconnect":
                return
            if (picture := event.get("bytes")) is not None:
                await socket.send_json({"type": "ack", "size": len(picture)})
                continue
            message = json.loads(event["text"])
            if "id" in message:
                await socket.send_json({"type": "ack", "id": message["id"]})
    except WebSocketDisconnect:
        pass


async def _serve(server: uvicorn.Server) -> None:
    loop = asyncio.get_running_loop()

    def look() -> None:
        if server.started:
            tell_port(sock)
        else:
            loop.call_later(0.01, look)

    with create_socket() as sock:
        look()
        await server.serve(sockets=[sock])


def main() -> None:
    """Serve until SIGTERM."""
    app = FastAPI()
    app.add_api_websocket_route("/{path:path}", answer)
    config = uvicorn.Config(
        app,
        log_level="error",
        access_log=False,
        backlog=BACKLOG,
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=1,
    )
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(_serve(uvicorn.Server(config)))


if __name__ == "__main__":
    main()
