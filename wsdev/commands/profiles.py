"""``wsdev profiles``: whom a virtual device can behave as, and in what weather."""

from __future__ import annotations

from typing import Annotated

import typer

from wsdev.commands.options import JsonOption

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)


@app.command()
def profiles(
    weather: Annotated[
        bool, typer.Option("--weather", help="What can go wrong, instead of whom it happens to.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """List the firmwares that wsdev connect can behave as."""
    import msgspec  # noqa: PLC0415

    from wsdev.device_profile import PROFILES  # noqa: PLC0415
    from wsdev.weather import WEATHERS  # noqa: PLC0415

    found = WEATHERS.all() if weather else PROFILES.all()
    if as_json:
        typer.echo(msgspec.json.encode(found, enc_hook=float).decode())
        return
    width = max(map(len, found))
    for name, described in found.items():
        typer.echo(f"{name:<{width}}  {described.summary}")
        if teaches := getattr(described, "teaches", ""):
            typer.echo(f"{'':<{width}}  teaches: {teaches}")
    typer.echo("\nYour own: a .toml file in the place of a name; see docs/fleets.md.")
