"""What ``wsdev doctor`` found out about the host, before anything is made of it."""

from __future__ import annotations

import ipaddress
import shlex
from dataclasses import dataclass
from typing import Literal

from wsdev.firewall.fronts import FrontFacts
from wsdev.firewall.rules import Verdict
from wsdev.serve_note import ServeNote


@dataclass(frozen=True, slots=True)
class Listening:
    """A listening TCP socket.

    Attributes:
        owner: The name of its program; None where the system does not say.
    """

    address: str
    port: int
    pid: int | None = None
    owner: str | None = None

    @property
    def beyond_loopback(self) -> bool:
        """Whether others than this host can reach it, if nothing is in the way."""
        return not ipaddress.ip_address(self.address).is_loopback

    def covers(self, address: str) -> bool:
        """Whether it takes connections to ``address``. ``::`` may take IPv4 too, and is not
        counted on for it: the gateway has a socket for each."""
        own, other = ipaddress.ip_address(self.address), ipaddress.ip_address(address)
        return own == other or (own.is_unspecified and own.version == other.version)


Outcome = Literal["gateway", "other", "refused", "no answer"]


@dataclass(frozen=True, slots=True)
class Visit:
    """A real connection from this host to one of its own addresses.

    Attributes:
        interface: Where the address is.
        health: What ``/healthz`` says, if a gateway answered: ``ok``, ``draining``, ``degraded``.
        detail: Its reason, or what went wrong; peer text not escaped yet.
    """

    address: str
    interface: str
    outcome: Outcome
    health: str = ""
    detail: str = ""
    seconds: float = 0.0

    @property
    def beyond_loopback(self) -> bool:
        """Whether the address is more than this host's own."""
        return not ipaddress.ip_address(self.address).is_loopback


@dataclass(frozen=True, slots=True)
class FirewallFacts:
    """What the rules do with a device that connects.

    Attributes:
        read: The programs whose rules could be read.
        unread: Those that could not be read, each with why.
        verdicts: By address beyond loopback.
    """

    read: tuple[str, ...] = ()
    unread: tuple[tuple[str, str], ...] = ()
    verdicts: tuple[tuple[str, Verdict], ...] = ()
    ufw: FrontFacts | None = None
    firewalld: FrontFacts | None = None


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """The certificate that devices are shown.

    Attributes:
        trouble: Why it could not be had; the rest means nothing then.
        names: DNS names and addresses that it is for.
        starts, ends: Unix seconds.
        is_trusted: Whether this host trusts the issuer, for one of the names.
        is_that_of_the_file: Whether the file holds the same; None if it cannot be read.
    """

    file: str
    trouble: str = ""
    names: tuple[str, ...] = ()
    starts: float = 0.0
    ends: float = 0.0
    is_trusted: bool = False
    is_that_of_the_file: bool | None = None


@dataclass(frozen=True, slots=True)
class TokenFacts:
    """The token book.

    Attributes:
        trouble: Why it could not be read.
        is_missing: There is none yet.
        window_left: Seconds for which tokens are handed out.
        live: Tokens that let a device in.
    """

    trouble: str = ""
    is_missing: bool = False
    window_left: float = 0.0
    live: int = 0


@dataclass(frozen=True, slots=True)
class FileLimits:
    """Open files of the gateway's process; ``used`` is None where only its user can see it."""

    most: int
    used: int | None


@dataclass(frozen=True, slots=True)
class ClockFacts:
    """The wall clock.

    Attributes:
        now: Unix seconds.
        synchronized: Whether something keeps it right; None where nothing tells.
        told_by: Who says so.
        newest_file: When a file of the state folder was last written.
    """

    now: float
    synchronized: bool | None
    told_by: str
    newest_file: float


@dataclass(frozen=True, slots=True)
class DiskFacts:
    """The file system of the state folder, in bytes."""

    free: int
    size: int
    has_inodes: bool
    is_read_only: bool
    used_by_journal: int


@dataclass(frozen=True, slots=True)
class Rights:
    """Who may do what with a file of the state folder, or with the folder (``name`` is ``.``)."""

    name: str
    mode: int
    owner: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """All of it.

    Attributes:
        command: How to call this wsdev again; ``program`` is the same for sudo, with its path.
        state: The state folder; ``state_shown`` is the same for eyes, ``~`` for the home.
        state_option: ``--state …`` quoted, if it is not the user's own; else empty.
        holder: The process of the gateway that holds the folder; None if none does.
        holder_trouble: Why that cannot be told.
        note: How the gateway was started; or would be, if none is running.
        is_told: The note is that of the running gateway.
        port: The port that was looked at.
        listening: The sockets on that port.
        visits: Each of the host's addresses, the likeliest way in first.
        proxies: Sockets of programs that pass requests on.
        user: Who asks; ``gateway_user`` is whose process the gateway is. Numbers.
    """

    command: str
    program: str
    state: str
    state_shown: str
    state_option: str
    holder: int | None
    holder_trouble: str = ""
    note: ServeNote
    is_told: bool
    port: int
    listening: tuple[Listening, ...]
    visits: tuple[Visit, ...]
    firewall: FirewallFacts
    proxies: tuple[Listening, ...]
    certificate: CertificateFacts | None
    tokens: TokenFacts
    files: FileLimits | None
    clock: ClockFacts
    disk: DiskFacts | None
    rights: tuple[Rights, ...]
    user: int
    gateway_user: int

    @property
    def as_root(self) -> str:
        """The command that looks again, as root."""
        return f"sudo {self.program} doctor --state {shlex.quote(self.state)}"

    @property
    def answering(self) -> list[Visit]:
        """The addresses at which a gateway answered."""
        return [visit for visit in self.visits if visit.outcome == "gateway"]

    @property
    def outside(self) -> list[Visit]:
        """The addresses beyond loopback."""
        return [visit for visit in self.visits if visit.beyond_loopback]

    @property
    def is_running(self) -> bool:
        """Whether a gateway runs with the state folder."""
        return self.holder is not None

    @property
    def is_public(self) -> bool:
        """Whether the whole internet could reach an address that is listened on."""
        return any(
            ipaddress.ip_address(visit.address).is_global
            for visit in self.outside
            if any(sock.covers(visit.address) for sock in self.listening)
        )
