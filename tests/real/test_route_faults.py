"""Ways that lead nowhere: routes, firewalls, absent hosts and closed ports, each for real."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import trustme
from gateway_process import running_gateway
from namespaces import DEVICE, GATEWAY, UPLINK, Network, made_network
from probe_process import Found, probe

PORT = 3100
DEFAULT_PORT = 3000
ABSENT = {4: "198.51.100.77", 6: "2001:db8:1::77"}
ELSEWHERE = {4: "203.0.113.9", 6: "2001:db8:9::9"}
LOOPBACK = {4: "127.0.0.1", 6: "::1"}

BOTH = pytest.mark.parametrize("version", [4, 6], ids=["IPv4", "IPv6"])


@pytest.fixture
def network(need: Callable[[str], str]) -> Iterator[Network]:
    with made_network(need("ip")) as made:
        yield made


def url(host: str, port: int = PORT) -> str:
    return f"ws://[{host}]:{port}" if ":" in host else f"ws://{host}:{port}"


def from_device(network: Network, host: str, *options: str, port: int = PORT) -> Found:
    return probe(url(host, port), *options, inside=network.device_side)


@pytest.fixture
def firewall(need: Callable[[str], str], network: Network) -> Callable[[str], None]:
    """Adds a rule of nftables to what the gateway's side lets in."""
    nft = need("nft")

    def add(rule: str) -> None:
        network.on_gateway(nft, "add table inet wsdev")
        network.on_gateway(
            nft, "add chain inet wsdev in { type filter hook input priority 0; policy accept; }"
        )
        network.on_gateway(nft, f"add rule inet wsdev in {rule}")

    return add


# Route


@BOTH
def test_no_route(network: Network, version: int) -> None:
    found = from_device(network, ELSEWHERE[version])
    found.assert_fault(
        "no_route", ELSEWHERE[version], "Network is unreachable", "neither IPv4 nor IPv6"
    )


def test_address_of_a_family_that_this_network_lacks(network: Network) -> None:
    network.on_device(network.ip, "route", "add", "default", "via", GATEWAY[4])
    found = from_device(network, ELSEWHERE[6])
    found.assert_fault("no_route", ELSEWHERE[6], "ways out of this host: IPv4 only")


@BOTH
def test_name_with_addresses_of_an_unreachable_family_only(
    network: Network, tmp_path: Path, version: int
) -> None:
    hosts, other = tmp_path / "hosts", {4: 6, 6: 4}[version]
    hosts.write_text(f"{ELSEWHERE[version]} gateway.example\n")
    network.on_device(network.ip, "route", "add", "default", "via", GATEWAY[other])
    inside = network.device_side_with({"/etc/hosts": hosts})
    found = probe("ws://gateway.example:3100", inside=inside)
    found.assert_fault(
        "family_unreachable", ELSEWHERE[version], f"IPv{other} has a way out of this host"
    )


@BOTH
def test_router_without_a_route(network: Network, version: int) -> None:
    settings = {4: "net.ipv4.ip_forward", 6: "net.ipv6.conf.all.forwarding"}
    setting = settings[version].replace(".", "/")
    network.on_gateway("sh", "-c", f"echo 1 >/proc/sys/{setting}")
    network.on_device(network.ip, "route", "add", "default", "via", GATEWAY[version])
    found = from_device(network, ELSEWHERE[version])
    found.assert_fault("router_no_route", ELSEWHERE[version], "Network is unreachable")


def test_link_local_address_without_its_interface(network: Network) -> None:
    found = from_device(network, "fe80::1")
    found.assert_fault("scope_missing", "fe80::1", "Invalid argument")


def test_link_local_address_with_its_interface_works(network: Network, tmp_path: Path) -> None:
    network.on_gateway(
        network.ip, "address", "add", "fe80::aa/64", "dev", UPLINK, "scope", "link", "nodad"
    )
    network.on_device(
        network.ip, "address", "add", "fe80::bb/64", "dev", UPLINK, "scope", "link", "nodad"
    )
    with running_gateway(tmp_path, hosts=(), inside=network.gateway_side) as gateway:
        for form in (f"fe80::aa%{UPLINK}", f"fe80::aa%25{UPLINK}"):
            from_device(network, form, port=gateway.port).assert_fine()
        gateway.wait_for_log("connected")


# Refused


def test_refused_where_nothing_listens(network: Network) -> None:
    for host in GATEWAY.values():
        found = from_device(network, host)
        found.assert_fault("refused", host, str(PORT), "Connection refused")
        assert "127.0.0.1 only" in found.report["verdict"]["why"]


@BOTH
def test_refused_on_loopback_is_told_to_be_this_device(network: Network, version: int) -> None:
    found = from_device(network, LOOPBACK[version])
    found.assert_fault("refused", LOOPBACK[version], "this very device")
    assert "start wsdev serve here" in found.report["verdict"]["fix"]


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_wildcard_copied_from_the_server(network: Network, host: str) -> None:
    with closing(network.gateway_listens(host, PORT)):
        found = from_device(network, host)
    found.assert_fault("wildcard_address", host)


def test_refused_from_outside_where_the_server_listens_on_loopback_only(network: Network) -> None:
    with closing(network.gateway_listens("127.0.0.1", PORT)):
        found = from_device(network, GATEWAY[4])
    found.assert_fault("refused", GATEWAY[4])
    assert "--host 127.0.0.1" in found.report["verdict"]["fix"]


@BOTH
@pytest.mark.parametrize("loopback", LOOPBACK.values())
def test_server_on_loopback_only_is_seen_on_its_own_host(
    network: Network, version: int, loopback: str
) -> None:
    with closing(network.gateway_listens(loopback, PORT)):
        found = probe(url(GATEWAY[version]), inside=network.gateway_side)
    found.assert_fault("loopback_only", GATEWAY[version], f"{loopback} port {PORT} takes")


@pytest.mark.parametrize(
    ("asked", "listens"), [("::1", "127.0.0.1"), ("127.0.0.1", "::1"), ("127.0.1.1", "127.0.0.1")]
)
def test_server_on_the_other_loopback_address(network: Network, asked: str, listens: str) -> None:
    with closing(network.gateway_listens(listens, PORT)):
        found = probe(url(asked), inside=network.gateway_side)
    found.assert_fault("loopback_family", asked, f"{listens} port {PORT} takes connections")


@pytest.mark.parametrize(("means", "listens"), [("::1", "127.0.0.1"), ("127.0.0.1", "::1")])
def test_localhost_that_means_the_family_without_the_server(
    network: Network, tmp_path: Path, means: str, listens: str
) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text(f"{means} localhost\n")
    inside = network.device_side_with({"/etc/hosts": hosts})
    with closing(network.device_listens(listens, PORT)):
        found = probe(f"ws://localhost:{PORT}", inside=inside)
    found.assert_fault("loopback_family", means, f"{listens} port {PORT} takes connections")


def test_localhost_with_both_families_works_with_a_remark(network: Network, tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 localhost\n::1 localhost\n")
    inside = network.device_side_with({"/etc/hosts": hosts})
    with running_gateway(tmp_path, inside=network.device_side) as gateway:
        found = probe(f"ws://localhost:{gateway.port}", inside=inside)
    found.assert_fine("first_address_fails")
    assert found.tcp == [("::1", "refused"), ("127.0.0.1", "connected")]


def test_wrong_port_while_the_default_one_answers(network: Network) -> None:
    with closing(network.gateway_listens(GATEWAY[4], DEFAULT_PORT)):
        found = from_device(network, GATEWAY[4], port=80)
    found.assert_fault("wrong_port", f"{GATEWAY[4]}:80 refused", "port 3000 of the same host")
    assert ":3000" in found.report["verdict"]["fix"]


# Firewalls and absent hosts


@BOTH
def test_dropped(network: Network, firewall: Callable[[str], None], version: int) -> None:
    firewall(f"tcp dport {PORT} drop")
    with closing(network.gateway_listens(GATEWAY[version], PORT)):
        found = from_device(network, GATEWAY[version], "--timeout", "1s")
    found.assert_fault("unanswered", GATEWAY[version], "gave no answer for 1.0 s")
    assert 900 < found.report["steps"][-1]["ms"] < 5000


def test_dropped_while_the_default_port_answers(
    network: Network, firewall: Callable[[str], None]
) -> None:
    firewall("tcp dport != 3000 drop")
    with closing(network.gateway_listens(GATEWAY[4], DEFAULT_PORT)):
        found = from_device(network, GATEWAY[4], "--timeout", "1s", port=80)
    found.assert_fault("unanswered", f"{GATEWAY[4]}:80", "port 3000 of the same host takes")
    assert ":3000" in found.report["verdict"]["fix"]


@BOTH
def test_rejected_with_a_reset_is_refused(
    network: Network, firewall: Callable[[str], None], version: int
) -> None:
    firewall(f"tcp dport {PORT} reject with tcp reset")
    with closing(network.gateway_listens(GATEWAY[version], PORT)):
        found = from_device(network, GATEWAY[version])
    found.assert_fault("refused", GATEWAY[version])
    assert "firewall" in found.report["verdict"]["why"]


@BOTH
@pytest.mark.parametrize("word", ["admin-prohibited", "host-unreachable"])
def test_rejected_with_icmp(
    network: Network, firewall: Callable[[str], None], version: int, word: str
) -> None:
    firewall(f"tcp dport {PORT} reject with icmpx type {word}")
    with closing(network.gateway_listens(GATEWAY[version], PORT)):
        found = from_device(network, GATEWAY[version])
    found.assert_fault("rejected", GATEWAY[version])


@BOTH
def test_host_absent(network: Network, version: int) -> None:
    found = from_device(network, ABSENT[version])
    found.assert_fault("host_absent", ABSENT[version], "No route to host")


def test_path_that_drops_large_packets(
    network: Network, firewall: Callable[[str], None], tmp_path: Path
) -> None:
    leaf = trustme.CA().issue_cert(GATEWAY[4])
    leaf.private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    certificate = str(tmp_path / "server.pem")
    options = ("--tls-cert", certificate, "--tls-key", certificate)
    # The ClientHello with its names and keys is larger than a bare TCP segment.
    firewall("meta length > 300 drop")
    with running_gateway(
        tmp_path / "state", *options, hosts=(), inside=network.gateway_side
    ) as gateway:
        wanted = f"wss://{GATEWAY[4]}:{gateway.port}"
        found = probe(wanted, "--timeout", "2s", inside=network.device_side)
    found.assert_fault("tls_unanswered")
    assert "drops large packets" in found.report["verdict"]["why"]


# This host's own faults


def test_no_port_left(network: Network) -> None:
    settings = "/proc/sys/net/ipv4/ip_local_port_range"
    network.on_device("sh", "-c", f"echo 40000 40000 >{settings}")
    with (
        closing(network.gateway_listens(GATEWAY[4], PORT)),
        closing(network.device_listens(DEVICE[4], 40000)),
    ):
        found = from_device(network, GATEWAY[4])
    found.assert_fault("no_socket", "Cannot assign requested address")
