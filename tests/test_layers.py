"""The layers of a connection: each code has one, and the guide's anchor for it."""

from __future__ import annotations

import pytest

from wsdev.codes import BREAKS, CLOSE_MEANINGS, REFUSALS
from wsdev.layers import GUIDE, LAYER_OF, Layer, guide_to


def test_each_code_has_one_layer_and_nothing_else_has() -> None:
    words = {meaning.word for meaning in CLOSE_MEANINGS.values()}
    assert set(LAYER_OF) == {*REFUSALS, *BREAKS, *words}


def test_layers_are_in_the_order_in_which_they_are_built_up() -> None:
    assert [str(layer) for layer in Layer] == [
        "name", "route", "tcp", "tls", "http", "token", "upgrade", "hello", "message", "keepalive",
        "quality",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("code", "layer"),
    [("token_missing", "token"), ("http_1_0", "upgrade"), ("tls_on_plain_port", "tls"),
     ("head_timeout", "http"), ("cut", "keepalive"), ("no_request", "tcp")],
)  # fmt: skip
def test_guide_has_an_anchor_for_each_layer(code: str, layer: str) -> None:
    assert guide_to(code) == f"{GUIDE}#{layer}"


def test_code_of_a_later_version_leads_to_the_guide() -> None:
    assert guide_to("of_a_later_version") == GUIDE
