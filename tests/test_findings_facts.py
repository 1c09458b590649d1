from __future__ import annotations

import pytest
from host_cases import WELL, changed, down, public

from wsdev.findings.facts import Listening, Visit


@pytest.mark.parametrize(
    ("bound", "address", "covered"),
    [
        ("0.0.0.0", "192.0.2.7", True),
        ("0.0.0.0", "2001:db8::7", False),
        ("::", "2001:db8::7", True),
        ("::", "192.0.2.7", False),
        ("192.0.2.7", "192.0.2.7", True),
        ("192.0.2.7", "192.0.2.8", False),
    ],
)
def test_socket_covers_its_address_or_all_of_its_family(
    bound: str, address: str, covered: bool
) -> None:
    assert Listening(bound, 3000).covers(address) is covered


@pytest.mark.parametrize(
    ("address", "beyond"), [("127.0.0.2", False), ("::1", False), ("0.0.0.0", True)]
)
def test_loopback_is_an_address_not_a_name(address: str, beyond: bool) -> None:
    assert Listening(address, 3000).beyond_loopback is beyond
    assert Visit(address, "", "gateway").beyond_loopback is beyond


def test_public_is_an_address_that_is_listened_on() -> None:
    assert not WELL.is_public
    assert public().is_public
    assert not public(listening=(Listening("127.0.0.1", 3000),)).is_public


def test_command_for_root_names_program_and_folder() -> None:
    facts = changed(state="/srv/my state")
    assert facts.as_root == "sudo /usr/bin/wsdev doctor --state '/srv/my state'"


def test_answers_are_sorted_from_the_rest() -> None:
    assert [visit.address for visit in WELL.answering] == ["192.168.1.7", "127.0.0.1"]
    assert [visit.address for visit in WELL.outside] == ["192.168.1.7"]
    assert WELL.is_running
    assert not down().is_running
