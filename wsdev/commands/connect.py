"""``wsdev connect``: be a device, once as a probe or for as long as wanted."""

from __future__ import annotations

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

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)


@app.command()
def connect(
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
        typer.Option(metavar="TIME", help="Fleet: end after so long. [default: at Ctrl-C]"),
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
        typer.Option(metavar="NAME", help="Behave as this library or firmware: wsdev profiles."),
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

    from wsdev.commands import visiting  # noqa: PLC0415

    if find_idle_cut or up_to is not None:
        from wsdev.commands import idle_finding  # noqa: PLC0415

        others = {"--stay": stay, "--count": count, "--mix": mix, "--profile": profile,
                  "--weather": weather, "--duration": duration, "--fail-if": fail_if}  # fmt: skip
        idle_finding.check_options(find=find_idle_cut, up_to=up_to, others=others)
    given_token = visiting.find_token(token, token_file)
    if count is not None or mix or profile or weather or duration or fail_if:
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
        idle_finding.run(target, up_to, messages=messages, as_json=as_json, quiet=quiet)
    elif stay:
        asyncio.run(visiting.stay(target, interval, as_json=as_json, quiet=quiet))
    else:
        from wsdev.probe import Visit  # noqa: PLC0415

        asyncio.run(visiting.visit(Visit(target, messages), as_json=as_json, quiet=quiet))
