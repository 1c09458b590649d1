from __future__ import annotations

from pathlib import Path

from console_harness import running_console

from wsdev.device_history import last_links, links_of
from wsdev.journal_reader import JournalReader


async def test_links_of_devices_are_found_the_latest_first(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console:
        for name in ("b", "a", "b"):
            async with console.gateway.device(name=name) as device:
                await device.telemetry(1)
        async with console.gateway.device(name="b") as device:
            await device.telemetry(2)
            await console.recorded()
            with JournalReader(console.gateway.folder) as reader:
                links = links_of(reader, "b", 2)
                assert [link.ended is None for link in links] == [True, False]
                assert links[1].messages_in == 2
                assert len(links_of(reader, "b", 10)) == 3
                assert links_of(reader, "nobody", 10) == []
                assert [(link.device, link.ended is None) for link in last_links(reader)] == [
                    ("a", False), ("b", True),
                ]  # fmt: skip
                assert [link.device for link in last_links(reader, 1)] == ["a"]
