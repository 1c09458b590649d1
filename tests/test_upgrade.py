from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from session_pair import UPGRADE, UPGRADE_LINES, head
from websockets import http11
from websockets.datastructures import Headers
from websockets.exceptions import InvalidHandshake
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.http11 import MAX_LINE_LENGTH, MAX_NUM_HEADERS
from websockets.server import ServerProtocol

from wsdev import upgrade
from wsdev.codes import REFUSALS
from wsdev.request_head import Fields, Request
from wsdev.upgrade import Agreed, agree, read_request

ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""Of the sample key, as RFC 6455 section 1.3 gives it."""


Read = tuple[str, str, str, list[tuple[str, str]]]
"""Method, target, protocol; the fields by name, those of a name in order."""


def by_the_package(data: bytes) -> Read | None:
    """The request as the package alone reads it."""
    library = ServerProtocol()
    library.receive_data(data)
    for event in library.events_received():
        assert isinstance(event, http11.Request)
        pairs = [(name.lower(), value) for name, value in event.headers.raw_items()]
        return event.method, event.path, event.protocol, by_name(pairs)
    return None


def by_us(data: bytes) -> Read | None:
    """The same, as it is read here; None if it is refused."""
    read = read_request(data)
    if isinstance(read, str):
        assert read in REFUSALS
        return None
    return read.method, read.target, read.protocol, by_name(read.fields.pairs())


def by_name(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return sorted(pairs, key=lambda pair: pair[0])


def request_of(data: bytes) -> Request:
    request = read_request(data)
    assert isinstance(request, Request)
    return request


# The request

NAMES = (
    b"Host",
    b"hOST",
    b"X-\xe9",
    b"A B",
    b"",
    b"Upgrade",
    b"Content-Length",
    b"!#$%&'*+-.^_`|~",
)
VALUES = (
    b"x",
    b"",
    b" 0",
    b"\t 7 \t",
    b"caf\xe9\x85\xa0",
    b"a:b",
    b"\x00",
    b"a\rb",
    b"a\nb",
    b"\x7f",
)
lines = st.one_of(
    st.builds(lambda name, value: name + b":" + value, *map(st.sampled_from, (NAMES, VALUES))),
    st.sampled_from([b"Transfer-Encoding: chunked", b"Host", b" folded: 1", b"a: b\rc: d"]),
    st.binary(max_size=8),
)
starts = st.one_of(
    st.builds(
        lambda method, target, protocol: b"%s %s %s" % (method, target, protocol),
        st.sampled_from([b"GET", b"HEAD", b"get", b"POST"]),
        st.sampled_from([b"/ws/pico", b"/?a=b", b"/\xe9", b"/a b", b"/\x01", b""]),
        st.sampled_from([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2", b"HTTP/1.1 "]),
    ),
    st.binary(max_size=8),
)
ends = st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r"])


@given(starts, st.lists(lines, max_size=5), ends)
@example(b"GET / HTTP/1.1", [b"Content-Length: 0", b"Content-Length: 0"], b"\r\n")
@example(b"GET / HTTP/1.1", [b"Content-Length: 1"], b"\r\n")
@example(b"GET / HTTP/1.1", [], b"\r\n")
def test_a_head_is_read_as_the_package_reads_it(
    start: bytes, fields: list[bytes], end: bytes
) -> None:
    data = b"\r\n".join([start, *fields]) + end + b"\r\n"
    assert by_us(data) == by_the_package(data)


@pytest.mark.parametrize("count", [1, MAX_NUM_HEADERS, MAX_NUM_HEADERS + 1])
def test_the_number_of_headers_is_bounded_as_in_the_package(count: int) -> None:
    data = b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * count + b"\r\n"
    assert by_us(data) == by_the_package(data)
    assert (read_request(data) == "head_too_large") is (count > MAX_NUM_HEADERS)


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_the_length_of_a_line_is_bounded_as_in_the_package(more: int) -> None:
    line = b"A: %s\r\n" % (b"b" * (MAX_LINE_LENGTH - 5 + more))
    assert len(line) == MAX_LINE_LENGTH + more
    data = b"GET / HTTP/1.1\r\n" + line + b"\r\n"
    assert by_us(data) == by_the_package(data)
    assert (read_request(data) == "head_too_large") is (more > 0)


def test_what_is_no_request_is_a_bad_one() -> None:
    assert read_request(b"\x00\r\n\r\n") == "bad_request"


# The answer

HEADERS = {
    "Connection": ("Upgrade", "upgrade", "keep-alive, Upgrade", "close", ","),
    "Upgrade": ("websocket", "WebSocket", "websocket, h2c", "h2c"),
    "Sec-WebSocket-Key": ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZR==", "a", "a===", "é"),
    "Sec-WebSocket-Version": ("13", "8", "13, 8", ""),
    "Origin": ("http://localhost", "null"),
    "Sec-WebSocket-Protocol": ("wsdev", "arduino", "arduino, wsdev.v1", "wsdev.v1", "a b"),
    "Sec-WebSocket-Extensions": ("permessage-deflate", "x-other", ";"),
}
PLAIN = dict.fromkeys(("Connection", "Upgrade", "Sec-WebSocket-Key", "Sec-WebSocket-Version"), 0)


def spelled(fields: dict[str, int], again: str | None, method: str, protocol: str) -> Request:
    pairs = [(name, HEADERS[name][place % len(HEADERS[name])]) for name, place in fields.items()]
    pairs += [pair for pair in pairs if pair[0] == again]
    return Request(method, "/ws/pico", protocol, Fields(pairs))


requests = st.builds(
    spelled,
    st.builds(
        lambda changed, without: {k: v for k, v in (PLAIN | changed).items() if k != without},
        st.dictionaries(st.sampled_from(sorted(HEADERS)), st.integers(0, 4), max_size=2),
        st.sampled_from([None, None, *HEADERS]),
    ),
    st.sampled_from([None, None, *HEADERS]),
    st.sampled_from(["GET", "GET", "HEAD"]),
    st.sampled_from(["HTTP/1.1", "HTTP/1.1", "HTTP/1.0"]),
)


@given(requests, st.booleans())
def test_who_is_let_in_and_how_is_as_the_package_says(request_: Request, compression: bool) -> None:
    agreed = agree(request_, compression=compression)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(upgrade, "plain_key", lambda _: None)
        expected = agree(request_, compression=compression)
    assert (agreed if isinstance(agreed, str) else agreed.answer) == (
        expected if isinstance(expected, str) else expected.answer
    )
    try:
        extensions = [ServerPerMessageDeflateFactory()] if compression else None
        asked = http11.Request(
            request_.target, Headers(request_.fields.pairs()), request_.method, request_.protocol
        )
        accept, *_ = ServerProtocol(extensions=extensions).process_request(asked)
    except InvalidHandshake:
        assert isinstance(agreed, str)
        assert agreed in REFUSALS
    else:
        if isinstance(agreed, str):
            pytest.fail(f"refused with {agreed}")
        else:
            assert f"Sec-WebSocket-Accept: {accept}\r\n".encode() in agreed.answer


def test_a_plain_request_is_answered_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(upgrade, "ServerProtocol")
    agreed = agree(request_of(UPGRADE))
    assert agreed == Agreed(
        b"HTTP/1.1 101 Switching Protocols\r\n"
        b"Upgrade: websocket\r\n"
        b"Connection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + ACCEPT.encode() + b"\r\n\r\n"
    )


def test_compression_is_an_extension_of_the_frames() -> None:
    offered = request_of(head(*UPGRADE_LINES, "Sec-WebSocket-Extensions: permessage-deflate"))
    for compression in (False, True):
        agreed = agree(offered, compression=compression)
        assert isinstance(agreed, Agreed)
        assert bool(agreed.extensions) is compression
        assert (b"permessage-deflate" in agreed.answer) is compression
