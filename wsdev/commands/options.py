"""Typer options made from the settings table, so that no default or help is written twice."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from wsdev.settings import ServeSettings, variable

StateOption = Annotated[
    Path | None,
    typer.Option(
        "--state",
        metavar="DIR",
        help="The gateway's state folder, as for serve.",
        readable=False,  # whether it can be read is found when it is, and told as our own error
    ),
]
DurationOption = Annotated[
    str, typer.Option("--timeout", metavar="TIME", help="Time that one step may take.")
]
TlsCaOption = Annotated[
    Path | None,
    typer.Option("--cacert", metavar="FILE", help="Trust this issuer's certificate (PEM)."),
]
TlsInsecureOption = Annotated[
    bool, typer.Option("--insecure", "-k", help="Accept any certificate; only to find a fault.")
]
UrlOption = Annotated[
    str,
    typer.Option(
        envvar="WSDEV_URL",
        metavar="URL",
        help="The gateway: host, host:port, http://…, ws://… or wss://…",
    ),
]
TokenOption = Annotated[
    str | None,
    typer.Option(
        metavar="TOKEN",
        help="The token. Others on this host can read it there; --token-file keeps it secret.",
    ),
]
TokenFileOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="File with the token; - for stdin.")
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing if all is well.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document instead of text.")]


def _shown_default(setting: dataclasses.Field[Any]) -> str:
    if setting.metadata["shown"] or setting.default in (None, ()):
        return str(setting.metadata["shown"])
    return str(setting.default)


def _parameter(setting: dataclasses.Field[Any]) -> inspect.Parameter:
    name = setting.name
    flag = "--" + name.replace("_", "-")
    is_switch = isinstance(setting.default, bool)
    notes = [f"env: {variable(name)}"]
    if not is_switch and _shown_default(setting):
        notes.insert(0, f"default: {_shown_default(setting)}")
    kind: Any = bool | None if is_switch else list[str] | None
    if not is_switch and not setting.metadata["many"]:
        kind = str | None
    if is_switch:
        notes.insert(0, f"default: {'on' if setting.default else 'off'}")
    option = typer.Option(
        f"{flag}/--no-{flag[2:]}" if is_switch else flag,
        help=f"{setting.metadata['help']} [{'; '.join(notes)}]",
        metavar=setting.metadata["metavar"] or None,
        show_default=False,
    )
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind, option]
    )


def takes_serve_settings(
    command: Callable[[dict[str, Any], Path | None], None],
) -> Callable[..., None]:
    """Give a command one option for each setting, and ``--config``.

    Args:
        command: Takes the flags by setting name (None where not given) and the config file.
    """

    def run(config: Path | None = None, **flags: Any) -> None:
        command(flags, config)

    parameters = [_parameter(setting) for setting in dataclasses.fields(ServeSettings)]
    config = inspect.Parameter(
        "config",
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[
            Path | None,
            typer.Option(metavar="FILE", help="TOML file with these settings. [env: WSDEV_CONFIG]"),
        ],
    )
    parameters.append(config)
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    run.__doc__ = command.__doc__
    run.__name__ = command.__name__
    return run
