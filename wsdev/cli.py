"""The face of wsdev: puts the command groups together and turns errors into exit codes."""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import sys
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

from wsdev import __version__
from wsdev.errors import ExitCode, WsdevError

SUMMARIES: Final = {
    "serve": "Run the gateway that devices connect to.",
    "connect": "Connect as a device or a fleet, and say what happened.",
    "doctor": "Look at this host: can devices reach its gateway, and why not.",
    "devices": "List the devices of a running gateway, those that are away too.",
    "send": "Send a command to a device, and say what became of it.",
    "watch": "Show what happens at a gateway, as it happens, until Ctrl-C.",
    "snapshot": "Save the newest whole picture of a camera that is connected.",
    "console": "Open the console's page in the browser, and print its address.",
    "record": "Write a device's session from the journal to a file.",
    "replay": "Play a recorded session to a gateway and compare its answers.",
    "tokens": "Fetch tokens from a gateway, or keep its token book on the host.",
    "profiles": "List the firmwares that wsdev connect can behave as.",
    "logs": "Show the journal: connections, refusals, messages.",
    "schema": "Print the JSON Schema of what wsdev connect --json prints.",
    "journal": "Look after the journal on the host: numbers, export, space.",
}
"""The commands, each the module of that name in :mod:`wsdev.commands`, with its help in one line.

They stand here so that --help and a mistyped command need none of the modules.
"""


class CommandsOnDemand(TyperGroup):
    """Knows each command by its summary, and imports the one that is run."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, summary in SUMMARIES.items():
            self.add_command(TyperCommand(name, help=summary))

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The command that ``args`` name, ready to run or to complete."""
        name, command, rest = super().resolve_command(ctx, args)
        if name in SUMMARIES:
            module = importlib.import_module(f"wsdev.commands.{name}")
            command = typer.main.get_command(module.app)
        return name, command, rest


# Plain help: importing Rich for it would double the time of --help (docs/decisions/0004).
app = typer.Typer(
    name="wsdev",
    cls=CommandsOnDemand,
    help="Connect small devices to a host over WebSocket, and see why when it does not work.",
    epilog="Exit codes and a first session: see the README. Each command has its own --help.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from wsdev.compilation import is_compiled  # noqa: PLC0415

        typer.echo(f"wsdev {__version__}{' (compiled)' if is_compiled() else ''}")
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


def main() -> None:
    """Run the CLI; an error of ours is one line with its remedy, and its own exit code."""
    if sys.stdout is None:  # closed: who wants no output gets none
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if sys.stderr is None:  # as well; what is said after the work must not undo it
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    code: Any = ExitCode.FAILED
    try:
        code = _run()
        sys.stdout.flush()  # when Python does it at its end, a failure is a traceback
    except OSError as exc:
        if exc.errno not in _UNWRITABLE:
            raise
        _let_go_of_output()
        if exc.errno == errno.EPIPE:  # nobody reads any more, and nobody has to be told
            sys.exit(code)
        typer.echo(f"wsdev: cannot write: {exc.strerror}", err=True)
        typer.echo("  try: free some space, or send the output elsewhere", err=True)
        sys.exit(ExitCode.FAILED)
    sys.exit(code)


def _run() -> Any:
    """What is to be told to the shell."""
    try:
        # As python -m wsdev too, for the usage line and the completion's variable.
        app(prog_name="wsdev")
    except SystemExit as end:
        return end.code
    except WsdevError as error:
        typer.echo(f"wsdev: {error.cause}", err=True)
        if error.hint:
            typer.echo(f"  try: {error.hint}", err=True)
        return error.exit_code
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED


_UNWRITABLE: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EPIPE}
"""How a write to standard output fails. What fails elsewhere has been explained before."""


def _let_go_of_output() -> None:
    """Keep Python from writing, when it exits, what is left in its buffer."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
