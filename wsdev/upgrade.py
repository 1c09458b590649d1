"""A device's request and the answer that opens the conversation (RFC 6455 section 4).

Nearly all devices ask in the same plain way. That is read here, at a sixth of what the `websockets`
package costs; all else (other spellings, offers, whatever is wrong) is left to the package, whose
word holds. tests/test_upgrade.py shows that nobody can tell the two ways apart.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from websockets.datastructures import Headers
from websockets.exceptions import (
    InvalidHandshake,
    InvalidMethod,
    InvalidUpgrade,
    SecurityError,
)
from websockets.extensions import Extension
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.http11 import MAX_LINE_LENGTH, MAX_NUM_HEADERS, Request
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol
from websockets.utils import accept_key

from wsdev.protocol import SUBPROTOCOL
from wsdev.wire import WIRE_LOGGER

_PLAIN_HEAD: Final = re.compile(
    rb"(?P<method>GET|HEAD) (?P<target>[!-~]++) HTTP/1\.1\r\n"
    rb"(?P<fields>(?:[-!#$%&'*+.^_`|~0-9A-Za-z]++:[\t -~\x80-\xff]*+\r\n)++)\r\n"
)
_PLAIN_KEY: Final = re.compile(r"[A-Za-z0-9+/]{22}==")
"""Sixteen bytes in base 64."""


class Agreed(NamedTuple):
    """The upgrade is agreed on: the whole answer, and the extensions of the frames after it."""

    answer: bytes
    extensions: Sequence[Extension] = ()


def read_request(head: bytes) -> Request | str:
    """The request in a whole head, its last empty line included.

    Returns:
        Or the key of codes.REFUSALS for what is no request.
    """
    request = _plain_request(head)
    if request is not None:
        return request
    library = ServerProtocol(logger=WIRE_LOGGER)
    library.receive_data(head)
    for event in library.events_received():
        assert isinstance(event, Request)
        return event
    # The library has bounds of its own on a line and on the number of headers.
    return "head_too_large" if isinstance(library.handshake_exc, SecurityError) else "bad_request"


def _plain_request(head: bytes) -> Request | None:
    """The request, or None for the package to judge."""
    plain = _PLAIN_HEAD.fullmatch(head)
    if plain is None or len(head) > MAX_LINE_LENGTH:
        return None
    lines = plain["fields"].decode("iso-8859-1").split("\r\n")
    if len(lines) > MAX_NUM_HEADERS:
        return None
    headers = Headers()
    for line in lines[:-1]:
        name, _, value = line.partition(":")
        headers.set_insecure(name, value.strip(" \t"))
    if "Transfer-Encoding" in headers or "Content-Length" in headers:
        return None
    return Request(plain["target"].decode("ascii"), headers, plain["method"].decode("ascii"))


def agree(request: Request, *, compression: bool = False) -> Agreed | str:
    """What is answered to a request for an upgrade (RFC 6455 section 4.2).

    The answer has three headers, those of our subprotocol and of permessage-deflate if they were
    offered and, the latter, ``compression`` allows it.

    Returns:
        Or the key of codes.REFUSALS for a request that cannot become a WebSocket.
    """
    key = _plain_key(request)
    if key is not None:
        return Agreed(_answer(accept_key(key)))
    headers = request.headers
    if request.protocol == "HTTP/1.0":
        return "http_1_0"
    library = ServerProtocol(
        select_subprotocol=_select_subprotocol,
        extensions=[ServerPerMessageDeflateFactory()] if compression else None,
        logger=WIRE_LOGGER,
    )
    version = {value.strip() for value in headers.get_all("Sec-WebSocket-Version")}
    try:
        if headers.get_all("Upgrade") and version and version != {"13"}:
            return "websocket_version"
        accept, extensions, subprotocol = library.process_request(request)
    except (InvalidMethod, InvalidUpgrade):
        return "upgrade_required"
    except InvalidHandshake:
        return "bad_upgrade"
    return Agreed(_answer(accept, extensions, subprotocol), library.extensions)


def _plain_key(request: Request) -> str | None:
    """The key of a request that offers nothing and leaves no doubt, else None."""
    headers = request.headers
    keys = headers.get_all("Sec-WebSocket-Key")
    if (
        request.method == "GET"
        and request.protocol == "HTTP/1.1"
        and [value.lower() for value in headers.get_all("Connection")] == ["upgrade"]
        and [value.lower() for value in headers.get_all("Upgrade")] == ["websocket"]
        and headers.get_all("Sec-WebSocket-Version") == ["13"]
        and len(headers.get_all("Origin")) <= 1
        and "Sec-WebSocket-Protocol" not in headers
        and "Sec-WebSocket-Extensions" not in headers
        and len(keys) == 1
        and _PLAIN_KEY.fullmatch(keys[0])
    ):
        return keys[0]
    return None


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
