"""``wsdev devices --watch``: the devices as they come and go, until Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple, Protocol, TextIO

import msgspec
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from wsdev.commands import amounts
from wsdev.commands.device_views import Look, ask, details, line, print_whole, summary, table
from wsdev.commands.log_streams import has_reader, make_console, quiet_end
from wsdev.console_answers import Device
from wsdev.console_client import ConsoleClient
from wsdev.console_following import Back, Gone, follow
from wsdev.errors import NotAllowed, NotThere, PathError, WsdevError
from wsdev.journal_entries import json_line

LOOK_INTERVAL: Final = 1.0
"""Seconds between two looks at the numbers; who comes and goes is told by an event at once."""

LEAST_INTERVAL: Final = 0.1
"""Between two looks where many come and go."""

GONE: Final = "gone"
"""The state of a name that no device has any more: it told another one."""

_FRAME_ROWS: Final = 4
"""Of the live table beside its devices: title, headings, an empty line, the sum."""


class View(Protocol):
    """Shows the devices.

    Attributes:
        interval: Seconds between two looks while nothing happens.
    """

    def __enter__(self) -> object: ...

    def __exit__(self, *_: object) -> None: ...

    def show(self, look: Look) -> None:
        """Show how it stands; a device that is not in the look has this name no more."""

    def gone(self, error: WsdevError) -> None:
        """Say that the console is away; may come again and again until it is back."""

    def back(self) -> None:
        """Say that it is there again."""


async def watch(client: ConsoleClient, name: str | None, *, as_json: bool) -> None:
    """Show the devices until Ctrl-C, which is a good end.

    Raises:
        WsdevError: the console cannot be asked at the start, or lets nobody in any more.
    """
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()
    with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
        loop.add_signal_handler(signal.SIGTERM, task.cancel)  # so the cursor is shown again
    with contextlib.suppress(asyncio.CancelledError):
        async with client:
            # An error here leaves the terminal as it is; from now on the console may be away.
            since, first = await client.last_sequence(), await ask(client, name)
            with quiet_end(exact=as_json) as out:
                view = _view_for(client, name, out, as_json)
                await _Watch(client, name, view, since).run(first, out)


def _view_for(client: ConsoleClient, name: str | None, out: TextIO, as_json: bool) -> View:
    if as_json:
        return _Changes(out, _json_writer(out))
    console = make_console(out)
    if out.isatty() and not console.is_dumb_terminal:
        return _Screen(console, client.address.http_url("/"), is_one=name is not None)
    return _Changes(out, _line_writer(console))


class _Watch:
    """Asks for the devices each second, and at once when one comes or goes."""

    def __init__(self, client: ConsoleClient, name: str | None, view: View, since: int) -> None:
        self._client = client
        self._name = name
        self._view = view
        self._since = since
        self._lacks: set[str] = set()  # of what a console gives: its list, its events
        self._news = asyncio.Event()

    async def run(self, look: Look, out: TextIO) -> None:
        following = asyncio.create_task(self._follow())
        try:
            with self._view:
                self._view.show(look)
                while has_reader(out):
                    await self._wait(following)
                    await self._look()
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    async def _wait(self, following: asyncio.Task[None]) -> None:
        await asyncio.sleep(LEAST_INTERVAL)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_INTERVAL - LEAST_INTERVAL):
                await self._news.wait()
        self._news.clear()
        if following.done():
            following.result()

    async def _look(self) -> None:
        try:
            look = await ask(self._client, self._name)
        except (PathError, NotAllowed) as error:
            self._lack("list", error)
            return
        except NotThere:
            if self._name is None:
                raise
            look = Look([], {"devices": []})  # it may come again
        self._has("list")
        self._view.show(look)

    async def _follow(self) -> None:
        names = ("connected", "disconnected", "renamed")
        async with contextlib.aclosing(
            follow(self._client, names, after=self._since)
        ) as happenings:
            async for happening in happenings:
                if isinstance(happening, Gone):
                    self._lack("events", happening.error)
                elif isinstance(happening, Back):
                    self._has("events")
                else:
                    self._news.set()

    def _lack(self, what: str, error: WsdevError) -> None:
        self._lacks.add(what)
        self._view.gone(error)

    def _has(self, what: str) -> None:
        """One that drains answers still, but ends its events: it is back once it gives both."""
        if self._lacks == {what}:
            self._view.back()
        self._lacks.discard(what)


def tell_gone(error: WsdevError) -> None:
    """Say on standard error that the console is away."""
    sys.stderr.write(f"wsdev: the console is gone: {error.cause}; waiting for it\n")
    sys.stderr.flush()


def tell_back() -> None:
    """Say on standard error that the console is there again."""
    sys.stderr.write("wsdev: the console is back\n")
    sys.stderr.flush()


# In a pipe, a file, or for a program


class _Change(NamedTuple):
    """A device as it is now, and its document; in the state ``gone`` as it was last."""

    device: Device
    document: dict[str, Any]


_Write = Callable[[Sequence[_Change]], None]


class _Changes(contextlib.AbstractContextManager["_Changes"]):
    """A line for each device at first, and then for each that comes, goes or is another one."""

    def __init__(self, out: TextIO, write: _Write) -> None:
        self._out = out
        self._write = write
        self._last: dict[str, _Change] = {}
        self._is_gone = False

    def __exit__(self, *_: object) -> None:
        """Nothing to put away."""

    def show(self, look: Look) -> None:
        documents = look.document.get("devices", [look.document])
        by_name = {document["name"]: document for document in documents}
        now = {device.name: _Change(device, by_name[device.name]) for device in look.devices}
        changed = [_gone(last) for name, last in self._last.items() if name not in now]
        changed += [one for name, one in now.items() if _state(one) != _state(self._last.get(name))]
        self._last = now
        if changed:
            self._write(changed)
            self._out.flush()

    def gone(self, error: WsdevError) -> None:
        if not self._is_gone:
            self._is_gone = True
            tell_gone(error)

    def back(self) -> None:
        self._is_gone = False
        tell_back()


def _state(change: _Change | None) -> tuple[str, str | None] | None:
    return None if change is None else (change.device.state, change.device.session)


def _gone(last: _Change) -> _Change:
    device = msgspec.structs.replace(last.device, state=GONE)
    return _Change(device, {**last.document, "state": GONE})


def _json_writer(out: TextIO) -> _Write:
    def write(changed: Sequence[_Change]) -> None:
        out.writelines(f"{json_line(document)}\n" for _, document in changed)

    return write


def _line_writer(console: Console) -> _Write:
    width = 8

    def write(changed: Sequence[_Change]) -> None:
        nonlocal width
        width = max([width, *(len(device.name) for device, _ in changed)])
        when = datetime.now().astimezone().isoformat(timespec="milliseconds")
        for device, _ in changed:
            text = Text.assemble((f"{when}  ", "dim"), line(device, width))
            console.print(text, soft_wrap=True)

    return write


# In a terminal


class _Screen(contextlib.AbstractContextManager["_Screen"]):
    """A screen of its own, as a resized table leaves nothing behind there; the last look stays."""

    def __init__(self, console: Console, url: str, *, is_one: bool) -> None:
        self._console = console
        self._url = url
        self._is_one = is_one
        self._look = Look([], None)
        self._is_there = True
        self._gone: WsdevError | None = None
        self._gone_since = 0.0
        self._live = Live(console=console, auto_refresh=False, screen=True)

    def __enter__(self) -> _Screen:
        self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.__exit__(None, None, None)
        print_whole(self._console, self._body(None))
        self._console.print(self._foot())

    def show(self, look: Look) -> None:
        self._is_there = bool(look.devices) or not self._is_one
        if self._is_there:
            self._look = look
        self._draw()

    def gone(self, error: WsdevError) -> None:
        if self._gone is None:
            self._gone, self._gone_since = error, time.monotonic()
        self._draw()

    def back(self) -> None:
        self._gone = None

    def _draw(self) -> None:
        title = Text(f"{self._url}  {time.strftime('%H:%M:%S')}, until Ctrl-C", style="dim")
        title.truncate(self._console.width, overflow="ellipsis")
        rows = max(1, self._console.height - _FRAME_ROWS)
        parts = Group(title, self._body(rows), Text(), self._foot())
        self._live.update(parts, refresh=True)

    def _body(self, rows: int | None) -> Group:
        devices, width = self._look.devices, self._console.width
        if self._is_one:
            return details(devices[0], width)
        return Group(table(devices, width, rows))

    def _foot(self) -> Text:
        if self._gone is None:
            if not self._is_there:
                return Text("no such device now; this is what was known last", style="bold red")
            return Text("" if self._is_one else summary(self._look.devices))
        away = amounts.duration(max(1.0, time.monotonic() - self._gone_since))
        return Text(
            f"the console is gone for {away}: {self._gone.cause}; this is what it said last",
            style="bold red",
        )
