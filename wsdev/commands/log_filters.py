"""The options that choose entries of the journal: ``wsdev logs``, ``wsdev journal export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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


def state_folder(state: Path | None) -> Path:
    """Where the journal is."""
    import os  # noqa: PLC0415

    from wsdev import settings  # noqa: PLC0415

    return settings.load({"state": state}, os.environ).state_folder()
