"""The pictures of the docs, taken of a real page; written with WSDEV_SCREENSHOTS=1 only."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from console_page import (
    Console,
    device,
    page_of,
    raw_device,
    running_console,
    staying,
)
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from wsdev.pictures import make_picture

FOLDER = Path(__file__).parents[2] / "docs" / "screenshots"
MOST_BYTES = 80_000
"""Of one picture: the whole history of them is in every clone."""

ROOMS = ("attic", "boiler", "cellar", "greenhouse", "hall", "kitchen", "porch-light", "roof-vane")
CAMERAS = ("gate-cam", "yard-cam")


@pytest.fixture(scope="module")
def console(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """A gateway with a small house full of devices, one that has left, and some at the door."""
    with contextlib.ExitStack() as stack:
        running = stack.enter_context(running_console(tmp_path_factory.mktemp("state")))
        gateway = running.gateway
        with raw_device(gateway, {"type": "connect", "device": "garage", "version": "1.4.2"}):
            pass
        for name in ROOMS:
            hello = {"type": "connect", "device": name, "version": "1.4.2"}
            stack.enter_context(raw_device(gateway, hello))
        stack.enter_context(device(gateway, *staying("pico", "workshop", "700ms")))
        for number, name in enumerate(CAMERAS, 1):
            hello = {"type": "connection", "device": name, "version": "1.0.0"}
            camera = stack.enter_context(raw_device(gateway, hello, kind="esp32cam"))
            for picture in range(3):
                camera.send(make_picture(number * 10 + picture, name))
        _measure(running.url, *ROOMS)
        _knock(gateway.url("/ws/pico"), "wsd_pico_0000000000000000000000000000000000", "127.0.0.7")
        _knock(gateway.url("/ws/pico"), None, "127.0.0.9")
        _knock(gateway.url("/ws/esp32-cam"), None, "127.0.0.9")
        yield running


def _measure(url: str, *names: str) -> None:
    """Have the gateway measure some round trips of devices."""
    with httpx.Client(headers={"X-Wsdev": "1"}, verify=False) as client:
        for known, name in itertools.product(range(12), names):
            device_url = f"{url}/api/devices/{name}"
            while len(client.get(device_url).raise_for_status().json()["round_trips"]) < known:
                pass
            client.post(f"{device_url}/ping").raise_for_status()


def _knock(url: str, token: str | None, source: str) -> None:
    """Be refused at the door."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    headers["X-Forwarded-For"] = "192.0.2.7"  # not local then: it needs a token
    with pytest.raises(InvalidStatus):
        connect(
            url,
            additional_headers=headers,
            user_agent_header="arduino-WebSocket-Client",
            proxy=None,
            source_address=(source, 0),
        )


def devices_page(page: Page) -> None:
    """All devices."""
    expect(page.locator(".summary")).to_have_text("11 online, 1 offline")
    expect(page.locator('[data-figure="commit"] dd')).not_to_have_text("–")


def device_page(page: Page) -> None:
    """A servo controller that was moved, with a line of round trips."""
    page.get_by_role("link", name="workshop").click()
    _measure(page.url.partition("/#")[0], "workshop")
    page.reload()  # the gateway remembers the round trips
    expect(page.locator("dl.facts .spark .line")).to_have_attribute("d", re.compile("L"))
    expect(page.locator('[data-figure="commit"] dd')).not_to_have_text("–")
    page.get_by_label("Servo 1").fill("120")
    page.get_by_role("button", name="Move").click()
    expect(page.locator(".outcome").first).to_have_attribute("data-state", "acknowledged")


def cameras_page(page: Page) -> None:
    """Both cameras with a picture."""
    page.get_by_role("link", name="Cameras").click()
    for name in CAMERAS:
        tile = page.locator(f'.tile[data-name="{name}"]')
        expect(tile.locator(".facts")).to_contain_text("kB")
        image = tile.locator("img").element_handle()
        page.wait_for_function("image => image.naturalWidth", arg=image)


def door_page(page: Page) -> None:
    """Who was refused."""
    page.get_by_role("link", name="At the door").click()
    expect(page.get_by_text("No token was sent.")).to_be_visible()


PICTURES = {
    "devices": devices_page,
    "device": device_page,
    "cameras": cameras_page,
    "door": door_page,
}


def test_pictures_of_the_docs(browser: Browser, console: Console) -> None:
    with page_of(browser, console.url, width=1120, height=700) as page:
        for name, show in PICTURES.items():
            show(page)
            page.mouse.move(0, 0)
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)
                data = _small(page.screenshot(animations="disabled"))
                assert len(data) <= MOST_BYTES
                if os.environ.get("WSDEV_SCREENSHOTS"):
                    FOLDER.mkdir(exist_ok=True)
                    (FOLDER / f"console-{name}-{scheme}.png").write_bytes(data)


def _small(png: bytes) -> bytes:
    """The picture with its 256 commonest colours."""
    buffer = io.BytesIO()
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    colours = picture.getcolors(picture.width * picture.height)
    assert colours is not None
    commonest = sorted(colours, reverse=True)[:256]
    palette = Image.new("P", (1, 1))
    palette.putpalette([part for _, rgb in commonest if isinstance(rgb, tuple) for part in rgb])
    small = picture.quantize(palette=palette, dither=Image.Dither.NONE)
    small.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
