"""The options that choose entries of the journal: ``wsdev logs``, ``wsdev journal export``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from datetime import datetime

    from wsdev.journal_query import Wanted
    from wsdev.setting_values import IPNetwork

_MAPPED_PREFIX: Final = 96
"""Bits of ::ffff:0:0/96, which has IPv4 in it (RFC 4291 section 2.5.5.2)."""

DeviceOption = Annotated[
    list[str] | None,
    typer.Option(
        "--device", metavar="NAME", help="Only of the device of this name; repeat for more."
    ),
]
ClassOption = Annotated[
    list[str] | None,
    typer.Option(
        "--class",
        metavar="CLASS",
        help="Only of devices of this class, or refused as such; repeat for more.",
    ),
]
AddressOption = Annotated[
    list[str] | None,
    typer.Option(
        "--address",
        metavar="ADDRESS",
        help="Only from this address or network (192.0.2.0/24); repeat for more.",
    ),
]
KindOption = Annotated[
    list[str] | None,
    typer.Option(
        "--kind",
        metavar="KIND",
        help="Only session, refusal, message, command or gateway; more with commas.",
    ),
]
SinceOption = Annotated[
    str | None,
    typer.Option(
        "--since",
        metavar="TIME",
        help="From then on: 1h (ago), 08:30 (today), today, yesterday, 2026-01-31T08:30.",
    ),
]
UntilOption = Annotated[
    str | None, typer.Option("--until", metavar="TIME", help="Before then; written as for --since.")
]
GrepOption = Annotated[
    str | None,
    typer.Option(
        "--grep",
        metavar="REGEX",
        help="Only where this is found: in names, addresses, bodies, reasons, ids, codes.",
    ),
]
IgnoreCaseOption = Annotated[
    bool, typer.Option("--ignore-case", "-i", help="Let --grep ignore case.")
]
SessionOption = Annotated[
    str | None,
    typer.Option(
        "--session", metavar="ID", help="Only this session: its start, its messages, its end."
    ),
]
RequestIdOption = Annotated[
    str | None,
    typer.Option(
        "--request-id",
        metavar="ID",
        help="The refusal that showed this id, and its words; or a session's start and end.",
    ),
]


def make_wanted(
    *,
    device: list[str] | None,
    device_class: list[str] | None,
    address: list[str] | None,
    kind: list[str] | None,
    since: str | None,
    until: str | None,
    grep: str | None,
    ignore_case: bool,
    session: str | None,
    request_id: str | None,
    now: datetime,
) -> Wanted:
    """What the options ask for.

    Args:
        now: With a zone.

    Raises:
        UsageError: one of them cannot be meant.
    """
    import re  # noqa: PLC0415

    from wsdev.errors import UsageError  # noqa: PLC0415
    from wsdev.journal_entries import KINDS  # noqa: PLC0415
    from wsdev.journal_query import Wanted  # noqa: PLC0415
    from wsdev.protocol import is_class_name  # noqa: PLC0415
    from wsdev.sanitize import printable  # noqa: PLC0415

    kinds = [name.strip() for names in kind or () for name in names.split(",")]
    for name in kinds:
        if name not in KINDS:
            raise UsageError(f"--kind: {name!r} is no kind", f"use {', '.join(KINDS)}")
    for name in device_class or ():
        if not is_class_name(name):
            raise UsageError(f"--class: {name!r} is no device class", "use pico or esp32cam")
    if ignore_case and grep is None:
        raise UsageError("--ignore-case says how --grep compares", "add --grep REGEX")
    pattern = None
    if grep is not None:
        try:
            pattern = re.compile(grep, re.MULTILINE | (re.IGNORECASE if ignore_case else 0))
        except (re.error, OverflowError, RecursionError) as exc:
            raise UsageError(
                f"--grep: {printable(grep)!r} is no regular expression: {exc}",
                r"write \ before a character that is meant as it is, as in \[",
            ) from None
    wanted = Wanted(
        kinds=frozenset(kinds or KINDS),
        devices=frozenset(device or ()),
        device_classes=frozenset(device_class or ()),
        networks=frozenset(map(_network, address or ())),
        since=None if since is None else _unix_milliseconds("--since", since, now),
        until=None if until is None else _unix_milliseconds("--until", until, now),
        pattern=pattern,
        session=None if session is None else session.strip(),
        request_id=None if request_id is None else request_id.strip(),
    )
    if wanted.since is not None and wanted.until is not None and wanted.since >= wanted.until:
        raise UsageError("--since is not before --until", "swap them")
    return wanted


def _network(text: str) -> IPNetwork:
    from ipaddress import IPv6Network, ip_network  # noqa: PLC0415

    from wsdev.errors import UsageError  # noqa: PLC0415

    try:
        network = ip_network(text.strip().strip("[]"), strict=False)
    except ValueError:
        raise UsageError(
            f"--address: {text!r} is no address", "for example 192.0.2.7, fd00::7 or 192.0.2.0/24"
        ) from None
    if isinstance(network, IPv6Network) and network.prefixlen >= _MAPPED_PREFIX:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return ip_network((mapped, network.prefixlen - _MAPPED_PREFIX))
    return network


def _unix_milliseconds(option: str, text: str, now: datetime) -> int:
    from datetime import timedelta  # noqa: PLC0415

    from wsdev.errors import UsageError  # noqa: PLC0415
    from wsdev.setting_values import parse_duration  # noqa: PLC0415

    try:
        try:
            moment = now - timedelta(seconds=parse_duration(text))
        except ValueError:
            moment = _moment(text.strip(), now)
        return round(moment.timestamp() * 1000)
    except (ValueError, OverflowError, OSError):
        raise UsageError(
            f"{option}: {text!r} is no time",
            "for example 10m, 08:30, today, yesterday, 2026-01-31 or 2026-01-31T08:30",
        ) from None


def _moment(text: str, now: datetime) -> datetime:
    """A time that is not counted back from now; without a zone it is a local one.

    Raises:
        ValueError: none of the forms.
    """
    from datetime import datetime, time, timedelta  # noqa: PLC0415

    today = now.astimezone().date()
    if text == "today":
        moment = datetime.combine(today, time())
    elif text == "yesterday":
        moment = datetime.combine(today - timedelta(days=1), time())
    elif text[2:3] == ":":
        moment = datetime.combine(today, time.fromisoformat(text))
    else:
        moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo is not None else moment.astimezone()


def state_folder(state: Path | None) -> Path:
    """Where the journal is."""
    import os  # noqa: PLC0415

    from wsdev import settings  # noqa: PLC0415

    return settings.load({"state": state}, os.environ).state_folder()
