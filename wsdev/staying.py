"""A simulated device that stays: it sends, obeys, and comes back after a break."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus

from wsdev import client, hearing
from wsdev.codec import message_type
from wsdev.codes import REFUSALS
from wsdev.errors import NotAllowed, PathError, PeerError, TokenRefused, WsdevError
from wsdev.events import Closed, MessageReceived
from wsdev.failures import closed_error
from wsdev.limits import Limits
from wsdev.protocol import ESP32CAM, Ack, ConnectionAck, ErrorMessage
from wsdev.sanitize import printable
from wsdev.session import SessionPolicy
from wsdev.simulator import VirtualDevice
from wsdev.target import Target, fetch_token


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that a staying device tells: a word and what it is about."""

    what: str
    detail: str


async def stay(
    target: Target,
    interval: float,
    jitter: Callable[[], float],
    tell: Callable[[Happening], None],
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> None:
    """Be a device until cancelled: send, obey commands, come back after a break.

    A token that was fetched is kept, until the gateway no longer accepts it.

    Args:
        interval: Seconds between two telemetry messages or pictures.
        jitter: Gives a number from 0 to 1, for the backoff.
        clock: Monotonic seconds; tells how long a link held.
        sleep: Waits between two tries.

    Raises:
        WsdevError: the gateway does not want this device: at the first try, or with a close code
            that says so.
    """
    waits = client.backoff(jitter)
    token = target.token
    was_in = False
    while True:
        online_since: float | None = None
        least = 0.0
        try:
            if token is None:
                token = await fetch_token(target)
            async with _conversation(target, token) as (connection, device):
                welcome = await _greet(connection, device, target.patience)
                was_in, online_since = True, clock()
                tell(Happening("online", f"as {printable(welcome.device)}"))
                closed = await _live(connection, device, interval, tell)
            raise closed_error(closed)
        except (PathError, PeerError) as failed:
            error: WsdevError = failed
            if _is_no(error):
                if not was_in or error.code.startswith("close_"):
                    raise
                if not _is_passing(error):
                    least, token = client.WAIT_AFTER_NO, target.token
        if online_since is not None and clock() - online_since >= client.STABLE_AFTER:
            waits = client.backoff(jitter)
        wait = max(least, next(waits))
        tell(Happening("offline", f"{error.cause}; next try in {wait:.1f} s"))
        await sleep(wait)


def _is_no(error: WsdevError) -> bool:
    """Whether the gateway itself turns the device away."""
    return isinstance(error, (TokenRefused, NotAllowed)) or error.code in REFUSALS


def _is_passing(no: WsdevError) -> bool:
    """Whether the gateway turns everybody away for a moment: it restarts or is full."""
    kind = REFUSALS.get(no.code)
    return kind is not None and kind.status == HTTPStatus.SERVICE_UNAVAILABLE


async def _live(
    connection: client.DeviceConnection,
    device: VirtualDevice,
    interval: float,
    tell: Callable[[Happening], None],
) -> Closed:
    """Send and obey until the link ends."""
    loop = asyncio.get_running_loop()
    next_send = loop.time()
    while True:
        # Not left to a timeout that is over at once: it would swallow a Ctrl-C of that moment.
        if loop.time() >= next_send:
            next_send = loop.time() + interval
            tell(_send(connection, device, loop.time()))
        try:
            async with asyncio.timeout_at(next_send):
                event = await connection.next_event()
        except TimeoutError:
            continue
        if isinstance(event, Closed):
            return event
        if isinstance(event, MessageReceived):
            done = device.obey(event.message, connection.session, loop.time())
            connection.flush()
            if done is not None:
                tell(Happening("obeyed", printable(done)))
            elif isinstance(event.message, ErrorMessage):
                tell(Happening("error", printable(event.message.message)))
            elif isinstance(event.message, Ack):
                tell(Happening("ack", printable(str(event.message.id))))
            else:
                tell(Happening(printable(message_type(event.message)), ""))


def _send(connection: client.DeviceConnection, device: VirtualDevice, now: float) -> Happening:
    if device.device_class.name == ESP32CAM.name:
        size = device.send_picture(connection.session, now)
        happening = Happening("picture", f"{size} bytes")
    else:
        message = device.measure(now)
        connection.session.send(message)
        happening = Happening("telemetry", f"{message.id}")
    connection.flush()
    return happening


# One conversation


@asynccontextmanager
async def _conversation(
    target: Target, token: str | None
) -> AsyncIterator[tuple[client.DeviceConnection, VirtualDevice]]:
    loop = asyncio.get_running_loop()
    device = VirtualDevice(target.device_class, target.name, random.random, loop.time())
    async with client.connect(
        target.address,
        target.device_class,
        token,
        policy=SessionPolicy(Limits(handshake_timeout=target.patience)),
        tls=target.tls,
        patience=target.patience,
    ) as connection:
        yield connection, device


async def _greet(
    connection: client.DeviceConnection, device: VirtualDevice, patience: float
) -> ConnectionAck:
    device.hello(connection.session, asyncio.get_running_loop().time())
    connection.flush()
    return await hearing.welcome(connection, patience)
