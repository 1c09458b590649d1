"""The options of the commands that ask a console, and the client that they make."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

import typer

if TYPE_CHECKING:
    from wsdev.console_client import ConsoleClient
    from wsdev.urls import GatewayAddress

OPERATOR_TOKEN_VARIABLE: Final = "WSDEV_OPERATOR_TOKEN"
DEFAULT_CONSOLE: Final = "http://127.0.0.1:3001"

ConsoleOption = Annotated[
    str,
    typer.Option(
        "--console",
        envvar="WSDEV_CONSOLE_URL",
        metavar="URL",
        help="The console: host, host:port, http://… or https://…",
    ),
]
OperatorTokenOption = Annotated[
    str | None,
    typer.Option(
        "--token",
        metavar="TOKEN",
        help="An operator token, else that of WSDEV_OPERATOR_TOKEN. Others on this host can read"
        " it there; --token-file keeps it secret.",
    ),
]

EXIT_CODES: Final = """Exit codes: 0 fine, 2 usage, 10 name, 11 no console there, 12 no answer,
13 TLS, 14 another service, 15 token, 16 not now, 17 an error in the console, 18 cut,
23 certificate file, 130 Ctrl-C"""


class Access(NamedTuple):
    """Which console, and with what; as the options give it."""

    console: str
    token: str | None
    token_file: Path | None
    cacert: Path | None
    insecure: bool


def address_of(url: str) -> GatewayAddress:
    """The console's address.

    Raises:
        UsageError: it cannot be one.
    """
    from wsdev.urls import parse_console_address  # noqa: PLC0415

    return parse_console_address(url)


def make_client(access: Access, *, with_token: bool = True) -> ConsoleClient:
    """A client of that console, to be used as an async context manager.

    Args:
        with_token: If there is one.

    Raises:
        UsageError: an address or a token that cannot be meant.
        CertificateError: ``--cacert`` cannot be used.
    """
    from wsdev.commands.option_values import find_token  # noqa: PLC0415
    from wsdev.console_client import ConsoleClient  # noqa: PLC0415

    address = address_of(access.console)
    token = tls = None
    if with_token:
        token = find_token(access.token, access.token_file, variable=OPERATOR_TOKEN_VARIABLE)
    if address.tls:
        from wsdev.client import make_tls_context  # noqa: PLC0415

        tls = make_tls_context(access.cacert, insecure=access.insecure)
    elif token is not None and not _is_loopback(address.host):
        typer.echo(
            f"wsdev: the token goes to {access.console} as plain text; use https://", err=True
        )
    return ConsoleClient(address, token=token, tls=tls)


def _is_loopback(host: str) -> bool:
    import ipaddress  # noqa: PLC0415

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.rstrip(".").lower() == "localhost"
