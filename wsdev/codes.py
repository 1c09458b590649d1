"""The codes with which a gateway ends things: close codes and refusals, each with its remedy.

One registry for both ends: the gateway sends from it, the device side explains from it, the
docs are checked against it. Close codes 4000 to 4499 say "come back", 4500 to 4999 "stay away"
(the idea of centrifuge's disconnect.go). Below 4000 they are those of RFC 6455 section 7.4.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final


class CloseCode(enum.IntEnum):
    """Close codes that wsdev sends or explains."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    NO_STATUS = 1005
    ABNORMAL = 1006
    INVALID_DATA = 1007
    POLICY = 1008
    TOO_BIG = 1009
    INTERNAL_ERROR = 1011
    RESTART = 1012
    NO_SIGN_OF_LIFE = 4408
    REPLACED = 4409
    TOO_SLOW = 4413
    TOKEN_REVOKED = 4501
    NOT_ALLOWED = 4503


@dataclass(frozen=True, slots=True)
class CloseMeaning:
    """What a close code tells the peer: the cause, the remedy, and whether to come back.

    Attributes:
        word: The cause in one word, for logs and programs; never changed.
    """

    word: str
    meaning: str
    hint: str
    come_back: bool


CLOSE_MEANINGS: Final[dict[int, CloseMeaning]] = {
    CloseCode.NORMAL: CloseMeaning(
        "closed", "closed on purpose", "nothing to do; connect again when needed", True
    ),
    CloseCode.GOING_AWAY: CloseMeaning(
        "going_away", "the other end goes away", "connect again later", True
    ),
    CloseCode.PROTOCOL_ERROR: CloseMeaning(
        "protocol_error",
        "a frame broke RFC 6455",
        "look for a firmware or proxy that alters frames",
        True,
    ),
    CloseCode.UNSUPPORTED_DATA: CloseMeaning(
        "unsupported_data",
        "data of a kind that is not taken",
        "send JSON text, or pictures as binary",
        True,
    ),
    CloseCode.NO_STATUS: CloseMeaning(
        "no_close_code", "closed without a code", "nothing to do; some libraries send none", True
    ),
    CloseCode.ABNORMAL: CloseMeaning(
        "cut",
        "the connection was cut without a close frame",
        "look at Wi-Fi, power, and the idle timeout of a proxy on the way",
        True,
    ),
    CloseCode.INVALID_DATA: CloseMeaning(
        "not_utf8", "text that is not UTF-8", "send text as UTF-8", True
    ),
    CloseCode.POLICY: CloseMeaning(
        "policy", "against the other end's policy", "look at the reason and at its log", True
    ),
    CloseCode.TOO_BIG: CloseMeaning(
        "too_big",
        "a message over the limit",
        "send less, or raise max_message_bytes on the gateway",
        True,
    ),
    CloseCode.INTERNAL_ERROR: CloseMeaning(
        "internal_error", "an error inside the other end", "look at its log", True
    ),
    CloseCode.RESTART: CloseMeaning(
        "restart", "the gateway restarts", "connect again in a moment", True
    ),
    CloseCode.NO_SIGN_OF_LIFE: CloseMeaning(
        "no_sign_of_life",
        "no sign of life for too long",
        "answer pings; read the socket at least each 20 s",
        True,
    ),
    CloseCode.REPLACED: CloseMeaning(
        "replaced",
        "a newer link of the same device took over",
        "nothing to do after a reboot",
        True,
    ),
    CloseCode.TOO_SLOW: CloseMeaning(
        "too_slow",
        "the device did not read in time",
        "read the socket more often; look at the Wi-Fi",
        True,
    ),
    CloseCode.TOKEN_REVOKED: CloseMeaning(
        "token_revoked",
        "the token was revoked",
        "give the device a new token: wsdev tokens create",
        False,
    ),
    CloseCode.NOT_ALLOWED: CloseMeaning(
        "not_allowed",
        "this name is not allowed with this token",
        "use the name that the token was made for",
        False,
    ),
}

FAREWELLS: Final = frozenset(
    {CloseCode.NORMAL, CloseCode.GOING_AWAY, CloseCode.NO_STATUS, CloseCode.RESTART}
)
"""How a link ends that was not broken; nor is one that ends with a firmware's own code."""

BROKEN_CLOSES: Final = frozenset(CLOSE_MEANINGS) - FAREWELLS
"""How a link ends that was broken."""


def may_come_back(code: int) -> bool:
    """Whether a device that was closed with ``code`` should try again."""
    known = CLOSE_MEANINGS.get(code)
    return known.come_back if known else not 4500 <= code <= 4999


def explain_close(code: int) -> CloseMeaning:
    """The meaning of ``code``, also for codes that are not ours."""
    return CLOSE_MEANINGS.get(code) or CloseMeaning(
        f"close_{code}",
        f"close code {code}, not one of wsdev's",
        "look at the server's log",
        may_come_back(code),
    )


@dataclass(frozen=True, slots=True)
class RefusalKind:
    """A reason to refuse a request before the upgrade: HTTP status, cause and remedy."""

    status: int
    message: str
    hint: str


REFUSALS: Final[dict[str, RefusalKind]] = {
    "bad_request": RefusalKind(
        400, "The request is not HTTP that this gateway reads.", "Look at the raw request."
    ),
    "no_host": RefusalKind(
        400, "An HTTP/1.1 request needs exactly one Host header.", "Add Host: <address>:<port>."
    ),
    "bad_upgrade": RefusalKind(
        400,
        "The WebSocket handshake headers are malformed.",
        "Send Sec-WebSocket-Key (16 bytes, base64) and one Sec-WebSocket-Version: 13.",
    ),
    "tls_on_plain_port": RefusalKind(
        400, "This port speaks plain HTTP, and TLS came in.", "Use ws:// instead of wss://."
    ),
    "authorization_conflict": RefusalKind(
        400,
        "Authorization came more than once with different values.",
        "Send one Authorization header.",
    ),
    "head_timeout": RefusalKind(
        408, "The request head took too long.", "Look at the network; send the head at once."
    ),
    "token_missing": RefusalKind(
        401, "No token was sent.", "Send the header 'Authorization: Bearer <token>'."
    ),
    "token_malformed": RefusalKind(
        401,
        "The Authorization header is not 'Bearer <token>'.",
        "Send 'Authorization: Bearer <token>', ASCII only.",
    ),
    "token_mistyped": RefusalKind(
        401,
        "The token is mistyped or cut: its checksum is wrong.",
        "Copy the whole token again.",
    ),
    "token_unknown": RefusalKind(
        401,
        "The token is well formed, but not known here.",
        "Get one from this gateway: wsdev tokens --url http://<host>:<port>.",
    ),
    "token_retired": RefusalKind(
        401, "The token was revoked or rotated out.", "Give the device a new token."
    ),
    "wrong_class": RefusalKind(
        403,
        "The token is for another class of device.",
        "Connect at /ws/<class> of the token (wsd_<class>_…).",
    ),
    "tokens_closed": RefusalKind(
        403,
        "Tokens are not handed out now.",
        "On the host run: wsdev tokens open --for 10m.",
    ),
    "not_found": RefusalKind(404, "There is nothing at this path.", "See the paths listed."),
    "unknown_class": RefusalKind(
        404,
        "This gateway has no such device class.",
        "See the paths listed, or start wsdev serve with --device-class <name>.",
    ),
    "method_not_allowed": RefusalKind(405, "Only GET and HEAD are answered.", "Use GET."),
    "upgrade_required": RefusalKind(
        426,
        "This path speaks WebSocket, and no upgrade was asked for.",
        "Use a WebSocket client; a proxy must pass Upgrade and Connection on.",
    ),
    "http_1_0": RefusalKind(
        426,
        "WebSocket needs HTTP/1.1, and HTTP/1.0 came in.",
        "In nginx: proxy_http_version 1.1; and pass Upgrade and Connection on.",
    ),
    "websocket_version": RefusalKind(
        426, "Only WebSocket version 13 is spoken.", "Send Sec-WebSocket-Version: 13."
    ),
    "too_many_attempts": RefusalKind(
        429,
        "Too many wrong tokens from this address.",
        "Mend the token, then wait for the time in Retry-After.",
    ),
    "too_many_requests": RefusalKind(
        429, "Too many requests from this address.", "Wait for the time in Retry-After."
    ),
    "too_many_connections": RefusalKind(
        429,
        "Too many connections from this address.",
        "Close some, or raise connections_per_address.",
    ),
    "head_too_large": RefusalKind(
        431, "The request head is too large.", "Send fewer and shorter headers."
    ),
    "full": RefusalKind(
        503, "The gateway is full.", "Raise the file limit (ulimit -n) or the connections limit."
    ),
    "cannot_record": RefusalKind(
        503,
        "The gateway cannot record what devices say: its disk is full or too slow.",
        "On the host: look at /healthz, and free some space.",
    ),
    "draining": RefusalKind(503, "The gateway is shutting down.", "Try again in a moment."),
}


@dataclass(frozen=True, slots=True)
class BreakKind:
    """How a connection breaks where nothing can be answered or said: cause and remedy."""

    message: str
    hint: str


BREAKS: Final[dict[str, BreakKind]] = {
    "no_request": BreakKind(
        "The port was reached, and nothing was asked.",
        "A port check does that. A device: look why it stops before its handshake.",
    ),
    "head_cut": BreakKind(
        "The connection ended within the request head.",
        "Look at the Wi-Fi and at the firmware: it hung up, or was reset, while it asked.",
    ),
    "plain_on_tls_port": BreakKind(
        "This port speaks TLS, and something else came in.",
        "Use wss:// instead of ws://, and https:// instead of http://.",
    ),
    "certificate_refused": BreakKind(
        "The device did not accept this gateway's certificate.",
        "Give the device the issuer's certificate, set its clock, and use the name that the"
        " certificate is for; wsdev doctor shows what is wrong with it.",
    ),
    "tls_too_old": BreakKind(
        "The device knows no version or cipher of TLS that this gateway takes.",
        "Update its firmware to TLS 1.2 or later, or put a proxy with older TLS in front.",
    ),
    "tls_failed": BreakKind(
        "The TLS handshake failed.", "Look at the reason in the gateway's log."
    ),
    "tls_cut": BreakKind(
        "The connection ended before TLS was agreed on.",
        "A port check does that. A device: it may not trust the certificate and hang up; run"
        " wsdev connect from its network.",
    ),
    "tls_timeout": BreakKind(
        "TLS was not agreed on in 10 s.",
        "Look at the device's network; a device without TLS waits too: use wss:// there.",
    ),
    "no_room": BreakKind(
        "The gateway has no room for another TLS handshake.",
        "Raise the file limit (ulimit -n) or the connections limit; look who takes the room.",
    ),
    "too_many_handshakes": BreakKind(
        "Too many TLS handshakes of this address at once.",
        "Let devices wait longer before they come back, each a time of its own.",
    ),
    "gateway_lost": BreakKind(
        "The gateway was killed or without power.",
        "Look at the host: its log, its power, its memory.",
    ),
}
"""Keyed by code, as :data:`REFUSALS`. All but ``gateway_lost`` break a link before it is one."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a code means, and what to do, as sentences."""

    message: str
    hint: str


def explain(word: str) -> Explanation | None:
    """What is known of a code: a refusal's, a break's, or the word of a close code."""
    kind = REFUSALS.get(word) or BREAKS.get(word)
    if kind is not None:
        return Explanation(kind.message, kind.hint)
    for meaning in CLOSE_MEANINGS.values():
        if meaning.word == word:
            return Explanation(_sentence(meaning.meaning), _sentence(meaning.hint))
    return None


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}."
