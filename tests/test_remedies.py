"""Fixes: who is at the other end, and what it asked for, tells more than the code alone."""

from __future__ import annotations

import pytest
from test_refusal_groups import end, grouped, refusal

from wsdev.codes import BREAKS, CLOSE_MEANINGS, REFUSALS, explain
from wsdev.journal_entries import Entry, RefusalEntry
from wsdev.refusal_groups import Group
from wsdev.remedies import RULES, fix_for
from wsdev.translation import translation


def group_of(*entries: Entry) -> Group:
    (group,) = grouped(*entries).by_count()
    return group


def fix(*entries: Entry) -> str:
    found = fix_for(group_of(*entries))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("user_agent", "part"),
    [
        ("arduino-WebSocket-Client", 'setExtraHeaders("Authorization: Bearer <token>")'),
        ("TinyWebsockets Client", 'addHeader("Authorization", "Bearer <token>")'),
        ("ESP32 Websocket Client", '.headers = "Authorization: Bearer <token>\\r\\n"'),
        ("Mozilla/5.0 (X11; Linux)", "A browser cannot"),
        ("Arduino/2.2.0", "This library cannot"),
        ("something", "sends no Authorization header"),
        (None, "sends no Authorization header"),
    ],
)
def test_missing_token_is_mended_in_the_words_of_the_library(
    user_agent: str | None, part: str
) -> None:
    found = fix(refusal(user_agent=user_agent))
    assert part in found
    assert "/ws/pico?token=<token>" in found


def test_commonest_user_agent_counts() -> None:
    some = refusal(user_agent="curl/8")
    most = refusal(user_agent="TinyWebsockets Client")
    assert "addHeader" in fix(some, most, most)


def test_token_without_bearer_is_told_from_what_is_none() -> None:
    assert fix(refusal(code="token_malformed", tail="abcd")).startswith("'Bearer ' is missing")
    assert fix(refusal(code="token_malformed")) == REFUSALS["token_malformed"].hint


@pytest.mark.parametrize("code", ["token_unknown", "token_retired", "wrong_class"])
def test_token_is_named_by_its_tail(code: str) -> None:
    found = fix(refusal(code=code, tail="abcd"))
    assert "…abcd" in found
    assert "wsdev tokens create --device pico" in found


def test_too_many_attempts_lead_to_what_was_wrong() -> None:
    group = group_of(refusal(code="too_many_attempts"))
    found = fix_for(group, {"too_many_attempts", "token_mistyped", "token_retired"})
    assert found is not None
    assert "token retired and token mistyped" in found
    assert fix_for(group) == REFUSALS["too_many_attempts"].hint


@pytest.mark.parametrize("code", ["upgrade_required", "http_1_0"])
def test_proxy_that_passes_no_upgrade_on_is_named(code: str) -> None:
    direct = refusal(code=code, user_agent=None)
    assert fix(direct) == REFUSALS[code].hint
    through = RefusalEntry(
        1, 0, "refused", "r", "192.0.2.7", "10.0.0.1", "/ws/pico", code, 426, None, None
    )
    assert fix(through).startswith("The proxy 10.0.0.1 does not pass the upgrade on.")


def test_browser_that_looks_is_nothing_to_mend() -> None:
    found = fix(refusal(code="upgrade_required", user_agent="Mozilla/5.0"))
    assert "nothing to mend" in found


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("/wp-login.php", "nothing to mend"),
        ("/.env", "nothing to mend"),
        ("/ws", "not to /ws."),
        ("/websocket", "not to /websocket."),
        ("/telemetry", REFUSALS["not_found"].hint),
    ],
)
def test_path_that_is_not_there_tells_who_asks(path: str, part: str) -> None:
    assert part in fix(refusal(code="not_found", path=path))


def test_unknown_class_is_named_if_it_could_be_one() -> None:
    assert "--device-class toaster" in fix(refusal(code="unknown_class", path="/ws/toaster"))
    for path in ("/ws/$(x)", "/ws/To aster"):
        found = fix(refusal(code="unknown_class", path=path))
        assert found == REFUSALS["unknown_class"].hint


def test_links_that_end_alike_are_ended_by_a_timer() -> None:
    alike = [end(seconds=seconds) for seconds in (60.1, 60.4, 61.0)]
    assert fix(*alike).startswith("Each lasted about 61 s, so a timer ends them")
    hint = explain("cut")
    assert hint is not None
    assert fix(*alike[:2]) == fix(*alike, end(seconds=400)) == hint.hint


def test_links_that_end_at_once_are_the_firmwares() -> None:
    assert "crashes or hangs up" in fix(*[end(seconds=0.2)] * 3)


def test_device_that_is_replaced_again_and_again_reboots() -> None:
    assert "3 times" in fix(*[end(code=4409)] * 3)
    assert "3 times" not in fix(end(code=4409))


def test_each_code_has_a_fix_and_one_of_a_later_version_has_none() -> None:
    words = [meaning.word for meaning in CLOSE_MEANINGS.values()]
    for code in (*REFUSALS, *BREAKS, *words):
        assert fix(refusal(code=code)).endswith((".", ";")), code
    assert fix_for(group_of(refusal(code="of_a_later_version"))) is None


def test_rules_are_of_codes_that_there_are() -> None:
    words = {meaning.word for meaning in CLOSE_MEANINGS.values()}
    for rule in RULES:
        assert rule.codes <= {*REFUSALS, *BREAKS, *words}


def test_braces_of_a_peer_are_only_text() -> None:
    assert "{tail.x}" in fix(refusal(code="token_unknown", tail="{tail.x}"))


@pytest.mark.parametrize(
    ("harmless", "hostile", "shown"),
    [
        (
            refusal(code="not_found", path="/websocket"),
            refusal(code="not_found", path="/websocket`\u200c"),
            ("/websocket", r"/websocket\x60\u200c"),
        ),
        (
            refusal(path="/ws/toaster"),
            refusal(path="/ws/`\u200ctoaster"),
            ("/ws/toaster", r"/ws/\x60\u200ctoaster"),
        ),
        (
            refusal(code="token_unknown", tail="abcd"),
            refusal(code="token_unknown", tail="a`\u200cd"),
            ("…abcd", r"…a\x60\u200cd"),
        ),
        (
            RefusalEntry(1, 0, "refused", "r", "::1", "proxy", "/", "http_1_0", 426, None, None),
            RefusalEntry(1, 0, "refused", "r", "::1", "p`\u200c", "/", "http_1_0", 426, None, None),
            ("`proxy`", r"`p\x60\u200c`"),
        ),
    ],
    ids=["path", "class", "tail", "via"],
)
def test_peer_cannot_end_the_code_that_it_is_shown_as(
    harmless: Entry, hostile: Entry, shown: tuple[str, str]
) -> None:
    persian = translation("fa")
    expected = fix_for(group_of(harmless), words=persian)
    assert expected is not None
    assert expected.count(shown[0]) == 1
    assert fix_for(group_of(hostile), words=persian) == expected.replace(*shown)
