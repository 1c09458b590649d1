from __future__ import annotations

from pathlib import Path

import pytest
from fake_gateways import LOOPBACK, answer, serving
from harness import running_gateway

from wsdev.client import DEFAULT_PATIENCE
from wsdev.errors import NotAllowed
from wsdev.protocol import ESP32CAM, PICO
from wsdev.target import Target, fetch_token
from wsdev.urls import GatewayAddress


def target_at(port: int, **fields: object) -> Target:
    return Target(GatewayAddress(LOOPBACK, port), PICO, "kitchen", **fields)  # type: ignore[arg-type]


async def test_token_is_that_of_the_class(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, public_tokens="open") as gateway:
        assert await fetch_token(target_at(gateway.port)) == gateway.token("pico")
        camera = Target(GatewayAddress(LOOPBACK, gateway.port), ESP32CAM, "porch")
        assert await fetch_token(camera) == gateway.token("esp32cam")


async def test_class_without_a_token_is_not_allowed() -> None:
    async with serving(answer("200 OK", b'{"esp32cam_tokens":["a"],"pico_tokens":[]}')) as port:
        with pytest.raises(NotAllowed) as caught:
            await fetch_token(target_at(port))
    assert caught.value.code == "no_token"
    assert "esp32cam" in caught.value.hint


def test_patience_is_that_of_a_device() -> None:
    assert target_at(1).patience == DEFAULT_PATIENCE
