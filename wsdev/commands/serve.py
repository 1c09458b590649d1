"""``wsdev serve``: the gateway as a program."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from wsdev.commands.options import takes_serve_settings

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)


@app.command()
@takes_serve_settings
def serve(flags: dict[str, Any], config: Path | None) -> None:
    """Run the gateway that devices connect to.

    Listens until Ctrl-C or SIGTERM, then sends the devices away gently; a second signal stops at
    once.
    """
    import os  # noqa: PLC0415

    from wsdev import runner, settings  # noqa: PLC0415

    runner.run(settings.load(flags, os.environ, config), typer.echo)
