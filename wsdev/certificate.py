"""A server's certificate as facts, also of one that is not accepted."""

from __future__ import annotations

import ssl
from typing import Any

from wsdev.diagnosis.facts import Certificate


def seen_certificate(connection: Any) -> Certificate | None:
    """What the server of an open TLS connection showed; None if it showed none.

    Args:
        connection: An ``ssl.SSLObject`` or ``ssl.SSLSocket``; verified or not.
    """
    encoded = connection.getpeercert(binary_form=True)
    if not encoded:
        return None
    seen = read_certificate(encoded)
    seen.chain_length = _chain_length(connection)
    return seen


def _chain_length(connection: Any) -> int | None:
    """How many certificates came; public since Python 3.13, there but private since 3.10."""
    for holder in (connection, getattr(connection, "_sslobj", None)):
        get_chain = getattr(holder, "get_unverified_chain", None)
        if get_chain is not None:
            return len(get_chain() or ())
    return None


def read_certificate(encoded: bytes) -> Certificate:
    """The facts of a DER certificate (RFC 5280).

    Raises:
        ValueError: it is none.
    """
    # Late: 50 ms that a probe without TLS does not need.
    from cryptography import x509  # noqa: PLC0415
    from cryptography.x509.oid import AuthorityInformationAccessOID  # noqa: PLC0415

    read = x509.load_der_x509_certificate(encoded)
    names: list[str] = []
    tells_issuer = False
    try:
        for extension in read.extensions:
            value = extension.value
            if isinstance(value, x509.SubjectAlternativeName):
                names = [_name_of(name.value) for name in value if hasattr(name, "value")]
            elif isinstance(value, x509.AuthorityInformationAccess):
                issuers = AuthorityInformationAccessOID.CA_ISSUERS
                tells_issuer = any(access.access_method == issuers for access in value)
    except (ValueError, x509.DuplicateExtension):
        pass  # what can be read of a broken one tells enough
    return Certificate(
        names,
        read.subject.rfc4514_string(),
        read.issuer.rfc4514_string(),
        read.not_valid_before_utc.timestamp(),
        read.not_valid_after_utc.timestamp(),
        read.subject == read.issuer,
        tells_issuer,
        issuer_organisation=_organisation(read.issuer),
    )


def _organisation(name: Any) -> str:
    from cryptography.x509.oid import NameOID  # noqa: PLC0415

    found = name.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    return str(found[0].value) if found else ""


def _name_of(value: object) -> str:
    rfc4514 = getattr(value, "rfc4514_string", None)
    return str(rfc4514()) if rfc4514 else str(value)


def unverified_context() -> ssl.SSLContext:
    """A context that takes any certificate: to look at it, never to send a token."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
