from __future__ import annotations

from pathlib import Path

import pytest
from console_harness import running_console


@pytest.mark.parametrize(
    ("path", "media"),
    [("/", "text/html"), ("/app.js", "text/javascript"), ("/style.css", "text/css")],
)
async def test_file_of_the_page_is_served_and_then_known(
    tmp_path: Path, path: str, media: str
) -> None:
    async with running_console(tmp_path) as console:
        answer = await console.stranger.get(path)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == f"{media}; charset=utf-8"
        tag = answer.headers["etag"]
        for known in (tag, f"W/{tag}", f'"other", {tag}'):
            again = await console.stranger.get(path, headers={"If-None-Match": known})
            assert (again.status_code, again.content) == (304, b"")
            assert again.headers["etag"] == tag
        changed = await console.stranger.get(path, headers={"If-None-Match": '"other"'})
        assert changed.status_code == 200
