"""Sending in pieces: the bytes stay the same, in their order."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsdev.paced_transport import PacedTransport

HEAD = b"GET /ws/pico HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n"


class Wire:
    """The transport below: keeps what is written, as one would see it leave."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.is_ended = self.is_closed = False

    def write(self, data: bytes) -> None:
        self.pieces.append(data)

    def write_eof(self) -> None:
        self.is_ended = True

    def is_closing(self) -> bool:
        return self.is_closed

    def get_write_buffer_size(self) -> int:
        return 5

    def get_extra_info(self, name: str) -> str:
        return f"the {name}"


def masked(payload: bytes) -> bytes:
    size = len(payload)
    head = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return b"\x81" + head + b"mask" + payload


def paced(**habits: Any) -> tuple[PacedTransport, Wire]:
    wire = Wire()
    return PacedTransport(wire, **habits), wire  # type: ignore[arg-type]


async def settle() -> None:
    for _ in range(400):
        await asyncio.sleep(0)


async def test_without_habits_all_leaves_at_once() -> None:
    transport, wire = paced()
    transport.write(HEAD)
    assert wire.pieces == [HEAD]
    assert transport.get_extra_info("peername") == "the peername"


async def test_head_leaves_line_by_line_and_frames_whole() -> None:
    transport, wire = paced(lines=True)
    transport.write(HEAD)
    transport.write(masked(b"hello"))
    await settle()
    assert wire.pieces == [*HEAD.splitlines(keepends=True), masked(b"hello")]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 3000])
async def test_frames_leave_in_head_and_payload(size: int) -> None:
    transport, wire = paced(apart=True)
    transport.write(HEAD)
    frame = masked(b"x" * size)
    transport.write(frame + masked(b"y"))
    await settle()
    assert b"".join(wire.pieces) == HEAD + frame + masked(b"y")
    parts = [frame[: len(frame) - size], b"x" * size, masked(b"y")[:-1], b"y"]
    assert wire.pieces == [HEAD, *filter(None, parts)]


@given(st.binary(min_size=1, max_size=60), st.integers(1, 20))
def test_pieces_are_no_longer_than_asked_for(data: bytes, piece: int) -> None:
    async def run() -> None:
        transport, wire = paced(piece=piece)
        transport.write(data)
        assert transport.get_write_buffer_size() == 5 + len(data) - len(wire.pieces[0])
        await settle()
        assert b"".join(wire.pieces) == data
        assert max(map(len, wire.pieces)) <= piece

    asyncio.run(run())


async def test_pause_is_between_two_pieces() -> None:
    transport, wire = paced(piece=1, pause=60.0)
    transport.write(b"abc")
    await settle()
    assert wire.pieces == [b"a"]


async def test_what_is_held_leaves_after_the_release_and_then_the_end() -> None:
    transport, wire = paced()
    transport.hold()
    transport.write(b"a")
    transport.write(b"b")
    transport.write_eof()
    await settle()
    assert (wire.pieces, wire.is_ended) == ([], False)
    assert transport.get_write_buffer_size() == 7
    transport.release()
    await settle()
    assert (wire.pieces, wire.is_ended) == ([b"a", b"b"], True)


async def test_nothing_leaves_once_the_transport_is_closing() -> None:
    transport, wire = paced(piece=1)
    transport.write(b"abc")
    wire.is_closed = True
    await settle()
    assert wire.pieces == [b"a"]
