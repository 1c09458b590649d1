"""The plain HTTP answers of the device plane, as bytes.

Some clients match header names case by case, read no chunks and follow no redirect: so canonical
names, always a length, always ``Connection: close``, and short bodies.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

import msgspec

from wsdev.codes import REFUSALS
from wsdev.protocol import HEALTH_PATH, PAGE_PATH, TOKENS_PATH
from wsdev.sanitize import printable

JSON: Final = "application/json"
HTML: Final = "text/html; charset=utf-8"

_PAGE_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"

TOKENS_MESSAGE: Final = "Use these tokens in the Authorization header as 'Bearer <token>'"


def response(
    status: int,
    body: bytes,
    content_type: str = JSON,
    extra: Sequence[tuple[str, str]] = (),
    *,
    head_only: bool = False,
    connection: str = "close",
) -> bytes:
    """A whole HTTP/1.1 answer; ``head_only`` for HEAD, with the length GET would have."""
    lines = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        f"Content-Type: {content_type}",
        f"Content-Length: {len(body)}",
        f"Connection: {connection}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        *(f"{name}: {value}" for name, value in extra),
    ]
    head = "\r\n".join(lines).encode("ascii") + b"\r\n\r\n"
    return head if head_only else head + body


def dated(answer: bytes, unix_time: float) -> bytes:
    """The answer with ``Date`` (RFC 9110 section 6.6.1): a device sees that its clock is wrong."""
    start_line, _, rest = answer.partition(b"\r\n")
    date = f"Date: {formatdate(unix_time, usegmt=True)}"
    return b"\r\n".join((start_line, date.encode("ascii"), rest))


def refusal(
    code: str,
    request_id: str,
    *,
    class_paths: Sequence[str] = (),
    retry_after: int | None = None,
    head_only: bool = False,
) -> bytes:
    """The answer to a request that is refused.

    Args:
        code: A key of :data:`wsdev.codes.REFUSALS`.
        class_paths: Where devices connect, listed when the path was wrong.
        retry_after: Whole seconds.
    """
    kind = REFUSALS[code]
    body: dict[str, object] = {
        "status": "error",
        "code": code,
        "message": kind.message,
        "hint": kind.hint,
        "request_id": request_id,
    }
    extra: list[tuple[str, str]] = []
    connection = "close"
    if kind.status == HTTPStatus.UNAUTHORIZED:
        extra.append(("WWW-Authenticate", "Bearer"))
    elif kind.status == HTTPStatus.METHOD_NOT_ALLOWED:
        extra.append(("Allow", "GET, HEAD"))
    elif kind.status == HTTPStatus.NOT_FOUND:
        body["paths"] = [*class_paths, TOKENS_PATH, HEALTH_PATH, PAGE_PATH]
    elif kind.status == HTTPStatus.UPGRADE_REQUIRED:
        # RFC 9110 section 7.8: a sender of Upgrade names it in Connection too.
        connection = "close, Upgrade"
        extra += [("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")]
    if retry_after is not None:
        extra.append(("Retry-After", str(retry_after)))
    return response(
        kind.status,
        msgspec.json.encode(body),
        JSON,
        extra,
        head_only=head_only,
        connection=connection,
    )


def tokens(
    by_class: Mapping[str, Sequence[str]], unix_time: float, *, head_only: bool = False
) -> bytes:
    """The answer of ``/public/tokens``: one ``<class>_tokens`` list per device class."""
    body: dict[str, object] = {"status": "success"}
    body.update({f"{name}_tokens": list(listed) for name, listed in by_class.items()})
    body["timestamp"] = datetime.fromtimestamp(unix_time, UTC).isoformat(timespec="seconds")
    body["message"] = TOKENS_MESSAGE
    return response(HTTPStatus.OK, msgspec.json.encode(body), head_only=head_only)


def health(state: str, reason: str = "", *, head_only: bool = False) -> bytes:
    """The answer of ``/healthz``: ``ok``, or 503 with ``draining`` or ``degraded`` and why."""
    body = {"status": state} | ({"reason": reason} if reason else {})
    status = HTTPStatus.OK if state == "ok" else HTTPStatus.SERVICE_UNAVAILABLE
    return response(status, msgspec.json.encode(body), head_only=head_only)


_PAGE: Final = """<!doctype html><html lang="en"><meta charset="utf-8">\
<meta name="viewport" content="width=device-width,initial-scale=1"><title>wsdev gateway</title>\
<style>:root{{color-scheme:light dark}}body{{font:1.1rem/1.5 system-ui,sans-serif;max-width:34rem;\
margin:2rem auto;padding:0 1rem}}code{{word-break:break-all}}dt{{font-weight:600}}\
dd{{margin:0 0 1rem}}</style>\
<h1>wsdev gateway</h1><p>It is up, and you reached it.<dl>\
<dt>You are seen from<dd><code>{address}</code>\
<dt>Devices connect at<dd>{urls}\
<dt>Tokens<dd>{tokens}</dl></html>"""


def page(
    *,
    address: str,
    base_url: str,
    class_paths: Sequence[str],
    handing_out: bool,
    head_only: bool = False,
) -> bytes:
    """The small page for a phone: reached or not, seen from where, where devices connect.

    Args:
        base_url: ``ws://host:port`` as the phone reached it; peer text, escaped here.
    """
    base = html.escape(printable(base_url))
    body = _PAGE.format(
        address=html.escape(printable(address)),
        urls="<br>".join(f"<code>{base}{html.escape(path)}</code>" for path in class_paths),
        tokens=(
            f"handed out now at <code>{TOKENS_PATH}</code>"
            if handing_out
            else "not handed out now; on the host run <code>wsdev tokens open --for 10m</code>"
        ),
    )
    extra = [("Content-Security-Policy", _PAGE_POLICY)]
    return response(HTTPStatus.OK, body.encode(), HTML, extra, head_only=head_only)
