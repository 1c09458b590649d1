"""``wsdev replay``: a recorded session as a test of a gateway."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wsdev.commands.options import (
    DurationOption,
    JsonOption,
    QuietOption,
    TlsCaOption,
    TlsInsecureOption,
    TokenFileOption,
    TokenOption,
    UrlOption,
)
from wsdev.errors import UsageError

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)


@app.command()
def replay(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="A recording, made by wsdev record; - for stdin.",
            readable=False,  # found out when it is read, and told as our own error
        ),
    ],
    url: UrlOption = "localhost",
    speed: Annotated[
        str,
        typer.Option(
            metavar="FACTOR", help="How many times as fast as it was; max for all at once."
        ),
    ] = "1",
    token: TokenOption = None,
    token_file: TokenFileOption = None,
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Device name to use. [default: the recorded one]"),
    ] = None,
    fresh_ids: Annotated[
        bool,
        typer.Option("--fresh-ids", help="Give messages new ids: a gateway records them again."),
    ] = False,
    timeout: DurationOption = "10s",
    cacert: TlsCaOption = None,
    insecure: TlsInsecureOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Play a recorded session to a gateway and compare its answers.

    It connects as the recorded device, sends what that sent at the same times, and waits for the
    same answers; what differs is listed, and the exit code is 33. The token is found as by wsdev
    connect. docs/recordings.md says what is compared.
    """
    from wsdev.commands import option_values, replaying, visiting  # noqa: PLC0415

    if str(file) == str(token_file) == "-":
        raise UsageError(
            "stdin cannot give both the recording and the token", "give the token in WSDEV_TOKEN"
        )
    manner = replaying.make_manner(speed, name, fresh_ids=fresh_ids)
    with replaying.open_recording(file) as recording:
        target = visiting.make_target(
            url=url,
            device=recording.about.header.device_class,
            name=name or recording.about.header.device,
            token=option_values.find_token(token, token_file),
            timeout=timeout,
            cacert=cacert,
            insecure=insecure,
        )
        replaying.run(recording, target, manner, as_json=as_json, quiet=quiet)
