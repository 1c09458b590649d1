"""``wsdev watch``: what happens at a gateway, as it happens, by its console."""

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
from wsdev.commands.log_filters import DeviceOption
from wsdev.commands.options import TlsCaOption, TlsInsecureOption, TokenFileOption

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)


@app.command(epilog=f"{EXIT_CODES}: the end of watch, as of logs -f.")
def watch(
    device: DeviceOption = None,
    event_type: Annotated[
        list[str] | None,
        typer.Option(
            "--type",
            metavar="TYPE",
            help="Only connected, disconnected, renamed, message, refusal, command or gateway; more"
            " with commas.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line; see docs/logs.md.")
    ] = False,
    console: ConsoleOption = DEFAULT_CONSOLE,
    token: OperatorTokenOption = None,
    token_file: TokenFileOption = None,
    cacert: TlsCaOption = None,
    insecure: TlsInsecureOption = False,
) -> None:
    """Show what happens at a gateway, as it happens, until Ctrl-C.

    The lines are those of wsdev logs -f, from anywhere. When the gateway is restarted, it goes on
    where it was: nothing is left out but renamed, which no journal holds.
    """
    import asyncio  # noqa: PLC0415

    from wsdev.commands import event_views  # noqa: PLC0415

    choice = event_views.read_choice(event_type, device)
    client = make_client(Access(console, token, token_file, cacert, insecure))
    asyncio.run(event_views.watch(client, choice, as_json=as_json))
