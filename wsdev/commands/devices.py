"""``wsdev devices``: who is there, by the console of a running gateway."""

from __future__ import annotations

from typing import Annotated

import typer

from wsdev.commands.console_options import (
    DEFAULT_CONSOLE,
    EXIT_CODES,
    Access,
    ConsoleOption,
    OperatorTokenOption,
    make_client,
)
from wsdev.commands.options import TlsCaOption, TlsInsecureOption, TokenFileOption

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)


@app.command(epilog=f"{EXIT_CODES}, 46 no such device. Ctrl-C ends --watch with 0.")
def devices(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="One device, with its details and latest links."),
    ] = None,
    watch: Annotated[
        bool,
        typer.Option("--watch", "-w", help="Stay, and show each change, until Ctrl-C."),
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", help="The console's own answer; with --watch a line for each change."
        ),
    ] = False,
    console: ConsoleOption = DEFAULT_CONSOLE,
    token: OperatorTokenOption = None,
    token_file: TokenFileOption = None,
    cacert: TlsCaOption = None,
    insecure: TlsInsecureOption = False,
) -> None:
    """List the devices of a running gateway, those that are away too.

    The proof of life is the last byte that came from a device. The round trip is that of its last
    ping: one that talks is not pinged, and has none. --watch is a live table in a terminal, and a
    line for each change elsewhere; it goes on when the gateway is restarted.
    """
    import asyncio  # noqa: PLC0415

    from wsdev.commands import device_views, device_watching  # noqa: PLC0415

    client = make_client(Access(console, token, token_file, cacert, insecure))
    if watch:
        asyncio.run(device_watching.watch(client, name, as_json=as_json))
    else:
        asyncio.run(device_views.show(client, name, as_json=as_json))
