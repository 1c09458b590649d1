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

tokens_app = typer.Typer(
    name="tokens",
    help="Fetch tokens from a gateway, or keep its token book on the host.",
    invoke_without_command=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

TargetArgument = Annotated[
    str,
    typer.Argument(
        metavar="TOKEN", help="Id (t-3f9a2c), device name, class, or the token's last characters."
    ),
]
BareOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print the bare token only, for scripts.")
]


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(tokens_app)


@tokens_app.callback()
def fetch(
    context: typer.Context,
    url: Annotated[
        str,
        typer.Option(
            envvar="WSDEV_URL", help="The gateway: host, host:port, http://… or https://…"
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
    """Fetch the tokens that a gateway hands out; the commands below work on the host itself."""
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


@tokens_app.command("list")
def list_tokens(state: StateOption = None, as_json: JsonOption = False) -> None:
    """List the tokens of this host's gateway, live ones and ended ones."""
    from wsdev.commands import token_views  # noqa: PLC0415

    with _open_book(state) as book:
        token_views.show_book(book, as_json=as_json)


@tokens_app.command()
def create(
    device: Annotated[str, typer.Option(metavar="CLASS", help="Class that the token is for.")],
    name: Annotated[
        str | None,
        typer.Option(help="Pin it to this device; without a name, any of the class may use it."),
    ] = None,
    state: StateOption = None,
    quiet: BareOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make a token: for one named device (shown once), or for a whole class."""
    from wsdev.commands import token_views  # noqa: PLC0415

    with _open_book(state) as book:
        record, token = book.create(device, name=name)
    token_views.show_new(record, token, quiet=quiet, as_json=as_json)


@tokens_app.command()
def rotate(
    target: TargetArgument,
    grace: Annotated[
        str, typer.Option(metavar="TIME", help="How long the old one still lets devices in.")
    ] = "1h",
    state: StateOption = None,
    quiet: BareOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make a new token in place of an old one, which ends after the grace."""
    from wsdev.commands import token_views, visiting  # noqa: PLC0415

    left = visiting.seconds("--grace", grace, least=0)
    with _open_book(state) as book:
        record, token = book.rotate(target, grace=left)
    token_views.show_new(record, token, quiet=quiet, as_json=as_json)


@tokens_app.command()
def revoke(target: TargetArgument, state: StateOption = None, as_json: JsonOption = False) -> None:
    """End a token now; devices that use it are cut off within 2 seconds."""
    from wsdev.commands import token_views  # noqa: PLC0415

    with _open_book(state) as book:
        revoked = book.revoke(target)
    token_views.show_revoked(revoked, as_json=as_json)


@tokens_app.command()
def check(
    token: Annotated[
        str | None, typer.Argument(help="The token; left out, it is read from --token-file.")
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File that holds the token; - for stdin.")
    ] = None,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say whether a token is good (0), mistyped (30), unknown (31) or retired (32)."""
    from wsdev.commands import token_views, visiting  # noqa: PLC0415
    from wsdev.errors import UsageError  # noqa: PLC0415

    text = visiting.find_token(token, token_file)
    if text is None:
        raise UsageError("no token to check", "give it as argument, --token-file or WSDEV_TOKEN")
    token_views.check(text, lambda: _open_book(state), as_json=as_json)


@tokens_app.command("open")
def open_window(
    duration: Annotated[
        str, typer.Option("--for", metavar="TIME", help="How long, at most 24h.")
    ] = "10m",
    state: StateOption = None,
) -> None:
    """Let /public/tokens hand tokens out for a while, to anyone who asks."""
    from wsdev.commands import visiting  # noqa: PLC0415

    left = visiting.seconds("--for", duration)
    with _open_book(state) as book:
        book.open_window(left)
    typer.echo(f"tokens are handed out at /public/tokens for {duration}; a gateway with")
    typer.echo("--public-tokens off stays closed. End it early with: wsdev tokens close")


@tokens_app.command("close")
def close_window(state: StateOption = None) -> None:
    """Stop handing tokens out now."""
    with _open_book(state) as book:
        book.close_window()
    typer.echo("tokens are no longer handed out, except by --public-tokens open")
