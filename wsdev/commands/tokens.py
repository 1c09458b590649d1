"""``wsdev tokens``: fetch tokens from a gateway, or keep its token book on the host."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wsdev.commands.options import (
    DurationOption,
    JsonOption,
    StateOption,
    TlsCaOption,
    TlsInsecureOption,
)

if TYPE_CHECKING:
    from wsdev.tokens import TokenBook

app = typer.Typer(
    invoke_without_command=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
)

TargetArgument = Annotated[
    str,
    typer.Argument(
        metavar="TOKEN",
        help="Id (t-3f9a2c), device name, class, or the token's last four characters.",
    ),
]
BareOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print the bare token alone, for scripts.")
]


@app.callback()
def fetch(
    context: typer.Context,
    url: Annotated[
        str,
        typer.Option(
            envvar="WSDEV_URL",
            metavar="URL",
            help="The gateway: host, host:port, http://… or https://…",
        ),
    ] = "localhost",
    device: Annotated[
        str | None, typer.Option(metavar="CLASS", help="Only tokens of this class.")
    ] = None,
    quiet: BareOption = False,
    as_json: JsonOption = False,
    timeout: DurationOption = "10s",
    cacert: TlsCaOption = None,
    insecure: TlsInsecureOption = False,
) -> None:
    """Fetch tokens from a gateway, or keep its token book on the host.

    Without a command: fetch the tokens that the gateway at --url hands out. The commands work on
    the token book of this host.
    """
    if context.invoked_subcommand is not None:
        return
    from wsdev.commands import token_views  # noqa: PLC0415

    token_views.fetch(
        url, device, quiet=quiet, as_json=as_json, timeout=timeout, cacert=cacert, insecure=insecure
    )


def _open_book(state: Path | None) -> TokenBook:
    import os  # noqa: PLC0415

    from wsdev import settings, tokens  # noqa: PLC0415

    folder = settings.load({"state": state}, os.environ).state_folder()
    return tokens.TokenBook.open(folder, create=False)


@app.command("list")
def list_tokens(state: StateOption = None, as_json: JsonOption = False) -> None:
    """List all tokens, those that have ended too."""
    from wsdev.commands import token_views  # noqa: PLC0415

    with _open_book(state) as book:
        token_views.show_book(book, as_json=as_json)


@app.command()
def create(
    device: Annotated[
        str | None, typer.Option(metavar="CLASS", help="Class that the token is for.")
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Only for the device of this name, else for any of the class; or the operator's.",
        ),
    ] = None,
    operator: Annotated[
        bool, typer.Option("--operator", help="For the console, not for a device.")
    ] = False,
    state: StateOption = None,
    quiet: BareOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make a token: for one device, for a class, or for the console.

    The token of a device or of an operator is shown this once.
    """
    from wsdev.commands import token_views  # noqa: PLC0415
    from wsdev.errors import UsageError  # noqa: PLC0415

    if operator == (device is not None):
        raise UsageError(
            "whom the token is for has to be said", "give --device CLASS, or --operator"
        )
    with _open_book(state) as book:
        if device is None:
            record, token = book.create_operator(name=name)
        else:
            record, token = book.create(device, name=name)
    token_views.show_new(record, token, quiet=quiet, as_json=as_json)


@app.command()
def rotate(
    target: TargetArgument,
    grace: Annotated[
        str, typer.Option(metavar="TIME", help="How long the old one still lets devices in.")
    ] = "1h",
    state: StateOption = None,
    quiet: BareOption = False,
    as_json: JsonOption = False,
) -> None:
    """Replace a token; the old one ends after a while.

    Devices that are connected stay; those with the old token can come in until the grace is over.
    """
    from wsdev.commands import option_values, token_views  # noqa: PLC0415

    left = option_values.seconds("--grace", grace, least=0)
    with _open_book(state) as book:
        record, token = book.rotate(target, grace=left)
    token_views.show_new(record, token, quiet=quiet, as_json=as_json)


@app.command()
def revoke(target: TargetArgument, state: StateOption = None, as_json: JsonOption = False) -> None:
    """End a token now, and cut its devices off.

    A running gateway does that within 2 seconds.
    """
    from wsdev.commands import token_views  # noqa: PLC0415

    with _open_book(state) as book:
        revoked = book.revoke(target)
    token_views.show_revoked(revoked, as_json=as_json)


@app.command()
def check(
    token: Annotated[
        str | None,
        typer.Argument(
            metavar="TOKEN", help="The token; else that of --token-file or WSDEV_TOKEN."
        ),
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File with the token; - for stdin.")
    ] = None,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say whether a token is good.

    Exit codes: 0 good, 30 mistyped or cut, 31 not in this book, 32 revoked or rotated out.
    """
    from wsdev.commands import option_values, token_views  # noqa: PLC0415
    from wsdev.errors import UsageError  # noqa: PLC0415

    text = option_values.find_token(token, token_file)
    if text is None:
        raise UsageError("no token to check", "give it as argument, --token-file or WSDEV_TOKEN")
    token_views.check(text, lambda: _open_book(state), as_json=as_json)


@app.command("open")
def open_window(
    duration: Annotated[str, typer.Option("--for", metavar="TIME", help="How long.")] = "10m",
    state: StateOption = None,
) -> None:
    """Hand tokens out for a while, to anyone who asks."""
    from wsdev.commands import option_values  # noqa: PLC0415

    left = option_values.seconds("--for", duration)
    with _open_book(state) as book:
        book.open_window(left)
    typer.echo(f"tokens are handed out at /public/tokens for {duration}; a gateway with")
    typer.echo("--public-tokens off stays closed. End it early with: wsdev tokens close")


@app.command("close")
def close_window(state: StateOption = None) -> None:
    """Hand tokens out no longer."""
    with _open_book(state) as book:
        book.close_window()
    typer.echo("tokens are no longer handed out, except by --public-tokens open")
