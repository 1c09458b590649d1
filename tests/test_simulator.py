from __future__ import annotations

import io
import json
from typing import Any

import pytest
from PIL import Image

from wsdev.codec import decode_from_gateway, encode
from wsdev.device_session import DeviceSession
from wsdev.pictures import MAX_BYTES
from wsdev.protocol import (
    ESP32CAM,
    PICO,
    Ack,
    Command,
    DeviceClass,
    DeviceMessage,
    GatewayMessage,
    Unknown,
)
from wsdev.session import SessionPolicy
from wsdev.simulator import VirtualDevice

pytestmark = pytest.mark.from_source  # a compiled class has no such heirs


class Said(DeviceSession):
    """A session that keeps what is said on it."""

    def __init__(self) -> None:
        super().__init__(SessionPolicy(), "ws://gateway:3000/ws/pico", PICO, [], 0.0)
        self.texts: list[dict[str, Any]] = []
        self.pictures: list[bytes] = []

    def send_text(self, text: bytes) -> None:
        self.texts.append(json.loads(text))

    def send_binary(self, data: bytes) -> None:
        self.pictures.append(data)


def device_of(device_class: DeviceClass = PICO, random: float = 0.5) -> VirtualDevice:
    return VirtualDevice(device_class, "kitchen", lambda: random, 100.0)


def from_operator(command: dict[str, Any]) -> GatewayMessage:
    """A command as it comes over the wire."""
    return decode_from_gateway(json.dumps(command).encode())


def test_hello_names_the_device() -> None:
    said = Said()
    device_of().hello(said, 0.0)
    (hello,) = said.texts
    assert (hello["type"], hello["device"]) == ("connect", "kitchen")
    assert hello["version"]


def test_telemetry_has_an_id_of_its_own_a_sequence_and_the_uptime() -> None:
    device = device_of()
    first, second = device.measure(100.0), device.measure(160.5)
    assert first.id != second.id
    assert (first.seq, second.seq) == (1, 2)
    assert (first.uptime_ms, second.uptime_ms) == (0, 60_500)
    assert set(first.data) == {"temperature_c", "rssi_dbm", "servo1", "servo2"}
    assert encode(second)


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_measured_values_are_plausible(noise: float) -> None:
    data = device_of(random=noise).measure(1000.0).data
    assert 15 < data["temperature_c"] < 35
    assert -90 < data["rssi_dbm"] < -30


def test_ids_of_another_run_are_others() -> None:
    runs = [device_of(random=random).measure(100.0).id for random in (0.1, 0.2)]
    assert len(set(runs)) == 2


def test_picture_is_announced_with_its_size_and_then_sent() -> None:
    said, device = Said(), device_of(ESP32CAM)
    sizes = [device.send_picture(said, 101.0), device.send_picture(said, 102.0)]
    assert [len(picture) for picture in said.pictures] == sizes
    assert max(sizes) <= MAX_BYTES
    assert said.pictures[0] != said.pictures[1]
    for text, size, moment in zip(said.texts, sizes, (1000, 2000), strict=True):
        assert text == {
            "type": "frame", "size": size, "width": 640, "height": 480, "timestamp": moment,
        }  # fmt: skip
    with Image.open(io.BytesIO(said.pictures[0])) as picture:
        assert picture.size == (640, 480)


@pytest.mark.parametrize(
    "command",
    [
        {"type": "servo", "command": {"servo1": 10, "servo2": 170}, "id": "c-1"},
        {"type": "command", "name": "servo", "args": {"servo1": 10, "servo2": 170}, "id": "c-1"},
    ],
    ids=["operator's form", "gateway's form"],
)
def test_servos_move_and_telemetry_shows_it(command: dict[str, Any]) -> None:
    said, device = Said(), device_of()
    done = device.obey(from_operator(command), said, 101.0)
    assert done == "servos at 10°, 170°"
    (ack,) = said.texts
    assert ack == {"type": "ack", "status": "success", "id": "c-1", "command_type": "servo"}
    data = device.measure(102.0).data
    assert (data["servo1"], data["servo2"]) == (10, 170)


@pytest.mark.parametrize("wanted", [None, [], "up", {}, {"servo1": "ten"}, {"servo9": 1}])
def test_odd_servo_command_moves_nothing_and_is_answered(wanted: object) -> None:
    said, device = Said(), device_of()
    device.obey(from_operator({"type": "servo", "command": wanted, "id": "c-1"}), said, 101.0)
    assert device.measure(102.0).data["servo1"] == 90
    assert said.texts[0]["id"] == "c-1"


@pytest.mark.parametrize(
    "command",
    [
        {"action": "capture_photo", "id": "c-2"},
        {"type": "command", "name": "capture_photo", "id": "c-2"},
    ],
    ids=["operator's form", "gateway's form"],
)
def test_camera_takes_a_picture_when_told(command: dict[str, Any]) -> None:
    said = Said()
    done = device_of(ESP32CAM).obey(from_operator(command), said, 101.0)
    (picture,) = said.pictures
    assert done == f"picture of {len(picture)} bytes sent"
    assert [text["type"] for text in said.texts] == ["frame", "ack"]
    assert (said.texts[1]["id"], said.texts[1]["command_type"]) == ("c-2", "capture_photo")


def test_pico_has_no_camera_but_answers() -> None:
    said = Said()
    assert device_of().obey(from_operator({"action": "capture_photo"}), said, 101.0)
    assert not said.pictures
    assert said.texts == [{"type": "ack", "status": "success", "command_type": "capture_photo"}]


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (Command(id="c-3", name="reboot"), "reboot"),
        (Command(id="c-3"), "command"),
        (Unknown("blink", {"type": "blink", "id": "c-3"}), "blink"),
    ],
)
def test_any_other_command_is_acknowledged(message: GatewayMessage, kind: str) -> None:
    said = Said()
    assert device_of().obey(message, said, 101.0) == f"command {kind}"
    assert said.texts == [{"type": "ack", "status": "success", "id": "c-3", "command_type": kind}]


@pytest.mark.parametrize("message", [Ack("m-1"), Unknown("", {"x": 1})])
def test_what_is_no_command_is_left_alone(message: DeviceMessage | GatewayMessage) -> None:
    said = Said()
    assert device_of().obey(message, said, 101.0) is None
    assert not said.texts


def test_id_that_is_no_string_is_not_sent_back() -> None:
    said = Said()
    device_of().obey(from_operator({"type": "blink", "id": {"a": 1}}), said, 101.0)
    assert "id" not in said.texts[0]
