from __future__ import annotations

import json

from wsdev.console.problems import MEDIA_TYPE, NotServed, answer_to
from wsdev.errors import JournalError, TokenBookError, UsageError, WsdevError


def told(error: WsdevError) -> dict[str, object]:
    answer = answer_to(error)
    assert answer.media_type == MEDIA_TYPE
    document: dict[str, object] = json.loads(bytes(answer.body))
    assert document["status"] == answer.status_code
    return document


def test_problem_has_the_members_of_the_standard_and_ours() -> None:
    assert told(NotServed(404, "unknown_device", "no such device", "see /api/devices")) == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "no such device",
        "code": "unknown_device",
        "hint": "see /api/devices",
    }


def test_errors_of_the_host_and_of_the_request_are_told_apart() -> None:
    assert told(UsageError("no"))["status"] == 422
    assert told(TokenBookError("no", code="no_such_token"))["status"] == 404
    assert told(TokenBookError("no", code="name_claimed"))["status"] == 409
    assert told(TokenBookError("no", code="damaged"))["status"] == 503
    assert told(JournalError("no", code="missing"))["status"] == 503


def test_headers_go_with_the_problem() -> None:
    error = NotServed(429, "too_many_attempts", "no", headers={"Retry-After": "60"})
    assert answer_to(error).headers["retry-after"] == "60"
