"""The page's own files, from the package. Nothing is loaded from elsewhere."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources
from typing import Final

from starlette.responses import Response

from wsdev.console.operations import Call, Operation

_TYPES: Final = {
    "index.html": "text/html; charset=utf-8",
    "app.js": "text/javascript; charset=utf-8",
    "style.css": "text/css; charset=utf-8",
}


@cache
def _file(name: str) -> tuple[bytes, str]:
    data = (resources.files("wsdev.console") / "static" / name).read_bytes()
    return data, f'"{hashlib.sha256(data).hexdigest()[:32]}"'


async def serve_file(call: Call, name: str) -> Response:
    """A file of the page, or 304 if the browser has it."""
    data, tag = _file(name)
    # Asked for each time: after an update the page is the new one at once.
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    known = call.request.headers.get("if-none-match", "")
    if tag in (known.strip() for known in known.replace("W/", "").split(",")):
        return Response(status_code=304, headers=headers)
    return Response(data, headers={**headers, "Content-Type": _TYPES[name]})


def _operation(path: str, name: str) -> Operation:
    async def serve(call: Call) -> Response:
        return await serve_file(call, name)

    return Operation(
        method="GET",
        path=path,
        handler=serve,
        summary=f"The page's {name}.",
        media=_TYPES[name].partition(";")[0],
        is_public=True,
        shown=False,
    )


OPERATIONS: Final = (
    _operation("/", "index.html"),
    _operation("/app.js", "app.js"),
    _operation("/style.css", "style.css"),
)
