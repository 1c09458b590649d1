"""``wsdev logs``: read the journal on the host."""

from __future__ import annotations

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
from wsdev.commands.options import StateOption

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)


@app.command()
def logs(
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
    lines: Annotated[
        str | None,
        typer.Option(
            "--lines",
            "-n",
            metavar="COUNT",
            help="The last so many, or all. [default: 50; with --since or --session all; of"
            " --refusals 20]",
        ),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")
    ] = False,
    relative: Annotated[
        bool, typer.Option("--relative", "-r", help="Show how long ago instead of the time.")
    ] = False,
    full: Annotated[
        bool, typer.Option("--full", help="Show whole bodies, over as many lines as they take.")
    ] = False,
    refusals: Annotated[
        bool,
        typer.Option(
            "--refusals",
            help="Count refusals and broken links by address and cause, each with its fix.",
        ),
    ] = False,
    sort: Annotated[
        str | None,
        typer.Option(
            "--sort",
            metavar="count|last",
            help="Of --refusals: the most frequent first, or the latest. [default: count]",
        ),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", help="One JSON object a line, or for --refusals in all; see docs/logs.md."
        ),
    ] = False,
    state: StateOption = None,
) -> None:
    """Show the journal: connections, refusals, messages.

    The oldest comes first. In a terminal each entry is one line, cut to its width, with the local
    time, and how long ago that was where there is room; else the line is whole and its time ISO
    8601. An arrow shows whether a message came from the device or went to it.
    """
    from datetime import UTC, datetime  # noqa: PLC0415

    from wsdev.commands import log_views  # noqa: PLC0415
    from wsdev.commands.log_filters import state_folder  # noqa: PLC0415
    from wsdev.errors import UsageError  # noqa: PLC0415
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
    if refusals:
        from wsdev.commands import refusal_views  # noqa: PLC0415

        unfit = {
            "--follow": follow,
            "--full": full,
            "--session": session is not None,
            "--request-id": request_id is not None,
        }
        wanted, most, order = refusal_views.check(wanted, lines=lines, sort=sort, unfit=unfit)
        groups = refusal_views.GroupView(count=most, sort=order, relative=relative, as_json=as_json)
        refusal_views.show_groups(state_folder(state), wanted, groups)
        return
    if sort is not None:
        raise UsageError("--sort is the order of --refusals", "add --refusals")
    count = log_views.parse_count(lines, wanted)
    view = log_views.View(
        relative=relative,
        full=full,
        as_json=as_json,
        follow=follow,
        explain=request_id is not None,
    )
    log_views.show(state_folder(state), wanted, count, view)
