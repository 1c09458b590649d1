"""What ``wsdev connect`` prints, and how its options become a visit."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console
from rich.text import Text

from wsdev import client, staying
from wsdev.errors import UsageError, WsdevError
from wsdev.protocol import DeviceClass, class_of, clean_name
from wsdev.setting_values import parse_duration
from wsdev.target import Target
from wsdev.urls import parse_gateway_address

TOKEN_VARIABLE: Final = "WSDEV_TOKEN"


def seconds(option: str, text: str, *, least: float = 0.001) -> float:
    """The seconds of a time option.

    Raises:
        UsageError: not a time, or less than ``least``.
    """
    try:
        value = parse_duration(text)
    except ValueError as exc:
        raise UsageError(f"{option}: {text!r} is not usable: {exc}", "for example 10s") from None
    if value < least:
        least_told = f"{least:g}s" if least >= 1 else f"{least * 1000:g}ms"
        raise UsageError(f"{option}: {text!r} is too short", f"{least_told} is the shortest")
    return value


def find_token(token: str | None, token_file: Path | None) -> str | None:
    """The token that was given: flag, then file, then environment; None if none was.

    Raises:
        UsageError: the file cannot be read, or holds nothing usable.
    """
    if token is None and token_file is not None:
        try:
            raw = sys.stdin.buffer.read() if str(token_file) == "-" else token_file.read_bytes()
        except OSError as exc:
            raise UsageError(
                f"cannot read --token-file {token_file}: {exc.strerror}", "check path and rights"
            ) from None
        token = raw.decode("utf-8", "replace")
    if token is None:
        token = os.environ.get(TOKEN_VARIABLE)
    if token is None:
        return None
    token = token.strip()
    if not token or not token.isascii() or not token.isprintable():
        raise UsageError("the token given is empty or not plain ASCII", "give the token alone")
    return token


def find_class(name: str) -> DeviceClass:
    """The device class that --device names.

    Raises:
        UsageError: none can have that name.
    """
    try:
        return class_of(name)
    except ValueError:
        raise UsageError(f"--device {name!r} is no device class", "use pico or esp32cam") from None


def make_target(
    *,
    url: str,
    device: str | None,
    name: str | None,
    token: str | None,
    timeout: str,
    cacert: Path | None,
    insecure: bool,
) -> Target:
    """The target of a visit.

    Raises:
        UsageError: an address or class that cannot be meant.
        CertificateError: ``--cacert`` cannot be used.
    """
    address = parse_gateway_address(url)
    device_class = find_class(device or address.device_class or "pico")
    tls = client.make_tls_context(cacert, insecure=insecure) if address.tls else None
    wanted = clean_name(name or device_class.name)
    return Target(
        address,
        device_class,
        wanted,
        token,
        tls,
        own_issuers=cacert is not None,
        patience=seconds("--timeout", timeout),
    )


def plain_console(*, quiet: bool, stderr: bool = False) -> Console:
    """A console that prints as it is told: a gateway's text, or an IPv6 address, may look like
    markup."""
    return Console(
        highlight=False, markup=False, emoji=False, soft_wrap=True, quiet=quiet, stderr=stderr
    )


def error_document(error: WsdevError) -> dict[str, str]:
    """An error as the field of a JSON document."""
    return {
        "code": error.code,
        "side": error.side.value,
        "cause": error.cause,
        "hint": error.hint,
    }


async def stay(target: Target, interval: str, *, as_json: bool, quiet: bool) -> None:
    """Be a device until Ctrl-C, and print what happens."""
    console = plain_console(quiet=quiet)
    colours = {"online": "green", "offline": "yellow", "obeyed": "cyan", "error": "red"}

    def tell(happening: staying.Happening) -> None:
        if as_json:
            document = {"event": happening.what, "detail": happening.detail}
            sys.stdout.write(msgspec.json.encode(document).decode() + "\n")
            sys.stdout.flush()
            return
        colour = colours.get(happening.what, "")
        console.print(Text.assemble((f"{happening.what:<10}", colour), happening.detail))

    if not as_json:
        where = target.address.authority
        who = list(dict.fromkeys((target.device_class.name, target.name)))
        console.print(f"{' '.join(who)} at {where}, until Ctrl-C")
    try:
        await staying.stay(target, seconds("--interval", interval), random.random, tell)
    except asyncio.CancelledError:
        tell(staying.Happening("stopped", "by Ctrl-C"))
        raise
