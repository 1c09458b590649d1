from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from fake_gateways import LOOPBACK, closed_port, full_backlog
from hypothesis import given
from hypothesis import strategies as st

from wsdev import reach
from wsdev.diagnosis.facts import AddressFacts, DnsServer, NameFacts, NameTrouble, TcpOutcome
from wsdev.reach import (
    GRACE,
    MAX_ADDRESSES,
    find_routes,
    look_up,
    open_socket,
    slip_in_address,
    source_address,
    try_all,
)

PORT = 3000


@contextlib.contextmanager
def listening(host: str = LOOPBACK) -> Iterator[int]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as listener:
        yield listener.getsockname()[1]


def name_of(*addresses: AddressFacts) -> NameFacts:
    return NameFacts("gateway.example", list(addresses))


# Names


async def test_address_is_its_own_name() -> None:
    name = await look_up("127.0.0.1", PORT, 10)
    assert [(one.ip, one.port, one.outcome) for one in name.addresses] == [
        ("127.0.0.1", PORT, None)
    ]
    assert name.trouble is None
    assert name.seconds is not None


async def test_malformed_name() -> None:
    name = await look_up("a..b", PORT, 10)
    assert name.trouble is NameTrouble.MALFORMED
    assert "label" in name.system_says
    assert name.addresses == []


@given(st.ip_addresses().map(str))
def test_address_has_no_slip(ip: str) -> None:
    assert slip_in_address(ip) == ""


@pytest.mark.parametrize("host", ["gateway.example", "3com.example", "a", "fe80::1%2"])
def test_name_is_no_slip_of_an_address(host: str) -> None:
    assert slip_in_address(host) == ""


@pytest.mark.parametrize(
    "host", ["192.0.2.300", "192.0.2.010", "10.1", "0", "1.2.3.4.5", "..", "1."]
)
async def test_slip_in_an_address_is_asked_of_nobody(host: str) -> None:
    name = await look_up(host, PORT, 10)
    assert name.trouble is NameTrouble.MALFORMED
    assert name.system_says


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (socket.gaierror(socket.EAI_NONAME, "not known"), NameTrouble.UNKNOWN),
        (socket.gaierror(socket.EAI_AGAIN, "temporary"), NameTrouble.UNANSWERED),
        (socket.gaierror(socket.EAI_FAIL, "failed"), NameTrouble.UNANSWERED),
        (socket.gaierror(socket.EAI_MEMORY, "no memory"), NameTrouble.NOT_ASKED),
        (OSError(errno.EMFILE, "Too many open files"), NameTrouble.NOT_ASKED),
        (TimeoutError(), NameTrouble.UNANSWERED),
    ],
)
async def test_error_of_the_resolver_becomes_the_trouble_with_the_name(
    monkeypatch: pytest.MonkeyPatch, error: Exception, trouble: NameTrouble
) -> None:
    async def fail(*_: object) -> list[Any]:
        raise error

    async def ask(host: str, patience: float) -> list[DnsServer]:
        assert 0 < patience <= 2
        return [DnsServer("192.0.2.53", "SERVFAIL")]

    monkeypatch.setattr(reach, "resolve", fail)
    monkeypatch.setattr(reach, "ask_servers", ask)
    name = await look_up("gateway.example", PORT, 10)
    assert name.trouble is trouble
    assert name.system_says
    # The DNS servers are asked only where they may be the reason.
    assert (name.servers is not None) == (trouble is NameTrouble.UNANSWERED)


async def test_addresses_keep_their_order_once_each_with_scopes_up_to_a_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    many = [("192.0.2.9", PORT), ("192.0.2.9", PORT), ("fe80::1", PORT, 0, 7)]
    many += [(f"192.0.2.{last}", PORT) for last in range(100, 130)]

    async def resolve(*_: object) -> list[Any]:
        return [(0, 0, 0, "", one) for one in many]

    monkeypatch.setattr(reach, "resolve", resolve)
    ips = [one.ip for one in (await look_up("gateway.example", PORT, 10)).addresses]
    assert ips[:3] == ["192.0.2.9", "fe80::1%7", "192.0.2.100"]
    assert len(ips) == MAX_ADDRESSES == len(set(ips))


# Routes


def test_loopback_is_reached_from_itself() -> None:
    assert source_address("127.0.0.1") == "127.0.0.1"
    name = name_of(AddressFacts("127.0.0.1", PORT))
    find_routes(name)
    assert (name.addresses[0].source, name.addresses[0].outcome) == ("127.0.0.1", None)


def test_address_without_a_way_is_not_tried_and_keeps_the_systems_words() -> None:
    name = name_of(AddressFacts("fe80::1", PORT))
    find_routes(name)
    assert name.addresses[0].outcome is TcpOutcome.UNREACHABLE
    assert name.addresses[0].system_says
    assert source_address("fe80::1") is None


def test_host_that_cannot_ask_is_not_taken_for_one_without_a_route(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(_: str) -> str:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(reach, "_find_source", fail)
    name = name_of(AddressFacts("127.0.0.1", PORT))
    find_routes(name)
    assert name.addresses[0].outcome is TcpOutcome.FAILED
    assert name.addresses[0].system_says == "Too many open files"


# TCP


async def test_each_address_is_tried_and_the_first_that_works_is_kept() -> None:
    with listening() as first, listening() as second:
        dead = closed_port()
        name = name_of(*(AddressFacts(LOOPBACK, port) for port in (dead, first, second)))
        sock = await try_all(name, 10)
        assert sock is not None
        with contextlib.closing(sock):
            assert sock.getpeername() == (LOOPBACK, first)
    outcomes = [one.outcome for one in name.addresses]
    assert outcomes == [TcpOutcome.REFUSED, TcpOutcome.CONNECTED, TcpOutcome.CONNECTED]
    assert all(one.seconds is not None for one in name.addresses)
    assert name.addresses[0].system_says == "Connection refused"


async def test_address_without_a_route_is_left_out() -> None:
    gone = AddressFacts("192.0.2.1", PORT, outcome=TcpOutcome.UNREACHABLE)
    assert await try_all(name_of(gone), 10) is None
    assert gone.seconds is None


async def test_silent_address_is_left_after_the_patience() -> None:
    with full_backlog() as port:
        silent = AddressFacts(LOOPBACK, port)
        assert await try_all(name_of(silent), 0.2) is None
    assert silent.outcome is TcpOutcome.UNANSWERED
    assert silent.seconds is not None
    assert 0.2 <= silent.seconds < 2


async def test_silent_address_beside_one_that_works_has_a_grace_only() -> None:
    with full_backlog() as silent, listening() as live:
        name = name_of(AddressFacts(LOOPBACK, silent), AddressFacts(LOOPBACK, live))
        started = time.monotonic()
        sock = await try_all(name, 60)
        took = time.monotonic() - started
    assert sock is not None
    sock.close()
    outcomes = [one.outcome for one in name.addresses]
    assert outcomes == [TcpOutcome.UNANSWERED, TcpOutcome.CONNECTED]
    assert GRACE <= took < 20


async def test_cancelled_try_leaves_nothing_behind() -> None:
    with full_backlog() as port:
        task = asyncio.create_task(try_all(name_of(AddressFacts(LOOPBACK, port)), 60))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.mark.parametrize(
    ("number", "ip", "outcome"),
    [
        (errno.ECONNREFUSED, "192.0.2.1", TcpOutcome.REFUSED),
        (errno.ETIMEDOUT, "192.0.2.1", TcpOutcome.UNANSWERED),
        (errno.EHOSTUNREACH, "192.0.2.1", TcpOutcome.REJECTED),
        (errno.EACCES, "2001:db8::1", TcpOutcome.REJECTED),
        (errno.EACCES, "192.0.2.1", TcpOutcome.FAILED),
        (errno.ENETUNREACH, "192.0.2.1", TcpOutcome.TURNED_BACK),
        (errno.EMFILE, "192.0.2.1", TcpOutcome.FAILED),
        (errno.EADDRNOTAVAIL, "192.0.2.1", TcpOutcome.FAILED),
    ],
)
async def test_error_of_the_system_becomes_the_outcome(
    monkeypatch: pytest.MonkeyPatch, number: int, ip: str, outcome: TcpOutcome
) -> None:
    async def fail(*_: object) -> socket.socket:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(reach, "open_socket", fail)
    address = AddressFacts(ip, PORT)
    assert await try_all(name_of(address), 10) is None
    assert address.outcome is outcome
    assert address.system_says == os.strerror(number)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_socket_to_either_family(host: str) -> None:
    with listening(host) as port, contextlib.closing(await open_socket(host, port)) as sock:
        assert sock.getpeername()[:2] == (host, port)
