"""The device libraries of the field against the real gateway, each as it speaks."""

from __future__ import annotations

import dataclasses
import json
import random
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from field_devices import (
    ARDUINO_HTTP_CLIENT,
    ESP_IDF,
    GILMAIMON,
    LIBRARIES,
    LINKS2004,
    MICROPYTHON_AIOHTTP,
    UWEBSOCKETS,
    Camera,
    ClosedByGateway,
    FieldDevice,
    Frame,
    Library,
    Opcode,
    Refused,
    ServoController,
    frame_header,
    get_by_length,
    get_to_the_end,
)
from gateway_process import GatewayProcess, running_gateway

HEAD_OF_101 = (
    b"HTTP/1.1 101 Switching Protocols\r\n"
    b"Upgrade: websocket\r\n"
    b"Connection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
    b"\r\n"
)
"""Some libraries match names and values case by case; the key is the one of RFC 6455."""

CAN_SEND_PICTURES = [library for library in LIBRARIES if library.largest_outbound is None]

by_name = pytest.mark.parametrize("library", LIBRARIES, ids=lambda library: library.name)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """One that treats this machine as a stranger."""
    state = tmp_path_factory.mktemp("state")
    pinned = {"revoked-pico": "pico", "door": "pico"}
    options = ("--no-trust-local", "--public-tokens", "open")
    with running_gateway(state, *options, device_tokens=pinned) as running:
        yield running


def device_of(
    gateway: GatewayProcess, library: Library, device_class: str = "pico", **more: Any
) -> FieldDevice:
    """A device with the class's token, not yet connected."""
    token = gateway.tokens[device_class]
    return FieldDevice(library, gateway.address, f"/ws/{device_class}", token, **more)


def hello(device: FieldDevice, name: str) -> dict[str, Any]:
    """Say hello under ``name``; the welcome."""
    device.send({"type": "connect", "device": name, "version": "2.0"})
    return device.receive()


def jpeg_of(size: int) -> bytes:
    """Bytes with a JPEG's start and end, of which the gateway reads no more."""
    return b"\xff\xd8" + random.Random(size).randbytes(size - 4) + b"\xff\xd9"


# Every library


@by_name
def test_library_gets_the_exact_101_and_then_silence(
    gateway: GatewayProcess, library: Library
) -> None:
    with device_of(gateway, library).connect() as device:
        assert device.answer_head == HEAD_OF_101
        device.ping(b"first word")
        # Had the gateway spoken before the device did, that would come first.
        assert device.read_frame() == Frame(Opcode.PONG, b"first word")


@by_name
def test_library_holds_a_conversation(gateway: GatewayProcess, library: Library) -> None:
    name = f"talk-{LIBRARIES.index(library)}"
    with device_of(gateway, library).connect() as device:
        welcome = hello(device, name)
        assert (welcome["type"], welcome["status"]) == ("connection_ack", "connected")
        assert welcome["device"] == name
        assert welcome["max_message_bytes"] == 64 * 1024
        for number in range(20):
            device.send({"type": "telemetry", "id": number, "data": {"celsius": 21.5}})
        device.send({"type": "log", "id": "boot-1", "message": "ready", "level": "info"})
        acknowledged = [device.receive() for _ in range(21)]
        assert acknowledged == [{"type": "ack", "id": id_} for id_ in (*range(20), "boot-1")]
        device.send({"type": "ping", "timestamp": 987})
        pong = device.receive()
        assert (pong["type"], pong["timestamp"]) == ("pong", 987)
        device.ping()
        assert device.read_frame() == Frame(Opcode.PONG, b"")
        answer = device.close()
    line = gateway.wait_for_log("disconnected", session=welcome["session"], device=name)
    assert line["messages"] == 23
    if library.close_payload is None:
        assert (line["code"], line["by"]) == (1006, "path")
    else:
        # An empty close frame may be answered with an empty one (RFC 6455 section 5.5.1).
        assert answer == library.close_payload
        assert (line["code"], line["by"]) == (1000 if answer else 1005, "peer")


@by_name
def test_library_without_a_token_reads_why_and_its_junk_is_dropped(
    gateway: GatewayProcess, library: Library
) -> None:
    with FieldDevice(library, gateway.address, "/ws/pico") as device:
        with pytest.raises(Refused) as refused:
            device.connect()
        assert refused.value.status == 401
        body = json.loads(refused.value.body)
        assert body["code"] == "token_missing"
        assert len(device.answer_head) + len(refused.value.body) < 1024
        # Firmware that did not look at the status goes on as if it were in.
        device.send({"type": "connect", "device": "junk"})
        device.ping(b"junk")
        device.wire.write(b"\x00" * 4096)
        assert device.wire.read_to_end() == b""
    line = gateway.wait_for_log("refused", request_id=body["request_id"])
    assert line["code"] == "token_missing"
    assert gateway.log_lines("connected", session=body["request_id"]) == []


@by_name
def test_library_answers_the_ping_that_settles_a_name(
    gateway: GatewayProcess, library: Library
) -> None:
    name = f"twin-{LIBRARIES.index(library)}"
    with (
        device_of(gateway, library).connect() as first,
        device_of(gateway, library).connect() as second,
    ):
        assert hello(first, name)["device"] == name
        second.send({"type": "connect", "device": name, "version": "2.0"})
        # One MicroPython client hangs on an empty ping.
        assert len(first.answer_ping()) == 4
        assert second.receive()["device"] == f"{name}-2"
        first.send({"type": "ping", "timestamp": 1})
        assert first.receive()["type"] == "pong"
    gateway.wait_for_log("two_devices_one_name", name=name, becomes=f"{name}-2")


@by_name
def test_library_is_closed_with_a_reason_that_it_can_read(
    gateway: GatewayProcess, library: Library
) -> None:
    """The token of another name: 4503 tells the device to stay away."""
    with device_of(gateway, library).connect() as device:
        device.send({"type": "connect", "device": "door", "version": "2.0"})
        with pytest.raises(ClosedByGateway) as closed:
            device.receive()
        assert closed.value.code == 4503
        assert 0 < len(closed.value.reason.encode()) <= 123
        if library.answers_close:
            assert device.wire.read_to_end() == b""


@pytest.mark.parametrize("library", CAN_SEND_PICTURES, ids=lambda library: library.name)
def test_library_sends_pictures(gateway: GatewayProcess, library: Library) -> None:
    with device_of(gateway, library, "esp32cam").connect() as device:
        camera = Camera(device, f"eye-{LIBRARIES.index(library)}")
        session = camera.hello()["session"]
        for size in (15_000, 61_440, 384_000):
            camera.picture(jpeg_of(size))
            line = gateway.wait_for_log("binary", session=session, size=size)
            assert (line["jpeg"], line["announced"]) == (True, size)
        camera.picture(jpeg_of(20_000)[:-1], size=20_000)
        line = gateway.wait_for_log("binary", session=session, size=19_999)
        assert (line["jpeg"], line["announced"]) == (False, 20_000)
        device.ping(b"still here")
        assert device.read_frame() == Frame(Opcode.PONG, b"still here")


# Habits of one


def test_thirty_fragments_with_pings_between_are_one_picture(gateway: GatewayProcess) -> None:
    pongs: list[Frame] = []
    with device_of(gateway, ESP_IDF, "esp32cam").connect() as device:
        session = hello(device, "fragments")["session"]

        def ping() -> None:
            device.ping(b"%d" % len(pongs))
            pongs.append(device.read_frame())

        frames = device.send_data(Opcode.BINARY, jpeg_of(30 * 1024), between=ping)
        assert frames == 30
        assert pongs == [Frame(Opcode.PONG, b"%d" % number) for number in range(29)]
        assert gateway.wait_for_log("binary", session=session)["size"] == 30 * 1024
        device.send({"type": "telemetry", "id": "after", "data": {}})
        assert device.receive() == {"type": "ack", "id": "after"}
    assert gateway.wait_for_log("disconnected", session=session)["messages"] == 3


def test_text_in_fragments_is_one_message(gateway: GatewayProcess) -> None:
    with device_of(gateway, ESP_IDF).connect() as device:
        # Each cut falls into a character of two bytes for one of the two offsets.
        for pad in ("", "x"):
            device.send({"type": "log", "id": f"umlauts{pad}", "message": pad + "ü" * 3000})
            assert device.receive() == {"type": "ack", "id": f"umlauts{pad}"}


@pytest.mark.parametrize("zero_mask", [True, False], ids=["mask of zeros", "mask"])
def test_65535_bytes_may_come_with_the_64_bit_length(
    gateway: GatewayProcess, zero_mask: bool
) -> None:
    library = dataclasses.replace(MICROPYTHON_AIOHTTP, zero_mask=zero_mask)
    text = json.dumps({"type": "telemetry", "id": "big", "data": {"pad": ""}})
    text = text.replace('"pad": ""', f'"pad": "{"x" * (65_535 - len(text))}"')
    assert len(text) == 65_535
    assert len(frame_header(library, Opcode.TEXT, len(text))) == 10
    with device_of(gateway, library).connect() as device:
        device.send_data(Opcode.TEXT, text.encode())
        assert device.receive() == {"type": "ack", "id": "big"}


def test_repeated_authorization_of_each_reconnect_is_one(gateway: GatewayProcess) -> None:
    with device_of(gateway, GILMAIMON) as device:
        for attempt in range(1, 6):
            device.connect()
            assert device.request_head().count(b"Authorization: ") == attempt
            assert hello(device, "reconnects")["type"] == "connection_ack"
            device.close()


@pytest.mark.parametrize("library", [GILMAIMON, ARDUINO_HTTP_CLIENT], ids=lambda lib: lib.name)
def test_host_without_a_port_is_taken(gateway: GatewayProcess, library: Library) -> None:
    with device_of(gateway, library, seen_as=("gateway.example", 80)) as device:
        assert b"\r\nHost: gateway.example\r\n" in device.request_head()
        device.connect()
        assert hello(device, "mapped")["type"] == "connection_ack"


def test_token_of_a_query_is_in_no_log(gateway: GatewayProcess) -> None:
    with device_of(gateway, ARDUINO_HTTP_CLIENT) as device:
        assert gateway.tokens["pico"].encode() in device.request_head()
        device.connect()
        session = hello(device, "queried")["session"]
    line = gateway.wait_for_log("connected", session=session)
    assert gateway.tokens["pico"] not in json.dumps(line)
    with (
        FieldDevice(ARDUINO_HTTP_CLIENT, gateway.address, "/nothing", "wsd_pico_x") as lost,
        pytest.raises(Refused) as refused,
    ):
        lost.connect()
    request_id = json.loads(refused.value.body)["request_id"]
    assert gateway.wait_for_log("refused", request_id=request_id)["path"] == "/nothing?token=…"


# The two ways to fetch a token at boot


@pytest.mark.parametrize("get", [get_to_the_end, get_by_length])
def test_device_fetches_its_token_at_boot(gateway: GatewayProcess, get: Any) -> None:
    status, body = get(gateway.address, "/public/tokens")
    assert status == 200
    token = json.loads(body)["pico_tokens"][0]
    with FieldDevice(MICROPYTHON_AIOHTTP, gateway.address, "/ws/pico", token).connect() as device:
        assert hello(device, "booted")["type"] == "connection_ack"


@pytest.mark.parametrize("get", [get_to_the_end, get_by_length])
@pytest.mark.parametrize(
    ("path", "status"), [("/healthz", 200), ("/", 200), ("/nothing", 404), ("/ws/pico", 426)]
)
def test_plain_answer_is_read_whole(
    gateway: GatewayProcess, get: Any, path: str, status: int
) -> None:
    got, body = get(gateway.address, path)
    assert got == status
    assert body[-1:] in {b"}", b">"}


# Firmware


@pytest.mark.parametrize("library", [MICROPYTHON_AIOHTTP, UWEBSOCKETS], ids=lambda lib: lib.name)
@pytest.mark.parametrize(("name", "version"), [("pico", "2.0"), ("pico_device", "1.0.0")])
def test_servo_controller_is_served_as_it_is(
    gateway: GatewayProcess, library: Library, name: str, version: str
) -> None:
    with device_of(gateway, library).connect() as device:
        firmware = ServoController(device, name, version)
        welcome = firmware.hello()
        assert (welcome["type"], welcome["device"]) == ("connection_ack", name)
        firmware.log("Servo controller ready")
        firmware.pong()
        firmware.acknowledge("servo", "success", "moved to 90, 45")
        firmware.acknowledge("servo", "ignored", "same position")
        # None of these is answered: what comes next is the pong.
        pong = firmware.ping(1234)
        assert (pong["type"], pong["timestamp"]) == ("pong", 1234)
        device.close()
    line = gateway.wait_for_log("disconnected", session=welcome["session"])
    assert line["messages"] == 6
    assert gateway.log_lines("bad_message", session=welcome["session"]) == []
    told = gateway.log_lines("hello", session=welcome["session"])
    assert [(line["wants"], line["version"]) for line in told] == [(name, version)]


def test_camera_is_served_as_it_is(gateway: GatewayProcess) -> None:
    with device_of(gateway, GILMAIMON, "esp32cam").connect() as device:
        firmware = Camera(device)
        welcome = firmware.hello()
        assert (welcome["type"], welcome["device"]) == ("connection_ack", "esp32cam")
        assert welcome["max_message_bytes"] == 512 * 1024
        firmware.heartbeat()
        firmware.log("Camera ready")
        for number in range(10):
            firmware.picture(jpeg_of(15_000 + number))
        firmware.heartbeat()
        # None of these is answered: what comes next is the pong.
        device.ping(b"seen?")
        assert device.read_frame() == Frame(Opcode.PONG, b"seen?")
        device.close()
    session = welcome["session"]
    gateway.wait_for_log("disconnected", session=session)
    pictures = gateway.log_lines("binary", session=session)
    assert [line["size"] for line in pictures] == [15_000 + number for number in range(10)]
    assert all(line["jpeg"] and line["announced"] == line["size"] for line in pictures)
    kinds = [line["type"] for line in gateway.log_lines("message", session=session)]
    assert kinds == ["heartbeat", "log", *["frame"] * 10, "heartbeat"]


# Trouble


def test_rebooted_device_takes_its_name_from_its_own_dead_link(gateway: GatewayProcess) -> None:
    with (
        device_of(gateway, UWEBSOCKETS).connect() as dead,
        device_of(gateway, UWEBSOCKETS).connect() as rebooted,
    ):
        hello(dead, "reboots")
        assert hello(rebooted, "reboots")["device"] == "reboots"
        assert dead.read_frame().opcode is Opcode.PING
        with pytest.raises(ClosedByGateway) as closed:
            dead.receive()
        assert closed.value.code == 4409


def test_power_lost_in_a_picture_frees_the_name_at_once(gateway: GatewayProcess) -> None:
    with device_of(gateway, GILMAIMON, "esp32cam").connect() as device:
        session = hello(device, "brownout")["session"]
        device.wire.write(frame_header(GILMAIMON, Opcode.BINARY, 60_000), bytes(4), b"\xff\xd8")
        device.connect()
        assert gateway.wait_for_log("disconnected", session=session)["code"] == 1006
        assert hello(device, "brownout")["device"] == "brownout"


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (struct.pack("!BBQ", 0x82, 0xFF, 1 << 40), 1009),
        (struct.pack("!BBQ", 0x81, 0xFF, 64 * 1024 + 1), 1009),
        (struct.pack("!BBQ", 0x81, 0xFF, 1 << 63), 1009),
        (bytes([0x81, 0x02]) + b"{}", 1002),
        (bytes([0xC1, 0x80, 0, 0, 0, 0]), 1002),
        (bytes([0x80, 0x80, 0, 0, 0, 0]), 1002),
        (bytes([0x83, 0x80, 0, 0, 0, 0]), 1002),
        (bytes([0x09, 0x80, 0, 0, 0, 0]), 1002),
        (bytes([0x89, 0xFE, 0, 126]) + bytes(4 + 126), 1002),
        (bytes([0x81, 0x82, 0, 0, 0, 0, 0xC3, 0x28]), 1007),
    ],
    ids=[
        *("1 TiB declared", "a byte too many", "length over 63 bits", "no mask", "compressed"),
        *("continuation of nothing", "reserved opcode", "ping in fragments", "long ping"),
        "not UTF-8",
    ],
)
def test_broken_frame_is_closed_with_its_own_code(
    gateway: GatewayProcess, frame: bytes, code: int
) -> None:
    with device_of(gateway, LINKS2004).connect() as device:
        device.wire.write(frame)
        with pytest.raises(ClosedByGateway) as closed:
            device.receive()
        assert closed.value.code == code
        assert device.wire.read_to_end() == b""


def test_bad_message_is_answered_and_the_device_stays(gateway: GatewayProcess) -> None:
    with device_of(gateway, LINKS2004).connect() as device:
        for text in (b"{not json", b"[1]", b'{"type":"telemetry","data":1}', b'{"a":1}', b""):
            device.send_data(Opcode.TEXT, text)
            error = device.receive()
            assert (error["type"], bool(error["hint"])) == ("error", True)
        device.send({"type": "ping"})
        assert device.receive()["type"] == "pong"


def test_revoked_token_closes_the_live_link_and_stays_out(gateway: GatewayProcess) -> None:
    token = gateway.tokens["revoked-pico"]
    with FieldDevice(LINKS2004, gateway.address, "/ws/pico", token).connect() as device:
        hello(device, "revoked-pico")
        gateway.book.revoke("revoked-pico")
        with pytest.raises(ClosedByGateway) as closed:
            device.receive()
        assert closed.value.code == 4501
        with pytest.raises(Refused) as refused:
            device.connect()
        assert json.loads(refused.value.body)["code"] == "token_retired"


def test_drain_closes_a_pico_and_resets_a_camera(tmp_path: Path) -> None:
    """A camera's usual library takes a clean close as final and would never come back."""
    with (
        running_gateway(tmp_path, "--no-trust-local") as gateway,
        device_of(gateway, UWEBSOCKETS).connect() as pico,
        device_of(gateway, ESP_IDF, "esp32cam").connect() as camera,
    ):
        hello(pico, "pico")
        hello(camera, "camera")
        gateway.terminate()
        with pytest.raises(ClosedByGateway) as closed:
            pico.receive()
        assert closed.value.code == 1012
        with pytest.raises(ConnectionResetError):
            camera.read_frame()
        assert gateway.wait() == 0
