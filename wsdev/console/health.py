"""``/healthz`` and ``/metrics``: how the gateway is, for programs that watch it."""

from __future__ import annotations

from typing import Final, Literal

import msgspec
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.responses import Response

from wsdev import __version__
from wsdev.console.operations import Call, Operation, json_answer


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
        path="/metrics",
        handler=show_metrics,
        summary="Everything that is counted, for Prometheus.",
        media="text/plain",
    ),
)
