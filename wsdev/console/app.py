"""The console as an ASGI application: the operations behind the gate, and what they share."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import cached_property
from typing import Final

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wsdev.console import (
    commands,
    devices,
    events,
    health,
    journal,
    login,
    page,
    pictures,
    problems,
    tokens,
)
from wsdev.console.inputs import read_body, read_query
from wsdev.console.openapi import document
from wsdev.console.operations import Call, Operation
from wsdev.console.plane import Plane
from wsdev.console.streams import Stream
from wsdev.errors import WsdevError
from wsdev.logs import log, log_fault

SECURITY_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:;"
        " connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self';"
        # A browser then refuses to make markup of text, whoever wrote the script.
        " require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # No page of another site shows a camera's picture.
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class Application:
    """All operations of the console."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self.operations: tuple[Operation, ...] = (
            *devices.OPERATIONS,
            *pictures.OPERATIONS,
            *commands.OPERATIONS,
            *events.OPERATIONS,
            *journal.OPERATIONS,
            *tokens.OPERATIONS,
            *login.OPERATIONS,
            *health.OPERATIONS,
            *page.OPERATIONS,
            Operation(
                method="GET",
                path="/openapi.json",
                handler=self._show_document,
                summary="This document.",
                shown=False,
            ),
        )
        self._public = {op.path for op in self.operations if op.is_public}
        app = Starlette(
            routes=_routes(self.operations, plane),
            exception_handlers={
                HTTPException: _http_problem,
                WsdevError: _own_problem,
                Exception: _fault,
            },
        )
        app.router.redirect_slashes = False
        self._app = _guarded(app, plane, self._public)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        await self._app(scope, receive, _with_headers(scope, send))

    @cached_property
    def _document(self) -> bytes:
        return msgspec.json.encode(document(self.operations))

    async def _show_document(self, _: Call) -> Response:
        return Response(self._document, media_type="application/json")


def _routes(operations: Iterable[Operation], plane: Plane) -> list[Route]:
    by_path: dict[str, dict[str, Operation]] = {}
    for operation in operations:
        by_path.setdefault(operation.path, {})[operation.method] = operation
    # What is spelled out comes before what stands for anything.
    paths = sorted(by_path, key=lambda path: ("{" in path, path))
    return [
        Route(path, _endpoint(by_path[path], plane), methods=list(by_path[path])) for path in paths
    ]


def _endpoint(by_method: dict[str, Operation], plane: Plane) -> ASGIApp:
    async def serve(request: Request) -> Response:
        head_only = request.method == "HEAD"
        operation = by_method["GET" if head_only else request.method]
        query = None
        if operation.query is not None:
            query = read_query(request.query_params, operation.query)
        body = None if operation.body is None else await read_body(request, operation.body)
        operator = request.scope.get("operator")
        answer = await operation.handler(Call(plane, request, operator, query, body))
        if head_only and isinstance(answer, Stream):
            return await answer.without_pieces()
        return answer

    return serve  # type: ignore[return-value]


def _guarded(app: ASGIApp, plane: Plane, public: set[str]) -> ASGIApp:
    """Let in whoever may; before it is even said whether there is such a path."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if scope["path"] not in public:
            request = Request(scope)
            try:
                scope["operator"] = await plane.gate.admit(request)
            except problems.NotServed as refused:
                _log_refusal(request, refused)
                await problems.answer_to(refused)(scope, receive, send)
                return
        await app(scope, receive, send)

    return serve


def _log_refusal(request: Request, refused: problems.NotServed) -> None:
    client = request.client
    log(
        logging.WARNING,
        "console_refused",
        address=None if client is None else client.host,
        code=refused.code,
        status=refused.status,
    )


def _with_headers(scope: Scope, send: Send) -> Send:
    async def with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = {name.lower() for name, _ in message.get("headers", [])}
            added = dict(SECURITY_HEADERS)
            if b"cache-control" not in given:
                added["Cache-Control"] = "no-store"
            message["headers"] = [
                *message.get("headers", []),
                *((name.lower().encode(), value.encode()) for name, value in added.items()),
            ]
        await send(message)

    return with_headers if scope["type"] == "http" else send


_HTTP_CODES: Final = {
    404: ("not_found", "there is nothing at this path", "see /openapi.json"),
    405: ("method_not_allowed", "this path takes other methods", "see the Allow header"),
}


async def _http_problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    known = _HTTP_CODES.get(error.status_code, ("bad_request", "this cannot be served", ""))
    return problems.answer(error.status_code, *known, headers=error.headers)


async def _own_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, WsdevError)
    if isinstance(error, problems.NotServed) and error.status in {401, 403, 429}:
        _log_refusal(request, error)
    return problems.answer_to(error)


async def _fault(_: Request, error: Exception) -> Response:
    log_fault("fault", error, doing="console")
    return problems.answer(500, "fault", "something went wrong here", "the gateway's log has more")
