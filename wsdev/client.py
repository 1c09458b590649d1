"""The device's end as asyncio: fetch tokens, connect, talk, come back after a break."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Generator, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec

from wsdev import __version__
from wsdev.codes import CloseCode
from wsdev.device_session import DeviceSession
from wsdev.errors import (
    CertificateError,
    LinkCut,
    NameNotFound,
    NoAnswer,
    NotAGateway,
    NotAllowed,
    PathError,
    Refused,
    TLSFailed,
    TokenRefused,
    WsdevError,
)
from wsdev.events import Closed, Event, Opened, UpgradeFailed, UpgradeRefused
from wsdev.link import Link
from wsdev.protocol import DEFAULT_PORT, DeviceClass
from wsdev.sanitize import printable
from wsdev.session import SessionPolicy
from wsdev.urls import GatewayAddress

USER_AGENT: Final = f"wsdev/{__version__}"

DEFAULT_PATIENCE: Final = 10.0
"""Seconds for one step on the way in; the patience of esp_websocket_client."""

SWEEP_INTERVAL: Final = 0.25

MAX_WAIT: Final = 60.0
WAIT_AFTER_NO: Final = 60.0
"""Seconds to stay away after 401 or 403: asking again sooner changes nothing."""

STABLE_AFTER: Final = 30.0
"""Seconds of stable link after which the backoff starts anew."""

_NO_ROUTE: Final = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN})


def backoff(random: Callable[[], float]) -> Generator[float]:
    """Seconds to wait before each try to reconnect: ``min(60, 2**n) * (0.5 + random)``.

    Args:
        random: Gives a number from 0 to 1; the jitter that keeps a fleet from coming in step.
    """
    attempt = 0
    while True:
        yield min(MAX_WAIT, 2.0**attempt) * (0.5 + random())
        attempt += 1


# What went wrong, as our errors


def path_error(exc: BaseException, address: GatewayAddress) -> PathError:
    """The layer that broke, from what the system said; looks through the chain of causes."""
    where = printable(address.authority)
    chain: list[BaseException] = []
    link: BaseException | None = exc
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or link.__context__
    for error in reversed(chain):
        if isinstance(error, socket.gaierror):
            return NameNotFound(
                f"the name {printable(address.host)} has no address",
                "check the spelling and the DNS, or use the host's IP address",
            )
        if isinstance(error, ssl.SSLError):
            return _tls_error(error, where)
        if isinstance(error, ConnectionRefusedError):
            hint = "start wsdev serve there, and check the port"
            if address.port in (80, 443):
                hint += f"; wsdev listens on {DEFAULT_PORT} by default, so add :{DEFAULT_PORT}"
            return Refused(f"{where} refuses the connection: nothing listens on that port", hint)
        if isinstance(error, OSError) and error.errno in _NO_ROUTE:
            return NoAnswer(f"there is no route to {where}", "check network, Wi-Fi and address")
    if any("Timeout" in type(error).__name__ for error in chain):
        return NoAnswer(
            f"no answer from {where} in time",
            "check the address, that the host is up, and firewalls on the way",
        )
    return LinkCut(
        f"the connection to {where} broke: {printable(str(exc)) or type(exc).__name__}",
        "try again; if it stays, look at proxies and firewalls on the way",
    )


def _tls_error(error: ssl.SSLError, where: str) -> TLSFailed:
    if isinstance(error, ssl.SSLCertVerificationError):
        return TLSFailed(
            f"the certificate of {where} is not accepted: {printable(error.verify_message)}",
            "name the issuer's certificate with --cacert, or mend the server's certificate",
        )
    reason = (error.reason or "handshake failed").replace("_", " ").lower()
    return TLSFailed(
        f"TLS with {where} failed: {printable(reason)}",
        "use ws:// or http:// if the gateway has no TLS there",
    )


def refusal_error(
    status: int, headers: Sequence[tuple[str, str]], body: bytes, address: GatewayAddress
) -> WsdevError:
    """The error behind an HTTP answer that is not what was hoped for."""
    where = printable(address.authority)
    try:
        told = msgspec.json.decode(body, type=_Refusal)
    except msgspec.MsgspecError:
        server = next((value for name, value in headers if name.lower() == "server"), "")
        by = f" ({printable(server)})" if server else ""
        return NotAGateway(
            f"{where} answers HTTP {status}{by}, but not as a wsdev gateway does",
            "check host, port and path; a proxy in front must pass this path on",
        )
    cause = f"{printable(told.message)} (HTTP {status}, request {printable(told.request_id)})"
    kind: type[WsdevError] = {401: TokenRefused, 400: NotAGateway, 426: NotAGateway}.get(
        status, NotAllowed
    )
    hint = told.hint + (f" They are: {', '.join(told.paths)}" if told.paths else "")
    return kind(cause, printable(hint), code=printable(told.code))


class _Refusal(msgspec.Struct):
    """The gateway's own JSON body."""

    code: str
    message: str
    hint: str
    request_id: str
    paths: list[str] = []


# TLS and tokens


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
    try:
        async with (
            asyncio.timeout(patience),
            httpx.AsyncClient(
                verify=tls or address.tls, trust_env=False, headers={"User-Agent": USER_AGENT}
            ) as client,
        ):
            answer = await client.get(address.tokens_url(), timeout=None)
    except (httpx.HTTPError, TimeoutError, OSError) as exc:
        raise path_error(exc, address) from None
    return _read_tokens(answer, address)


def _read_tokens(answer: httpx.Response, address: GatewayAddress) -> dict[str, list[str]]:
    if answer.status_code != HTTPStatus.OK:
        raise refusal_error(
            answer.status_code, answer.headers.multi_items(), answer.content, address
        )
    try:
        body = msgspec.json.decode(answer.content, type=dict[str, Any])
        listed = {
            key.removesuffix("_tokens"): msgspec.convert(value, list[str])
            for key, value in body.items()
            if key.endswith("_tokens")
        }
    except msgspec.MsgspecError:
        listed = {}
    if not listed:
        raise refusal_error(200, answer.headers.multi_items(), b"", address)
    return listed


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
        """Close politely and wait for the transport's end, at most the session's linger time."""
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
    loop = asyncio.get_running_loop()
    headers = [("User-Agent", USER_AGENT)]
    if token is not None:
        headers.append(("Authorization", f"Bearer {token}"))
    try:
        async with asyncio.timeout(patience):
            sock = await _connect_tcp(address)
            session = DeviceSession(
                policy, address.websocket_url(device_class.name), device_class, headers, loop.time()
            )
            connection = DeviceConnection(session, loop.time)
            await loop.create_connection(
                lambda: connection.link,
                sock=sock,
                ssl=(tls or ssl.create_default_context()) if address.tls else None,
                server_hostname=address.host if address.tls else None,
            )
    except (OSError, TimeoutError) as exc:
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


async def _connect_tcp(address: GatewayAddress) -> socket.socket:
    """A socket to the first of the name's addresses that answers."""
    loop = asyncio.get_running_loop()
    infos = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    first_error: OSError | None = None
    for family, kind, number, _, sockaddr in infos:
        sock = socket.socket(family, kind, number)
        sock.setblocking(False)
        try:
            await loop.sock_connect(sock, sockaddr)
        except OSError as exc:
            sock.close()
            first_error = first_error or exc
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    assert first_error is not None  # getaddrinfo gives one address or raises
    raise first_error


async def _let_in(connection: DeviceConnection, address: GatewayAddress) -> None:
    event = await connection.next_event()
    if isinstance(event, Opened):
        return
    if isinstance(event, UpgradeRefused):
        raise refusal_error(event.status, event.headers, event.body, address)
    where = printable(address.authority)
    if isinstance(event, UpgradeFailed):
        raise NotAGateway(
            f"{where} does not answer as a WebSocket server: {event.cause}",
            "check host and port; another service may listen there",
        )
    raise LinkCut(f"{where} cut the connection during the upgrade", "look at proxies on the way")
