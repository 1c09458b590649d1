from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsdev.errors import UsageError
from wsdev.urls import GatewayAddress, parse_console_address, parse_gateway_address


@pytest.mark.parametrize(
    ("text", "host", "port", "tls"),
    [
        ("gateway", "gateway", 3000, False),
        ("gateway.example", "gateway.example", 3000, False),
        ("gateway:3100", "gateway", 3100, False),
        ("192.0.2.7", "192.0.2.7", 3000, False),
        ("192.0.2.7:80", "192.0.2.7", 80, False),
        ("http://gateway", "gateway", 80, False),
        ("http://gateway:3000", "gateway", 3000, False),
        ("ws://gateway", "gateway", 80, False),
        ("https://gateway", "gateway", 443, True),
        ("wss://gateway", "gateway", 443, True),
        ("wss://gateway:3000/", "gateway", 3000, True),
        ("HTTP://GATEWAY", "gateway", 80, False),
        ("::1", "::1", 3000, False),
        ("2001:db8::7", "2001:db8::7", 3000, False),
        ("[::1]", "::1", 3000, False),
        ("[::1]:3100", "::1", 3100, False),
        ("ws://[2001:db8::7]:3000", "2001:db8::7", 3000, False),
        ("  gateway  ", "gateway", 3000, False),
    ],
)
def test_usual_forms_are_understood(text: str, host: str, port: int, tls: bool) -> None:
    assert parse_gateway_address(text) == GatewayAddress(host, port, tls)


@pytest.mark.parametrize(
    ("text", "path", "device_class"),
    [
        ("http://gateway:3000/", "", None),
        ("http://gateway:3000/ws/pico", "", "pico"),
        ("ws://gateway/ws/esp32cam/", "", "esp32cam"),
        ("gateway/public/tokens", "", None),
        ("gateway:3000/ws", "", None),
        ("https://example/devices", "/devices", None),
        ("https://example/devices/ws/pico", "/devices", "pico"),
        ("https://example/devices/public/tokens", "/devices", None),
    ],
)
def test_known_endpoints_are_taken_off_the_path(
    text: str, path: str, device_class: str | None
) -> None:
    address = parse_gateway_address(text)
    assert (address.path, address.device_class) == (path, device_class)


@pytest.mark.parametrize(
    ("text", "part_of_the_cause"),
    [
        ("", "no host"),
        ("   ", "no host"),
        ("http://", "no host"),
        (":3000", "no host"),
        ("ftp://gateway", "unknown scheme"),
        ("gate way", "no host"),
        ("gateway:port", "no usable host and port"),
        ("gateway:70000", "no usable host and port"),
        ("gateway:0", "port 0"),
        ("[::1", "no usable host and port"),
        ("http://me:secret@gateway", "user or password"),
        ("http://gateway?token=secret", "query"),
        ("http://gateway#secret", "query"),
    ],
)
def test_address_that_cannot_be_meant_is_refused_in_one_line(
    text: str, part_of_the_cause: str
) -> None:
    with pytest.raises(UsageError, match=part_of_the_cause) as caught:
        parse_gateway_address(text)
    assert "\n" not in caught.value.cause
    assert caught.value.hint
    assert "secret" not in caught.value.cause + caught.value.hint


def test_refused_address_cannot_steer_the_terminal() -> None:
    with pytest.raises(UsageError) as caught:
        parse_gateway_address("\x1b]0;owned\x07://gateway")
    assert "\x1b" not in caught.value.cause
    assert r"\x1b" in caught.value.cause


def test_urls_made_of_an_address() -> None:
    plain = GatewayAddress("gateway", 3000)
    assert plain.websocket_url("pico") == "ws://gateway:3000/ws/pico"
    assert plain.tokens_url() == "http://gateway:3000/public/tokens"
    secure = GatewayAddress("2001:db8::7", 443, tls=True, path="/devices")
    assert secure.websocket_url("pico") == "wss://[2001:db8::7]:443/devices/ws/pico"
    assert secure.tokens_url() == "https://[2001:db8::7]:443/devices/public/tokens"


@given(
    host=st.one_of(
        st.ip_addresses().map(str),
        st.from_regex(r"[a-z]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True),
    ),
    port=st.integers(1, 65535),
    tls=st.booleans(),
    path=st.sampled_from(["", "/devices", "/a/b"]),
)
def test_url_of_an_address_means_that_address(host: str, port: int, tls: bool, path: str) -> None:
    address = GatewayAddress(host, port, tls, path, "pico")
    assert parse_gateway_address(address.websocket_url("pico")) == address


@given(st.text())
def test_any_text_is_an_address_or_a_usage_error(text: str) -> None:
    try:
        address = parse_gateway_address(text)
    except UsageError:
        return
    assert address.host
    assert 1 <= address.port <= 65535


@pytest.mark.parametrize("written", ["[fe80::1%25wlan0]:3000", "[fe80::1%wlan0]", "fe80::1%wlan0"])
def test_interface_of_a_link_local_address_stays_here(written: str) -> None:
    address = parse_gateway_address(written)
    assert (address.host, address.port) == ("fe80::1%wlan0", 3000)
    # RFC 6874: it means nothing to the other end.
    assert address.host_header == "[fe80::1]:3000"
    assert address.server_name == "fe80::1"


def test_certificate_is_for_the_name_without_the_dot_of_the_root() -> None:
    address = parse_gateway_address("wss://gateway.example.")
    assert address.server_name == "gateway.example"
    assert address.host_header == "gateway.example."


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("gateway", "http://gateway:3001/"),
        ("gateway:3100", "http://gateway:3100/"),
        ("::1", "http://[::1]:3001/"),
        ("http://gateway", "http://gateway:80/"),
        ("https://gateway/wsdev/", "https://gateway:443/wsdev/"),
        ("http://gateway/ws/pico", "http://gateway:80/ws/pico/"),
    ],
)
def test_console_has_a_port_of_its_own(text: str, url: str) -> None:
    assert parse_console_address(text).http_url("/") == url


@pytest.mark.parametrize(
    "text", ["ws://gateway", "gateway:port", "gateway:0", "", "http://a:b@gateway", "gateway/?t=1"]
)
def test_console_that_cannot_be_meant_is_refused_in_the_words_of_its_option(text: str) -> None:
    with pytest.raises(UsageError, match="--console"):
        parse_console_address(text)
