"""A server's first part of a TLS 1.2 handshake, which is in clear: what it asks for.

A server that wants a certificate from the device and gets none ends a TLS 1.2 handshake with an
alert that does not say so (RFC 5246 section 7.4.6: ``handshake_failure``). Pure.
"""

from __future__ import annotations

import contextlib
import ssl
from typing import Final

from wsdev.certificate import unverified_context

CERTIFICATE_REQUEST: Final = 13
SERVER_HELLO_DONE: Final = 14
"""Messages of a handshake, by number (RFC 5246 section 7.4)."""

MAX_FLIGHT: Final = 64 * 1024
"""Bytes; a server's certificates are a few KiB."""

_HANDSHAKE: Final = 22


def make_client_hello(server_name: str) -> bytes:
    """The first bytes of a device that speaks TLS 1.2 and takes any certificate."""
    context = unverified_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    outgoing = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=server_name)
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


def message_types(flight: bytes) -> list[int]:
    """The handshake messages that have come whole, by number; other records end the list."""
    said = bytearray()
    while len(flight) >= 5 and flight[0] == _HANDSHAKE:
        size = int.from_bytes(flight[3:5], "big")
        said += flight[5 : 5 + size]
        flight = flight[5 + size :]
    found: list[int] = []
    while len(said) >= 4 and len(said) >= (whole := 4 + int.from_bytes(said[1:4], "big")):
        found.append(said[0])
        del said[:whole]
    return found
