from __future__ import annotations

import json
from datetime import datetime
from html.parser import HTMLParser

import pytest
from harness import Answer, parsed_answer
from hypothesis import given
from hypothesis import strategies as st

from wsdev import answers
from wsdev.codes import REFUSALS

CLASS_PATHS = ["/ws/pico", "/ws/esp32cam"]
ID = "0123456789ab"


def refusal(code: str, retry_after: int | None = None) -> Answer:
    return parsed_answer(
        answers.refusal(code, ID, class_paths=CLASS_PATHS, retry_after=retry_after)
    )


@pytest.mark.parametrize("code", REFUSALS)
def test_refusal_says_why_and_what_to_do(code: str) -> None:
    answer = refusal(code)
    kind = REFUSALS[code]
    assert answer.status == kind.status
    assert answer.header("Content-Type") == "application/json"
    body = answer.json
    body.pop("paths", None)
    assert body == {
        "status": "error",
        "code": code,
        "message": kind.message,
        "hint": kind.hint,
        "request_id": ID,
    }


@pytest.mark.parametrize("code", REFUSALS)
def test_refusal_fits_into_a_device(code: str) -> None:
    raw = answers.refusal(code, ID, class_paths=CLASS_PATHS, retry_after=60)
    assert len(raw) < 1024


@pytest.mark.parametrize(
    ("code", "name", "value"),
    [
        ("token_missing", "WWW-Authenticate", "Bearer"),
        ("token_unknown", "WWW-Authenticate", "Bearer"),
        ("method_not_allowed", "Allow", "GET, HEAD"),
        ("upgrade_required", "Upgrade", "websocket"),
        ("upgrade_required", "Connection", "close, Upgrade"),
        ("websocket_version", "Sec-WebSocket-Version", "13"),
        ("http_1_0", "Upgrade", "websocket"),
    ],
)
def test_status_brings_the_headers_that_its_rfc_asks_for(code: str, name: str, value: str) -> None:
    assert refusal(code).header(name) == value


@pytest.mark.parametrize("code", ["not_found", "unknown_class"])
def test_wrong_path_lists_the_right_ones(code: str) -> None:
    assert refusal(code).json["paths"] == [*CLASS_PATHS, "/public/tokens", "/healthz", "/"]


def test_retry_after_is_whole_seconds() -> None:
    assert refusal("too_many_attempts", retry_after=60).header("Retry-After") == "60"
    assert "Retry-After" not in dict(refusal("too_many_attempts").headers)


ALL = {
    "refusal": lambda **k: answers.refusal("token_missing", ID, **k),
    "tokens": lambda **k: answers.tokens({"pico": ["wsd_pico_x"]}, 1_800_000_000, **k),
    "health": lambda **k: answers.health("ok", **k),
    "page": lambda **k: answers.page(
        address="192.0.2.7",
        base_url="ws://h:1",
        class_paths=CLASS_PATHS,
        handing_out=True,
        **k,
    ),
}


@pytest.mark.parametrize("kind", ALL)
def test_every_answer_is_readable_for_the_simplest_client(kind: str) -> None:
    raw = ALL[kind]()
    answer = parsed_answer(raw)
    assert raw.startswith(b"HTTP/1.1 ")
    assert answer.header("Content-Length") == str(len(answer.body))
    assert answer.header("Connection") == "close"
    assert answer.header("Cache-Control") == "no-store"
    assert answer.header("X-Content-Type-Options") == "nosniff"
    names = {name.lower() for name, _ in answer.headers}
    assert not names & {"transfer-encoding", "location", "access-control-allow-origin"}


@pytest.mark.parametrize("kind", ALL)
def test_dated_answer_is_the_same_with_the_time(kind: str) -> None:
    raw = ALL[kind]()
    plain, dated = parsed_answer(raw), parsed_answer(answers.dated(raw, 1_800_000_000.9))
    assert (dated.status, dated.body) == (plain.status, plain.body)
    assert dated.headers == [("Date", "Fri, 15 Jan 2027 08:00:00 GMT"), *plain.headers]


@pytest.mark.parametrize("kind", ALL)
def test_head_gets_the_head_of_get(kind: str) -> None:
    whole, head = ALL[kind](), ALL[kind](head_only=True)
    assert whole.startswith(head)
    assert head.endswith(b"\r\n\r\n")
    assert parsed_answer(head).body == b""


def test_tokens_come_as_one_list_for_each_class() -> None:
    listed = {"pico": ["wsd_pico_b", "wsd_pico_a"], "esp32cam": []}
    answer = parsed_answer(answers.tokens(listed, 1_800_000_000.9))
    assert answer.status == 200
    assert answer.json == {
        "status": "success",
        "pico_tokens": ["wsd_pico_b", "wsd_pico_a"],
        "esp32cam_tokens": [],
        "timestamp": "2027-01-15T08:00:00+00:00",
        "message": "Use these tokens in the Authorization header as 'Bearer <token>'",
    }
    assert datetime.fromisoformat(answer.json["timestamp"]).utcoffset() is not None


def test_health_tells_the_state_and_the_reason() -> None:
    ok = parsed_answer(answers.health("ok"))
    assert (ok.status, ok.json) == (200, {"status": "ok"})
    for state in ("draining", "degraded"):
        bad = parsed_answer(answers.health(state, "a reason"))
        assert (bad.status, bad.json) == (503, {"status": state, "reason": "a reason"})


# The page


class Reader(HTMLParser):
    """Reads a page as a browser does: its text, its tags and their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert not any(name.startswith("on") for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


def page(
    base_url: str = "ws://gateway:3000", *, handing_out: bool = False
) -> tuple[Answer, Reader]:
    answer = parsed_answer(
        answers.page(
            address="192.0.2.7",
            base_url=base_url,
            class_paths=CLASS_PATHS,
            handing_out=handing_out,
        )
    )
    reader = Reader()
    reader.feed(answer.body.decode())
    return answer, reader


PLAIN_TAGS = page()[1].tags


def test_page_tells_where_devices_connect_and_from_where_one_is_seen() -> None:
    answer, reader = page()
    assert answer.header("Content-Type") == "text/html; charset=utf-8"
    assert "192.0.2.7" in reader.text
    assert "ws://gateway:3000/ws/pico" in reader.text
    assert "ws://gateway:3000/ws/esp32cam" in reader.text


def test_page_says_whether_tokens_are_handed_out() -> None:
    assert "handed out now at /public/tokens" in page(handing_out=True)[1].text
    assert "wsdev tokens open" in page(handing_out=False)[1].text


def test_page_lets_no_script_run() -> None:
    policy = page()[0].header("Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert "script-src" not in policy


@pytest.mark.parametrize(
    "host", ["<script>alert(1)</script>", "\"onload='x'", "</code><img src=x>", "&lt;", "{0}", "%s"]
)
def test_hosts_markup_stays_text(host: str) -> None:
    _, reader = page(f"ws://{host}")
    assert reader.tags == PLAIN_TAGS
    assert f"ws://{host}/ws/pico" in reader.text


@given(st.text())
def test_no_host_breaks_the_page(host: str) -> None:
    answer, reader = page(host)
    assert reader.tags == PLAIN_TAGS
    assert not set("\x1b\x9b\u202e") & set(answer.body.decode())


def test_bodies_are_json_whatever_the_reason_holds() -> None:
    reason = 'disk "x" \\ full\n'
    body = parsed_answer(answers.health("degraded", reason)).body
    assert json.loads(body)["reason"] == reason
