"""Which entries of the journal are meant by the words of a command line or of a query."""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta
from ipaddress import IPv6Network, ip_network
from typing import Final

from wsdev.errors import UsageError
from wsdev.journal_entries import KINDS
from wsdev.journal_query import Wanted
from wsdev.protocol import is_class_name
from wsdev.sanitize import printable
from wsdev.setting_values import IPNetwork, parse_duration

_MAPPED_PREFIX: Final = 96
"""Bits of ::ffff:0:0/96, which has IPv4 in it (RFC 4291 section 2.5.5.2)."""


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
    prefix: str = "--",
) -> Wanted:
    """What options, or the parameters of a query, ask for.

    Args:
        now: With a zone.
        prefix: Stands before their names in errors.

    Raises:
        UsageError: one of them cannot be meant.
    """
    kinds = [name.strip() for names in kind or () for name in names.split(",")]
    for name in kinds:
        if name not in KINDS:
            raise UsageError(f"{prefix}kind: {name!r} is no kind", f"use {', '.join(KINDS)}")
    for name in device_class or ():
        if not is_class_name(name):
            raise UsageError(f"{prefix}class: {name!r} is no device class", "use pico or esp32cam")
    if ignore_case and grep is None:
        raise UsageError(
            f"{prefix}ignore-case says how {prefix}grep compares", f"add {prefix}grep REGEX"
        )
    pattern = None
    if grep is not None:
        try:
            pattern = re.compile(grep, re.MULTILINE | (re.IGNORECASE if ignore_case else 0))
        except (re.error, OverflowError, RecursionError) as exc:
            raise UsageError(
                f"{prefix}grep: {printable(grep)!r} is no regular expression: {exc}",
                r"write \ before a character that is meant as it is, as in \[",
            ) from None
    wanted = Wanted(
        kinds=frozenset(kinds or KINDS),
        devices=frozenset(device or ()),
        device_classes=frozenset(device_class or ()),
        networks=frozenset(_network(f"{prefix}address", text) for text in address or ()),
        since=None if since is None else _unix_milliseconds(f"{prefix}since", since, now),
        until=None if until is None else _unix_milliseconds(f"{prefix}until", until, now),
        pattern=pattern,
        session=None if session is None else session.strip(),
        request_id=None if request_id is None else request_id.strip(),
    )
    if wanted.since is not None and wanted.until is not None and wanted.since >= wanted.until:
        raise UsageError(f"{prefix}since is not before {prefix}until", "swap them")
    return wanted


def _network(option: str, text: str) -> IPNetwork:

    try:
        network = ip_network(text.strip().strip("[]"), strict=False)
    except ValueError:
        raise UsageError(
            f"{option}: {text!r} is no address", "for example 192.0.2.7, fd00::7 or 192.0.2.0/24"
        ) from None
    if isinstance(network, IPv6Network) and network.prefixlen >= _MAPPED_PREFIX:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return ip_network((mapped, network.prefixlen - _MAPPED_PREFIX))
    return network


def _unix_milliseconds(option: str, text: str, now: datetime) -> int:

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
