from __future__ import annotations

from pathlib import Path

import pytest
from console_harness import running_console
from test_console_gate import problem

from wsdev.console import devices


async def test_every_answer_has_the_security_headers(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console:
        for path in ("/", "/healthz", "/api/devices", "/nothing"):
            for client in (console.client, console.stranger):
                headers = (await client.get(path)).headers
                policy = headers["content-security-policy"]
                assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
                assert "unsafe" not in policy
                assert headers["x-content-type-options"] == "nosniff"
                assert headers["referrer-policy"] == "no-referrer"
                assert headers["cross-origin-resource-policy"] == "same-origin"
                assert "server" not in headers
                assert "access-control-allow-origin" not in headers


async def test_unknown_path_and_method_are_problems(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console:
        problem(await console.client.get("/api/nothing"), 404, "not_found")
        problem(await console.client.get("/api/devices/"), 404, "not_found")
        answer = await console.client.put("/api/tokens")
        problem(answer, 405, "method_not_allowed")
        allowed = {method.strip() for method in answer.headers["allow"].split(",")}
        assert allowed == {"GET", "HEAD", "POST"}
        problem(await console.client.options("/api/devices"), 405, "method_not_allowed")


async def test_head_is_answered_without_a_body(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console:
        answer = await console.client.head("/api/devices")
        assert (answer.status_code, answer.content) == (200, b"")


async def test_fault_of_ours_is_told_without_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a secret")

    monkeypatch.setattr(devices, "_list_of", fail)
    async with running_console(tmp_path) as console:
        answer = await console.client.get("/api/devices")
        problem(answer, 500, "fault")
        assert "secret" not in answer.text
        assert (await console.client.get("/api/me")).status_code == 200
        assert console.gateway.log.all("fault", doing="console")
