"""``wsdev console``: the console's page in the browser."""

from __future__ import annotations

from typing import Annotated

import typer

from wsdev.commands.console_options import (
    DEFAULT_CONSOLE,
    EXIT_CODES,
    Access,
    ConsoleOption,
    address_of,
    make_client,
)
from wsdev.commands.options import TlsCaOption, TlsInsecureOption

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)


@app.command(epilog=f"{EXIT_CODES}.")
def console(
    only_print: Annotated[
        bool, typer.Option("--print", help="Print the address, and open nothing.")
    ] = False,
    console: ConsoleOption = DEFAULT_CONSOLE,
    cacert: TlsCaOption = None,
    insecure: TlsInsecureOption = False,
) -> None:
    """Open the console's page in the browser, and print its address.

    Without a screen, as over SSH, it is only printed.
    """
    import asyncio  # noqa: PLC0415

    from wsdev.commands import page_opening  # noqa: PLC0415

    url = address_of(console).http_url("/")
    if only_print:
        typer.echo(url)
        return
    # Without a token: what counts is whether the browser, which has none, needs a login.
    client = make_client(Access(console, None, None, cacert, insecure), with_token=False)
    asyncio.run(page_opening.open_page(client, url))
