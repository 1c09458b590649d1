from __future__ import annotations

import contextlib
import ssl

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st
from made_certificates import server_context

from wsdev.tls_flight import (
    CERTIFICATE_REQUEST,
    SERVER_HELLO_DONE,
    make_client_hello,
    message_types,
)

SERVER_HELLO, CERTIFICATE = 2, 11


def flight_of(*, asks: bool) -> bytes:
    """What a real server says to our hello."""
    ca = trustme.CA()
    context = server_context(ca.issue_cert("gateway.example"))
    if asks:
        context.verify_mode = ssl.CERT_REQUIRED
        ca.configure_trust(context)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    incoming.write(make_client_hello("gateway.example"))
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_side=True).do_handshake()
    return outgoing.read()


def test_hello_names_the_server() -> None:
    hello = make_client_hello("gateway.example")
    assert hello[0] == 22
    assert b"gateway.example" in hello


@pytest.mark.parametrize("asks", [False, True])
def test_real_server_shows_whether_it_asks_for_a_certificate(asks: bool) -> None:
    types = message_types(flight_of(asks=asks))
    assert types[:2] == [SERVER_HELLO, CERTIFICATE]
    assert types[-1] == SERVER_HELLO_DONE
    assert (CERTIFICATE_REQUEST in types) == asks


def test_messages_come_in_any_pieces() -> None:
    flight = flight_of(asks=True)
    whole = message_types(flight)
    seen = [message_types(flight[:size]) for size in range(len(flight) + 1)]
    assert all(types == whole[: len(types)] for types in seen)
    assert seen[0] == []
    assert seen[-1] == whole


@given(st.binary(max_size=300))
def test_any_bytes_are_read(flight: bytes) -> None:
    assert message_types(b"\x15" + flight) == []
    message_types(b"\x16" + flight)
