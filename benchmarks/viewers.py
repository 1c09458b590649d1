"""Many viewers of one camera: how much of a core they take, and whether each gets all pictures."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Sequence
from functools import partial
from typing import Final

from benchmarks.contestants import WITH_CONSOLE, WSDEV, gateway
from benchmarks.dialects import PICTURE_BYTES, device_name
from benchmarks.figures import Bar, Panel, Result, Table, Target
from benchmarks.load import AckCounter, connected_devices, say_hello
from benchmarks.scale import Scale
from benchmarks.servers import PATIENCE, BenchmarkError, Server
from benchmarks.turns import take_turns
from benchmarks.watching import PICTURE_END, operator_token, pictures_of, watching

TARGET_PERCENT: Final = 50.0
"""Of the one core that the gateway has here; the rest is for its devices."""

TARGET_SKIPPED: Final = 1.0

FRAME_RATE: Final = 15

_CAMERA: Final = 0
_PERCENT: Final = "% of a core"
_EACH: Final = "pictures a second to each"
_FEWEST: Final = "fewest to one"
_SKIPPED: Final = "% skipped"
_QUANTITIES: Final = (_PERCENT, _EACH, _FEWEST, _SKIPPED)


def measure_viewers(core: int, scale: Scale) -> Result:
    """CPU of the gateway with a camera that nobody watches, and with all its viewers."""
    crowd = scale.viewers
    ours = gateway(*WITH_CONSOLE)
    turns = take_turns([ours], core, scale.rounds, partial(_measure, scale=scale))
    rows = [["0", str(turns.figure(_name(0, _PERCENT), WSDEV)), "", "", ""]]
    rows += [[str(crowd), *(str(turns.figure(_name(crowd, what), WSDEV)) for what in _QUANTITIES)]]
    title = (
        f"Viewers of one camera with {FRAME_RATE} pictures of {PICTURE_BYTES // 1024} KB a second"
    )
    cpu = turns.figure(_name(crowd, _PERCENT), WSDEV)
    skipped = turns.figure(_name(crowd, _SKIPPED), WSDEV)
    targets = [
        Target(f"CPU with {crowd} viewers of a camera", TARGET_PERCENT, "% of a core", cpu),
        Target(f"pictures that {crowd} viewers do not get", TARGET_SKIPPED, "%", skipped),
    ]
    bars = [
        Bar("nobody watches", turns.figure(_name(0, _PERCENT), WSDEV), is_ours=True),
        Bar(f"{crowd} viewers", cpu, is_ours=True, most=TARGET_PERCENT),
    ]
    panel = Panel(f"CPU for one camera, {FRAME_RATE} pictures a second", _PERCENT, bars)
    return Result([Table(title, ["viewers", *_QUANTITIES], rows)], targets, [panel])


def _name(viewers: int, what: str) -> str:
    return f"{viewers}: {what}"


def _measure(server: Server, scale: Scale) -> dict[str, float]:
    amount = scale.watch_seconds * 2 * FRAME_RATE
    given: dict[str, float] = {}
    with connected_devices(server, 1) as devices:
        say_hello(server, devices)
        show = partial(devices[_CAMERA].sendall, server.dialect.picture(_CAMERA))
        path, token = pictures_of(device_name(_CAMERA)), operator_token(server)
        show()
        for viewers in (0, scale.viewers):
            with watching(server, path, token, viewers) as sockets:
                cinema = Cinema(sockets)
                cinema.wait(1)  # the newest one there is
                started, cpu = time.monotonic(), server.cpu_seconds()
                for number in range(1, amount + 1):
                    show()
                    cinema.watch(started + number / FRAME_RATE)
                taken, elapsed = server.cpu_seconds() - cpu, time.monotonic() - started
                cinema.watch(time.monotonic() + 1 / FRAME_RATE)
            got = [pictures - 1 for pictures in cinema.pictures] or [amount]
            given |= {
                _name(viewers, _PERCENT): taken / elapsed * 100,
                _name(viewers, _EACH): sum(got) / len(got) / elapsed,
                _name(viewers, _FEWEST): min(got) / elapsed,
                _name(viewers, _SKIPPED): (1 - sum(got) / len(got) / amount) * 100,
            }
    return given


class Cinema:
    """Viewers that read all that comes, and count the pictures."""

    def __init__(self, viewers: Sequence[socket.socket]) -> None:
        self._counted = AckCounter(PICTURE_END, viewers)
        self._marks = dict.fromkeys((sock.fileno() for sock in viewers), 0)
        self._viewers = viewers

    @property
    def pictures(self) -> list[int]:
        """Whole ones, of each viewer."""
        return [marks - 1 for marks in self._marks.values()]

    def watch(self, until: float) -> None:
        """Read until then."""
        with select.epoll() as poll:
            for sock in self._viewers:
                poll.register(sock, select.EPOLLIN)
            while (left := until - time.monotonic()) > 0:
                for file, _ in poll.poll(left):
                    self._marks[file] += self._counted.read(file)

    def wait(self, pictures: int) -> None:
        """Read until each has got so many.

        Raises:
            BenchmarkError: one does not.
        """
        deadline = time.monotonic() + PATIENCE
        while min(self.pictures, default=pictures) < pictures:
            if time.monotonic() > deadline:
                raise BenchmarkError("a viewer gets no pictures")
            self.watch(time.monotonic() + 0.01)
