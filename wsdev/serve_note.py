"""What a running gateway leaves in its state folder for the commands beside it. No secrets."""

from __future__ import annotations

import msgspec

from wsdev.settings import ServeSettings

NOTE_NAME = "serve.json"


class ServeNote(msgspec.Struct, frozen=True, kw_only=True):
    """How a gateway was started.

    Attributes:
        pid: Of its process; 0 for one that is not running.
        started: Unix seconds.
        addresses: Address and port of each socket that it listens on.
        tls_cert: The certificate's file, absolute; None without TLS.
        max_connections: Sockets that it takes in all.
        journal_max: Bytes; 0 for any size.
    """

    pid: int
    version: str
    started: float
    addresses: list[tuple[str, int]]
    tls_cert: str | None = None
    trusted_proxy: list[str] = []
    public_tokens: str = "window"
    classes: list[str] = []
    max_connections: int = 0
    wanted_connections: int = 0
    journal_max: int = 0

    @property
    def port(self) -> int:
        """The one port of all its sockets."""
        return self.addresses[0][1] if self.addresses else 0


def make_note(
    settings: ServeSettings,
    addresses: list[tuple[str, int]],
    *,
    pid: int,
    version: str,
    started: float,
    max_connections: int,
) -> ServeNote:
    """The note of a gateway with these settings."""
    return ServeNote(
        pid=pid,
        version=version,
        started=started,
        addresses=addresses,
        tls_cert=str(settings.tls_cert.absolute()) if settings.tls_cert else None,
        trusted_proxy=[str(network) for network in settings.trusted_proxy],
        public_tokens=settings.public_tokens,
        classes=list(settings.classes()),
        max_connections=max_connections,
        wanted_connections=settings.limits().connections,
        journal_max=settings.journal_max,
    )


def read_note(text: bytes) -> ServeNote | None:
    """The note in ``text``, or None if it is none: cut, or of another wsdev."""
    try:
        return msgspec.json.decode(text, type=ServeNote)
    except (msgspec.MsgspecError, RecursionError):
        return None
