"""How long a command takes to a device and back while telemetry flows, at the caller."""

from __future__ import annotations

import select
import socket
import time
from functools import partial
from itertools import count
from typing import Final

import msgspec

from benchmarks.commanded import SOCKET
from benchmarks.contestants import NO_MESSAGE_LIMIT, WSDEV, gateway
from benchmarks.dialects import device_name, text_frame, whole_messages
from benchmarks.figures import Bar, Panel, Result, Table, Target
from benchmarks.load import READ_SIZE, connected_devices, say_hello
from benchmarks.scale import Scale
from benchmarks.servers import PATIENCE, BenchmarkError, Server
from benchmarks.turns import take_turns

TARGET_MS: Final = 10.0

_MEDIAN: Final = "median"
_99: Final = "99 %"
_LONGEST: Final = "longest"

_COMMAND: Final = b'{"type":"command"'
_KEEPS_UP: Final = 0.9
"""The part of the messages that has to be acknowledged by the time of the last command."""


def measure_commands(core: int, scale: Scale) -> Result:
    """Round trips of commands: caller, hub, device, and the same way back."""
    ours = gateway(*NO_MESSAGE_LIMIT, program=("benchmarks.commanded",))
    turns = take_turns([ours], core, scale.rounds, partial(_measure, scale=scale, numbers=count()))
    title = (
        f"Commands: ms until the caller has the device's answer, {scale.command_rate} a second,"
        f" beside {scale.command_load} acknowledged messages a second"
    )
    table = Table(title, ["server", _MEDIAN, _99, _LONGEST], turns.rows(_MEDIAN, _99, _LONGEST))
    late = turns.figure(_99, WSDEV)
    target = Target("99 % of commands under that load", TARGET_MS, "ms", late)
    bars = [
        Bar("half of them within", turns.figure(_MEDIAN, WSDEV), is_ours=True),
        Bar("99 % within", late, is_ours=True, most=TARGET_MS),
    ]
    return Result([table], [target], [Panel("Command round trip under load", "ms", bars)])


def _measure(server: Server, scale: Scale, numbers: count[int]) -> dict[str, float]:
    amount = scale.commands * scale.command_load // scale.command_rate
    frames = [server.dialect.acked(next(numbers)) for _ in range(amount)]
    with connected_devices(server, scale.devices) as devices:
        say_hello(server, devices)
        with _Conversation(server, devices, frames) as conversation:
            conversation.run(scale)
    waits = sorted(conversation.waits)
    return {
        _MEDIAN: waits[len(waits) // 2] * 1e3,
        _99: waits[len(waits) * 99 // 100] * 1e3,
        _LONGEST: waits[-1] * 1e3,
    }


class _Conversation:
    """One caller, and devices that talk and obey.

    Attributes:
        waits: Seconds that each command took.
    """

    def __init__(self, server: Server, devices: list[socket.socket], frames: list[bytes]) -> None:
        assert server.folder is not None
        self.waits: list[float] = []
        self._devices = devices
        self._frames = frames
        self._by_file = {sock.fileno(): sock for sock in devices}
        self._unread = dict.fromkeys(self._by_file, b"")
        self._asked: dict[bytes, float] = {}
        self._acks = 0
        self._caller = socket.socket(socket.AF_UNIX)
        self._caller.connect(str(server.folder / SOCKET))
        self._answers = b""
        self._poll = select.epoll()
        for sock in (*devices, self._caller):
            self._poll.register(sock, select.EPOLLIN)

    def __enter__(self) -> _Conversation:
        return self

    def __exit__(self, *_: object) -> None:
        self._poll.close()
        self._caller.close()

    def run(self, scale: Scale) -> None:
        """Send messages and commands at their rates until the last command is answered."""
        started = time.monotonic()
        messages = commands = 0
        while len(self.waits) < scale.commands:
            elapsed = time.monotonic() - started
            if elapsed > scale.commands / scale.command_rate + PATIENCE:
                raise BenchmarkError(f"{len(self._asked)} commands are not answered")
            while messages < min(len(self._frames), elapsed * scale.command_load):
                self._devices[messages % len(self._devices)].sendall(self._frames[messages])
                messages += 1
            while commands < min(scale.commands, elapsed * scale.command_rate):
                self._command(commands % len(self._devices))
                commands += 1
            for file, _ in self._poll.poll(0.001):
                if file == self._caller.fileno():
                    self._take_answers()
                else:
                    self._listen(file)
        if self._acks < _KEEPS_UP * messages:
            raise BenchmarkError(f"it does not keep up with {scale.command_load} a second")

    def _command(self, number: int) -> None:
        name = device_name(number).encode()
        self._asked[name] = time.perf_counter()
        self._caller.sendall(name + b"\n")

    def _take_answers(self) -> None:
        *lines, self._answers = (self._answers + self._caller.recv(READ_SIZE)).split(b"\n")
        for line in lines:
            name, outcome = line.split()
            if outcome != b"acknowledged":
                raise BenchmarkError(f"a command ended as {outcome!r}")
            self.waits.append(time.perf_counter() - self._asked.pop(name))

    def _listen(self, file: int) -> None:
        data = self._unread[file] + self._by_file[file].recv(READ_SIZE)
        messages, self._unread[file] = whole_messages(data)
        for message in messages:
            if message.startswith(_COMMAND):
                done = {"type": "ack", "id": msgspec.json.decode(message)["id"]}
                self._by_file[file].sendall(text_frame({**done, "status": "success"}))
            else:
                self._acks += 1
