from __future__ import annotations

import re
from importlib import resources
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


STATIC = Path(str(resources.files("wsdev.console") / "static"))
SCRIPTS = sorted(STATIC.glob("*.js"))


def test_page_is_small() -> None:
    assert sum(file.stat().st_size for file in STATIC.iterdir()) < 100_000


def test_page_loads_nothing_from_elsewhere_and_has_nothing_inline() -> None:
    for file in STATIC.iterdir():
        text = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "//" not in re.sub(r"^\s*//.*|\s// .*", "", text, flags=re.MULTILINE), file.name
    html = (STATIC / "index.html").read_text(encoding="utf-8")
    assert re.findall("<script[^>]*>", html) == ['<script type="module" src="app.js">']
    assert not re.search(r"<style|\sstyle=|\son\w+=", html)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_script_makes_no_markup_of_text(script: Path) -> None:
    text = script.read_text(encoding="utf-8")
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacent|document\.write|DOMParser|eval\(|new Function", text
    )
    assert len(text.splitlines()) < 400


def test_every_text_is_in_both_languages_and_used() -> None:
    table = (STATIC / "texts.js").read_text(encoding="utf-8").partition("export const TEXTS")[2]
    keys = re.findall(r"^  (\w+): \[", table, re.MULTILINE)
    assert len(keys) == len(set(keys)) > 100
    pairs = re.findall(
        r'^  \w+: \[\s*("(?:[^"\\]|\\.)*"),\s*("(?:[^"\\]|\\.)*"),?\s*\]', table, re.MULTILINE
    )
    assert len(pairs) == len(keys)
    for english, persian in pairs:
        assert set(re.findall(r"\{\w+\}", english)) == set(re.findall(r"\{\w+\}", persian))
    rest = "".join(file.read_text(encoding="utf-8") for file in STATIC.iterdir())
    made = tuple(re.findall(r"\bt\(`(\w+_)\$", rest))
    used = {
        *re.findall(r'\bt\(\s*"(\w+)"', rest),
        *re.findall(r'data-(?:text|label)="(\w+)"', rest),
    }
    assert used <= set(keys)
    # Parts of the page are named by their address, and some texts by a condition.
    quoted = set(re.findall(r'"(\w+)"', rest.replace(table, "")))
    assert not [key for key in keys if key not in used | quoted and not key.startswith(made)]


async def test_policy_of_the_page_lets_in_nothing_foreign(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console:
        answer = await console.stranger.get("/")
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self';")
        assert "unsafe" not in policy
        assert "require-trusted-types-for 'script'" in policy
