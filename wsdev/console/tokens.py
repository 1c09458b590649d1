"""``/api/tokens``: the token book. A new token's text is in one answer, and nowhere after that.

Written in a thread through an opening of its own, as another program does: the disk may be slow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from starlette.responses import Response

from wsdev.console.inputs import Body
from wsdev.console.operations import Call, Operation, json_answer, no_content
from wsdev.token_file import TokenKind, TokenRecord
from wsdev.tokens import TokenBook

_Result = TypeVar("_Result")

DAY: Final = 86400.0

Seconds = Annotated[float, msgspec.Meta(ge=0, le=365 * DAY)]
Name = Annotated[
    str,
    msgspec.Meta(
        extra_json_schema={
            "pattern": r"^(?!\.{1,2}$)[A-Za-z0-9._]([A-Za-z0-9._-]{0,62}[A-Za-z0-9._])?$"
        }
    ),
]
ClassName = Annotated[
    str, msgspec.Meta(extra_json_schema={"pattern": "^[a-z0-9][a-z0-9_-]{0,23}$"})
]


class Token(msgspec.Struct, frozen=True, kw_only=True, rename={"device_class": "class"}):
    """A token without its text; times are Unix seconds.

    Attributes:
        tail: Its last four characters.
        device_class: ``operator`` for an operator's.
        name: The device's, or the operator's.
    """

    id: str
    kind: TokenKind
    device_class: str
    name: str | None
    state: Literal["active", "retiring", "retired", "revoked"]
    tail: str
    created: float
    retires: float | None
    revoked: float | None


class NewToken(Token, frozen=True, kw_only=True):
    """A token that was just made, with its text, which is shown this once."""

    token: str


class TokenList(msgspec.Struct, frozen=True):
    """All tokens ever made, oldest first.

    Attributes:
        window_seconds: For how long tokens are still handed out at the device plane.
        public_tokens: The policy of ``--public-tokens``.
    """

    tokens: list[Token]
    window_seconds: float
    public_tokens: str


class TokenWish(Body, frozen=True, kw_only=True, rename={"device_class": "class"}):
    """For whom: any device of a class, one device by its name, or (``operator``) a person."""

    device_class: ClassName
    name: Name | None = None


class Rotation(Body, frozen=True, kw_only=True):
    """For how long the old token still lets devices in."""

    grace: Seconds = 3600.0


class Ended(msgspec.Struct, frozen=True):
    """The ids of the tokens that ended; none if they had before."""

    revoked: list[str]


class WindowWish(Body, frozen=True, kw_only=True):
    """For how long tokens are handed out."""

    seconds: Annotated[float, msgspec.Meta(ge=1, le=DAY)] = 600.0


class Window(msgspec.Struct, frozen=True):
    """For how long tokens are still handed out at the device plane; 0 when closed."""

    window_seconds: float


def _facts(record: TokenRecord, now: float) -> dict[str, Any]:
    return {
        "id": record.id,
        "kind": record.kind,
        "device_class": record.device_class,
        "name": record.name,
        "state": record.state(now),
        "tail": record.tail,
        "created": record.created,
        "retires": record.retires,
        "revoked": record.revoked,
    }


async def _in_book(call: Call, work: Callable[[TokenBook], _Result]) -> _Result:
    """Do something with the book in a thread; the gateway knows of it when this returns."""
    gateway = call.plane.gateway

    def write() -> _Result:
        with TokenBook.open(gateway.folder, create=False, clock=gateway.wall_clock) as book:
            return work(book)

    result = await call.plane.aside(write)
    gateway.book.catch_up()
    return result


def _new(call: Call, made: tuple[TokenRecord, str]) -> Response:
    record, text = made
    return json_answer(NewToken(**_facts(record, call.plane.gateway.wall_clock()), token=text), 201)


async def list_tokens(call: Call) -> Response:
    """All tokens, without their texts."""
    gateway = call.plane.gateway
    now = gateway.wall_clock()
    tokens = [Token(**_facts(record, now)) for record in gateway.book.list()]
    return json_answer(
        TokenList(tokens, gateway.book.window_left(), gateway.settings.public_tokens)
    )


async def create(call: Call) -> Response:
    """Make a token."""
    wish: TokenWish = call.body

    def make(book: TokenBook) -> tuple[TokenRecord, str]:
        if wish.device_class == TokenKind.OPERATOR:
            return book.create_operator(name=wish.name)
        return book.create(wish.device_class, name=wish.name)

    return _new(call, await _in_book(call, make))


async def rotate(call: Call) -> Response:
    """Replace a token."""
    target, grace = call.path("id"), call.body.grace
    return _new(call, await _in_book(call, lambda book: book.rotate(target, grace=grace)))


async def revoke(call: Call) -> Response:
    """End a token now; links and sessions of it close within 2 seconds."""
    target = call.path("id")
    ended = await _in_book(call, lambda book: book.revoke(target))
    return json_answer(Ended([record.id for record in ended]))


async def open_window(call: Call) -> Response:
    """Hand tokens out for a while."""
    seconds = call.body.seconds
    await _in_book(call, lambda book: book.open_window(seconds))
    return json_answer(Window(call.plane.gateway.book.window_left()))


async def close_window(call: Call) -> Response:
    """Hand tokens out no longer."""
    await _in_book(call, lambda book: book.close_window())
    return no_content()


_NO_SUCH: Final = {404: "no token has this id, name, class or ending", 409: "several have"}

OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/api/tokens",
        handler=list_tokens,
        summary="All tokens, without their texts.",
        answer=TokenList,
    ),
    Operation(
        method="POST",
        path="/api/tokens",
        handler=create,
        summary="Make a token; its text is shown this once.",
        body=TokenWish,
        answer=NewToken,
        status=201,
        problems={409: "the name has a device token already"},
    ),
    Operation(
        method="POST",
        path="/api/tokens/window",
        handler=open_window,
        summary="Hand class tokens out at /public/tokens for a while.",
        body=WindowWish,
        answer=Window,
    ),
    Operation(
        method="DELETE",
        path="/api/tokens/window",
        handler=close_window,
        summary="Hand tokens out no longer.",
        media=None,
        status=204,
    ),
    Operation(
        method="POST",
        path="/api/tokens/{id}/rotate",
        handler=rotate,
        summary="Replace a token (by id, or a device's name); the old one ends after the grace.",
        body=Rotation,
        answer=NewToken,
        status=201,
        problems=_NO_SUCH,
    ),
    Operation(
        method="DELETE",
        path="/api/tokens/{id}",
        handler=revoke,
        summary="End a token now.",
        answer=Ended,
        problems=_NO_SUCH,
    ),
)
