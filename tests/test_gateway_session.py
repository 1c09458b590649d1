from __future__ import annotations

import tracemalloc
import zlib
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from session_pair import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    UPGRADE,
    UPGRADE_LINES,
    Cut,
    Heard,
    bytewise,
    close_payload,
    cut_at,
    cut_by,
    frames_in,
    gateway_hears,
    head,
    masked,
    open_gateway,
    take,
    told,
    whole,
)

from wsdev import answers
from wsdev.codes import REFUSALS, CloseCode
from wsdev.events import (
    BadMessageReceived,
    BinaryReceived,
    Closed,
    ClosedBy,
    HeadRejected,
    MessageReceived,
    RequestReceived,
    TimeUp,
)
from wsdev.gateway_session import GatewaySession
from wsdev.limits import Limits
from wsdev.protocol import ESP32CAM, PICO, DeviceClass, Frame, Pong, Telemetry
from wsdev.session import SessionPolicy, State

LIMITS = Limits()
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""Of the sample key, as RFC 6455 section 1.3 gives it."""


def refusal_of(heard: Heard) -> str | None:
    """The refusal that was answered, by its code; None if the device was let in."""
    if heard.session.state is State.OPEN:
        return None
    for code in REFUSALS:
        if heard.answer == answers.refusal(code, "r-1"):
            return code
    pytest.fail(f"neither let in nor refused: {heard.events}")


def upgrade(*lines: str, without: str = "", request: str = UPGRADE_LINES[0]) -> bytes:
    """A request for an upgrade with these header lines more, and one less."""
    kept = [line for line in UPGRADE_LINES[1:] if not without or not line.startswith(without)]
    return head(request, *kept, *lines)


# The upgrade


def test_the_answer_to_an_upgrade_has_exactly_three_headers_and_is_short() -> None:
    heard = gateway_hears(UPGRADE)
    assert heard.answer == (
        b"HTTP/1.1 101 Switching Protocols\r\n"
        b"Upgrade: websocket\r\n"
        b"Connection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + ACCEPT + b"\r\n\r\n"
    )
    assert len(heard.answer) < 512
    assert heard.session.device_class is PICO


@pytest.mark.parametrize(
    "more",
    [
        "Sec-WebSocket-Protocol: arduino",
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
        "Sec-WebSocket-Extensions: ;;;",
        "Origin: file://",
        "Origin: https://github.com/gilmaimon/TinyWebsockets",
        "User-Agent: \xe9\x80",
    ],
)
def test_what_libraries_add_changes_nothing_in_the_answer(more: str) -> None:
    assert gateway_hears(upgrade(more)).answer == gateway_hears(UPGRADE).answer


def test_our_subprotocol_is_taken_when_it_is_offered() -> None:
    answer = gateway_hears(upgrade("Sec-WebSocket-Protocol: arduino, wsdev.v1")).answer
    assert b"\r\nSec-WebSocket-Protocol: wsdev.v1\r\n" in answer
    assert len(answer) < 512


def test_compression_is_agreed_on_only_by_policy_and_offer() -> None:
    offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"
    policy = SessionPolicy(compression=True)
    assert b"permessage-deflate" in gateway_hears(upgrade(offer), policy=policy).answer
    assert gateway_hears(UPGRADE, policy=policy).answer == gateway_hears(UPGRADE).answer


def test_header_names_and_upgrade_words_may_come_in_any_case() -> None:
    shouting = UPGRADE.replace(b"Upgrade: websocket", b"UPGRADE: WebSocket").replace(
        b"Connection: Upgrade", b"connection: keep-alive, upgrade"
    )
    assert refusal_of(gateway_hears(shouting)) is None


def test_the_gateway_never_speaks_first() -> None:
    session = open_gateway()
    assert session.data_to_send() == []


@pytest.mark.parametrize(
    ("request_bytes", "code"),
    [
        (head("GET /ws/pico HTTP/1.1", "Host: a"), "upgrade_required"),
        (head("HEAD /ws/pico HTTP/1.1", "Host: a"), "upgrade_required"),
        (upgrade(request="HEAD /ws/pico HTTP/1.1"), "upgrade_required"),
        (upgrade(without="Connection"), "upgrade_required"),
        (upgrade(without="Upgrade"), "upgrade_required"),
        (upgrade("Connection: close", without="Connection"), "upgrade_required"),
        (upgrade("Upgrade: h2c", without="Upgrade"), "upgrade_required"),
        (upgrade(request="GET /ws/pico HTTP/1.0"), "http_1_0"),
        (head("GET /ws/pico HTTP/1.0"), "http_1_0"),
        (
            upgrade("Sec-WebSocket-Version: 8", without="Sec-WebSocket-Version"),
            "websocket_version",
        ),
        (
            upgrade("Sec-WebSocket-Version: 13, 8", without="Sec-WebSocket-Version"),
            "websocket_version",
        ),
        (upgrade("Sec-WebSocket-Version: 8"), "websocket_version"),
        (upgrade(without="Sec-WebSocket-Version"), "bad_upgrade"),
        (upgrade(without="Sec-WebSocket-Key"), "bad_upgrade"),
        (upgrade("Sec-WebSocket-Key: short", without="Sec-WebSocket-Key"), "bad_upgrade"),
        (upgrade("Sec-WebSocket-Key: \xe9\xff", without="Sec-WebSocket-Key"), "bad_upgrade"),
        (upgrade("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), "bad_upgrade"),
        (head("POST / HTTP/1.1", "Host: a", "Content-Length: 1") + b"a", "method_not_allowed"),
        (head("OPTIONS /public/tokens HTTP/1.1", "Host: a"), "method_not_allowed"),
        (b"PROPFIND /", "method_not_allowed"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "method_not_allowed"),
        (head("GET / HTTP/2.0"), "bad_request"),
        (head("GET /"), "bad_request"),
        (head("GET  / HTTP/1.1"), "bad_request"),
        (head("GET /\xe9 HTTP/1.1", "Host: a"), "bad_request"),
        (head("GET / HTTP/1.1", "Host"), "bad_request"),
        (head("GET / HTTP/1.1", "Ho st: a"), "bad_request"),
        (head("GET / HTTP/1.1", "Host: a", " folded: b"), "bad_request"),
        (head("GET / HTTP/1.1", "Host: a\x00b"), "bad_request"),
        (head("GET / HTTP/1.1", "Host: a\nX: b"), "bad_request"),
        (head("GET / HTTP/1.1", "Host: a", "Content-Length: 3"), "bad_request"),
        (head("GET / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked"), "bad_request"),
        (b"\r\n\r\n", "bad_request"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "tls_on_plain_port"),
        (b"\x16", "tls_on_plain_port"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("cut", [whole, bytewise])
def test_each_bad_request_gets_the_refusal_that_names_its_fault(
    request_bytes: bytes, code: str, cut: Cut
) -> None:
    heard = gateway_hears(request_bytes, cut)
    assert refusal_of(heard) == code
    assert heard.half_closed
    assert heard.session.state is State.CLOSING


def test_a_request_of_http_1_0_can_be_answered() -> None:
    session = GatewaySession(SessionPolicy(), 0.0)
    (event,) = session.receive(head("GET /healthz HTTP/1.0"), 0.0)
    assert isinstance(event, RequestReceived)
    assert event.request.protocol == "HTTP/1.0"
    session.answer(answers.health("ok"), 0.0)
    assert session.data_to_send() == [answers.health("ok"), b""]
    assert session.tick(LIMITS.linger) == [TimeUp()]


def test_an_answer_is_given_once() -> None:
    session = GatewaySession(SessionPolicy(), 0.0)
    session.receive(head("GET / HTTP/1.0"), 0.0)
    session.answer(b"first", 0.0)
    session.answer(b"second", 0.0)
    assert session.data_to_send() == [b"first", b""]


def test_an_open_conversation_gets_no_http_answer() -> None:
    session = open_gateway()
    session.answer(b"HTTP/1.1 500\r\n\r\n", 0.0)
    assert session.data_to_send() == []
    assert session.state is State.OPEN


@pytest.mark.parametrize("cut", [whole, bytewise, cut_at(len(UPGRADE))])
def test_frames_right_behind_the_head_wait_for_the_upgrade(cut: Cut) -> None:
    heard = gateway_hears(UPGRADE + masked(TEXT, b'{"type":"ping","timestamp":1}'), cut)
    assert [type(event) for event in heard.events] == [RequestReceived, MessageReceived]
    assert heard.answer.startswith(b"HTTP/1.1 101")


def test_bytes_that_come_while_the_verdict_is_awaited_are_kept() -> None:
    session = GatewaySession(SessionPolicy(), 0.0)
    (event,) = session.receive(UPGRADE, 0.0)
    assert isinstance(event, RequestReceived)
    frame = masked(BINARY, b"abc")
    assert session.receive(frame[:4], 0.1) == []
    assert session.receive(frame[4:], 0.2) == []
    assert session.check_upgrade(event.request) is None
    assert session.accept(PICO, 0.3) == [BinaryReceived(b"abc", None)]


def test_junk_after_a_refusal_is_dropped_and_costs_no_memory() -> None:
    session = gateway_hears(head("GET /ws/pico HTTP/1.1", "Host: a")).session
    frame = masked(BINARY, bytes(60_000))
    tracemalloc.start()
    for _ in range(100):
        assert session.receive(frame, 0.1) == []
        assert session.receive(UPGRADE, 0.1) == []
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 10_000
    assert session.data_to_send() == []
    assert session.tick(LIMITS.linger) == [TimeUp()]


def test_a_second_request_behind_the_first_is_dropped() -> None:
    request = head("GET /nothing HTTP/1.1", "Host: a")
    heard = gateway_hears(request * 3)
    assert len(heard.events) == 1
    assert heard.answer.count(b"HTTP/1.1 ") == 1


# The head's limits


def test_a_head_that_comes_one_header_a_second_is_cut_off_after_ten() -> None:
    session = GatewaySession(SessionPolicy(), 100.0)
    session.receive(b"GET / HTTP/1.1\r\n", 100.0)
    for second in range(1, 10):
        assert session.receive(b"X-Slow: 1\r\n", 100.0 + second) == []
        assert session.tick(100.0 + second) == []
    session.receive(b"X-Slow: 1\r\n", 109.9)
    assert session.due == 110.0
    assert session.tick(110.0) == [HeadRejected("head_timeout")]
    assert session.receive(b"\r\n", 110.1) == []
    session.answer(answers.refusal("head_timeout", "r-1"), 110.1)
    assert session.tick(110.1 + LIMITS.linger) == [TimeUp()]


def test_who_connects_and_says_nothing_is_cut_off_after_ten_seconds() -> None:
    session = GatewaySession(SessionPolicy(), 0.0)
    assert session.receive(b"", 5.0) == []
    assert session.tick(9.99) == []
    assert session.tick(10.0) == [HeadRejected("head_timeout")]


def head_of(size: int) -> bytes:
    """A good head of so many bytes before its empty line."""
    start = b"GET / HTTP/1.1\r\nHost: a\r\nX: "
    return start + b"x" * (size - len(start)) + b"\r\n\r\n"


def head_with(lines: int) -> bytes:
    """A good head of so many header lines."""
    return head("GET / HTTP/1.1", "Host: a", *(f"X-{i}: 1" for i in range(lines - 1)))


@pytest.mark.parametrize(
    ("make", "limit"), [(head_of, LIMITS.head_bytes), (head_with, LIMITS.head_lines)]
)
@pytest.mark.parametrize("behind", [b"", masked(BINARY, bytes(20_000))])
def test_limits_of_the_head_are_sharp_however_it_is_cut(
    make: Callable[[int], bytes], limit: int, behind: bytes
) -> None:
    good, bad = make(limit), make(limit + 1)
    for back in range(-4, 12):
        for cut in (cut_at(len(good) - back), bytewise_from(len(good) - back), whole):
            assert isinstance(gateway_hears(good + behind, cut).events[0], RequestReceived), back
        for cut in (cut_at(len(bad) - back), bytewise_from(len(bad) - back), whole):
            assert gateway_hears(bad + behind, cut).events == [HeadRejected("head_too_large")], back


def bytewise_from(position: int) -> Cut:
    """In small pieces around the end of the head."""
    return cut_at(*range(position, position + 20))


def test_a_head_without_end_is_refused_at_its_limit() -> None:
    session = GatewaySession(SessionPolicy(), 0.0)
    session.receive(b"GET /", 0.0)
    fed = 0
    while not (events := session.receive(b"a" * 512, 0.0)):
        fed += 512
        assert fed < LIMITS.head_bytes + 1024
    assert events == [HeadRejected("head_too_large")]


def test_a_head_of_endless_empty_lines_is_refused_by_their_number() -> None:
    events = gateway_hears(b"GET / HTTP/1.1\r\n" + b"\n" * 200).events
    assert events == [HeadRejected("head_too_large")]


def test_a_wider_limit_ends_where_the_parser_ends() -> None:
    policy = SessionPolicy(limits=Limits(head_bytes=64 * 1024, head_lines=1000))
    for data in (head_of(20_000), head_with(500)):
        assert gateway_hears(data, policy=policy).events == [HeadRejected("head_too_large")]


head_bits = st.one_of(
    st.sampled_from([
        b"GET", b"HEAD", b"POST", b" ", b"/ws/pico", b"/", b" HTTP/1.1", b" HTTP/1.0", b"\r\n",
        b"\n", b"\r", b"\r\n\r\n", b"Host: a\r\n", b"Upgrade: websocket\r\n", b":", b"\x16\x03",
        b"Connection: Upgrade\r\n", b"Sec-WebSocket-Version: 13\r\n", b"\xff", b"\x00",
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b"Content-Length: 0\r\n",
        b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=99\r\n",
        b"Sec-WebSocket-Protocol: wsdev.v1,,\r\n", b"Origin: x\r\n", UPGRADE, b"x" * 3000,
        b"a:b\r\n" * 50, masked(TEXT, b"{}"), masked(CLOSE),
    ]),
    st.binary(max_size=30),
)  # fmt: skip
heads = st.lists(head_bits, max_size=14).map(b"".join)
sizes = st.lists(st.integers(1, 400), min_size=1, max_size=8)


@given(heads, sizes)
@settings(max_examples=150)
def test_any_head_gets_the_same_verdict_however_it_is_cut(data: bytes, pieces: list[int]) -> None:
    for compression in (False, True):
        policy = SessionPolicy(
            wall_clock=lambda: 0.0, compression=compression, limits=Limits(head_lines=100)
        )
        uncut = gateway_hears(data, policy=policy)
        cut = gateway_hears(data, cut_by(pieces), policy=policy)
        assert told(cut.events) == told(uncut.events)
        assert cut.session.state is uncut.session.state
        assert cut.half_closed == uncut.half_closed


# Frames


def hears(
    *frames: bytes,
    cut: Cut = whole,
    device_class: DeviceClass = PICO,
    policy: SessionPolicy | None = None,
    upgrade_request: bytes = UPGRADE,
) -> tuple[list[object], list[tuple[int, bytes]]]:
    """What the gateway is told after the upgrade, and the frames that it sends."""
    heard = gateway_hears(
        upgrade_request + b"".join(frames), cut, device_class=device_class, policy=policy
    )
    _, _, sent = heard.answer.partition(b"\r\n\r\n")
    return told(heard.events)[1:], frames_in(sent)


def closed_here(code: CloseCode, reason: str) -> Closed:
    return Closed(code, reason, ClosedBy.HERE)


@pytest.mark.parametrize(
    "frame",
    [
        masked(3, b"a"),
        masked(11),
        masked(TEXT, b"{}", rsv=4),
        masked(TEXT, b"{}", rsv=1),
        b"\x81\x02{}",
        masked(CONT, b"a"),
        masked(TEXT, b"a", fin=False) + masked(TEXT, b"b"),
        masked(PING, b"a", fin=False),
        masked(PING, bytes(126)),
        masked(CLOSE, b"\x03"),
        masked(CLOSE, close_payload(1005)),
        masked(CLOSE, close_payload(999)),
        masked(CLOSE, close_payload(5000)),
        masked(TEXT, b"a", fin=False) + masked(CLOSE, close_payload(1000)),
    ],
)
@pytest.mark.parametrize("cut", [whole, bytewise])
def test_a_frame_that_breaks_the_rules_is_answered_with_1002(frame: bytes, cut: Cut) -> None:
    events, sent = hears(frame, masked(TEXT, b'{"type":"ping"}'), cut=cut)
    (closed,) = events
    assert isinstance(closed, Closed)
    assert (closed.code, closed.by) == (CloseCode.PROTOCOL_ERROR, ClosedBy.HERE)
    assert sent == [(CLOSE, close_payload(1002, closed.reason))]
    assert closed.reason


@pytest.mark.parametrize("cut", [whole, bytewise])
@pytest.mark.parametrize(
    "frames",
    [
        masked(TEXT, b'{"type":"log","message":"\xff"}'),
        masked(TEXT, b"\xed\xa0\x80"),  # a surrogate
        masked(TEXT, b"\xc3", fin=False) + masked(CONT, b"\x28"),
    ],
)
def test_text_that_is_not_utf_8_is_answered_with_1007(frames: bytes, cut: Cut) -> None:
    events, sent = hears(frames, cut=cut)
    assert events == [closed_here(CloseCode.INVALID_DATA, "text is not UTF-8")]
    assert sent == [(CLOSE, close_payload(1007, "text is not UTF-8"))]


def test_a_close_reason_that_is_not_utf_8_is_answered_with_1007() -> None:
    events, sent = hears(masked(CLOSE, close_payload(1000) + b"\xff"))
    (closed,) = events
    assert isinstance(closed, Closed)
    assert closed.code == CloseCode.INVALID_DATA
    assert sent[0][1].startswith(close_payload(1007))


def test_a_character_may_be_cut_by_a_fragment() -> None:
    text = '{"type":"log","message":"Grüße"}'.encode()
    for position in range(1, len(text)):
        events, _ = hears(masked(TEXT, text[:position], fin=False), masked(CONT, text[position:]))
        (event,) = events
        assert isinstance(event, MessageReceived), position
        assert event.text == text


def test_an_empty_close_frame_is_answered_with_an_empty_one() -> None:
    events, sent = hears(masked(CLOSE))
    assert events == [Closed(CloseCode.NO_STATUS, "", ClosedBy.PEER)]
    assert sent == [(CLOSE, b"")]


@pytest.mark.parametrize("code", [1000, 1001, 1008, 1014, 3000, 4000, 4501, 4999])
def test_a_close_frame_is_answered_with_its_own_code(code: int) -> None:
    events, sent = hears(masked(CLOSE, close_payload(code, "bye")))
    assert events == [Closed(code, "bye", ClosedBy.PEER)]
    assert sent == [(CLOSE, close_payload(code, "bye"))]


def test_after_the_devices_goodbye_the_gateway_half_closes_and_hears_no_more() -> None:
    heard = gateway_hears(UPGRADE + masked(CLOSE) + masked(BINARY, b"too late"))
    assert heard.half_closed
    assert [type(event) for event in heard.events] == [RequestReceived, Closed]
    assert heard.session.receive(masked(CLOSE) + b"junk", 0.0) == []
    assert heard.session.data_to_send() == []


@pytest.mark.parametrize("length", [2**40, 2**63 - 1, 2**64 - 1, PICO.max_message + 1])
@pytest.mark.parametrize("opcode", [TEXT, BINARY, PING])
def test_a_length_over_the_limit_is_refused_as_soon_as_it_is_declared(
    length: int, opcode: int
) -> None:
    session = open_gateway()
    declared = masked(opcode, declared=length, length_size=8)[:10]
    assert session.receive(declared[:9], 0.0) == []
    (closed,) = session.receive(declared[9:], 0.0)
    assert isinstance(closed, Closed)
    assert (closed.code, closed.by) == (CloseCode.TOO_BIG, ClosedBy.HERE)
    assert frames_in(take(session)) == [(CLOSE, close_payload(1009, closed.reason))]


@pytest.mark.parametrize("device_class", [PICO, ESP32CAM])
def test_the_largest_message_is_taken_and_one_byte_more_is_not(device_class: DeviceClass) -> None:
    limit = device_class.max_message
    events, _ = hears(masked(BINARY, bytes(limit)), device_class=device_class)
    assert events == [BinaryReceived(bytes(limit), None)]
    half = masked(BINARY, bytes(limit // 2), fin=False)
    events, _ = hears(half, masked(CONT, bytes(limit - limit // 2)), device_class=device_class)
    assert events == [BinaryReceived(bytes(limit), None)]
    over = masked(CONT, bytes(limit - limit // 2 + 1))
    (closed,), _ = hears(half, over, device_class=device_class)
    assert isinstance(closed, Closed)
    assert closed.code == CloseCode.TOO_BIG


def test_a_length_of_65535_may_be_written_in_64_bits() -> None:
    events, _ = hears(masked(BINARY, bytes(65_535), length_size=8))
    assert events == [BinaryReceived(bytes(65_535), None)]
    events, _ = hears(masked(TEXT, b'{"type":"status"}', length_size=8))
    assert isinstance(events[0], MessageReceived)


@pytest.mark.parametrize("mask", [b"\x00\x00\x00\x00", b"\xff\xff\xff\xff", b"\x01\x02\x03\x04"])
def test_masks_may_be_constant_or_all_zero(mask: bytes) -> None:
    frame = masked(TEXT, b'{"type":"telemetry","data":{}}', mask=mask)
    events, _ = hears(frame, frame)
    assert [e.message for e in events if isinstance(e, MessageReceived)] == [Telemetry({})] * 2


@pytest.mark.parametrize("cut", [whole, bytewise, cut_by([1, 4, 7, 300])])
def test_a_picture_in_thirty_fragments_with_pings_between(cut: Cut) -> None:
    picture = b"\xff\xd8" + bytes(range(256)) * 100 + b"\xff\xd9"
    step = -(-len(picture) // 30)
    parts = [picture[i : i + step] for i in range(0, len(picture), step)]
    frames = [masked(TEXT, b'{"type":"frame","size":25604}')]
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        frames += [masked(CONT if number else BINARY, part, fin=last), masked(PING, b"%d" % number)]
    events, sent = hears(*frames, device_class=ESP32CAM, cut=cut)
    assert len(parts) == 30
    assert events[1:] == [BinaryReceived(picture, Frame(size=25604))]
    assert sent == [(PONG, b"%d" % number) for number in range(30)]


def test_many_tiny_fragments_cost_no_more_than_their_bytes() -> None:
    session = open_gateway()
    session.receive(masked(BINARY, b"a", fin=False), 0.0)
    some = masked(CONT, b"a", fin=False) * 500 + masked(CONT, fin=False) * 500
    session.receive(some, 0.0)
    tracemalloc.start()
    for _ in range(8):
        assert session.receive(some, 0.0) == []
    snapshot = tracemalloc.take_snapshot()
    tracemalloc.stop()
    # Other threads of the test runner allocate too.
    ours = [tracemalloc.Filter(True, f"*/{package}/*") for package in ("wsdev", "websockets")]
    assert sum(trace.size for trace in snapshot.filter_traces(ours).traces) < 20_000
    (message,) = session.receive(masked(CONT), 0.0)
    assert isinstance(message, BinaryReceived)
    assert len(message.data) == 1 + 9 * 500


# Compression

COMPRESSING = SessionPolicy(compression=True)
UPGRADE_COMPRESSED = upgrade("Sec-WebSocket-Extensions: permessage-deflate")


def deflated(data: bytes) -> bytes:
    """A payload of RFC 7692 section 7.2.1."""
    compressor = zlib.compressobj(9, wbits=-15)
    out = compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return out.removesuffix(b"\x00\x00\xff\xff")


hears_compressed = partial(hears, policy=COMPRESSING, upgrade_request=UPGRADE_COMPRESSED)


def test_the_limit_counts_a_compressed_message_as_it_is_unpacked() -> None:
    limit = PICO.max_message
    events, _ = hears_compressed(masked(BINARY, deflated(bytes(limit)), rsv=4))
    assert events == [BinaryReceived(bytes(limit), None)]
    events, sent = hears_compressed(masked(BINARY, deflated(bytes(limit + 1)), rsv=4))
    assert [e.code for e in events if isinstance(e, Closed)] == [CloseCode.TOO_BIG]
    assert sent[0][1].startswith(close_payload(1009))


@pytest.mark.parametrize("fragments", [1, 5])
def test_a_compression_bomb_is_refused_before_it_is_unpacked(fragments: int) -> None:
    bomb = deflated(bytes(20_000_000))
    step = -(-len(bomb) // fragments)
    pieces = [bomb[i : i + step] for i in range(0, len(bomb), step)]
    frames = b"".join(
        masked(CONT if i else BINARY, piece, fin=i == len(pieces) - 1, rsv=0 if i else 4)
        for i, piece in enumerate(pieces)
    )
    assert len(bomb) < PICO.max_message
    tracemalloc.start()
    events, _ = hears_compressed(frames)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [e.code for e in events if isinstance(e, Closed)] == [CloseCode.TOO_BIG]
    assert peak < 1_000_000


def test_what_cannot_be_unpacked_is_answered_with_1002() -> None:
    events, _ = hears_compressed(masked(TEXT, b"\xff\xff\xff\xff", rsv=4))
    assert events == [closed_here(CloseCode.PROTOCOL_ERROR, "decompression failed")]


# Any frames, however cut

payloads = st.one_of(
    st.binary(max_size=140),
    st.sampled_from([
        b'{"type":"ping","timestamp":1}', b'{"type":"telemetry","data":{},"id":1}', b"{", b"[]",
        b'{"type":"frame","size":3}', b'{"type":"x"}', b"\xff\xd8\xff\xd9", b"\x03\xe8bye",
        b"\x00\x00\x00\x01", b"x" * 40_000, b"",
    ]),
)  # fmt: skip
frames = st.builds(
    masked,
    st.sampled_from([CONT, TEXT, TEXT, TEXT, BINARY, BINARY, CLOSE, PING, PONG, 5]),
    payloads,
    fin=st.sampled_from([True, True, True, False]),
    rsv=st.sampled_from([0, 0, 0, 0, 0, 4, 2]),
    mask=st.sampled_from([b"\x00\x00\x00\x00", b"\x11\x22\x33\x44"]),
    length_size=st.sampled_from([None, None, 8]),
    declared=st.sampled_from([None, None, None, None, None, 2**40, 3]),
)
streams = st.lists(st.one_of(frames, st.binary(max_size=5)), max_size=12).map(b"".join)


def pongs_apart(answer: bytes) -> tuple[list[bytes], list[bytes]]:
    """The pongs, and all else: a pong may overtake what answers an earlier message."""
    head, _, rest = answer.partition(b"\r\n\r\n")
    pongs: list[bytes] = []
    others = [head]
    while rest:
        long = rest[1] == 126
        end = 4 + int.from_bytes(rest[2:4], "big") if long else 2 + rest[1]
        (pongs if rest[0] & 0x0F == PONG else others).append(rest[:end])
        rest = rest[end:]
    return pongs, others


@given(streams, sizes, st.booleans())
@example(masked(TEXT, b"{") + masked(PING, b""), [1], False)
@settings(max_examples=150)
def test_any_frames_tell_the_same_however_they_are_cut(
    data: bytes, pieces: list[int], compressing: bool
) -> None:
    policy = SessionPolicy(wall_clock=lambda: 0.0, compression=compressing)
    request = UPGRADE_COMPRESSED if compressing else UPGRADE
    uncut = gateway_hears(request + data, policy=policy)
    cut = gateway_hears(request + data, cut_by(pieces), policy=policy)
    assert told(cut.events) == told(uncut.events)
    assert cut.session.state is uncut.session.state
    assert cut.session.messages_received == uncut.session.messages_received
    assert cut.half_closed == uncut.half_closed
    if uncut.session.state is State.OPEN:
        assert pongs_apart(cut.answer) == pongs_apart(uncut.answer)


# Answers


def test_a_bad_message_is_explained_and_the_device_stays() -> None:
    session = open_gateway()
    (event,) = session.receive(masked(TEXT, b'{"type":"telemetry"}'), 0.0)
    assert isinstance(event, BadMessageReceived)
    ((_, answer),) = frames_in(take(session))
    assert b'"type":"error"' in answer
    assert b'"code":"wrong_fields"' in answer
    assert b'"hint":"' in answer
    assert session.state is State.OPEN


@given(st.binary(max_size=300))
@settings(max_examples=100)
def test_no_message_makes_an_answer_over_the_size_that_devices_take(payload: bytes) -> None:
    for message in (payload, b'{"type":"ping","timestamp":"' + payload + b'"}'):
        session = open_gateway()
        session.receive(masked(TEXT, message), 0.0)
        for _, answer in frames_in(take(session)):
            assert len(answer) <= 4096


def test_a_ping_comes_back_with_its_timestamp_and_the_time() -> None:
    session = open_gateway(policy=SessionPolicy(wall_clock=lambda: 1234.5))
    session.receive(masked(TEXT, b'{"type":"ping","timestamp":99}'), 0.0)
    assert frames_in(take(session)) == [
        (TEXT, b'{"type":"pong","timestamp":99,"server_time":1234.5}')
    ]


def test_a_pong_of_a_device_gets_no_answer() -> None:
    session = open_gateway()
    (event,) = session.receive(masked(TEXT, b'{"type":"pong"}'), 0.0)
    assert isinstance(event, MessageReceived)
    assert event.message == Pong()
    assert session.data_to_send() == []
