from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest
from journal_bench import JPEG, NOW, OTHER, a_refusal, rows

from wsdev.errors import JournalError
from wsdev.journal_file import JournalFile
from wsdev.picture_store import PictureStore, picture_name
from wsdev.records import PicturesKept
from wsdev.retention import STEP, Retention

SECOND = 1000
DAY = 86_400_000


class Stopwatch:
    """Monotonic seconds; each look costs ``cost`` of them."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.cost = 0.0

    def __call__(self) -> float:
        self.now += self.cost
        return self.now


class Keeper:
    """A journal that is kept small."""

    def __init__(self, folder: Path, keep: float = 0, most: int = 0) -> None:
        self.folder = folder
        self.file = JournalFile(folder)
        self.pictures = PictureStore(
            folder / "pictures", PicturesKept(last=100), self.file.camera_of
        )
        self.clock = Stopwatch()
        self.sequence = 0
        self.set(keep=keep, most=most)

    def set(self, keep: float = 0, most: int = 0) -> None:
        self.retention = Retention(
            self.file, self.pictures, keep=keep, most=most, clock=self.clock, steady=0
        )

    def fill(self, when: int, count: int = 1000, body: str = "x" * 1000) -> None:
        """A block of messages of that time."""
        first, self.sequence = self.sequence + 1, self.sequence + count
        with self.file.writing():
            self.file.add_messages([
                (n, 1, when, OTHER, None, body) for n in range(first, self.sequence + 1)
            ])  # fmt: skip
            self.file.mark_times(first, self.sequence, when, when)

    def add_picture(self, when: int) -> str:
        self.sequence += 1
        name = picture_name(self.sequence)
        self.pictures.write(name, JPEG)
        with self.file.writing():
            self.file.add_message((self.sequence, 1, when, 13, None, None), 9, b"", name)
        self.pictures.took("porch", name, len(JPEG), when)
        return name

    def run(self, when: int = NOW) -> list[int]:
        """Work until there is nothing left to do; the rows that were left after each step."""
        self.clock.now += 1
        left = [self.count()]
        while self.retention.step(when):
            left.append(self.count())
        return left

    def count(self) -> int:
        ((count,),) = rows(self.folder, "SELECT count(*) FROM messages")
        return int(count)

    def first(self) -> int:
        ((first,),) = rows(self.folder, "SELECT min(sequence) FROM messages")
        return int(first)


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[Keeper]:
    keeper = Keeper(tmp_path)
    with closing(keeper.file):
        yield keeper


# Age


def test_everything_is_kept_by_default(keeper: Keeper) -> None:
    for _ in range(3):
        keeper.fill(NOW - 10_000 * DAY)
    assert keeper.run() == [3000]


def test_what_is_too_old_goes_and_the_rest_stays(keeper: Keeper) -> None:
    keeper.set(keep=30 * 86400)
    for days in (40, 35, 31, 29, 1):
        keeper.fill(NOW - days * DAY)
    left = keeper.run()
    assert left[-1] == 2000
    assert left == sorted(left, reverse=True)
    assert keeper.first() == 3001
    assert rows(keeper.folder, "SELECT sequence FROM blocks") == [(3001,), (4001,)]


def test_age_is_that_of_a_blocks_latest_row(keeper: Keeper) -> None:
    keeper.set(keep=60)
    keeper.fill(NOW - 61 * SECOND, 999)
    keeper.fill(NOW - 59 * SECOND, 1)
    keeper.fill(NOW)
    assert keeper.run() == [2000]
    assert keeper.run(NOW + SECOND) == [2000]
    assert keeper.run(NOW + 2 * SECOND)[-1] == 1000


def test_newest_block_does_not_go_by_size(keeper: Keeper) -> None:
    keeper.set(most=1)
    keeper.fill(NOW)
    assert keeper.run() == [1000]
    keeper.fill(NOW)
    assert keeper.run()[-1] == 1000
    assert keeper.first() == 1001


def test_quiet_journal_grows_old_too_but_keeps_its_last_number(keeper: Keeper) -> None:
    keeper.set(keep=60)
    keeper.fill(NOW - 61 * SECOND)
    assert keeper.run()[-1] == 1
    assert keeper.first() == keeper.file.last_sequence() == 1000
    keeper.fill(NOW)
    assert keeper.run() == [1001]


def test_nothing_goes_by_age_until_the_clock_was_steady_for_a_while(keeper: Keeper) -> None:
    keeper.retention = Retention(
        keeper.file, keeper.pictures, keep=60, most=0, clock=keeper.clock, steady=600
    )
    keeper.fill(NOW - 30 * SECOND)
    keeper.fill(NOW)
    year = 365 * DAY

    def later(seconds: int) -> int:
        keeper.clock.now += seconds
        return NOW + int(keeper.clock.now - 1000) * SECOND

    assert keeper.run(later(0)) == [2000]
    assert keeper.run(later(500)) == [2000]
    assert keeper.run(later(30) + year) == [2000]  # a year ahead, for a moment
    assert keeper.run(later(500)) == [2000]  # it is back: that was a jump as well
    assert keeper.run(later(500)) == [2000]
    assert keeper.run(later(101))[-1] == 1


def test_rows_of_a_clock_that_began_in_1970_are_as_old_as_those_after_them(
    keeper: Keeper,
) -> None:
    keeper.set(keep=60)
    keeper.fill(5 * SECOND)
    keeper.fill(NOW)
    assert keeper.run() == [2000]
    assert keeper.run(NOW + 61 * SECOND)[-1] == 1


def test_log_that_cannot_be_emptied_is_told(keeper: Keeper) -> None:
    keeper.fill(NOW)
    with pytest.raises(JournalError, match="does not come to an end"):
        keeper.file.space.check_wal(1)


def test_clock_that_jumped_back_does_not_delete_new_rows(keeper: Keeper) -> None:
    keeper.set(keep=3600)
    keeper.fill(NOW)
    keeper.fill(NOW - DAY)  # the clock was set back, rightly or not
    keeper.fill(NOW - DAY)
    assert keeper.run(NOW - DAY) == [3000]
    # It was wrong: what came under the wrong time goes with what came before it, not ahead of it.
    keeper.fill(NOW)
    assert keeper.run(NOW) == [4000]
    keeper.fill(NOW + 2 * SECOND)
    assert keeper.run(NOW + 3601 * SECOND)[-1] == 1000
    assert keeper.first() == 4001


# Size


def test_oldest_go_until_it_is_small_enough(keeper: Keeper) -> None:
    for _ in range(6):
        keeper.fill(NOW)
    most = keeper.file.space.used_bytes() * 2 // 3
    keeper.set(most=most)
    left = keeper.run()
    assert left == sorted(left, reverse=True)
    assert keeper.file.space.used_bytes() <= most * 0.95
    # One block is a sixth: no more went than had to.
    assert left[-1] == 3000
    assert keeper.first() == 3001
    assert keeper.run() == [3000]


def test_size_at_its_bound_is_left_alone(keeper: Keeper) -> None:
    for _ in range(3):
        keeper.fill(NOW)
    keeper.set(most=keeper.file.space.used_bytes())
    assert keeper.run() == [3000]


def test_pictures_count_and_go_with_their_rows(keeper: Keeper) -> None:
    keeper.fill(NOW)
    old = [keeper.add_picture(NOW) for _ in range(5)]
    keeper.fill(NOW)
    kept = keeper.add_picture(NOW)
    keeper.set(most=keeper.file.space.used_bytes() + 5 * len(JPEG))
    assert keeper.run()[-1] == 1001
    names = [path.name for path in (keeper.folder / "pictures").iterdir()]
    assert names == [kept]
    assert not set(old) & set(names)
    assert keeper.pictures.bytes == len(JPEG)


def test_replaced_pictures_are_deleted_on_the_way(keeper: Keeper) -> None:
    for _ in range(101):
        keeper.add_picture(NOW)
    keeper.run()
    assert len(list((keeper.folder / "pictures").iterdir())) == 100


def test_room_is_given_back_to_the_file_system_in_small_steps(keeper: Keeper) -> None:
    for _ in range(6):
        keeper.fill(NOW)
    _, pages = keeper.file.space.free_pages()
    keeper.set(most=keeper.file.space.used_bytes() // 3)
    keeper.clock.now += 1
    sizes = [pages]
    while keeper.retention.step(NOW):
        sizes.append(keeper.file.space.free_pages()[1])
    shorter = [before - after for before, after in pairwise(sizes)]
    assert max(shorter) <= 66, shorter  # 64, and what SQLite needs to keep track of them
    free, left = keeper.file.space.free_pages()
    assert free <= max(64, left * 0.1)
    assert left < pages / 2


def test_a_few_free_pages_are_kept_for_what_comes(keeper: Keeper) -> None:
    keeper.set(keep=60)
    keeper.fill(NOW - DAY, 1000, "x" * 100)
    for _ in range(4):
        keeper.fill(NOW)
    _, pages = keeper.file.space.free_pages()
    keeper.run()
    assert keeper.file.space.free_pages()[0] > 0
    assert keeper.file.space.free_pages()[1] == pages


# Steps


def steps(keeper: Keeper, cost: float) -> list[int]:
    """The rows that each step deletes when every look at the clock costs ``cost``."""
    keeper.clock.cost = cost
    left = keeper.run()
    return [before - after for before, after in pairwise(left)]


def test_fast_disk_takes_larger_steps_up_to_a_bound(keeper: Keeper) -> None:
    keeper.set(keep=60)
    for _ in range(8):
        keeper.fill(NOW - DAY, body="")
    keeper.fill(NOW)
    gone = [rows for rows in steps(keeper, 0) if rows]
    assert gone[:6] == [16, 32, 64, 128, 256, 504]
    assert sum(gone) == 8000
    assert max(gone) == 512


def test_large_blocks_are_not_deleted_in_larger_steps_than_the_bound(keeper: Keeper) -> None:
    keeper.set(keep=60)
    keeper.fill(NOW - DAY, 10_000, "")
    keeper.fill(NOW)
    assert max(steps(keeper, 0)) == 512


def test_slow_disk_takes_smaller_steps_down_to_a_row(keeper: Keeper) -> None:
    keeper.set(keep=60)
    keeper.fill(NOW - DAY, body="")
    keeper.fill(NOW, 1)
    gone = steps(keeper, STEP * 1.1)
    assert gone[:6] == [16, 8, 4, 2, 1, 1]
    assert sum(gone) == 1000


def test_between_two_looks_nothing_is_done(keeper: Keeper) -> None:
    keeper.set(keep=60)
    keeper.run()
    keeper.fill(NOW - DAY)
    keeper.fill(NOW)
    keeper.clock.now += 0.5
    assert not keeper.retention.step(NOW)
    assert keeper.count() == 2000
    assert keeper.run()[-1] == 1000


def test_all_else_of_a_block_goes_with_it(keeper: Keeper) -> None:
    keeper.set(keep=60)
    with keeper.file.writing():
        keeper.file.add_refusal(1, NOW - DAY, a_refusal())
        keeper.file.mark_times(1, 1, NOW - DAY, NOW - DAY)
    keeper.sequence = 1
    keeper.fill(NOW - DAY)
    keeper.fill(NOW)
    keeper.run()
    assert rows(keeper.folder, "SELECT count(*) FROM refusals") == [(0,)]


def test_picture_that_cannot_be_deleted_is_told_and_the_rest_goes_on(keeper: Keeper) -> None:
    keeper.set(keep=60)
    name = keeper.add_picture(NOW - DAY)
    keeper.fill(NOW - DAY)
    keeper.fill(NOW)
    path = keeper.folder / "pictures" / name
    path.unlink()
    path.mkdir()
    with pytest.raises(IsADirectoryError):
        keeper.run()
    assert keeper.run()[-1] == 1000
