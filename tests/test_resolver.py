from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsdev.resolver import resolve, socket_address

PORT = 3000


@pytest.mark.parametrize(
    ("host", "family"), [("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)]
)
async def test_address_means_itself(host: str, family: int) -> None:
    found = await resolve(host, PORT, 10)
    assert [(one[0], one[4][:2]) for one in found] == [(family, (host, PORT))]


async def test_name_that_is_none_is_a_unicode_error() -> None:
    with pytest.raises(UnicodeError):
        await resolve("a..b", PORT, 10)


class SlowSystem:
    """``getaddrinfo`` of a system whose DNS server is silent, until it is let go."""

    def __init__(self) -> None:
        self.asked, self.go = threading.Event(), threading.Event()

    def __call__(self, *_: object, **__: object) -> list[Any]:
        self.asked.set()
        self.go.wait(20)
        raise socket.gaierror(socket.EAI_AGAIN, "at last")


def test_silent_system_is_left_and_its_late_answer_disturbs_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slow = SlowSystem()
    monkeypatch.setattr(socket, "getaddrinfo", slow)

    async def look_up() -> None:
        with pytest.raises(TimeoutError):
            await resolve("gateway.example", PORT, 0.1)

    asyncio.run(look_up(), debug=True)
    # The loop is closed, and the thread still waits: it must not keep the process.
    (waiting,) = [one for one in threading.enumerate() if one.name == "wsdev-resolver"]
    assert waiting.daemon
    slow.go.set()
    waiting.join()


async def test_answer_after_the_deadline_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = SlowSystem()
    monkeypatch.setattr(socket, "getaddrinfo", slow)
    with pytest.raises(TimeoutError):
        await resolve("gateway.example", PORT, 0.01)
    slow.go.set()
    for thread in threading.enumerate():
        if thread.name == "wsdev-resolver":
            thread.join()
    await asyncio.sleep(0)  # the loop takes the answer


@pytest.mark.parametrize("error", [OSError(24, "Too many open files"), UnicodeError("label")])
async def test_error_of_the_system_is_passed_on(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object, **__: object) -> list[Any]:
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(type(error)) as caught:
        await resolve("gateway.example", PORT, 10)
    assert caught.value is error


# Addresses for connect


@given(st.ip_addresses().map(str), st.integers(1, 65535))
def test_plain_address_needs_no_more_than_its_port(ip: str, port: int) -> None:
    assert socket_address(ip, port) == (ip, port)


def test_scope_becomes_a_number() -> None:
    assert socket_address("fe80::1%7", PORT) == ("fe80::1", PORT, 0, 7)
    loopback = socket.if_nametoindex("lo")
    assert socket_address("fe80::1%lo", PORT) == ("fe80::1", PORT, 0, loopback)


def test_scope_that_is_no_interface_is_none() -> None:
    assert socket_address("fe80::1%nosuch0", PORT) == ("fe80::1", PORT, 0, 0)
