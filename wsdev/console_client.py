"""A console asked over HTTP: its API as methods, its answers as Structs, its problems as errors.

Knows the API by its documents only, and nothing of the server that answers: that may be another
wsdev, or no wsdev at all.
"""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import json
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Final, NamedTuple, Self, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from wsdev import __version__
from wsdev.console_answers import (
    LAST_MOMENT,
    Answer,
    Device,
    DeviceList,
    SentCommand,
    Who,
    problem_error,
    read_answer,
    stranger,
)
from wsdev.errors import (
    DeviceOffline,
    LinkCut,
    NoAnswer,
    NotAGateway,
    NotThere,
    ProtocolViolation,
    Refused,
    TLSFailed,
    WsdevError,
)
from wsdev.failures import CONNECT_SHARE, path_error
from wsdev.protocol import DEFAULT_CONSOLE_PORT
from wsdev.sanitize import printable
from wsdev.token_format import without_token
from wsdev.urls import GatewayAddress

PATIENCE: Final = 10.0
"""Seconds for a request and its answer."""

SILENCE: Final = 45.0
"""Seconds without a byte after which a stream is dead: a console comments each 15 seconds."""

MOST_OF_ANSWER: Final = 64 * 1024 * 1024
"""Bytes; a list of 50,000 devices is half of that, and a stranger's answer may never end."""

MOST_NAMES: Final = 3

_WEB_PORTS: Final = (80, 443)
"""Those of a URL that names none."""

_JPEG_START: Final = b"\xff\xd8"
_Struct = TypeVar("_Struct", bound=msgspec.Struct)


class Snapshot(NamedTuple):
    """A camera's newest whole picture (JPEG); its age in seconds, None if that was not told."""

    data: bytes
    age: float | None


class ConsoleClient:
    """One console. Use it as an async context manager.

    Proxies and certificates of the environment are not used, and redirects not followed: a token
    goes to the named console only.

    Args:
        token: An operator token, or None where one is trusted as local.
        tls: For an ``https`` address.
    """

    def __init__(
        self,
        address: GatewayAddress,
        *,
        token: str | None = None,
        tls: ssl.SSLContext | None = None,
        patience: float = PATIENCE,
    ) -> None:
        self.address = address
        self._token = token
        self._patience = patience
        self._steps = httpx.Timeout(patience, connect=patience * CONNECT_SHARE)
        headers = {
            "User-Agent": f"wsdev/{__version__}",
            "Accept-Encoding": "identity",
            "X-Wsdev": "1",
        }
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        self._http = httpx.AsyncClient(
            verify=tls or False, trust_env=False, timeout=self._steps, headers=headers
        )

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.__aexit__(kind, error, trace)

    # What can be asked; each method raises a WsdevError for what is not answered.

    async def who(self) -> Who:
        """Who asks, and how that one came in."""
        return (await self._json("GET", "/api/me", Who)).value

    async def devices(self) -> Answer[DeviceList]:
        """All devices, those that are away too, by name."""
        return await self._json("GET", "/api/devices", DeviceList)

    async def device(self, name: str) -> Answer[Device]:
        """One device and its latest links."""
        async with self._near(name):
            return await self._json("GET", _path(name), Device)

    async def send(
        self,
        name: str,
        command: dict[str, Any],
        *,
        answer_in: float,
        queue_for: float | None = None,
    ) -> Answer[SentCommand]:
        """Send a command, and do not wait for the device. It is sent once, and never again.

        An error after which it may have been taken says so.

        Args:
            answer_in: Seconds that the device has for its answer.
            queue_for: Seconds that the command may wait for its device; None if it may not.
        """
        wish: dict[str, Any] = {"command": command, "timeout": answer_in}
        if queue_for is not None:
            wish |= {"queue": True, "queue_for": queue_for}
        async with self._near(name):
            return await self._json("POST", f"{_path(name)}/commands?wait=0", SentCommand, wish)

    async def command(self, command_id: str) -> Answer[SentCommand]:
        """What became of a command."""
        path = f"/api/commands/{quote(command_id, safe='')}"
        return await self._json("GET", path, SentCommand)

    async def snapshot(self, name: str) -> Snapshot:
        """The newest whole picture of a camera."""
        async with self._near(name):
            try:
                headers, data = await self._ask("GET", f"{_path(name)}/snapshot.jpg")
            except DeviceOffline as error:
                error.hint = "wsdev devices tells who is there"
                raise
        if not data.startswith(_JPEG_START):
            raise stranger(self.address, "what it sends is no JPEG")
        try:
            age = float(headers["x-picture-age"])
        except (KeyError, ValueError):
            return Snapshot(data, None)
        return Snapshot(data, max(0.0, age) if abs(age) <= LAST_MOMENT else None)

    async def last_sequence(self) -> int:
        """The number of the journal's last entry; 0 if it is empty."""
        page = (await self._json("GET", "/api/journal?limit=1", _Page)).value
        return page.entries[-1].sequence if page.entries else 0

    @contextlib.asynccontextmanager
    async def events(
        self, kinds: Sequence[str], devices: Sequence[str], after: int
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """The bytes of ``/api/events`` from after a number of the journal on."""
        query = [*(("kind", kind) for kind in kinds), *(("device", name) for name in devices)]
        request = self._http.build_request(
            "GET",
            self.address.http_url("/api/events"),
            params=httpx.QueryParams(tuple(query)),
            headers={"Accept": "text/event-stream", "Last-Event-ID": str(after)},
            timeout=httpx.Timeout(
                self._patience, connect=self._patience * CONNECT_SHARE, read=SILENCE
            ),
        )
        with self._explained():
            async with asyncio.timeout(self._patience):
                answer = await self._http.send(request, stream=True)
        try:
            if not answer.is_success:
                with self._explained():
                    async with asyncio.timeout(self._patience):
                        body = await self._body(answer)
                raise problem_error(answer.status_code, answer.headers, body, self.address)
            if answer.headers.get("content-type", "").partition(";")[0] != "text/event-stream":
                raise stranger(self.address, "what it sends is no stream of events")
            yield self._pieces(answer)
        finally:
            await answer.aclose()

    async def _pieces(self, answer: httpx.Response) -> AsyncIterator[bytes]:
        with self._explained(is_answered=True):
            async for piece in answer.aiter_raw():
                yield piece

    # How it is asked

    async def _json(
        self, method: str, path: str, wanted: type[_Struct], body: Any = None
    ) -> Answer[_Struct]:
        _, data = await self._ask(method, path, body)
        with _perhaps_done(method != "GET"):
            return read_answer(data, wanted, self.address)

    async def _ask(
        self, method: str, path: str, body: Any = None
    ) -> tuple[Mapping[str, str], bytes]:
        """Headers and body of a good answer."""
        headers, content = {}, None
        if body is not None:
            headers, content = {"Content-Type": "application/json"}, json.dumps(body).encode()
        changes = method != "GET"
        with self._explained(changes=changes):
            async with (
                asyncio.timeout(self._patience),
                self._http.stream(
                    method, self.address.http_url(path), content=content, headers=headers
                ) as answer,
            ):
                with _perhaps_done(changes):
                    data = await self._body(answer)
        if not answer.is_success:
            # What a 3xx or 4xx refuses was not done, whoever says it.
            with _perhaps_done(changes and answer.is_server_error):
                raise problem_error(answer.status_code, answer.headers, data, self.address)
        return answer.headers, data

    async def _body(self, answer: httpx.Response) -> bytes:
        """All of it; of what is no success without our token, which a stranger may repeat."""
        data = bytearray()
        async for piece in answer.aiter_raw():
            data += piece
            if len(data) > MOST_OF_ANSWER:
                raise stranger(self.address, "its answer has no end")
        if answer.is_success:
            return bytes(data)
        return without_token(data.decode("utf-8", "replace"), self._token).encode()

    @contextlib.asynccontextmanager
    async def _near(self, name: str) -> AsyncIterator[None]:
        """Say which names are like one that the console does not know."""
        try:
            yield
        except (NotThere, DeviceOffline) as error:
            known = error.code == "no_picture"
            if isinstance(error, DeviceOffline):
                error.device = name
                known = error.since is not None
            if not known and (alike := await self._alike(name)):
                error.hint = f"did you mean {' or '.join(alike)}? {error.hint}".rstrip()
            raise

    async def _alike(self, name: str) -> list[str]:
        try:
            known = [device.name for device in (await self.devices()).value.devices]
        except WsdevError:  # the first error tells more
            return []
        if name in known:
            return []
        by_fold = {one.casefold(): one for one in known}
        found = difflib.get_close_matches(name.casefold(), by_fold, MOST_NAMES)
        return [printable(by_fold[one]) for one in found]

    @contextlib.contextmanager
    def _explained(self, *, changes: bool = False, is_answered: bool = False) -> Iterator[None]:
        """Turn what httpx and the system say into our errors.

        Args:
            changes: Something may have been done though there is no answer.
            is_answered: The head of an answer has come.
        """
        try:
            yield
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as exc:
            raise path_error(UnicodeError(str(exc)), self.address) from None
        except (httpx.ConnectError, httpx.ConnectTimeout) as exc:
            raise self._unreached(exc) from None
        except (httpx.HTTPError, OSError, UnicodeError) as exc:
            raise self._unanswered(exc, changes=changes, is_answered=is_answered) from None

    def _unreached(self, exc: httpx.TransportError) -> WsdevError:
        timed_out = isinstance(exc, httpx.ConnectTimeout)
        error = path_error(TimeoutError() if timed_out else exc, self.address)
        if isinstance(error, Refused) and self.address.port in _WEB_PORTS:
            there = replace(self.address, port=DEFAULT_CONSOLE_PORT).http_url("")
            error.hint = (
                f"the console is on port {DEFAULT_CONSOLE_PORT} unless told otherwise: --console"
                f" {printable(there)}"
            )
        elif isinstance(error, Refused):
            error.hint = (
                "start it with wsdev serve; one with --no-console has none; another address goes"
                " into --console URL"
            )
        elif isinstance(error, NoAnswer):
            error.hint = "check the address in --console; a firewall may drop the port"
        elif isinstance(error, LinkCut):
            error.hint = "check host and port in --console"
        elif isinstance(error, TLSFailed) and not _is_about_certificate(exc):
            error.hint = f"a console without TLS is at http://{printable(self.address.authority)}"
        return error

    def _unanswered(self, exc: Exception, *, changes: bool, is_answered: bool) -> WsdevError:
        where = printable(self.address.authority)
        perhaps = _PERHAPS if changes else ""
        if isinstance(exc, (TimeoutError, httpx.TimeoutException)):
            return NoAnswer(
                f"no answer from {where} in time{perhaps}",
                "look at the gateway's log and load",
            )
        if is_answered:
            return LinkCut(f"{where} ended the connection", "look at the gateway's log")
        error = stranger(self.address, f"it hangs up, or speaks no HTTP{perhaps}")
        if not self.address.tls:
            error.hint = f"if it speaks TLS: --console https://{where}; or check host and port"
        return error


class _Numbered(msgspec.Struct, frozen=True):
    sequence: int


class _Page(msgspec.Struct, frozen=True):
    entries: list[_Numbered]


def _path(name: str) -> str:
    return f"/api/devices/{quote(name, safe='')}"


_PERHAPS: Final = "; what was asked for may have been done"


@contextlib.contextmanager
def _perhaps_done(changes: bool) -> Iterator[None]:
    """Say of an answer that tells nothing that what was asked for may have been done."""
    try:
        yield
    except (NotAGateway, ProtocolViolation) as error:
        if not changes:
            raise
        raise type(error)(f"{error.cause}{_PERHAPS}", error.hint, code=error.code) from None


def _is_about_certificate(exc: BaseException | None) -> bool:
    while exc is not None:
        if isinstance(exc, ssl.SSLCertVerificationError):
            return True
        exc = exc.__cause__ or exc.__context__
    return False
