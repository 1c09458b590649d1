from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from queue import Empty

import pytest

from wsdev.journal_group import Group, Happening
from wsdev.journal_queue import GROUP_ROWS, JournalQueue


class Wake:
    """Counts how often the writer waits; nothing comes meanwhile but what is said here."""

    def __init__(self) -> None:
        self.waits = 0
        self.coming: list[tuple[JournalQueue, int]] = []

    def get(self, timeout: float) -> None:
        self.waits += 1
        if self.coming:
            fill(*self.coming.pop(0))
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
    queue = JournalQueue()
    monkeypatch.setattr(queue, "_wake", wake)
    return queue


def taken(queue: JournalQueue, amount: int) -> int:
    """The size of the group that so many are taken in."""
    fill(queue, amount)
    return len(queue.take(at_once=False))


def test_writer_that_waits_is_woken_by_what_comes() -> None:
    queue = JournalQueue()
    with ThreadPoolExecutor(1) as pool:
        group = pool.submit(queue.take, at_once=False)
        queue.put(happening)
        assert group.result(10) == [happening]


def test_writer_that_waits_is_woken_by_the_end() -> None:
    queue = JournalQueue()
    with ThreadPoolExecutor(1) as pool:
        group = pool.submit(queue.take, at_once=False)
        queue.close()
        assert group.result(10) == []


def test_lone_thing_is_not_waited_with(queue: JournalQueue, wake: Wake) -> None:
    assert [taken(queue, 1) for _ in range(20)] == [1] * 20
    assert not wake.waits


def test_company_is_waited_for_until_nothing_more_comes(queue: JournalQueue, wake: Wake) -> None:
    assert taken(queue, 100) == 100
    wake.coming = [(queue, 30), (queue, 20), (queue, 0), (queue, 10)]
    assert taken(queue, 50) == 100
    assert wake.waits == 3


def test_company_that_keeps_coming_is_waited_for_a_while(queue: JournalQueue, wake: Wake) -> None:
    taken(queue, 100)
    wake.coming = [(queue, 10)] * 20
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
    wake.coming = [(queue, 50)]  # these come later
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
