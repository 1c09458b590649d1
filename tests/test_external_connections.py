"""The guide for connections from outside: its shape, and its two languages beside each other."""

from __future__ import annotations

import importlib
import re
from typing import Any

import pytest
import typer
from doc_tables import beside_persian, without_tables
from documents import BLOCK, DOCS, ROOT, anchors, blocks, page

from wsdev.cli import SUMMARIES
from wsdev.diagnosis.faults import Fault
from wsdev.diagnosis.verdict import FAULTS
from wsdev.layers import Layer

ENGLISH, PERSIAN = "external-connections.md", "external-connections.fa.md"
LAYERS = [layer.value for layer in Layer]
"""The order in which a connection comes about; the probe's hints link to these."""

TALK = {Layer.HELLO, Layer.MESSAGE, Layer.KEEPALIVE}
"""A connection can be closed or cut at each of these; the probe names the one where it was."""

_INLINE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_ITALICS = re.compile(r"^\*((?:[^*\n]|\n(?!\n))+)\*", re.MULTILINE)
_QUOTE = re.compile(r'"([^"]+)"|«([^»]+)»')


def prose(name: str) -> str:
    """A page without its blocks of code."""
    return BLOCK.sub("", page(name))


def section(name: str, layer: str) -> str:
    """What a page says of a layer."""
    _, _, rest = page(name).partition(f'<a id="{layer}"></a>\n')
    return rest.partition('<a id="')[0]


def quotes(name: str, layer: str) -> list[str]:
    """The sentences of the probe under the title of a layer, each on one line."""
    found = [
        " ".join((english or persian).split())
        for italics in _ITALICS.findall(section(name, layer))
        for english, persian in _QUOTE.findall(italics)
    ]
    assert found, f"{layer}: nothing is quoted"
    return found


def faults_at(layer: Layer) -> list[Fault]:
    """What the probe can find there."""
    return [
        fault
        for fault in FAULTS.values()
        if fault.layer is layer or (layer in TALK and fault.code.startswith(("close_", "cut")))
    ]


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


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("name", [ENGLISH, PERSIAN])
def test_sentences_under_a_layer_are_those_that_the_probe_prints(name: str, layer: str) -> None:
    assert set(quotes(name, layer)) <= {fault.what for fault in faults_at(Layer(layer))}
    assert quotes(name, layer) == quotes(ENGLISH, layer)


@pytest.mark.parametrize("name", [ENGLISH, PERSIAN])
def test_tree_asks_layer_by_layer_and_tells_the_exit_codes_of_each(name: str) -> None:
    items = re.findall(
        r"^\d+\. .*(?:\n +.*)*", page(name).partition('<a id="name">')[0], re.MULTILINE
    )
    *walked, last = [
        (_LINK.findall(item)[-1], {int(code) for code in re.findall(r"\([^()]*?(\d\d)\)", item)})
        for item in items
    ]
    exits = [{int(fault.exit_code) for fault in faults_at(layer)} for layer in Layer]
    assert walked == list(zip((f"#{layer}" for layer in LAYERS), exits, strict=True))
    assert last == ("#code", set())


def test_both_languages_have_the_same_code_and_anchors_in_the_same_order() -> None:
    def skeleton(name: str) -> list[str]:
        pattern = re.compile(f'{BLOCK.pattern}|<a id="[^"]+"></a>|^#+ ', re.MULTILINE)
        return [found[0] for found in pattern.finditer(page(name))]

    assert blocks(page(PERSIAN)) == blocks(page(ENGLISH))
    assert anchors(page(PERSIAN)) == anchors(page(ENGLISH))
    assert skeleton(PERSIAN) == skeleton(ENGLISH)


def test_both_languages_name_the_same_commands_and_codes() -> None:
    # The tables are another test's: code stands in backticks in the Persian ones only.
    english, persian = (
        set(_INLINE.findall(without_tables(prose(name)))) for name in (ENGLISH, PERSIAN)
    )
    assert persian == english


def test_persian_prose_runs_from_right_to_left_and_code_does_not() -> None:
    for part in BLOCK.sub("```\n", page(PERSIAN)).split("```\n"):
        inside = part.strip()
        assert not inside or (inside.startswith('<div dir="rtl">') and inside.endswith("</div>"))
        assert inside.count("<div") == inside.count("</div>")


def test_signs_at_the_ends_of_code_stay_there_in_persian() -> None:
    for line in prose(PERSIAN).splitlines():
        assert beside_persian(line) == line


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
