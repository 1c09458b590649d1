from __future__ import annotations

import re

import pytest

from wsdev.codes import (
    BREAKS,
    CLOSE_MEANINGS,
    REFUSALS,
    CloseCode,
    RefusalKind,
    explain,
    explain_close,
    may_come_back,
)


@pytest.mark.parametrize("code", CloseCode)
def test_each_close_code_has_a_meaning_and_a_hint(code: CloseCode) -> None:
    meaning = CLOSE_MEANINGS[code]
    assert meaning.meaning
    assert meaning.hint
    assert explain_close(code) is meaning


def test_no_meaning_is_without_its_close_code() -> None:
    assert set(CLOSE_MEANINGS) == set(CloseCode)


def test_below_4500_a_device_comes_back_and_from_there_on_it_stays_away() -> None:
    for code in range(1000, 5000):
        assert may_come_back(code) == (code < 4500), code
        assert explain_close(code).come_back == may_come_back(code), code


def test_each_cause_has_one_word_and_no_two_have_the_same() -> None:
    words = [*REFUSALS, *BREAKS, *(meaning.word for meaning in CLOSE_MEANINGS.values())]
    assert len(words) == len(set(words))
    assert all(re.fullmatch("[a-z0-9_]+", word) for word in words)


def test_words_that_programs_know_do_not_change() -> None:
    assert {int(code): meaning.word for code, meaning in CLOSE_MEANINGS.items()} == {
        1000: "closed", 1001: "going_away", 1002: "protocol_error", 1003: "unsupported_data",
        1005: "no_close_code", 1006: "cut", 1007: "not_utf8", 1008: "policy", 1009: "too_big",
        1011: "internal_error", 1012: "restart", 4408: "no_sign_of_life", 4409: "replaced",
        4413: "too_slow", 4501: "token_revoked", 4503: "not_allowed",
    }  # fmt: skip


def test_each_word_is_explained_in_sentences() -> None:
    for word in (*REFUSALS, *BREAKS, *(meaning.word for meaning in CLOSE_MEANINGS.values())):
        found = explain(word)
        assert found is not None, word
        for text in (found.message, found.hint):
            assert text[0].isupper(), text
            assert text.endswith("."), text
            assert not text.endswith(".."), text
    assert explain("of_a_later_version") is None


@pytest.mark.parametrize("code", [0, 1004, 2999, 3000, 4000, 4999, 5000, 65535])
def test_a_foreign_close_code_is_explained_with_its_number(code: int) -> None:
    explained = explain_close(code)
    assert str(code) in explained.meaning
    assert explained.hint


@pytest.mark.parametrize(
    ("code", "number"),
    [("NO_SIGN_OF_LIFE", 4408), ("REPLACED", 4409), ("TOO_SLOW", 4413),
     ("TOKEN_REVOKED", 4501), ("NOT_ALLOWED", 4503), ("RESTART", 1012)],
)  # fmt: skip
def test_numbers_that_firmware_knows_do_not_change(code: str, number: int) -> None:
    assert CloseCode[code] == number


@pytest.mark.parametrize("kind", REFUSALS.values(), ids=REFUSALS)
def test_each_refusal_has_a_status_a_meaning_and_a_hint(kind: RefusalKind) -> None:
    assert kind.status in {400, 401, 403, 404, 405, 408, 426, 429, 431, 503}
    assert kind.message.endswith(".")
    assert kind.hint.endswith(".")
    # The answer of which it is a part fits in 1 KiB.
    assert len(kind.message.encode()) + len(kind.hint.encode()) < 300


@pytest.mark.parametrize(
    ("status", "codes"),
    [
        (401, {"token_missing", "token_malformed", "token_mistyped", "token_unknown",
               "token_retired"}),
        (404, {"not_found", "unknown_class"}),
        (426, {"upgrade_required", "http_1_0", "websocket_version"}),
        (503, {"full", "cannot_record", "draining"}),
    ],
)  # fmt: skip
def test_each_reason_for_a_status_has_a_code_of_its_own(status: int, codes: set[str]) -> None:
    assert {code for code, kind in REFUSALS.items() if kind.status == status} == codes


def test_no_two_refusals_say_the_same() -> None:
    assert len({kind.message for kind in REFUSALS.values()}) == len(REFUSALS)
