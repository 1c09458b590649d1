from __future__ import annotations

import sys
import time
from pathlib import Path
from types import FrameType

import pytest
from console_harness import JPEG, running_console, send_picture

from wsdev.console.feed import (
    AT_A_STRETCH,
    MOST_BODY,
    MOST_WAITING,
    Choice,
    Feed,
    Told,
    Viewer,
    event_text,
    tell,
    tell_all,
)
from wsdev.errors import JournalError
from wsdev.hub import Hub
from wsdev.journal_entries import GatewayEntry, MessageEntry, SessionEntry


def message(body: str) -> MessageEntry:
    return MessageEntry(
        7, 1_800_000_000_000, "log", "in", "s", "hall", "pico", "192.0.2.1", None,
        body, len(body), False, None, None,
    )  # fmt: skip


def told(size: int = 10, device: str = "hall") -> Told:
    return Told(1, "message", device, "pico", b"x" * size)


def test_event_is_named_by_what_happened() -> None:
    session = SessionEntry(3, 0, "connected", "s", "hall", "pico", "192.0.2.1", None, None, None)
    assert tell(session).text.startswith(b"id: 3\nevent: connected\ndata: {")
    assert tell(GatewayEntry(4, 0, "started", "1")).text.startswith(b"id: 4\nevent: gateway\n")
    assert tell(message("hello")).text.startswith(b"id: 7\nevent: message\n")


def test_text_of_a_peer_cannot_end_its_event() -> None:
    text = tell(message("a\n\nevent: fake\ndata: {}\r\n\x85\u2028\x9b")).text
    assert text.count(b"\n") == 4
    assert text.decode().isascii()


def test_long_body_is_cut() -> None:
    assert b'"cut":true' in tell(message("x" * (MOST_BODY + 1))).text
    assert len(tell(message("x" * 60_000)).text) < MOST_BODY + 1000


def test_many_events_are_told_in_order_with_turns_for_the_loop_between(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    breaths: list[float] = []
    monkeypatch.setattr(time, "sleep", breaths.append)
    entries = [message(f"{number}") for number in range(2 * AT_A_STRETCH + 1)]
    assert tell_all(entries) == [tell(entry) for entry in entries]
    assert len(breaths) == 2
    assert all(breath > 0 for breath in breaths)


def test_choice_takes_what_fits_all_of_it() -> None:
    assert Choice().takes(told())
    assert Choice(kinds=frozenset({"message"}), devices=frozenset({"hall"})).takes(told())
    assert not Choice(devices=frozenset({"door"})).takes(told())
    assert not Choice(device_classes=frozenset({"esp32cam"})).takes(told())
    assert not Choice(kinds=frozenset({"session"})).takes(told())


async def test_viewer_reads_what_came_since() -> None:
    viewer = Viewer(Choice())
    viewer.take([told(3), told(4)])
    assert await viewer.read(20) == b"x" * 7
    assert await viewer.read(0) == b""


async def test_viewer_is_not_told_what_it_knows() -> None:
    viewer = Viewer(Choice(), after=5)
    viewer.take([Told(number, "session", "hall", "pico", b"%d" % number) for number in (5, 6, 0)])
    assert await viewer.read(20) == b"60", "what has no number is always told"


async def test_viewer_that_does_not_read_is_let_go() -> None:
    viewer = Viewer(Choice())
    for _ in range(MOST_WAITING // 1000 + 2):
        viewer.take([told(1000)])
    assert viewer.is_over
    assert await viewer.read(0) == b""


async def test_message_calls_nothing_of_the_console_while_nobody_watches(tmp_path: Path) -> None:
    called: set[str] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        file = Path(frame.f_code.co_filename)
        if event == "call" and file.parent.name == "console":
            called.add(file.stem)

    async with running_console(tmp_path) as console, console.gateway.device(name="door") as device:
        await device.telemetry("before")
        sys.setprofile(note)
        try:
            await device.telemetry("now")
            for_messages = called - {"serving"}  # it looks at its own connections now and then
            await send_picture(console, device, JPEG)
        finally:
            sys.setprofile(None)
        assert for_messages == set()
        assert "cameras" in called


async def test_journal_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    feed = Feed(tmp_path, Hub(max_command=4096))
    with pytest.raises(JournalError):
        async with feed.followed():
            pass
    await feed.close()


def test_event_without_a_number_has_none() -> None:
    assert event_text("renamed", "{}") == b"event: renamed\ndata: {}\n\n"
