"""``wsdev send``: a command to a device, and its answer as an exit code."""

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


@app.command(
    epilog=f"""{EXIT_CODES}. Of the command: 0 acknowledged, 40 the device is away, 41 failed,
42 ignored, 43 no answer in time, 44 never sent, 45 lost."""
)
def send(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The device's name.")],
    command: Annotated[
        str,
        typer.Argument(
            metavar="JSON",
            help="""The command, as '{"type":"servo","command":{"servo1":90}}'; - for stdin.""",
        ),
    ],
    timeout: Annotated[
        str, typer.Option(metavar="TIME", help="Time that the device has for its answer.")
    ] = "10s",
    queue: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Let it wait so long for a device that is away, at most 30d."
        ),
    ] = None,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Print the command's id and do not wait.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="The command with all that is known of it as JSON.")
    ] = False,
    console: ConsoleOption = DEFAULT_CONSOLE,
    token: OperatorTokenOption = None,
    token_file: TokenFileOption = None,
    cacert: TlsCaOption = None,
    insecure: TlsInsecureOption = False,
) -> None:
    """Send a command to a device, and say what became of it.

    It is sent once at most. Ctrl-C ends the waiting, and not the command. docs/commands.md has its
    forms and its states.
    """
    from wsdev.commands import sending  # noqa: PLC0415

    wish = sending.read_wish(
        name, command, timeout=timeout, queue=queue, token_file=token_file, no_wait=no_wait
    )
    client = make_client(Access(console, token, token_file, cacert, insecure))
    sending.run(client, wish, as_json=as_json)
