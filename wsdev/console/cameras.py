"""The newest whole picture of each connected camera, in memory only, for any number of viewers.

A viewer asks for what is newer than what it has, so one that is slow skips pictures; nothing waits
for it. The hub tells only of whole pictures, so none is ever shown cut.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

import msgspec

from wsdev.hub import Change, Hub, Member

RATE_OVER: Final = 10.0
"""Seconds of which the frame rate is told."""

_MOST_TIMES: Final = 64
BOUNDARY: Final = "wsdev-picture"

_LEFT: Final = Change.LEFT  # to look it up each time takes a seventh of a microsecond


class Picture:
    """A whole JPEG.

    Attributes:
        number: Counted up by camera.
        taken: Monotonic seconds of its coming.
    """

    __slots__ = ("_part", "data", "number", "taken")

    def __init__(self, data: bytes, number: int, taken: float) -> None:
        self.data = data
        self.number = number
        self.taken = taken
        self._part: bytes | None = None

    @property
    def part(self) -> bytes:
        """As a part of multipart/x-mixed-replace, made once for all viewers.

        The boundary of the next part is its end.
        """
        if self._part is None:
            head = f"Content-Type: image/jpeg\r\nContent-Length: {len(self.data)}\r\n\r\n"
            self._part = b"".join((head.encode(), self.data, f"\r\n--{BOUNDARY}\r\n".encode()))
        return self._part


class CameraState(msgspec.Struct, frozen=True):
    """A camera's newest picture.

    Attributes:
        age: Seconds.
        frames_per_second: Of the last 10 seconds; None if fewer than two came.
        viewers: Who watch it as a stream now.
    """

    size: int
    age: float
    frames_per_second: float | None
    pictures: int
    viewers: int


class Camera:
    """A connected camera's newest picture; what is done for each is next to nothing.

    Attributes:
        data, number, taken: Of the picture.
        times: When the latest ones came.
    """

    __slots__ = ("_picture", "data", "number", "taken", "times")

    def __init__(self) -> None:
        self.data = b""
        self.number = 0
        self.taken = 0.0
        self.times: deque[float] = deque(maxlen=_MOST_TIMES)
        self._picture: Picture | None = None

    @property
    def picture(self) -> Picture:
        """The newest one, the same for all who look at it."""
        if self._picture is None or self._picture.number != self.number:
            self._picture = Picture(self.data, self.number, self.taken)
        return self._picture

    def rate(self, now: float) -> float | None:
        """Pictures a second of late; None if that cannot be said."""
        recent = [time for time in self.times if time > now - RATE_OVER]
        if len(recent) < 2 or recent[-1] <= recent[0]:
            return None
        return (len(recent) - 1) / (recent[-1] - recent[0])


class Cameras:
    """All cameras that are connected, by their sessions; viewers ask by name.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, hub: Hub, clock: Callable[[], float]) -> None:
        self._hub = hub
        self._clock = clock
        self._cameras: dict[str, Camera] = {}
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}
        self._viewers: dict[str, int] = {}
        self._ends = [hub.watch(self._took), hub.listen(self._changed)]

    def close(self) -> None:
        """Keep nothing any more, and let all that wait go."""
        for end in self._ends:
            end()
        self._ends.clear()
        self._cameras.clear()
        for name in list(self._waiting):
            self._wake(name)

    def newest(self, name: str) -> Picture | None:
        """The newest picture of the connected device of that name."""
        member = self._hub.get(name)
        camera = None if member is None else self._cameras.get(member.session_id)
        return None if camera is None else camera.picture

    def state(self, member: Member) -> CameraState | None:
        """What there is to know of a device's pictures; None if it sent none."""
        camera = self._cameras.get(member.session_id)
        if camera is None:
            return None
        now = self._clock()
        return CameraState(
            size=len(camera.data),
            age=max(0.0, now - camera.taken),
            frames_per_second=camera.rate(now),
            pictures=camera.number,
            viewers=self._viewers.get(member.name, 0),
        )

    def viewing(self, name: str, count: int) -> None:
        """Count a viewer in or out."""
        viewers = self._viewers.get(name, 0) + count
        if viewers:
            self._viewers[name] = viewers
        else:
            del self._viewers[name]

    async def next(self, name: str, shown: Picture | None, patience: float) -> Picture | None:
        """A picture that is not the one shown, as soon as there is one; None if none comes."""
        picture = self.newest(name)
        if picture is not None and picture is not shown:
            return picture
        news = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(name, set()).add(news)
        try:
            async with asyncio.timeout(patience):
                await news
        except TimeoutError:
            return None
        finally:
            if waiting := self._waiting.get(name):
                waiting.discard(news)
                if not waiting:
                    del self._waiting[name]
        return self.newest(name)

    def _took(self, member: Member, data: bytes) -> None:
        camera = self._cameras.get(member.session_id)
        if camera is None:
            camera = self._cameras[member.session_id] = Camera()
        camera.data = data
        camera.number += 1
        camera.taken = now = self._clock()
        camera.times.append(now)
        if self._waiting:
            self._wake(member.name)

    def _wake(self, name: str) -> None:
        for news in self._waiting.pop(name, ()):
            if not news.done():
                news.set_result(None)

    def _changed(self, change: Change, member: Member) -> None:
        if change is _LEFT:
            self._cameras.pop(member.session_id, None)
