"""``wsdev connect``: be a device, once as a probe or for as long as wanted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wsdev.commands.options import DurationOption, JsonOption, TlsCaOption, TlsInsecureOption

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)


@app.command()
def connect(
    device: Annotated[
        str | None,
        typer.Option(metavar="CLASS", help="Device class: pico, esp32cam or one of the gateway's."),
    ] = None,
    url: Annotated[
        str,
        typer.Option(
            envvar="WSDEV_URL",
            metavar="URL",
            help="The gateway: host, host:port, http://…, ws://… or wss://…",
        ),
    ] = "localhost",
    token: Annotated[
        str | None,
        typer.Option(
            metavar="TOKEN",
            help="The token. Others on this host can read it there; --token-file keeps it secret.",
        ),
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File with the token; - for stdin.")
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Device name to ask for. [default: the class's name]"),
    ] = None,
    messages: Annotated[
        int,
        typer.Option(
            "--messages",
            "-n",
            metavar="COUNT",
            min=1,
            max=10_000,
            help="Messages to send, and as many pings.",
        ),
    ] = 5,
    stay: Annotated[
        bool, typer.Option("--stay", help="Stay online as a device, until Ctrl-C.")
    ] = False,
    interval: Annotated[
        str,
        typer.Option(metavar="TIME", help="With --stay: time between two messages or pictures."),
    ] = "5s",
    timeout: DurationOption = "10s",
    cacert: TlsCaOption = None,
    insecure: TlsInsecureOption = False,
    as_json: JsonOption = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print nothing if all is well.")
    ] = False,
) -> None:
    """Connect as a device and say what happened.

    The token is that of --token, else of --token-file, else of the variable WSDEV_TOKEN; without
    any, one is fetched from the gateway. The exit code tells which layer broke; see the README.
    """
    import asyncio  # noqa: PLC0415

    from wsdev.commands import visiting  # noqa: PLC0415

    target = visiting.make_target(
        url=url,
        device=device,
        name=name,
        token=visiting.find_token(token, token_file),
        timeout=timeout,
        cacert=cacert,
        insecure=insecure,
    )
    if stay:
        asyncio.run(visiting.stay(target, interval, as_json=as_json, quiet=quiet))
    else:
        asyncio.run(visiting.visit(target, messages, as_json=as_json, quiet=quiet))
