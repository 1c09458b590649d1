"""A device on another machine, as far as the kernel is concerned; see namespaces.py."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from curl import Curl
from gateway_process import GatewayProcess, running_gateway
from namespaces import DEVICE, GATEWAY, Network, made_network, namespace_names

from wsdev.tokens import TokenBook

BEHIND_PROXY = "203.0.113.9"

VISIT = Path(__file__).with_name("namespace_visit.py")
EVERYWHERE: tuple[str, ...] = ()

UPGRADE = (
    *("--header", "Connection: Upgrade", "--header", "Upgrade: websocket"),
    *("--header", "Sec-WebSocket-Version: 13"),
    *("--header", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="),
)


@pytest.fixture
def network(need: Callable[[str], str]) -> Iterator[Network]:
    with made_network(need("ip")) as made:
        yield made


@pytest.fixture
def curl(need: Callable[[str], str], network: Network) -> Curl:
    """curl on the devices' side."""
    return Curl(need("curl"), network.device_side)


@contextmanager
def gateway_in(network: Network, state: Path, *options: str) -> Iterator[GatewayProcess]:
    """A gateway that listens on all interfaces of its side."""
    with running_gateway(state, *options, hosts=EVERYWHERE, inside=network.gateway_side) as running:
        yield running


def shown(address: str) -> str:
    """``address`` as it stands in a URL."""
    return f"[{address}]" if ":" in address else address


class Visit:
    """A device that connects from a namespace; see namespace_visit.py."""

    def __init__(self, inside: tuple[str, ...], url: str, token: str = "") -> None:
        self._process = subprocess.Popen(
            [*inside, sys.executable, str(VISIT), url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdin is not None
        self._process.stdin.write(f"{token}\n")
        self._process.stdin.flush()

    def __enter__(self) -> Visit:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._process.kill()
        self._process.communicate()

    def fact(self) -> dict[str, Any]:
        """The next thing that it tells."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the visit ended without a word"
        fact: dict[str, Any] = json.loads(line)
        return fact

    def leave(self) -> int:
        """Let it close; the code with which the gateway answers."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return int(self.fact()["closed"])

    def assert_is_served(self) -> str:
        """It gets its welcome and its acknowledgement; the address that it has itself."""
        local = str(self.fact()["local"])
        welcome, acknowledgement = self.fact()["answer"], self.fact()["answer"]
        assert (welcome["type"], welcome["device"]) == ("connection_ack", "shed")
        assert acknowledgement == {"type": "ack", "id": "t-1"}
        return local


# From another address


@pytest.mark.parametrize("version", [4, 6], ids=["IPv4", "IPv6"])
def test_device_with_a_token_is_let_in_and_logged_as_itself(
    network: Network, tmp_path: Path, version: int
) -> None:
    with gateway_in(network, tmp_path) as gateway:
        url = gateway.url("/ws/pico", host=shown(GATEWAY[version]))
        assert url.removesuffix("pico") + "<class>" in gateway.banner
        with Visit(network.device_side, url, gateway.tokens["pico"]) as device:
            assert device.assert_is_served() == DEVICE[version]
            connected = gateway.wait_for_log("connected", address=DEVICE[version])
            session = connected["session"]
            message = gateway.wait_for_log("message", session=session, type="telemetry")
            assert (message["device"], message["address"]) == ("shed", DEVICE[version])
            assert "via" not in connected
        gateway.wait_for_log("disconnected", session=session, address=DEVICE[version])


@pytest.mark.parametrize("version", [4, 6], ids=["IPv4", "IPv6"])
def test_device_without_a_token_is_refused_and_logged_as_itself(
    network: Network, tmp_path: Path, version: int
) -> None:
    with gateway_in(network, tmp_path) as gateway:
        url = gateway.url("/ws/pico", host=shown(GATEWAY[version]))
        with Visit(network.device_side, url) as device:
            refusal = device.fact()
        assert (refusal["status"], refusal["body"]["code"]) == (401, "token_missing")
        assert "Authorization: Bearer" in refusal["body"]["hint"]
        line = gateway.wait_for_log("refused", request_id=refusal["body"]["request_id"])
        assert (line["code"], line["address"]) == ("token_missing", DEVICE[version])
        assert gateway.log_lines("connected") == []


@pytest.mark.parametrize("version", [4, 6], ids=["IPv4", "IPv6"])
def test_stranger_who_claims_to_be_local_is_still_a_stranger(
    network: Network, curl: Curl, tmp_path: Path, version: int
) -> None:
    claims = [
        *("Host: localhost", "Origin: http://localhost", "X-Forwarded-For: 127.0.0.1"),
        *("Forwarded: for=127.0.0.1", "X-Real-IP: ::1"),
    ]
    lying = [option for claim in claims for option in ("--header", claim)]
    with gateway_in(network, tmp_path, "--public-tokens", "off") as gateway:
        host = shown(GATEWAY[version])
        for path, status in (("/ws/pico", 401), ("/public/tokens", 403)):
            url = gateway.url(path, scheme="http", host=host)
            for claimed in ([], lying[:2], lying[:4], lying):
                answer = curl(url, *UPGRADE, *claimed)
                assert answer.status == status
                line = gateway.wait_for_log("refused", request_id=answer.json()["request_id"])
                assert line["address"] == DEVICE[version]


def test_host_itself_needs_a_token_at_its_outer_address_only(
    network: Network, tmp_path: Path
) -> None:
    with gateway_in(network, tmp_path) as gateway:
        for host in ("127.0.0.1", "[::1]", "localhost"):
            with Visit(network.gateway_side, gateway.url("/ws/pico", host=host)) as own:
                own.assert_is_served()
                assert own.leave() == 1000
        for version in (4, 6):
            url = gateway.url("/ws/pico", host=shown(GATEWAY[version]))
            with Visit(network.gateway_side, url) as outside:
                assert outside.fact()["body"]["code"] == "token_missing"


def test_page_tells_a_visitor_the_address_it_is_seen_from(
    network: Network, curl: Curl, tmp_path: Path
) -> None:
    with gateway_in(network, tmp_path) as gateway:
        for version in (4, 6):
            host = shown(GATEWAY[version])
            page = curl(gateway.url("/", scheme="http", host=host)).body.decode()
            assert DEVICE[version] in page
            assert gateway.url("/ws/pico", host=host) in page


# The token window


def test_tokens_are_handed_out_only_while_the_window_is_open(
    network: Network, curl: Curl, tmp_path: Path
) -> None:
    host = GATEWAY[4]
    with gateway_in(network, tmp_path) as gateway:
        url = gateway.url("/public/tokens", scheme="http", host=host)
        camera = gateway.url("/ws/esp32cam", host=host)
        handed = curl(url)
        assert handed.status == 200
        assert gateway.wait_for_log("tokens_given")["address"] == DEVICE[4]
        with Visit(network.device_side, camera, handed.json()["esp32cam_tokens"][0]) as device:
            device.assert_is_served()
            # The second change is noticed no earlier than the first, and the device sees it.
            gateway.book.close_window()
            gateway.book.revoke("esp32cam")
            assert device.fact() == {"closed": 4501}
        refusal = curl(url)
        assert (refusal.status, refusal.json()["code"]) == (403, "tokens_closed")
        assert "wsdev tokens open" in refusal.json()["hint"]
        inside = Curl(curl.program, network.gateway_side)
        assert inside(gateway.url("/public/tokens", scheme="http")).status == 200
        gateway.book.open_window(600)
    with gateway_in(network, tmp_path) as gateway:
        assert curl(gateway.url("/public/tokens", scheme="http", host=host)).status == 200


@pytest.mark.parametrize(("policy", "status"), [("open", 200), ("window", 403), ("off", 403)])
def test_later_start_follows_the_policy(
    network: Network, curl: Curl, tmp_path: Path, policy: str, status: int
) -> None:
    TokenBook.open(tmp_path).close()
    with gateway_in(network, tmp_path, "--public-tokens", policy) as gateway:
        url = gateway.url("/public/tokens", scheme="http", host=GATEWAY[4])
        assert curl(url).status == status
        assert ("WARNING: anyone who can reach" in gateway.banner) == (policy == "open")


# Proxies and crowds


def test_trusted_proxy_speaks_for_others_but_not_for_this_machine(
    network: Network, curl: Curl, tmp_path: Path
) -> None:
    with gateway_in(network, tmp_path, "--trusted-proxy", f"{DEVICE[4]}/32") as gateway:
        url = gateway.url("/ws/pico", scheme="http", host=GATEWAY[4])
        for forwarded in (BEHIND_PROXY, "127.0.0.1"):
            header = f"X-Forwarded-For: 192.0.2.66, {forwarded}"
            refusal = curl(url, *UPGRADE, "--header", header, "--header", "Host: localhost")
            assert (refusal.status, refusal.json()["code"]) == (401, "token_missing")
            line = gateway.wait_for_log("refused", request_id=refusal.json()["request_id"])
            assert (line["address"], line["via"]) == (forwarded, DEVICE[4])


def test_one_connection_too_many_is_refused_and_the_others_notice_nothing(
    network: Network, curl: Curl, tmp_path: Path
) -> None:
    with gateway_in(network, tmp_path, "--limit", "connections_per_address=1") as gateway:
        url = gateway.url("/ws/pico", host=GATEWAY[4])
        with Visit(network.device_side, url, gateway.tokens["pico"]) as first:
            first.assert_is_served()
            refusal = curl(gateway.url("/healthz", scheme="http", host=GATEWAY[4]))
            assert (refusal.status, refusal.json()["code"]) == (429, "too_many_connections")
            other = gateway.url("/ws/pico", host=shown(GATEWAY[6]))
            with Visit(network.device_side, other, gateway.tokens["pico"]) as second:
                assert second.fact()["local"] == DEVICE[6]
            assert first.leave() == 1000


# The network of these tests themselves


def test_network_is_gone_after_a_failure(need: Callable[[str], str]) -> None:
    ip = need("ip")

    def there() -> set[str]:
        listed = subprocess.run([ip, "netns", "list"], capture_output=True, check=True, text=True)
        return set(listed.stdout.split()) & set(namespace_names())

    def fail() -> None:
        with made_network(ip):
            assert len(there()) == 2
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert there() == set()
