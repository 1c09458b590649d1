"""Plain frames from bytes and to bytes (RFC 6455 section 5.2), each whole and by itself."""

from __future__ import annotations

import os
import struct
from typing import Final

from websockets.frames import Frame, Opcode

try:
    from websockets.speedups import apply_mask
except ImportError:  # no C compiler where the package was built
    from websockets.utils import apply_mask

WireFrame = tuple[int, bool, bytes]
"""Opcode, whether it is final, payload without its mask."""

_FIN: Final = 0x80
_MASKED: Final = 0x80
_TWO_BYTES: Final = 126
"""In the place of a length: the next two bytes are the length (RFC 6455 section 5.2)."""

_TAKEN: Final = {_FIN | opcode: int(opcode) for opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.PONG)}
"""First bytes of frames that are taken here: final, no reserved bit, no answer due."""

_PONG: Final = int(Opcode.PONG)
_LONGEST_PONG: Final = 125


def whole_frames(data: bytes, max_size: int, *, masked: bool) -> tuple[list[WireFrame], int, int]:
    """The plain frames that stand whole at the start of ``data``.

    ``data`` starts with a frame, outside of a fragmented message, of a peer without extensions.

    Args:
        max_size: Bytes of payload; a larger frame is not taken.
        masked: Frames have to be masked; else they have to be not. One that differs is not taken.

    Returns:
        The frames, where they end, and the size of the plain frame that begins there but is not
        whole; 0 if what is there is anything else, or too little of it to tell.
    """
    frames: list[WireFrame] = []
    mask_bit, mask_size = (_MASKED, 4) if masked else (0, 0)
    at, size = 0, len(data)
    while size - at >= 2:
        opcode = _TAKEN.get(data[at])
        length = data[at + 1] ^ mask_bit
        begin = at + 2 + mask_size
        if length >= _TWO_BYTES:
            if length > _TWO_BYTES or size - at < 4:
                break
            # Also if one byte would do: the package takes that too.
            length = data[at + 2] << 8 | data[at + 3]
            begin += 2
        end = begin + length
        if opcode is None or length > max_size or (length > _LONGEST_PONG and opcode == _PONG):
            break
        if end > size:
            return frames, at, end - at
        payload = data[begin:end]
        if masked:
            payload = apply_mask(payload, data[begin - 4 : begin])
        frames.append((opcode, True, payload))
        at = end
    return frames, at, 0


# Sending

_SHORT_HEADS: Final = {
    opcode: [bytes((_FIN | opcode, length)) for length in range(_TWO_BYTES)]
    for opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.PING)
}


_longer_head: Final = struct.Struct("!BBH").pack


def gateway_frame(opcode: Opcode, payload: bytes) -> bytes:
    """A final frame of the gateway's: not masked."""
    length = len(payload)
    if length < _TWO_BYTES:
        return _SHORT_HEADS[opcode][length] + payload
    return Frame(opcode, payload).serialize(mask=False)


def device_frame(opcode: Opcode, payload: bytes) -> bytes:
    """A final frame of a device's: masked with a key that nobody can foresee."""
    length = len(payload)
    if length < _TWO_BYTES:
        head = bytes((_FIN | opcode, _MASKED | length))
    elif length < 1 << 16:
        head = _longer_head(_FIN | opcode, _MASKED | _TWO_BYTES, length)
    else:
        return Frame(opcode, payload).serialize(mask=True)
    mask = _new_mask()
    return b"".join((head, mask, apply_mask(payload, mask)))


_masks: Final[list[bytes]] = []


def _new_mask() -> bytes:
    try:
        return _masks.pop()
    except IndexError:
        # By the thousand: to ask the system for four bytes takes longer than all else here.
        pool = os.urandom(4096)
        _masks.extend(pool[at : at + 4] for at in range(4, len(pool), 4))
        return pool[:4]
