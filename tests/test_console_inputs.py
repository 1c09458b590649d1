from __future__ import annotations

from typing import Any, Literal

import pytest
from starlette.datastructures import QueryParams
from starlette.requests import Request

from wsdev.console.inputs import MOST_BODY, MOST_VALUES, Body, Query, read_body, read_query
from wsdev.console.problems import NotServed


class Asked(Query, frozen=True, kw_only=True, rename={"device_class": "class"}):
    device_class: tuple[str, ...] = ()
    text: str | None = None
    count: int = 1
    is_big: bool = False
    sort: Literal["a", "b"] | None = None


class Said(Body, frozen=True, kw_only=True):
    count: int = 1


class Needed(Body, frozen=True, kw_only=True):
    count: int


def test_query_becomes_a_struct() -> None:
    query = read_query(QueryParams("class=x&class=y&text=null&count=7&is_big=true&sort=b"), Asked)
    assert query == Asked(device_class=("x", "y"), text="null", count=7, is_big=True, sort="b")
    assert read_query(QueryParams(""), Asked) == Asked()


@pytest.mark.parametrize(
    "query",
    ["nonsense=1", "count=x", "count=", "count= 1", "count=1&count=2", "sort=null", "sort=c",
     "text=a&text=b", "is_big=perhaps", "&".join(["class=x"] * (MOST_VALUES + 1))],
    ids=lambda query: query[:20],
)  # fmt: skip
def test_query_that_cannot_be_meant_is_refused(query: str) -> None:
    with pytest.raises(NotServed) as refused:
        read_query(QueryParams(query), Asked)
    assert refused.value.status == 422


def request(body: bytes, kind: str = "application/json", length: str | None = None) -> Request:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    headers = [(b"content-type", kind.encode())]
    if length is not None:
        headers.append((b"content-length", length.encode()))
    return Request({"type": "http", "method": "POST", "headers": headers}, receive)


async def test_body_becomes_a_struct() -> None:
    assert await read_body(request(b'{"count": 7}'), Needed) == Needed(count=7)
    assert await read_body(request(b"{}", "application/json; charset=utf-8"), Said) == Said()


async def test_body_may_be_left_out_where_nothing_is_needed() -> None:
    assert await read_body(request(b"", "text/plain"), Said) == Said()


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"", "application/json", 422),
        (b"{}", "application/json", 422),
        (b"{", "application/json", 422),
        (b'{"count": "7"}', "application/json", 422),
        (b'{"count": 7, "other": 1}', "application/json", 422),
        (b"\xff\xfe", "application/json", 422),
        (b"[" * 60_000, "application/json", 422),
        (b'{"count": 7}', "text/plain", 415),
        (b" " * (MOST_BODY + 1), "application/json", 413),
    ],
    ids=lambda value: str(value)[:20],
)
async def test_body_that_cannot_be_meant_is_refused(body: bytes, kind: str, status: int) -> None:
    with pytest.raises(NotServed) as refused:
        await read_body(request(body, kind), Needed)
    assert refused.value.status == status


@pytest.mark.parametrize("length", ["99999999", "-1", "x"])
async def test_length_out_of_bounds_is_refused_unread(length: str) -> None:
    with pytest.raises(NotServed) as refused:
        await read_body(request(b"{}", length=length), Said)
    assert refused.value.status == 413
