"""Commands to devices: sent, waited for, queued, looked up and taken back.

What each state promises is in docs/commands.md.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from starlette.responses import Response

from wsdev.absences import offline
from wsdev.command_records import MAX_QUEUE_TIME, MAX_TIMEOUT, CommandRecord, CommandState
from wsdev.console.inputs import Body, Query
from wsdev.console.operations import Call, Operation, json_answer
from wsdev.console.problems import NotServed
from wsdev.errors import DeviceOffline
from wsdev.hub import DEFAULT_COMMAND_TIMEOUT

MOST_PATIENCE: Final = 60.0
"""Seconds that a request waits for a device's answer; the command itself may have longer."""


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """A command and what became of it; times are Unix seconds.

    Attributes:
        command: As it was given.
        by: Who asked for it.
        queue_until: Until when it may wait for its device.
        reason: Why, in words, where the state does not say it.
        detail: What the device said about it.
        is_over: Whether the state is the last one.
    """

    id: str
    device: str
    state: CommandState
    is_over: bool
    type: str
    command: dict[str, Any]
    by: str
    timeout: float
    asked: float
    sent: float | None
    ended: float | None
    queue_until: float | None
    session: str | None
    reason: str | None
    detail: Any


class CommandWish(Body, frozen=True, kw_only=True):
    """A command, and how long it may take.

    Attributes:
        command: ``{"type": …}`` and ``{"action": …}`` go to the device as they are, with an
            ``id`` added; ``{"name": …, "args": …}`` in the gateway's own form.
        timeout: Seconds that the device has for its answer.
        queue: Whether it may wait for a device that is away.
        queue_for: For how many seconds.
    """

    command: dict[str, Any]
    timeout: Annotated[float, msgspec.Meta(gt=0, le=MAX_TIMEOUT)] = DEFAULT_COMMAND_TIMEOUT
    queue: bool = False
    queue_for: Annotated[float, msgspec.Meta(gt=0, le=MAX_QUEUE_TIME)] = 3600.0


class Patience(Query, frozen=True, kw_only=True):
    """How many seconds to wait for the device's answer; its ``timeout`` if nothing is said."""

    wait: Annotated[float, msgspec.Meta(ge=0, le=MOST_PATIENCE)] | None = None


def _shown(record: CommandRecord) -> Command:
    return msgspec.convert(record, Command, from_attributes=True)


async def send_command(call: Call) -> Response:
    """Send a command; 200 if it is over, 202 while it waits or has no answer."""
    assert call.operator is not None
    desk, wish, name = call.plane.gateway.commands, call.body, call.path("name")
    try:
        record = desk.submit(
            name,
            wish.command,
            timeout=wish.timeout,
            queue_for=wish.queue_for if wish.queue else None,
            by=f"console:{call.operator.name}",
        )
    except DeviceOffline:
        away = desk.absences
        seen = away.recent(name) or await call.plane.aside(lambda: away.last_seen(name))
        raise offline(name, seen) from None
    patience = call.query.wait
    if patience is None:
        patience = 0.0 if record.state is CommandState.QUEUED else min(wish.timeout, MOST_PATIENCE)
    if record.state is CommandState.QUEUED:
        await desk.kept()  # before it is said to be queued
    record = await desk.settled(record, patience)
    headers = {"Location": f"/api/commands/{record.id}"}
    return json_answer(_shown(record), 200 if record.is_over else 202, headers)


async def show_command(call: Call) -> Response:
    """What became of a command."""
    return json_answer(_shown(await _find(call)))


async def cancel_command(call: Call) -> Response:
    """Take a command out of the queue."""
    return json_answer(_shown(call.plane.gateway.commands.cancel(await _find(call))))


async def _find(call: Call) -> CommandRecord:
    desk, command_id = call.plane.gateway.commands, call.path("id")
    record = desk.recent(command_id) or await call.plane.aside(lambda: desk.get(command_id))
    if record is None:
        raise NotServed(
            404, "unknown_command", "there is no command of this id", "copy the whole id"
        )
    return record


OPERATIONS: Final = (
    Operation(
        method="POST",
        path="/api/devices/{name}/commands",
        handler=send_command,
        summary="Send a command and wait for the device's answer; wait=0 does not wait.",
        query=Patience,
        body=CommandWish,
        answer=Command,
        also={202: "it is queued, or has no answer yet: ask for it by its id"},
        problems={409: "the device is away", 429: "too many wait"},
    ),
    Operation(
        method="GET",
        path="/api/commands/{id}",
        handler=show_command,
        summary="What became of a command.",
        answer=Command,
        problems={404: "there is none of this id"},
    ),
    Operation(
        method="DELETE",
        path="/api/commands/{id}",
        handler=cancel_command,
        summary="Take a command out of the queue.",
        answer=Command,
        problems={404: "there is none of this id", 409: "it does not wait any more"},
    ),
)
