"""Certificates with one thing wrong, and servers' contexts that show them."""

from __future__ import annotations

import datetime
import ssl
from collections.abc import Sequence
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime.datetime.now(datetime.UTC)
DAYS = datetime.timedelta(days=1)


def server_context(leaf: trustme.LeafCert) -> ssl.SSLContext:
    """A server that shows this certificate with its chain."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(context)
    return context


def context_of(folder: Path, *chain: trustme.Blob, key: trustme.Blob) -> ssl.SSLContext:
    """A server that shows these certificates and no others."""
    path = folder / "server.pem"
    path.write_bytes(key.bytes() + b"".join(one.bytes() for one in chain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


def issuer_file(ca: trustme.CA, folder: Path) -> Path:
    """The issuer's certificate as a file for ``--cacert``."""
    path = folder / "issuer.pem"
    ca.cert_pem.write_to_path(path)
    return path


def self_signed(
    folder: Path,
    name: str,
    *,
    usage: Sequence[x509.ObjectIdentifier] = (ExtendedKeyUsageOID.SERVER_AUTH,),
) -> Path:
    """A certificate that signs itself, with its key, in one file.

    Args:
        usage: What it says that it is for.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(NOW - DAYS)
        .not_valid_after(NOW + 90 * DAYS)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.ExtendedKeyUsage(usage), critical=False)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    pem = serialization.Encoding.PEM
    encoded = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    path = folder / "self-signed.pem"
    path.write_bytes(encoded + made.public_bytes(pem))
    return path
