"""The layers of a connection, from its name to its keepalive, and which one each code is about.

The guide has a section for each layer, with the layer's word as its anchor.
"""

from __future__ import annotations

import enum
from typing import Final

GUIDE: Final = "docs/external-connections.md"


class Layer(enum.StrEnum):
    """A layer of a connection, in the order in which they are built up; last how good it is."""

    NAME = "name"
    ROUTE = "route"
    TCP = "tcp"
    TLS = "tls"
    HTTP = "http"
    TOKEN = "token"
    UPGRADE = "upgrade"
    HELLO = "hello"
    MESSAGE = "message"
    KEEPALIVE = "keepalive"
    QUALITY = "quality"


_CODES: Final[dict[Layer, tuple[str, ...]]] = {
    Layer.TCP: (
        "no_request", "gateway_lost", "going_away", "restart"
    ),
    Layer.TLS: (
        "tls_on_plain_port", "plain_on_tls_port", "certificate_refused", "tls_too_old",
        "tls_failed", "tls_cut", "tls_timeout", "no_room", "too_many_handshakes",
    ),
    Layer.HTTP: (
        "bad_request", "no_host", "head_timeout", "head_cut", "head_too_large", "not_found",
        "method_not_allowed",
    ),
    Layer.TOKEN: (
        "authorization_conflict", "token_missing", "token_malformed", "token_mistyped",
        "token_unknown", "token_retired", "wrong_class", "tokens_closed", "too_many_attempts",
        "too_many_requests", "token_revoked",
    ),
    Layer.UPGRADE: (
        "bad_upgrade", "upgrade_required", "http_1_0", "websocket_version", "unknown_class",
        "too_many_connections", "full", "draining", "cannot_record",
    ),
    Layer.HELLO: ("not_allowed", "replaced"),
    Layer.MESSAGE: (
        "closed", "no_close_code", "protocol_error", "unsupported_data",
        "not_utf8", "policy", "too_big", "internal_error", "too_slow",
    ),
    Layer.KEEPALIVE: ("cut", "no_sign_of_life"),
}  # fmt: skip

LAYER_OF: Final[dict[str, Layer]] = {
    code: layer for layer, codes in _CODES.items() for code in codes
}
"""The layer of each code of :mod:`wsdev.codes`: refusals, breaks, and words of close codes."""


def guide_to(code: str) -> str:
    """Where the guide tells of a code; its beginning for a code that is not known."""
    layer = LAYER_OF.get(code)
    return GUIDE if layer is None else f"{GUIDE}#{layer}"
