"""What a request says, read with bounds: its query and its JSON body as Structs."""

from __future__ import annotations

import asyncio
from typing import Any, Final, TypeVar

import msgspec
from starlette.datastructures import QueryParams
from starlette.requests import ClientDisconnect, Request

from wsdev.console.problems import NotServed
from wsdev.sanitize import printable

MOST_BODY: Final = 64 * 1024
"""Bytes of a request's body: the largest is a command, of 4 KiB at the device."""

BODY_SECONDS: Final = 10.0

MOST_VALUES: Final = 64
"""Of one query parameter that may repeat."""

_Asked = TypeVar("_Asked", bound=msgspec.Struct)


class Query(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a query says; fields that are lists may repeat."""


class Body(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a JSON body says."""


def read_query(params: QueryParams, wanted: type[_Asked]) -> _Asked:
    """The query as a Struct.

    Raises:
        NotServed: 422, with the parameter that cannot be meant.
    """
    fields = {field.encode_name: field for field in msgspec.structs.fields(wanted)}
    values: dict[str, Any] = {}
    for name in params:
        texts = params.getlist(name)
        field = fields.get(name)
        if field is None:
            raise _unfit(f"there is no parameter {printable(name, 64)}", _known(fields))
        if str(field.type).startswith("tuple"):
            values[name] = texts
        elif len(texts) > 1:
            raise _unfit(f"{name} is given more than once", "give it once")
        else:
            values[name] = _plain(texts[0], field.type)
        if len(texts) > MOST_VALUES:
            raise _unfit(f"{name} is given more than {MOST_VALUES} times", "ask in parts")
    try:
        return msgspec.convert(values, wanted, strict=False)
    except msgspec.ValidationError as error:
        raise _unfit(printable(str(error)), _known(fields)) from None


def _plain(text: str, wanted: Any) -> Any:
    if "str" in str(wanted):
        return text
    # msgspec would take the word null for nothing.
    if not text.strip() or text != text.strip() or text.lower() == "null":
        raise _unfit(f"{printable(text, 64)!r} is no value", "leave the parameter out")
    return text


def _known(fields: dict[str, Any]) -> str:
    return f"known are: {', '.join(fields)}" if fields else "there are none here"


def _unfit(cause: str, hint: str = "see /openapi.json") -> NotServed:
    return NotServed(422, "unfit", cause, hint)


async def read_body(request: Request, wanted: type[_Asked]) -> _Asked:
    """The JSON body as a Struct; what has no field without a default may be left out.

    Raises:
        NotServed: 408, 413, 415 or 422.
    """
    data = await _read(request)
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not data and not any(field.required for field in msgspec.structs.fields(wanted)):
        return wanted()
    if given != "application/json":
        raise NotServed(
            415, "not_json", "the body is not JSON", "send it with Content-Type: application/json"
        )
    try:
        return msgspec.json.decode(data, type=wanted)
    except msgspec.MsgspecError as error:
        raise _unfit(printable(str(error))) from None
    except (UnicodeDecodeError, RecursionError):
        raise _unfit("the body is not JSON") from None


async def _read(request: Request) -> bytes:
    too_large = NotServed(413, "too_large", f"the body is over {MOST_BODY} bytes", "send less")
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > MOST_BODY:
        raise too_large
    data = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for piece in request.stream():
                data += piece
                if len(data) > MOST_BODY:
                    raise too_large
    except TimeoutError:
        raise NotServed(408, "too_slow", "the body did not come in time", "try again") from None
    except ClientDisconnect:
        raise NotServed(400, "cut", "the request was cut") from None
    return bytes(data)
