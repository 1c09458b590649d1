from __future__ import annotations

from pathlib import Path

from console_harness import running_console
from test_console_gate import problem


async def test_journal_is_read_in_pages_from_its_end(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console, console.gateway.device(name="hall") as device:
        for number in range(25):
            await device.telemetry(f"m-{number}")
        found: list[str] = []
        query = {"kind": "message", "limit": "10", "device": "hall"}
        while True:
            page = (await console.client.get("/api/journal", params=query)).json()
            assert page["complete"]
            found = [
                entry["id"] for entry in page["entries"] if entry["event"] == "telemetry"
            ] + found
            if page["before"] is None:
                break
            query["before"] = str(page["before"])
        assert found == [f"m-{number}" for number in range(25)]


async def test_journal_goes_on_with_what_came_after(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console, console.gateway.device(name="hall") as device:
        await console.recorded()  # the session's own entry stands before what is asked for
        last = (await console.client.get("/api/journal")).json()["after"]
        for number in range(15):
            await device.telemetry(f"m-{number}")
        query = {"after": str(last), "limit": "10"}
        page = (await console.client.get("/api/journal", params=query)).json()
        assert (len(page["entries"]), page["complete"]) == (10, False)
        query["after"] = str(page["after"])
        rest = (await console.client.get("/api/journal", params=query)).json()
        ids = [entry["id"] for entry in [*page["entries"], *rest["entries"]]]
        assert ids == [f"m-{number}" for number in range(15)]
        assert rest["complete"]


async def test_filters_are_those_of_the_command_line(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console, console.gateway.device(name="hall") as device:
        await device.send({"type": "log", "id": 1, "message": "a (literal) Text"})
        await device.receive()

        async def count(**query: str) -> int:
            answer = await console.client.get("/api/journal", params=query)
            return len(answer.json()["entries"])

        assert await count(text="(literal)") == 1
        assert await count(text="(LITERAL)") == 0
        assert await count(text="(LITERAL)", ignore_case="true") == 1
        assert await count(text="l.teral") == 0
        assert await count(kind="session", device="hall") == 1
        assert await count(device="other") == 0
        assert await count(address="192.0.2.0/24") == 0
        for query, word in (
            ({"kind": "nonsense"}, "kind: 'nonsense' is no kind"),
            ({"since": "tomorrow"}, "since: 'tomorrow' is no time"),
            ({"address": "nowhere"}, "address: 'nowhere' is no address"),
        ):
            answer = await console.client.get("/api/journal", params=query)
            assert word in str(problem(answer, 422, "usage")["detail"])
        for query in ({"limit": "0"}, {"limit": "1001"}, {"before": "x"}, {"limit": ""}):
            problem(await console.client.get("/api/journal", params=query), 422, "unfit")


async def test_refusals_are_grouped_with_their_fix(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console:
        for _ in range(3):
            await console.gateway.upgrade()
        await console.gateway.get("/.env")
        await console.recorded()
        report = (await console.client.get("/api/refusals")).json()
        assert [(g["code"], g["count"]) for g in report["groups"]] == [
            ("token_missing", 3), ("not_found", 1),
        ]  # fmt: skip
        assert "Authorization" in report["groups"][0]["fix"]
        assert report["complete"]
        query = {"sort": "last", "limit": "1"}
        report = (await console.client.get("/api/refusals", params=query)).json()
        assert [group["code"] for group in report["groups"]] == ["not_found"]
        assert report["groups_left_out"] == 1
        (group,) = (await console.client.get("/api/refusals?lang=fa&limit=1")).json()["groups"]
        assert "`Authorization: Bearer <token>`" in group["fix"]
        assert group["message"] == "هیچ توکنی فرستاده نشد."
        problem(await console.client.get("/api/refusals?lang=xx"), 422, "unfit")
