"""Bad weather: what may happen, and that it can be had again."""

from __future__ import annotations

import pytest

from wsdev.data_files import Seconds
from wsdev.errors import UsageError
from wsdev.weather import WEATHERS, Forecast, Trouble, Weather, What, parse_weather

STALL = Trouble(What.STALL, Seconds(10), (Seconds(1), Seconds(4)), share=0.25)


def drawn(forecast: Forecast, times: int) -> list[tuple[float, float, bool]]:
    return [
        (forecast.wait(STALL), forecast.duration(STALL), forecast.is_hit(STALL))
        for _ in range(times)
    ]


def test_each_kind_of_trouble_is_in_some_weather() -> None:
    known = WEATHERS.all()
    assert set(known) >= {"flaky-wifi", "nat-cut", "brownout", "slow", "clock-skew"}
    assert {t.what for weather in known.values() for t in weather.trouble} == set(What)
    assert known["slow"].piece == 1
    assert known["clock-skew"].clock_off > 86_400


def test_same_seed_is_the_same_weather_and_another_device_has_another() -> None:
    assert drawn(Forecast(7, "1"), 50) == drawn(Forecast(7, "1"), 50)
    assert drawn(Forecast(7, "1"), 50) != drawn(Forecast(7, "2"), 50)
    assert drawn(Forecast(7, "1"), 50) != drawn(Forecast(8, "1"), 50)


def test_trouble_comes_as_often_and_lasts_as_long_as_it_says() -> None:
    forecast = Forecast(1, "1")
    waits, lasts, hits = zip(*drawn(forecast, 4000), strict=True)
    assert sum(waits) / 4000 == pytest.approx(10, rel=0.1)
    assert min(lasts) >= 1
    assert max(lasts) <= 4
    assert sum(hits) / 4000 == pytest.approx(0.25, rel=0.15)


def test_clocks_are_off_either_way_and_no_more_than_said() -> None:
    weather = Weather("", clock_off=Seconds(100))
    errors = [Forecast(1, str(number)).clock_error(weather) for number in range(200)]
    assert min(errors) < -50
    assert max(errors) > 50
    assert max(map(abs, errors)) <= 100


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ('what = "hail"\nevery = 1', "Invalid enum value 'hail'"),
        ('what = "stall"', "missing required field `every`"),
        ('what = "stall"\nevery = 0', "every is more than 0 s"),
        ('what = "stall"\nevery = 1\nlasts = [2, 1]', "lasts is"),
        ('what = "stall"\nevery = 1\nshare = 1.5', "share is from 0 to 1"),
    ],
)
def test_what_cannot_happen_is_told(more: str, expected: str) -> None:
    with pytest.raises(UsageError, match=expected):
        parse_weather(f'summary = "a"\n[[trouble]]\n{more}', "mine.toml")


def test_piece_of_less_than_nothing_is_told() -> None:
    with pytest.raises(UsageError, match="piece is a number of bytes"):
        parse_weather('summary = "a"\npiece = -1', "mine.toml")
