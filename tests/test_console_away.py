from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_hub import member

from wsdev.console import away
from wsdev.console.away import KNOWN_FOR, Away
from wsdev.device_history import RecordedLink
from wsdev.errors import JournalError
from wsdev.hub import Hub

WALL = 1_800_000_000.0


class Setup:
    """A hub, and a journal in which is what the test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.hub = Hub(max_command=4096)
        self.recorded: list[RecordedLink] = []
        self.reads: list[asyncio.Event] = []
        self.error: Exception | None = None
        self.away = Away(self.hub, Path(), lambda: self.now, lambda: WALL)
        monkeypatch.setattr(Away, "_read", lambda _: list(self.recorded))

    async def links(self) -> dict[str, RecordedLink]:
        """Those that are away."""

        async def aside(read: Callable[[], list[RecordedLink]]) -> list[RecordedLink]:
            return read()

        return {link.device: link for link in await self.away.links(aside)}

    def ask(self) -> asyncio.Task[list[RecordedLink]]:
        """A request for them; what it reads of the journal comes when the test says so."""

        async def aside(read: Callable[[], list[RecordedLink]]) -> list[RecordedLink]:
            found = read()
            ready = asyncio.Event()
            self.reads.append(ready)
            await ready.wait()
            if self.error is not None:
                raise self.error
            return found

        return asyncio.create_task(self.away.links(aside))

    def come_and_go(self, name: str) -> None:
        who = member(name)
        self.hub.join(who)
        self.hub.leave(who)


def link(session: str = "s-kitchen", **more: Any) -> RecordedLink:
    return RecordedLink(
        session, "kitchen", "pico", "192.0.2.1", None, None, **{"started": 0, **more}
    )


async def turns() -> None:
    """Let all tasks come to where they wait."""
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.fixture
def setup(monkeypatch: pytest.MonkeyPatch) -> Setup:
    return Setup(monkeypatch)


async def test_device_that_leaves_for_the_first_time_is_away_at_once(setup: Setup) -> None:
    assert await setup.links() == {}
    who = member("kitchen")
    who.version = "1.2"
    setup.hub.join(who)
    setup.hub.leave(who)
    left = (await setup.links())["kitchen"]
    assert left == setup.away.latest("kitchen", None)
    assert (left.session, left.ended, left.version) == ("s-kitchen", WALL * 1000, "1.2")


@pytest.mark.parametrize(
    ("recorded", "known"),
    [
        pytest.param(None, False, id="not on disk yet"),
        pytest.param(link(), False, id="without its end"),
        pytest.param(link("s-0", started=-1, ended=0), False, id="an earlier link"),
        pytest.param(link(ended=1), True, id="with its end"),
        pytest.param(link("s-2", started=1), True, id="a later link"),
    ],
)
async def test_who_left_is_remembered_until_the_journal_has_the_end(
    setup: Setup, recorded: RecordedLink | None, *, known: bool
) -> None:
    assert await setup.links() == {}
    setup.come_and_go("kitchen")
    setup.recorded = [] if recorded is None else [recorded]
    setup.now += KNOWN_FOR + 1
    found = (await setup.links())["kitchen"]
    assert (setup.away.latest("kitchen", recorded) == recorded) is known
    assert (setup.away.latest("kitchen", None) is None) is known
    assert (found == recorded) is known


async def test_device_that_is_there_is_not_away(setup: Setup) -> None:
    setup.recorded = [link(ended=1)]
    assert list(await setup.links()) == ["kitchen"]
    setup.come_and_go("kitchen")
    back = member("kitchen")
    setup.hub.join(back)
    assert setup.away.latest("kitchen", None) is None
    assert await setup.links() == {}
    setup.hub.rename(back, "porch")  # the journal still has it under the name of before
    setup.recorded = [link(back.session_id)]
    setup.now += KNOWN_FOR + 1
    assert await setup.links() == {}


async def test_what_is_remembered_is_bounded(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(away, "MOST_DEVICES", 2)
    for name in ("a", "b", "a", "c"):
        setup.come_and_go(name)
    assert sorted(await setup.links()) == ["a", "c"]
    for _ in range(2):
        await setup.away.close()
    setup.come_and_go("d")
    assert await setup.links() == {}


async def test_older_read_does_not_replace_a_newer_one(setup: Setup) -> None:
    setup.come_and_go("kitchen")
    first = setup.ask()
    await turns()
    setup.recorded = [link(ended=1)]
    second = setup.ask()
    await turns()
    for ready in reversed(setup.reads):
        ready.set()
        await turns()
    assert [found.device for found in await first] == ["kitchen"]
    assert [found.device for found in await second] == ["kitchen"]
    assert list(await setup.links()) == ["kitchen"]


async def test_all_who_ask_meanwhile_share_one_read(setup: Setup) -> None:
    setup.recorded = [link(ended=1)]
    asked = [setup.ask() for _ in range(3)]
    await turns()
    (ready,) = setup.reads
    asked[0].cancel()  # also the one that began it
    await turns()
    ready.set()
    assert await asked[1] == await asked[2] == setup.recorded
    assert asked[0].cancelled()


async def test_read_that_fails_is_told_to_all_and_tried_again(setup: Setup) -> None:
    loop, unseen = asyncio.get_running_loop(), list[object]()
    loop.set_exception_handler(lambda _, context: unseen.append(context))
    setup.error = JournalError("it is locked", "wait")
    asked = [setup.ask() for _ in range(2)]
    await turns()
    for ready in setup.reads:
        ready.set()
    for request in asked:
        with pytest.raises(JournalError):
            await request
    alone = setup.ask()
    await turns()
    alone.cancel()
    setup.reads[-1].set()
    await turns()
    del alone  # what nobody took is told of once nobody can any more
    assert await setup.links() == {}
    assert not unseen


async def test_who_got_its_name_and_left_is_not_shown_under_the_made_up_one(setup: Setup) -> None:
    who = member("pico-c0ffee")
    setup.hub.join(who)
    setup.recorded = [link(who.session_id)._replace(device=who.name)]
    assert await setup.links() == {}
    setup.hub.rename(who, "kitchen")
    setup.hub.leave(who)
    assert list(await setup.links()) == ["kitchen"]


async def test_no_read_is_left_when_it_is_closed(setup: Setup) -> None:
    asked = setup.ask()
    await turns()
    await setup.away.close()
    assert asyncio.all_tasks() <= {asyncio.current_task(), asked}
    with pytest.raises(asyncio.CancelledError):
        await asked
