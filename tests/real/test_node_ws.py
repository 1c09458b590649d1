"""Node's ``ws`` as a device: the client that most scripts and bridges use."""

from __future__ import annotations

import base64
import json
import random
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from gateway_process import GatewayProcess, running_gateway

DEVICE = Path(__file__).with_name("device.mjs")
PACKAGE = Path(__file__).parents[1] / "node_modules" / "ws"


class NodeDevice:
    """A process that runs device.mjs; see there for the orders and the facts."""

    def __init__(self, node: str) -> None:
        self._process = subprocess.Popen(
            [node, str(DEVICE)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def order(self, order: str, **details: Any) -> None:
        """Give an order."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"order": order, **details}) + "\n")
        self._process.stdin.flush()

    def fact(self, event: str) -> dict[str, Any]:
        """The next fact, which must be of ``event``."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"Node ended before {event}"
        fact: dict[str, Any] = json.loads(line)
        assert fact["event"] == event, fact
        return fact

    def connect(self, url: str, token: str = "", **options: Any) -> dict[str, Any]:
        """Connect with the token in a header; the fact that tells of the opening."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.order("connect", url=url, options={"headers": headers, **options})
        upgrade = self.fact("upgrade")["headers"]
        return self.fact("open") | {"headers": upgrade}

    def say(self, **message: Any) -> None:
        """Send a JSON message."""
        self.order("text", text=json.dumps(message))

    def heard(self) -> dict[str, Any]:
        """The next thing, which must be a JSON text message."""
        fact = self.fact("message")
        assert not fact["isBinary"]
        message: dict[str, Any] = json.loads(fact["text"])
        return message

    def hello(self, name: str) -> dict[str, Any]:
        """Say hello; the welcome."""
        self.say(type="connect", device=name, version="1.0.0")
        return self.heard()

    def end(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """One that treats this machine as a stranger."""
    state = tmp_path_factory.mktemp("state")
    with running_gateway(state, "--no-trust-local", device_tokens={"leaver": "pico"}) as running:
        yield running


@pytest.fixture
def new_device(need: Callable[[str], str]) -> Iterator[Callable[[], NodeDevice]]:
    """Makes devices, which end with the test."""
    node = need("node")
    if not PACKAGE.is_dir():
        pytest.skip("Node's ws is not installed: make tools")
    made: list[NodeDevice] = []

    def make() -> NodeDevice:
        made.append(NodeDevice(node))
        return made[-1]

    yield make
    for device in made:
        device.end()


@pytest.fixture
def device(new_device: Callable[[], NodeDevice]) -> NodeDevice:
    return new_device()


def test_header_token_lets_in_and_the_offer_to_compress_is_passed_over(
    gateway: GatewayProcess, device: NodeDevice
) -> None:
    opened = device.connect(gateway.url("/ws/pico"), gateway.tokens["pico"])
    assert (opened["extensions"], opened["protocol"]) == ("", "")
    assert opened["headers"][::2] == ["Upgrade", "Connection", "Sec-WebSocket-Accept"]


def test_query_token_lets_in(gateway: GatewayProcess, device: NodeDevice) -> None:
    device.connect(gateway.url(f"/ws/pico?token={gateway.tokens['pico']}"))
    assert device.hello("query")["device"] == "query"


def test_hello_and_telemetry_are_answered_in_order(
    gateway: GatewayProcess, device: NodeDevice
) -> None:
    device.connect(gateway.url("/ws/pico"), gateway.tokens["pico"])
    assert device.hello("talker")["type"] == "connection_ack"
    for number in range(100):
        device.say(type="telemetry", id=f"t-{number}", data={"celsius": number})
    acknowledged = [device.heard() for _ in range(100)]
    assert acknowledged == [{"type": "ack", "id": f"t-{number}"} for number in range(100)]
    device.order("close", code=1000)
    assert device.fact("close")["code"] == 1000


def test_picture_in_fragments_arrives_whole(gateway: GatewayProcess, device: NodeDevice) -> None:
    device.connect(gateway.url("/ws/esp32cam"), gateway.tokens["esp32cam"])
    session = device.hello("camera")["session"]
    jpeg = b"\xff\xd8" + random.Random(1).randbytes(60_000) + b"\xff\xd9"
    pieces = [jpeg[start : start + 1400] for start in range(0, len(jpeg), 1400)]
    device.say(type="frame", size=len(jpeg), width=640, height=480, fps=10)
    device.order("fragments", pieces=[base64.b64encode(piece).decode() for piece in pieces])
    line = gateway.wait_for_log("binary", session=session)
    assert (line["size"], line["jpeg"], line["announced"]) == (len(jpeg), True, len(jpeg))
    device.order("ping", payload="still here")
    assert device.fact("pong")["text"] == "still here"


def test_ping_of_the_gateway_is_answered(
    gateway: GatewayProcess, new_device: Callable[[], NodeDevice]
) -> None:
    first, second = new_device(), new_device()
    for twin in (first, second):
        twin.connect(gateway.url("/ws/pico"), gateway.tokens["pico"])
    assert first.hello("twin")["device"] == "twin"
    # The gateway asks the first for a sign of life, and believes it.
    assert second.hello("twin")["device"] == "twin-2"
    assert first.fact("ping")["size"] == 4


def test_revoked_token_closes_with_a_code_that_says_stay_away(
    gateway: GatewayProcess, device: NodeDevice
) -> None:
    device.connect(gateway.url("/ws/pico"), gateway.tokens["leaver"])
    assert device.hello("")["device"] == "leaver"
    gateway.book.revoke("leaver")
    closed = device.fact("close")
    assert (closed["code"], bool(closed["reason"])) == (4501, True)
    device.order("connect", url=gateway.url(f"/ws/pico?token={gateway.tokens['leaver']}"))
    assert json.loads(device.fact("refused")["body"])["code"] == "token_retired"


def test_refusal_can_be_read(gateway: GatewayProcess, device: NodeDevice) -> None:
    device.order("connect", url=gateway.url("/ws/pico"))
    refused = device.fact("refused")
    body = json.loads(refused["body"])
    assert (refused["status"], body["code"]) == (401, "token_missing")
    assert gateway.wait_for_log("refused", request_id=body["request_id"])["status"] == 401


def test_message_over_the_limit_is_closed_with_1009(
    gateway: GatewayProcess, device: NodeDevice
) -> None:
    device.connect(gateway.url("/ws/pico"), gateway.tokens["pico"])
    device.say(type="log", message="x" * 70_000)
    assert device.fact("close")["code"] == 1009


def test_compression_is_spoken_where_the_operator_wants_it(
    tmp_path: Path, device: NodeDevice
) -> None:
    with running_gateway(tmp_path, "--no-trust-local", "--compression") as gateway:
        options = {"perMessageDeflate": {"threshold": 0}}
        url, token = gateway.url("/ws/pico"), gateway.tokens["pico"]
        assert "permessage-deflate" in device.connect(url, token, **options)["extensions"]
        assert device.hello("packed")["device"] == "packed"
        device.say(type="telemetry", id=1, data={"pad": "x" * 50_000})
        assert device.heard() == {"type": "ack", "id": 1}
        # The limit counts what the message is, not what it was packed to.
        device.say(type="telemetry", id=2, data={"pad": "x" * 70_000})
        assert device.fact("close")["code"] == 1009
