from __future__ import annotations

import threading
from pathlib import Path

import pytest
from console_harness import Events, running_console, until
from test_console_gate import problem

from wsdev.console import feed


async def test_events_tell_of_joins_renames_messages_refusals_and_leaves(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console, Events.of(console) as events:
        async with console.gateway.device() as device:
            name, data, _ = await events.next()
            assert (name, data["class"]) == ("connected", "pico")
            await device.hello("kitchen")
            name, data, number = await events.next("renamed")
            assert (data["device"], number) == ("kitchen", 0)
            await device.telemetry("m-1")
            name, data, number = await events.next("message")
            while data["event"] != "telemetry":
                name, data, number = await events.next("message")
            assert (data["device"], data["id"], data["sequence"]) == ("kitchen", "m-1", number)
            await console.gateway.get("/wp-login.php")
            _, data, _ = await events.next("refusal")
            assert data["code"] == "not_found"
        _, data, _ = await events.next("disconnected")
        assert data["device"] == "kitchen"


async def test_stream_goes_on_where_it_was_cut(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console, console.gateway.device(name="hall") as device:
        async with Events.of(console, "?kind=message") as events:
            await device.telemetry("m-1")
            number = 0
            while not number:
                _, data, number = await events.next("message")
                number = number if data["id"] == "m-1" else 0
        for count in range(2, 60):
            await device.telemetry(f"m-{count}")
        resumed = Events.of(console, "?kind=message", f"Last-Event-ID: {number}\r\n")
        async with resumed as events:
            await device.telemetry("m-60")
            got: list[str] = []
            while len(got) < 59:
                _, data, later = await events.next("message")
                assert later > number
                number = later
                if data["direction"] == "in":
                    got.append(data["id"])
        assert got == [f"m-{count}" for count in range(2, 61)]


async def test_number_of_another_journal_is_told(tmp_path: Path) -> None:
    async with (
        running_console(tmp_path) as console,
        Events.of(console, headers="Last-Event-ID: 999999\r\n") as events,
    ):
        name, _, number = await events.next()
        assert name == "reset"
        assert number < 1000


async def test_number_that_the_feed_has_not_heard_of_yet_is_of_this_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_look = threading.Event()
    waiting: set[feed._Tail | None] = set()
    wait = feed._Tail._wait

    def wait_longer(tail: feed._Tail) -> None:
        waiting.add(tail)
        while not may_look.is_set():
            wait(tail)
        wait(tail)

    monkeypatch.setattr(feed._Tail, "_wait", wait_longer)
    async with running_console(tmp_path) as console, console.gateway.device(name="hall") as device:
        await console.recorded()
        async with Events.of(console) as first:
            await until(lambda: console.plane.feed._tail in waiting)
            await device.telemetry("m-1")
            await console.recorded()
            page = (await console.client.get("/api/journal?limit=1")).json()
            newest = page["entries"][-1]["sequence"]
            assert newest > console.plane.feed.reached
            async with Events.of(console, headers=f"Last-Event-ID: {newest}\r\n") as second:
                await until(lambda: len(console.plane.feed) == 2)
                await device.telemetry("m-2")
                await console.recorded()
                may_look.set()
                name, _, number = await second.next()
                assert (name, number) == ("message", newest + 1)
                told: list[str | None] = []
                while "m-2" not in told:
                    _, data, _ = await first.next("message")
                    told.append(data["id"] if data["direction"] == "in" else None)
                assert [own_id for own_id in told if own_id] == ["m-1", "m-2"]


async def test_number_that_is_none_is_refused(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console:
        answer = await console.client.get("/api/events", params={"after": "x"})
        problem(answer, 422, "unfit")
        headers = {"Last-Event-ID": "9" * 40}
        problem(await console.client.get("/api/events", headers=headers), 422, "unfit")


async def test_only_what_is_wanted_is_told(tmp_path: Path) -> None:
    async with (
        running_console(tmp_path) as console,
        Events.of(console, "?device=hall&kind=message") as events,
    ):
        async with console.gateway.device(name="kitchen") as other:
            await other.telemetry("not-this")
        async with console.gateway.device(name="hall") as device:
            await device.telemetry("this")
            while (told := await events.next())[1]["id"] != "this":
                assert told[1]["device"] == "hall"


async def test_nobody_follows_the_journal_while_nobody_watches(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console:

        def is_followed() -> bool:
            return console.plane.feed._tail is not None

        assert not is_followed()
        async with Events.of(console):
            assert is_followed()
        await until(lambda: not is_followed())


async def test_stream_of_a_revoked_token_ends(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console, Events.of(console) as events:
        console.gateway.book.revoke(console.token)
        assert (await events.next("logout"))[0] == "logout"


async def test_silent_stream_shows_that_it_is_alive(tmp_path: Path) -> None:
    from wsdev.console import events as module  # noqa: PLC0415

    before, module.HEARTBEAT = module.HEARTBEAT, 1.0  # type: ignore[misc]
    try:
        async with running_console(tmp_path) as console, Events.of(console) as events:
            assert await events.block() == [": still here"]
    finally:
        module.HEARTBEAT = before  # type: ignore[misc]


async def test_streams_end_with_the_console(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console:
        raw = await console.ask("GET", "/api/events", "Connection: close\r\n")
        await raw.until(b"retry")
    assert (await raw.rest()).endswith(b"0\r\n\r\n")
    await raw.close()
