"""Who is connected, commands to them, and events to whoever listens. In memory, no I/O.

The interface is narrow on purpose: a hub shared by several machines can stand behind it.
"""

from __future__ import annotations

import enum
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol

from wsdev.codec import encode
from wsdev.errors import DeviceOffline, NotAllowed, UsageError
from wsdev.protocol import MAX_NAME_LENGTH, Command, CommandAck

MAX_OPEN_COMMANDS: Final = 64
"""Commands to one device that wait for its answer; one more is refused."""

DEFAULT_COMMAND_TIMEOUT: Final = 10.0

LATE_ANSWERS: Final = 60.0
"""Seconds after a command's time in which its answer may still come. One that names no id is then
its own, and not a later command's of the same type, unless it is known to have been answered."""


class Traffic(NamedTuple):
    """Messages and bytes, from the device and to it."""

    messages_in: int
    bytes_in: int
    messages_out: int
    bytes_out: int


class DevicePort(Protocol):
    """The way to a connected device."""

    def send_text(self, text: bytes) -> None:
        """Send one text message."""

    def last_proof(self) -> float:
        """Monotonic time of the last byte from the device."""

    def ask_for_proof(self) -> None:
        """Ping the device now; :meth:`last_proof` moves when it answers."""

    def close(self, code: int, reason: str) -> None:
        """Close the connection."""

    def traffic(self) -> Traffic:
        """What went over the connection so far."""

    def round_trips(self) -> Sequence[float]:
        """Seconds of the device's latest pongs, the oldest first."""


class Outcome(enum.StrEnum):
    """What became of a command, in the words of command_records.CommandState."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    FAILED = "failed"
    IGNORED = "ignored"
    EXPIRED = "expired"
    LOST = "lost"


_OUTCOMES: Final = {
    "success": Outcome.ACKNOWLEDGED,
    "error": Outcome.FAILED,
    "ignored": Outcome.IGNORED,
}


@dataclass(slots=True)
class SentCommand:
    """A command on its way. ``on_done`` is called once, with the outcome set.

    Attributes:
        number: Its place among all that were sent.
        is_doubtful: An answer came that was taken for an earlier command's, and may be its own.
    """

    id: str
    kind: str
    expires: float
    on_done: Callable[[SentCommand], None]
    number: int
    outcome: Outcome = Outcome.OPEN
    detail: Any = None
    is_doubtful: bool = False


class ReadyCommand(NamedTuple):
    """A command as it goes out, and the word by which a device without ids acknowledges it."""

    id: str
    text: bytes
    kind: str


@dataclass(slots=True, eq=False)
class Member:
    """A connected device.

    Attributes:
        name: As given by the gateway; unique in the hub.
        address: Where it comes from, as text.
        since: Unix time of the connection.
        former_name: The one before, if it got another.
        owns_name: Its token is pinned to its name; another's must give way.
        token: The id of its token; None for a local one that needed none.
        version: Of its firmware, as it says.
        commands: Those that wait for its answer, in the order of their sending.
        unanswered: Those whose time is over, for as long as an answer may still come.
    """

    name: str
    device_class: str
    session_id: str
    address: str
    since: float
    port: DevicePort
    owns_name: bool = False
    former_name: str = ""
    rtt: float | None = None
    token: str | None = None
    version: str | None = None
    commands: list[SentCommand] = field(default_factory=list)
    unanswered: list[SentCommand] = field(default_factory=list)

    @property
    def has_room(self) -> bool:
        """Whether it may have one command more."""
        return len(self.commands) < MAX_OPEN_COMMANDS


class Change(enum.StrEnum):
    """What happened to a member."""

    JOINED = "joined"
    RENAMED = "renamed"
    LEFT = "left"


Listener = Callable[[Change, Member], None]
PictureListener = Callable[[Member, bytes], None]


class Hub:
    """The register of connected devices.

    Args:
        max_command: Bytes of a command's JSON; a device's buffer is small.
    """

    def __init__(self, *, max_command: int) -> None:
        self._max_command = max_command
        self._members: dict[str, Member] = {}
        self._listeners: list[Listener] = []
        self._viewers: tuple[PictureListener, ...] = ()
        self._time_listeners: list[Callable[[float], None]] = []
        self._commanded: dict[Member, None] = {}
        # Ids of an earlier run may still be known to devices and are in the journal.
        self._run = secrets.token_hex(5)
        self._made = 0
        self._sent = 0

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[Member]:
        return iter(list(self._members.values()))

    def get(self, name: str) -> Member | None:
        """The device of that name, if it is connected."""
        return self._members.get(name)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` on each change; returns the call that ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def watch(self, viewer: PictureListener) -> Callable[[], None]:
        """Call ``viewer`` with each whole picture of any camera; returns the call that ends it."""
        self._viewers += (viewer,)

        def end() -> None:
            self._viewers = tuple(other for other in self._viewers if other is not viewer)

        return end

    def show(self, member: Member, picture: bytes) -> None:
        """A camera sent a whole picture; costs next to nothing while nobody watches."""
        for viewer in self._viewers:
            viewer(member, picture)

    def listen_to_time(self, listener: Callable[[float], None]) -> None:
        """Call ``listener`` with the time at each :meth:`expire`."""
        self._time_listeners.append(listener)

    def join(self, member: Member) -> None:
        """Take a device in under its name, which must be free."""
        assert member.name not in self._members
        self._members[member.name] = member
        self._tell(Change.JOINED, member)

    def rename(self, member: Member, name: str) -> None:
        """Give a connected device another name, which must be free; its own changes nothing."""
        if name == member.name:
            return
        assert name not in self._members
        del self._members[member.name]
        member.former_name, member.name = member.name, name
        self._members[name] = member
        self._tell(Change.RENAMED, member)

    def leave(self, member: Member) -> None:
        """Let a device go; its open commands are lost."""
        if self._members.get(member.name) is not member:
            return
        del self._members[member.name]
        for command in member.commands[:]:
            self._settle(member, command, Outcome.LOST)
        self._commanded.pop(member, None)
        self._tell(Change.LEFT, member)

    def free_name(self, member: Member, wanted: str, is_taken: Callable[[str], bool]) -> str:
        """``wanted`` with the lowest number from 2 up that makes it free for ``member``."""
        number = 2
        while True:
            suffix = f"-{number}"
            name = wanted[: MAX_NAME_LENGTH - len(suffix)] + suffix
            if self._members.get(name) in (None, member) and not is_taken(name):
                return name
            number += 1

    # Commands

    def prepare(self, command: dict[str, Any], command_id: str | None = None) -> ReadyCommand:
        """A command in the form in which it goes out.

        Args:
            command: ``{"name": …, "args": …}`` without a ``type`` or ``action`` goes in the
                gateway's own form; any other object is passed on as it is, with ``id`` added.
            command_id: The one that it has already; else it gets a new one, of which there is no
                second, not even after a restart.

        Raises:
            UsageError: the command is larger than a device's buffer.
        """
        if command_id is None:
            self._made += 1
            command_id = f"c-{self._run}-{self._made}"
        text, kind = _render(command, command_id)
        if len(text) > self._max_command:
            raise UsageError(
                f"the command is {len(text)} bytes, over the limit of {self._max_command}",
                "send less at once; devices have small buffers",
                code="command_too_large",
            )
        return ReadyCommand(command_id, text, kind)

    def send(
        self,
        name: str,
        command: dict[str, Any],
        on_done: Callable[[SentCommand], None],
        *,
        now: float,
        timeout: float = DEFAULT_COMMAND_TIMEOUT,
    ) -> SentCommand:
        """Send a command to a connected device.

        Args:
            command: As :meth:`prepare` takes it.

        Raises:
            DeviceOffline: no such device is connected.
            UsageError: the command is larger than a device's buffer.
            NotAllowed: too many commands wait for this device's answer.
        """
        member = self._members.get(name)
        if member is None:
            raise DeviceOffline(f"{name} is not connected", "see which devices are", device=name)
        self.check_room(member)
        return self.hand_over(member, self.prepare(command), on_done, now=now, timeout=timeout)

    def check_room(self, member: Member) -> None:
        """See that the device may have one command more.

        Raises:
            NotAllowed: too many wait for its answer.
        """
        if not member.has_room:
            raise NotAllowed(
                f"{member.name} has not answered {MAX_OPEN_COMMANDS} commands",
                "wait for its answers, or restart the device",
                code="too_many_commands",
            )

    def hand_over(
        self,
        member: Member,
        ready: ReadyCommand,
        on_done: Callable[[SentCommand], None],
        *,
        now: float,
        timeout: float,
    ) -> SentCommand:
        """Send a command that was prepared to a device that has room for it."""
        self._sent += 1
        sent = SentCommand(ready.id, ready.kind, now + timeout, on_done, self._sent)
        member.commands.append(sent)
        self._commanded[member] = None
        member.port.send_text(ready.text)
        return sent

    def acknowledged(self, member: Member, ack: CommandAck) -> SentCommand | None:
        """Settle the command that ``ack`` names, or the oldest of its type; None if none.

        None too for a command whose time was over: that stays expired.
        """
        command = _meant(ack, [*member.unanswered, *member.commands])
        if command is None:
            return None
        if command.outcome is Outcome.OPEN:
            command.detail = ack.detail
            self._settle(member, command, _OUTCOMES[ack.status])
            return command
        member.unanswered.remove(command)
        if ack.id is None:
            # Perhaps the device never answers that one, and this is for the next.
            doubtful = _meant(ack, [c for c in member.commands if not c.is_doubtful])
            if doubtful is not None:
                doubtful.is_doubtful = True
        return None

    def expire(self, now: float) -> None:
        """Settle the commands whose time is over."""
        for member in list(self._commanded):
            for command in [c for c in member.commands if c.expires <= now]:
                self._settle(member, command, Outcome.EXPIRED)
                if command.outcome is Outcome.EXPIRED and not command.is_doubtful:
                    member.unanswered.append(command)
            member.unanswered[:] = [
                c for c in member.unanswered[-MAX_OPEN_COMMANDS:] if c.expires + LATE_ANSWERS > now
            ]
            if not member.commands and not member.unanswered:
                self._commanded.pop(member, None)
        for listener in self._time_listeners:
            listener(now)

    def _settle(self, member: Member, command: SentCommand, outcome: Outcome) -> None:
        if command.outcome is not Outcome.OPEN:
            return  # the end of an earlier one made the device leave
        member.commands.remove(command)
        command.outcome = outcome
        command.on_done(command)

    def _tell(self, change: Change, member: Member) -> None:
        for listener in self._listeners[:]:
            listener(change, member)


def _meant(ack: CommandAck, commands: list[SentCommand]) -> SentCommand | None:
    """The command that an answer is about: the one it names, or the oldest of its type."""
    if ack.id is not None:
        return next((command for command in commands if command.id == ack.id), None)
    return min(
        (command for command in commands if command.kind == ack.command_type),
        key=lambda command: command.number,
        default=None,
    )


def _render(command: dict[str, Any], command_id: str) -> tuple[bytes, str]:
    """The command's text, and the word by which old firmware acknowledges it."""
    if "type" in command or "action" in command:
        kind = command.get("type") or command.get("action")
        return encode({**command, "id": command_id}), str(kind)
    own = Command(id=command_id, name=str(command.get("name", "")), args=command.get("args"))
    return encode(own), own.name or "command"
