from __future__ import annotations

import asyncio
import contextlib
import datetime
import socket
import ssl
import threading
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
import trustme

from wsdev.served_certificate import look_at_certificate

PATIENCE = 20.0
NAMES = ("gw.example", "*.gw.example", "127.0.0.1")


def written(cert: trustme.LeafCert, path: Path) -> str:
    """The file of a certificate, its key in it."""
    cert.private_key_and_cert_chain_pem.write_to_path(path)
    return str(path)


def own_authority(monkeypatch: pytest.MonkeyPatch, authority: trustme.CA, path: Path) -> None:
    """Let this host trust an issuer, as OpenSSL is told to."""
    authority.cert_pem.write_to_path(path)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))


@asynccontextmanager
async def server(greeting: bytes = b"", tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server on loopback that waits for the other end to leave; its port."""

    def take_one(sock: socket.socket) -> None:
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            stack.enter_context(sock)
            sock.settimeout(PATIENCE)
            there = stack.enter_context(tls.wrap_socket(sock, server_side=True)) if tls else sock
            there.sendall(greeting)
            while there.recv(4096):
                pass

    def take_all() -> None:
        with contextlib.suppress(OSError):
            while True:
                take_one(listener.accept()[0])

    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=take_all)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        await asyncio.to_thread(thread.join)  # the loop has to close its ends
        listener.close()


def tls_server(cert: trustme.LeafCert) -> AbstractAsyncContextManager[int]:
    """One with this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    cert.configure_cert(context)
    return server(tls=context)


async def test_certificate_is_the_one_that_is_shown(tmp_path: Path) -> None:
    cert = trustme.CA().issue_cert(*NAMES)
    file = written(cert, tmp_path / "gw.pem")
    async with tls_server(cert) as port:
        told = await look_at_certificate("127.0.0.1", port, file, PATIENCE)
    assert (told.file, told.trouble) == (file, "")
    assert set(told.names) == set(NAMES)
    assert told.starts < told.ends
    assert told.is_that_of_the_file is True
    assert told.is_trusted is False


async def test_issuer_that_this_host_knows_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    own_authority(monkeypatch, authority, tmp_path / "ca.pem")
    for names in (("gw.example",), ("*.gw.example",), ("127.0.0.1",)):
        cert = authority.issue_cert(*names)
        async with tls_server(cert) as port:
            told = await look_at_certificate("127.0.0.1", port, str(tmp_path / "x"), PATIENCE)
        assert told.is_trusted
        assert told.is_that_of_the_file is None


async def test_file_that_was_renewed_differs_from_what_is_shown(tmp_path: Path) -> None:
    authority = trustme.CA()
    old, new = authority.issue_cert("gw.example"), authority.issue_cert("gw.example")
    file = written(new, tmp_path / "gw.pem")
    async with tls_server(old) as port:
        told = await look_at_certificate("127.0.0.1", port, file, PATIENCE)
    assert told.is_that_of_the_file is False


async def test_without_a_gateway_the_file_is_looked_at(tmp_path: Path) -> None:
    ends = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    cert = trustme.CA().issue_cert("gw.example", not_after=ends)
    told = await look_at_certificate(None, 3000, written(cert, tmp_path / "gw.pem"), PATIENCE)
    assert told.names == ("gw.example",)
    assert told.ends == pytest.approx(ends.timestamp(), abs=2)
    assert told.is_that_of_the_file is None


@pytest.mark.parametrize(
    ("content", "trouble"),
    [
        (None, "No such file or directory"),
        (b"", "no certificate is in it"),
        (b"\xff\xfe", "it is not PEM"),
        (b"-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n", "it is not PEM"),
        (b"-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n", "it cannot be read"),
    ],
)
async def test_file_that_holds_none_is_told(
    content: bytes | None, trouble: str, tmp_path: Path
) -> None:
    path = tmp_path / "gw.pem"
    if content is not None:
        path.write_bytes(content)
    told = await look_at_certificate(None, 3000, str(path), PATIENCE)
    assert told.trouble
    assert trouble in told.trouble


async def test_server_that_does_not_speak_tls_shows_none(tmp_path: Path) -> None:
    async with server(b"220 hello\r\n") as port:
        told = await look_at_certificate("127.0.0.1", port, str(tmp_path / "x"), PATIENCE)
    assert told.trouble == "No such file or directory"


async def test_server_that_says_nothing_is_given_up(tmp_path: Path) -> None:
    async with server() as port:
        told = await look_at_certificate("127.0.0.1", port, str(tmp_path / "x"), 0.2)
    assert told.trouble
