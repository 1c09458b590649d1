"""Answers that last: sent piece by piece until either side ends them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping

from starlette.responses import Response
from starlette.types import Receive, Scope, Send


class Stream(Response):
    """An answer made of the pieces of a generator, which is closed in any case.

    The next piece is asked for when the last one has gone out: a client that does not read holds
    one piece, and the generator waits.
    """

    def __init__(
        self,
        pieces: AsyncGenerator[bytes, None],
        media_type: str,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(b"", 200, dict(headers or {}), media_type)
        del self.headers["content-length"]
        self._pieces = pieces

    async def without_pieces(self) -> Response:
        """The head alone, for HEAD."""
        await self._pieces.aclose()
        return Response(headers=self.headers, status_code=self.status_code)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send all of it, or until the client is gone."""
        async with contextlib.aclosing(self._pieces):
            tasks = [asyncio.create_task(self._send(send)), asyncio.create_task(_gone(receive))]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                sending = tasks[0]
                was_sent = sending.done()
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            if was_sent:
                sending.result()

    async def _send(self, send: Send) -> None:
        await send(
            {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        )
        async for piece in self._pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
