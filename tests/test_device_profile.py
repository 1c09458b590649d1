"""What the profiles say of real libraries; figures as in their sources."""

from __future__ import annotations

import pytest

from wsdev.device_profile import PLAIN, PROFILES, parse_profile
from wsdev.errors import UsageError


def test_profiles_of_the_field_are_there() -> None:
    known = PROFILES.all()
    assert list(known) == [
        "arduino-links2004", "esp-idf", "esp32cam-stream", "gilmaimon", "micropython-servo",
        "micropython",
    ]  # fmt: skip
    for profile in (*known.values(), PLAIN):
        assert profile.summary
        assert profile.teaches.endswith(".")


def test_links2004_takes_15_kib_and_comes_back_after_half_a_second() -> None:
    profile = PROFILES.find("arduino-links2004")
    assert profile.frames.largest_inbound == 15 * 1024
    assert (profile.upgrade.origin, profile.upgrade.subprotocols) == ("file://", ("arduino",))
    assert (profile.reconnect.after, profile.reconnect.backoff) == (0.5, False)


def test_esp_idf_fragments_and_takes_a_clean_close_as_final() -> None:
    profile = PROFILES.find("esp-idf")
    assert profile.frames.fragment_above == 1024
    assert profile.reconnect.clean_close_is_final
    assert profile.reconnect.after == 10.0


def test_gilmaimon_has_little_patience_and_repeats_itself() -> None:
    upgrade = PROFILES.find("gilmaimon").upgrade
    assert upgrade.patience == 1.0
    assert upgrade.authorization_again
    assert not upgrade.port_in_host


@pytest.mark.parametrize(
    "text",
    [
        "",
        "summary = 1",
        'summary = "a"\nteeches = "b"',
        'summary = "a"\n[upgrade]\npatience = "never"',
        'summary = "a"\ndevice_class = "No Class"',
        'summary = "a"\n[[says]]\nevery = "1s"',
    ],
)
def test_file_that_is_no_profile_is_told(text: str) -> None:
    with pytest.raises(UsageError, match=r"mine\.toml"):
        parse_profile(text, "mine.toml")
