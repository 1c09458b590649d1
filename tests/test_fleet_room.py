"""What this machine can hold of a fleet."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from wsdev import fleet_room
from wsdev.errors import UsageError
from wsdev.fleet_room import SPARE_FILES, local_ports, make_room, source_addresses


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The limits that are set, the first being those at the start."""
    set_to = [(1024, 4096)]
    monkeypatch.setattr(resource, "getrlimit", lambda _: set_to[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, pair: set_to.append(pair))
    return set_to


def test_limit_of_files_is_left_alone_where_it_is_enough(limits: list[tuple[int, int]]) -> None:
    make_room(1024 - SPARE_FILES)
    assert limits == [(1024, 4096)]


def test_limit_of_files_is_lifted(limits: list[tuple[int, int]]) -> None:
    make_room(2000)
    assert limits[-1] == (2000 + SPARE_FILES, 4096)


def test_more_files_than_may_be_is_told_with_the_remedy(limits: list[tuple[int, int]]) -> None:
    with pytest.raises(UsageError) as caught:
        make_room(5000)
    assert "this user may have 4096" in caught.value.cause
    assert f"ulimit -Hn {5000 + SPARE_FILES}" in caught.value.hint
    assert len(limits) == 1


def test_ports_are_those_of_the_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = tmp_path / "range"
    known.write_text("1024\t65535\n")
    monkeypatch.setattr(fleet_room, "_PORT_RANGE", known)
    assert local_ports() == 64_512
    known.write_text("nothing of the kind")
    assert local_ports() == 28_232


def test_few_connections_leave_the_source_to_the_system() -> None:
    assert source_addresses("192.0.2.1", 700, 1000) == []
    assert source_addresses("127.0.0.1", 700, 1000) == []


def test_loopback_has_more_addresses() -> None:
    assert source_addresses("127.0.0.1", 1401, 1000) == ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
    assert source_addresses("127.0.0.1", 700 * 300, 1000)[-1] == "127.0.1.44"


@pytest.mark.parametrize("target", ["192.0.2.1", "::1", "2001:db8::1"])
def test_one_address_with_too_few_ports_is_told(target: str) -> None:
    with pytest.raises(UsageError) as caught:
        source_addresses(target, 701, 1000)
    assert caught.value.code == "too_few_ports"
    assert "ip_local_port_range" in caught.value.hint
