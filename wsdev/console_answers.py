"""What a console answers, as its clients read it: Structs, and errors out of problem documents.

The fields are a choice of those that docs/console.md and /openapi.json name; what a later console
adds is left alone, and what is missing is None.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any, Final, Generic, NamedTuple, TypeVar

import msgspec

from wsdev.errors import (
    DeviceOffline,
    NotAGateway,
    NotAllowed,
    NotThere,
    ProtocolViolation,
    TokenRefused,
    UsageError,
    WsdevError,
)
from wsdev.protocol import DEFAULT_CONSOLE_PORT
from wsdev.sanitize import printable
from wsdev.token_format import without_tokens
from wsdev.urls import GatewayAddress

PROBLEM_TYPE: Final = "application/problem+json"

_Struct = TypeVar("_Struct", bound=msgspec.Struct)


class Answer(NamedTuple, Generic[_Struct]):
    """An answer, and all of its JSON as it came."""

    value: _Struct
    document: Any


LAST_MOMENT: Final = 253_370_764_800
"""Unix seconds at which the year 9999 begins: each time zone has a date for it, which shows."""

_Moment = Annotated[float, msgspec.Meta(ge=0, le=LAST_MOMENT)]
_Amount = Annotated[float, msgspec.Meta(ge=-LAST_MOMENT, le=LAST_MOMENT)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
"""Bounded, since a stranger's may be more than a clock or a float can hold."""

# Devices


class Traffic(msgspec.Struct, frozen=True):
    """Messages and bytes of one link, from the device and to it."""

    messages_in: _Count
    bytes_in: _Count
    messages_out: _Count
    bytes_out: _Count


class Camera(msgspec.Struct, frozen=True):
    """A camera's newest picture; ``age`` in seconds."""

    size: _Count
    age: _Amount
    frames_per_second: _Amount | None = None
    pictures: _Count = 0
    viewers: _Count = 0


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """One of a device's links; what only an end has is None while it goes on."""

    session: str
    address: str
    started: _Moment
    ended: _Moment | None = None
    seconds: _Amount | None = None
    close_code: _Count | None = None
    cause: str | None = None
    reason: str | None = None
    closed_by: str | None = None


class Device(msgspec.Struct, frozen=True, kw_only=True, rename={"device_class": "class"}):
    """A device as it is now; times are Unix seconds, ages and round trips seconds.

    Attributes:
        links: Its latest, the newest first; only where one device was asked for.
    """

    name: str
    device_class: str
    state: str
    address: str
    connected_since: _Moment | None = None
    last_proof: _Moment | None = None
    proof_age: _Amount | None = None
    round_trip: _Amount | None = None
    session: str | None = None
    version: str | None = None
    token_kind: str | None = None
    traffic: Traffic | None = None
    camera: Camera | None = None
    links: list[Link] = []

    @property
    def is_online(self) -> bool:
        """Whether it is connected."""
        return self.state == "online"

    @property
    def connected_for(self) -> float | None:
        """Seconds, by the console's clock: that of this host may be another one."""
        if self.connected_since is None or self.last_proof is None or self.proof_age is None:
            return None
        return max(0.0, self.last_proof + self.proof_age - self.connected_since)


class DeviceList(msgspec.Struct, frozen=True):
    """All devices, those that are away too."""

    devices: list[Device]


# Commands


class SentCommand(msgspec.Struct, frozen=True, kw_only=True):
    """A command and what became of it; docs/commands.md has its states."""

    id: str
    device: str
    state: str
    is_over: bool
    type: str
    asked: _Moment
    sent: _Moment | None = None
    ended: _Moment | None = None
    queue_until: _Moment | None = None
    reason: str | None = None
    detail: Any = None


class Who(msgspec.Struct, frozen=True):
    """Who asks, and how that one came in."""

    way: str
    name: str


def read_answer(data: bytes, wanted: type[_Struct], address: GatewayAddress) -> Answer[_Struct]:
    """A JSON answer as a Struct; what the Struct has no field for is read too.

    Raises:
        NotAGateway: it is none.
    """
    try:
        return Answer(msgspec.json.decode(data, type=wanted), msgspec.json.decode(data))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise stranger(address, "what it answers is not a console's") from None


# Problems


class Problem(msgspec.Struct, frozen=True):
    """A problem document (RFC 9457) of a console."""

    status: int
    code: str
    detail: str
    hint: str = ""
    offline_since: _Moment | None = None
    last_seen: _Moment | None = None


class _DevicesRefusal(msgspec.Struct, frozen=True):
    """What the devices' port answers."""

    code: str
    message: str
    request_id: str


TOKEN_HINT: Final = (
    "on the gateway's host run: wsdev tokens create --operator; then set WSDEV_OPERATOR_TOKEN, or"
    " use --token-file"
)


def problem_error(
    status: int, headers: Mapping[str, str], body: bytes, address: GatewayAddress
) -> WsdevError:
    """The error that an answer other than a success tells of.

    Args:
        headers: Of the answer; looked up in lower case.
    """
    problem = _problem(headers, body)
    if problem is None:
        return _stranger_error(status, headers, body, address)
    cause, hint = _plain(problem.detail), _plain(problem.hint)
    code = printable(problem.code, 64)
    if status == HTTPStatus.UNAUTHORIZED:
        return TokenRefused(cause, TOKEN_HINT, code=code)
    if status == HTTPStatus.NOT_FOUND and problem.code != "offline":
        return NotThere(cause, hint, code=code)
    if problem.code == "offline":
        return DeviceOffline(cause, hint, since=problem.offline_since, last_seen=problem.last_seen)
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        wait = headers.get("retry-after", "")
        if wait.isdecimal() and len(wait) < 6:
            hint = f"{hint} ({wait} s)" if hint else f"try again in {wait} s"
    elif status == HTTPStatus.INTERNAL_SERVER_ERROR:
        return ProtocolViolation(cause, hint, code=code)
    elif 400 <= status < 500 and status not in _NOT_NOW:
        return UsageError(cause, hint, code=code)
    return NotAllowed(cause, hint, code=code)


_NOT_NOW: Final = frozenset((HTTPStatus.FORBIDDEN, HTTPStatus.CONFLICT, HTTPStatus.REQUEST_TIMEOUT))
"""Statuses with which a request is not served though nothing is wrong with its form."""


def _plain(text: str) -> str:
    """A server's words for a terminal; it may repeat a token that it was sent."""
    return printable(without_tokens(text))


def _problem(headers: Mapping[str, str], body: bytes) -> Problem | None:
    if headers.get("content-type", "").partition(";")[0].strip().lower() != PROBLEM_TYPE:
        return None
    try:
        return msgspec.json.decode(body, type=Problem)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _stranger_error(
    status: int, headers: Mapping[str, str], body: bytes, address: GatewayAddress
) -> NotAGateway:
    try:
        msgspec.json.decode(body, type=_DevicesRefusal)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        server = _plain(headers.get("server", ""))
        return stranger(address, f"HTTP {status}" + (f" ({server})" if server else ""))
    return NotAGateway(
        f"{printable(address.authority)} is the gateway's port for devices, not its console",
        f"the console is on port {DEFAULT_CONSOLE_PORT} unless told otherwise: --console URL",
    )


def stranger(address: GatewayAddress, seen: str) -> NotAGateway:
    """Something else than a console answers; ``seen`` tells what, fit for a terminal."""
    return NotAGateway(
        f"{printable(address.authority)} does not answer as a wsdev console: {seen}",
        "check host and port: wsdev serve prints the console's address at its start",
    )
