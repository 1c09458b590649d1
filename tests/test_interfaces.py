from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing

import pytest

from wsdev.errors import AddressInUse, AddressUnavailable
from wsdev.interfaces import is_public, listen, own_addresses, reachable_urls


def has_ipv6() -> bool:
    with closing(socket.socket(socket.AF_INET6)) as sock:
        return sock.connect_ex(("::1", 9)) != errno.EADDRNOTAVAIL


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="needs IPv6 on loopback")


class Listening:
    """Sockets that are closed when the test ends."""

    def __init__(self) -> None:
        self.stack = ExitStack()

    def __call__(self, hosts: Sequence[str] = (), port: int = 0) -> list[socket.socket]:
        sockets = listen(hosts, port)
        for sock in sockets:
            self.stack.enter_context(closing(sock))
        return sockets


@pytest.fixture
def at() -> Iterator[Listening]:
    listening = Listening()
    with listening.stack:
        yield listening


def can_connect(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=10).close()
    except OSError:
        return False
    return True


def test_one_address_is_listened_on_and_no_other(at: Listening) -> None:
    (sock,) = at(["127.0.0.1"])
    port = sock.getsockname()[1]
    assert can_connect("127.0.0.1", port)
    assert not can_connect("127.0.0.2", port)
    assert not sock.getblocking()


@needs_ipv6
def test_all_interfaces_share_one_port_in_both_families(at: Listening) -> None:
    sockets = at()
    assert [sock.family for sock in sockets] == [socket.AF_INET, socket.AF_INET6]
    (port,) = {sock.getsockname()[1] for sock in sockets}
    assert can_connect("127.0.0.1", port)
    assert can_connect("127.0.0.2", port)
    assert can_connect("::1", port)


@needs_ipv6
def test_ipv6_socket_takes_no_ipv4(at: Listening) -> None:
    (sock,) = at(["::1"])
    assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
    assert not can_connect("127.0.0.1", sock.getsockname()[1])


def test_repeated_host_is_one(at: Listening) -> None:
    assert len(at(["127.0.0.1", "127.0.0.1"])) == 1
    assert len(at(["127.0.0.1", "127.0.0.2"])) == 2


def test_port_in_use_is_told_with_the_way_to_its_owner(at: Listening) -> None:
    (first,) = at(["127.0.0.1"])
    port = first.getsockname()[1]
    with pytest.raises(AddressInUse) as caught:
        at(["127.0.0.1"], port)
    assert caught.value.cause == f"port {port} is in use on 127.0.0.1"
    assert f"sport = :{port}" in caught.value.hint


def test_failure_leaves_no_socket_open(at: Listening) -> None:
    (second,) = at(["127.0.0.2"])
    port = second.getsockname()[1]
    with pytest.raises(AddressInUse):
        at(["127.0.0.1", "127.0.0.2"], port)
    at(["127.0.0.1"], port)
    assert can_connect("127.0.0.1", port)


@pytest.mark.parametrize("host", ["203.0.113.7", "2001:db8::7"])
def test_address_of_another_host_is_told(host: str, at: Listening) -> None:
    with pytest.raises(AddressUnavailable, match="cannot listen on"):
        at([host])


@pytest.mark.parametrize(
    "host", ["no.such.name.invalid", "", "a..b", "x" * 70 + ".invalid", "a\0b", "[::1]"]
)
def test_host_that_is_none_is_told(host: str, at: Listening) -> None:
    with pytest.raises(AddressUnavailable, match="no address and no name") as caught:
        at([host])
    assert "\0" not in caught.value.cause


def test_kernel_without_ipv6_serves_ipv4(at: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.socket

    def without_ipv6(family: int = -1, *args: int) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return real(family, *args)

    monkeypatch.setattr("wsdev.interfaces.socket.socket", without_ipv6)
    assert [sock.family for sock in at()] == [socket.AF_INET]
    with pytest.raises(AddressUnavailable, match="not supported"):
        at(["::1"])


def test_low_port_without_the_right_is_told(at: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_right(_: socket.socket, __: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("wsdev.interfaces.socket.socket.bind", no_right, raising=False)
    with pytest.raises(AddressUnavailable, match="no right") as caught:
        at(["127.0.0.1"], 80)
    assert "1024" in caught.value.hint


# Own addresses


def test_own_addresses_end_with_loopback_and_need_no_scope() -> None:
    addresses = [ipaddress.ip_address(text) for text in own_addresses()]
    assert ipaddress.ip_address("127.0.0.1") in addresses
    assert [a.is_loopback for a in addresses] == sorted(a.is_loopback for a in addresses)
    assert not any(a.version == 6 and a.is_link_local for a in addresses)


OWN = ["192.0.2.7", "2001:db8::7", "127.0.0.1", "::1"]


@needs_ipv6
def test_urls_are_those_of_each_interface_for_all_of_them(at: Listening) -> None:
    sockets = at()
    port = sockets[0].getsockname()[1]
    assert reachable_urls(sockets, "ws", OWN) == [
        (f"ws://192.0.2.7:{port}", True),
        (f"ws://[2001:db8::7]:{port}", True),
        (f"ws://127.0.0.1:{port}", False),
        (f"ws://[::1]:{port}", False),
    ]


def test_url_is_the_one_of_the_address_that_was_asked_for(at: Listening) -> None:
    sockets = at(["127.0.0.1"])
    port = sockets[0].getsockname()[1]
    assert reachable_urls(sockets, "wss", OWN) == [(f"wss://127.0.0.1:{port}", False)]


@pytest.mark.parametrize(
    ("hosts", "own", "public"),
    [
        (["0.0.0.0"], ["10.0.0.7", "127.0.0.1"], False),
        (["0.0.0.0"], ["192.168.1.7", "100.64.0.7", "169.254.0.7"], False),
        (["0.0.0.0"], ["10.0.0.7", "1.2.3.4"], True),
        (["0.0.0.0"], ["2a00::7"], False),
        (["127.0.0.1"], ["1.2.3.4"], False),
        pytest.param(["::"], ["fd00::7", "::1"], False, marks=needs_ipv6),
        pytest.param(["::"], ["2a00::7"], True, marks=needs_ipv6),
        pytest.param(["::"], ["1.2.3.4"], False, marks=needs_ipv6),
    ],
)
def test_public_is_what_the_whole_internet_can_reach(
    hosts: list[str], own: list[str], public: bool, at: Listening
) -> None:
    assert is_public(at(hosts), own) is public
