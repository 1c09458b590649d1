"""Who is connected, commands to them, and events to whoever listens. In memory, no I/O.

The interface is narrow on purpose: a hub shared by several machines can stand behind it.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol

from wsdev.errors import LinkCut, NotAllowed, UsageError
from wsdev.protocol import MAX_NAME_LENGTH, Command, CommandAck, encode

MAX_OPEN_COMMANDS: Final = 64
"""Commands to one device that wait for its answer; one more is refused."""

DEFAULT_COMMAND_TIMEOUT: Final = 10.0


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


class Outcome(enum.StrEnum):
    """What became of a command."""

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
    """A command on its way. ``on_done`` is called once, with the outcome set."""

    id: str
    kind: str
    expires: float
    on_done: Callable[[SentCommand], None]
    outcome: Outcome = Outcome.OPEN
    detail: Any = None


@dataclass(slots=True, eq=False)
class Member:
    """A connected device.

    Attributes:
        name: As given by the gateway; unique in the hub.
        address: Where it comes from, as text.
        since: Unix time of the connection.
        owns_name: Its token is pinned to its name; another's must give way.
        token: The id of its token; None for a local one that needed none.
        version: Of its firmware, as it says.
    """

    name: str
    device_class: str
    session_id: str
    address: str
    since: float
    port: DevicePort
    owns_name: bool = False
    rtt: float | None = None
    token: str | None = None
    version: str | None = None
    commands: list[SentCommand] = field(default_factory=list)


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
        member.name = name
        self._members[name] = member
        self._tell(Change.RENAMED, member)

    def leave(self, member: Member) -> None:
        """Let a device go; its open commands are lost."""
        if self._members.get(member.name) is not member:
            return
        del self._members[member.name]
        for command in member.commands[:]:
            self._settle(member, command, Outcome.LOST)
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
            command: ``{"name": …, "args": …}`` without a ``type`` or ``action`` goes in the
                gateway's own form; any other object is passed on as it is, with ``id`` added.

        Raises:
            LinkCut: no such device is connected.
            UsageError: the command is larger than a device's buffer.
            NotAllowed: too many commands wait for this device's answer.
        """
        member = self._members.get(name)
        if member is None:
            raise LinkCut(f"{name} is not connected", "see which devices are", code="offline")
        if len(member.commands) >= MAX_OPEN_COMMANDS:
            raise NotAllowed(
                f"{name} has not answered {MAX_OPEN_COMMANDS} commands",
                "wait for its answers, or restart the device",
                code="too_many_commands",
            )
        self._sent += 1
        command_id = f"c-{self._sent}"
        text, kind = _render(command, command_id)
        if len(text) > self._max_command:
            raise UsageError(
                f"the command is {len(text)} bytes, over the limit of {self._max_command}",
                "send less at once; devices have small buffers",
                code="command_too_large",
            )
        sent = SentCommand(command_id, kind, now + timeout, on_done)
        member.commands.append(sent)
        member.port.send_text(text)
        return sent

    def acknowledged(self, member: Member, ack: CommandAck) -> SentCommand | None:
        """Settle the command that ``ack`` names, or the oldest of its type; None if none."""
        for command in member.commands:
            if command.id == ack.id if ack.id is not None else command.kind == ack.command_type:
                command.detail = ack.detail
                self._settle(member, command, _OUTCOMES[ack.status])
                return command
        return None

    def expire(self, now: float) -> None:
        """Settle the commands whose time is over."""
        for member in [m for m in self if m.commands]:
            for command in [c for c in member.commands if c.expires <= now]:
                self._settle(member, command, Outcome.EXPIRED)

    def _settle(self, member: Member, command: SentCommand, outcome: Outcome) -> None:
        if command.outcome is not Outcome.OPEN:
            return  # the end of an earlier one made the device leave
        member.commands.remove(command)
        command.outcome = outcome
        command.on_done(command)

    def _tell(self, change: Change, member: Member) -> None:
        for listener in self._listeners[:]:
            listener(change, member)


def _render(command: dict[str, Any], command_id: str) -> tuple[bytes, str]:
    """The command's text, and the word by which old firmware acknowledges it."""
    if "type" in command or "action" in command:
        kind = command.get("type") or command.get("action")
        return encode({**command, "id": command_id}), str(kind)
    own = Command(id=command_id, name=str(command.get("name", "")), args=command.get("args"))
    return encode(own), own.name or "command"
