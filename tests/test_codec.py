from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsdev import codec
from wsdev.codec import BadMessage, decode_from_device, decode_from_gateway, encode, message_type
from wsdev.json_bounds import MAX_JSON_DEPTH
from wsdev.protocol import (
    MAX_ID_LENGTH,
    Ack,
    Command,
    CommandAck,
    Connect,
    Connection,
    ConnectionAck,
    DeviceMessage,
    ErrorMessage,
    Frame,
    GatewayMessage,
    Heartbeat,
    LegacyTelemetry,
    Log,
    Ping,
    Pong,
    Status,
    Telemetry,
    Test,
    Unknown,
)

Message = DeviceMessage | GatewayMessage


def refused_as(text: bytes) -> str:
    """The code of the refusal by the gateway's decoder."""
    with pytest.raises(BadMessage) as caught:
        decode_from_device(text)
    assert caught.value.hint
    assert caught.value.cause.isprintable()
    return caught.value.code


# Messages

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.text(max_size=20),
    st.floats(allow_nan=False, allow_infinity=False),
)  # fmt: skip
trees = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)
objects = st.dictionaries(st.text(max_size=8), trees, max_size=5)
integers = st.integers(-(2**63), 2**63 - 1)
ids = st.text(max_size=MAX_ID_LENGTH) | integers
timestamps = st.none() | integers | st.text(max_size=MAX_ID_LENGTH)
floats = st.floats(allow_nan=False, allow_infinity=False)

device_messages: st.SearchStrategy[Any] = st.one_of(
    st.builds(Connect, st.text(), scalars),
    st.builds(Connection, st.text(), scalars),
    st.builds(Telemetry, objects, st.none() | ids, st.none() | integers, st.none() | integers),
    *(st.builds(cls, trees, st.none() | ids) for cls in (LegacyTelemetry, Heartbeat, Status, Test)),
    st.builds(Log, st.text(), st.text(), st.none() | ids),
    st.builds(
        CommandAck,
        st.sampled_from(["success", "error", "ignored"]),
        st.none() | st.text(max_size=MAX_ID_LENGTH),
        st.none() | st.text(),
        trees,
    ),
    st.builds(Ping, timestamps),
    st.builds(Pong, timestamps, st.none() | floats),
    st.builds(Frame, integers, integers, st.none() | integers, scalars, st.none() | floats),
)
gateway_messages: st.SearchStrategy[Any] = st.one_of(
    st.builds(ConnectionAck, st.text(), st.text(), floats, floats, integers, st.text()),
    st.builds(Ack, ids),
    st.builds(Pong, timestamps, st.none() | floats),
    st.builds(Ping, timestamps),
    st.builds(ErrorMessage, st.text(), st.text(), st.text()),
    st.builds(Command, st.text(), st.text(), trees),
)


@given(device_messages)
def test_what_a_device_says_is_what_the_gateway_hears(message: DeviceMessage) -> None:
    heard = decode_from_device(encode(message))
    assert type(heard) is type(message)
    assert heard == message


@given(gateway_messages)
def test_what_the_gateway_says_is_what_a_device_hears(message: GatewayMessage) -> None:
    heard = decode_from_gateway(encode(message))
    assert type(heard) is type(message)
    assert heard == message


@given(st.text(min_size=1), objects)
def test_a_message_of_an_unknown_type_is_kept_whole(kind: str, body: dict[str, Any]) -> None:
    body = {**body, "type": f"x-{kind}"}
    heard = decode_from_device(encode(body))
    assert heard == Unknown(f"x-{kind}", body)
    assert message_type(heard) == f"x-{kind}"
    assert json.loads(encode(heard)) == body


@given(device_messages | gateway_messages)
def test_the_type_of_a_message_is_the_one_on_the_wire(
    message: DeviceMessage | GatewayMessage,
) -> None:
    assert message_type(message) == json.loads(encode(message))["type"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            b'{"type":"connect","device":"pico","version":"2.0","x":[1]}',
            Connect("pico", "2.0"),
        ),
        (b'{"type":"connect"}', Connect()),
        (b'{"type":"connection","device":"cam","version":1}', Connection("cam", 1)),
        (b'{"type":"heartbeat","uptime":5}', Heartbeat()),
        (b'{"type":"sensor_data","data":[1,2]}', LegacyTelemetry([1, 2])),
        (b'{"type":"telemetry","data":{},"uptime_ms":1.5}', Telemetry({}, uptime_ms=1.5)),
        (
            b'{"type":"ack","command_type":"servo","status":"success","detail":"ok"}',
            CommandAck("success", command_type="servo", detail="ok"),
        ),
        (b' {"message":"late type","type":"log"}\r\n', Log("late type")),
        (b'{"type":"ping","timestamp":12}', Ping(12)),
        (b'{"type":"frame","size":3,"fps":13}', Frame(3, fps=13.0)),
    ],
)
def test_firmware_that_is_out_there_is_understood(text: bytes, message: DeviceMessage) -> None:
    heard = decode_from_device(text)
    assert type(heard) is type(message)
    assert heard == message


@pytest.mark.parametrize("text", [
    b'{"type":"telemetry"}', b'{"type":"telemetry","data":5}', b'{"type":"log"}',
    b'{"type":"log","message":5}', b'{"type":"ack"}', b'{"type":"ack","status":"perhaps"}',
    b'{"type":"telemetry","data":{},"id":1.5}', b'{"type":"frame","size":"big"}',
    b'{"type":"telemetry","data":{},"id":"' + b"x" * (MAX_ID_LENGTH + 1) + b'"}',
    b'{"type":"ping","timestamp":"' + b"x" * (MAX_ID_LENGTH + 1) + b'"}',
    b'{"type":"ack","status":"success","id":"' + b"x" * (MAX_ID_LENGTH + 1) + b'"}',
])  # fmt: skip
def test_wrong_fields_of_a_known_type_are_refused_with_the_field(text: bytes) -> None:
    assert refused_as(text) == "wrong_fields"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"", "bad_json"),
        (b"hello", "bad_json"),
        (b'{"type":"ping"', "bad_json"),
        (b'{"type":"ping"} x', "bad_json"),
        (b'{"type":"ping","timestamp":NaN}', "bad_json"),
        (b'{"type":"ping","timestamp":-Infinity}', "bad_json"),
        (b'{"type":"ping","timestamp":1e999}', "bad_json"),
        (b'{"type":"telemetry","data":{"a":-1e999}}', "bad_json"),
        (b'{"type":"x","a":"\\ud800"}', "bad_json"),
        (b"[]", "not_object"),
        (b"5", "not_object"),
        (b'"type"', "not_object"),
        (b"{}", "no_type"),
        (b'{"type":""}', "no_type"),
        (b'{"type":5}', "no_type"),
        (b'{"type":null}', "no_type"),
    ],
)
def test_what_is_no_message_is_refused_with_its_reason(text: bytes, code: str) -> None:
    assert refused_as(text) == code


def test_an_operators_own_object_needs_no_type() -> None:
    body = {"action": "capture_photo", "quality": 10}
    assert decode_from_gateway(encode(body)) == Unknown("", body)


def test_peer_text_in_a_refusal_is_escaped() -> None:
    with pytest.raises(BadMessage) as caught:
        decode_from_device('{"type":"telemetry","data":{},"\x9b31m":1,"id":{}}'.encode())
    assert caught.value.cause.isprintable()


# Bounds


def nested(depth: int, opener: bytes, closer: bytes) -> bytes:
    """A message that is nested so deep in all."""
    inside = opener * (depth - 1) + b"1" + closer * (depth - 1)
    return b'{"type":"x","data":' + inside + b"}"


@pytest.mark.parametrize(("opener", "closer"), [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"[":', b"}]")])
def test_nesting_is_taken_to_32_levels_and_no_deeper(opener: bytes, closer: bytes) -> None:
    per_level = opener.count(b"{") + opener.replace(b'"["', b"").count(b"[")
    levels = (MAX_JSON_DEPTH - 1) // per_level
    decode_from_device(nested(levels + 1, opener, closer))
    assert refused_as(nested(levels + 2, opener, closer)) == "too_deep"


def test_many_flat_brackets_are_not_deep() -> None:
    text = encode({"type": "x", "data": [[{}] for _ in range(100)], "s": "[" * 100 + '\\"{{'})
    assert isinstance(decode_from_device(text), Unknown)


@pytest.mark.parametrize("number", [2**64 - 1, -(2**63), 0, 10**18, 10**19])
def test_numbers_of_64_bits_are_taken(number: int) -> None:
    assert decode_from_device(b'{"type":"x","n":%d}' % number) == Unknown(
        "x", {"type": "x", "n": number}
    )


@pytest.mark.parametrize(
    "number", [f"{2**64}", f"{-(2**63) - 1}", "1" * 30, "-1" + "0" * 19, "1" + "0" * 5000]
)
@pytest.mark.parametrize("text", ['{"type":"x","n":%s}', '{"type":"telemetry","data":{"n":[%s]}}'])
def test_larger_integers_are_refused(number: str, text: str) -> None:
    assert refused_as((text % number).encode()) == "number_too_large"


@pytest.mark.parametrize(
    "number",
    [b"12345678901234567890123.5", b"0.1234567890123456789012345", b"1234567890123456789012e5"],
)
def test_long_floats_and_long_digits_in_strings_are_no_large_integers(number: bytes) -> None:
    heard = decode_from_device(b'{"type":"x","n":' + number + b',"s":"' + b"9" * 40 + b'"}')
    assert isinstance(heard, Unknown)
    assert math.isclose(heard.body["n"], float(number))


HOSTILE = {
    "digits and a point": b'{"type":"x","n":' + b"1" * 100_000 + b".5}",
    "digits": b'{"type":"x","n":' + b"1" * 100_000 + b"}",
    "escaped quotes without end": b"[" * 33 + b'"' + b'\\"' * 50_000,
    "quotes": b"[" * 33 + b'"' * 100_001,
    "backslashes": b"[" * 33 + b"\\" * 100_000,
    "brackets": b"[]" * 50_000,
    "braces in a string without end": b'"' + b"{" * 100_000,
    "zeros": b'{"type":"x","a":[' + b"0" * 100_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_text_is_refused_in_one_pass(text: bytes) -> None:
    started = time.process_time()
    refused_as(text)
    # Going back over the text costs 10 s of CPU and more, one pass some milliseconds.
    assert time.process_time() - started < 5


def decoded_or_refused(decode: Callable[[bytes], Message], text: bytes) -> Message | BadMessage:
    try:
        return decode(text)
    except BadMessage as bad:
        return bad


@given(st.text(max_size=60) | st.text('{}[]":,\\0123456789eE.-+typeNaInful ', max_size=80))
@settings(max_examples=300)
def test_any_text_is_a_message_or_a_bad_message(text: str) -> None:
    for decode in (decode_from_device, decode_from_gateway):
        message = decoded_or_refused(decode, text.encode())
        if isinstance(message, BadMessage):
            assert message.code in {
                "bad_json", "not_object", "no_type", "wrong_fields", "too_deep", "number_too_large",
            }  # fmt: skip
        else:
            encode(message)


@given(
    st.sampled_from(sorted(codec._DEVICE_TYPES | codec._GATEWAY_TYPES)),
    st.dictionaries(
        st.sampled_from(["data", "id", "device", "message", "level", "status", "timestamp", "fps"]),
        trees,
    ),
)
def test_any_fields_of_a_known_type_are_taken_or_refused(kind: str, body: dict[str, Any]) -> None:
    heard = decoded_or_refused(decode_from_device, encode({**body, "type": kind}))
    if isinstance(heard, BadMessage):
        assert heard.code == "wrong_fields"
    else:
        assert message_type(heard) == kind
        assert isinstance(heard, Unknown) == (kind not in codec._DEVICE_TYPES)
