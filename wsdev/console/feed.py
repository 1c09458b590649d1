"""What happens, as it comes into the journal, for all who watch.

One thread follows the journal while anybody watches, and none while nobody does: so an event costs
the gateway nothing. What it finds is made into text there, once for all viewers.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from wsdev.errors import WsdevError
from wsdev.hub import Change, Hub, Member
from wsdev.journal_entries import Entry, SessionEntry, document, json_line
from wsdev.journal_query import Wanted
from wsdev.journal_reader import JournalReader

LOOK_INTERVAL: Final = 0.1
"""Seconds between two looks at the journal, each of some microseconds."""

MOST_WAITING: Final = 1024 * 1024
"""Bytes that wait for one viewer; above, it is cut off and may come back with Last-Event-ID."""

AT_A_STRETCH: Final = 16
"""Events that are made into text before the event loop has a turn: 0.3 ms of work."""

_BREATH: Final = 0.00005
"""Seconds for that turn. Unasked, Python lets the loop wait for up to 5 ms, and a device as long
for its answer; a sleep of none at all would not wake the loop."""

MOST_BODY: Final = 2048
"""Characters of a message's body that are told; /api/journal has the rest."""


class Told(NamedTuple):
    """Something that happened, as a server-sent event.

    Attributes:
        sequence: In the journal; 0 for what is not in it.
    """

    sequence: int
    kind: str
    device: str | None
    device_class: str | None
    text: bytes


class Choice(NamedTuple):
    """Which events a viewer wants; nothing means all."""

    kinds: frozenset[str] = frozenset()
    devices: frozenset[str] = frozenset()
    device_classes: frozenset[str] = frozenset()

    def takes(self, told: Told) -> bool:
        """Whether it is wanted."""
        return (
            (not self.kinds or told.kind in self.kinds)
            and (not self.devices or told.device in self.devices)
            and (not self.device_classes or told.device_class in self.device_classes)
        )


def event_text(name: str, data: str, sequence: int = 0) -> bytes:
    """A server-sent event; ``data`` is one line."""
    number = f"id: {sequence}\n" if sequence else ""
    return f"{number}event: {name}\ndata: {data}\n\n".encode()


def tell(entry: Entry) -> Told:
    """An entry of the journal as an event, named by its kind, or a session's by what happened."""
    fields: dict[str, Any] = document(entry)
    fields.pop("picture", None)  # a path on this host
    body = fields.get("body")
    if body is not None and len(body) > MOST_BODY:
        fields |= {"body": body[:MOST_BODY], "cut": True}
    name = entry.event if isinstance(entry, SessionEntry) else entry.kind
    text = event_text(name, json_line(fields), entry.sequence)
    device, device_class = fields.get("device"), fields.get("class")
    return Told(entry.sequence, entry.kind, device, device_class, text)


def tell_all(entries: Sequence[Entry]) -> list[Told]:
    """The same for many, in a thread beside the event loop's, which has a turn now and then."""
    told = []
    for start in range(0, len(entries), AT_A_STRETCH):
        if start:
            time.sleep(_BREATH)
        told += [tell(entry) for entry in entries[start : start + AT_A_STRETCH]]
    return told


class Viewer:
    """Somebody who watches, with what it has not read yet.

    Args:
        after: The number up to which it knows the journal.

    Attributes:
        is_over: Nothing more comes: it was too slow, or the journal cannot be read.
    """

    def __init__(self, choice: Choice, after: int = 0) -> None:
        self.choice = choice
        self._after = after
        self.is_over = False
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._news = asyncio.Event()

    def take(self, all_told: Iterable[Told]) -> None:
        """Keep what is wanted until it is read; end when it gets too much."""
        for told in all_told:
            if self.is_over or not self.choice.takes(told):
                continue
            if 0 < told.sequence <= self._after:
                continue
            self._size += len(told.text)
            if self._size > MOST_WAITING:
                self.end()
                return
            self._waiting.append(told.text)
        if self._waiting:
            self._news.set()

    def end(self) -> None:
        """Let it go, without what it has not read."""
        self.is_over = True
        self._waiting.clear()
        self._news.set()

    async def read(self, patience: float) -> bytes:
        """All that waits; empty if nothing comes in time."""
        if not self._waiting and not self.is_over:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await self._news.wait()
        self._news.clear()
        text = b"".join(self._waiting)
        self._waiting.clear()
        self._size = 0
        return text


class _Stopped(Exception):
    """Nobody watches any more."""


class _Tail:
    """The thread that follows the journal, for as long as somebody watches."""

    def __init__(self, folder: Path, deliver: Callable[[list[Told], int], None]) -> None:
        self._folder = folder
        self._deliver = deliver
        self._loop = asyncio.get_running_loop()
        self._stop = threading.Event()
        self.started: asyncio.Future[int] = self._loop.create_future()
        self.ended = False
        self.thread = threading.Thread(target=self._run, name="console-feed")
        self.thread.start()

    def stop(self) -> None:
        """End soon."""
        self._stop.set()

    def _run(self) -> None:
        try:
            with contextlib.suppress(_Stopped), JournalReader(self._folder) as reader:
                after = reader.last_sequence()
                self._on_loop(self._begin, after)
                for page in reader.follow(Wanted(), after, self._wait):
                    self._hand_over(tell_all(page.entries), page.reached)
        except WsdevError as error:
            self._on_loop(self._fail, error)
        except BaseException as fault:
            self._on_loop(self._fail, fault)
            raise

    def _wait(self) -> None:
        if self._stop.wait(LOOK_INTERVAL):
            raise _Stopped

    def _hand_over(self, told: list[Told], reached: int) -> None:
        """Give the loop one page, and wait until it has it: no heap of pages grows there."""
        taken = threading.Event()

        def give() -> None:
            if not self._stop.is_set():
                self._deliver(told, reached)
            taken.set()

        self._on_loop(give)
        while not taken.wait(LOOK_INTERVAL):
            if self._stop.is_set():
                raise _Stopped
        if self._stop.is_set():
            raise _Stopped

    def _on_loop(self, call: Callable[..., object], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(call, *arguments)
        except RuntimeError:  # the loop is closed
            raise _Stopped from None

    def _begin(self, after: int) -> None:
        if not self.started.done():
            self.started.set_result(after)

    def _fail(self, error: BaseException) -> None:
        self.ended = True
        if not self.started.done():
            self.started.set_exception(error)


class Feed:
    """Everything that happens, for any number of viewers.

    Args:
        folder: With the journal.

    Attributes:
        reached: The last number of the journal that viewers were told of.
    """

    def __init__(self, folder: Path, hub: Hub) -> None:
        self.reached = 0
        self._folder = folder
        self._viewers: dict[Viewer, None] = {}
        self._waiting = 0
        self._tail: _Tail | None = None
        self._ending: list[threading.Thread] = []
        self._end_of_hub: Callable[[], None] | None = hub.listen(self._changed)

    def __len__(self) -> int:
        """Viewers."""
        return len(self._viewers)

    @contextlib.asynccontextmanager
    async def followed(self) -> Any:
        """Follow the journal while the block runs; :attr:`reached` is true then.

        Raises:
            JournalError, StateFolderError: it cannot be read.
        """
        self._waiting += 1
        try:
            if self._tail is None or self._tail.ended:
                self._tail = _Tail(self._folder, self._deliver)
                self.reached = 0
            tail = self._tail
            after = await asyncio.shield(tail.started)
            self.reached = max(self.reached, after)
            yield
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._stop_tail()

    def add(self, choice: Choice, after: int = 0) -> Viewer:
        """Somebody who is told from now on what comes after :attr:`reached`, and ``after``."""
        viewer = Viewer(choice, after)
        self._viewers[viewer] = None
        return viewer

    def remove(self, viewer: Viewer) -> None:
        """Somebody watches no more."""
        self._viewers.pop(viewer, None)

    def end(self) -> None:
        """Tell all that it is over."""
        if self._end_of_hub is not None:
            self._end_of_hub()
            self._end_of_hub = None
        for viewer in list(self._viewers):
            viewer.end()

    async def close(self) -> None:
        """End the thread too; it has ended when this returns."""
        self.end()
        self._stop_tail()
        for thread in self._ending:
            await asyncio.to_thread(thread.join)
        self._ending.clear()

    def _stop_tail(self) -> None:
        tail, self._tail = self._tail, None
        if tail is not None:
            tail.stop()
            self._ending = [thread for thread in self._ending if thread.is_alive()]
            self._ending.append(tail.thread)

    def _deliver(self, told: list[Told], reached: int) -> None:
        self.reached = max(self.reached, reached)
        for viewer in list(self._viewers):
            viewer.take(told)

    def _changed(self, change: Change, member: Member) -> None:
        """The journal knows a device by its last name only, so a new one is told from here."""
        if not self._viewers or change is not Change.RENAMED:
            return
        data = {"session": member.session_id, "device": member.name, "class": member.device_class}
        text = event_text("renamed", json_line(data))
        told = [Told(0, "session", member.name, member.device_class, text)]
        for viewer in list(self._viewers):
            viewer.take(told)
