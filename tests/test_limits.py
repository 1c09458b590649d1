from __future__ import annotations

from dataclasses import FrozenInstanceError, asdict, fields

import pytest

from wsdev.limits import Limits
from wsdev.protocol import HARD_MAX_TEXT_TO_DEVICE


def test_defaults_are_those_of_the_contract() -> None:
    limits = Limits()
    assert (limits.head_bytes, limits.head_lines, limits.handshake_timeout) == (8192, 128, 10.0)
    assert (limits.queue_bytes, limits.stall_timeout) == (1024 * 1024, 10.0)
    assert (limits.wrong_tokens_per_minute, limits.token_requests_per_minute) == (10, 30)
    assert (limits.connections_per_address, limits.messages_per_minute) == (256, 6000)
    assert limits.command_bytes <= HARD_MAX_TEXT_TO_DEVICE


def test_each_limit_is_a_number_that_cannot_be_negative() -> None:
    assert all(value >= 0 for value in asdict(Limits()).values())


@pytest.mark.parametrize("name", [field.name for field in fields(Limits)])
def test_limits_that_sessions_share_cannot_be_changed(name: str) -> None:
    with pytest.raises(FrozenInstanceError):
        setattr(Limits(), name, 0)
