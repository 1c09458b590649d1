"""TLS that does not come about: each fault with real certificates, servers and clocks."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.x509.oid import ExtendedKeyUsageOID
from fake_gateways import (
    LOOPBACK,
    Behaviour,
    be_ssh,
    closed_port,
    serving,
    stay_silent,
    tls_serving,
)
from gateway_process import GatewayProcess, running_gateway
from made_certificates import DAYS, NOW, context_of, issuer_file, self_signed, server_context
from probe_process import Found, probe

OTHER_NAME = "elsewhere.example"


@pytest.fixture
def ca() -> trustme.CA:
    return trustme.CA()


async def probe_plain(behaviour: Behaviour, *options: str) -> Found:
    """A visit over TLS to a server without, that behaves so."""
    async with serving(behaviour) as port:
        return await asyncio.to_thread(probe, f"wss://{LOOPBACK}:{port}", *options)


def probe_tls(context: ssl.SSLContext, *options: str, host: str = LOOPBACK) -> Found:
    """A visit to a small HTTPS server."""
    with tls_serving(context) as port:
        return probe(f"wss://{host}:{port}", *options)


@contextmanager
def tls_gateway(state: Path, ca: trustme.CA, **dates: Any) -> Iterator[tuple[GatewayProcess, str]]:
    """The real gateway with a certificate of that issuer, and its URL."""
    leaf = ca.issue_cert(LOOPBACK, **dates)
    files = state / "cert.pem", state / "key.pem"
    leaf.cert_chain_pems[0].write_to_path(files[0])
    leaf.private_key_pem.write_to_path(files[1])
    options = ("--tls-cert", str(files[0]), "--tls-key", str(files[1]))
    with running_gateway(state / "state", *options) as gateway:
        yield gateway, f"wss://{LOOPBACK}:{gateway.port}"


# What is spoken on the port


def test_ws_to_a_tls_port(tmp_path: Path, ca: trustme.CA) -> None:
    with tls_gateway(tmp_path, ca) as (gateway, _):
        found = probe(f"ws://{LOOPBACK}:{gateway.port}")
    found.assert_fault("tls_wanted", "a TLS handshake works on this port")


def test_wss_to_a_plain_gateway(tmp_path: Path) -> None:
    with running_gateway(tmp_path) as gateway:
        found = probe(f"wss://{LOOPBACK}:{gateway.port}")
    found.assert_fault("tls_not_spoken", "a plain request there is answered with HTTP 200")


async def test_wss_to_ssh() -> None:
    found = await probe_plain(be_ssh)
    found.assert_fault("other_service", "the answer is that of SSH", "SSH-2.0-OpenSSH_9.2p1")


async def test_wss_to_a_silent_port() -> None:
    found = await probe_plain(stay_silent, "--timeout", "1s")
    found.assert_fault("tls_unanswered", "no answer came to the ClientHello")
    # Once for TLS, once in plain, once as MQTT.
    assert 2900 < found.report["steps"][-1]["ms"] < 6000


async def be_mqtt(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    if await reader.read(1) == b"\x10":  # CONNECT
        await reader.read(64)
        writer.write(bytes.fromhex("20020000"))
        await writer.drain()


async def test_wss_to_an_mqtt_broker() -> None:
    found = await probe_plain(be_mqtt)
    found.assert_fault("mqtt_broker", "CONNACK")


async def close_at_the_hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(4096)


async def reset_at_the_hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readexactly(1)
    writer.transport.abort()


@pytest.mark.parametrize("behaviour", [close_at_the_hello, reset_at_the_hello])
async def test_handshake_is_cut(behaviour: Behaviour) -> None:
    found = await probe_plain(behaviour)
    found.assert_fault("tls_cut", "after the ClientHello")


# The certificate


def test_expired_certificate(tmp_path: Path, ca: trustme.CA) -> None:
    leaf = ca.issue_cert(LOOPBACK, not_before=NOW - 90 * DAYS, not_after=NOW - DAYS)
    trusted = str(issuer_file(ca, tmp_path))
    found = probe_tls(server_context(leaf), "--cacert", trusted)
    found.assert_fault(
        "certificate_expired", "certificate has expired", f"to {NOW - DAYS:%Y-%m-%d}"
    )


def test_certificate_of_tomorrow(tmp_path: Path, ca: trustme.CA) -> None:
    leaf = ca.issue_cert(LOOPBACK, not_before=NOW + DAYS, not_after=NOW + 9 * DAYS)
    trusted = str(issuer_file(ca, tmp_path))
    found = probe_tls(server_context(leaf), "--cacert", trusted)
    found.assert_fault("certificate_not_yet_valid", "not yet valid", f"valid {NOW + DAYS:%Y-%m-%d}")


@pytest.mark.parametrize("trust_another", [False, True])
def test_self_signed_certificate(tmp_path: Path, ca: trustme.CA, trust_another: bool) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path, "gateway.example"))
    options = ("--cacert", str(issuer_file(ca, tmp_path))) if trust_another else ()
    found = probe_tls(context, *options)
    found.assert_fault("certificate_self_signed", "gateway.example", "self-signed certificate")


def test_certificate_for_another_name(tmp_path: Path, ca: trustme.CA) -> None:
    found = probe_tls(
        server_context(ca.issue_cert(OTHER_NAME)),
        "--cacert",
        str(issuer_file(ca, tmp_path)),
    )
    found.assert_fault("certificate_wrong_name", OTHER_NAME, f"asked for {LOOPBACK}")


def test_intermediate_certificate_is_not_sent(tmp_path: Path, ca: trustme.CA) -> None:
    leaf = ca.create_child_ca().issue_cert(LOOPBACK)
    alone = context_of(tmp_path, leaf.cert_chain_pems[0], key=leaf.private_key_pem)
    trusted = str(issuer_file(ca, tmp_path))
    found = probe_tls(alone, "--cacert", trusted)
    found.assert_fault("intermediate_missing", "sent this one certificate only")


def test_issuer_is_unknown(ca: trustme.CA) -> None:
    context = server_context(ca.issue_cert(LOOPBACK))
    found = probe_tls(context)
    found.assert_fault("issuer_unknown", "unable to get local issuer certificate", "trustme")


def test_issuer_is_not_that_of_the_cacert_file(tmp_path: Path, ca: trustme.CA) -> None:
    other = self_signed(tmp_path, "private issuer")
    context = server_context(ca.issue_cert(LOOPBACK))
    found = probe_tls(context, "--cacert", str(other))
    found.assert_fault("issuer_unknown", "the --cacert file only")


def test_certificate_that_is_not_for_servers(tmp_path: Path) -> None:
    path = self_signed(tmp_path, "localhost", usage=[ExtendedKeyUsageOID.CLIENT_AUTH])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    found = probe_tls(context, "--cacert", str(path), host="localhost")
    found.assert_fault("certificate_refused", "purpose")


# Clocks


@pytest.fixture
def at(need: Callable[[str], str]) -> Callable[[str], tuple[str, ...]]:
    """A command that starts another one at another time, in the form of faketime."""
    faketime = need("faketime")

    def clock(time: str) -> tuple[str, ...]:
        return faketime, "--exclude-monotonic", "-f", time

    return clock


def test_clock_of_1971(
    tmp_path: Path, ca: trustme.CA, at: Callable[[str], tuple[str, ...]]
) -> None:
    with tls_gateway(tmp_path, ca) as (_, url):
        options = ("--cacert", str(issuer_file(ca, tmp_path)))
        found = probe(url, *options, inside=at("@1971-02-03 04:05:06"))
    found.assert_fault("clock_wrong", "the clock here says 1971-02-03", "wsdev is younger")


@pytest.mark.parametrize("shift", ["-30d", "-90m", "+90d"])
def test_clock_that_is_off_while_the_server_tells_the_time(
    tmp_path: Path, ca: trustme.CA, at: Callable[[str], tuple[str, ...]], shift: str
) -> None:
    dates = {"not_before": NOW - DAYS / 24, "not_after": NOW + 30 * DAYS}
    with tls_gateway(tmp_path, ca, **dates) as (_, url):
        options = ("--cacert", str(issuer_file(ca, tmp_path)))
        found = probe(url, *options, inside=at(shift))
    found.assert_fault("clock_wrong", "the clock here says", f"the server says {NOW:%Y-%m-%d}")


def test_clock_that_is_off_without_tls_is_a_remark(
    tmp_path: Path, at: Callable[[str], tuple[str, ...]]
) -> None:
    with running_gateway(tmp_path) as gateway:
        found = probe(f"ws://{LOOPBACK}:{gateway.port}", inside=at("-1d"))
    found.assert_fine("clock_differs")


# Versions, names, ciphers, and certificates of the device


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1")
def test_server_with_old_tls_only(ca: trustme.CA) -> None:
    context = server_context(ca.issue_cert(LOOPBACK))
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    found = probe_tls(context)
    found.assert_fault("tls_too_old", "protocol version")


def test_server_without_a_site_of_this_name(ca: trustme.CA) -> None:
    context = server_context(ca.issue_cert("localhost"))
    context.sni_callback = lambda *_: ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
    found = probe_tls(context, host="localhost")
    found.assert_fault("tls_name_unknown", "unrecognized name", "asked for localhost")


def test_no_cipher_in_common(ca: trustme.CA) -> None:
    context = server_context(ca.issue_cert(LOOPBACK, key_type=trustme.KeyType.RSA))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AES256-GCM-SHA384")
    found = probe_tls(context)
    found.assert_fault("tls_failed", "handshake failure")


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_server_that_wants_a_certificate_of_the_device(
    tmp_path: Path, ca: trustme.CA, version: str
) -> None:
    context = server_context(ca.issue_cert(LOOPBACK))
    context.maximum_version = ssl.TLSVersion[version]
    context.verify_mode = ssl.CERT_REQUIRED
    ca.configure_trust(context)
    trusted = str(issuer_file(ca, tmp_path))
    found = probe_tls(context, "--cacert", trusted)
    found.assert_fault("tls_client_certificate", "certificate")


NGINX = """
daemon off; pid {folder}/pid; error_log stderr notice; worker_processes 1;
events {{ }}
http {{
  access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen {host}:{port} ssl;
    ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;
    ssl_client_certificate {folder}/issuer.pem;
    {setting}
  }}
}}
"""


@pytest.fixture
def probe_nginx(
    need: Callable[[str], str], tmp_path: Path, ca: trustme.CA
) -> Callable[[str], Found]:
    """A visit to nginx with this setting of its own."""
    nginx = need("nginx")

    def visit(setting: str) -> Found:
        leaf, port = ca.issue_cert(LOOPBACK), closed_port()
        leaf.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
        leaf.private_key_pem.write_to_path(tmp_path / "key.pem")
        trusted = str(issuer_file(ca, tmp_path))
        settings = tmp_path / "nginx.conf"
        settings.write_text(
            NGINX.format(folder=tmp_path, host=LOOPBACK, port=port, setting=setting)
        )
        command = [nginx, "-e", "stderr", "-c", str(settings)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
            try:
                assert server.stderr is not None
                # Said once its ports are open.
                started = any("start worker processes" in line for line in server.stderr)
                assert started, "nginx did not start"
                return probe(f"wss://{LOOPBACK}:{port}", "--cacert", trusted)
            finally:
                server.terminate()

    return visit


def test_nginx_that_wants_a_certificate_of_the_device(
    probe_nginx: Callable[[str], Found],
) -> None:
    found = probe_nginx("ssl_verify_client on;")
    found.assert_fault("tls_client_certificate", "No required SSL certificate was sent")


def test_nginx_that_rejects_the_name_is_not_taken_for_a_plain_port(
    probe_nginx: Callable[[str], Found],
) -> None:
    # To a plain request on this port it answers with a page.
    found = probe_nginx("ssl_reject_handshake on;")
    found.assert_fault("tls_name_unknown", "unrecognized name", f"asked for {LOOPBACK}")


# Remarks


def test_certificate_that_ends_soon(tmp_path: Path, ca: trustme.CA) -> None:
    with tls_gateway(tmp_path, ca, not_after=NOW + 5 * DAYS) as (_, url):
        found = probe(url, "--cacert", str(issuer_file(ca, tmp_path)))
    found.assert_fine("certificate_ends_soon")
    (remark,) = found.report["remarks"]
    assert f"{NOW + 5 * DAYS:%Y-%m-%d}" in remark["what"]


def test_certificate_that_is_not_checked(tmp_path: Path, ca: trustme.CA) -> None:
    with tls_gateway(tmp_path, ca) as (_, url):
        found = probe(url, "--insecure")
    found.assert_fine("certificate_not_checked")


def test_good_certificate_needs_no_remark(tmp_path: Path, ca: trustme.CA) -> None:
    with tls_gateway(tmp_path, ca, not_after=NOW + 90 * DAYS) as (_, url):
        found = probe(url, "--cacert", str(issuer_file(ca, tmp_path)))
    found.assert_fine()
    tls = next(step for step in found.report["steps"] if step["name"] == "tls")
    assert "TLSv1.3" in tls["detail"]
    assert LOOPBACK in tls["detail"]
