from __future__ import annotations

import json
from pathlib import Path

from console_harness import running_console
from harness import bearer
from test_console_gate import problem

from wsdev.codes import CloseCode


async def test_new_token_is_shown_once_and_lets_its_device_in_at_once(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console:
        wish = {"class": "pico", "name": "kitchen"}
        answer = await console.client.post("/api/tokens", json=wish)
        assert answer.status_code == 201
        made = answer.json()
        assert (made["kind"], made["name"], made["state"]) == ("device", "kitchen", "active")
        async with console.gateway.device(token=made["token"], name="kitchen") as device:
            await device.telemetry(1)
        problem(await console.client.post("/api/tokens", json=wish), 409, "name_claimed")
        listed = (await console.client.get("/api/tokens")).text
        assert made["id"] in listed
        assert made["token"] not in listed
        for token in (*console.gateway.book.public_tokens()["pico"], console.token):
            assert token not in listed


async def test_operator_token_made_here_opens_the_console(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console:
        made = (await console.client.post("/api/tokens", json={"class": "operator"})).json()
        assert (made["kind"], made["class"]) == ("operator", "operator")
        me = await console.stranger.get("/api/me", headers=bearer(made["token"]))
        assert me.json()["name"] == made["id"]


async def test_revoked_token_closes_its_link(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console:
        token = console.gateway.token("pico", name="kitchen")
        async with console.gateway.device(token=token, name="kitchen") as device:
            answer = await console.client.delete("/api/tokens/kitchen")
            assert len(answer.json()["revoked"]) == 1
            assert (await device.closed())[0] == CloseCode.TOKEN_REVOKED
        problem(await console.client.delete("/api/tokens/nobody"), 404, "no_such_token")


async def test_token_is_rotated(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console:
        console.gateway.token("pico", name="kitchen")
        answer = await console.client.post("/api/tokens/kitchen/rotate", json={"grace": 60})
        assert answer.status_code == 201
        states = [t["state"] for t in (await console.client.get("/api/tokens")).json()["tokens"]]
        assert states.count("retiring") == 1
        problem(
            await console.client.post("/api/tokens/kitchen/rotate", json={"grace": -1}),
            422,
            "unfit",
        )


async def test_window_is_opened_and_closed(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console:
        answer = await console.client.post("/api/tokens/window", json={"seconds": 60})
        assert 0 < answer.json()["window_seconds"] <= 60
        assert (await console.gateway.get("/public/tokens")).status == 200
        assert (await console.client.delete("/api/tokens/window")).status_code == 204
        assert (await console.gateway.get("/public/tokens")).status == 403
        assert (await console.client.get("/api/tokens")).json()["window_seconds"] == 0


async def test_wishes_that_cannot_be_meant_are_refused(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console:
        odd: tuple[object, ...] = ({}, {"class": 7}, {"class": "pico", "nome": "x"}, [])
        for wish in odd:
            problem(await console.client.post("/api/tokens", json=wish), 422, "unfit")
        for unfit in ({"class": "No Class"}, {"class": "pico", "name": "<img onerror>"}):
            problem(await console.client.post("/api/tokens", json=unfit), 422, "usage")


async def test_no_answer_but_the_first_and_no_log_holds_a_token(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console:
        made = (await console.client.post("/api/tokens", json={"class": "operator"})).json()
        canary = made["token"]
        asked = (
            "/api/devices", "/api/tokens", "/api/journal", "/api/refusals", "/metrics", "/api/me",
            f"/api/devices/{canary}", f"/api/nothing/{canary}", f"/api/journal?text={canary}",
        )  # fmt: skip
        await console.gateway.upgrade(f"/ws/pico?token={canary}")
        await console.recorded()
        for path in asked:
            for headers in (bearer(canary), {"Origin": canary}, bearer(canary[:-1])):
                answer = await console.stranger.get(path, headers=headers)
                assert canary not in answer.text + json.dumps(dict(answer.headers)), path
        await console.client.delete(f"/api/tokens/{canary}")
        assert canary not in console.gateway.log.text.getvalue()
