"""The forms in which people write a gateway's address, and the URLs made of them."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlsplit

from wsdev.errors import UsageError
from wsdev.protocol import (
    DEFAULT_CONSOLE_PORT,
    DEFAULT_PORT,
    DEVICE_PATH_PREFIX,
    TOKENS_PATH,
    is_class_name,
)
from wsdev.sanitize import printable

_STANDARD_PORTS: Final = {False: 80, True: 443}


@dataclass(frozen=True, slots=True)
class _Forms:
    """What an option's address may look like.

    Attributes:
        schemes: Each with whether it means TLS.
        port: Where there is neither a port nor a scheme.
    """

    option: str
    schemes: dict[str, bool]
    port: int
    hint: str


_GATEWAY: Final = _Forms(
    "--url",
    {"http": False, "ws": False, "https": True, "wss": True},
    DEFAULT_PORT,
    "write host, host:port, http://host:port, ws://host:port or wss://host",
)
_CONSOLE: Final = _Forms(
    "--console",
    {"http": False, "https": True},
    DEFAULT_CONSOLE_PORT,
    "write host, host:port, http://host:port or https://host",
)


@dataclass(frozen=True, slots=True)
class GatewayAddress:
    """Where a gateway is.

    Attributes:
        host: Name or address, IPv6 without brackets.
        path: What stands before the gateway's own paths, for a proxy with a prefix; no final slash.
        device_class: The class in the path, if the address was that of a device endpoint.
    """

    host: str
    port: int
    tls: bool = False
    path: str = ""
    device_class: str | None = None

    @property
    def authority(self) -> str:
        """``host:port`` for a URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def host_header(self) -> str:
        """What stands in ``Host``: without a port that is the scheme's own (RFC 9110, 7.2), and
        without the interface of a link-local address, which means nothing there (RFC 6874)."""
        plain = self.host.partition("%")[0]
        host = f"[{plain}]" if ":" in plain else plain
        return host if self.port == _STANDARD_PORTS[self.tls] else f"{host}:{self.port}"

    @property
    def server_name(self) -> str:
        """What a certificate has to be for: without the root's dot (RFC 6066 section 3)."""
        return self.host.partition("%")[0].rstrip(".")

    def websocket_url(self, device_class: str) -> str:
        """Where a device of that class connects."""
        scheme = "wss" if self.tls else "ws"
        return f"{scheme}://{self.authority}{self.path}{DEVICE_PATH_PREFIX}{device_class}"

    def tokens_url(self) -> str:
        """Where tokens are handed out."""
        return self.http_url(TOKENS_PATH)

    def http_url(self, path: str) -> str:
        """Where ``path`` is."""
        return f"{'https' if self.tls else 'http'}://{self.authority}{self.path}{path}"


def parse_gateway_address(text: str) -> GatewayAddress:
    """The gateway that ``text`` means, in any usual form.

    Without a scheme the port defaults to 3000; with one, to the scheme's own (80 or 443). The
    path of a known endpoint (``/ws/pico``, ``/public/tokens``) may be there and is taken off.

    Raises:
        UsageError: nothing that could be an address, credentials in the URL, or a query.
    """
    address = _parse(text, _GATEWAY)
    path, device_class = _without_endpoint(address.path)
    return replace(address, path=path, device_class=device_class)


def parse_console_address(text: str) -> GatewayAddress:
    """The console that ``text`` means; without a scheme the port defaults to 3001.

    Raises:
        UsageError: nothing that could be an address, credentials in the URL, or a query.
    """
    return _parse(text, _CONSOLE)


def _parse(text: str, forms: _Forms) -> GatewayAddress:
    text = text.strip()
    option, hint = forms.option, forms.hint
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "", text
    if separator and scheme.lower() not in forms.schemes:
        raise UsageError(f"unknown scheme in {option}: {printable(scheme)}", hint)
    tls = forms.schemes.get(scheme.lower(), False)
    if not separator and _is_bare_ipv6(rest):
        rest = f"[{rest}]"
    try:
        parts = urlsplit(f"//{rest}")
        host, port = parts.hostname, parts.port
    except ValueError:
        raise UsageError(f"{option} {printable(text)} has no usable host and port", hint) from None
    if not host or " " in rest or not rest.isprintable():
        raise UsageError(f"{option} {printable(text)} has no host", hint)
    if parts.username is not None:
        raise UsageError(
            f"{option} has a user or password in it", "give the token with --token-file"
        )
    if parts.query or parts.fragment:
        raise UsageError(f"{option} has a query in it", "give the token with --token-file")
    if port is None:
        port = _STANDARD_PORTS[tls] if separator else forms.port
    if port == 0:
        raise UsageError(f"{option} has port 0", hint)
    return GatewayAddress(_with_plain_zone(host), port, tls, parts.path.rstrip("/"))


def _with_plain_zone(host: str) -> str:
    """``fe80::1%wlan0`` for ``fe80::1%25wlan0``, its form in a URL (RFC 6874)."""
    return host.replace("%25", "%", 1) if ":" in host else host


def _is_bare_ipv6(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).version == 6
    except ValueError:
        return False


def _without_endpoint(path: str) -> tuple[str, str | None]:
    path = path.rstrip("/")
    prefix, mark, last = path.rpartition(DEVICE_PATH_PREFIX)
    if mark and is_class_name(last):
        return prefix, last
    return path.removesuffix(TOKENS_PATH).removesuffix(DEVICE_PATH_PREFIX.rstrip("/")), None
