"""What ``wsdev connect`` prints, and how its options become a visit."""

from __future__ import annotations

import asyncio
import random
import sys
from pathlib import Path

import msgspec
from rich.console import Console
from rich.text import Text

from wsdev import client, staying
from wsdev.commands.option_values import seconds
from wsdev.errors import UsageError, WsdevError
from wsdev.protocol import DeviceClass, class_of, clean_name
from wsdev.target import Target
from wsdev.urls import parse_gateway_address


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
