"""``wsdev connect``: be a device, once as a probe or for as long as wanted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

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

_VISIT, _SEARCH = "a visit", "a search for idle cuts"
_STAY, _FLEET = "a device that stays", "a fleet"

_ONLY_IN: Final[dict[str, tuple[str, ...]]] = {
    **dict.fromkeys(("max_rtt", "max_loss", "watch", "junit", "report"), (_VISIT,)),
    "messages": (_VISIT, _SEARCH),
    **dict.fromkeys(("find_idle_cut", "up_to"), (_SEARCH,)),
    **dict.fromkeys(("stay", "interval"), (_STAY,)),
    **dict.fromkeys(("ramp", "rate", "payload_size", "seed"), (_FLEET,)),
}
"""Options that mean nothing in other manners. Those of a fleet that are not here make one."""

_REMEDIES: Final = {
    **dict.fromkeys(("ramp", "rate", "payload_size", "seed"), "add --count, or leave it out"),
    "interval": "add --stay, or leave it out",
    "up_to": "add --find-idle-cut, or leave it out",
}

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)

EXIT_CODES = """Exit codes: 0 fine, 2 usage, 10 name, 11 refused, 12 no answer or no route, 13 TLS,
14 HTTP or proxy, 15 token, 16 not allowed or full, 17 hello or protocol, 18 keepalive or cut,
19 quality, 130 interrupted."""


@app.command(epilog=EXIT_CODES)
def connect(
    ctx: typer.Context,
    device: Annotated[
        str | None,
        typer.Option(metavar="CLASS", help="Device class: pico, esp32cam or one of the gateway's."),
    ] = None,
    url: UrlOption = "localhost",
    token: TokenOption = None,
    token_file: TokenFileOption = None,
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
    max_rtt: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Fail with 19 if round trips (p95) take longer."),
    ] = None,
    max_loss: Annotated[
        str | None,
        typer.Option(metavar="SHARE", help="Fail with 19 if more answers are lost, as 5%."),
    ] = None,
    watch: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Visit again and again, so often; Ctrl-C sums up."),
    ] = None,
    junit: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the result as JUnit XML, for CI.")
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a Markdown report for a ticket; no secrets."),
    ] = None,
    find_idle_cut: Annotated[
        bool,
        typer.Option("--find-idle-cut", help="Find after how long the path cuts who is silent."),
    ] = False,
    up_to: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="With --find-idle-cut: longest silence. [default: 10m]"),
    ] = None,
    count: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, max=1_000_000, help="Be a fleet of so many devices."),
    ] = None,
    ramp: Annotated[
        str, typer.Option(metavar="RATE", help="Fleet: devices that start in a second.")
    ] = "500/s",
    rate: Annotated[
        str,
        typer.Option(
            metavar="RATE", help="Fleet: messages of each device, or max: one after the other."
        ),
    ] = "1/s",
    duration: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Fleet, --watch: end after so long. [default: at Ctrl-C]"
        ),
    ] = None,
    payload_size: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Fleet: filler in each message, size of a picture."),
    ] = None,
    mix: Annotated[
        str | None,
        typer.Option(metavar="CLASS=SHARE,…", help="Fleet: pico=90,esp32cam=10."),
    ] = None,
    profile: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Fleet: behave as this library or firmware: wsdev profiles."
        ),
    ] = None,
    weather: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Fleet: what goes wrong: wsdev profiles --weather."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="N", help="Fleet: the same weather as another run's.")
    ] = None,
    fail_if: Annotated[
        list[str] | None,
        typer.Option(metavar="CONDITION", help="Fleet: exit with 19 on p99>100ms, loss>0 …"),
    ] = None,
    timeout: DurationOption = "10s",
    cacert: TlsCaOption = None,
    insecure: TlsInsecureOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Connect as a device or a fleet, and say what happened.

    The token is that of --token, else of --token-file, else of the variable WSDEV_TOKEN; without
    any, one is fetched from the gateway. The exit code tells which layer broke; see the README.
    """
    import asyncio  # noqa: PLC0415

    from wsdev.commands import option_values, visiting  # noqa: PLC0415

    given_token = option_values.find_token(token, token_file)
    is_fleet = bool(
        count is not None or mix or profile or weather or fail_if or (duration and not watch)
    )
    manner = _FLEET if is_fleet else _STAY if stay else _SEARCH if find_idle_cut else _VISIT
    _check_manner(ctx, manner)
    if is_fleet:
        from wsdev.commands import fleets  # noqa: PLC0415

        order = fleets.Order(
            url=url, device=device, name=name or "", token=given_token, count=count or 1,
            ramp=ramp, rate=rate, duration=duration, payload_size=payload_size, mix=mix,
            profiles=profile or [], weather=weather, seed=seed, fail_if=fail_if or [],
            timeout=timeout, cacert=cacert, insecure=insecure,
        )  # fmt: skip
        fleets.run(order, as_json=as_json, quiet=quiet)
        return
    target = visiting.make_target(
        url=url,
        device=device,
        name=name,
        token=given_token,
        timeout=timeout,
        cacert=cacert,
        insecure=insecure,
    )
    if find_idle_cut:
        from wsdev.commands import idle_finding  # noqa: PLC0415

        idle_finding.run(target, up_to, messages=messages, as_json=as_json, quiet=quiet)
        return
    if stay:
        asyncio.run(visiting.stay(target, interval, as_json=as_json, quiet=quiet))
        return
    from wsdev.commands import probing  # noqa: PLC0415

    wishes = probing.Wishes(
        messages=messages, max_rtt=max_rtt, max_loss=max_loss, junit=junit, report=report,
        watch=watch, duration=duration, as_json=as_json, quiet=quiet,
    )  # fmt: skip
    raise typer.Exit(asyncio.run(probing.probe_as_wished(target, wishes)))


def _check_manner(ctx: typer.Context, manner: str) -> None:
    """Refuse options that would not be looked at.

    Raises:
        UsageError: one was given.
    """
    for name, manners in _ONLY_IN.items():
        source = None if manner in manners else ctx.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise UsageError(
                f"--{name.replace('_', '-')} is for {' or '.join(manners)}, and this is {manner}",
                _REMEDIES.get(name, "leave it out"),
            )
