"""A device's request and the answer that opens the conversation (RFC 6455 section 4).

Nearly all devices ask in the same plain way. That is read in request_head, at a seventh of what the
`websockets` package costs; all else (other spellings, offers, whatever is wrong) is left to the
package, whose word holds. tests/test_upgrade.py shows that nobody can tell the two ways apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from websockets import http11
from websockets.datastructures import Headers
from websockets.exceptions import (
    InvalidHandshake,
    InvalidMethod,
    InvalidUpgrade,
    SecurityError,
)
from websockets.extensions import Extension
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol
from websockets.utils import accept_key

from wsdev.protocol import SUBPROTOCOL
from wsdev.request_head import Fields, Request, plain_key, read_plain_request
from wsdev.wire import WIRE_LOGGER


class Agreed(NamedTuple):
    """The upgrade is agreed on: the whole answer, and the extensions of the frames after it."""

    answer: bytes
    extensions: Sequence[Extension] = ()


def read_request(head: bytes) -> Request | str:
    """The request in a whole head, its last empty line included.

    Returns:
        Or the key of codes.REFUSALS for what is no request.
    """
    request = read_plain_request(head)
    if request is not None:
        return request
    library = ServerProtocol(logger=WIRE_LOGGER)
    library.receive_data(head)
    for event in library.events_received():
        assert isinstance(event, http11.Request)
        fields = Fields(event.headers.raw_items())
        return Request(event.method, event.path, event.protocol, fields)
    # The library has bounds of its own on a line and on the number of headers.
    return "head_too_large" if isinstance(library.handshake_exc, SecurityError) else "bad_request"


def agree(request: Request, *, compression: bool = False) -> Agreed | str:
    """What is answered to a request for an upgrade (RFC 6455 section 4.2).

    The answer has three headers, those of our subprotocol and of permessage-deflate if they were
    offered and, the latter, ``compression`` allows it.

    Returns:
        Or the key of codes.REFUSALS for a request that cannot become a WebSocket.
    """
    key = plain_key(request)
    if key is not None:
        return Agreed(_answer(accept_key(key)))
    if request.protocol == "HTTP/1.0":
        return "http_1_0"
    library = ServerProtocol(
        select_subprotocol=_select_subprotocol,
        extensions=[ServerPerMessageDeflateFactory()] if compression else None,
        logger=WIRE_LOGGER,
    )
    fields = request.fields
    version = {value.strip() for value in fields.get_all("Sec-WebSocket-Version")}
    asked = http11.Request(
        request.target, Headers(fields.pairs()), request.method, request.protocol
    )
    try:
        if fields.get_all("Upgrade") and version and version != {"13"}:
            return "websocket_version"
        accept, extensions, subprotocol = library.process_request(asked)
    except (InvalidMethod, InvalidUpgrade):
        return "upgrade_required"
    except InvalidHandshake:
        return "bad_upgrade"
    return Agreed(_answer(accept, extensions, subprotocol), library.extensions)


def _answer(accept: str, extensions: str | None = None, subprotocol: str | None = None) -> bytes:
    more = ""
    if extensions is not None:
        more += f"Sec-WebSocket-Extensions: {extensions}\r\n"
    if subprotocol is not None:
        more += f"Sec-WebSocket-Protocol: {subprotocol}\r\n"
    return (
        "HTTP/1.1 101 Switching Protocols\r\n"
        "Upgrade: websocket\r\n"
        "Connection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept}\r\n{more}\r\n"
    ).encode("ascii")


def _select_subprotocol(_: ServerProtocol, offered: object) -> Subprotocol | None:
    """Ours if it is offered, else none: arduinoWebSockets offers `arduino` and takes no answer."""
    assert isinstance(offered, list)
    return Subprotocol(SUBPROTOCOL) if SUBPROTOCOL in offered else None
