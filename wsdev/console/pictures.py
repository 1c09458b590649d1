"""What a camera shows: one picture, or a stream that browsers, Home Assistant and ffmpeg read."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Final

from starlette.responses import Response

from wsdev.console.cameras import BOUNDARY, Picture
from wsdev.console.devices import find_member
from wsdev.console.operations import Call, Operation
from wsdev.console.problems import NotServed
from wsdev.console.streams import Stream

LOOK_INTERVAL: Final = 1.0
"""Seconds between two looks whether the viewer may still watch."""


async def snapshot(call: Call) -> Response:
    """The newest whole picture."""
    member = find_member(call)
    picture = call.plane.cameras.newest(member.name)
    if picture is None:
        raise NotServed(
            404, "no_picture", "this device has sent no picture since it connected", "wait for one"
        )
    age = max(0.0, call.plane.gateway.clock() - picture.taken)
    return Response(picture.data, headers={"X-Picture-Age": f"{age:.3f}"}, media_type="image/jpeg")


async def stream(call: Call) -> Response:
    """Each new picture, for as long as the viewer wants; also over the camera's reconnections."""
    member = find_member(call)
    return Stream(_pictures(call, member.name), f"multipart/x-mixed-replace; boundary={BOUNDARY}")


async def _pictures(call: Call, name: str) -> AsyncGenerator[bytes, None]:
    plane = call.plane
    shown: Picture | None = None
    is_begun = False
    plane.cameras.viewing(name, 1)
    try:
        yield f"--{BOUNDARY}\r\n".encode()
        while not plane.closing.is_set():
            if call.operator is None or not plane.gate.still_admits(call.operator):
                return
            picture = await plane.cameras.next(name, shown, LOOK_INTERVAL)
            if picture is not None and picture is not shown:
                shown, is_begun = picture, True
                yield picture.part
            elif shown is not None and is_begun:
                # Chromium shows a picture once the next one begins, which may take long.
                is_begun = False
                yield shown.part
    finally:
        plane.cameras.viewing(name, -1)


OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/api/devices/{name}/snapshot.jpg",
        handler=snapshot,
        summary="The newest whole picture of a camera.",
        media="image/jpeg",
        problems={404: "it is not connected, or has sent no picture"},
    ),
    Operation(
        method="GET",
        path="/api/devices/{name}/stream.mjpeg",
        handler=stream,
        summary="A camera's pictures as they come; a slow viewer skips some.",
        media="multipart/x-mixed-replace",
        problems={404: "it is not connected"},
        lasts=True,
    ),
)
