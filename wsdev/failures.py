"""What went wrong on the way to a gateway, as our errors: each names the layer that broke.

Remedies and exit codes are those of the table that the probe's verdicts come from.
"""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from wsdev.codes import REFUSALS, explain_close, may_come_back
from wsdev.diagnosis.path_rules import certificate_fault, tls_fault
from wsdev.diagnosis.talk_faults import SHOWN_OTHERWISE
from wsdev.diagnosis.verdict import FAULTS
from wsdev.errors import (
    ExitCode,
    LinkCut,
    NameNotFound,
    NoAnswer,
    NotAGateway,
    NotAllowed,
    PathError,
    ProtocolViolation,
    Refused,
    TLSFailed,
    TokenRefused,
    WsdevError,
)
from wsdev.events import Closed
from wsdev.protocol import DEFAULT_PORT
from wsdev.sanitize import printable
from wsdev.urls import GatewayAddress

CONNECT_SHARE: Final = 0.45
"""Of the patience with a request, for TCP and for TLS each, so that both end by themselves before
all of it does: httpcore drops its socket when it is cancelled in the latter."""

_KINDS: Final[dict[ExitCode, type[WsdevError]]] = {
    ExitCode.TLS: TLSFailed,
    ExitCode.HTTP: NotAGateway,
    ExitCode.TOKEN: TokenRefused,
    ExitCode.NOT_ALLOWED: NotAllowed,
    ExitCode.PROTOCOL: ProtocolViolation,
    ExitCode.CUT: LinkCut,
}
"""The error with each exit code of what a gateway can say."""

_NO_ROUTE: Final = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN})


def path_error(exc: BaseException, address: GatewayAddress) -> PathError:
    """The layer that broke, from what the system said; looks at all causes, of all addresses."""
    where = printable(address.authority)
    causes = _causes(exc)
    for error in causes:
        if isinstance(error, (socket.gaierror, UnicodeError)):
            return _name_error(error, printable(address.host))
        # SSLWantReadError is no failure, but where a timeout found the handshake.
        if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLWantReadError):
            return _tls_error(error, where)
    # With several addresses the one that got furthest tells most.
    if any(isinstance(error, ConnectionRefusedError) for error in causes):
        hint = _fix("refused")
        if address.port in (80, 443):
            hint += f"; wsdev listens on {DEFAULT_PORT} by default, so add :{DEFAULT_PORT}"
        return Refused(f"{where} refuses the connection: nothing listens on that port", hint)
    if any(isinstance(error, TimeoutError) for error in causes):
        return NoAnswer(f"no answer from {where} in time", _fix("unanswered"))
    if any(isinstance(error, OSError) and error.errno in _NO_ROUTE for error in causes):
        return NoAnswer(f"there is no route to {where}", _fix("no_route"))
    said = next((error.strerror for error in causes if isinstance(error, OSError)), None)
    url = printable(f"{'wss' if address.tls else 'ws'}://{address.authority}{address.path}")
    return LinkCut(
        f"the connection to {where} broke: {printable(said or str(exc)) or type(exc).__name__}",
        f"wsdev connect --url {url} tells what answers there",
    )


def _name_error(error: socket.gaierror | UnicodeError, host: str) -> NameNotFound:
    """What the resolver, or the IDNA codec, does not take as a name."""
    if isinstance(error, UnicodeError):
        return NameNotFound(f"{host} is not a name that can be looked up", _fix("name_malformed"))
    if error.errno in (socket.EAI_AGAIN, socket.EAI_FAIL):
        return NameNotFound(f"no DNS server answers for {host}", _fix("name_unanswered"))
    return NameNotFound(f"the name {host} has no address", _fix("name_unknown"))


def _fix(code: str) -> str:
    return FAULTS[code].fix


def _causes(exc: BaseException) -> list[BaseException]:
    """All errors behind ``exc`` and itself, the innermost first."""
    found: list[BaseException] = []
    todo = [exc]
    while todo:
        error = todo.pop()
        if error in found:
            continue
        found.append(error)
        if isinstance(error, BaseExceptionGroup):
            todo += error.exceptions
        behind = error.__cause__ or error.__context__
        if behind is not None:
            todo.append(behind)
    return found[::-1]


def _tls_error(error: ssl.SSLError, where: str) -> TLSFailed:
    if isinstance(error, ssl.SSLCertVerificationError):
        return TLSFailed(
            f"the certificate of {where} is not accepted: {printable(error.verify_message)}",
            _fix(certificate_fault(error.verify_code)),
        )
    reason = (error.reason or "handshake failed").replace("_", " ").lower()
    hint = _fix(tls_fault(error.reason or ""))
    return TLSFailed(f"TLS with {where} failed: {printable(reason)}", hint)


def refusal_error(
    status: int, headers: Sequence[tuple[str, str]], body: bytes, address: GatewayAddress
) -> WsdevError:
    """The error behind an HTTP answer that is not what was hoped for."""
    where = printable(address.authority)
    try:
        told = msgspec.json.decode(body, type=_Refusal)
    except (msgspec.MsgspecError, RecursionError):
        server = next((value for name, value in headers if name.lower() == "server"), "")
        by = f" ({printable(server)})" if server else ""
        return NotAGateway(
            f"{where} answers HTTP {status}{by}, but not as a wsdev gateway does",
            "check host, port and path; a proxy in front must pass this path on",
        )
    cause = f"{printable(told.message)} (HTTP {status}, request {printable(told.request_id)})"
    kind: type[WsdevError] = NotAllowed
    if told.code in REFUSALS:
        kind = _KINDS[FAULTS[SHOWN_OTHERWISE.get(told.code, told.code)].exit_code]
    hint = told.hint + (f" They are: {', '.join(told.paths)}" if told.paths else "")
    return kind(cause, printable(hint), code=printable(told.code))


class _Refusal(msgspec.Struct):
    """The gateway's own JSON body."""

    code: str
    message: str
    hint: str
    request_id: str
    paths: list[str] = []


def no_token_error(device_class: str | None, listed: Iterable[str]) -> NotAllowed:
    """The gateway hands out tokens of the ``listed`` classes, but none that was asked for."""
    wanted = f" for the class {device_class}" if device_class else ""
    return NotAllowed(
        f"the gateway hands out no token{wanted}",
        f"its classes are: {', '.join(map(printable, listed))}",
        code="no_token",
    )


def upgrade_error(cause: str, address: GatewayAddress) -> NotAGateway:
    """What came back was no valid answer to the upgrade."""
    return NotAGateway(
        f"{printable(address.authority)} does not answer as a WebSocket server: {cause}",
        "check host and port; another service may listen there, or it speaks TLS: use wss://",
    )


def closed_error(closed: Closed) -> WsdevError:
    """What a close means for the one who wanted to go on."""
    meaning = explain_close(closed.code)
    told = closed.reason if closed.reason != meaning.meaning else ""
    reason = f" ({printable(told)})" if told else ""
    cause = f"closed with {closed.code}: {meaning.meaning}{reason}"
    code = f"close_{closed.code}"
    if not may_come_back(closed.code):
        return NotAllowed(cause, meaning.hint, code=code)
    fault = FAULTS.get(code, FAULTS["close_other"])
    return _KINDS[fault.exit_code](cause, meaning.hint, code=code)
