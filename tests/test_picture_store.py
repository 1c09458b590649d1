from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from journal_bench import JPEG, NOW

from wsdev.picture_store import PictureStore, picture_name
from wsdev.records import PicturesKept


def nobody(_: int) -> str | None:
    return None


def porch(_: int) -> str | None:
    return "porch"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "pictures"


def store_of(
    folder: Path,
    camera_of: Callable[[int], str | None] = porch,
    *,
    last: int = 0,
    every: float = 0,
) -> PictureStore:
    return PictureStore(folder, PicturesKept(last, every), camera_of)


def keep(store: PictureStore, sequence: int, camera: str = "porch", when: int = NOW) -> str:
    name = picture_name(sequence)
    store.write(name, JPEG)
    store.took(camera, name, len(JPEG), when)
    return name


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_names_sort_as_their_rows() -> None:
    assert picture_name(7) == "000000000007.jpg"
    assert picture_name(99) < picture_name(100) < picture_name(10**12 - 1)


def test_nothing_is_wanted_and_nothing_is_made_by_default(folder: Path) -> None:
    store = store_of(folder)
    assert not store.wants("porch", NOW)
    assert not folder.exists()
    assert store.bytes == 0


def test_picture_and_folder_are_for_this_user_only(folder: Path) -> None:
    store = store_of(folder, last=1)
    name = keep(store, 1)
    assert (folder / name).read_bytes() == JPEG
    assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert store.bytes == len(JPEG)


def test_writing_again_changes_nothing(folder: Path) -> None:
    store = store_of(folder, last=5)
    for _ in range(2):
        store.write(picture_name(1), JPEG)
    (folder / f"{picture_name(2)}.part").write_bytes(b"left by a crash, and longer than the new")
    store.write(picture_name(2), JPEG)
    assert names(folder) == [picture_name(1), picture_name(2)]
    assert (folder / picture_name(2)).read_bytes() == JPEG


def test_last_ones_of_each_camera_are_kept(folder: Path) -> None:
    store = store_of(folder, last=2)
    for number in range(1, 5):
        assert store.wants("porch", NOW)
        keep(store, number)
    keep(store, 5, "gate")
    assert len(names(folder)) == 5
    store.tidy()
    assert names(folder) == [picture_name(3), picture_name(4), picture_name(5)]
    assert store.bytes == 3 * len(JPEG)


def test_one_in_so_many_seconds_of_each_camera(folder: Path) -> None:
    store = store_of(folder, every=10)
    keep(store, 1)
    assert not store.wants("porch", NOW)
    assert not store.wants("porch", NOW + 9_999)
    assert store.wants("porch", NOW + 10_000)
    assert store.wants("gate", NOW)


def test_picture_on_its_way_to_the_disk_counts(folder: Path) -> None:
    store = store_of(folder, every=10)
    assert not store.wants("porch", NOW + 5000, NOW)
    assert store.wants("porch", NOW + 10_000, NOW)


def test_clock_that_was_set_back_does_not_stop_the_pictures(folder: Path) -> None:
    store = store_of(folder, every=10)
    keep(store, 1)
    assert store.wants("porch", NOW - 1)
    assert store.wants("porch", NOW - 86_400_000)


def test_all_are_wanted_when_only_their_number_is_bounded(folder: Path) -> None:
    store = store_of(folder, last=1)
    keep(store, 1)
    assert store.wants("porch", NOW)


def test_last_ones_are_still_known_after_a_restart(folder: Path) -> None:
    before = store_of(folder, last=3)
    for number in (1, 2, 3):
        keep(before, number)
    after = store_of(folder, last=2)
    assert after.bytes == 3 * len(JPEG)
    keep(after, 4)
    after.tidy()
    assert names(folder) == [picture_name(3), picture_name(4)]
    assert after.bytes == 2 * len(JPEG)


def test_pictures_of_earlier_runs_are_counted_though_no_more_are_kept(folder: Path) -> None:
    keep(store_of(folder, last=1), 1)
    assert store_of(folder).bytes == len(JPEG)


def test_what_a_crash_left_without_a_row_goes(folder: Path) -> None:
    keep(store_of(folder, last=9), 1)
    (folder / picture_name(2)).write_bytes(JPEG)
    (folder / f"{picture_name(1)}.part").write_bytes(JPEG)
    store = store_of(folder, lambda number: "porch" if number == 1 else None)
    assert names(folder) == [picture_name(1)]
    assert store.bytes == len(JPEG)


@pytest.mark.parametrize(
    "name",
    [
        "holiday.jpg", "1.jpg", "\N{ARABIC-INDIC DIGIT THREE}" * 12 + ".jpg", "9" * 100 + ".jpg",
        "000000000001.png", "000000000001", ".part", "-00000000001.jpg", "000000000001.jpg\n",
    ],
)  # fmt: skip
def test_files_of_other_names_are_not_ours_to_touch(folder: Path, name: str) -> None:
    folder.mkdir()
    (folder / name).write_text("mine")
    store = store_of(folder, nobody, last=1)
    assert names(folder) == [name]
    assert store.bytes == 0


def test_picture_that_somebody_deleted_is_no_error(folder: Path) -> None:
    store = store_of(folder, last=1)
    (folder.parent / "pictures").mkdir()
    store.delete(picture_name(1))
    name = keep(store, 2)
    (folder / name).unlink()
    keep(store, 3)
    store.tidy()
    assert names(folder) == [picture_name(3)]


def test_picture_that_cannot_be_deleted_is_tried_again(folder: Path) -> None:
    store = store_of(folder, last=1)
    name = keep(store, 1)
    keep(store, 2)
    (folder / name).unlink()
    (folder / name).mkdir()
    for _ in range(2):
        with pytest.raises(IsADirectoryError):
            store.tidy()
    (folder / name).rmdir()
    store.tidy()
    assert names(folder) == [picture_name(2)]


def test_file_in_the_place_of_the_folder_is_told_with_the_first_picture(folder: Path) -> None:
    folder.write_text("")
    store = store_of(folder)
    assert not store.trouble
    assert not store.write(picture_name(1), JPEG)
    assert "pictures cannot be kept" in store.trouble
