from __future__ import annotations

import errno
import json
import socket
import ssl

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsdev.codes import CLOSE_MEANINGS, REFUSALS
from wsdev.diagnosis.talk_faults import SHOWN_OTHERWISE
from wsdev.diagnosis.verdict import FAULTS
from wsdev.errors import (
    ExitCode,
    LinkCut,
    NameNotFound,
    NoAnswer,
    NotAGateway,
    NotAllowed,
    PathError,
    Refused,
    TLSFailed,
    WsdevError,
)
from wsdev.events import Closed, ClosedBy
from wsdev.failures import closed_error, path_error, refusal_error
from wsdev.urls import GatewayAddress

HERE = GatewayAddress("gateway.example", 3000)


def no_route() -> OSError:
    return OSError(errno.ENETUNREACH, "Network is unreachable")


def tls_error() -> ssl.SSLError:
    """What comes of an HTTP answer to a ClientHello."""
    incoming = ssl.MemoryBIO()
    incoming.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    tls = ssl.create_default_context().wrap_bio(incoming, ssl.MemoryBIO(), server_hostname="a")
    with pytest.raises(ssl.SSLError) as caught:
        tls.do_handshake()
    return caught.value


def behind(error: BaseException) -> Exception:
    """``error`` as httpx gives it: some layers down."""
    try:
        try:
            raise error
        except type(error) as exc:
            raise OSError("All connection attempts failed") from exc
    except OSError as exc:
        outer = httpx.ConnectError("failed")
        outer.__context__ = exc
        return outer


@pytest.mark.parametrize("wrapped", [False, True], ids=["bare", "behind others"])
@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (socket.gaierror(-2, "Name or service not known"), NameNotFound),
        (UnicodeError("label empty or too long"), NameNotFound),
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), Refused),
        (TimeoutError(), NoAnswer),
        (OSError(errno.ETIMEDOUT, "Connection timed out"), NoAnswer),
        (no_route(), NoAnswer),
        (tls_error(), TLSFailed),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), LinkCut),
    ],
)
def test_system_error_names_the_layer_that_broke(
    error: Exception, kind: type[PathError], wrapped: bool
) -> None:
    found = path_error(behind(error) if wrapped else error, HERE)
    assert type(found) is kind
    assert "gateway.example" in found.cause
    assert found.hint


@pytest.mark.parametrize(
    ("errors", "kind"),
    [
        ([no_route(), ConnectionRefusedError()], Refused),
        ([ConnectionRefusedError(), no_route()], Refused),
        ([no_route(), TimeoutError()], NoAnswer),
        ([TimeoutError(), ConnectionRefusedError()], Refused),
    ],
)
def test_of_several_addresses_the_one_that_got_furthest_tells(
    errors: list[OSError], kind: type[PathError]
) -> None:
    outer = OSError("all failed")
    outer.__cause__ = ExceptionGroup("each", errors)
    assert type(path_error(outer, HERE)) is kind


def test_errors_that_are_each_others_context_are_looked_at_once() -> None:
    one, other = OSError("one"), OSError("other")
    one.__context__, other.__context__ = other, one
    assert isinstance(path_error(one, HERE), LinkCut)


@pytest.mark.parametrize(("port", "hinted"), [(80, True), (443, True), (3000, False)])
def test_refused_at_a_web_port_hints_at_our_own(port: int, hinted: bool) -> None:
    error = path_error(ConnectionRefusedError(), GatewayAddress("gateway.example", port))
    assert (":3000" in error.hint) is hinted


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "name_unknown"),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure"), "name_unanswered"),
        (UnicodeError("label empty or too long"), "name_malformed"),
        (ConnectionRefusedError(), "refused"),
        (TimeoutError(), "unanswered"),
        (no_route(), "no_route"),
        (tls_error(), "tls_not_spoken"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_remedy_is_that_of_the_probe(error: Exception, fault: str) -> None:
    assert path_error(error, HERE).hint == FAULTS[fault].fix


@pytest.mark.parametrize(
    ("number", "fault"),
    [
        (10, "certificate_expired"),
        (9, "certificate_not_yet_valid"),
        (18, "certificate_self_signed"),
        (62, "certificate_wrong_name"),
        (20, "issuer_unknown"),
        (66, "certificate_refused"),
    ],
)
def test_remedy_for_a_certificate_is_that_of_the_probe(number: int, fault: str) -> None:
    error = ssl.SSLCertVerificationError(1, "no")
    error.verify_code, error.verify_message = number, "no"
    assert path_error(error, HERE).hint == FAULTS[fault].fix


# What a gateway says


def refusal(kind_of: str, **fields: object) -> bytes:
    kind = REFUSALS[kind_of]
    body = {
        "status": "error",
        "code": kind_of,
        "message": kind.message,
        "hint": kind.hint,
        "request_id": "abc123",
    }
    return json.dumps(body | fields).encode()


@pytest.mark.parametrize("code", REFUSALS)
def test_each_refusal_is_told_with_code_cause_hint_and_request_id(code: str) -> None:
    status = REFUSALS[code].status
    error = refusal_error(status, [], refusal(code), HERE)
    assert error.exit_code is FAULTS[SHOWN_OTHERWISE.get(code, code)].exit_code
    assert error.code == code
    assert REFUSALS[code].message in error.cause
    assert f"HTTP {status}" in error.cause
    assert "abc123" in error.cause
    assert error.hint.startswith(REFUSALS[code].hint)


def test_paths_of_a_404_are_listed() -> None:
    body = refusal("unknown_class", paths=["/ws/pico", "/ws/esp32cam"])
    error = refusal_error(404, [], body, HERE)
    assert "/ws/pico, /ws/esp32cam" in error.hint


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>502 Bad Gateway</html>",
        b'{"detail":"Not Found"}',
        b"[]",
        b'{"code":1,"message":2,"hint":3,"request_id":4}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
@pytest.mark.parametrize("status", [200, 302, 401, 403, 404, 502])
def test_other_bodies_are_no_gateways(status: int, body: bytes) -> None:
    error = refusal_error(status, [("server", "nginx/1.22")], body, HERE)
    assert type(error) is NotAGateway
    assert error.exit_code is ExitCode.HTTP
    assert f"HTTP {status}" in error.cause
    assert "nginx/1.22" in error.cause


HOSTILE = "\x1b]0;owned\x07\r\n\x9b31m\u202e"


def test_hostile_text_in_a_refusal_comes_out_escaped() -> None:
    body = refusal(
        "not_found",
        message=HOSTILE,
        hint=HOSTILE,
        request_id=HOSTILE,
        code=HOSTILE,
        paths=[HOSTILE],
    )
    error = refusal_error(404, [], body, HERE)
    shown = error.cause + error.hint + error.code
    assert not set(HOSTILE) & set(shown) & set("\x1b\x07\r\n\x9b\u202e")
    assert r"\x1b" in shown


def test_hostile_server_name_comes_out_escaped() -> None:
    assert "\x1b" not in refusal_error(502, [("Server", HOSTILE)], b"", HERE).cause


@given(st.text(), st.text(), st.text())
def test_no_refusal_breaks_the_line_or_grows_without_bound(
    message: str, hint: str, code: str
) -> None:
    body = json.dumps({"code": code, "message": message * 50, "hint": hint * 50, "request_id": ""})
    error = refusal_error(403, [], body.encode("utf-8", "replace"), HERE)
    for text in (error.cause, error.hint, error.code):
        assert len(text.splitlines()) <= 1
        assert len(text) < 5000


def test_stranger_with_a_word_of_ours_for_something_else_is_believed_no_more_than_others() -> None:
    body = json.dumps({"code": "name_unknown", "message": "", "hint": "", "request_id": ""})
    assert type(refusal_error(403, [], body.encode(), HERE)) is NotAllowed


@pytest.mark.parametrize("code", CLOSE_MEANINGS)
def test_exit_code_of_a_close_code_is_that_of_the_probe(code: int) -> None:
    error = closed_error(Closed(code, "", ClosedBy.PEER))
    fault = FAULTS.get(f"close_{int(code)}")
    assert error.exit_code is (fault.exit_code if fault else ExitCode.CUT)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (1000, LinkCut),
        (1006, LinkCut),
        (1012, LinkCut),
        (3999, LinkCut),
        (4409, LinkCut),
        (4499, LinkCut),
        (4500, NotAllowed),
        (4501, NotAllowed),
        (4503, NotAllowed),
        (4999, NotAllowed),
    ],
)
def test_close_code_says_whether_to_come_back(code: int, kind: type[WsdevError]) -> None:
    error = closed_error(Closed(code, "because\x1b", ClosedBy.PEER))
    assert type(error) is kind
    assert error.code == f"close_{code}"
    assert str(code) in error.cause
    assert r"because\x1b" in error.cause


def test_reason_that_only_repeats_the_meaning_is_said_once() -> None:
    error = closed_error(Closed(4501, "the token was revoked", ClosedBy.PEER))
    assert error.cause.count("revoked") == 1
