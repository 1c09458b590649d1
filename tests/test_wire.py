"""That the short way for plain frames is the same as the package's own.

A session is given the same bytes twice, the second time with the short way taken out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from session_pair import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    UPGRADE,
    close_payload,
    masked,
    switching_protocols,
    told,
    verdict,
)
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode
from websockets.protocol import CLIENT, SERVER, Protocol, Side

from wsdev import wire
from wsdev.codes import CloseCode
from wsdev.device_session import DeviceSession
from wsdev.events import MessageReceived, RequestReceived
from wsdev.frames import WireFrame
from wsdev.gateway_session import GatewaySession
from wsdev.protocol import DeviceClass, Telemetry
from wsdev.session import Session, SessionPolicy, State
from wsdev.wire import Wire

SMALL = DeviceClass("pico", max_message=400)
POLICY = SessionPolicy(wall_clock=lambda: 0.0)
KEY = b"\x01\x82\x43\xf4"
LIKE_A_HEAD = b"\x81\x81\x01\x02"
"""A masking key that could be the head of a plain frame."""


@contextmanager
def package_only() -> Iterator[None]:
    """The short way is closed, for bytes in and for bytes out."""

    def no_frames(_: bytes, __: int, *, masked: bool) -> tuple[list[WireFrame], int, int]:
        return [], 0, 0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wire, "whole_frames", no_frames)
        patch.setattr(wire, "gateway_frame", lambda op, data: Frame(op, data).serialize(mask=False))
        patch.setattr(wire, "device_frame", lambda op, data: Frame(op, data).serialize(mask=True))
        yield


# What a peer may say, and how it is cut

WORDS = (
    b'{"type":"telemetry","id":"t-1","data":{"celsius":21.5}}',
    '{"type":"log","id":7,"message":"Grüße"}'.encode(),
    b'{"type":"ping","timestamp":"12:30"}',
    b'{"type":"frame","size":4}',
    b'{"type":"ack","status":"success","id":"c-1"}',
    b'{"type":"telemetry"',
    b'{"type":"log","text":"' + b"x" * 120 + b'"}',
    b"\xff\xfe",
    b"",
)

payloads = st.one_of(
    st.sampled_from(WORDS),
    st.sampled_from((b"\0\0\0\1", b"\0\0\0\2", close_payload(1000, "done"), close_payload(1005))),
    st.sampled_from((masked(TEXT, b"{}"), masked(CLOSE), masked(TEXT, b"{}")[2:])),
    st.binary(max_size=140),
    st.integers(120, 410).map(bytes),
)

_plain = st.builds(
    masked,
    st.sampled_from((TEXT, TEXT, TEXT, BINARY, PONG)),
    payloads,
    mask=st.sampled_from((KEY, LIKE_A_HEAD)),
)
_part = st.builds(
    masked,
    st.sampled_from((TEXT, BINARY, CONT, CONT)),
    payloads,
    fin=st.booleans(),
    mask=st.sampled_from((KEY, b"\0\0\0\0", LIKE_A_HEAD)),
)
_any = st.builds(
    masked,
    st.sampled_from((TEXT, BINARY, CONT, PING, PONG, CLOSE, 3, 11)),
    payloads,
    fin=st.booleans(),
    rsv=st.sampled_from((0, 0, 0, 1, 4)),
    mask=st.sampled_from((KEY, b"\0\0\0\0", LIKE_A_HEAD)),
    length_size=st.sampled_from((None, 2, 8)),
    declared=st.sampled_from((None, None, None, 401, 2**63)),
)
_frames = st.one_of(_plain, _plain, _part, _part, _any)


_cuts = st.one_of(
    st.sampled_from(("behind", "alone")),
    # A head ends after two, four or ten bytes, with a mask four later.
    st.sampled_from((1, 2, 4, 6, 8, 10, 14)),
    st.integers(1, 150),
)


@st.composite
def talk(draw: st.DrawFn, *, mask: bool) -> list[bytes]:
    """What a peer says, in the pieces in which it comes.

    A frame comes in the piece of the one before, in one of its own, or cut between two. One in
    eight is masked that must not be, or the other way round.
    """
    as_it_should = _frames if mask else _frames.map(without_mask)
    wrong = _frames.map(without_mask) if mask else _frames
    part = st.one_of(*[as_it_should] * 7, wrong | st.binary(max_size=6))
    pieces = [b""]
    for data, cut in draw(st.lists(st.tuples(part, _cuts), max_size=8)):
        if isinstance(cut, int):
            pieces[-1] += data[:cut]
            pieces.append(data[cut:])
        elif cut == "behind":
            pieces[-1] += data
        else:
            pieces.append(data)
    return [piece for piece in pieces if piece]


def without_mask(data: bytes) -> bytes:
    head = {126: 4, 127: 10}.get(data[1] & 0x7F, 2)
    key, payload = data[head : head + 4], data[head + 4 :]
    plain = bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))
    return bytes((data[0], data[1] & 0x7F)) + data[2:head] + plain


deeds = st.lists(st.sampled_from(("", "", "", "ping", "say", "show", "close")), max_size=8)


# What can be seen of a session


def bytes_sent(session: Session, side: Side) -> object:
    """What a session says; a device's masks are new each time, so they are taken off."""
    out = session.data_to_send()
    if side is SERVER:
        return b"".join(out), out[-1:] == [b""]
    peer = Protocol(SERVER)
    peer.receive_data(b"".join(out))
    frames_heard = [repr(frame) for frame in peer.events_received()]
    return frames_heard, bytes(peer.reader.buffer), out[-1:] == [b""]


def seen(
    session: Session, side: Side, pieces: Sequence[bytes], does: Sequence[str]
) -> list[object]:
    story: list[object] = [bytes_sent(session, side)]
    for turn, piece in enumerate(pieces):
        now = float(turn)
        events = session.receive(piece, now)
        for event in events:
            if isinstance(event, MessageReceived) and isinstance(event.message, Telemetry):
                session.send({"type": "ack", "id": event.message.id})
        deed = does[turn] if turn < len(does) else ""
        if deed == "ping":
            session.ping(now)
        elif deed == "say":
            session.send_text(b'{"type":"pong"}')
        elif deed == "show":
            session.send_binary(bytes(130))
        elif deed == "close":
            events = events + session.close(CloseCode.RESTART, "the gateway restarts", now)
        counted = (session.charged, session.messages_received, session.messages_sent)
        sums = (session.bytes_received, session.bytes_sent, session.due)
        story.append((told(events), bytes_sent(session, side), session.state, counted, sums))
    return story


def gateway() -> GatewaySession:
    session = GatewaySession(POLICY, 0.0)
    for event in session.receive(UPGRADE, 0.0):
        assert isinstance(event, RequestReceived)
        verdict(session, event, SMALL, 0.0)
    assert session.state is State.OPEN
    session.data_to_send()
    return session


def device(behind_the_head: bytes = b"") -> DeviceSession:
    session = DeviceSession(POLICY, "ws://gateway:3000/ws/pico", SMALL, [], 0.0)
    answer = switching_protocols(session)
    session.receive(answer + behind_the_head, 0.0)
    return session


@given(talk(mask=True), deeds)
@settings(max_examples=400)
def test_a_gateway_cannot_tell_the_two_ways_apart(pieces: list[bytes], does: list[str]) -> None:
    short = seen(gateway(), SERVER, pieces, does)
    with package_only():
        assert seen(gateway(), SERVER, pieces, does) == short


@given(talk(mask=False), talk(mask=False), deeds)
@settings(max_examples=400)
def test_a_device_cannot_tell_the_two_ways_apart(
    behind_the_head: list[bytes], pieces: list[bytes], does: list[str]
) -> None:
    first = b"".join(behind_the_head[:1])
    short = seen(device(first), CLIENT, pieces, does)
    with package_only():
        assert seen(device(first), CLIENT, pieces, does) == short


@given(st.lists(st.binary(min_size=1, max_size=20), max_size=5))
def test_any_bytes_mean_the_same_on_both_ways(pieces: list[bytes]) -> None:
    short = seen(gateway(), SERVER, pieces, ())
    with package_only():
        assert seen(gateway(), SERVER, pieces, ()) == short


@pytest.mark.parametrize("payload", [close_payload(1000, "done"), bytes(130)])
@pytest.mark.parametrize("opcode", [TEXT, PING, CLOSE])
def test_frame_of_each_kind_cut_anywhere_is_the_same_on_both_ways(
    opcode: int, payload: bytes
) -> None:
    plain = masked(TEXT, WORDS[0], mask=KEY)
    data = plain + masked(opcode, payload, mask=LIKE_A_HEAD) + plain
    for position in range(1, len(data)):
        pieces = data[:position], data[position:]
        short = seen(gateway(), SERVER, pieces, ("say", "say"))
        with package_only():
            assert seen(gateway(), SERVER, pieces, ("say", "say")) == short, position


# That the short way is gone at all


def forbid_the_package(patch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("the package was asked")

    patch.setattr(wire, "Protocol", fail)


def test_plain_frames_and_pings_need_nothing_of_the_package(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    forbid_the_package(monkeypatch)
    session = gateway()
    session.ping(0.0)
    (sent,) = session.data_to_send()
    story = seen(
        session,
        SERVER,
        [masked(TEXT, WORDS[0], mask=KEY) + masked(PONG, sent[2:]) + masked(BINARY, bytes(200))],
        ("say",),
    )
    assert [type(event).__name__ for event in story[-1][0]] == [  # type: ignore[index]
        "MessageReceived", "PongReceived", "BinaryReceived",
    ]  # fmt: skip


def test_after_a_frame_in_pieces_the_short_way_is_taken_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen_by_package: list[bytes] = []
    receive = Protocol.receive_data

    def watched(self: Protocol, data: bytes) -> None:
        seen_by_package.append(data)
        receive(self, data)

    monkeypatch.setattr(Protocol, "receive_data", watched)
    end = Wire(SERVER, 400)
    plain = masked(TEXT, b"{}", mask=KEY)
    fragments = masked(TEXT, b"{", fin=False), masked(CONT, b"}")
    for data in (plain, plain[:1], plain[1:], plain, *fragments, plain, masked(PING), plain):
        end.receive(data)
    assert seen_by_package == [plain[:1], plain[1:], *fragments, masked(PING)]


def test_large_frame_in_pieces_needs_nothing_of_the_package(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    forbid_the_package(monkeypatch)
    end = Wire(SERVER, 100_000)
    data = masked(BINARY, bytes(50_000), mask=KEY) + masked(TEXT, b"{}", mask=KEY)
    heard = [end.receive(data[at : at + 16_384]) for at in range(0, len(data), 16_384)]
    assert heard == [[], [], [], [(BINARY, True, bytes(50_000)), (TEXT, True, b"{}")]]


def test_frame_that_has_begun_is_forgotten_by_nobody_when_the_last_word_is_said() -> None:
    end = Wire(SERVER, 400)
    data = masked(BINARY, bytes(200), mask=KEY) + masked(CLOSE, close_payload(1000, "done"))
    assert end.receive(data[:100]) == []
    end.close(CloseCode.NORMAL, "done")
    end.receive_close(data[100:])
    assert end.close_received is not None


def test_with_an_extension_all_is_the_packages_business() -> None:
    extension = PerMessageDeflate(False, False, 12, 12)
    end = Wire(SERVER, 400, extensions=[extension])
    peer = Protocol(CLIENT)
    peer.extensions = [PerMessageDeflate(False, False, 12, 12)]
    peer.send_text(b"{}")
    assert end.receive(peer.data_to_send()[0]) == [(TEXT, True, b"{}")]
    peer.receive_data(end.frame(Opcode.TEXT, b'{"type":"pong"}'))
    assert [frame.data for frame in peer.events_received()] == [b'{"type":"pong"}']  # type: ignore[union-attr]


def test_bytes_after_the_last_word_are_heard_for_the_close_frame_only() -> None:
    end = Wire(SERVER, 400)
    end.receive_close(b"nothing was said yet")
    end.close(CloseCode.NORMAL, "done")
    assert not end.is_open
    end.data_to_send()
    end.receive_close(masked(TEXT, b"{}") + masked(CLOSE, close_payload(1000, "done")))
    assert list(end.data_to_send()) == [b""]
    assert end.close_received is not None
