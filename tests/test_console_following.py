from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import respx
from console_harness import running_console
from harness import PATIENCE

from wsdev.console_client import ConsoleClient
from wsdev.console_following import Back, Gone, Happening, Told, follow
from wsdev.errors import LinkCut, NotAGateway, TokenRefused
from wsdev.urls import parse_console_address

URL = "http://console.test:3001"
STREAM = {"content-type": "text/event-stream"}


async def soon(happenings: AsyncGenerator[Happening]) -> Happening:
    async with asyncio.timeout(PATIENCE):
        return await anext(happenings)


# A real console


async def test_what_happens_while_the_console_is_away_is_told_when_it_is_back(
    tmp_path: Path,
) -> None:
    async with running_console(tmp_path) as console:
        client = ConsoleClient(parse_console_address(console.url), token=console.token)
        async with client, contextlib.aclosing(follow(client, ["connected"])) as happenings:
            coming = asyncio.ensure_future(soon(happenings))
            while not len(console.plane.feed):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            await console.stop()
            assert isinstance(await coming, Gone), "nothing was told before it ended"
            async with console.gateway.device(name="kitchen"):
                await console.recorded()
            await console.start()
            assert await soon(happenings) == Back()
            told = await soon(happenings)
            assert isinstance(told, Told)
            assert (told.name, told.data["device"]) == ("connected", "kitchen")


async def test_console_that_is_away_is_waited_for_where_the_place_to_begin_is_known(
    tmp_path: Path,
) -> None:
    async with running_console(tmp_path) as console:
        client = ConsoleClient(parse_console_address(console.url), token=console.token)
        async with client:
            known = await client.last_sequence()
            await console.stop()
            async with contextlib.aclosing(follow(client, ["connected"], after=known)) as following:
                assert isinstance(await soon(following), Gone)
                async with console.gateway.device(name="kitchen"):
                    await console.recorded()
                await console.start()
                assert await soon(following) == Back()
                told = await soon(following)
    assert isinstance(told, Told)
    assert (told.name, told.data["device"]) == ("connected", "kitchen")


async def test_token_that_ends_ends_the_watching(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console:
        client = ConsoleClient(parse_console_address(console.url), token=console.token)
        async with client, contextlib.aclosing(follow(client)) as happenings:
            coming = asyncio.ensure_future(soon(happenings))
            while not len(console.plane.feed):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            console.gateway.book.revoke("alice")
            with pytest.raises(TokenRefused, match="no more"):
                await coming


# What a console can say, line by line


@pytest.fixture
def web() -> Iterator[respx.MockRouter]:
    with respx.mock(base_url=URL, assert_all_called=False) as router:
        page = {"entries": [{"sequence": 6}], "before": 6, "after": 6, "complete": True}
        router.get("/api/journal").respond(200, json=page)
        yield router


def stream(*events: tuple[str, Any, int], retry: int = 0) -> httpx.Response:
    text = f"retry: {retry}\n\n" if retry else ""
    for name, data, number in events:
        text += f"id: {number}\n" if number else ""
        text += f"event: {name}\ndata: {data if isinstance(data, str) else json.dumps(data)}\n\n"
    return httpx.Response(200, headers=STREAM, text=text)


async def happened(
    web: respx.MockRouter, count: int, *answers: Any, names: tuple[str, ...] = ()
) -> tuple[list[Happening], list[float]]:
    """The first so many, and the seconds that were waited."""
    route = web.get("/api/events").mock(side_effect=list(answers))
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    found: list[Happening] = []
    async with (
        ConsoleClient(parse_console_address(URL)) as client,
        contextlib.aclosing(follow(client, names, sleep=sleep)) as happenings,
    ):
        while len(found) < count:
            found.append(await anext(happenings))
    web.asked = [call.request.headers["last-event-id"] for call in route.calls]  # type: ignore[attr-defined]
    return found, waits


async def test_it_goes_on_after_the_last_number_that_was_told(web: respx.MockRouter) -> None:
    found, _ = await happened(
        web, 5, stream(("message", {"a": 1}, 7)), stream(("message", {}, 8)), stream()
    )
    assert [type(one) for one in found] == [Told, Gone, Back, Told, Gone]
    assert found[0] == Told("message", {"a": 1})
    assert web.asked == ["6", "7"]  # type: ignore[attr-defined]


async def test_event_that_was_cut_is_asked_for_again(web: respx.MockRouter) -> None:
    cut = httpx.Response(200, headers=STREAM, text='id: 7\nevent: message\ndata: {"a": 1}')
    found, _ = await happened(web, 3, cut, stream(("message", {"a": 1}, 7)))
    assert [type(one) for one in found] == [Gone, Back, Told]
    assert web.asked == ["6", "6"]  # type: ignore[attr-defined]


async def test_it_waits_longer_after_each_try_and_tells_once_that_the_console_is_gone(
    web: respx.MockRouter,
) -> None:
    away = [httpx.ConnectError("x"), httpx.Response(502), httpx.ConnectError("x")]
    found, waits = await happened(web, 2, stream(retry=700), *away, stream(("message", {}, 7)))
    assert [type(one) for one in found] == [Gone, Back]
    assert waits == [0.25, 0.5, 0.7, 0.7]


async def test_another_journal_is_told_and_read_from_where_it_is(web: respx.MockRouter) -> None:
    await happened(web, 3, stream(("reset", {}, 3)), stream(("message", {}, 4)))
    assert web.asked == ["6", "3"]  # type: ignore[attr-defined]
    await happened(web, 3, stream(("reset", {}, 0)), stream(("message", {}, 4)))
    assert web.asked[-2:] == ["6", "0"]  # type: ignore[attr-defined]


async def test_only_the_names_that_are_wanted_are_told(web: respx.MockRouter) -> None:
    answer = stream(
        ("disconnected", {}, 7), ("connected", {"x": 1}, 8), ("reset", {}, 2), ("brandnew", {}, 3)
    )
    found, _ = await happened(web, 3, answer, names=("connected",))
    assert [one.name for one in found if isinstance(one, Told)] == [
        "connected", "reset", "brandnew",
    ]  # fmt: skip


@pytest.mark.parametrize("data", ["[]", "{", "1"])
async def test_events_of_another_service_are_none(web: respx.MockRouter, data: str) -> None:
    found, _ = await happened(web, 1, stream(("message", data, 7)))
    gone = found[0]
    assert isinstance(gone, Gone)
    assert isinstance(gone.error, NotAGateway)


async def test_event_without_end_is_given_up(web: respx.MockRouter) -> None:
    found, _ = await happened(web, 1, httpx.Response(200, headers=STREAM, text="x" * 2**21))
    assert isinstance(found[0], Gone)


async def test_console_that_is_not_there_at_the_start_is_an_error(web: respx.MockRouter) -> None:
    web.get("/api/journal").mock(side_effect=httpx.ConnectError("x"))
    async with ConsoleClient(parse_console_address(URL)) as client:
        with pytest.raises(LinkCut):
            await anext(follow(client))
