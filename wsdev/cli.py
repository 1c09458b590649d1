"""The face of wsdev: puts the command groups together and turns errors into exit codes."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from wsdev import __version__
from wsdev.commands import connect, serve, tokens
from wsdev.errors import ExitCode, WsdevError

# Plain help: importing Rich for it would double the time of --help (docs/decisions/0004).
app = typer.Typer(
    name="wsdev",
    help="Connect small devices to a host over WebSocket, and see why when it does not work.",
    epilog="Exit codes and a first session: see the README. Each command has its own --help.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"wsdev {__version__}")
        raise typer.Exit


@app.callback()
def options(
    _: Annotated[
        bool,
        typer.Option(
            "--version", "-V", callback=_print_version, is_eager=True, help="Show the version."
        ),
    ] = False,
) -> None:
    """Nothing to do before a command."""


serve.register(app)
tokens.register(app)
connect.register(app)


def main() -> None:
    """Run the CLI; an error of ours is one line with its remedy, and its own exit code."""
    try:
        app()
    except WsdevError as error:
        typer.echo(f"wsdev: {error.cause}", err=True)
        if error.hint:
            typer.echo(f"  try: {error.hint}", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)
