from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import pytest
from fake_gateways import full_backlog

from wsdev.tcp import connect_tcp


@contextlib.contextmanager
def listening(family: socket.AddressFamily, host: str) -> Iterator[socket.socket]:
    with socket.create_server((host, 0), family=family) as server:
        yield server


@pytest.mark.parametrize(
    ("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
)
async def test_socket_is_connected_and_does_not_block(
    family: socket.AddressFamily, host: str
) -> None:
    with listening(family, host) as server, await connect_tcp(family, server.getsockname()) as sock:
        assert sock.getpeername() == server.getsockname()
        assert not sock.getblocking()


async def test_source_is_taken() -> None:
    with (
        listening(socket.AF_INET, "127.0.0.1") as server,
        await connect_tcp(socket.AF_INET, server.getsockname(), "127.0.0.7"),
    ):
        peer, (address, _) = server.accept()
        peer.close()
        assert address == "127.0.0.7"


async def test_nothing_is_left_open_when_it_fails() -> None:
    with listening(socket.AF_INET, "127.0.0.1") as server:
        closed = server.getsockname()
    with pytest.raises(ConnectionRefusedError):
        await connect_tcp(socket.AF_INET, closed)


async def test_nothing_is_left_open_when_it_is_given_up() -> None:
    with full_backlog() as port, pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await connect_tcp(socket.AF_INET, ("127.0.0.1", port))
