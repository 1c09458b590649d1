"""The device's end as asyncio: fetch tokens, connect, talk, come back after a break."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Generator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from wsdev import __version__
from wsdev.codes import CloseCode
from wsdev.device_session import DeviceSession
from wsdev.errors import CertificateError, LinkCut
from wsdev.events import Closed, Event, Opened, UpgradeFailed, UpgradeRefused
from wsdev.failures import CONNECT_SHARE, path_error, refusal_error, upgrade_error
from wsdev.link import Link
from wsdev.protocol import DeviceClass
from wsdev.resolver import AddressInfo, resolve
from wsdev.sanitize import printable
from wsdev.session import SessionPolicy, State
from wsdev.tcp import connect_tcp
from wsdev.urls import GatewayAddress

if TYPE_CHECKING:
    import httpx

USER_AGENT: Final = f"wsdev/{__version__}"

DEFAULT_PATIENCE: Final = 10.0
"""Seconds for one step on the way in; the patience of esp_websocket_client."""

FALLBACK_AFTER: Final = 2.0
"""Seconds until the next of a name's addresses is tried: a lost SYN is sent again after 1 s
(RFC 6298 section 2) and may still be answered."""

MAX_ANSWER: Final = 64 * 1024
"""Bytes read of an HTTP answer; a gateway's are under 1 KiB, and a stranger's may never end."""

SWEEP_INTERVAL: Final = 0.25

MAX_WAIT: Final = 60.0
WAIT_AFTER_NO: Final = 60.0
"""Seconds to stay away after 401 or 403: asking again sooner changes nothing."""

STABLE_AFTER: Final = 30.0
"""Seconds of stable link after which the backoff starts anew."""


def backoff(random: Callable[[], float]) -> Generator[float]:
    """Seconds to wait before each try to reconnect: ``min(60, 2**n) * (0.5 + random)``.

    Args:
        random: Gives a number from 0 to 1; the jitter that keeps a fleet from coming in step.
    """
    wait = 1.0
    while True:
        yield wait * (0.5 + random())
        wait = min(MAX_WAIT, wait * 2)


# TLS and tokens

# No compression: what comes is what is counted against MAX_ANSWER.
_FETCH_HEADERS: Final = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"}


def make_tls_context(ca_file: Path | None, *, insecure: bool) -> ssl.SSLContext:
    """A client context that trusts the system's issuers, or those in ``ca_file``.

    Args:
        insecure: Accept any certificate; for finding out whether the certificate is the fault.

    Raises:
        CertificateError: the file cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as exc:
        raise CertificateError(
            f"cannot use --cacert {ca_file}: {exc.strerror or 'no PEM certificate in it'}",
            "give a PEM file with the issuer's certificate",
        ) from None
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


async def fetch_tokens(
    address: GatewayAddress,
    *,
    tls: ssl.SSLContext | None = None,
    patience: float = DEFAULT_PATIENCE,
) -> dict[str, list[str]]:
    """The tokens that the gateway hands out, by device class.

    Proxies of the environment are not used: a device does not use them either.

    Args:
        patience: Seconds in all.

    Raises:
        PathError: the way there, or something else answers.
        NotAllowed: the gateway does not hand tokens out now, or to this address.
    """
    import httpx  # noqa: PLC0415  (a third of a probe's start, and a probe does not fetch here)

    steps = httpx.Timeout(None, connect=patience * CONNECT_SHARE)
    if address.tls and tls is None:
        tls = make_tls_context(None, insecure=False)
    try:
        async with (
            asyncio.timeout(patience),
            httpx.AsyncClient(verify=tls or False, trust_env=False, timeout=steps) as http,
            http.stream("GET", address.tokens_url(), headers=_FETCH_HEADERS) as answer,
        ):
            body = await _read_bounded(answer)
    except httpx.InvalidURL as exc:
        raise path_error(UnicodeError(str(exc)), address) from None
    except httpx.TimeoutException:
        raise path_error(TimeoutError(), address) from None
    except (httpx.HTTPError, OSError, UnicodeError) as exc:
        raise path_error(exc, address) from None
    headers = answer.headers.multi_items()
    if not answer.is_success:
        raise refusal_error(answer.status_code, headers, body, address)
    listed = listed_tokens(body)
    if not listed:
        raise refusal_error(answer.status_code, headers, b"", address)
    return listed


async def _read_bounded(answer: httpx.Response) -> bytes:
    """The body, or so much of it that it cannot be a gateway's."""
    body = bytearray()
    async for part in answer.aiter_raw():
        body += part
        if len(body) > MAX_ANSWER:
            break
    return bytes(body)


def listed_tokens(body: bytes) -> dict[str, list[str]]:
    """The tokens in an answer of ``/public/tokens``; none if it is not one."""
    try:
        fields = msgspec.json.decode(body, type=dict[str, Any])
        return {
            key.removesuffix("_tokens"): msgspec.convert(value, list[str])
            for key, value in fields.items()
            if key.endswith("_tokens")
        }
    except (msgspec.MsgspecError, RecursionError):
        return {}


# One connection


class DeviceConnection:
    """A device's link to a gateway; made by :func:`connect`.

    Attributes:
        session: Says and hears; call :meth:`flush` after saying.
        closed: How the conversation ended, once it has.
    """

    def __init__(self, session: DeviceSession, clock: Callable[[], float]) -> None:
        self.session = session
        self.link = Link(session, clock)
        self.link.attach(self)
        self.closed: Closed | None = None
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._clock = clock
        self._timer: asyncio.TimerHandle | None = None
        self._lost = asyncio.Event()

    def link_made(self) -> None:
        """The transport is there: time begins."""
        self._sweep()

    def handle(self, events: Sequence[Event]) -> None:
        """Keep the events for :meth:`next_event`."""
        for event in events:
            if isinstance(event, Closed):
                self.closed = event
            self._events.put_nowait(event)

    def link_lost(self) -> None:
        """The transport is gone."""
        if self._timer is not None:
            self._timer.cancel()
        self._lost.set()

    def _sweep(self) -> None:
        self.link.sweep(self._clock())
        self._timer = asyncio.get_running_loop().call_later(SWEEP_INTERVAL, self._sweep)

    async def next_event(self) -> Event:
        """The next event; :class:`Closed` is the last."""
        return await self._events.get()

    def flush(self) -> None:
        """Send what the session wants to say."""
        self.link.flush()

    def ping(self) -> None:
        """Send a protocol ping; :class:`PongReceived` answers."""
        self.session.ping(self._clock())
        self.link.flush()

    async def close(self) -> None:
        """Close politely and wait for the transport's end, at most the session's linger time.

        What was not let in yet is dropped at once.
        """
        if self.session.state is State.HANDSHAKE:
            self.abort()
        self.link.close(CloseCode.NORMAL, "done")
        await self._lost.wait()

    def abort(self) -> None:
        """Drop the transport at once."""
        self.link.abort()


@asynccontextmanager
async def connect(
    address: GatewayAddress,
    device_class: DeviceClass,
    token: str | None,
    *,
    policy: SessionPolicy,
    tls: ssl.SSLContext | None = None,
    patience: float = DEFAULT_PATIENCE,
) -> AsyncIterator[DeviceConnection]:
    """A device let in by the gateway; closed politely on the way out, dropped on an error.

    Args:
        token: Sent as ``Authorization: Bearer``; None sends none, for local trust.
        patience: Seconds for TCP and TLS; the upgrade has the session's own deadline.

    Raises:
        PathError: the way there broke, or something else answers.
        TokenRefused: the gateway does not accept the token.
        NotAllowed: the gateway does not let the device in now.
    """
    try:
        async with asyncio.timeout(patience):
            infos = await resolve(address.host, address.port, patience)
            sock = await open_socket(infos, patience)
            connection = await ask(sock, address, device_class, token, policy=policy, tls=tls)
    except (OSError, UnicodeError) as exc:
        raise path_error(exc, address) from None
    try:
        await _let_in(connection, address)
        yield connection
    except asyncio.CancelledError:
        raise  # Ctrl-C is no reason to be impolite
    except BaseException:
        connection.abort()
        raise
    finally:
        await connection.close()


async def ask(
    sock: socket.socket,
    address: GatewayAddress,
    device_class: DeviceClass,
    token: str | None,
    *,
    policy: SessionPolicy,
    tls: ssl.SSLContext | None = None,
) -> DeviceConnection:
    """A link over a connected socket, TLS done and the upgrade asked for.

    Its first event tells whether the device is let in.

    Args:
        token: Sent as ``Authorization: Bearer``; None sends none, for local trust.

    Raises:
        OSError: TLS failed, or the connection broke.
    """
    loop = asyncio.get_running_loop()
    headers = [("User-Agent", USER_AGENT)]
    if token is not None:
        headers.append(("Authorization", f"Bearer {token}"))
    if address.tls and tls is None:
        tls = make_tls_context(None, insecure=False)
    url = address.websocket_url(device_class.name)
    session = DeviceSession(policy, url, device_class, headers, loop.time())
    connection = DeviceConnection(session, loop.time)
    await loop.create_connection(
        lambda: connection.link,
        sock=sock,
        ssl=tls if address.tls else None,
        server_hostname=address.server_name if address.tls else None,
    )
    return connection


async def open_socket(infos: Sequence[AddressInfo], patience: float) -> socket.socket:
    """A socket to the first address that takes the connection, tried in order.

    Args:
        infos: What ``getaddrinfo`` gave: at least one.
        patience: Seconds for all of them; a silent one gets a share, if others follow.

    Raises:
        OSError: none did; an ExceptionGroup behind it has the error of each.
    """
    share = min(FALLBACK_AFTER, patience / len(infos))
    failures: list[OSError] = []
    for left, info in zip(range(len(infos) - 1, -1, -1), infos, strict=True):
        try:
            async with asyncio.timeout(share if left else None):
                family, *_, address = info
                return await connect_tcp(family, address)
        except OSError as exc:
            failures.append(exc)
    raise OSError(str(failures[0])) from ExceptionGroup("one for each address", failures)


async def _let_in(connection: DeviceConnection, address: GatewayAddress) -> None:
    event = await connection.next_event()
    if isinstance(event, Opened):
        return
    if isinstance(event, UpgradeRefused):
        raise refusal_error(event.status, event.headers, event.body, address)
    where = printable(address.authority)
    if isinstance(event, UpgradeFailed):
        raise upgrade_error(event.cause, address)
    raise LinkCut(
        f"{where} cut the connection during the upgrade",
        "look at proxies on the way; if the port speaks TLS, use wss://",
    )
