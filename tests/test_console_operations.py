from __future__ import annotations

import msgspec

from wsdev.console.operations import json_answer, no_content


class Thing(msgspec.Struct):
    name: str


def test_struct_becomes_json() -> None:
    answer = json_answer(Thing("<img onerror>"), 201, {"X-A": "b"})
    assert (answer.status_code, answer.body) == (201, b'{"name":"<img onerror>"}')
    assert (answer.headers["content-type"], answer.headers["x-a"]) == ("application/json", "b")


def test_nothing_to_say_has_no_body() -> None:
    answer = no_content()
    assert (answer.status_code, answer.body) == (204, b"")
