from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from session_pair import BINARY, CLOSE, CONT, PING, PONG, TEXT, masked, unmasked
from websockets.frames import Frame, Opcode
from websockets.protocol import CLIENT, SERVER, Protocol

from wsdev import frames
from wsdev.frames import device_frame, gateway_frame, whole_frames

KEY = b"\x01\x82\x43\xf4"
SIZES = (0, 1, 125, 126, 127, 65535, 65536)
SENT = (Opcode.TEXT, Opcode.BINARY, Opcode.PING)


def test_whole_frames_are_taken_up_to_one_in_pieces() -> None:
    first, second = masked(TEXT, b"{}", mask=KEY), masked(BINARY, b"\xff" * 300, mask=KEY)
    both = first + second
    expected = [(TEXT, True, b"{}"), (BINARY, True, b"\xff" * 300)]
    assert whole_frames(both, 300, masked=True) == (expected, len(both), 0)
    for end in range(len(first), len(both)):
        wanted = len(second) if end >= len(first) + 4 else 0
        assert whole_frames(both[:end], 300, masked=True) == (expected[:1], len(first), wanted)
    for end in range(len(first)):
        wanted = len(first) if end >= 2 else 0
        assert whole_frames(both[:end], 300, masked=True) == ([], 0, wanted)


def test_frames_of_a_gateway_have_no_mask() -> None:
    data = unmasked(TEXT, b"{}") + unmasked(PONG, b"1234")
    expected = [(TEXT, True, b"{}"), (PONG, True, b"1234")]
    assert whole_frames(data, 300, masked=False) == (expected, len(data), 0)


@pytest.mark.parametrize(
    "data",
    [
        masked(CONT, b"{}"),
        masked(PING, b"1234"),
        masked(CLOSE),
        masked(3, b"{}"),
        masked(TEXT, b"{}", fin=False),
        masked(TEXT, b"{}", rsv=4),
        masked(TEXT, bytes(301)),
        masked(TEXT, b"{}", length_size=8),
        masked(PONG, bytes(126)),
        unmasked(TEXT, b"{}"),
    ],
)
def test_what_is_not_plain_is_left(data: bytes) -> None:
    assert whole_frames(data, 300, masked=True) == ([], 0, 0)
    plain = masked(TEXT, b"{}")
    assert whole_frames(plain + data + plain, 300, masked=True) == (
        [(TEXT, True, b"{}")],
        len(plain),
        0,
    )


def test_masked_frame_is_none_of_a_gateways() -> None:
    assert whole_frames(masked(TEXT, b"{}"), 300, masked=False) == ([], 0, 0)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("opcode", SENT[:2])
def test_a_gateways_frame_is_the_packages(opcode: Opcode, size: int) -> None:
    payload = bytes(size)
    assert gateway_frame(opcode, payload) == Frame(opcode, payload).serialize(mask=False)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("opcode", SENT[:2])
def test_a_devices_frame_is_the_packages_but_for_the_key(opcode: Opcode, size: int) -> None:
    payload = b"\x5a" * size
    data = device_frame(opcode, payload)
    assert len(data) == len(Frame(opcode, payload).serialize(mask=True))
    assert heard(SERVER, data) == [Frame(opcode, payload)]


@given(st.sampled_from(SENT), st.binary(max_size=125))
def test_what_is_sent_is_heard(opcode: Opcode, payload: bytes) -> None:
    assert heard(SERVER, device_frame(opcode, payload)) == [Frame(opcode, payload)]
    assert heard(CLIENT, gateway_frame(opcode, payload)) == [Frame(opcode, payload)]


def test_each_frame_of_a_device_has_a_key_of_its_own() -> None:
    keys = {device_frame(Opcode.TEXT, b"")[2:] for _ in range(3000)}
    assert len(keys) > 2990  # four bytes: two may be the same by chance


@pytest.mark.from_source
def test_keys_come_from_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "_masks", [])
    monkeypatch.setattr("os.urandom", lambda size: b"abcd" * (size // 4))
    for _ in range(2000):
        assert device_frame(Opcode.TEXT, b"")[2:] == b"abcd"


def heard(side: int, data: bytes) -> list[object]:
    library = Protocol(SERVER if side == SERVER else CLIENT)
    library.receive_data(data)
    return list(library.events_received())
