from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from queue import Empty, SimpleQueue
from threading import Event

import pytest

from wsdev import journal_queue
from wsdev.journal_group import Group, Happening, Message
from wsdev.journal_queue import GROUP_ROWS, JournalQueue


class Wake:
    """Counts how often the writer waits; nothing comes meanwhile but what is said here.

    Attributes:
        now: The time, which passes only while the writer waits.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.waits = 0
        self.coming: list[Callable[[], None]] = []

    def get(self, timeout: float) -> None:
        self.waits += 1
        self.now += timeout
        if self.coming:
            self.coming.pop(0)()
        raise Empty

    def put(self, _: None) -> None: ...


def happening(_: Group) -> None: ...


def fill(queue: JournalQueue, amount: int) -> None:
    thing: Happening = happening
    for _ in range(amount):
        queue.put(thing)


@pytest.fixture
def wake() -> Wake:
    return Wake()


@pytest.fixture
def queue(wake: Wake, monkeypatch: pytest.MonkeyPatch) -> JournalQueue:
    queue = JournalQueue(lambda: wake.now)
    monkeypatch.setattr(queue, "_wake", wake)
    return queue


def taken(queue: JournalQueue, amount: int) -> int:
    """The size of the group that so many are taken in."""
    fill(queue, amount)
    return len(queue.take(at_once=False))


class Bell:
    """What wakes the writer, which tells that it is about to wait."""

    def __init__(self, wake: SimpleQueue[None]) -> None:
        self.is_awaited = Event()
        self.put = wake.put
        self._wake = wake

    def get(self, timeout: float) -> None:
        self.is_awaited.set()
        self._wake.get(timeout=timeout)


class Things(deque[Message | Happening]):
    """In which something comes right after the second look how many there are."""

    def __init__(self, come: Callable[[], None]) -> None:
        super().__init__()
        self._come = come
        self._looks = 0

    def __len__(self) -> int:
        seen = super().__len__()
        self._looks += 1
        if self._looks == 2:
            self._come()
        return seen


class PatientWriter:
    """A thread that takes what comes, and does nothing by itself for as long as a test lasts."""

    def __init__(self, queue: JournalQueue, bell: Bell, pool: ThreadPoolExecutor) -> None:
        self.queue = queue
        self.bell = bell
        self.pool = pool

    def take(self) -> Future[list[Message | Happening]]:
        """Take the next group; it waits for it, or will at once."""
        group = self.pool.submit(self.queue.take, at_once=False)
        assert self.bell.is_awaited.wait(10)
        return group


@pytest.fixture
def writer(monkeypatch: pytest.MonkeyPatch) -> Iterator[PatientWriter]:
    monkeypatch.setattr(journal_queue, "_IDLE_SECONDS", 60)
    queue = JournalQueue()
    bell = Bell(queue._wake)
    monkeypatch.setattr(queue, "_wake", bell)
    with ThreadPoolExecutor(1) as pool:
        yield PatientWriter(queue, bell, pool)
        bell.put(None)  # one that was not woken must not hold up the others' tests


@pytest.fixture
def kept(
    writer: PatientWriter, monkeypatch: pytest.MonkeyPatch
) -> Future[list[Message | Happening]]:
    """A group with one thing in it that nobody waits for, and that is kept for company."""
    monkeypatch.setattr(journal_queue, "GROUP_SECONDS", 60)
    group = writer.take()
    writer.bell.is_awaited.clear()
    writer.queue.put_unhurried(happening)
    assert writer.bell.is_awaited.wait(10)
    return group


@pytest.mark.parametrize("is_hurried", [True, False])
def test_writer_that_waits_is_woken_by_what_comes(writer: PatientWriter, is_hurried: bool) -> None:
    group = writer.take()
    (writer.queue.put if is_hurried else writer.queue.put_unhurried)(happening)
    assert group.result(10) == [happening]


def test_writer_that_waits_is_woken_by_the_end(writer: PatientWriter) -> None:
    group = writer.take()
    writer.queue.close()
    assert group.result(10) == []


def test_writer_is_woken_by_what_comes_between_its_look_and_its_wait(
    writer: PatientWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = writer.queue
    monkeypatch.setattr(queue, "_things", Things(lambda: queue.put(happening)))
    assert writer.take().result(10) == [happening]


def test_writer_is_woken_each_time_that_a_lone_thing_comes(writer: PatientWriter) -> None:
    queue = writer.queue
    groups: SimpleQueue[list[Message | Happening]] = SimpleQueue()

    def write() -> None:
        while not queue.is_closing:
            if group := queue.take(at_once=False):  # else woken by what it had found already
                groups.put(group)

    writing = writer.pool.submit(write)
    try:
        for _ in range(2000):
            queue.put(happening)
            assert groups.get(timeout=10) == [happening]
    finally:
        queue.close()
    writing.result(10)


def test_what_nobody_waits_for_is_kept_for_company(queue: JournalQueue, wake: Wake) -> None:
    def come() -> None:
        for _ in range(3):
            queue.put_unhurried(happening)

    wake.coming = [come, come]
    assert len(queue.take(at_once=False)) == 6
    assert wake.waits == 2
    assert wake.now == journal_queue._IDLE_SECONDS + journal_queue.GROUP_SECONDS


def test_what_somebody_waits_for_takes_the_unhurried_along(
    writer: PatientWriter, kept: Future[list[Message | Happening]]
) -> None:
    writer.queue.put_unhurried(happening)
    writer.queue.put(happening)
    assert kept.result(10) == [happening] * 3


def test_end_does_not_wait_for_company_of_the_unhurried(
    writer: PatientWriter, kept: Future[list[Message | Happening]]
) -> None:
    writer.queue.close()
    assert kept.result(10) == [happening]


def test_unhurried_are_not_kept_once_something_is_there(queue: JournalQueue, wake: Wake) -> None:
    queue.put(happening)
    queue.put_unhurried(happening)
    assert len(queue.take(at_once=False)) == 2
    assert not wake.waits


def test_lone_thing_is_not_waited_with(queue: JournalQueue, wake: Wake) -> None:
    assert [taken(queue, 1) for _ in range(20)] == [1] * 20
    assert not wake.waits


def test_company_is_waited_for_until_nothing_more_comes(queue: JournalQueue, wake: Wake) -> None:
    assert taken(queue, 100) == 100
    wake.coming = [
        partial(fill, queue, 30),
        partial(fill, queue, 20),
        partial(fill, queue, 0),
        partial(fill, queue, 10),
    ]
    assert taken(queue, 50) == 100
    assert wake.waits == 3


def test_company_that_keeps_coming_is_waited_for_a_while(queue: JournalQueue, wake: Wake) -> None:
    taken(queue, 100)
    wake.coming = [partial(fill, queue, 10)] * 20
    assert taken(queue, 10) == 100
    assert wake.waits == 9


def test_as_much_as_last_time_is_whole(queue: JournalQueue, wake: Wake) -> None:
    taken(queue, 100)
    taken(queue, 100)
    wake.waits = 0
    assert [taken(queue, 100) for _ in range(6)] == [100] * 6
    assert not wake.waits


def test_that_it_is_whole_is_looked_at_now_and_then(queue: JournalQueue, wake: Wake) -> None:
    taken(queue, 100)
    taken(queue, 100)
    wake.coming = [partial(fill, queue, 50)]  # these come later
    assert [taken(queue, 100) for _ in range(7)] == [100] * 6 + [150]
    wake.waits = 0
    assert taken(queue, 150) == 150
    assert not wake.waits


def test_less_than_last_time_is_waited_for_in_vain_only_once(
    queue: JournalQueue, wake: Wake
) -> None:
    taken(queue, 100)
    taken(queue, 100)
    assert taken(queue, 40) == 40
    wake.waits = 0
    assert taken(queue, 40) == 40
    assert not wake.waits


def test_what_gathered_during_a_slow_sync_is_no_company(queue: JournalQueue, wake: Wake) -> None:
    wake.now += 0.1
    assert taken(queue, 100) == 100
    assert taken(queue, 1) == 1
    assert not wake.waits


def test_as_much_in_less_time_is_company(queue: JournalQueue, wake: Wake) -> None:
    wake.now += 0.04
    assert taken(queue, 100) == 100
    wake.coming = [partial(fill, queue, 30)]
    assert taken(queue, 1) == 31


def test_thin_stream_is_waited_for_only_once_after_a_burst(queue: JournalQueue, wake: Wake) -> None:
    taken(queue, 100)
    wake.coming = [partial(fill, queue, 2)] * 100  # each 2 ms
    assert taken(queue, 2) == 20
    wake.waits = 0
    assert [taken(queue, 2) for _ in range(20)] == [2] * 20
    assert not wake.waits


def test_thick_stream_is_waited_for_all_the_time(queue: JournalQueue, wake: Wake) -> None:
    taken(queue, 100)
    wake.coming = [partial(fill, queue, 10)] * 100
    assert [taken(queue, 10) for _ in range(9)] == [100] * 9


def test_large_amount_is_taken_in_groups(queue: JournalQueue, wake: Wake) -> None:
    fill(queue, 2 * GROUP_ROWS + 10)
    sizes = [len(queue.take(at_once=False)) for _ in range(3)]
    assert sizes == [GROUP_ROWS, GROUP_ROWS, 10]
    assert not len(queue)


def test_nothing_is_waited_for_at_the_end(queue: JournalQueue, wake: Wake) -> None:
    taken(queue, 100)
    queue.close()
    assert taken(queue, 50) == 50
    assert queue.take(at_once=False) == []
    assert not wake.waits
