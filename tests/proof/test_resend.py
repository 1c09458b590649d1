"""A message sent again is acknowledged again and recorded once, wherever it was cut off."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pytest
from gateway_process import GatewayProcess, running_gateway, starting_gateway
from insistent_device import PATIENCE, address_of
from plain_reading import opened

from wsdev.client import connect
from wsdev.events import MessageReceived
from wsdev.protocol import ESP32CAM, PICO, Ack, DeviceClass
from wsdev.session import SessionPolicy

QUIET = ("--log-level", "warning")

ONE = b'{"type":"telemetry","id":"m-1","data":{"celsius":21.5}}'
TWO = b'{"type":"telemetry","id":"m-2","data":{"celsius":21.5}}'
ONE_ANEW = b'{"type":"telemetry","id":"m-1","data":{"celsius":22.0}}'

WAL = "journal.db-wal>"
ACK = r"\"type\":\"ack\""
"""In the words of strace."""


async def say(
    gateway: GatewayProcess,
    texts: Sequence[bytes],
    *,
    name: str = "kitchen",
    device_class: DeviceClass = PICO,
) -> list[str | int]:
    """Connect, say these messages, and leave once all are acknowledged: their ids, in order."""
    ids: list[str | int] = []
    async with (
        asyncio.timeout(PATIENCE),
        connect(address_of(gateway.port), device_class, None, policy=SessionPolicy()) as link,
    ):
        link.session.hello(name, "proof")
        for text in texts:
            link.session.send_text(text)
        link.flush()
        while len(ids) < len(texts):
            event = await link.next_event()
            if isinstance(event, MessageReceived) and isinstance(event.message, Ack):
                ids.append(event.message.id)
    return ids


def bodies(state: Path, *, name: str = "kitchen") -> list[bytes]:
    """What the journal has of a device, without its hellos."""
    with opened(state) as db:
        rows = db.execute(
            "SELECT body FROM messages JOIN sessions ON sessions.sequence = messages.session"
            " WHERE device = ? AND id IS NOT NULL ORDER BY messages.sequence",
            (name,),
        )
        return [body.encode() for (body,) in rows]


def test_sent_again_on_the_same_link(tmp_path: Path) -> None:
    with running_gateway(tmp_path, *QUIET) as gateway:
        ids = asyncio.run(say(gateway, [ONE, ONE, TWO, ONE]))
    assert ids == ["m-1", "m-1", "m-2", "m-1"]
    assert bodies(tmp_path) == [ONE, TWO]


def test_sent_again_after_a_reconnect(tmp_path: Path) -> None:
    with running_gateway(tmp_path, *QUIET) as gateway:
        for _ in range(3):
            assert asyncio.run(say(gateway, [ONE, TWO])) == ["m-1", "m-2"]
    assert bodies(tmp_path) == [ONE, TWO]


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_sent_again_after_a_restart(how: str, tmp_path: Path) -> None:
    for _ in range(3):
        with starting_gateway(tmp_path, *QUIET) as gateway:
            gateway.wait_until_ready()
            assert asyncio.run(say(gateway, [ONE, TWO, ONE])) == ["m-1", "m-2", "m-1"]
            if how == "kill":
                gateway.kill()
    assert bodies(tmp_path) == [ONE, TWO]


def test_sent_again_after_many_visits_that_brought_nothing(tmp_path: Path) -> None:
    """A device with a bad radio says hello over and over before it gets to say more."""
    with running_gateway(tmp_path, *QUIET) as gateway:
        asyncio.run(say(gateway, [ONE]))
        for _ in range(12):
            asyncio.run(say(gateway, []))
    with running_gateway(tmp_path, *QUIET) as gateway:
        assert asyncio.run(say(gateway, [ONE])) == ["m-1"]
    assert bodies(tmp_path) == [ONE]


def test_same_id_with_other_content_is_another_message(tmp_path: Path) -> None:
    """A device without a clock counts from one again after it was switched off."""
    with running_gateway(tmp_path, *QUIET) as gateway:
        assert asyncio.run(say(gateway, [ONE, ONE_ANEW])) == ["m-1", "m-1"]
    with running_gateway(tmp_path, *QUIET) as gateway:
        assert asyncio.run(say(gateway, [ONE_ANEW, ONE])) == ["m-1", "m-1"]
    assert bodies(tmp_path) == [ONE, ONE_ANEW]


def test_two_devices_may_say_the_same(tmp_path: Path) -> None:
    cases: Iterable[tuple[str, DeviceClass]] = [
        ("kitchen", PICO), ("shed", PICO), ("porch", ESP32CAM),
    ]  # fmt: skip
    for _ in range(2):
        with running_gateway(tmp_path, *QUIET) as gateway:
            for name, device_class in cases:
                said = say(gateway, [ONE], name=name, device_class=device_class)
                assert asyncio.run(said) == ["m-1"]
    for name, _ in cases:
        assert bodies(tmp_path, name=name) == [ONE]


def test_ack_leaves_after_the_sync(tmp_path: Path, need: Callable[[str], str]) -> None:
    """Seen at the system calls: the WAL is written, then synced, then the ack is sent."""
    traced = tmp_path / "trace"
    calls = "trace=pwrite64,fdatasync,fsync,write,writev,sendto,sendmsg"
    strace = (need("strace"), "-D", "-f", "-y", "-s", "4096", "-o", str(traced), "-e", calls)
    with starting_gateway(tmp_path / "state", *QUIET, inside=strace) as gateway:
        gateway.wait_until_ready()
        asyncio.run(say(gateway, [ONE]))
        asyncio.run(say(gateway, [TWO]))
    lines = traced.read_text().splitlines()
    for message_id in ("m-1", "m-2"):
        wal = [
            n for n, line in enumerate(lines) if "pwrite64(" in line and "journal.db-wal" in line
        ]
        (ack,) = [n for n, line in enumerate(lines) if is_ack(line, message_id)]
        row = max(n for n in wal if n < ack and message_id in lines[n])
        end = max(n for n in wal if n < ack)
        assert row <= end
        assert any("fdatasync(" in line and "journal.db-wal" in line for line in lines[end:ack])


def is_ack(line: str, message_id: str) -> bool:
    return '\\"type\\":\\"ack\\"' in line and message_id in line
