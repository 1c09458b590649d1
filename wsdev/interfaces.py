"""The host's own addresses: sockets to listen on, and the URLs at which devices reach them."""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Sequence
from typing import Final

import ifaddr

from wsdev.errors import AddressInUse, AddressUnavailable
from wsdev.sanitize import printable

BACKLOG: Final = 2048
"""Pending connections the kernel keeps: a whole fleet comes back at once after a restart."""

ALL_INTERFACES: Final = ("0.0.0.0", "::")


def listen(hosts: Sequence[str], port: int) -> list[socket.socket]:
    """Listening TCP sockets, one for each host; IPv6 ones take no IPv4.

    Args:
        hosts: Addresses or names; empty means all interfaces, IPv4 and IPv6.
        port: 0 picks a free one, the same for all.

    Raises:
        AddressInUse: another program listens there.
        AddressUnavailable: the address is not of this host, or the port needs more rights.
    """
    sockets: list[socket.socket] = []
    try:
        for family, address in _resolve(hosts or ALL_INTERFACES):
            try:
                sock = _bind(family, address, port)
            except AddressUnavailable:
                # A kernel without IPv6 is no reason not to serve IPv4.
                if not hosts and family is socket.AF_INET6 and sockets:
                    continue
                raise
            sockets.append(sock)
            port = port or sock.getsockname()[1]
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
    return sockets


def _resolve(hosts: Sequence[str]) -> list[tuple[socket.AddressFamily, str]]:
    found: dict[tuple[socket.AddressFamily, str], None] = {}
    for host in hosts:
        try:
            infos = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError):  # a label too long or empty cannot be encoded
            raise AddressUnavailable(
                f"--host {printable(host)} is no address and no name that this host knows",
                "use an address of this host, or leave --host out for all of them",
            ) from None
        for family, _, _, _, sockaddr in infos:
            found[(family, str(sockaddr[0]))] = None
    return list(found)


def _bind(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    where = f"[{address}]:{port}" if family is socket.AF_INET6 else f"{address}:{port}"
    try:
        sock = socket.socket(family, socket.SOCK_STREAM)
    except OSError as exc:
        raise AddressUnavailable(f"cannot listen on {where}: {exc.strerror}") from None
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family is socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address, port))
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except OSError as exc:
        sock.close()
        if exc.errno == errno.EADDRINUSE:
            raise AddressInUse(
                f"port {port} is in use on {address}",
                f"stop the other program (ss -ltnp 'sport = :{port}' names it) or choose --port",
            ) from None
        if exc.errno == errno.EACCES:
            raise AddressUnavailable(
                f"no right to listen on {where}", "ports below 1024 need root; choose --port 3000"
            ) from None
        raise AddressUnavailable(
            f"cannot listen on {where}: {exc.strerror}",
            "use an address of this host (ip address), or leave --host out for all of them",
        ) from None
    return sock


def own_addresses() -> list[str]:
    """The addresses of all interfaces, loopback last; link-local IPv6 left out (needs a scope)."""
    return [address for address, _ in addresses_and_interfaces()]


def addresses_and_interfaces() -> list[tuple[str, str]]:
    """The same addresses in the same order, each with its interface's name."""
    found: dict[ipaddress.IPv4Address | ipaddress.IPv6Address, str] = {}
    for adapter in ifaddr.get_adapters():
        for ip in adapter.ips:
            address = ipaddress.ip_address(ip.ip if isinstance(ip.ip, str) else ip.ip[0])
            if not (address.version == 6 and address.is_link_local):
                found.setdefault(address, adapter.name)
    ordered = sorted(found, key=lambda ip: (ip.is_loopback, ip.version, int(ip)))
    return [(str(address), found[address]) for address in ordered]


def _answering(
    sock: socket.socket, own: Sequence[str]
) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """The addresses at which a listening socket answers."""
    bound = ipaddress.ip_address(sock.getsockname()[0])
    if not bound.is_unspecified:
        return [bound]
    return [ip for ip in map(ipaddress.ip_address, own) if ip.version == bound.version]


def reachable_urls(
    sockets: Sequence[socket.socket], scheme: str, own: Sequence[str]
) -> list[tuple[str, bool]]:
    """The base URLs at which the sockets answer, and whether each is beyond loopback.

    Args:
        own: The host's addresses, as :func:`own_addresses` gives them.
    """
    urls: dict[str, bool] = {}
    for sock in sockets:
        port = sock.getsockname()[1]
        for address in _answering(sock, own):
            shown = f"[{address}]" if address.version == 6 else str(address)
            urls[f"{scheme}://{shown}:{port}"] = not address.is_loopback
    return sorted(urls.items(), key=lambda item: not item[1])


def is_public(sockets: Sequence[socket.socket], own: Sequence[str]) -> bool:
    """Whether one of the sockets answers on an address that the whole internet can reach.

    Args:
        own: The host's addresses, as :func:`own_addresses` gives them.
    """
    return any(address.is_global for sock in sockets for address in _answering(sock, own))


def is_beyond_loopback(sockets: Sequence[socket.socket]) -> bool:
    """Whether others than this host can reach one of the sockets."""
    return any(not ipaddress.ip_address(sock.getsockname()[0]).is_loopback for sock in sockets)
