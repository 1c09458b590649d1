"""``wsdev snapshot``: a camera's newest picture as a file."""

from __future__ import annotations

from pathlib import Path
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


@app.command(epilog=f"{EXIT_CODES}, 40 the camera is away, 46 no such camera or no picture.")
def snapshot(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The camera's name.")],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FILE", help="Write it there (JPEG); - for a pipe."),
    ],
    force: Annotated[
        bool, typer.Option("--force", help="Replace a file that is there already.")
    ] = False,
    console: ConsoleOption = DEFAULT_CONSOLE,
    token: OperatorTokenOption = None,
    token_file: TokenFileOption = None,
    cacert: TlsCaOption = None,
    insecure: TlsInsecureOption = False,
) -> None:
    """Save the newest whole picture of a camera that is connected."""
    import asyncio  # noqa: PLC0415

    from wsdev.commands import picture_files  # noqa: PLC0415

    place = picture_files.check(output, replace=force)
    client = make_client(Access(console, token, token_file, cacert, insecure))
    asyncio.run(picture_files.save(client, name, place, replace=force))
