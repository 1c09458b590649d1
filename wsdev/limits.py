"""The bounds that protect a gateway, with their defaults. The help is in settings.LIMIT_HELP."""

from __future__ import annotations

from dataclasses import dataclass

from wsdev.protocol import MAX_TEXT_TO_DEVICE


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds that protect the gateway. Units: bytes, seconds, counts. 0 turns a rate limit off."""

    head_bytes: int = 8 * 1024
    head_lines: int = 128
    handshake_timeout: float = 10.0
    queue_bytes: int = 1024 * 1024
    stall_timeout: float = 10.0
    wrong_tokens_per_minute: int = 10
    token_requests_per_minute: int = 30
    connections_per_address: int = 256
    connections: int = 0
    messages_per_minute: int = 6000
    command_bytes: int = MAX_TEXT_TO_DEVICE
    record_bytes: int = 64 * 1024
    unrecorded_rows: int = 65_536
    unrecorded_bytes: int = 64 * 1024 * 1024
    linger: float = 2.0
    name_probe: float = 2.0
    longest_ping_interval: float = 3600.0
