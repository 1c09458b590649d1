"""``wsdev schema``: the JSON Schema of a document that wsdev prints."""

from __future__ import annotations

import typer

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)


@app.command()
def schema() -> None:
    """Print the JSON Schema of what wsdev connect --json prints."""
    import json  # noqa: PLC0415

    from wsdev.report import schema as connect_schema  # noqa: PLC0415

    typer.echo(json.dumps(connect_schema(), indent=2))
