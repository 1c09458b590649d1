from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from journal_bench import NOW, OTHER, TELEMETRY, an_end, start_of

from wsdev.journal_file import JournalFile
from wsdev.resends import MOST


@pytest.fixture
def file(tmp_path: Path) -> Iterator[JournalFile]:
    with closing(JournalFile(tmp_path)) as file:
        yield file


def text_of(number: int) -> str:
    return f'{{"type":"telemetry","data":{{}},"id":{number}}}'


def add_session(
    file: JournalFile, sequence: int, device: str, numbers: list[int], *, ended: bool = True
) -> None:
    """A session whose messages have these sequence numbers, and say them."""
    with file.writing():
        file.start_sessions([(sequence, NOW, start_of(device))])
        file.add_messages([(n, sequence, NOW, TELEMETRY, n, text_of(n)) for n in numbers])
        if ended:
            end_at = max([sequence, *numbers]) + 1
            file.end_session(sequence, end_at, NOW, an_end(), numbers[-1] if numbers else None)


def resendable(file: JournalFile, device: str, limit: int = MOST) -> list[int]:
    """The numbers of the messages that are known."""
    known = {hash(text_of(number)): number for number in range(1000)}
    known |= {hash(text_of(number)): number for number in range(500_000, 501_000)}
    return [known[key] for key in file.tail.resendable(device, limit)]


def test_latest_acknowledged_messages_of_a_device_are_known(file: JournalFile) -> None:
    add_session(file, 1, "kitchen", [2, 3, 4])
    add_session(file, 10, "porch", [11])
    add_session(file, 20, "kitchen", [21, 22])
    add_session(file, 30, "kitchen", [])
    assert resendable(file, "kitchen") == [2, 3, 4, 21, 22]
    assert resendable(file, "porch") == [11]
    assert resendable(file, "nobody") == []
    assert resendable(file, "kitchen", 3) == [4, 21, 22]
    assert resendable(file, "kitchen", 2) == [21, 22]


def test_what_is_not_acknowledged_is_not_among_them(file: JournalFile) -> None:
    with file.writing():
        file.start_sessions([(1, NOW, start_of("kitchen"))])
        file.add_messages([
            (2, 1, NOW, OTHER, 2, text_of(2)),
            (3, 1, NOW, TELEMETRY, None, text_of(3)),
            (4, 1, NOW, TELEMETRY, 4, text_of(4)),
        ])  # fmt: skip
        file.end_session(1, 5, NOW, an_end(), 4)
    assert resendable(file, "kitchen") == [4]


def test_session_that_ended_after_the_first_look_is_found(file: JournalFile) -> None:
    assert resendable(file, "porch") == []
    add_session(file, 1, "kitchen", [2, 3], ended=False)
    assert resendable(file, "kitchen") == []
    with file.writing():
        file.end_session(1, 5, NOW, an_end(), 3)
    assert resendable(file, "kitchen") == [2, 3]


def test_session_from_before_the_tail_is_looked_up(file: JournalFile) -> None:
    add_session(file, 1, "kitchen", [2, 3])
    add_session(file, 499_000, "porch", [500_000])
    add_session(file, 500_002, "kitchen", [500_003])
    assert resendable(file, "kitchen") == [2, 3, 500_003]
    assert resendable(file, "porch") == [500_000]


def test_search_in_long_sessions_is_bounded(file: JournalFile) -> None:
    add_session(file, 1, "kitchen", [2, 500_000])
    assert resendable(file, "kitchen") == [500_000]
    with file.writing():
        for number in range(5):
            sequence = 700_000 + 30_000 * number
            file.start_sessions([(sequence, NOW, start_of("kitchen"))])
            file.end_session(sequence, sequence + 25_000, NOW, an_end(), sequence + 20_000)
    assert resendable(file, "kitchen") == []
