from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from starlette.types import Message

from wsdev.console.streams import Stream


class Client:
    """An ASGI server's half, whose client can go away and can be slow."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.gone = asyncio.Event()
        self.may_send = asyncio.Event()
        self.may_send.set()

    async def receive(self) -> Message:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        await self.may_send.wait()
        self.sent.append(message)

    async def take(self, stream: Stream) -> None:
        await stream({"type": "http"}, self.receive, self.send)


class Pieces:
    """Pieces, and whether their generator was closed."""

    def __init__(self, *pieces: bytes, endless: bool = False) -> None:
        self.pieces = pieces
        self.endless = endless
        self.made = 0
        self.closed = False

    async def all(self) -> AsyncGenerator[bytes, None]:
        try:
            for piece in self.pieces:
                self.made += 1
                yield piece
            if self.endless:
                await asyncio.Event().wait()
        finally:
            self.closed = True


def bodies(client: Client) -> list[Any]:
    return [message["body"] for message in client.sent[1:]]


async def test_all_pieces_are_sent_and_the_generator_closed() -> None:
    client, pieces = Client(), Pieces(b"a", b"b")
    await client.take(Stream(pieces.all(), "text/plain"))
    assert bodies(client) == [b"a", b"b", b""]
    assert b"content-length" not in dict(client.sent[0]["headers"])
    assert pieces.closed


async def test_client_that_goes_away_ends_it() -> None:
    client, pieces = Client(), Pieces(b"a", endless=True)
    task = asyncio.create_task(client.take(Stream(pieces.all(), "text/plain")))
    await asyncio.sleep(0)
    client.gone.set()
    await task
    assert pieces.closed


async def test_client_that_does_not_take_a_piece_is_made_no_other() -> None:
    client, pieces = Client(), Pieces(b"a", b"b", b"c")
    client.may_send.clear()
    task = asyncio.create_task(client.take(Stream(pieces.all(), "text/plain")))
    for _ in range(10):
        await asyncio.sleep(0)
    assert pieces.made == 0
    client.may_send.set()
    await task
    assert pieces.made == 3


async def test_head_alone_closes_the_generator() -> None:
    stream = Stream(Pieces(b"a").all(), "text/plain", {"X-A": "b"})
    answer = await stream.without_pieces()
    assert (answer.headers["x-a"], answer.body) == ("b", b"")
