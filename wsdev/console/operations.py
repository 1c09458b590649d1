"""An operation of the API as a row of a table: routes and the OpenAPI document are made from it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from wsdev.console.gate import Operator
from wsdev.console.inputs import Body, Query
from wsdev.console.plane import Plane

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Call:
    """One request that was let in.

    Attributes:
        operator: Who asks; None where anybody may.
        query, body: As the operation's Structs.
    """

    plane: Plane
    request: Request
    operator: Operator | None
    query: Any = None
    body: Any = None

    def path(self, name: str) -> str:
        """A part of the path."""
        return str(self.request.path_params[name])


Handler = Callable[[Call], Awaitable[Response]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What can be asked, and what is answered.

    Attributes:
        answer: The Struct of the answer; None for what is no JSON.
        media: Of the answer; None for an empty one.
        also: Further statuses with the same answer, and when.
        problems: Statuses of problem documents that are its own, and when.
        is_public: Anybody may.
        lasts: The answer is a stream without end.
        shown: In the OpenAPI document.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    query: type[Query] | None = None
    body: type[Body] | None = None
    answer: Any = None
    media: str | None = JSON
    status: int = 200
    also: Mapping[int, str] | None = None
    problems: Mapping[int, str] | None = None
    is_public: bool = False
    lasts: bool = False
    shown: bool = True


def json_answer(
    thing: msgspec.Struct, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """A Struct as an answer."""
    return Response(
        msgspec.json.encode(thing), status, dict(headers or {}), media_type="application/json"
    )


def no_content(headers: Mapping[str, str] | None = None) -> Response:
    """Done, and nothing to say about it."""
    return Response(status_code=204, headers=dict(headers or {}))
