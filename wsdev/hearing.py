"""Waiting for one answer of a gateway, and what is an error meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from wsdev.client import DeviceConnection
from wsdev.errors import LinkCut, ProtocolViolation
from wsdev.events import BadMessageReceived, Closed, Event, MessageReceived
from wsdev.failures import closed_error
from wsdev.protocol import ConnectionAck, ErrorMessage
from wsdev.sanitize import printable


async def wait_for(
    connection: DeviceConnection, wanted: Callable[[Event], bool], what: str, patience: float
) -> Event:
    """The next event that is ``wanted``; others but trouble are passed over.

    Raises:
        LinkCut: it did not come in time, or the link ended.
        WsdevError: the gateway said something else that ends the matter.
    """
    try:
        async with asyncio.timeout(patience):
            while True:
                event = await connection.next_event()
                if wanted(event):
                    return event
                raise_if_trouble(event)
    except TimeoutError:
        raise LinkCut(
            f"no {what} within {patience:g} s",
            "the link is up but silent: look at the gateway's /healthz and log (is its disk full?),"
            " and at proxies on the way",
        ) from None


async def welcome(connection: DeviceConnection, patience: float) -> ConnectionAck:
    """The answer to a hello that was sent.

    Raises:
        WsdevError: as :func:`wait_for`.
    """
    event = await wait_for(connection, _is_welcome, "answer to the hello", patience)
    assert isinstance(event, MessageReceived)
    assert isinstance(event.message, ConnectionAck)
    return event.message


def _is_welcome(event: Event) -> bool:
    return isinstance(event, MessageReceived) and isinstance(event.message, ConnectionAck)


def raise_if_trouble(event: Event) -> None:
    """Raise what ``event`` means for one who wanted to go on, if it means an end.

    Raises:
        WsdevError: it does.
    """
    if isinstance(event, Closed):
        raise closed_error(event)
    if isinstance(event, BadMessageReceived):
        raise event.error
    if isinstance(event, MessageReceived) and isinstance(event.message, ErrorMessage):
        told = event.message
        raise ProtocolViolation(
            f"the gateway answers with an error: {printable(told.message)}",
            printable(told.hint),
            code=printable(told.code),
        )
