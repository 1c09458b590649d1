from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from wsdev.resends import IN_ALL, LEAST, MOST, ResendWindow, ResendWindows


class Past:
    """What devices said in earlier runs, and whose past was asked for."""

    def __init__(self, **said: list[str]) -> None:
        self._said = said
        self.asked: list[str] = []

    def __call__(self, device: str) -> Iterable[int]:
        self.asked.append(device)
        return map(hash, self._said.get(device, []))


texts = st.text("ab", max_size=3)


def learn(window: ResendWindow, said: Iterable[str], size: int = MOST) -> None:
    window.new.update(map(hash, said))
    window.age(size)


@given(size=st.integers(1, 20), said=st.lists(st.integers(0, 60), max_size=200))
def test_latest_are_known_and_at_most_twice_as_many(size: int, said: list[int]) -> None:
    window = ResendWindow()
    for number in said:
        learn(window, [str(number)], size)
    latest = list(dict.fromkeys(reversed(said)))[:size]
    assert all(str(number) in window for number in latest)
    assert sum(str(number) in window for number in range(61)) < 2 * size


@given(groups=st.lists(st.lists(texts, max_size=5), max_size=20), size=st.integers(1, 8))
def test_group_is_known_whole(groups: list[list[str]], size: int) -> None:
    window = ResendWindow()
    for group in groups:
        learn(window, group, size)
        assert all(text in window for text in group)


def test_nothing_is_known_at_first() -> None:
    assert "" not in ResendWindow()


def test_past_is_loaded_once() -> None:
    past = Past(kitchen=["a", "b"])
    windows = ResendWindows(past)
    assert "a" in windows.of("kitchen")
    assert "b" in windows.of("kitchen")
    assert "a" not in windows.of("porch")
    assert past.asked == ["kitchen", "porch"]


def test_devices_do_not_share_what_they_said() -> None:
    windows = ResendWindows(Past())
    say(windows, "kitchen", "a")
    assert "a" in windows.of("kitchen")
    assert "a" not in windows.of("porch")


def test_device_not_heard_for_longest_gives_way_and_is_loaded_again() -> None:
    past = Past(one=["a"])
    windows = ResendWindows(past, capacity=2)
    for device in ("one", "two", "one", "three"):
        windows.of(device)
    windows.of("one")
    assert past.asked == ["one", "two", "three"]
    windows.of("two")
    assert "a" in windows.of("one")
    assert past.asked == ["one", "two", "three", "two"]


def say(windows: ResendWindows, device: str, text: str) -> None:
    window = windows.of(device)
    window.new.add(hash(text))
    windows.age([window])


def known(window: ResendWindow, upto: int) -> int:
    return sum(str(number) in window for number in range(upto))


def test_windows_shrink_as_the_fleet_grows_but_never_below_the_least() -> None:
    windows = ResendWindows(Past())
    few = windows.of("first")
    for number in range(3 * MOST):
        say(windows, "first", str(number))
    assert MOST <= known(few, 3 * MOST) <= 2 * MOST
    fleet = IN_ALL // MOST * 4
    for number in range(fleet):
        windows.of(f"d{number}")
    one_of_many = windows.of("d0")
    for number in range(3 * MOST):
        say(windows, "d0", str(number))
    assert MOST // 5 <= known(one_of_many, 3 * MOST) <= MOST // 2
    for number in range(fleet, IN_ALL // LEAST * 2):
        windows.of(f"d{number}")
    last = windows.of("d1")
    for number in range(3 * MOST):
        say(windows, "d1", str(number))
    assert LEAST <= known(last, 3 * MOST) <= 2 * LEAST


def test_lone_surrogates_and_huge_texts_can_be_asked_for() -> None:
    window = ResendWindow()
    for text in ("\ud800", "x" * 1_000_000, "\0"):
        learn(window, [text])
        assert text in window
