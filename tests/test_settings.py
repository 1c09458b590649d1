"""Settings: one table, from which flags, variables, the file and the docs are made."""

from __future__ import annotations

import dataclasses
import ipaddress
import re
from pathlib import Path
from typing import Any

import pytest

from wsdev.errors import UsageError
from wsdev.limits import Limits
from wsdev.protocol import ESP32CAM, PICO, DeviceClass
from wsdev.records import PicturesKept
from wsdev.settings import (
    LIMIT_HELP,
    ServeSettings,
    default_state_folder,
    load,
    variable,
)

DOCS = Path(__file__).parent.parent / "docs" / "settings.md"

# For each setting: three texts and what they mean.
VALUES: dict[str, list[tuple[str, Any]]] = {
    "host": [("127.0.0.1", ("127.0.0.1",)), ("::1", ("::1",)), ("host.example", ("host.example",))],
    "port": [("0", 0), ("3001", 3001), ("65535", 65535)],
    "state": [("/a", Path("/a")), ("/b", Path("/b")), ("~/c", Path("~/c").expanduser())],
    "public_tokens": [("open", "open"), ("off", "off"), ("window", "window")],
    "trust_local": [("no", False), ("on", True), ("FALSE", False)],
    "trusted_proxy": [
        ("10.0.0.0/8", (ipaddress.ip_network("10.0.0.0/8"),)),
        ("192.0.2.7", (ipaddress.ip_network("192.0.2.7/32"),)),
        ("2001:db8::/32", (ipaddress.ip_network("2001:db8::/32"),)),
    ],
    "device_class": [
        ("sensor", (DeviceClass("sensor"),)),
        ("relay,max_message=100", (DeviceClass("relay", max_message=100),)),
        ("pico,ping_payload=0", (dataclasses.replace(PICO, ping_payload=0),)),
    ],
    "tls_cert": [("/a.pem", Path("/a.pem")), ("/b", Path("/b")), ("/c", Path("/c"))],
    "tls_key": [("/a.pem", Path("/a.pem")), ("/b", Path("/b")), ("/c", Path("/c"))],
    "compression": [("yes", True), ("0", False), ("1", True)],
    "drain": [("500ms", 0.5), ("2m", 120.0), ("7", 7.0)],
    "journal_sync": [("normal", "normal"), ("full", "full"), ("normal", "normal")],
    "journal_keep": [("7d", 604_800.0), ("0", 0.0), ("1h", 3600.0)],
    "journal_max": [("500MB", 500_000_000), ("1GiB", 2**30), ("0", 0)],
    "record_pictures": [
        ("20", PicturesKept(last=20)),
        ("10s", PicturesKept(every=10.0)),
        ("1", PicturesKept(last=1)),
    ],
    "metrics_port": [("9100", 9100), ("0", 0), ("9101", 9101)],
    "console": [("no", False), ("on", True), ("off", False)],
    "console_host": [("::1", "::1"), ("0.0.0.0", "0.0.0.0"), ("localhost", "localhost")],
    "console_port": [("0", 0), ("3002", 3002), ("8443", 8443)],
    "limit": [
        ("connections=5", (("connections", 5),)),
        ("stall_timeout=1m", (("stall_timeout", 60.0),)),
        ("command_bytes=15360", (("command_bytes", 15360),)),
    ],
    "log_format": [("json", "json"), ("console", "console"), ("json", "json")],
    "log_level": [("debug", "debug"), ("error", "error"), ("warning", "warning")],
}

FIELDS = {field.name: field for field in dataclasses.fields(ServeSettings)}


def as_flag(name: str, text: str) -> Any:
    return [text] if FIELDS[name].metadata["many"] else text


def test_every_setting_is_tried_here() -> None:
    assert VALUES.keys() == FIELDS.keys()


@pytest.mark.parametrize("name", VALUES)
def test_flag_outweighs_environment_outweighs_file_outweighs_default(
    name: str, tmp_path: Path
) -> None:
    (flag, from_flag), (env, from_env), (file, from_file) = VALUES[name]
    config = tmp_path / "wsdev.toml"
    config.write_text(
        f"{name} = {[file]!r}" if FIELDS[name].metadata["many"] else f"{name}={file!r}"
    )
    flags, environment = {name: as_flag(name, flag)}, {variable(name): env}

    assert getattr(load(flags, environment, config), name) == from_flag
    assert getattr(load({name: None}, environment, config), name) == from_env
    assert getattr(load({}, {}, config), name) == from_file
    assert getattr(load({}, {}), name) == FIELDS[name].default


def test_file_takes_toml_types_and_is_found_by_its_variable(tmp_path: Path) -> None:
    config = tmp_path / "wsdev.toml"
    config.write_text('port = 3005\ntrust_local = false\ndrain = 2\nhost = "127.0.0.1"\n')
    settings = load({}, {"WSDEV_CONFIG": str(config)})
    assert (settings.port, settings.trust_local, settings.drain) == (3005, False, 2.0)
    assert settings.host == ("127.0.0.1",)


def test_switched_off_flag_outweighs_the_environment() -> None:
    assert load({"trust_local": False}, {"WSDEV_TRUST_LOCAL": "yes"}).trust_local is False


def test_variable_of_a_repeatable_setting_is_split_at_spaces() -> None:
    settings = load({}, {"WSDEV_DEVICE_CLASS": "sensor relay"})
    assert list(settings.classes()) == ["pico", "esp32cam", "sensor", "relay"]


BAD = [
    ("port", "65536", "port"),
    ("port", "http", "port"),
    ("port", "-1", "port"),
    ("state", "", "a path"),
    ("tls_cert", "", "a path"),
    ("drain", "9" * 400, "longer"),
    ("public_tokens", "sometimes", "window, open, off"),
    ("trust_local", "maybe", "yes or no"),
    ("trusted_proxy", "10.0.0.1/8", "host bits"),
    ("trusted_proxy", "::ffff:10.0.0.0/104", "IPv4"),
    ("device_class", "Sensor!", "a-z"),
    ("device_class", "sensor,max_message=0", "max_message"),
    ("device_class", "sensor,ping_payload=3", "ping_payload"),
    ("device_class", "sensor,colour=red", "max_message"),
    ("device_class", "sensor,reset_on_drain=perhaps", "yes or no"),
    ("drain", "soon", "10s"),
    ("drain", "-1s", "10s"),
    ("limit", "connections", "whole number"),
    ("limit", "colour=1", "NAME=VALUE"),
    ("limit", "stall_timeout=x", "10s"),
    ("limit", "command_bytes=15361", "15360"),
    ("log_format", "xml", "console, json"),
    ("log_level", "loud", "debug"),
]


@pytest.mark.parametrize(("name", "text", "names"), BAD)
def test_bad_value_is_one_error_that_names_its_place_and_what_is_expected(
    name: str, text: str, names: str, tmp_path: Path
) -> None:
    config = tmp_path / "wsdev.toml"
    config.write_text(
        f"{name} = {[text]!r}" if FIELDS[name].metadata["many"] else f"{name}={text!r}"
    )
    flag = "--" + name.replace("_", "-")
    for where, flags, environment, file in (
        (flag, {name: as_flag(name, text)}, {}, None),
        (variable(name), {}, {variable(name): text}, None),
        (f"{name} in {config}", {}, {}, config),
    ):
        with pytest.raises(UsageError) as caught:
            load(flags, environment, file)
        assert caught.value.cause.startswith(f"{where}: ")
        assert names in caught.value.cause
        assert caught.value.hint


@pytest.mark.parametrize("content", ["port = ", "\udcff", "colour = 1"])
def test_file_that_cannot_be_read_is_one_error(content: str, tmp_path: Path) -> None:
    config = tmp_path / "wsdev.toml"
    config.write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(UsageError, match=re.escape(str(config))):
        load({}, {}, config)


@pytest.mark.parametrize(
    "content", ["device_class = 5.5", "limit = 3", "limit.connections = 5", "port = []"]
)
def test_value_of_another_type_in_the_file_is_one_error(content: str, tmp_path: Path) -> None:
    config = tmp_path / "wsdev.toml"
    config.write_text(content)
    name = re.split(r"[ .]", content)[0]
    with pytest.raises(UsageError, match=re.escape(f"{name} in {config}: ")):
        load({}, {}, config)


def test_missing_file_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        load({}, {}, tmp_path / "none.toml")


@pytest.mark.parametrize("text", ["999KB", "1"])
def test_journal_too_small_to_be_one_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="at least 1MB"):
        load({"journal_max": text}, {})


@pytest.mark.parametrize("text", ["0", "off", "no"])
def test_no_pictures_are_kept_on_request(text: str) -> None:
    assert not load({"record_pictures": text}, {}).record_pictures


@pytest.mark.parametrize("text", ["0s", "-3", "many", ""])
def test_what_is_no_number_of_pictures(text: str) -> None:
    with pytest.raises(UsageError, match="20 or a time like 10s"):
        load({"record_pictures": text}, {})


@pytest.mark.parametrize("field", FIELDS.values(), ids=FIELDS)
def test_default_as_shown_means_the_default(field: dataclasses.Field[Any]) -> None:
    if field.metadata["shown"]:
        assert field.metadata["parse"](field.metadata["shown"]) == field.default


def test_limits_are_the_defaults_but_for_those_changed() -> None:
    settings = load({"limit": ["connections=7", "linger=500ms"]}, {})
    assert settings.limits() == dataclasses.replace(Limits(), connections=7, linger=0.5)


def test_built_in_class_keeps_what_is_not_changed() -> None:
    classes = load({"device_class": ["esp32cam,max_message=1000"]}, {}).classes()
    assert classes["esp32cam"] == dataclasses.replace(ESP32CAM, max_message=1000)
    assert classes["pico"] == PICO


def test_state_folder_is_the_user_s_own_unless_named() -> None:
    assert load({}, {}).state_folder() == default_state_folder()
    assert load({"state": "/srv/wsdev"}, {}).state_folder() == Path("/srv/wsdev")


def test_every_setting_and_limit_has_help() -> None:
    assert all(field.metadata["help"].endswith(".") for field in FIELDS.values())
    assert LIMIT_HELP.keys() == {field.name for field in dataclasses.fields(Limits)}


def settings_table() -> str:
    """What docs/settings.md has to hold."""
    lines = ["| flag | variable | default | |", "|---|---|---|---|"]
    for name, field in FIELDS.items():
        shown: dict[Any, Any] = {None: "", (): "", True: "on", False: "off"}
        default = field.metadata["shown"] or shown.get(field.default, field.default)
        flag = f"--{name.replace('_', '-')}"
        lines.append(f"| `{flag}` | `{variable(name)}` | {default} | {field.metadata['help']} |")
    lines += ["", "| limit | default | |", "|---|---|---|"]
    for name, text in LIMIT_HELP.items():
        lines.append(f"| `{name}` | {getattr(Limits(), name)} | {text} |")
    return "\n".join(lines)


def test_docs_list_every_setting_and_limit_as_they_are() -> None:
    assert settings_table() in DOCS.read_text("utf-8")
