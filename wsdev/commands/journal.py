"""``wsdev journal``: look after the journal on the host."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wsdev.commands.log_filters import (
    AddressOption,
    ClassOption,
    DeviceOption,
    GrepOption,
    IgnoreCaseOption,
    KindOption,
    RequestIdOption,
    SessionOption,
    SinceOption,
    UntilOption,
)
from wsdev.commands.options import JsonOption, StateOption

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
)


@app.callback()
def options() -> None:
    """Look after the journal on the host: numbers, export, space.

    A gateway may run meanwhile. wsdev logs shows what is in the journal.
    """


@app.command()
def stats(state: StateOption = None, as_json: JsonOption = False) -> None:
    """Show how large the journal is and what is in it."""
    from wsdev.commands import journal_views  # noqa: PLC0415
    from wsdev.commands.log_filters import state_folder  # noqa: PLC0415

    journal_views.show_stats(state_folder(state), as_json=as_json)


@app.command()
def export(
    form: Annotated[
        str,
        typer.Option("--format", metavar="jsonl|csv", help="JSON lines, or a table with a header."),
    ] = "jsonl",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="There only once it is whole. [default: standard output]",
        ),
    ] = None,
    device: DeviceOption = None,
    device_class: ClassOption = None,
    address: AddressOption = None,
    kind: KindOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    grep: GrepOption = None,
    ignore_case: IgnoreCaseOption = False,
    session: SessionOption = None,
    request_id: RequestIdOption = None,
    state: StateOption = None,
) -> None:
    """Write all that is in the journal, or what the options choose.

    The fields are those of wsdev logs --json; docs/logs.md has them. In CSV a text that a
    spreadsheet would run as a formula begins with '.
    """
    from datetime import UTC, datetime  # noqa: PLC0415

    from wsdev.commands import journal_export  # noqa: PLC0415
    from wsdev.commands.log_filters import state_folder  # noqa: PLC0415
    from wsdev.journal_filters import make_wanted  # noqa: PLC0415

    wanted = make_wanted(
        device=device,
        device_class=device_class,
        address=address,
        kind=kind,
        since=since,
        until=until,
        grep=grep,
        ignore_case=ignore_case,
        session=session,
        request_id=request_id,
        now=datetime.now(UTC),
    )
    journal_export.export(state_folder(state), wanted, form, output)


@app.command()
def vacuum(state: StateOption = None) -> None:
    """Give the file's free space back to the disk.

    It is taken in small steps, so that a gateway that runs goes on recording. Without it the
    space is used again for what comes.
    """
    from wsdev.commands import journal_views  # noqa: PLC0415
    from wsdev.commands.log_filters import state_folder  # noqa: PLC0415

    journal_views.run_vacuum(state_folder(state))
