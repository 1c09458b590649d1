"""The guide for connections from outside: its shape, and its two languages beside each other."""

from __future__ import annotations

import importlib
import re
from typing import Any

import pytest
import typer
from documents import BLOCK, DOCS, ROOT, anchors, blocks, page

from wsdev.cli import SUMMARIES

ENGLISH, PERSIAN = "external-connections.md", "external-connections.fa.md"
LAYERS = [
    "name",
    "route",
    "tcp",
    "tls",
    "http",
    "token",
    "upgrade",
    "hello",
    "message",
    "keepalive",
]
"""The order in which a connection comes about; the probe's hints link to these."""

_INLINE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def prose(name: str) -> str:
    """A page without its blocks of code."""
    return BLOCK.sub("", page(name))


@pytest.mark.parametrize("name", [ENGLISH, PERSIAN])
def test_each_layer_of_a_connection_has_its_place_in_order(name: str) -> None:
    assert [anchor for anchor in anchors(page(name)) if anchor in LAYERS] == LAYERS


@pytest.mark.parametrize("name", [ENGLISH, PERSIAN])
def test_every_link_leads_somewhere(name: str) -> None:
    known = anchors(page(name))
    for link in _LINK.findall(prose(name)):
        file, _, anchor = link.partition("#")
        assert not file or (DOCS / file).is_file(), link
        assert file or anchor in known, link


@pytest.mark.parametrize("name", [ENGLISH, PERSIAN])
def test_table_of_faults_has_its_place(name: str) -> None:
    text = page(name)
    assert text.count("<!-- faults -->") == text.count("<!-- /faults -->") == 1
    assert text.index("<!-- faults -->") < text.index("<!-- /faults -->")


def test_both_languages_have_the_same_code_and_anchors_in_the_same_order() -> None:
    def skeleton(name: str) -> list[str]:
        pattern = re.compile(f'{BLOCK.pattern}|<a id="[^"]+"></a>|^#+ ', re.MULTILINE)
        return [found[0] for found in pattern.finditer(page(name))]

    assert blocks(page(PERSIAN)) == blocks(page(ENGLISH))
    assert anchors(page(PERSIAN)) == anchors(page(ENGLISH))
    assert skeleton(PERSIAN) == skeleton(ENGLISH)


def test_both_languages_name_the_same_commands_and_codes() -> None:
    english, persian = (set(_INLINE.findall(prose(name))) for name in (ENGLISH, PERSIAN))
    assert persian == english


def test_persian_prose_runs_from_right_to_left_and_code_does_not() -> None:
    for part in BLOCK.sub("```\n", page(PERSIAN)).split("```\n"):
        inside = part.strip()
        assert not inside or (inside.startswith('<div dir="rtl">') and inside.endswith("</div>"))
        assert inside.count("<div") == inside.count("</div>")


def test_guide_is_linked_from_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    linked = set(_LINK.findall(readme))
    assert {f"docs/{name}" for name in (ENGLISH, PERSIAN, "ci.md")} <= linked


@pytest.mark.parametrize("page_name", [ENGLISH, PERSIAN])
def test_every_command_of_wsdev_and_its_options_exist(page_name: str) -> None:
    shown = [each.text for each in blocks(page(page_name)) if each.language == "sh"]
    shown += _INLINE.findall(prose(page_name))
    commands = {found for text in shown for found in re.findall(r"\bwsdev [a-z].*", text)}
    assert len(commands) > 10
    for command in sorted(commands):
        name, *words = re.sub(r"[);].*", "", command).split()[1:]
        assert name in SUMMARIES, command
        found: Any = typer.main.get_command(importlib.import_module(f"wsdev.commands.{name}").app)
        while words and words[0] in getattr(found, "commands", {}):
            found = found.commands[words.pop(0)]
        known = {option for each in found.params for option in (*each.opts, *each.secondary_opts)}
        assert {word for word in words if word.startswith("-")} <= known, command
