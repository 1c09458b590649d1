"""One end of a connection as frames: bytes in, frames out, and back.

Nearly all that devices say comes as one frame, most of it in one piece. Such a frame is taken by
`frames`, at a fifth of what the parser of the `websockets` package costs; all else (fragments,
pings, the end, whatever is wrong) is left to the package, whose word holds. tests/test_wire.py
shows that nobody can tell the two ways apart.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from types import GeneratorType
from typing import Final

from websockets.extensions import Extension
from websockets.frames import Close, Frame, Opcode
from websockets.protocol import CLIENT, CLOSING, OPEN, SERVER, Protocol, Side
from websockets.streams import StreamReader

from wsdev.frames import WireFrame, device_frame, gateway_frame, whole_frames

# At DEBUG the websockets package logs every header, Authorization too. Its logger stays quiet.
WIRE_LOGGER: Final = logging.getLogger("wsdev.wire")
WIRE_LOGGER.setLevel(logging.WARNING)

# The one place at which the package's parser looks whether anything comes at all. Inside of a frame
# it is in `read_exact`, even if it holds no bytes of it.
_WAITS_FOR_A_FRAME: Final = StreamReader.at_eof.__code__


def _is_between_frames(library: Protocol) -> bool:
    """Whether the package's parser waits for the first byte of a frame of a new message."""
    if library.state is not OPEN or library.current_size is not None:
        return False
    step: object = library.parser
    while isinstance(step, GeneratorType) and step.gi_yieldfrom is not None:
        step = step.gi_yieldfrom
    return isinstance(step, GeneratorType) and step.gi_code is _WAITS_FOR_A_FRAME


class Wire:
    """The frames of one end, from the upgrade on.

    Args:
        side: Which end this is; a client masks what it sends.
        max_size: Bytes of the largest message that may come.
        library: The package's protocol as the upgrade left it: it may have frames already.
        extensions: As negotiated; with any, all is the package's business.

    Attributes:
        is_open: No close frame was sent or received, in all the bytes that came so far.
        is_silent: Nothing but plain frames came so far: none of it has to be answered.
    """

    __slots__ = (
        "_begun",
        "_frame",
        "_is_plain",
        "_library",
        "_max_size",
        "_side",
        "_wanted",
        "is_open",
        "is_silent",
    )

    def __init__(
        self,
        side: Side,
        max_size: int,
        *,
        library: Protocol | None = None,
        extensions: Sequence[Extension] = (),
    ) -> None:
        self._side = side
        self._max_size = max_size
        # A plain frame of which more has to come, and the bytes that it will have.
        self._begun: bytearray | None = None
        self._wanted = 0
        self._frame = device_frame if side is CLIENT else gateway_frame
        # As long as all is plain there is none: it would take 1.2 KB of an idle device.
        self._library = library
        if extensions:
            self._made().extensions = list(extensions)
        self.is_open = self._is_plain = True
        self._look()
        if self._is_plain and library is not None and not library.events:
            self._library = None  # it keeps the answer to the upgrade as long as it lives
        self.is_silent = self._library is None

    def receive(self, data: bytes) -> list[WireFrame]:
        """The frames that end in these bytes.

        All bytes are looked at before the first frame is handed out: once a close frame is among
        them, :attr:`is_open` says so, and what stands before it cannot be answered any more.
        """
        frames: list[WireFrame] = []
        if self._begun is not None:
            self._begun += data
            if len(self._begun) < self._wanted:
                return frames
            data, self._begun = bytes(self._begun), None
        if self._is_plain:
            frames, end, self._wanted = whole_frames(
                data, self._max_size, masked=self._side is SERVER
            )
            if end == len(data):
                return frames
            data = data[end:]
            if self._wanted:
                self._begun = bytearray(data)
                return frames
        self._made().receive_data(data)
        frames += self.waiting()
        self._look()
        return frames

    def waiting(self) -> list[WireFrame]:
        """Frames that the package has: such as came with the answer to the upgrade."""
        library = self._library
        if library is None:
            return []
        # Before OPEN the package gives heads, from here on frames only.
        frames = [frame for frame in library.events_received() if isinstance(frame, Frame)]
        return [(frame.opcode, frame.fin, bytes(frame.data)) for frame in frames]

    def data_to_send(self) -> Sequence[bytes]:
        """What has to be said because of what came, or was closed; ``b""`` is a half-close."""
        return () if self._library is None else self._library.data_to_send()

    def frame(self, opcode: Opcode, payload: bytes) -> bytes:
        """A whole message, or a ping, as bytes to send."""
        library = self._library
        if library is None or not library.extensions:
            return self._frame(opcode, payload)
        frame = Frame(opcode, payload)
        return frame.serialize(mask=self._side is CLIENT, extensions=library.extensions)

    def fragments(self, opcode: Opcode, payload: bytes, most: int) -> list[bytes]:
        """A message in frames of at most ``most`` bytes (RFC 6455 section 5.4)."""
        library = self._library
        extensions = [] if library is None else library.extensions
        mask = self._side is CLIENT
        frames = [
            Frame(Opcode.CONT if at else opcode, payload[at : at + most], at + most >= len(payload))
            for at in range(0, len(payload), most)
        ]
        return [frame.serialize(mask=mask, extensions=extensions) for frame in frames]

    def close(self, code: int, reason: str) -> None:
        """Say the last word; only while it :attr:`is_open`."""
        self._made().send_close(code, reason)
        self._look()

    def fail(self, code: int, reason: str) -> None:
        """Fail the connection (RFC 6455 section 7.1.7)."""
        self._made().fail(code, reason)
        self._look()

    def receive_close(self, data: bytes) -> None:
        """Bytes after the last word: what may still come is the peer's close frame."""
        library = self._library
        if library is not None and library.state is CLOSING:
            library.receive_data(data)
            library.events_received()

    @property
    def close_received(self) -> Close | None:
        """The peer's close frame."""
        return None if self._library is None else self._library.close_rcvd

    @property
    def close_sent_for_error(self) -> Close | None:
        """The close frame that answered what is against the protocol."""
        library = self._library
        return None if library is None or library.parser_exc is None else library.close_sent

    def _made(self) -> Protocol:
        if self._library is None:
            self._library = Protocol(self._side, max_size=self._max_size, logger=WIRE_LOGGER)
            self.is_silent = False
        if self._begun is not None:
            self._library.receive_data(self._begun)
            self._begun = None
        return self._library

    def _look(self) -> None:
        library = self._library
        if library is not None:
            self.is_open = library.state is OPEN
            self._is_plain = not library.extensions and _is_between_frames(library)
