"""What to do about refusals and broken links, from all that is known of a group of them.

A code has one hint for everybody. Who is at the other end, and what it asked for, often tells more:
a library that cannot set a header, a proxy, a scanner.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Set
from dataclasses import dataclass
from typing import Final

from wsdev.refusal_groups import Group
from wsdev.translation import ENGLISH, Translation

_BROWSER: Final = re.compile(r"Mozilla/")
_SCANNED: Final = re.compile(
    r"\.(?:php|asp|aspx|cgi|jsp|env|git|xml|ini|bak|sql)\b|^/(?:wp-|cgi-bin|\.)",
    re.IGNORECASE,
)
_OTHER_SOCKET_PATH: Final = re.compile(r"^/(?:ws/?|websocket.*|socket.*|)(?:\?.*)?$", re.IGNORECASE)

_ALIKE: Final = 3.0
"""Seconds by which the lives of links differ that one timer ended."""

_MANY: Final = 3


@dataclass(frozen=True, slots=True)
class Rule:
    """A fix for some groups; of those that fit, the first counts.

    Attributes:
        name: By which translations are found.
        agent: Is found in the commonest user agent; for a pattern of the empty text there is none.
        path: Is found in the commonest path.
        when: Says whether it fits.
        fix: A sentence; holds ``{class}``, ``{path}``, ``{via}``, ``{tail}``, ``{seconds}``.
    """

    name: str
    codes: frozenset[str]
    fix: str
    agent: re.Pattern[str] | None = None
    path: re.Pattern[str] | None = None
    when: Callable[[Group], bool] | None = None

    def fits(self, group: Group) -> bool:
        """Whether this is the fix for a group."""
        return (
            group.code in self.codes
            and (self.agent is None or _found(self.agent, group.user_agents.commonest))
            and (self.path is None or _found(self.path, group.paths.commonest))
            and (self.when is None or self.when(group))
        )


def _found(pattern: re.Pattern[str], text: str | None) -> bool:
    return pattern.search(text or "") is not None


def _rule(
    name: str,
    codes: str,
    fix: str,
    *,
    agent: str | None = None,
    path: re.Pattern[str] | None = None,
    when: Callable[[Group], bool] | None = None,
) -> Rule:
    pattern = None if agent is None else re.compile(agent, re.IGNORECASE)
    return Rule(name, frozenset(codes.split()), fix, pattern, path, when)


def _has_via(group: Group) -> bool:
    return bool(group.vias.counts)


def _has_tail(group: Group) -> bool:
    return bool(group.tails.counts)


def _is_many(group: Group) -> bool:
    return group.count >= _MANY


def _ends_alike(group: Group) -> bool:
    if group.shortest is None or group.longest is None:
        return False
    return _is_many(group) and group.shortest > 1 and group.longest - group.shortest <= _ALIKE


def _never_came_to_speak(group: Group) -> bool:
    return group.longest is not None and group.longest <= 1 and _is_many(group)


_NO_HEADER = "The firmware sends no Authorization header: "

# The user agents are those that the libraries have in their own sources.
RULES: Final[tuple[Rule, ...]] = (
    _rule(
        "header_arduino_websockets",
        "token_missing",
        _NO_HEADER + 'call webSocket.setExtraHeaders("Authorization: Bearer <token>") before'
        " begin(), or connect to /ws/{class}?token=<token>.",
        agent="arduino-WebSocket-Client",
    ),
    _rule(
        "header_tiny_websockets",
        "token_missing",
        _NO_HEADER + 'call client.addHeader("Authorization", "Bearer <token>") before connect(),'
        " or connect to /ws/{class}?token=<token>.",
        agent="TinyWebsockets",
    ),
    _rule(
        "header_esp_idf",
        "token_missing",
        _NO_HEADER + 'set .headers = "Authorization: Bearer <token>\\r\\n" in'
        " esp_websocket_client_config_t, or connect to /ws/{class}?token=<token>.",
        agent="ESP32 Websocket Client",
    ),
    _rule(
        "header_browser",
        "token_missing",
        "A browser cannot send the header: connect to /ws/{class}?token=<token>.",
        agent="Mozilla/",
    ),
    _rule(
        "header_arduino_http",
        "token_missing",
        "This library cannot send the header: connect to /ws/{class}?token=<token>.",
        agent="^Arduino/",
    ),
    _rule(
        "header_missing",
        "token_missing",
        _NO_HEADER + "send 'Authorization: Bearer <token>', or if its library cannot, connect to"
        " /ws/{class}?token=<token>.",
    ),
    _rule(
        "bearer_missing",
        "token_malformed",
        "'Bearer ' is missing before the token …{tail}: send 'Authorization: Bearer <token>'.",
        when=_has_tail,
    ),
    _rule(
        "token_of_another_gateway",
        "token_unknown",
        "The token …{tail} is another gateway's, or of a state folder that is gone: give the device"
        " one of wsdev tokens list, or make one with wsdev tokens create --device {class}.",
        when=_has_tail,
    ),
    _rule(
        "token_of_before",
        "token_retired",
        "The device still has the token …{tail}: give it the new one, or make one with"
        " wsdev tokens create --device {class}.",
        when=_has_tail,
    ),
    _rule(
        "token_of_another_class",
        "wrong_class",
        "The token …{tail} is for another class: connect at the path that it names"
        " (wsd_<class>_…), or make one with wsdev tokens create --device {class}.",
        when=_has_tail,
    ),
    _rule(
        "browser_looked",
        "upgrade_required",
        "A browser looked at it: nothing to mend.",
        agent="Mozilla/",
    ),
    _rule(
        "proxy_without_upgrade",
        "upgrade_required http_1_0",
        "The proxy {via} does not pass the upgrade on. In nginx: proxy_http_version 1.1;"
        ' proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";',
        when=_has_via,
    ),
    _rule(
        "tls_or_not",
        "tls_on_plain_port",
        "Use ws:// instead of wss://, or give the gateway a certificate: wsdev serve --tls-cert.",
    ),
    _rule(
        "scanner",
        "not_found",
        "It looks for other programs' holes: nothing to mend.",
        path=_SCANNED,
    ),
    _rule(
        "path_without_class",
        "not_found",
        "The path needs the device's class: connect to /ws/<class>, not to {path}.",
        path=_OTHER_SOCKET_PATH,
    ),
    _rule(
        "class_missing",
        "unknown_class",
        "Correct the path's class, or start wsdev serve with --device-class {class}.",
        path=re.compile(r"^/ws/[a-z0-9]+(?:\?.*)?$"),
    ),
    _rule(
        "silent_caller",
        "head_timeout",
        "It connects and does not ask: look whether it speaks another protocol at this port, or"
        " hangs before its handshake; then at the Wi-Fi.",
        when=_is_many,
    ),
    _rule(
        "ended_by_a_timer",
        "cut",
        "Each lasted about {seconds} s, so a timer ends them: look at the timeouts of a proxy, a"
        " router or the firmware's watchdog.",
        when=_ends_alike,
    ),
    _rule(
        "ends_at_once",
        "cut",
        "Each ended within a second: the firmware crashes or hangs up once it is let in; look at"
        " its own log.",
        when=_never_came_to_speak,
    ),
    _rule(
        "loop_too_seldom",
        "no_sign_of_life",
        "Call the library's loop() or poll() often, also while the firmware works: that is what"
        " answers pings. Then look at Wi-Fi and power.",
        agent="TinyWebsockets|arduino-WebSocket-Client|^Arduino/",
    ),
    _rule(
        "reboots",
        "replaced",
        "It comes back before its old link was seen to end, {count} times: look whether it reboots"
        " (power, watchdog) or loses the Wi-Fi.",
        when=_is_many,
    ),
)

# Backticks stand around code, and the joiner within words of Persian: a page lets both through in a
# text of ours, so none of them may be a peer's. They are written as sanitize.printable writes.
_OURS: Final = str.maketrans({"`": r"\x60", "\u200c": r"\u200c"})

_WRONG_TOKENS: Final = ("token_retired", "token_unknown", "token_mistyped")


OTHER_CODES: Final = (
    "other_codes",
    "See {codes} of this address; once mended, wait a minute.",
)
"""Name and text of what is told of too many attempts, where it is known what they were."""


def fix_for(
    group: Group, codes: Set[str] = frozenset(), words: Translation = ENGLISH
) -> str | None:
    """What to do about a group: a sentence or more; None for a code of a later version.

    Args:
        codes: All that happened to its address.
        words: In another language.
    """
    for rule in RULES:
        if rule.fits(group):
            return words.fix(rule.name, rule.fix).format(**_values(group))
    meaning = words.explain(group.code)
    if group.code == "too_many_attempts":
        before = [code.replace("_", " ") for code in _WRONG_TOKENS if code in codes]
        if before:
            return words.fix(*OTHER_CODES).format(codes=" and ".join(before))
    return None if meaning is None else meaning.hint


def _values(group: Group) -> dict[str, object]:
    return {
        "class": _as_text(group.classes.commonest or "<class>"),
        "path": _as_text(group.paths.commonest),
        "via": _as_text(group.vias.commonest),
        "tail": _as_text(group.tails.commonest),
        "seconds": f"{group.longest or 0:.0f}",
        "count": group.count,
    }


def _as_text(said: str | None) -> str:
    """What a peer said, without what has a meaning in our texts."""
    return (said or "").translate(_OURS)
