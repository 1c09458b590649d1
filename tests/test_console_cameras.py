from __future__ import annotations

import asyncio

from test_hub import Port

from wsdev.console.cameras import BOUNDARY, Cameras
from wsdev.hub import Hub, Member

ONE, TWO = b"\xff\xd8one\xff\xd9", b"\xff\xd8two\xff\xd9"


class Time:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def camera(hub: Hub, name: str = "hall") -> Member:
    member = Member(name, "esp32cam", f"s-{name}", "192.0.2.1", 0.0, Port())
    hub.join(member)
    return member


async def test_newest_picture_is_kept_and_goes_with_the_camera() -> None:
    hub = Hub(max_command=4096)
    cameras = Cameras(hub, Time())
    member = camera(hub)
    assert cameras.newest("hall") is None
    hub.show(member, ONE)
    hub.show(member, TWO)
    newest = cameras.newest("hall")
    assert newest is not None
    assert (newest.data, newest.number) == (TWO, 2)
    hub.rename(member, "door")
    assert cameras.newest("door") is newest
    assert cameras.newest("hall") is None
    hub.leave(member)
    assert cameras.newest("door") is None


async def test_state_tells_size_age_and_rate() -> None:
    hub, time = Hub(max_command=4096), Time()
    cameras = Cameras(hub, time)
    member = camera(hub)
    assert cameras.state(member) is None
    hub.show(member, ONE)
    first = cameras.state(member)
    assert first is not None
    assert (first.size, first.age, first.frames_per_second) == (len(ONE), 0.0, None)
    for _ in range(10):
        time.now += 0.5
        hub.show(member, ONE)
    time.now += 1
    state = cameras.state(member)
    assert state is not None
    assert (state.age, state.frames_per_second, state.pictures) == (1.0, 2.0, 11)
    time.now += 100
    state = cameras.state(member)
    assert state is not None
    assert state.frames_per_second is None


async def test_viewer_skips_what_it_was_too_slow_for() -> None:
    hub = Hub(max_command=4096)
    cameras = Cameras(hub, Time())
    member = camera(hub)
    hub.show(member, ONE)
    shown = await cameras.next("hall", None, 1)
    for _ in range(5):
        hub.show(member, ONE)
    hub.show(member, TWO)
    picture = await cameras.next("hall", shown, 1)
    assert picture is not None
    assert (picture.data, picture.number) == (TWO, 7)


async def test_viewers_wait_for_the_next_picture_and_then_for_no_longer_than_they_like() -> None:
    hub = Hub(max_command=4096)
    cameras = Cameras(hub, Time())
    member = camera(hub)
    waiting = [asyncio.create_task(cameras.next("hall", None, 20)) for _ in range(3)]
    await asyncio.sleep(0)
    hub.show(member, ONE)
    pictures = await asyncio.gather(*waiting)
    assert [picture and picture.data for picture in pictures] == [ONE] * 3
    assert await cameras.next("hall", pictures[0], 0) is None
    assert not cameras._waiting


async def test_part_is_made_once_and_ends_with_the_boundary() -> None:
    hub = Hub(max_command=4096)
    cameras = Cameras(hub, Time())
    hub.show(camera(hub), ONE)
    picture = cameras.newest("hall")
    assert picture is not None
    head, _, body = picture.part.partition(b"\r\n\r\n")
    assert head == f"Content-Type: image/jpeg\r\nContent-Length: {len(ONE)}".encode()
    assert body == ONE + f"\r\n--{BOUNDARY}\r\n".encode()
    assert picture.part is picture.part


async def test_closed_cameras_keep_nothing_and_watch_no_more() -> None:
    hub = Hub(max_command=4096)
    cameras = Cameras(hub, Time())
    member = camera(hub)
    hub.show(member, ONE)
    waiting = asyncio.create_task(cameras.next("hall", cameras.newest("hall"), 20))
    await asyncio.sleep(0)
    cameras.close()
    assert await waiting is None
    hub.show(member, TWO)
    assert cameras.newest("hall") is None
