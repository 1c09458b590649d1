"""``/healthz`` and ``/metrics``: how the gateway is, for programs that watch it."""

from __future__ import annotations

import shutil
from typing import Final, Literal

import msgspec
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.responses import Response

from wsdev import __version__
from wsdev.console.operations import Call, Operation, json_answer
from wsdev.journal_schema import FILE_NAME


class Health(msgspec.Struct, frozen=True, omit_defaults=True):
    """As at the device plane's ``/healthz``; ``reason`` is there when it is not ``ok``."""

    status: Literal["ok", "degraded", "draining"]
    version: str = ""
    reason: str = ""


async def show_health(call: Call) -> Response:
    """200 when all is well, else 503 with the reason."""
    status, reason = call.plane.gateway.health()
    health = Health(status, __version__, reason)  # type: ignore[arg-type]
    return json_answer(health, 200 if status == "ok" else 503)


class Disk(msgspec.Struct, frozen=True):
    """What the journal takes, and what is left for it."""

    journal_bytes: int
    free_bytes: int


async def show_disk(call: Call) -> Response:
    """The journal's size with what it has not merged yet, and the room on its disk."""
    folder = call.plane.gateway.folder

    def look() -> Disk:
        files = folder.glob(f"{FILE_NAME}*")
        return Disk(sum(file.stat().st_size for file in files), shutil.disk_usage(folder).free)

    return json_answer(await call.plane.aside(look))


async def show_metrics(call: Call) -> Response:
    """The metrics in Prometheus's text format."""
    registry = call.plane.gateway.metrics.registry
    # In a thread: it asks the event loop for what is counted there.
    text = await call.plane.aside(lambda: generate_latest(registry))
    return Response(text, headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})


OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/healthz",
        handler=show_health,
        summary="Whether all is well; 503 with the same fields if not.",
        answer=Health,
        is_public=True,
    ),
    Operation(
        method="GET",
        path="/api/disk",
        handler=show_disk,
        summary="What the journal takes, and what is left for it.",
        answer=Disk,
    ),
    Operation(
        method="GET",
        path="/metrics",
        handler=show_metrics,
        summary="Everything that is counted, for Prometheus.",
        media="text/plain",
    ),
)
