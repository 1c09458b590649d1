"""The tree of errors. Each knows the guilty side, the cause and the remedy.

WsdevError
├── LocalError: this machine, this command line, these files
│   ├── UsageError
│   ├── AddressInUse
│   ├── AddressUnavailable
│   ├── StateFolderError
│   ├── CertificateError
│   ├── AlreadyRunning
│   ├── TokenBookError
│   ├── JournalError
│   ├── ThresholdCrossed
│   ├── RecordingError
│   └── TokenCheckFailed: the verdicts of ``wsdev tokens check``
│       ├── MistypedToken
│       ├── UnknownToken
│       └── RetiredToken
├── PathError: what lies between the two ends
│   ├── NameNotFound
│   ├── Refused
│   ├── NoAnswer
│   ├── TLSFailed
│   ├── NotAGateway
│   ├── LinkCut
│   ├── DeviceOffline
│   ├── CommandTimedOut
│   ├── CommandExpired
│   └── CommandLost
└── PeerError: the other end spoke, and said no or spoke wrongly
    ├── TokenRefused
    ├── NotAllowed
    ├── ProtocolViolation
    ├── AnswersDiffer
    ├── CommandFailed
    ├── CommandIgnored
    └── NotThere

An error carries its cause and its hint as fields, so nobody has to match text.
"""

from __future__ import annotations

import enum


class Side(enum.StrEnum):
    """Who has to act."""

    LOCAL = "here"
    PATH = "on the way"
    PEER = "the other end"


class ExitCode(enum.IntEnum):
    """What the process tells the shell. The README lists them; a test compares."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NAME = 10
    REFUSED = 11
    NO_ANSWER = 12
    TLS = 13
    HTTP = 14
    TOKEN = 15
    NOT_ALLOWED = 16
    PROTOCOL = 17
    CUT = 18
    QUALITY = 19
    ADDRESS_IN_USE = 20
    ADDRESS_UNAVAILABLE = 21
    STATE_FOLDER = 22
    CERTIFICATE = 23
    ALREADY_RUNNING = 24
    TOKEN_BOOK = 25
    JOURNAL = 26
    RECORDING = 27
    TOKEN_MISTYPED = 30
    TOKEN_UNKNOWN = 31
    TOKEN_RETIRED = 32
    ANSWERS_DIFFER = 33
    PROBLEMS_FOUND = 34
    OFFLINE = 40
    COMMAND_FAILED = 41
    COMMAND_IGNORED = 42
    COMMAND_TIMED_OUT = 43
    COMMAND_EXPIRED = 44
    COMMAND_LOST = 45
    NOT_THERE = 46
    INTERRUPTED = 130


EXIT_CODE_MEANINGS: dict[ExitCode, str] = {
    ExitCode.OK: "fine",
    ExitCode.FAILED: "the output cannot be written; or a bug, please report it",
    ExitCode.USAGE: "wrong option or argument",
    ExitCode.NAME: "the host's name leads to no address",
    ExitCode.REFUSED: "the host refuses the connection: nothing listens on that port",
    ExitCode.NO_ANSWER: "no answer from the host in time, or no route to it",
    ExitCode.TLS: "TLS failed",
    ExitCode.HTTP: "something answers, but not as a wsdev gateway (another server, a proxy)",
    ExitCode.TOKEN: "the gateway or its console does not accept the token, or needs one",
    ExitCode.NOT_ALLOWED: "the gateway or console does not allow that now (class, window, limits)",
    ExitCode.PROTOCOL: "the conversation went wrong (hello, message, close code)",
    ExitCode.CUT: "the connection was cut or fell silent",
    ExitCode.QUALITY: "connect: a threshold was crossed (--max-rtt, --max-loss, --fail-if)",
    ExitCode.ADDRESS_IN_USE: "serve: the port is in use",
    ExitCode.ADDRESS_UNAVAILABLE: "serve: the address cannot be bound",
    ExitCode.STATE_FOLDER: "the state folder cannot be used",
    ExitCode.CERTIFICATE: "the certificate or key cannot be used",
    ExitCode.ALREADY_RUNNING: "serve: another gateway uses this state folder",
    ExitCode.TOKEN_BOOK: "the token book cannot be read or has no such entry",
    ExitCode.JOURNAL: "the journal cannot be read, is a newer wsdev's, or has no such entry",
    ExitCode.RECORDING: "replay: the recording cannot be read, is cut, or is a newer wsdev's",
    ExitCode.TOKEN_MISTYPED: "tokens check: mistyped or cut",
    ExitCode.TOKEN_UNKNOWN: "tokens check: well formed, but not in this book",
    ExitCode.TOKEN_RETIRED: "tokens check: revoked or retired",
    ExitCode.ANSWERS_DIFFER: "replay: the gateway answered otherwise than was recorded",
    ExitCode.PROBLEMS_FOUND: "doctor: a problem was found",
    ExitCode.OFFLINE: "the device of a command or a snapshot is not connected",
    ExitCode.COMMAND_FAILED: "send: the device says that the command failed",
    ExitCode.COMMAND_IGNORED: "send: the device says that it ignored the command",
    ExitCode.COMMAND_TIMED_OUT: "send: no answer in time; the command may have been carried out",
    ExitCode.COMMAND_EXPIRED: "send: never sent: it was cancelled, or its queue time is over",
    ExitCode.COMMAND_LOST: "send: cut before an answer; the command may have been carried out",
    ExitCode.NOT_THERE: "the console knows no such device, or has no picture of it",
    ExitCode.INTERRUPTED: "interrupted with Ctrl-C",
}


class WsdevError(Exception):
    """Base of all errors that wsdev raises on purpose.

    Args:
        cause: What happened, one line, no secrets; peer text already escaped.
        hint: What to do about it, one line; may be empty.
        code: A stable word for machines (``token_unknown``); defaults to the class's own.
    """

    side: Side = Side.LOCAL
    exit_code: ExitCode = ExitCode.FAILED
    code: str = "error"

    def __init__(self, cause: str, hint: str = "", *, code: str | None = None) -> None:
        super().__init__(cause)
        self.cause = cause
        self.hint = hint
        if code is not None:
            self.code = code


class LocalError(WsdevError):
    """This machine, this command line or these files are the reason."""


class UsageError(LocalError):
    """An option, argument or setting that cannot be meant."""

    exit_code = ExitCode.USAGE
    code = "usage"


class AddressInUse(LocalError):
    """Another program listens on the port."""

    exit_code = ExitCode.ADDRESS_IN_USE
    code = "address_in_use"


class AddressUnavailable(LocalError):
    """The address is not of this host, or binding it is not permitted."""

    exit_code = ExitCode.ADDRESS_UNAVAILABLE
    code = "address_unavailable"


class StateFolderError(LocalError):
    """The state folder cannot be made, read or written."""

    exit_code = ExitCode.STATE_FOLDER
    code = "state_folder"


class CertificateError(LocalError):
    """The TLS certificate or key cannot be loaded."""

    exit_code = ExitCode.CERTIFICATE
    code = "certificate"


class AlreadyRunning(LocalError):
    """Another gateway holds the state folder."""

    exit_code = ExitCode.ALREADY_RUNNING
    code = "already_running"


class TokenBookError(LocalError):
    """The token book is missing, damaged, foreign, or lacks what was asked for."""

    exit_code = ExitCode.TOKEN_BOOK
    code = "token_book"


class JournalError(LocalError):
    """The journal is missing, damaged, of a newer wsdev, or its disk does not take more."""

    exit_code = ExitCode.JOURNAL
    code = "journal"


class ThresholdCrossed(LocalError):
    """A run is worse than was asked for."""

    exit_code = ExitCode.QUALITY
    code = "threshold"


class RecordingError(LocalError):
    """A recording cannot be read, is cut, damaged, or of a newer wsdev."""

    exit_code = ExitCode.RECORDING
    code = "recording"


class TokenCheckFailed(LocalError):
    """A token that would not be let in; the subclass says why."""


class MistypedToken(TokenCheckFailed):
    """Not the form of a token, or its checksum is wrong: mistyped or cut."""

    exit_code = ExitCode.TOKEN_MISTYPED
    code = "token_mistyped"


class UnknownToken(TokenCheckFailed):
    """Well formed, but this book does not have it."""

    exit_code = ExitCode.TOKEN_UNKNOWN
    code = "token_unknown"


class RetiredToken(TokenCheckFailed):
    """Once good, now revoked or rotated out."""

    exit_code = ExitCode.TOKEN_RETIRED
    code = "token_retired"


class PathError(WsdevError):
    """The way between the two ends is the reason."""

    side = Side.PATH


class NameNotFound(PathError):
    """The host name has no address."""

    exit_code = ExitCode.NAME
    code = "name_not_found"


class Refused(PathError):
    """The host answered that nothing listens there (TCP reset)."""

    exit_code = ExitCode.REFUSED
    code = "refused"


class NoAnswer(PathError):
    """Nothing came back in time, or there is no route."""

    exit_code = ExitCode.NO_ANSWER
    code = "no_answer"


class TLSFailed(PathError):
    """The TLS handshake or the certificate check failed."""

    exit_code = ExitCode.TLS
    code = "tls"


class NotAGateway(PathError):
    """Something answered, but not as a wsdev gateway does."""

    exit_code = ExitCode.HTTP
    code = "not_a_gateway"


class LinkCut(PathError):
    """The connection ended without a close frame, or fell silent."""

    exit_code = ExitCode.CUT
    code = "link_cut"


class DeviceOffline(PathError):
    """A command's device is not connected.

    Args:
        device: Its name.
        since: Unix time of the end of its last connection; None if it was never here.
        last_seen: Unix time of its last sign of life.
    """

    exit_code = ExitCode.OFFLINE
    code = "offline"

    def __init__(
        self,
        cause: str,
        hint: str = "",
        *,
        device: str = "",
        since: float | None = None,
        last_seen: float | None = None,
    ) -> None:
        super().__init__(cause, hint)
        self.device = device
        self.since = since
        self.last_seen = last_seen


class CommandTimedOut(PathError):
    """A device did not answer a command in time; it may have carried it out."""

    exit_code = ExitCode.COMMAND_TIMED_OUT
    code = "command_timed_out"


class CommandExpired(PathError):
    """A command was given up before it was sent."""

    exit_code = ExitCode.COMMAND_EXPIRED
    code = "command_expired"


class CommandLost(PathError):
    """The connection, or the gateway, ended before a command's answer; as if timed out."""

    exit_code = ExitCode.COMMAND_LOST
    code = "command_lost"


class PeerError(WsdevError):
    """The other end spoke, and said no or spoke wrongly."""

    side = Side.PEER


class TokenRefused(PeerError):
    """The gateway does not accept the token (401)."""

    exit_code = ExitCode.TOKEN
    code = "token_refused"


class NotAllowed(PeerError):
    """The gateway does not let this device in now (403, 404, 429, 503, close 4500 and up)."""

    exit_code = ExitCode.NOT_ALLOWED
    code = "not_allowed"


class ProtocolViolation(PeerError):
    """The other end broke the contract after the upgrade."""

    exit_code = ExitCode.PROTOCOL
    code = "protocol"


class AnswersDiffer(PeerError):
    """The gateway answered a replay otherwise than was recorded."""

    exit_code = ExitCode.ANSWERS_DIFFER
    code = "answers_differ"


class CommandFailed(PeerError):
    """A device said ``error`` to a command."""

    exit_code = ExitCode.COMMAND_FAILED
    code = "command_failed"


class CommandIgnored(PeerError):
    """A device said ``ignored`` to a command."""

    exit_code = ExitCode.COMMAND_IGNORED
    code = "command_ignored"


class NotThere(PeerError):
    """The console has no such thing."""

    exit_code = ExitCode.NOT_THERE
    code = "not_there"
