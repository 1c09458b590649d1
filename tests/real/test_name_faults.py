"""Names that lead nowhere: each fault made with real DNS servers and hosts files in a namespace."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from gateway_process import running_gateway
from namespaces import GATEWAY, Network, made_inside, made_network
from probe_process import Found, probe

NAME = "gateway.example"
DNS_PORT = 53
NO_ERROR, SERVER_FAILS, NO_SUCH_NAME, REFUSED = 0, 2, 3, 5


@pytest.fixture
def network(need: Callable[[str], str]) -> Iterator[Network]:
    with made_network(need("ip")) as made:
        yield made


@pytest.fixture
def look_up(network: Network, tmp_path: Path) -> Callable[..., Found]:
    """A visit by a name, from a device with these settings."""

    def visit(
        url: str = NAME, *options: str, hosts: str = "", servers: tuple[str, ...] = (GATEWAY[4],)
    ) -> Found:
        (tmp_path / "hosts").write_text(hosts)
        (tmp_path / "nsswitch.conf").write_text("hosts: files dns\n")
        lines = "".join(f"nameserver {ip}\n" for ip in servers)
        lines += "options timeout:30 attempts:2\n"
        (tmp_path / "resolv.conf").write_text(lines)
        files = {f"/etc/{name}": tmp_path / name for name in _SETTINGS}
        return probe(url, *options, inside=network.device_side_with(files))

    return visit


_SETTINGS = ("hosts", "nsswitch.conf", "resolv.conf")


@contextmanager
def dns_server(network: Network, code: int | None) -> Iterator[None]:
    """A DNS server on the gateway's side that gives every question this code; None for silence."""

    def make() -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((GATEWAY[4], DNS_PORT))
        return sock

    def answer() -> None:
        while (asked := sock.recvfrom(512))[0]:
            question, where = asked
            if code is not None:
                flags = bytes([0x81, 0x80 | code])
                sock.sendto(question[:2] + flags + question[4:6] + bytes(6) + question[12:], where)

    with closing(made_inside(network.gateway, make)) as sock:
        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield
        finally:
            # An empty datagram ends it.
            end = made_inside(network.gateway, lambda: socket.socket(type=socket.SOCK_DGRAM))
            with closing(end):
                end.sendto(b"", (GATEWAY[4], DNS_PORT))
            thread.join()


@pytest.mark.parametrize("host", ["a..b", "a" * 64, f"{'a' * 64}.example"])
def test_host_that_is_no_name_is_told_as_malformed(host: str) -> None:
    found = probe(f"ws://{host}:3000")
    found.assert_fault("name_malformed", host, "label")


@pytest.mark.parametrize("host", ["192.0.2.300", "192.0.2.010", "10.1", "3000", "1.2.3.4.5"])
def test_slip_in_an_address_is_not_taken_for_another_address(host: str) -> None:
    found = probe(f"ws://{host}:3000")
    found.assert_fault("name_malformed", host)


def test_unknown_name(network: Network, look_up: Callable[..., Found]) -> None:
    with dns_server(network, NO_SUCH_NAME):
        found = look_up()
    found.assert_fault("name_unknown", NAME, "Name or service not known")


def test_unknown_local_name_is_told_to_need_mdns(
    network: Network, look_up: Callable[..., Found]
) -> None:
    with dns_server(network, NO_SUCH_NAME):
        found = look_up("gateway.local")
    found.assert_fault("name_unknown", "gateway.local", "mDNS")


def test_unknown_interface_of_a_link_local_address(look_up: Callable[..., Found]) -> None:
    found = look_up("ws://[fe80::1%25nosuch0]:3000")
    found.assert_fault("name_unknown", "no interface of this host is called nosuch0")
    assert "ip link" in found.report["verdict"]["fix"]


def test_name_without_an_address(network: Network, look_up: Callable[..., Found]) -> None:
    with dns_server(network, NO_ERROR):
        found = look_up()
    found.assert_fault("name_without_address", NAME, "No address associated with hostname")


def test_silent_dns_server_is_left_in_time_and_named(
    network: Network, look_up: Callable[..., Found]
) -> None:
    with dns_server(network, None):
        found = look_up(NAME, "--timeout", "2s")
    found.assert_fault("name_unanswered", "no answer within 1.6 s", f"{GATEWAY[4]}: no answer")
    # The step keeps to the time, and nothing that still waits keeps the process: glibc would
    # wait for a minute.
    (step,) = found.report["steps"]
    assert 1900 < step["ms"] < 4000
    assert found.seconds < 30


def test_dns_server_that_is_none(look_up: Callable[..., Found]) -> None:
    found = look_up()
    found.assert_fault("name_unanswered", f"DNS server {GATEWAY[4]}: nothing listens there")


@pytest.mark.parametrize(("code", "said"), [(SERVER_FAILS, "SERVFAIL"), (REFUSED, "REFUSED")])
def test_dns_server_that_fails_is_named_with_its_answer(
    network: Network, look_up: Callable[..., Found], code: int, said: str
) -> None:
    with dns_server(network, code):
        found = look_up()
    found.assert_fault("name_server_fails", NAME, f"DNS server {GATEWAY[4]}: answers {said}")


def test_failing_dns_server_tells_more_than_a_silent_one_beside_it(
    network: Network, look_up: Callable[..., Found]
) -> None:
    with dns_server(network, SERVER_FAILS):
        found = look_up(NAME, "--timeout", "5s", servers=("203.0.113.53", GATEWAY[4]))
    found.assert_fault("name_server_fails", "203.0.113.53: Network is unreachable", "SERVFAIL")


def test_no_dns_server_is_set(look_up: Callable[..., Found]) -> None:
    found = look_up(servers=())
    found.assert_fault("no_name_server", NAME, "/etc/resolv.conf")


def test_no_file_descriptor_for_the_lookup() -> None:
    limited = ("sh", "-ec", 'ulimit -n 6; exec "$@"', "sh")
    found = probe(NAME, inside=limited)
    found.assert_fault("no_socket", "Too many open files", layer="name")


# What works


def test_idna_name_is_looked_up_in_its_ascii_form(
    network: Network, look_up: Callable[..., Found], tmp_path: Path
) -> None:
    with running_gateway(tmp_path / "state", hosts=(), inside=network.gateway_side) as gateway:
        url = f"ws://bücher.example:{gateway.port}"
        found = look_up(url, hosts=f"{GATEWAY[4]} xn--bcher-kva.example\n")
    found.assert_fine()
    assert found.tcp == [(GATEWAY[4], "connected")]


def test_of_a_name_with_many_addresses_the_first_sixteen_are_tried(
    network: Network, look_up: Callable[..., Found], tmp_path: Path
) -> None:
    absent = [f"198.51.100.{last}" for last in range(100, 119)]
    hosts = "".join(f"{ip} {NAME}\n" for ip in [*absent, GATEWAY[4]])
    with running_gateway(tmp_path / "state", hosts=(), inside=network.gateway_side) as gateway:
        found = look_up(f"ws://{NAME}:{gateway.port}", hosts=hosts)
    # The address nearest to the device's own comes first (RFC 6724 rule 9).
    found.assert_fine()
    assert [outcome for _, outcome in found.tcp] == ["connected"] + 15 * ["unanswered"]


def test_dead_address_beside_a_live_one_costs_little_time(
    network: Network, look_up: Callable[..., Found], tmp_path: Path
) -> None:
    absent = "2001:db8:1::77"
    hosts = f"{absent} {NAME}\n{GATEWAY[4]} {NAME}\n"
    with running_gateway(tmp_path / "state", hosts=(), inside=network.gateway_side) as gateway:
        found = look_up(f"ws://{NAME}:{gateway.port}", hosts=hosts)
    found.assert_fine("first_address_fails")
    assert found.tcp == [(absent, "unanswered"), (GATEWAY[4], "connected")]
    # The kernel looks for the absent one for 3 s, then says so; the one that works leaves it less.
    assert next(step["ms"] for step in found.report["steps"] if step["name"] == "tcp") > 1900
