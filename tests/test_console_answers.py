from __future__ import annotations

import json
import time
from datetime import datetime
from typing import Any

import msgspec
import pytest

from wsdev import console_answers
from wsdev.console import cameras, commands, devices, login, problems
from wsdev.console_answers import (
    LAST_MOMENT,
    TOKEN_HINT,
    Device,
    SentCommand,
    problem_error,
    read_answer,
)
from wsdev.errors import (
    DeviceOffline,
    NotAGateway,
    NotAllowed,
    NotThere,
    ProtocolViolation,
    TokenRefused,
    UsageError,
    WsdevError,
)
from wsdev.urls import parse_console_address

HERE = parse_console_address("127.0.0.1")
PROBLEM = {"content-type": "application/problem+json"}


def error(status: int, code: str, hint: str = "", **more: Any) -> WsdevError:
    body = {"status": status, "code": code, "detail": "it is so", "hint": hint, **more}
    return problem_error(status, PROBLEM, json.dumps(body).encode(), HERE)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (console_answers.Device, devices.DeviceDetails),
        (console_answers.Traffic, devices.DeviceTraffic),
        (console_answers.Link, devices.Link),
        (console_answers.Camera, cameras.CameraState),
        (console_answers.SentCommand, commands.Command),
        (console_answers.Who, login.Who),
        (console_answers.Problem, problems.OfflineProblem),
    ],
)
def test_fields_are_the_consoles_own(
    ours: type[msgspec.Struct], theirs: type[msgspec.Struct]
) -> None:
    mine = {field.encode_name: field for field in msgspec.structs.fields(ours)}
    known = {field.encode_name for field in msgspec.structs.fields(theirs)}
    assert mine.keys() <= known
    assert ours.__struct_config__.forbid_unknown_fields is False


def test_answer_of_a_later_console_can_be_read() -> None:
    data = b'{"name":"a","class":"pico","state":"asleep","address":"::1","mood":"good"}'
    device = read_answer(data, Device, HERE).value
    assert (device.name, device.is_online, device.traffic) == ("a", False, None)


KITCHEN = b'{"name":"a","class":"pico","state":"online","address":"::1"'


@pytest.mark.parametrize(
    "body",
    [
        b"", b"<html>", b"[]", b'{"name":1}', b"\xff", b"[" * 100_000,
        KITCHEN + b',"mood":1e400}', KITCHEN + b',"mood":"\xff"}',
        KITCHEN + b',"proof_age":1e300}', KITCHEN + b',"connected_since":-1}',
        KITCHEN + b',"links":[{"session":"s","address":"::1","started":1e300}]}',
    ],
)  # fmt: skip
def test_what_is_no_answer_is_told_as_another_service(body: bytes) -> None:
    with pytest.raises(NotAGateway):
        read_answer(body, Device, HERE)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "bad_request", UsageError),
        (401, "operator_token_missing", TokenRefused),
        (403, "foreign_site", NotAllowed),
        (404, "unknown_device", NotThere),
        (404, "no_picture", NotThere),
        (404, "offline", DeviceOffline),
        (408, "too_slow", NotAllowed),
        (409, "offline", DeviceOffline),
        (409, "not_queued", NotAllowed),
        (413, "too_large", UsageError),
        (422, "bad_command", UsageError),
        (429, "queue_full", NotAllowed),
        (500, "fault", ProtocolViolation),
        (503, "cannot_record", NotAllowed),
    ],
)
def test_each_problem_is_an_error_with_its_own_exit_code(
    status: int, code: str, kind: type[WsdevError]
) -> None:
    found = error(status, code, "do this")
    assert type(found) is kind
    assert found.cause == "it is so"
    assert found.code == code
    assert found.hint == (TOKEN_HINT if status == 401 else "do this")


def test_time_to_wait_is_told() -> None:
    headers = {**PROBLEM, "retry-after": "42"}
    for hint, told in (("wait", "wait (42 s)"), ("", "try again in 42 s")):
        body = {"status": 429, "code": "too_many_attempts", "detail": "no", "hint": hint}
        assert problem_error(429, headers, json.dumps(body).encode(), HERE).hint == told
    odd = problem_error(429, {**PROBLEM, "retry-after": "soon"}, json.dumps(body).encode(), HERE)
    assert odd.hint == ""


def test_offline_says_since_when() -> None:
    found = error(409, "offline", offline_since=5.0, last_seen=4.0)
    assert isinstance(found, DeviceOffline)
    assert (found.since, found.last_seen) == (5.0, 4.0)


def test_words_of_a_server_steer_no_terminal_and_tell_no_token() -> None:
    found = error(404, "x\x1b[2J", "wsd_operator_CANARYCANARYCANARY \x1b]0;x")
    assert "CANARY" not in found.hint
    assert "\x1b" not in found.hint + found.code


@pytest.mark.parametrize(
    ("headers", "body", "told"),
    [
        ({}, b"", "HTTP 404"),
        ({"server": "nginx\x1b"}, b"<html>", r"HTTP 404 (nginx\x1b)"),
        (PROBLEM, b"{}", "HTTP 404"),
        (PROBLEM, b"{", "HTTP 404"),
        ({"content-type": "application/json"}, b'{"error":1}', "HTTP 404"),
    ],
)
def test_other_service_is_told(headers: dict[str, str], body: bytes, told: str) -> None:
    found = problem_error(404, headers, body, HERE)
    assert isinstance(found, NotAGateway)
    assert found.cause == f"127.0.0.1:3001 does not answer as a wsdev console: {told}"


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Etc/GMT+12"])
def test_each_time_that_is_read_has_a_date_here(monkeypatch: pytest.MonkeyPatch, zone: str) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        command = {"id": "c-1", "device": "a", "state": "sent", "is_over": False, "type": "servo"}
        for asked in (0, LAST_MOMENT):
            data = json.dumps({**command, "asked": asked}).encode()
            read = read_answer(data, SentCommand, HERE).value.asked
            assert datetime.fromtimestamp(read).astimezone().timestamp() == asked
    finally:
        monkeypatch.undo()
        time.tzset()


def test_port_for_devices_is_told_from_other_services() -> None:
    body = b'{"code":"not_found","message":"x","hint":"y","request_id":"z"}'
    found = problem_error(404, {}, body, HERE)
    assert "port for devices" in found.cause
    assert "3001" in found.hint
