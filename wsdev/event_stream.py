"""Server-sent events out of bytes: the format of the HTML standard, section 9.2.6.

Bytes in, events out; no sockets, no time. A stream of a stranger can fill no memory.
"""

from __future__ import annotations

from typing import Final, NamedTuple

MOST_OF_EVENT: Final = 1024 * 1024
"""Characters of one event, or of one line; those of a console are under 64 KiB."""

_MOST_RETRY: Final = 60_000


class StreamTooLarge(Exception):
    """An event, or a line, is longer than any that is meant."""


class ServerEvent(NamedTuple):
    """An event of the stream.

    Attributes:
        name: ``message`` if it has none of its own.
    """

    name: str
    data: str


class EventStream:
    """One stream, as it comes in; a new connection needs a new one.

    Attributes:
        last_id: What is to be sent as ``Last-Event-ID``; empty if the stream named none. That of an
            event that has not come whole yet does not count.
        retry: Seconds after which the server wants to be asked again; None if it did not say.
    """

    def __init__(self) -> None:
        self.last_id = ""
        self.retry: float | None = None
        self._rest = b""
        self._is_first = True
        self._name = ""
        self._id = ""
        self._data: list[str] = []
        self._size = 0

    def feed(self, piece: bytes) -> list[ServerEvent]:
        """The events that are whole now.

        Raises:
            StreamTooLarge: this is no stream of events.
        """
        found = []
        for line in self._lines(piece):
            if not line:
                if event := self._end():
                    found.append(event)
                continue
            self._take(line)
        return found

    def _lines(self, piece: bytes) -> list[str]:
        """Whole lines; their ends are CR LF, LF or CR, and none of Unicode's others."""
        data = self._rest + piece
        if data.endswith(b"\r"):  # a LF may follow that belongs to it
            data, held = data[:-1], b"\r"
        else:
            held = b""
        *lines, rest = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        self._rest = rest + held
        self._check(len(self._rest))
        texts = [line.decode("utf-8", "replace") for line in lines]
        if texts and self._is_first:
            self._is_first = False
            texts[0] = texts[0].removeprefix("\ufeff")
        return texts

    def _check(self, size: int) -> None:
        if size > MOST_OF_EVENT:
            raise StreamTooLarge

    def _take(self, line: str) -> None:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            self._name = value
        elif field == "data":
            self._size += len(value) + 1
            self._check(self._size)
            self._data.append(value)
        elif field == "id" and "\0" not in value:
            self._id = value
        elif field == "retry" and value.isascii() and value.isdecimal() and len(value) < 10:
            self.retry = min(int(value), _MOST_RETRY) / 1000

    def _end(self) -> ServerEvent | None:
        """The event that an empty line ends; one without data is none."""
        self.last_id = self._id
        name, data = self._name, self._data
        self._name, self._data, self._size = "", [], 0
        return ServerEvent(name or "message", "\n".join(data)) if data else None
