"""``wsdev record``: a device's session as a file that can be replayed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wsdev.commands.log_filters import SinceOption, UntilOption
from wsdev.commands.options import StateOption

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)


@app.command()
def record(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="The device's name, as in wsdev logs.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Write it there; - for stdout. [default: NAME-<its start>.wsrec]",
        ),
    ] = None,
    session: Annotated[
        str | None,
        typer.Option(metavar="ID", help="The session of this id. [default: the device's last]"),
    ] = None,
    since: SinceOption = None,
    until: UntilOption = None,
    live: Annotated[
        bool,
        typer.Option(
            "--live",
            "-f",
            help="Go on with what comes until the session ends, or Ctrl-C; wait for the device.",
        ),
    ] = False,
    pictures: Annotated[
        bool,
        typer.Option(
            "--pictures/--no-pictures", help="Put in the pictures that the gateway has kept."
        ),
    ] = True,
    force: Annotated[
        bool, typer.Option("--force", help="Replace a file that is there already.")
    ] = False,
    state: StateOption = None,
) -> None:
    """Write a device's session from the journal to a file.

    Without options it is the device's last session, from its start to its end or to now. The file
    is text, a line for each message; docs/recordings.md tells how to read and to edit it. It holds
    no token. Play it with wsdev replay.
    """
    from datetime import UTC, datetime  # noqa: PLC0415

    from wsdev.commands import recording  # noqa: PLC0415
    from wsdev.commands.log_filters import state_folder  # noqa: PLC0415
    from wsdev.journal_filters import make_wanted  # noqa: PLC0415

    wanted = make_wanted(
        device=None if name is None else [name],
        device_class=None,
        address=None,
        kind=None,
        since=since,
        until=until,
        grep=None,
        ignore_case=False,
        session=session,
        request_id=None,
        now=datetime.now(UTC),
    )
    recording.record(
        state_folder(state),
        recording.Wish(name, wanted.session, wanted.since, wanted.until, live, pictures),
        output,
        replace=force,
    )
