"""What a peer asks in the head of its HTTP request.

Smaller than what the `websockets` package has for it: each device that comes costs one of these.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from websockets.http11 import MAX_LINE_LENGTH, MAX_NUM_HEADERS

_PLAIN_HEAD: Final = re.compile(
    rb"(GET|HEAD) ([!-~]++) HTTP/1\.1\r\n"
    rb"((?:[-!#$%&'*+.^_`|~0-9A-Za-z]++:[\t -~\x80-\xff]*+\r\n)++)\r\n"
)
_PLAIN_KEY: Final = re.compile(r"[A-Za-z0-9+/]{22}==")
"""Sixteen bytes in base 64."""


class Fields:
    """Header fields as they came, decoded as ISO-8859-1; names in any case (RFC 9110 section 5.1).

    Args:
        pairs: Names and values, in the order in which they came.
    """

    __slots__ = ("_values",)

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            self.add(name, value)

    def add(self, name: str, value: str) -> None:
        """Add one more."""
        key = name.lower()
        values = self._values.get(key)
        if values is None:
            self._values[key] = [value]
        else:
            values.append(value)

    def get_all(self, name: str) -> list[str]:
        """The values under that name, in order: a peer may repeat any of them."""
        return self._values.get(name.lower()) or []

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._values

    def __iter__(self) -> Iterator[str]:
        """The names, in lower case, each once."""
        return iter(self._values)

    def pairs(self) -> list[tuple[str, str]]:
        """Names in lower case and values; those of a name in order."""
        return [(name, value) for name, values in self._values.items() for value in values]


class Request(NamedTuple):
    """Method, target and protocol of a request's first line, and its fields."""

    method: str
    target: str
    protocol: str
    fields: Fields


def read_plain_request(head: bytes) -> Request | None:
    """The request in a whole head, its last empty line included, if all devices would write it so.

    Returns:
        None for whatever asks for a second look: another spelling, a body, a size over the bounds
        of the `websockets` package.
    """
    plain = _PLAIN_HEAD.fullmatch(head)
    if plain is None or len(head) > MAX_LINE_LENGTH:
        return None
    method, target, text = plain.groups()
    lines = text.decode("iso-8859-1").split("\r\n")
    if len(lines) > MAX_NUM_HEADERS:
        return None
    fields = Fields()
    for line in lines[:-1]:
        name, _, value = line.partition(":")
        fields.add(name, value.strip(" \t"))
    if "transfer-encoding" in fields or "content-length" in fields:
        return None
    return Request(method.decode("ascii"), target.decode("ascii"), "HTTP/1.1", fields)


def plain_key(request: Request) -> str | None:
    """The key of an upgrade that offers nothing and leaves no doubt, else None."""
    fields = request.fields
    keys = fields.get_all("sec-websocket-key")
    if (
        request.method == "GET"
        and request.protocol == "HTTP/1.1"
        and [value.lower() for value in fields.get_all("connection")] == ["upgrade"]
        and [value.lower() for value in fields.get_all("upgrade")] == ["websocket"]
        and fields.get_all("sec-websocket-version") == ["13"]
        and len(fields.get_all("origin")) <= 1
        and "sec-websocket-protocol" not in fields
        and "sec-websocket-extensions" not in fields
        and len(keys) == 1
        and _PLAIN_KEY.fullmatch(keys[0])
    ):
        return keys[0]
    return None
