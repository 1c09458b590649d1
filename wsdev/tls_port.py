"""A port that speaks TLS. Each handshake is a task, so one that fails is counted and told.

The server of asyncio says nothing of a handshake that fails, and counts a socket only after it.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

from wsdev.errors import CertificateError
from wsdev.front_desk import Visitor, visitor_at
from wsdev.logs import log

HANDSHAKE_TIMEOUT: Final = 10.0
ACCEPT_PAUSE: Final = 1.0
"""Seconds without a new socket after the system could not give one, as in asyncio."""

# Errors of accept(2) that are about one peer, who was gone before it was accepted.
_GONE: Final = {
    errno.ECONNABORTED,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
    errno.ENETDOWN,
    errno.ENETUNREACH,
    errno.ENOPROTOOPT,
    errno.EOPNOTSUPP,
    errno.EPROTO,
}

# What OpenSSL says (ssl.SSLError.reason), by what it means to an operator.
_CODES: Final = {
    "plain_on_tls_port": {"HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "WRONG_VERSION_NUMBER"},
    "tls_too_old": {
        "NO_PROTOCOLS_AVAILABLE",
        "NO_SHARED_CIPHER",
        "TLSV1_ALERT_PROTOCOL_VERSION",
        "UNSUPPORTED_PROTOCOL",
        "VERSION_TOO_LOW",
    },
    "certificate_refused": {
        "SSLV3_ALERT_BAD_CERTIFICATE",
        "SSLV3_ALERT_CERTIFICATE_EXPIRED",
        "SSLV3_ALERT_CERTIFICATE_REVOKED",
        "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
        "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
        "TLSV1_ALERT_UNKNOWN_CA",
    },
}


def make_tls_context(cert: Path, key: Path | None) -> ssl.SSLContext:
    """A server context with the certificate chain and key.

    Raises:
        CertificateError: a file is missing, is not PEM, is encrypted, or the two do not match.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2

    def no_password() -> str:
        raise CertificateError(
            f"the key {key or cert} is encrypted", "decrypt it: openssl pkey -in KEY -out PLAIN"
        )

    try:
        context.load_cert_chain(cert, key, password=no_password)
    except ssl.SSLError as exc:
        reason = (exc.reason or "unreadable").replace("_", " ").lower()
        raise CertificateError(
            f"cannot use the certificate {cert}: {reason}",
            "give the PEM chain as --tls-cert and its own PEM key as --tls-key",
        ) from None
    except OSError as exc:
        name = key if key is not None and cert.is_file() else cert
        raise CertificateError(
            f"cannot read {name}: {exc.strerror}", "check the path and the rights of the file"
        ) from None
    return context


def code_of(failure: OSError) -> str:
    """The key in :data:`wsdev.codes.BREAKS` for what a handshake raised."""
    if not isinstance(failure, ssl.SSLError):
        # asyncio and uvloop abort what takes too long; all else is an end or a reset.
        return "tls_timeout" if isinstance(failure, ConnectionAbortedError) else "tls_cut"
    fitting = (code for code, reasons in _CODES.items() if failure.reason in reasons)
    return next(fitting, "tls_failed")


class Newcomers(Protocol):
    """Who counts the sockets that shake hands."""

    def knocked(self, visitor: Visitor, /) -> str | None:
        """Count one; a key of :data:`wsdev.codes.BREAKS` if there is no room for it."""

    def knocked_off(self, visitor: Visitor, /) -> None:
        """It is counted no more: it has become a link, or is gone."""

    def never_came_in(self, visitor: Visitor, code: str, reason: str | None, /) -> None:
        """Its handshake failed, or there was no room for it."""


class TlsPort:
    """Accepts on a listening socket, and makes links of those that speak TLS.

    Args:
        sock: Listens already, and does not block.
        make_link: A protocol for each; its ``connection_made`` comes after the handshake.
    """

    def __init__(
        self,
        sock: socket.socket,
        context: ssl.SSLContext,
        make_link: Callable[[], asyncio.BaseProtocol],
        newcomers: Newcomers,
    ) -> None:
        self._sock = sock
        self._context = context
        self._make_link = make_link
        self._newcomers = newcomers
        accepting = asyncio.create_task(self._accept())
        accepting.add_done_callback(_tell_of_fault)
        self._tasks = {accepting}

    def close(self) -> None:
        """Stop listening; what still shakes hands is dropped."""
        for task in self._tasks:
            task.cancel()

    async def wait_closed(self) -> None:
        """Return once nothing of it runs any more."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        with self._sock:
            while True:
                try:
                    sock, peer = await loop.sock_accept(self._sock)
                except OSError as exc:
                    if exc.errno not in _GONE:
                        log(logging.ERROR, "cannot_accept", cause=exc.strerror)
                        await asyncio.sleep(ACCEPT_PAUSE)
                    continue
                task = loop.create_task(self._shake_hands(sock, peer))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
                await asyncio.sleep(0)  # however many come, it gets to the hands of this one

    async def _shake_hands(self, sock: socket.socket, peer: Any) -> None:
        visitor = visitor_at(peer, sock.getsockname())
        try:
            code = self._newcomers.knocked(visitor)
            if code is not None:
                sock.close()
                self._newcomers.never_came_in(visitor, code, None)
                return
            await asyncio.get_running_loop().connect_accepted_socket(
                self._make_link,
                sock,
                ssl=self._context,
                ssl_handshake_timeout=HANDSHAKE_TIMEOUT,
            )
        except OSError as exc:
            reason = exc.reason if isinstance(exc, ssl.SSLError) else None
            self._newcomers.never_came_in(visitor, code_of(exc), reason)
        finally:
            self._newcomers.knocked_off(visitor)


def _tell_of_fault(accepting: asyncio.Task[None]) -> None:
    """Nobody waits for the task: else its fault would be told when the gateway ends."""
    if not accepting.cancelled() and (fault := accepting.exception()) is not None:
        accepting.get_loop().call_exception_handler(
            {"message": "the TLS port accepts no more", "exception": fault, "task": accepting}
        )
