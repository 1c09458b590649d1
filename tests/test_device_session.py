from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from session_pair import (
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    Cut,
    SessionPair,
    bytewise,
    close_payload,
    cut_by,
    head,
    switching_protocols,
    take,
    told,
    unmasked,
    whole,
)

from wsdev import answers
from wsdev.codec import encode
from wsdev.codes import REFUSALS, CloseCode
from wsdev.device_profile import PROFILES
from wsdev.device_session import DeviceSession
from wsdev.events import (
    BadMessageReceived,
    BinaryReceived,
    Closed,
    ClosedBy,
    Event,
    MessageReceived,
    Opened,
    TimeUp,
    UpgradeFailed,
    UpgradeRefused,
)
from wsdev.limits import Limits
from wsdev.protocol import ESP32CAM, PICO, Command, Pong, Unknown
from wsdev.session import SessionPolicy, State

LIMITS = Limits()


def new_device(url: str = "ws://gateway:3000/ws/pico", *headers: tuple[str, str]) -> DeviceSession:
    return DeviceSession(SessionPolicy(), url, PICO, headers, 0.0)


def open_device() -> DeviceSession:
    device = new_device()
    assert device.receive(switching_protocols(device), 0.0) == [Opened()]
    return device


def feed(device: DeviceSession, data: bytes, cut: Cut = whole) -> list[Event]:
    return [event for piece in cut(data, 0) for event in device.receive(piece, 0.0)]


# The upgrade


def test_the_request_asks_for_the_classs_path_with_the_headers_given() -> None:
    request = take(new_device("ws://gateway:3000/ws/pico", ("Authorization", "Bearer abc")))
    lines = request.decode().split("\r\n")
    assert lines[0] == "GET /ws/pico HTTP/1.1"
    assert "Host: gateway:3000" in lines
    assert "Authorization: Bearer abc" in lines
    assert "Sec-WebSocket-Version: 13" in lines
    assert not any(line.startswith("Sec-WebSocket-Extensions") for line in lines)


@pytest.mark.parametrize("cut", [whole, bytewise])
def test_a_gateway_that_lets_the_device_in_opens_the_conversation(cut: Cut) -> None:
    device = new_device()
    assert feed(device, switching_protocols(device), cut) == [Opened()]
    assert device.state is State.OPEN


@pytest.mark.parametrize("cut", [whole, bytewise])
@pytest.mark.parametrize("code", REFUSALS)
def test_each_refusal_is_heard_with_its_status_and_body(code: str, cut: Cut) -> None:
    device = new_device()
    answer = answers.refusal(code, "r-1", class_paths=["/ws/pico"], retry_after=60)
    (event,) = feed(device, answer, cut)
    assert isinstance(event, UpgradeRefused)
    assert event.status == REFUSALS[code].status
    assert ("Retry-After", "60") in event.headers
    assert event.body == answer.partition(b"\r\n\r\n")[2]
    assert device.state is State.CLOSING


def test_a_refusal_without_a_length_ends_with_the_stream() -> None:
    device = new_device()
    answer = head("HTTP/1.1 502 Bad Gateway", "Server: a proxy") + b"<html>"
    assert device.receive(answer, 0.0) == []
    assert device.receive_eof(0.1) == [UpgradeRefused(502, [("Server", "a proxy")], b"<html>")]
    assert device.receive_eof(0.2) == []


def test_bytes_after_the_end_of_the_stream_are_dropped() -> None:
    device = new_device()
    device.receive_eof(0.0)
    assert device.receive(b"HTTP/1.1 101 Late\r\n\r\n", 0.1) == []


@pytest.mark.parametrize("cut", [whole, bytewise])
@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x15\x03\x03\x00\x02\x02\x16\n",
        b"220 mail.example ESMTP\r\n",
        head("HTTP/1.0 101 Switching Protocols"),
        head("HTTP/1.1 101 Switching Protocols"),
        head("HTTP/1.1 101 OK", "Upgrade: websocket", "Connection: Upgrade"),
        head(
            "HTTP/1.1 101 OK",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
        ),
        head("HTTP/1.1 200 OK", "Transfer-Encoding: gzip"),
        head("HTTP/1.1 200 OK", "Content-Length: 1", "Content-Length: 2"),
    ],
)
def test_what_is_no_upgrade_is_told_with_its_cause(answer: bytes, cut: Cut) -> None:
    device = new_device()
    (event,) = feed(device, answer, cut)
    assert isinstance(event, UpgradeFailed)
    assert event.cause
    assert event.cause.isprintable()
    assert device.state is State.CLOSING


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 101 Swit"])
def test_a_gateway_that_hangs_up_before_its_answer_is_told(answer: bytes) -> None:
    device = new_device()
    assert device.receive(answer, 0.0) == []
    (event,) = device.receive_eof(0.0)
    assert isinstance(event, UpgradeFailed)
    assert "connection closed" in event.cause


def test_a_connection_cut_before_the_answer_is_told_once() -> None:
    device = new_device()
    assert device.lost(0.0) == [Closed(CloseCode.ABNORMAL, "", ClosedBy.PATH)]
    assert device.lost(0.0) == []


def test_an_answer_that_does_not_come_fails_after_ten_seconds() -> None:
    device = new_device()
    assert device.tick(9.9) == []
    assert device.tick(10.0) == [UpgradeFailed("no answer to the upgrade within 10 s")]
    assert device.receive(b"HTTP/1.1 101 Late\r\n\r\n", 10.1) == []
    assert device.tick(10.0 + LIMITS.linger) == [TimeUp()]


def test_terminal_codes_in_an_answer_are_escaped() -> None:
    device = new_device()
    (event,) = device.receive(b"HTTP/1.1 \x1b]0;x\x07\x9b31m OK\r\n\r\n", 0.0)
    assert isinstance(event, UpgradeFailed)
    assert event.cause.isprintable()


# Frames in the same segment as the answer


@pytest.mark.parametrize("cut", [whole, bytewise])
@pytest.mark.parametrize(
    ("behind", "events"),
    [
        (unmasked(2, b"abc"), [BinaryReceived(b"abc", None)]),
        (
            unmasked(CLOSE, close_payload(4503, "not this name")),
            [Closed(CloseCode.NOT_ALLOWED, "not this name", ClosedBy.PEER)],
        ),
        (
            unmasked(2, b"abc") + b"\xff\xff",
            [
                BinaryReceived(b"abc", None),
                Closed(CloseCode.PROTOCOL_ERROR, "invalid opcode", ClosedBy.HERE),
            ],
        ),
    ],
)
def test_frames_right_behind_the_answer_are_heard(
    behind: bytes, events: list[Event], cut: Cut
) -> None:
    device = new_device()
    assert feed(device, switching_protocols(device) + behind, cut) == [Opened(), *events]


# The conversation


@pytest.mark.parametrize(
    ("wish", "sent"), [({"ping_interval": 600.0}, {"ping_interval": 600.0}), ({}, {})]
)
def test_hello_carries_a_ping_interval_if_one_is_wished_for(
    wish: dict[str, float], sent: dict[str, float]
) -> None:
    pair = SessionPair()
    pair.settle()
    pair.device.hello("kitchen", "1", **wish)
    pair.settle()
    (hello,) = (event for event in pair.at_gateway if isinstance(event, MessageReceived))
    assert json.loads(hello.text) == {
        "type": "connect", "device": "kitchen", "version": "1", **sent,
    }  # fmt: skip


def test_hello_carries_the_name_and_the_version() -> None:
    pair = SessionPair()
    pair.settle()
    pair.device.hello("kitchen", "2.0")
    pair.settle()
    last = pair.at_gateway[-1]
    assert isinstance(last, MessageReceived)
    assert last.text == b'{"type":"connect","device":"kitchen","version":"2.0"}'


def test_a_command_is_acknowledged_by_id_or_by_type() -> None:
    pair = SessionPair()
    pair.settle()
    pair.device.acknowledge(command_id="c-1", command_type=None)
    pair.device.acknowledge(command_id=None, command_type="servo", detail={"angle": 90})
    pair.settle()
    assert [event.text for event in pair.at_gateway if isinstance(event, MessageReceived)] == [
        b'{"type":"ack","status":"success","id":"c-1"}',
        b'{"type":"ack","status":"success","command_type":"servo","detail":{"angle":90}}',
    ]


def test_an_application_ping_of_the_gateway_is_answered() -> None:
    pair = SessionPair()
    pair.settle()
    pair.gateway.send({"type": "ping", "timestamp": 5})
    pair.settle()
    last = pair.at_gateway[-1]
    assert isinstance(last, MessageReceived)
    assert last.message == Pong(5)


def test_commands_and_an_operators_own_objects_are_told() -> None:
    device = open_device()
    own = b'{"type":"servo","command":{"servo1":90,"servo2":45},"id":"c-2"}'
    events = feed(
        device,
        unmasked(TEXT, b'{"type":"command","id":"c-1","name":"blink"}') + unmasked(TEXT, own),
    )
    assert [event.message for event in events if isinstance(event, MessageReceived)] == [
        Command("c-1", "blink"),
        Unknown("servo", {"type": "servo", "command": {"servo1": 90, "servo2": 45}, "id": "c-2"}),
    ]


@pytest.mark.parametrize("text", [b"", b"[]", b'{"type":"ack"}', b'{"type":5}', b"[" * 33])
def test_a_bad_message_of_the_gateway_is_told_and_not_answered(text: bytes) -> None:
    device = open_device()
    (event,) = feed(device, unmasked(TEXT, text))
    assert isinstance(event, BadMessageReceived)
    assert device.data_to_send() == []
    assert device.state is State.OPEN


def test_a_masked_frame_of_a_gateway_breaks_the_rules() -> None:
    (closed,) = feed(open_device(), b"\x81\x82\x00\x00\x00\x00{}")
    assert isinstance(closed, Closed)
    assert (closed.code, closed.by) == (CloseCode.PROTOCOL_ERROR, ClosedBy.HERE)


def test_the_device_waits_for_the_gateway_to_hang_up() -> None:
    device = open_device()
    device.close(CloseCode.NORMAL, "", 1.0)
    assert b"" not in device.data_to_send()
    assert device.receive(unmasked(CLOSE, close_payload(1000)), 1.1) == []
    assert device.receive_eof(1.2) == []
    assert device.state is State.CLOSED


def test_the_classs_limit_holds_for_what_comes_in_too() -> None:
    pair = SessionPair(device_class=ESP32CAM)
    pair.settle()
    pair.gateway.send_binary(bytes(ESP32CAM.max_message))
    pair.settle()
    assert pair.at_device[-1] == BinaryReceived(bytes(ESP32CAM.max_message), None)
    pair.gateway.send_binary(bytes(ESP32CAM.max_message + 1))
    pair.settle()
    closed = pair.at_device[-1]
    assert isinstance(closed, Closed)
    assert (closed.code, closed.by) == (CloseCode.TOO_BIG, ClosedBy.HERE)


# Anything, however cut

sizes = st.lists(st.integers(1, 60), min_size=1, max_size=8)
answer_bits = st.one_of(
    st.sampled_from([
        b"HTTP/1.1 ", b"HTTP/1.0 ", b"101 ", b"401 No", b"200 OK", b"\r\n", b"\r\n\r\n", b"\n",
        b"Upgrade: websocket\r\n", b"Connection: Upgrade\r\n", b"Sec-WebSocket-Accept: x\r\n",
        b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"3\r\nabc\r\n0\r\n\r\n",
        answers.refusal("token_missing", "r-1"), unmasked(TEXT, b"{}"), unmasked(CLOSE),
    ]),
    st.binary(max_size=20),
)  # fmt: skip
server_frames = st.one_of(
    st.builds(
        unmasked,
        st.sampled_from([TEXT, TEXT, 2, CLOSE, PING, PONG, CONT]),
        st.sampled_from([b"{}", b'{"type":"ping"}', b"{", b"\xff", b"\x03\xe8bye", b""]),
    ),
    st.binary(max_size=6),
)


@given(st.lists(answer_bits, max_size=10).map(b"".join), sizes, st.booleans())
@settings(max_examples=150)
def test_any_answer_means_the_same_however_it_is_cut(
    data: bytes, pieces: list[int], ends: bool
) -> None:
    heard = []
    for cut in (whole, cut_by(pieces)):
        device = new_device()
        events = feed(device, data, cut)
        if ends:
            events += device.receive_eof(0.0)
        heard.append((told(events), device.state))
    assert heard[0] == heard[1]


@given(st.lists(server_frames, max_size=10).map(b"".join), sizes)
@settings(max_examples=150)
def test_any_frames_behind_the_answer_mean_the_same_however_they_are_cut(
    data: bytes, pieces: list[int]
) -> None:
    heard = []
    for cut in (whole, cut_by(pieces)):
        device = new_device()
        events = feed(device, switching_protocols(device) + data, cut)
        heard.append((told(events), device.state, device.messages_received))
    assert heard[0] == heard[1]


def device_like(name: str, url: str = "ws://gateway:3000/ws/pico") -> DeviceSession:
    profile = PROFILES.find(name)
    return DeviceSession(SessionPolicy(), url, PICO, [], 0.0, profile=profile)


def request_lines(session: DeviceSession) -> list[str]:
    return b"".join(session.data_to_send()).decode().split("\r\n")


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("arduino-links2004", "Origin: file://"),
        ("arduino-links2004", "Sec-WebSocket-Protocol: arduino"),
        ("arduino-links2004", "Host: gateway:3000"),
        ("gilmaimon", "Host: gateway"),
        ("micropython", "Origin: http://gateway:3000"),
    ],
)
def test_request_looks_like_the_librarys(name: str, line: str) -> None:
    lines = request_lines(device_like(name))
    assert line in lines
    assert sum(each.startswith("Host:") for each in lines) == 1


def test_host_without_a_port_keeps_the_brackets() -> None:
    assert "Host: [::1]" in request_lines(device_like("gilmaimon", "ws://[::1]:3000/ws/pico"))


def test_long_messages_leave_in_fragments_and_arrive_whole() -> None:
    pair = SessionPair()
    pair.device = device_like("esp-idf")
    pair.settle()
    text = encode({"type": "log", "message": "x" * 3000})
    for send in (pair.device.send_text, pair.device.send_binary):
        send(text)
        sent = b"".join(pair.device.data_to_send())
        assert len(sent) == len(text) + 3 * 8  # 1,024, 1,024 and the rest, each a head of 8 bytes
        (event,) = pair.gateway.receive(sent, 1.0)
        assert isinstance(event, MessageReceived | BinaryReceived)
    pair.device.send_text(b'{"type":"ping"}')
    assert len(b"".join(pair.device.data_to_send())) == 15 + 6
    assert pair.device.messages_sent == 3


def test_message_over_15_kib_closes_links2004_with_1009() -> None:
    pair = SessionPair()
    pair.device = device_like("arduino-links2004")
    pair.settle()
    pair.gateway.send_text(b"x" * (15 * 1024 + 1))
    pair.settle()
    closed = pair.at_device[-1]
    assert isinstance(closed, Closed)
    assert (closed.code, closed.by) == (1009, ClosedBy.HERE)
