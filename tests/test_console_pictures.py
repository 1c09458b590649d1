from __future__ import annotations

import gc
from pathlib import Path

import pytest
from console_harness import JPEG, OTHER_JPEG, RunningConsole, running_console, send_picture, until
from test_console_gate import problem

from wsdev.console import pictures
from wsdev.console.cameras import BOUNDARY, Picture
from wsdev.console.serving import _Protocol


async def test_snapshot_is_the_newest_whole_picture(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console:
        path = "/api/devices/hall/snapshot.jpg"
        problem(await console.client.get(path), 404, "offline")
        async with console.gateway.device("esp32cam", name="hall") as camera:
            problem(await console.client.get(path), 404, "no_picture")
            await send_picture(console, camera, JPEG)
            await send_picture(console, camera, OTHER_JPEG)
            answer = await console.client.get(path)
            assert (answer.content, answer.headers["content-type"]) == (OTHER_JPEG, "image/jpeg")
            assert float(answer.headers["x-picture-age"]) >= 0
            assert answer.headers["cache-control"] == "no-store"
            state = (await console.client.get("/api/devices/hall")).json()["camera"]
            assert (state["size"], state["pictures"]) == (len(OTHER_JPEG), 2)


async def test_cut_picture_is_never_shown(tmp_path: Path) -> None:
    async with (
        running_console(tmp_path) as console,
        console.gateway.device("esp32cam", name="hall") as camera,
    ):
        await send_picture(console, camera, JPEG)
        for cut in (OTHER_JPEG[:-1], OTHER_JPEG[1:], b"", b"\xff\xd8"):
            await send_picture(console, camera, cut)
        answer = await console.client.get("/api/devices/hall/snapshot.jpg")
        assert answer.content == JPEG


async def test_stream_shows_each_picture_also_after_the_camera_came_back(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console:
        async with console.gateway.device("esp32cam", name="hall") as camera:
            raw = await console.ask("GET", "/api/devices/hall/stream.mjpeg")
            head = await raw.until(b"\r\n\r\n")
            assert f"multipart/x-mixed-replace; boundary={BOUNDARY}".encode() in head
            await send_picture(console, camera, JPEG)
            await raw.until(JPEG)
            device = (await console.client.get("/api/devices/hall")).json()
            assert device["camera"]["viewers"] == 1
            await send_picture(console, camera, OTHER_JPEG)
            await raw.until(OTHER_JPEG)
        async with console.gateway.device("esp32cam", name="hall") as camera:
            await send_picture(console, camera, JPEG)
            await raw.until(JPEG)
        await raw.close()
        await until(lambda: not console.plane.cameras._viewers)


async def test_slow_viewer_costs_the_others_nothing(tmp_path: Path) -> None:
    large = b"\xff\xd8" + bytes(200_000) + b"\xff\xd9"
    async with (
        running_console(tmp_path) as console,
        console.gateway.device("esp32cam", name="hall") as camera,
    ):
        slow = await console.ask("GET", "/api/devices/hall/stream.mjpeg")
        slow.writer.transport.pause_reading()  # type: ignore[attr-defined]
        for number in range(40):
            await send_picture(console, camera, large + bytes(number % 2))
        quick = await console.ask("GET", "/api/devices/hall/stream.mjpeg")
        await quick.until(b"\r\n\r\n")
        await send_picture(console, camera, JPEG)
        await quick.until(JPEG)
        assert await viewers(console) == 2
        # What waits for the slow one is one picture, however many came.
        (waiting,) = [
            size
            for connection in connections()
            if (size := connection.transport.get_write_buffer_size())
        ]
        assert waiting < 2 * len(large)
        await quick.close()
        await slow.close()


def connections() -> list[_Protocol]:
    """The console's half of all connections."""
    return [thing for thing in gc.get_objects() if type(thing) is _Protocol]


async def viewers(console: RunningConsole) -> int:
    device = (await console.client.get("/api/devices/hall")).json()
    return int(device["camera"]["viewers"])


async def test_stream_of_a_revoked_token_ends(tmp_path: Path) -> None:
    async with (
        running_console(tmp_path) as console,
        console.gateway.device("esp32cam", name="hall") as camera,
    ):
        raw = await console.ask("GET", "/api/devices/hall/stream.mjpeg", "Connection: close\r\n")
        await send_picture(console, camera, JPEG)
        await raw.until(JPEG)
        console.gateway.book.revoke(console.token)
        assert (await raw.rest()).endswith(b"0\r\n\r\n")
        await raw.close()


async def test_head_of_a_stream_is_answered_and_ends(tmp_path: Path) -> None:
    async with (
        running_console(tmp_path) as console,
        console.gateway.device("esp32cam", name="hall"),
    ):
        answer = await console.client.head("/api/devices/hall/stream.mjpeg")
        assert answer.status_code == 200
        assert not console.plane.cameras._viewers


async def test_picture_that_no_other_follows_is_sent_again_for_browsers_to_show_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "LOOK_INTERVAL", 0.05)
    async with (
        running_console(tmp_path) as console,
        console.gateway.device("esp32cam", name="hall") as device,
    ):
        cameras = console.plane.cameras
        look, looks = cameras.next, list[Picture | None]()

        async def next_picture(name: str, shown: Picture | None, patience: float) -> Picture | None:
            looks.append(await look(name, shown, patience))
            return looks[-1]

        monkeypatch.setattr(cameras, "next", next_picture)
        await send_picture(console, device, JPEG)
        raw = await console.ask("GET", "/api/devices/hall/stream.mjpeg")
        await raw.until(JPEG)
        await raw.until(JPEG)
        in_vain = looks.count(None)
        await until(lambda: looks.count(None) >= in_vain + 2)
        await send_picture(console, device, OTHER_JPEG)
        between = await raw.until(OTHER_JPEG)
        assert JPEG not in between  # once was enough
        await raw.close()
