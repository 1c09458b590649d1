from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest
from fake_gateways import LOOPBACK
from hypothesis import given
from hypothesis import strategies as st

from wsdev import name_servers
from wsdev.diagnosis.facts import DnsServer
from wsdev.name_servers import ask_servers, listed_servers, make_query, read_code


def test_servers_are_those_of_the_settings(tmp_path: Path) -> None:
    settings = tmp_path / "resolv.conf"
    settings.write_text(
        "# nameserver 192.0.2.1\nsearch example\nnameserver 192.0.2.2\n  nameserver\tfe80::1%lo x\n"
        "nameserver\noptions edns0\nnameserver 192.0.2.3\nnameserver 192.0.2.4\n"
    )
    assert listed_servers(settings) == ["192.0.2.2", "fe80::1%lo", "192.0.2.3"]


def test_no_settings_no_servers(tmp_path: Path) -> None:
    assert listed_servers(tmp_path / "resolv.conf") == []


def test_query_asks_for_the_ipv4_address_of_the_name() -> None:
    query = make_query("bücher.example.")
    assert query[2:12] == bytes.fromhex("01000001000000000000")
    assert query[12:] == b"\x0dxn--bcher-kva\x07example\x00\x00\x01\x00\x01"
    # Its number cannot be foreseen by who would answer in the server's place.
    assert len({make_query("a")[:2] for _ in range(20)}) > 1


def reply_to(query: bytes, code: int) -> bytes:
    return query[:2] + bytes([0x81, 0x80 | code]) + query[4:]


@pytest.mark.parametrize(
    ("code", "word"),
    [(0, "NOERROR"), (2, "SERVFAIL"), (3, "NXDOMAIN"), (5, "REFUSED"), (9, "code 9")],
)
def test_code_of_a_reply(code: int, word: str) -> None:
    query = make_query("gateway.example")
    assert read_code(query, reply_to(query, code)) == word


def test_what_is_no_reply_to_the_query_has_no_code() -> None:
    query = make_query("gateway.example")
    other = bytes([query[0] ^ 1]) + query[1:]
    assert read_code(query, query) == ""  # a question
    assert read_code(query, reply_to(other, 2)) == ""
    assert read_code(query, reply_to(query, 2)[:11]) == ""


@given(st.binary(max_size=100))
def test_any_reply_is_read(reply: bytes) -> None:
    assert isinstance(read_code(make_query("a"), reply), str)


class Server(asyncio.DatagramProtocol):
    """Answers each question with ``code``; None for silence."""

    def __init__(self, code: int | None) -> None:
        self._code = code

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if self._code is not None:
            self._transport.sendto(reply_to(data, self._code), addr)


@contextlib.asynccontextmanager
async def serving(code: int | None, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """The one DNS server of this host."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: Server(code), local_addr=(LOOPBACK, 0)
    )
    monkeypatch.setattr(name_servers, "_PORT", transport.get_extra_info("sockname")[1])
    monkeypatch.setattr(name_servers, "listed_servers", lambda: [LOOPBACK])
    try:
        yield
    finally:
        transport.close()


@pytest.mark.parametrize(
    ("code", "patience", "told"),
    [
        (2, 10.0, DnsServer(LOOPBACK, "SERVFAIL")),
        (0, 10.0, DnsServer(LOOPBACK, "NOERROR")),
        (None, 0.1, DnsServer(LOOPBACK, trouble="no answer")),
    ],
)
async def test_server_is_told_with_its_answer(
    monkeypatch: pytest.MonkeyPatch, code: int | None, patience: float, told: DnsServer
) -> None:
    async with serving(code, monkeypatch):
        assert await ask_servers("gateway.example", patience) == [told]


async def test_server_that_is_not_there_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((LOOPBACK, 0))
        port = sock.getsockname()[1]
    monkeypatch.setattr(name_servers, "_PORT", port)
    monkeypatch.setattr(name_servers, "listed_servers", lambda: [LOOPBACK, "fe80::1", "no address"])
    first, second, third = await ask_servers("gateway.example", 10)
    assert first.trouble == "nothing listens there"
    assert second.trouble
    assert third.trouble


async def test_name_that_is_none_is_asked_of_nobody() -> None:
    assert await ask_servers("a..b", 10) == []
