from __future__ import annotations

import pytest
from session_pair import UPGRADE, UPGRADE_LINES, head
from websockets.http11 import MAX_LINE_LENGTH, MAX_NUM_HEADERS

from wsdev.request_head import Fields, Request, plain_key, read_plain_request

# tests/test_upgrade.py shows that what is read here is what the websockets package reads.


def test_fields_are_found_in_any_case_and_keep_their_order() -> None:
    fields = Fields([("Host", "a"), ("X-Tag", "1"), ("x-tAG", "2")])
    assert fields.get_all("x-TAG") == ["1", "2"]
    assert fields.get_all("other") == []
    assert "HOST" in fields
    assert "Other" not in fields
    assert list(fields) == ["host", "x-tag"]
    assert fields.pairs() == [("host", "a"), ("x-tag", "1"), ("x-tag", "2")]


def test_what_is_not_there_is_not_put_there_by_asking() -> None:
    fields = Fields()
    fields.get_all("Host").append("made up")
    assert fields.get_all("Host") == []
    assert "Host" not in fields


def test_a_device_in_its_plain_way_is_read_without_the_package() -> None:
    request = read_plain_request(UPGRADE)
    assert request is not None
    assert (request.method, request.protocol) == ("GET", "HTTP/1.1")
    assert request.target.startswith("/ws/")
    assert len(request.fields.pairs()) == len(UPGRADE_LINES) - 1  # the first is no field
    assert plain_key(request) == "dGhlIHNhbXBsZSBub25jZQ=="


@pytest.mark.parametrize(
    "odd",
    [
        b"POST / HTTP/1.1\r\nA: b\r\n\r\n",
        b"GET / HTTP/1.0\r\nA: b\r\n\r\n",
        b"GET / HTTP/1.1\nA: b\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nA : b\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
        b"GET / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * MAX_NUM_HEADERS + b"\r\n",
        b"GET / HTTP/1.1\r\nA: %s\r\n\r\n" % (b"b" * MAX_LINE_LENGTH),
    ],
)
def test_whatever_is_odd_is_left_to_the_package(odd: bytes) -> None:
    assert read_plain_request(odd) is None


@pytest.mark.parametrize(
    "more",
    [
        "Sec-WebSocket-Protocol: arduino",
        "Sec-WebSocket-Extensions: permessage-deflate",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Connection: keep-alive",
    ],
)
def test_an_upgrade_that_leaves_a_doubt_has_no_plain_key(more: str) -> None:
    request = read_plain_request(head(*UPGRADE_LINES, more))
    assert request is not None
    assert plain_key(request) is None


def test_only_a_get_of_http_1_1_is_an_upgrade() -> None:
    request = read_plain_request(UPGRADE)
    assert request is not None
    for method, protocol in (("HEAD", "HTTP/1.1"), ("GET", "HTTP/1.0")):
        other = Request(method, request.target, protocol, request.fields)
        assert plain_key(other) is None
