from __future__ import annotations

from pathlib import Path

from console_harness import GUARD, running_console
from test_console_gate import problem


async def test_login_says_who_one_is(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console:
        answer = await console.stranger.post("/login", json={"token": f" {console.token}\n"})
        assert (answer.json()["way"], answer.json()["name"]) == ("session", "alice")
        assert answer.headers["cache-control"] == "no-store"


async def test_logout_without_a_session_is_none_and_no_fault(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console:
        assert (await console.stranger.post("/logout", headers=GUARD)).status_code == 204
        problem(await console.stranger.post("/logout"), 403, "forgery_guard")


async def test_login_takes_json_only(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console:
        answer = await console.stranger.post("/login", data={"token": console.token})
        problem(answer, 415, "not_json")
        problem(await console.stranger.post("/login", json={}), 422, "unfit")
        problem(await console.stranger.post("/login", json={"token": "x" * 300}), 422, "unfit")
