from __future__ import annotations

import pytest

from wsdev.codes import (
    CLOSE_MEANINGS,
    REFUSALS,
    CloseCode,
    RefusalKind,
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
