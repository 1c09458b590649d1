"""Names to addresses, within a deadline.

The event loop's own ``getaddrinfo`` runs in a thread that cannot be left: a program whose DNS
server is silent would hang at its end for as long as the system tries. Here the thread is left.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any

AddressInfo = tuple[int, int, int, str, tuple[Any, ...]]
"""One address of a name, as ``getaddrinfo`` gives it."""


async def resolve(host: str, port: int, patience: float) -> list[AddressInfo]:
    """All TCP addresses of ``host``, in the system's order of preference (RFC 6724).

    Raises:
        socket.gaierror: the name has no address, or no server answered the system.
        OSError: the system cannot ask: no file descriptors, for one.
        UnicodeError: not a name (IDNA).
        TimeoutError: no answer within ``patience`` seconds.
    """
    loop = asyncio.get_running_loop()
    found: asyncio.Future[list[AddressInfo]] = loop.create_future()

    def settle(answer: list[AddressInfo] | None, error: BaseException | None) -> None:
        if found.done():
            return
        if error is not None:
            found.set_exception(error)
        else:
            found.set_result(answer or [])

    def ask() -> None:
        answer: list[AddressInfo] | None = None
        error: BaseException | None = None
        try:
            answer = list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as exc:
            error = exc
        try:
            loop.call_soon_threadsafe(settle, answer, error)
        except RuntimeError:
            return  # nobody waits any more: the loop is closed

    threading.Thread(target=ask, name="wsdev-resolver", daemon=True).start()
    async with asyncio.timeout(patience):
        return await found


def socket_address(ip: str, port: int) -> tuple[Any, ...]:
    """What ``connect`` takes; the scope of a link-local address (``fe80::1%eth0``) as a number.

    A scope that is no interface of this host becomes 0: none.
    """
    plain, mark, scope = ip.partition("%")
    if not mark:
        return (ip, port)
    try:
        index = int(scope) if scope.isdigit() else socket.if_nametoindex(scope)
    except OSError:
        index = 0
    return (plain, port, 0, index)
