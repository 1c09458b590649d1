from __future__ import annotations

from pathlib import Path

from console_harness import running_console, until
from harness import held_journal


async def test_health_needs_no_token(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console:
        answer = await console.stranger.get("/healthz")
        assert (answer.status_code, answer.json()["status"]) == (200, "ok")


async def test_degraded_gateway_says_why(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console:
        with held_journal(console.gateway.folder):
            await console.gateway.get("/nothing")
            await until(lambda: bool(console.gateway.journal.trouble))
            answer = await console.stranger.get("/healthz")
            assert (answer.status_code, answer.json()["status"]) == (503, "degraded")
            assert answer.json()["reason"]


async def test_metrics_are_those_of_prometheus(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console, console.gateway.device():
        answer = await console.client.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert 'wsdev_connected_devices{device_class="pico"} 1.0' in answer.text


async def test_disk_is_told_of(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console:
        told = (await console.client.get("/api/disk")).json()
        assert told["journal_bytes"] >= (console.gateway.folder / "journal.db").stat().st_size
        assert told["free_bytes"] > 0
        assert (await console.stranger.get("/api/disk")).status_code == 401
