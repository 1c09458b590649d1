"""``wsdev doctor``: the host's side of the diagnosis."""

from __future__ import annotations

from typing import Annotated

import typer

from wsdev.commands.options import JsonOption, StateOption

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)


@app.command()
def doctor(
    state: StateOption = None,
    port: Annotated[
        int | None,
        typer.Option(
            metavar="PORT",
            min=1,
            max=65535,
            help="Port to look at. [default: the running gateway's]",
        ),
    ] = None,
    qr: Annotated[
        bool, typer.Option("--qr", help="Show the gateway's page as a QR code, for a phone.")
    ] = False,
    as_json: JsonOption = False,
    quiet: Annotated[
        bool,
        typer.Option("--quiet", "-q", help="Print only what is wrong; nothing if all is well."),
    ] = False,
) -> None:
    """Look at this host: can devices reach its gateway, and why not.

    Changes nothing. Firewall rules, and other users' processes, are shown to root only. Exits with
    34 if there is a problem; a warning is none. docs/doctor.md lists what can be found.
    """
    import asyncio  # noqa: PLC0415

    from wsdev.commands import doctor_views  # noqa: PLC0415

    asyncio.run(doctor_views.run(state, port, qr=qr, as_json=as_json, quiet=quiet))
