"""The page's own files, from the package. Nothing is loaded from elsewhere."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources
from pathlib import PurePath
from typing import Final

from starlette.responses import Response

from wsdev.console.operations import Call, Operation

_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}

_FOLDER: Final = resources.files("wsdev.console") / "static"
_INDEX: Final = "index.html"


def names() -> list[str]:
    """The files of the page."""
    return sorted(file.name for file in _FOLDER.iterdir() if PurePath(file.name).suffix in _TYPES)


def media_type(name: str) -> str:
    """What a file is, for a browser."""
    return _TYPES[PurePath(name).suffix]


def read_file(name: str) -> bytes:
    """What is in a file of the page."""
    return (_FOLDER / name).read_bytes()


@cache
def _file(name: str) -> tuple[bytes, str]:
    data = read_file(name)
    return data, f'"{hashlib.sha256(data).hexdigest()[:32]}"'


async def serve_file(call: Call, name: str) -> Response:
    """A file of the page, or 304 if the browser has it."""
    data, tag = _file(name)
    # Asked for each time: after an update the page is the new one at once.
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    known = call.request.headers.get("if-none-match", "")
    if tag in (known.strip() for known in known.replace("W/", "").split(",")):
        return Response(status_code=304, headers=headers)
    return Response(data, headers={**headers, "Content-Type": media_type(name)})


def _operation(name: str) -> Operation:
    async def serve(call: Call) -> Response:
        return await serve_file(call, name)

    return Operation(
        method="GET",
        path="/" if name == _INDEX else f"/{name}",
        handler=serve,
        summary=f"The page's {name}.",
        media=media_type(name).partition(";")[0],
        is_public=True,
        shown=False,
    )


OPERATIONS: Final = tuple(_operation(name) for name in names())
