from __future__ import annotations

import contextlib
import datetime
import socket
import ssl
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID
from fake_gateways import LOOPBACK, tls_serving
from hypothesis import given
from hypothesis import strategies as st
from made_certificates import NOW, context_of, self_signed, server_context

from wsdev.certificate import read_certificate, seen_certificate, unverified_context
from wsdev.diagnosis.facts import Certificate

DAY = datetime.timedelta(days=1)


def shown_by(context: ssl.SSLContext) -> Certificate:
    """What a visitor sees who takes any certificate."""
    with (
        tls_serving(context) as port,
        socket.create_connection((LOOPBACK, port)) as sock,
        unverified_context().wrap_socket(sock, server_hostname=LOOPBACK) as tls,
    ):
        tls.sendall(b"?")
        seen = seen_certificate(tls)
    assert seen is not None
    return seen


def test_certificate_of_an_issuer_is_read() -> None:
    leaf = trustme.CA().issue_cert("gateway.example", "*.example", "192.0.2.7", "2001:db8::7")
    seen = shown_by(server_context(leaf))
    assert seen.names == ["gateway.example", "*.example", "192.0.2.7", "2001:db8::7"]
    assert "trustme" in seen.issuer
    assert seen.issuer_organisation.startswith("trustme")
    assert not seen.self_signed
    assert not seen.tells_issuer
    assert seen.not_before < NOW.timestamp() < seen.not_after


def test_chain_is_counted_as_the_server_sends_it(tmp_path: Path) -> None:
    leaf = trustme.CA().create_child_ca().issue_cert("gateway.example")
    assert shown_by(server_context(leaf)).chain_length == 2
    alone = context_of(tmp_path, leaf.cert_chain_pems[0], key=leaf.private_key_pem)
    assert shown_by(alone).chain_length == 1


def test_self_signed_certificate_is_told_as_such(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path, "gateway.example"))
    seen = shown_by(context)
    assert seen.self_signed
    assert seen.subject == seen.issuer == "CN=gateway.example"
    assert seen.issuer_organisation == ""


def test_connection_before_its_handshake_has_nothing_to_show() -> None:
    server = server_context(trustme.CA().issue_cert("gateway.example"))
    with tls_serving(server) as port, socket.create_connection((LOOPBACK, port)) as sock:
        hasty = unverified_context().wrap_socket(
            sock, server_hostname=LOOPBACK, do_handshake_on_connect=False
        )
        with hasty, pytest.raises(ValueError, match="handshake not done"):
            seen_certificate(hasty)


def test_peer_without_a_certificate_shows_none() -> None:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = server_context(trustme.CA().issue_cert("gateway.example"))
    server = context.wrap_bio(to_server, to_client, server_side=True)
    client = unverified_context().wrap_bio(to_client, to_server)
    for end in (client, server, client, server):
        with contextlib.suppress(ssl.SSLWantReadError):
            end.do_handshake()
    assert seen_certificate(server) is None
    assert seen_certificate(client) is not None


def test_certificate_of_a_public_issuer_tells_where_the_issuer_is() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "An Issuer")])
    access = x509.AccessDescription(
        AuthorityInformationAccessOID.CA_ISSUERS,
        x509.UniformResourceIdentifier("http://issuer.example/r1.der"),
    )
    made = (
        x509.CertificateBuilder(issuer, x509.Name([]), key.public_key(), 1)
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + DAY)
        .add_extension(x509.AuthorityInformationAccess([access]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DirectoryName(issuer)]), critical=True)
        .sign(key, hashes.SHA256())
    )
    seen = read_certificate(made.public_bytes(serialization.Encoding.DER))
    assert seen.tells_issuer
    assert seen.issuer_organisation == "An Issuer"
    assert seen.names == ["O=An Issuer"]


@given(st.binary(max_size=200))
def test_what_is_no_certificate_is_a_value_error(encoded: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        read_certificate(encoded)
