"""Whether a viewer that reads nothing is felt by the devices: how long their answers take."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count, cycle
from typing import Final, NamedTuple

from benchmarks.contestants import NO_MESSAGE_LIMIT, WITH_CONSOLE, WSDEV, gateway
from benchmarks.dialects import binary_frame, device_name, text_frame
from benchmarks.figures import Figure, Result, Table, Target
from benchmarks.load import READ_SIZE, AckCounter, connected_devices, say_hello, settle
from benchmarks.scale import Scale
from benchmarks.servers import PATIENCE, BenchmarkError, Server
from benchmarks.turns import Turns, take_turns
from benchmarks.watching import (
    EVENTS,
    SMALL_WINDOW,
    hold_up,
    operator_token,
    pictures_of,
    read_up_to,
    watching,
)

TARGET_FACTOR: Final = 1.5
"""Of what it is without a viewer. Where others use the machine, two seconds without any differ as
much, in the median of five rounds."""

DEVICES: Final = 50
RATE: Final = 1000
"""Messages a second, all devices together; every second one is a ping."""

FRAME_RATE: Final = 15
"""Pictures a second of the one camera, whoever watches."""

_CAMERA: Final = 0
"""Its number among the devices."""
PICTURES: Final = pictures_of(device_name(_CAMERA))

_MUCH: Final = text_frame({"type": "log", "message": "x" * 1900}) * 30
"""A fraction of what a viewer may be behind, or it would be cut off instead of held up. It makes
the journal wait for company for a while, so all are measured right behind it."""

_LARGE: Final = binary_frame(b"\xff\xd8" + bytes(60 * 1024) + b"\xff\xd9")
"""A picture with which a viewer is soon held up."""

_WARM_UP: Final = 0.5
"""Seconds of talk that do not count: the first that new connections say takes longer."""

_MARK: Final = b"nothing after this"
_LAST_WORDS: Final = text_frame({"type": "log", "message": _MARK.decode()})

PING: Final = text_frame({"type": "ping"})
_PONG: Final = b'"pong"'


class _Watcher(NamedTuple):
    """Who watches.

    Attributes:
        path: What; empty for nobody.
        reads: Whether it reads what comes.
    """

    path: str = ""
    reads: bool = False


_NOBODY: Final = "nobody"
_WATCHERS: Final = {
    _NOBODY: _Watcher(),
    "one of the events, who reads them": _Watcher(EVENTS, reads=True),
    "one of the events, who reads nothing": _Watcher(EVENTS),
    "one of the camera, who reads nothing": _Watcher(PICTURES),
}
_ANSWERS: Final = ("ack", "pong")
_MEDIAN: Final = "median"
_99: Final = "99 %"
_PERCENT: Final = "% of a core"


def measure_slow_viewer(core: int, scale: Scale) -> Result:
    """Round trips of devices with and without a viewer, in turn on one gateway."""
    ours = gateway(*NO_MESSAGE_LIMIT, *WITH_CONSOLE)
    orders = _orders()
    numbers = count()
    turns = take_turns(
        [ours], core, scale.rounds, lambda server: _measure(server, next(orders), scale, numbers)
    )
    columns = [f"{answer}, {part}" for answer in _ANSWERS for part in (_MEDIAN, _99)]
    columns.append(_PERCENT)
    rows = [
        [who, *(str(turns.figure(_name(who, column), WSDEV)) for column in columns)]
        for who in _WATCHERS
    ]
    title = (
        f"A slow viewer: ms until a device has its answer, {DEVICES} devices, {RATE} messages a"
        f" second, a camera with {FRAME_RATE} pictures a second"
    )
    targets = [
        Target(
            f"99 % of {answer}s beside {who}, times {_NOBODY}",
            TARGET_FACTOR,
            "",
            _times_nobody(turns, who, f"{answer}, {_99}"),
        )
        for who, watcher in _WATCHERS.items()
        if watcher.path and not watcher.reads
        for answer in _ANSWERS
    ]
    return Result([Table(title, ["viewer", *columns], rows)], targets)


def _name(who: str, column: str) -> str:
    return f"{who}: {column}"


def _times_nobody(turns: Turns, who: str, column: str) -> Figure:
    one, other = (turns.figure(_name(name, column), WSDEV) for name in (who, _NOBODY))
    assert isinstance(one, Figure)
    assert isinstance(other, Figure)
    return one.over(other)


def _orders() -> Iterator[list[str]]:
    """Each of the watchers comes first once: those later in a round were answered faster."""
    names = deque(_WATCHERS)
    while True:
        yield list(names)
        names.rotate(-1)


def _measure(
    server: Server, order: Sequence[str], scale: Scale, numbers: count[int]
) -> dict[str, float]:
    given: dict[str, float] = {}
    token = operator_token(server)
    with connected_devices(server, DEVICES + 1) as devices:
        say_hello(server, devices)
        camera, *talkers = devices
        picture = server.dialect.picture(_CAMERA)
        pushed = {
            EVENTS: lambda: _say_much(server, talkers[0], next(numbers)),
            PICTURES: lambda: camera.sendall(_LARGE),
        }
        frames = _frames(server, _WARM_UP, numbers)
        with Talk(talkers, camera, []) as talk:
            talk.run(frames, picture, server.dialect.ack)
        for who in order:
            watcher = _WATCHERS[who]
            frames = _frames(server, scale.watch_seconds, numbers)
            with (
                _watched(server, watcher, token, pushed, camera) as readers,
                Talk(talkers, camera, readers) as talk,
            ):
                started, cpu = time.monotonic(), server.cpu_seconds()
                talk.run(frames, picture, server.dialect.ack)
                taken, elapsed = server.cpu_seconds() - cpu, time.monotonic() - started
            given[_name(who, _PERCENT)] = taken / elapsed * 100
            for answer, waits in zip(_ANSWERS, talk.waits, strict=True):
                waits.sort()
                given[_name(who, f"{answer}, {_MEDIAN}")] = waits[len(waits) // 2] * 1e3
                given[_name(who, f"{answer}, {_99}")] = waits[len(waits) * 99 // 100] * 1e3
    return given


def _frames(server: Server, seconds: float, numbers: count[int]) -> list[bytes]:
    """Telemetry for so long, with ids of its own."""
    return [server.dialect.acked(next(numbers)) for _ in range(int(seconds * RATE) // 2)]


@contextlib.contextmanager
def _watched(
    server: Server,
    watcher: _Watcher,
    token: str,
    pushed: Mapping[str, Callable[[], None]],
    device: socket.socket,
) -> Iterator[list[socket.socket]]:
    """Somebody watches while the block runs; gives those that are to be read meanwhile.

    Raises:
        BenchmarkError: one that reads nothing was let go before the end.
    """
    burst = pushed[EVENTS]
    if not watcher.path:
        burst()
        yield []
        return
    window = None if watcher.reads else SMALL_WINDOW
    with watching(server, watcher.path, token, window=window) as viewers:
        if not watcher.reads:
            hold_up(viewers[0], pushed[watcher.path])
        burst()
        yield viewers if watcher.reads else []
        if watcher.path == EVENTS and not watcher.reads:
            device.sendall(_LAST_WORDS)
            read_up_to(viewers[0], _MARK)


def _say_much(server: Server, device: socket.socket, number: int) -> None:
    """Say what makes long events, and return once it is recorded."""
    device.sendall(_MUCH)
    settle(server, device, number)


class Talk:
    """Devices that talk at a steady rate: half of them want acks, half pongs.

    Attributes:
        waits: Seconds until each answer, of acks and of pongs.
    """

    def __init__(
        self,
        devices: Sequence[socket.socket],
        camera: socket.socket,
        readers: Sequence[socket.socket],
    ) -> None:
        self.waits: tuple[list[float], list[float]] = ([], [])
        self._groups = devices[::2], devices[1::2]
        self._camera = camera
        self._readers = {sock.fileno(): sock for sock in readers}
        self._asked: dict[int, deque[float]] = {sock.fileno(): deque() for sock in devices}
        self._poll = select.epoll()
        for sock in (*devices, *readers):
            self._poll.register(sock, select.EPOLLIN)

    def __enter__(self) -> Talk:
        return self

    def __exit__(self, *_: object) -> None:
        self._poll.close()

    def run(self, frames: Sequence[bytes], picture: bytes, ack: bytes) -> None:
        """Send each frame, a ping behind each, and pictures meanwhile, until all is answered."""
        counted = [
            AckCounter(mark, group) for mark, group in zip((ack, _PONG), self._groups, strict=True)
        ]
        place = {
            sock.fileno(): number for number, group in enumerate(self._groups) for sock in group
        }
        turns = [cycle(group) for group in self._groups]
        started = time.monotonic()
        sent = pictures = answered = 0
        while answered < 2 * len(frames):
            elapsed = time.monotonic() - started
            if elapsed > 2 * len(frames) / RATE + PATIENCE:
                raise BenchmarkError(f"{2 * len(frames) - answered} messages are not answered")
            while sent < min(2 * len(frames), elapsed * RATE):
                sock = next(turns[sent % 2])
                self._asked[sock.fileno()].append(time.perf_counter())
                sock.sendall(PING if sent % 2 else frames[sent // 2])
                sent += 1
            if pictures < elapsed * FRAME_RATE:
                self._camera.sendall(picture)
                pictures += 1
            for file, _ in self._poll.poll(0.001):
                if reader := self._readers.get(file):
                    reader.recv(READ_SIZE)
                    continue
                now, kind = time.perf_counter(), place[file]
                for _ in range(counted[kind].read(file)):
                    self.waits[kind].append(now - self._asked[file].popleft())
                    answered += 1
