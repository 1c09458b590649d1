"""How devices look: a table that fits its terminal, one device in full, JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from wsdev.commands import amounts
from wsdev.commands.log_lines import whole
from wsdev.commands.log_streams import make_console, quiet_end
from wsdev.console_answers import Camera, Device, Link, Traffic
from wsdev.console_client import ConsoleClient
from wsdev.journal_entries import json_line

_GAP: Final = 2
_NONE: Final = "-"
_LABEL_WIDTH: Final = 11
_STYLES: Final = {"online": "green", "offline": "yellow"}


class Look(NamedTuple):
    """What a console said of its devices, or of one.

    Attributes:
        document: As it came.
    """

    devices: Sequence[Device]
    document: Any


async def ask(client: ConsoleClient, name: str | None) -> Look:
    """All devices, those that are there first; or the one of that name."""
    if name is not None:
        device, document = await client.device(name)
        return Look([device], document)
    found, document = await client.devices()
    return Look(sorted(found.devices, key=lambda device: not device.is_online), document)


async def show(client: ConsoleClient, name: str | None, *, as_json: bool) -> None:
    """Print the devices, or one of them, once."""
    async with client:
        look = await ask(client, name)
    with quiet_end(exact=as_json) as out:
        if as_json:
            out.write(json_line(look.document) + "\n")
            return
        console = make_console(out)
        width = console.width if out.isatty() else None
        if name is None:
            print_whole(console, table(look.devices, width))
            out.write(f"{summary(look.devices)}\n")
        else:
            print_whole(console, details(look.devices[0], width))


def print_whole(console: Console, what: RenderableType) -> None:
    """Print without folding: in a pipe, lines are as long as they are."""
    if not console.file.isatty():
        console.width = _NO_LIMIT
    console.print(what)


_NO_LIMIT: Final = 1000
"""Columns of a pipe: over all that a table of devices can have."""


def summary(devices: Sequence[Device]) -> str:
    """``2 online, 1 offline``."""
    if not devices:
        return "no device has been here yet"
    here = sum(device.is_online for device in devices)
    return f"{here} online, {len(devices) - here} offline"


# The table


@dataclass(frozen=True, slots=True)
class _Column:
    head: str
    cell: Callable[[Device], str]
    to_right: bool = False


def _ago(seconds: float | None) -> str:
    return _NONE if seconds is None else amounts.age(seconds)


def _since(device: Device) -> str:
    """For how long it is connected."""
    seconds = device.connected_for
    return _NONE if seconds is None else amounts.duration(max(1.0, seconds))


def _round_trip(device: Device) -> str:
    return _NONE if device.round_trip is None else amounts.round_trip(device.round_trip)


def _came(traffic: Traffic | None) -> str:
    return _NONE if traffic is None else _amount(traffic.messages_in, traffic.bytes_in)


def _went(traffic: Traffic | None) -> str:
    return _NONE if traffic is None else _amount(traffic.messages_out, traffic.bytes_out)


def _amount(messages: int, size: int) -> str:
    return f"{messages:,} ({amounts.size(size)})"


def _camera(camera: Camera | None) -> str:
    if camera is None:
        return _NONE
    rate = camera.frames_per_second
    return amounts.age(camera.age) if rate is None else f"{rate:.1f} fps"


_COLUMNS: Final = (
    _Column("device", lambda device: whole(device.name)),
    _Column("state", lambda device: whole(device.state)),
    _Column("proof of life", lambda device: _ago(device.proof_age)),
    _Column("address", lambda device: whole(device.address)),
    _Column("class", lambda device: whole(device.device_class)),
    _Column("round trip", _round_trip, to_right=True),
    _Column("in", lambda device: _came(device.traffic), to_right=True),
    _Column("out", lambda device: _went(device.traffic), to_right=True),
    _Column("since", _since, to_right=True),
    _Column("camera", lambda device: _camera(device.camera)),
    _Column("version", lambda device: whole(device.version or _NONE)),
)
"""The most important first: a narrow terminal gets only so many as it has room for."""

_LEAST_COLUMNS: Final = 3


def table(devices: Sequence[Device], width: int | None, most: int | None = None) -> Table:
    """The devices as a table.

    Args:
        width: Of the terminal; None for no limit.
        most: Rows that there is room for; what is left out is counted in the last one.
    """
    left_out = 0
    if most is not None and len(devices) > most:
        shown = max(1, most - 1)
        devices, left_out = devices[:shown], len(devices) - shown
    cells = [[column.cell(device) for column in _COLUMNS] for device in devices]
    made = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
    count = _fitting(cells, width)
    for column in _COLUMNS[:count]:
        justify: Any = "right" if column.to_right else "left"
        made.add_column(column.head, justify=justify, no_wrap=True, overflow="ellipsis")
    for device, row in zip(devices, cells, strict=True):
        texts = [Text(cell) for cell in row[:count]]
        texts[1].stylize(_STYLES.get(device.state, ""))
        made.add_row(*texts, style="" if device.is_online else "dim")
    if left_out:
        made.add_row(Text(f"and {left_out:,} more", style="dim"))
    return made


def _fitting(cells: list[list[str]], width: int | None) -> int:
    """How many columns there is room for."""
    if width is None:
        return len(_COLUMNS)
    taken = -_GAP
    for number, column in enumerate(_COLUMNS):
        taken += _GAP + max([len(column.head), *(len(row[number]) for row in cells)])
        if taken > width:
            return max(number, _LEAST_COLUMNS)
    return len(_COLUMNS)


def line(device: Device, name_width: int) -> Text:
    """A device as one line, for what cannot be a table."""
    name, state, *rest = (f"{column.cell(device)}" for column in _COLUMNS[:5])
    return Text.assemble(
        f"{name:<{name_width}}  ",
        (f"{state:<7}", _STYLES.get(device.state, "")),
        f"  {rest[2]}  {rest[1]}  seen {rest[0]}",
    )


# One device


def details(device: Device, width: int | None) -> Group:
    """One device in full, with its latest links."""
    facts = [
        ("device", whole(device.name)),
        ("state", whole(device.state)),
        ("class", whole(device.device_class)),
        ("address", whole(device.address)),
        ("seen", _ago(device.proof_age)),
    ]
    if device.is_online:
        facts += [
            ("round trip", _told_round_trip(device)),
            ("connected", f"for {_since(device)}, session {whole(device.session or _NONE)}"),
            ("version", whole(device.version or _NONE)),
        ]
    facts.append(("token", _token(device)))
    if device.traffic is not None:
        facts.append(("traffic", f"in {_came(device.traffic)}, out {_went(device.traffic)}"))
    if device.camera is not None:
        facts.append(("camera", _told_camera(device.camera)))
    lines = [
        Text.assemble((f"{label:<{_LABEL_WIDTH}}", "bold"), (told, _STYLES.get(told, "")))
        for label, told in facts
    ]
    parts: list[RenderableType] = list(lines)
    if device.links:
        parts += [Text(), Text("latest links", style="bold")]
        parts += [_link(link, width) for link in device.links]
    return Group(*parts)


def _told_round_trip(device: Device) -> str:
    if device.round_trip is None:
        return f"{_NONE} (not pinged yet: one that talks is not)"
    return amounts.round_trip(device.round_trip)


def _token(device: Device) -> str:
    kinds = {"class": "its class's", "device": "its own", "none": "none, trusted as local"}
    return kinds.get(device.token_kind or "", _NONE)


def _told_camera(camera: Camera) -> str:
    rate = camera.frames_per_second
    told = [
        f"{amounts.size(camera.size)}, {amounts.age(camera.age)}",
        None if rate is None else f"{rate:.1f} pictures a second",
        amounts.counted(camera.pictures, "picture"),
        amounts.counted(camera.viewers, "viewer") if camera.viewers else None,
    ]
    return ", ".join(part for part in told if part)


def _link(link: Link, width: int | None) -> Text:
    now = datetime.now().astimezone()
    started = amounts.moment(datetime.fromtimestamp(link.started).astimezone(), now)
    if link.ended is None:
        lasted, how = "goes on", ""
    else:
        lasted = amounts.duration(link.seconds or link.ended - link.started)
        how = "  ".join(
            part for part in (str(link.close_code or ""), link.cause, link.reason) if part
        )
    text = Text(f"{started:>8}  {lasted:<12}  {whole(link.address)}  {whole(how)}".rstrip())
    if width is not None:
        text.truncate(width, overflow="ellipsis")
    return text
