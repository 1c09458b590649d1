"""The websockets package's asyncio client as a device, with the defaults that it comes with."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from gateway_process import GatewayProcess, running_gateway
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.typing import Subprotocol

from wsdev.token_format import new_token


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """One that treats this machine as a stranger."""
    state = tmp_path_factory.mktemp("state")
    pinned = {"leaver": "pico", "kitchen": "pico"}
    with running_gateway(state, "--no-trust-local", device_tokens=pinned) as running:
        yield running


@asynccontextmanager
async def connected(
    gateway: GatewayProcess, holder: str | None = "pico", device_class: str = "pico", **options: Any
) -> AsyncIterator[ClientConnection]:
    """A device with the token of ``holder``, a class or a device's name; None for no token."""
    headers = {"Authorization": f"Bearer {gateway.tokens[holder]}"} if holder else {}
    url = gateway.url(f"/ws/{device_class}")
    async with connect(url, additional_headers=headers, proxy=None, **options) as device:
        keepalive = device.keepalive_task
        yield device
    if keepalive is not None:
        # The client cancels it and does not wait for its end.
        await asyncio.wait([keepalive])


async def say(device: ClientConnection, /, **message: Any) -> None:
    await device.send(json.dumps(message))


async def heard(device: ClientConnection) -> dict[str, Any]:
    text = await device.recv()
    assert isinstance(text, str)
    message: dict[str, Any] = json.loads(text)
    return message


async def hello(device: ClientConnection, name: str) -> dict[str, Any]:
    await say(device, type="connect", device=name, version="1.0.0")
    return await heard(device)


async def refusal(url: str, token: str = "") -> tuple[int, dict[str, Any]]:
    """The status and the body of a connection that is not let in."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with pytest.raises(InvalidStatus) as refused:
        async with connect(url, additional_headers=headers, proxy=None):
            pass
    response = refused.value.response
    return response.status_code, json.loads(response.body or b"")


async def test_conversation_with_the_defaults_of_the_client(gateway: GatewayProcess) -> None:
    async with connected(gateway) as device:
        assert device.response is not None
        names = [name for name, _ in device.response.headers.raw_items()]
        assert names == ["Upgrade", "Connection", "Sec-WebSocket-Accept"]
        welcome = await hello(device, "greenhouse")
        assert (welcome["type"], welcome["device"]) == ("connection_ack", "greenhouse")
        assert welcome["ping_interval"] == 20
        await say(device, type="telemetry", id="t-1", data={"celsius": 21.5}, seq=1)
        assert await heard(device) == {"type": "ack", "id": "t-1"}
        await say(device, type="telemetry", data={"celsius": 21.5})
        await say(device, type="ping", timestamp="10:15")
        pong = await heard(device)
        assert (pong["type"], pong["timestamp"]) == ("pong", "10:15")
        assert isinstance(pong["server_time"], float)
    assert device.close_code == 1000
    line = gateway.wait_for_log("disconnected", session=welcome["session"])
    assert (line["code"], line["by"], line["messages"]) == (1000, "peer", 4)


async def test_keepalive_of_the_client_is_answered(gateway: GatewayProcess) -> None:
    async with connected(gateway, ping_interval=0.02, ping_timeout=10) as device:
        await hello(device, "nervous")
        for payload in (b"", b"x", b"x" * 125):
            assert await (await device.ping(payload)) >= 0


async def test_a_thousand_messages_at_once_are_acknowledged_in_order(
    gateway: GatewayProcess,
) -> None:
    async with connected(gateway) as device:
        await hello(device, "busy")

        async def send_all() -> None:
            for number in range(1000):
                await say(device, type="telemetry", id=number, data={"n": number})

        sending = asyncio.create_task(send_all())
        acknowledged = [(await heard(device))["id"] for _ in range(1000)]
        await sending
    assert acknowledged == list(range(1000))


async def test_fragmented_text_and_picture_are_joined(gateway: GatewayProcess) -> None:
    jpeg = b"\xff\xd8" + random.Random(2).randbytes(100_000) + b"\xff\xd9"
    async with connected(gateway, "esp32cam", "esp32cam") as device:
        session = (await hello(device, "yard"))["session"]
        await device.send(['{"type":"fra', 'me","size":', f"{len(jpeg)}}}"])
        await device.send([jpeg[:1], b"", jpeg[1:50_000], jpeg[50_000:]])
        line = gateway.wait_for_log("binary", session=session)
        assert (line["size"], line["jpeg"], line["announced"]) == (len(jpeg), True, len(jpeg))


async def test_own_subprotocol_is_taken_and_others_are_passed_over(
    gateway: GatewayProcess,
) -> None:
    offers = [Subprotocol("mqtt"), Subprotocol("wsdev.v1")]
    async with connected(gateway, subprotocols=offers) as device:
        assert device.subprotocol == "wsdev.v1"
    async with connected(gateway, subprotocols=offers[:1]) as device:
        assert device.subprotocol is None


@pytest.mark.parametrize("origin", ["https://elsewhere.example", "null", "file://"])
async def test_origin_is_not_judged_when_the_token_is_good(
    gateway: GatewayProcess, origin: str
) -> None:
    async with connected(gateway, origin=origin) as device:
        assert (await hello(device, "page"))["type"] == "connection_ack"


async def test_refusal_can_be_read_and_found_in_the_log(gateway: GatewayProcess) -> None:
    status, body = await refusal(gateway.url("/ws/pico"))
    assert (status, body["code"]) == (401, "token_missing")
    assert gateway.wait_for_log("refused", request_id=body["request_id"])["status"] == 401
    status, body = await refusal(gateway.url("/ws/pico"), new_token("pico"))
    assert (status, body["code"]) == (401, "token_unknown")
    status, body = await refusal(gateway.url("/ws/pico"), gateway.tokens["esp32cam"])
    assert (status, body["code"]) == (403, "wrong_class")
    status, body = await refusal(gateway.url("/ws/toaster"), gateway.tokens["pico"])
    assert (status, body["code"]) == (404, "unknown_class")


async def test_device_token_bears_its_name_and_no_other(gateway: GatewayProcess) -> None:
    async with connected(gateway, "kitchen") as device:
        assert (await hello(device, ""))["device"] == "kitchen"
    async with connected(gateway, "kitchen") as device:
        await say(device, type="connect", device="cellar")
        with pytest.raises(ConnectionClosedError) as closed:
            await heard(device)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4503
    assert "kitchen" in closed.value.rcvd.reason


async def test_odd_name_is_cleaned_and_told(gateway: GatewayProcess) -> None:
    async with connected(gateway) as device:
        welcome = await hello(device, "  \x1b]0;x\x07kücken \N{RIGHT-TO-LEFT OVERRIDE}1  ")
        assert welcome["device"] == "0-x-k-cken-1"
    line = gateway.wait_for_log("hello", session=welcome["session"])
    assert all(str(value).isprintable() for value in line.values())


async def test_revoked_token_closes_the_live_link_with_4501(gateway: GatewayProcess) -> None:
    async with connected(gateway, "leaver") as device, connected(gateway) as other:
        await hello(device, "leaver")
        await hello(other, "stays")
        gateway.book.revoke("leaver")
        with pytest.raises(ConnectionClosedError) as closed:
            await heard(device)
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd_then_sent) == (4501, True)
        await say(other, type="ping")
        assert (await heard(other))["type"] == "pong"
    status, body = await refusal(gateway.url("/ws/pico"), gateway.tokens["leaver"])
    assert (status, body["code"]) == (401, "token_retired")


async def test_own_program_on_this_machine_needs_no_token(tmp_path: Path) -> None:
    with running_gateway(tmp_path, "--public-tokens", "off") as gateway:
        async with connected(gateway, None) as device:
            session = (await hello(device, "own"))["session"]
        line = gateway.wait_for_log("connected", session=session)
        assert line["token"] == "none, trusted as local"
        # A token that is sent must be good, whoever sends it.
        status, body = await refusal(gateway.url("/ws/pico"), new_token("pico"))
        assert (status, body["code"]) == (401, "token_unknown")


async def test_compression_is_spoken_where_the_operator_wants_it(tmp_path: Path) -> None:
    with running_gateway(tmp_path, "--no-trust-local", "--compression") as gateway:
        async with connected(gateway) as device:
            assert device.response is not None
            extension = device.response.headers["Sec-WebSocket-Extensions"]
            assert extension.startswith("permessage-deflate")
            await hello(device, "packed")
            await say(device, type="telemetry", id=1, data={"pad": "x" * 60_000})
            assert await heard(device) == {"type": "ack", "id": 1}
        async with connected(gateway, compression=None) as device:
            assert (await hello(device, "plain"))["type"] == "connection_ack"


async def test_compressed_bomb_is_closed_with_1009(tmp_path: Path) -> None:
    with running_gateway(tmp_path, "--no-trust-local", "--compression") as gateway:
        async with connected(gateway) as device:
            await device.send("x" * 20_000_000)
            with pytest.raises(ConnectionClosedError) as closed:
                await heard(device)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009
