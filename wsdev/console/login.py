"""``/login`` and ``/logout``: a session for the page, and who one is."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from starlette.responses import Response

from wsdev import __version__
from wsdev.console.gate import Operator, Way
from wsdev.console.inputs import Body
from wsdev.console.operations import Call, Operation, json_answer, no_content


class Credentials(Body, frozen=True, kw_only=True):
    """An operator token."""

    token: Annotated[str, msgspec.Meta(max_length=256)]


class Who(msgspec.Struct, frozen=True):
    """Who asks.

    Attributes:
        way: ``local`` needs no login, and cannot log out.
        name: Of the token, or its id.
    """

    way: Way
    name: str
    version: str = __version__


def _who(operator: Operator) -> Who:
    return Who(operator.way, operator.name)


async def log_in(call: Call) -> Response:
    """Begin a session."""
    operator, cookie = call.plane.gate.log_in(call.request, call.body.token)
    return json_answer(_who(operator), headers={"Set-Cookie": cookie})


async def log_out(call: Call) -> Response:
    """End the session, if there is one."""
    return no_content({"Set-Cookie": call.plane.gate.log_out(call.request)})


async def show_who(call: Call) -> Response:
    """Who asks, and how that one came in."""
    assert call.operator is not None
    return json_answer(_who(call.operator))


OPERATIONS: Final = (
    Operation(
        method="POST",
        path="/login",
        handler=log_in,
        summary="Begin a session for the page: an HttpOnly cookie for 12 hours.",
        body=Credentials,
        answer=Who,
        problems={401: "no good operator token", 429: "too many wrong tokens"},
        is_public=True,
    ),
    Operation(
        method="POST",
        path="/logout",
        handler=log_out,
        summary="End the session.",
        media=None,
        status=204,
        is_public=True,
    ),
    Operation(
        method="GET",
        path="/api/me",
        handler=show_who,
        summary="Who asks, and how that one came in.",
        answer=Who,
    ),
)
