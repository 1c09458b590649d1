"""The certificate that a gateway shows: looked at as a device would be shown it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from pathlib import Path

from wsdev.certificate import read_certificate, unverified_context
from wsdev.findings.facts import CertificateFacts
from wsdev.small_files import read_small_file


async def look_at_certificate(
    address: str | None, port: int, file: str, patience: float
) -> CertificateFacts:
    """The certificate at ``address``, or the one of the file if none is shown there.

    Args:
        address: Where the gateway answers; None if it does not run.
        file: Of the certificate, as the gateway was told.
        patience: Seconds for one connection.
    """
    on_disk, trouble = _read(Path(file))
    shown = await _shown(address, port, patience) if address is not None else None
    if (seen := shown or on_disk) is None:
        return CertificateFacts(file, trouble or "none is shown")
    try:
        told = read_certificate(seen)
    except ValueError as exc:
        return CertificateFacts(file, f"it cannot be read: {exc}")
    trusted = False
    if shown is not None and address is not None:
        trusted = await _is_trusted(address, port, told.names, patience)
    same = None if shown is None or on_disk is None else shown == on_disk
    names = tuple(told.names)
    return CertificateFacts(file, "", names, told.not_before, told.not_after, trusted, same)


def _read(file: Path) -> tuple[bytes | None, str]:
    """The first certificate of a PEM file, as DER, or why there is none."""
    try:
        text = read_small_file(file).decode("ascii")
    except OSError as exc:
        return None, exc.strerror or "it cannot be read"
    except UnicodeDecodeError:
        return None, "it is not PEM"
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    start = text.find(begin)
    stop = text.find(end, start)
    if start < 0 or stop < 0:
        return None, "no certificate is in it"
    try:
        return ssl.PEM_cert_to_DER_cert(text[start : stop + len(end)]), ""
    except ValueError:
        return None, "it is not PEM"


async def _shown(address: str, port: int, patience: float) -> bytes | None:
    return await _handshake(address, port, unverified_context(), None, patience)


async def _is_trusted(address: str, port: int, names: Sequence[str], patience: float) -> bool:
    name = next((name.replace("*", "wsdev", 1) for name in names), address)
    context = ssl.create_default_context()
    return await _handshake(address, port, context, name, patience) is not None


async def _handshake(
    address: str, port: int, context: ssl.SSLContext, name: str | None, patience: float
) -> bytes | None:
    """The certificate that is shown, as DER; None if no handshake comes about."""
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(patience):
            _, writer = await asyncio.open_connection(
                address, port, ssl=context, server_hostname=name or ""
            )
        tls = writer.get_extra_info("ssl_object")
        shown: bytes | None = tls.getpeercert(binary_form=True)
    except (OSError, TimeoutError, ValueError):  # an SSLError is an OSError
        return None
    else:
        return shown
    finally:
        if writer is not None:
            writer.transport.abort()
