"""What the console answers when it says no: problem documents (RFC 9457).

``type`` is ``about:blank``, so ``title`` is the status's own phrase; ``code`` is the word for
programs and ``hint`` what to do, as everywhere in wsdev.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import msgspec
from starlette.responses import Response

from wsdev.errors import DeviceOffline, Side, WsdevError

MEDIA_TYPE: Final = "application/problem+json"


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Why a request was not served."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str
    hint: str = ""


class OfflineProblem(Problem, frozen=True, kw_only=True):
    """A command's device is away; times are Unix seconds, null if it was never here."""

    offline_since: float | None
    last_seen: float | None


class NotServed(WsdevError):
    """A request that the console does not serve.

    Args:
        status: Of HTTP.
        headers: That go with it, such as ``Retry-After``.
    """

    side = Side.PEER

    def __init__(
        self,
        status: int,
        code: str,
        cause: str,
        hint: str = "",
        *,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(cause, hint, code=code)
        self.status = status
        self.headers = dict(headers or {})


_STATUS: Final[Mapping[str, int]] = {
    "no_such_token": HTTPStatus.NOT_FOUND,
    "token_unknown": HTTPStatus.NOT_FOUND,
    "token_mistyped": HTTPStatus.NOT_FOUND,
    "name_claimed": HTTPStatus.CONFLICT,
    "ambiguous": HTTPStatus.CONFLICT,
    "command_too_large": HTTPStatus.UNPROCESSABLE_ENTITY,
    "bad_command": HTTPStatus.UNPROCESSABLE_ENTITY,
    "bad_timeout": HTTPStatus.UNPROCESSABLE_ENTITY,
    "bad_queue_time": HTTPStatus.UNPROCESSABLE_ENTITY,
    "bad_name": HTTPStatus.UNPROCESSABLE_ENTITY,
    "holds_token": HTTPStatus.UNPROCESSABLE_ENTITY,
    "too_many_commands": HTTPStatus.TOO_MANY_REQUESTS,
    "queue_full": HTTPStatus.TOO_MANY_REQUESTS,
    "unknown_command": HTTPStatus.NOT_FOUND,
    "not_queued": HTTPStatus.CONFLICT,
    "usage": HTTPStatus.UNPROCESSABLE_ENTITY,
}
"""Of the errors that a request can bring about; all others are the host's: 503."""


def answer_to(error: WsdevError) -> Response:
    """The problem document that tells of an error."""
    if isinstance(error, NotServed):
        return answer(error.status, error.code, error.cause, error.hint, error.headers)
    if isinstance(error, DeviceOffline):
        return _offline(error)
    status = _STATUS.get(error.code, HTTPStatus.SERVICE_UNAVAILABLE)
    return answer(status, error.code, error.cause, error.hint)


def _offline(error: DeviceOffline) -> Response:
    problem = OfflineProblem(
        title=HTTPStatus.CONFLICT.phrase,
        status=HTTPStatus.CONFLICT,
        detail=error.cause,
        code=error.code,
        hint=error.hint,
        offline_since=error.since,
        last_seen=error.last_seen,
    )
    return Response(msgspec.json.encode(problem), HTTPStatus.CONFLICT, media_type=MEDIA_TYPE)


def answer(
    status: int, code: str, detail: str, hint: str = "", headers: Mapping[str, str] | None = None
) -> Response:
    """A problem document as an answer."""
    problem = Problem(
        title=HTTPStatus(status).phrase, status=int(status), detail=detail, code=code, hint=hint
    )
    return Response(
        msgspec.json.encode(problem), status, dict(headers or {}), media_type=MEDIA_TYPE
    )
