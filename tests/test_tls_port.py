from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme
import uvloop
from harness import (
    FAR,
    PATIENCE,
    TEXT,
    RawClient,
    RunningGateway,
    check_refusal,
    frame,
    head,
    running_gateway,
)
from journal_bench import rows

from wsdev import tls_port
from wsdev.codes import BREAKS
from wsdev.errors import CertificateError
from wsdev.link import READ_SIZE
from wsdev.server import SPARE_FILES
from wsdev.tls_port import make_tls_context

TLS = tuple[ssl.SSLContext, ssl.SSLContext]
LOOPS = pytest.mark.parametrize(
    "new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
)
NEAR_FAR = "198.51.100.77"
NewLoop = Callable[[], asyncio.AbstractEventLoop]

# Certificates


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def cert(authority: trustme.CA) -> trustme.LeafCert:
    return authority.issue_cert("localhost")


def pem(folder: Path, name: str, *blobs: trustme.Blob) -> Path:
    path = folder / name
    path.write_bytes(b"".join(blob.bytes() for blob in blobs))
    return path


def test_certificate_with_its_key_beside_it_or_in_one_file(
    cert: trustme.LeafCert, tmp_path: Path
) -> None:
    chain = pem(tmp_path, "cert.pem", *cert.cert_chain_pems)
    key = pem(tmp_path, "key.pem", cert.private_key_pem)
    both = pem(tmp_path, "both.pem", cert.private_key_pem, *cert.cert_chain_pems)
    for context in (make_tls_context(chain, key), make_tls_context(both, None)):
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_certificate_that_cannot_be_used_is_told_with_its_file(
    authority: trustme.CA, cert: trustme.LeafCert, tmp_path: Path
) -> None:
    chain = pem(tmp_path, "cert.pem", *cert.cert_chain_pems)
    key = pem(tmp_path, "key.pem", cert.private_key_pem)
    other = pem(tmp_path, "other.pem", authority.issue_cert("localhost").private_key_pem)
    junk = tmp_path / "junk.pem"
    junk.write_text("no certificate")
    missing = tmp_path / "missing.pem"
    for cert_file, key_file, part in (
        (missing, key, "missing.pem: No such file"),
        (chain, missing, "missing.pem: No such file"),
        (tmp_path, None, str(tmp_path)),
        (junk, key, "junk.pem"),
        (chain, junk, "cert.pem"),
        (chain, other, "key values mismatch"),
        (chain, None, "cert.pem"),
    ):
        with pytest.raises(CertificateError) as caught:
            make_tls_context(cert_file, key_file)
        assert part in caught.value.cause
        assert caught.value.hint


def test_encrypted_key_is_told_as_such(cert: trustme.LeafCert, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415  (trustme's own)

    plain = serialization.load_pem_private_key(cert.private_key_pem.bytes(), None)
    key = tmp_path / "key.pem"
    key.write_bytes(
        plain.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(CertificateError, match="encrypted") as caught:
        make_tls_context(pem(tmp_path, "cert.pem", *cert.cert_chain_pems), key)
    assert "openssl" in caught.value.hint


@pytest.fixture
def tls(authority: trustme.CA, cert: trustme.LeafCert) -> TLS:
    """The gateway's context, and a client's that trusts it."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    cert.configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server, client


# Links over TLS


async def test_device_is_served_over_tls(tls: TLS, tmp_path: Path) -> None:
    async with running_gateway(tmp_path, tls=tls) as gateway:
        async with gateway.device(name="kitchen") as device:
            await device.telemetry(1)
            gateway.book.revoke("pico")
            gateway.clock.advance(1)
            assert (await device.closed())[0] == 4501
        assert (await gateway.get("/healthz")).json == {"status": "ok"}


async def test_refusal_over_tls_arrives_whole(tls: TLS, tmp_path: Path) -> None:
    async with running_gateway(tmp_path, tls=tls) as gateway:
        check_refusal(gateway, await gateway.upgrade(), "token_missing")
        check_refusal(gateway, await gateway.get("/nowhere"), "not_found")
        gateway.listener.seen_as = FAR
        gateway.gateway.desk.draining = True
        check_refusal(gateway, await gateway.get("/"), "draining")


@LOOPS
@pytest.mark.parametrize("secure", [False, True])
def test_flood_is_held_after_a_read_and_large_messages_come_whole(
    new_loop: NewLoop, secure: bool, tls: TLS, tmp_path: Path
) -> None:
    limit = 100

    async def flood() -> None:
        async with (
            running_gateway(
                tmp_path, tls=tls if secure else None, limits={"messages_per_minute": limit}
            ) as gateway,
            gateway.device("esp32cam") as device,
        ):
            await device.send({"type": "log", "id": 1, "message": "x" * 300_000})
            assert (await device.receive())["id"] == 1
            device.writer.write(frame(TEXT, b"") * 40_000)
            await gateway.log.wait_for("throttled")
            heard = gateway.gateway.totals().messages_in
            assert limit < heard <= limit + READ_SIZE // len(frame(TEXT, b"")) + 1

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(flood())


async def test_camera_is_reset_over_tls_too(tls: TLS, tmp_path: Path) -> None:
    async with (
        running_gateway(tmp_path, tls=tls) as gateway,
        gateway.device("esp32cam") as camera,
    ):
        await gateway.gateway.drain(0)
        assert await camera.was_cut()


# Handshakes that fail


def without_common_cipher() -> ssl.SSLContext:
    """As a client that is too old; the OpenSSL of today may lack what is older than TLS 1.2."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-ECDSA-AES128-SHA")
    return context


async def shake_hands(gateway: RunningGateway, context: ssl.SSLContext) -> None:
    """Fail to; not by asyncio, which keeps to itself why."""

    def fail() -> None:
        with (
            socket.create_connection(("127.0.0.1", gateway.port), PATIENCE) as sock,
            pytest.raises((ssl.SSLError, ConnectionError)),
        ):
            context.wrap_socket(sock, server_hostname="localhost")

    await asyncio.to_thread(fail)


async def say(gateway: RunningGateway, data: bytes) -> None:
    """Say it, and leave when the gateway has hung up."""
    async with RawClient.connect(gateway, tls=False) as client:
        await client.write(data)
        client.writer.write_eof()
        with contextlib.suppress(ConnectionError):
            await client.read_to_end()


CLIENT_HELLO = bytes.fromhex("16030102000100")
"""As much of a record as tells that it is one."""

APPLICATION_DATA = bytes.fromhex("1703030010") + bytes(16)


@LOOPS
def test_handshake_that_fails_is_told_with_its_cause(
    new_loop: NewLoop, tls: TLS, tmp_path: Path
) -> None:
    causes = {
        "certificate_refused": "TLSV1_ALERT_UNKNOWN_CA",
        "tls_too_old": "NO_SHARED_CIPHER",
        "plain_on_tls_port": "HTTP_REQUEST",
        "tls_failed": "UNEXPECTED_MESSAGE",
        "tls_cut": None,
    }

    async def visit() -> None:
        async with running_gateway(tmp_path, tls=tls) as gateway:
            await shake_hands(gateway, ssl.create_default_context())
            await shake_hands(gateway, without_common_cipher())
            await say(gateway, head("/healthz"))
            await say(gateway, APPLICATION_DATA)
            await say(gateway, CLIENT_HELLO[:6])
            for code, reason in causes.items():
                line = await gateway.log.wait_for("broken", code=code)
                assert (line["address"], line.get("reason")) == ("127.0.0.1", reason)
                assert code in BREAKS
            async with gateway.device(name="kitchen") as device:
                await device.telemetry("others are served")
            found = rows(gateway.folder, "SELECT code, address, status FROM refusals")
            assert sorted(found) == sorted((code, "127.0.0.1", 0) for code in causes)

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(visit())


@LOOPS
def test_who_is_silent_in_the_handshake_is_dropped(
    new_loop: NewLoop, tls: TLS, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls_port, "HANDSHAKE_TIMEOUT", 0.1)

    async def visit() -> None:
        async with (
            running_gateway(tmp_path, tls=tls) as gateway,
            RawClient.connect(gateway, tls=False) as silent,
        ):
            assert await silent.read_to_end() == b""
            assert (await gateway.log.wait_for("broken"))["code"] == "tls_timeout"

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(visit())


async def test_handshakes_of_one_address_are_bounded(tls: TLS, tmp_path: Path) -> None:
    async with running_gateway(tmp_path, tls=tls, limits={"connections_per_address": 2}) as gateway:
        gateway.listener.seen_as = FAR
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(2):
                await stack.enter_async_context(RawClient.connect(gateway, tls=False))
            third = await stack.enter_async_context(RawClient.connect(gateway, tls=False))
            with contextlib.suppress(ConnectionError):
                assert await third.read_to_end() == b""
            line = await gateway.log.wait_for("broken", code="too_many_handshakes")
            assert line["address"] == FAR
            gateway.listener.seen_as = NEAR_FAR
            assert (await gateway.get("/healthz")).json == {"status": "ok"}
        gateway.listener.seen_as = FAR
        await gateway.log.wait_for("broken", code="tls_cut", count=2)
        assert (await gateway.get("/healthz")).json == {"status": "ok"}


async def test_handshakes_count_towards_the_room_for_all(tls: TLS, tmp_path: Path) -> None:
    async with (
        running_gateway(tmp_path, tls=tls, max_connections=1) as gateway,
        contextlib.AsyncExitStack() as stack,
    ):
        for _ in range(1 + SPARE_FILES // 2):
            await stack.enter_async_context(RawClient.connect(gateway, tls=False))
        last = await stack.enter_async_context(RawClient.connect(gateway, tls=False))
        with contextlib.suppress(ConnectionError):
            assert await last.read_to_end() == b""
        await gateway.log.wait_for("broken", code="no_room")


@LOOPS
def test_port_that_cannot_accept_goes_on_later(
    new_loop: NewLoop, tls: TLS, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls_port, "ACCEPT_PAUSE", 0)
    failures = [errno.EMFILE, errno.ECONNABORTED, errno.EPERM]

    async def visit() -> None:
        async with running_gateway(tmp_path, tls=tls) as gateway:
            accept = gateway.listener.accept

            def fail_first() -> tuple[socket.socket, object]:
                if failures:
                    raise OSError(number := failures.pop(0), os.strerror(number))
                return accept()

            monkeypatch.setattr(gateway.listener, "accept", fail_first)
            assert (await gateway.get("/healthz")).json == {"status": "ok"}
            causes = [line["cause"] for line in gateway.log.all("cannot_accept")]
            assert causes == [os.strerror(errno.EMFILE), os.strerror(errno.EPERM)]

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(visit())


async def test_port_that_ends_by_a_fault_tells_of_it_at_once(
    tls: TLS, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.set_result(context))

    def fail() -> None:
        raise RuntimeError("a fault")

    async with running_gateway(tmp_path, tls=tls) as gateway:
        monkeypatch.setattr(gateway.listener, "accept", fail)
        with socket.socket() as client:
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", gateway.port))
            async with asyncio.timeout(PATIENCE):
                assert "accepts no more" in (await told)["message"]


@LOOPS
def test_what_shakes_hands_when_the_gateway_stops_is_dropped(
    new_loop: NewLoop, tls: TLS, tmp_path: Path
) -> None:
    async def visit() -> None:
        async with running_gateway(tmp_path, tls=tls) as gateway:
            async with RawClient.connect(gateway, tls=False) as client:
                await client.write(CLIENT_HELLO)
                async with gateway.device(name="kitchen") as device:
                    await device.telemetry("the other has been accepted before")
                await gateway.gateway.drain(0)
                with contextlib.suppress(ConnectionError):
                    assert await client.read_to_end() == b""
            assert not gateway.log.all("broken")

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(visit())
