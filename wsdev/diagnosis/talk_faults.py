"""The faults of the talk with a gateway: its refusals, the hello, messages, keepalive, quality."""

from __future__ import annotations

from typing import Final

from wsdev.codes import CLOSE_MEANINGS, REFUSALS, CloseCode
from wsdev.diagnosis.faults import Fault, keyed
from wsdev.errors import ExitCode
from wsdev.layers import LAYER_OF, Layer

_REFUSED_BECAUSE: Final[dict[str, tuple[ExitCode, str]]] = {
    "bad_request": (ExitCode.HTTP, "a proxy or firmware that sends broken HTTP"),
    "no_host": (ExitCode.HTTP, "a proxy or firmware that leaves Host out"),
    "bad_upgrade": (ExitCode.HTTP, "a proxy or firmware that alters the handshake"),
    "head_timeout": (ExitCode.HTTP, "a very slow path, or a firmware that stalls"),
    "head_too_large": (ExitCode.HTTP, "cookies or headers that a proxy adds"),
    "method_not_allowed": (ExitCode.HTTP, "a client that does not send GET"),
    "not_found": (ExitCode.HTTP, "a typing error in the path"),
    "authorization_conflict": (
        ExitCode.TOKEN,
        "the firmware and a proxy each add an Authorization header",
    ),
    "token_missing": (
        ExitCode.TOKEN,
        "the firmware sends no Authorization header, and the device is not on the host itself",
    ),
    "token_malformed": (ExitCode.TOKEN, "the word Bearer or the blank is missing"),
    "token_mistyped": (ExitCode.TOKEN, "a character was lost when it was copied"),
    "token_unknown": (
        ExitCode.TOKEN,
        "it is another gateway's, or the gateway's state folder was made anew",
    ),
    "token_retired": (ExitCode.TOKEN, "wsdev tokens revoke or rotate was used on the host"),
    "wrong_class": (ExitCode.NOT_ALLOWED, "pico's token at /ws/esp32cam, or so"),
    "tokens_closed": (
        ExitCode.NOT_ALLOWED,
        "tokens are handed out for 10 minutes after the first start only",
    ),
    "too_many_requests": (ExitCode.NOT_ALLOWED, "a device that asks in a loop"),
    "too_many_attempts": (
        ExitCode.NOT_ALLOWED,
        "a device with a wrong token that tries again and again",
    ),
    "unknown_class": (ExitCode.NOT_ALLOWED, "a typing error in --device"),
    "websocket_version": (ExitCode.HTTP, "a library from before RFC 6455"),
    "too_many_connections": (
        ExitCode.NOT_ALLOWED,
        "many devices behind one address, or a device that does not close its old connections",
    ),
    "full": (ExitCode.NOT_ALLOWED, "as many devices as files may be open"),
    "cannot_record": (ExitCode.NOT_ALLOWED, "a full or failing disk"),
    "draining": (ExitCode.NOT_ALLOWED, "it was told to stop or restart"),
}
"""Exit code and usual reason of each refusal; what it is and the fix stand in codes.py."""

SHOWN_OTHERWISE: Final[dict[str, str]] = {
    "tls_on_plain_port": "tls_not_spoken",
    "upgrade_required": "upgrade_stripped",
    "http_1_0": "upgrade_http_1_0",
}
"""Refusals of what a probe never sends: what was changed on the way, and the fault it is."""

_SPOKEN_WRONGLY: Final = frozenset({
    CloseCode.PROTOCOL_ERROR, CloseCode.UNSUPPORTED_DATA, CloseCode.INVALID_DATA, CloseCode.TOO_BIG
})  # fmt: skip
_CLOSED_BECAUSE: Final[dict[int, str]] = {
    CloseCode.NORMAL: "the server has nothing more to say, or an idle limit of its own",
    CloseCode.GOING_AWAY: "the server stops, or a proxy closes an idle connection",
    CloseCode.PROTOCOL_ERROR: "a proxy that alters frames, or a library with an error",
    CloseCode.UNSUPPORTED_DATA: "the server takes another kind of messages",
    CloseCode.NO_STATUS: "a proxy that was reloaded, or a library that gives no code",
    CloseCode.INVALID_DATA: "text in another encoding than UTF-8",
    CloseCode.POLICY: "a rule of the server or of a proxy",
    CloseCode.TOO_BIG: "a message over the class's limit",
    CloseCode.INTERNAL_ERROR: "an error in the server",
    CloseCode.RESTART: "an update or a new configuration",
    CloseCode.NO_SIGN_OF_LIFE: "the device does not answer pings, or the path loses them",
    CloseCode.REPLACED: "another device or program uses the same name",
    CloseCode.TOO_SLOW: "a slow path, or a device that is busy with something else",
    CloseCode.TOKEN_REVOKED: "wsdev tokens revoke was used on the host",
    CloseCode.NOT_ALLOWED: "the name belongs to a token that was made for one device",
}


def _refusals() -> list[Fault]:
    """One for each refusal of the gateway."""
    return [
        Fault(code, LAYER_OF[code], exit_code, kind.message, why, kind.hint)
        for code, kind in REFUSALS.items()
        if code not in SHOWN_OTHERWISE
        for exit_code, why in [_REFUSED_BECAUSE[code]]
    ]


def _closed() -> list[Fault]:
    """One for each close code that can come in a frame: ``close_1012``."""
    return [
        Fault(
            f"close_{int(code)}",
            Layer.MESSAGE,
            _exit_code(code),
            f"closed with {int(code)}: {meaning.meaning}",
            _CLOSED_BECAUSE[code],
            meaning.hint,
        )
        for code, meaning in CLOSE_MEANINGS.items()
        if code != CloseCode.ABNORMAL
    ]


def _exit_code(close_code: int) -> ExitCode:
    if not CLOSE_MEANINGS[close_code].come_back:
        return ExitCode.NOT_ALLOWED
    return ExitCode.PROTOCOL if close_code in _SPOKEN_WRONGLY else ExitCode.CUT


TALK_FAULTS: Final = keyed([
    *_refusals(),
    Fault(
        "token_not_offered", Layer.TOKEN, ExitCode.NOT_ALLOWED,
        "the gateway hands out no token for this class",
        "the class is not one of the gateway's",
        "use one of the classes shown, or start wsdev serve with --device-class <name>",
    ),
    Fault(
        "refused_otherwise", Layer.UPGRADE, ExitCode.NOT_ALLOWED,
        "the gateway refuses for a reason that this wsdev does not know",
        "the gateway is newer than this wsdev",
        "read what it says; update wsdev here",
    ),
    *_closed(),
    Fault(
        "close_other", Layer.MESSAGE, ExitCode.CUT,
        "closed with a code that is not one of wsdev's",
        "another server than wsdev, or a proxy with codes of its own",
        "look at the code and the reason shown, and at the server's log",
    ),
    Fault(
        "hello_unanswered", Layer.HELLO, ExitCode.PROTOCOL,
        "the connection was upgraded, but nothing answers the hello",
        "a proxy that holds data back (buffering), another WebSocket server, or a gateway whose"
        " disk is full",
        "look at the gateway's /healthz and log; turn buffering off in proxies",
    ),
    Fault(
        "words_broken", Layer.HELLO, ExitCode.PROTOCOL,
        "what the other end says is not what a gateway says",
        "another WebSocket server on this path, or versions that do not fit",
        "check host, port and path; compare wsdev --version on both ends",
    ),
    Fault(
        "answered_with_error", Layer.MESSAGE, ExitCode.PROTOCOL,
        "the gateway answers with an error",
        "a message that the contract does not allow",
        "read the error shown; see docs/protocol.md for the messages",
    ),
    Fault(
        "message_unanswered", Layer.MESSAGE, ExitCode.CUT,
        "the gateway does not acknowledge a message",
        "its disk is full or too slow (it acknowledges only what is on disk), or the path lost it",
        "look at the gateway's /healthz and log, and at the disk",
    ),
    Fault(
        "large_message_lost", Layer.MESSAGE, ExitCode.CUT,
        "small messages arrive, a large one does not",
        "a path that drops large packets (VPN, DSL with a smaller MTU), or a middlebox that drops"
        " large frames",
        "try a smaller MTU on this side (ip link set … mtu 1280); send smaller messages",
    ),
    Fault(
        "large_message_cut", Layer.MESSAGE, ExitCode.CUT,
        "the connection is cut at a large message, small ones arrive",
        "a middlebox or proxy with a limit on bytes or frame size",
        "send smaller messages; look for a size limit in the proxy",
    ),
    Fault(
        "ping_unanswered", Layer.KEEPALIVE, ExitCode.CUT,
        "pings get no answer",
        "the other end is frozen, or a proxy does not pass control frames on",
        "look at the gateway and at proxies; a link without pings is cut after 45 s",
    ),
    Fault(
        "cut", Layer.KEEPALIVE, ExitCode.CUT,
        "the connection was cut without a close frame",
        "Wi-Fi, power, a restart, or a middlebox with a limit on time or bytes",
        "try again; compare the times and bytes of several cuts (--watch 30s)",
    ),
    Fault(
        "cut_when_silent", Layer.KEEPALIVE, ExitCode.CUT,
        "the connection was cut after a time of silence",
        "an idle limit on the way: nginx and AWS ALB 60 s, Azure 4 min, AWS NLB 350 s",
        "send or ping more often than that; find the limit with --find-idle-cut",
    ),
    Fault(
        "too_slow", Layer.QUALITY, ExitCode.QUALITY,
        "the round trips take longer than --max-rtt allows",
        "weak Wi-Fi, a power-saving radio, a long way, or a busy host",
        "look at the signal; turn power saving off on the device; try closer to the access point",
    ),
    Fault(
        "too_lossy", Layer.QUALITY, ExitCode.QUALITY,
        "more answers are lost than --max-loss allows",
        "weak Wi-Fi, or a path that is cut now and then",
        "look at the signal and the way; try a cable to tell them apart",
    ),
])  # fmt: skip
