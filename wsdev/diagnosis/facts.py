"""What a probe saw of a connection, layer by layer. Pure values; text of peers is as it came.

Times in seconds, as they were measured; None means: not tried, or not known.
"""

from __future__ import annotations

import enum

import msgspec


class NameTrouble(enum.StrEnum):
    """Why a name gave no address."""

    MALFORMED = "malformed"
    UNKNOWN = "unknown"
    WITHOUT_ADDRESS = "without_address"  # the name is there, for mail or text only
    UNANSWERED = "unanswered"
    NOT_ASKED = "not_asked"  # this host's own fault


class TcpOutcome(enum.StrEnum):
    """How an address took the connection request."""

    CONNECTED = "connected"
    REFUSED = "refused"  # RST, or ICMP port unreachable
    UNANSWERED = "unanswered"
    REJECTED = "rejected"  # ICMP: host unreachable, administratively prohibited
    UNREACHABLE = "unreachable"  # no route from here
    TURNED_BACK = "turned_back"  # ICMP: network unreachable, from a router
    FAILED = "failed"  # this host's own fault


class Ending(enum.StrEnum):
    """How an exchange ended that brought no whole answer."""

    SILENCE = "silence"
    CLOSED = "closed"  # FIN
    RESET = "reset"  # RST
    GARBAGE = "garbage"


class AddressFacts(msgspec.Struct):
    """One address of the name.

    Attributes:
        source: The address from which this host reaches it; None if it has no route.
        outcome: None if it was not tried.
        rejected_again: Whether a second try was rejected soon; None if there was none.
        system_says: The system's own words for a failure.
    """

    ip: str
    port: int
    source: str | None = None
    outcome: TcpOutcome | None = None
    seconds: float | None = None
    system_says: str = ""
    rejected_again: bool | None = None

    @property
    def family(self) -> str:
        """``IPv4`` or ``IPv6``."""
        return "IPv6" if ":" in self.ip else "IPv4"


class DnsServer(msgspec.Struct):
    """A DNS server of this host, asked directly.

    Attributes:
        says: The response code: ``SERVFAIL``; empty without a reply.
        trouble: Why there is no reply.
    """

    ip: str
    says: str = ""
    trouble: str = ""


class NameFacts(msgspec.Struct):
    """What the host part of the URL turned out to mean.

    Attributes:
        servers: The DNS servers; None if they were not asked directly.
        routed_families: The families with a way out of this host: ``IPv4``, ``IPv6``.
    """

    host: str
    addresses: list[AddressFacts] = []
    routed_families: list[str] = []
    trouble: NameTrouble | None = None
    system_says: str = ""
    seconds: float | None = None
    servers: list[DnsServer] | None = None


class Certificate(msgspec.Struct):
    """What a server's certificate says of itself. Times in Unix seconds.

    Attributes:
        names: DNS names and addresses that it is for.
        chain_length: How many certificates the server sent; None if not known.
        tells_issuer: Whether it says where its issuer's certificate is (AIA, RFC 5280 section
            4.2.2.1), as those of public issuers do.
    """

    names: list[str]
    subject: str
    issuer: str
    not_before: float
    not_after: float
    self_signed: bool
    tells_issuer: bool
    chain_length: int | None = None
    issuer_organisation: str = ""


class TlsFacts(msgspec.Struct):
    """The TLS handshake.

    Attributes:
        version: As agreed: ``TLSv1.3``; None if the handshake failed.
        verify_code: OpenSSL's X509_V_ERR_… number, if the certificate was not accepted.
        reason: OpenSSL's word for another failure: ``WRONG_VERSION_NUMBER``.
        asks_certificate: Whether the server asks the device for one; known after a failure only.
        issuer_akin: Whether an issuer of the same organisation is among those given by --cacert.
        server_time: What an HTTP server behind it gives as its time, where asked (Unix seconds).
        asked_at: Our own time then.
    """

    version: str | None = None
    cipher: str | None = None
    verified: bool = False
    certificate: Certificate | None = None
    verify_code: int | None = None
    verify_message: str = ""
    reason: str = ""
    ended: Ending | None = None
    own_issuers: bool = False  # --cacert was given
    issuer_akin: bool = False
    asks_certificate: bool | None = None
    server_time: float | None = None
    asked_at: float | None = None


class Refusal(msgspec.Struct):
    """The JSON body with which a gateway refuses."""

    code: str
    message: str
    hint: str
    request_id: str
    paths: list[str] = []


class Answer(msgspec.Struct):
    """An HTTP answer. ``start`` holds the first bytes of the body."""

    status: int
    reason: str
    http_version: str
    headers: list[tuple[str, str]]
    start: str = ""
    refusal: Refusal | None = None

    def header(self, name: str) -> str:
        """The value of the first header of that name, empty if there is none."""
        return next((value for key, value in self.headers if key.lower() == name), "")

    @property
    def is_html(self) -> bool:
        """Whether it is a page for people."""
        return "html" in self.header("content-type") or "<html" in self.start.lower()


class HttpFacts(msgspec.Struct):
    """A request for ``path`` and what came back: an answer, or how it ended without one.

    Attributes:
        first_bytes: Of what is no HTTP answer, one character for each byte (Latin-1).
    """

    path: str
    answer: Answer | None = None
    ended: Ending | None = None
    first_bytes: str = ""
    seconds: float | None = None


class SecondLooks(msgspec.Struct):
    """What was tried after a failure to tell its cause.

    Attributes:
        default_port: Port 3000 of the same host takes connections.
        loopback: The same port of a loopback address of this host takes connections.
        speaks_tls: A TLS handshake works on a port that was asked in plain.
        speaks_mqtt: An MQTT CONNECT is answered with a CONNACK.
        plain_answer: What a plain request on a port gives that was asked with TLS.
        health: What ``/healthz`` says once an answer to the device has stayed out.
    """

    default_port: bool | None = None
    loopback: str | None = None
    speaks_tls: bool | None = None
    speaks_mqtt: bool | None = None
    plain_answer: HttpFacts | None = None
    health: HttpFacts | None = None


class TokenFacts(msgspec.Struct):
    """The token, without its text.

    Attributes:
        mistyped: What is wrong with the form of a given one.
        usable: One was fetched for the class.
        offered: The classes for which the gateway hands some out.
    """

    given: bool = False
    mistyped: str = ""
    fetched: HttpFacts | None = None
    usable: bool = False
    offered: list[str] = []


class UpgradeFacts(msgspec.Struct):
    """The request for a WebSocket, and what came instead of one.

    Attributes:
        broken: How what came breaks RFC 6455.
        first_bytes: Of what is no HTTP answer, one character for each byte (Latin-1).
    """

    path: str
    sent_token: bool
    accepted: bool = False
    answer: Answer | None = None
    broken: str = ""
    ended: Ending | None = None
    first_bytes: str = ""


class TalkTrouble(enum.StrEnum):
    """What was in vain."""

    UNANSWERED = "unanswered"
    CLOSED = "closed"  # with a close frame
    CUT = "cut"  # without one
    WORDS = "words"  # against the contract
    ERROR = "error"  # an ``error`` message


class TalkFacts(msgspec.Struct):
    """The talk after the upgrade.

    Attributes:
        doing: What was being waited for when it broke: ``hello``, ``message``, ``large``, ``ping``.
        silent_for: Seconds without a byte either way when it was cut.
        lasted: Seconds from the upgrade to the end.
        server_time, asked_at: The gateway's clock and ours at the welcome, Unix seconds.
        round_trips: Of messages and pings.
        lost: Messages and pings without an answer.
        judged: All was said that was wanted, so the quality can be judged.
    """

    doing: str = ""
    trouble: TalkTrouble | None = None
    detail: str = ""
    error_code: str = ""
    hint: str = ""
    close_code: int | None = None
    silent_for: float | None = None
    lasted: float | None = None
    bytes_sent: int = 0
    bytes_received: int = 0
    messages_acked: int = 0
    large_size: int | None = None
    device: str = ""
    session: str = ""
    ping_interval: float | None = None
    server_time: float | None = None
    asked_at: float | None = None
    round_trips: list[float] = []
    lost: int = 0
    judged: bool = False


class Quality(msgspec.Struct):
    """What a path must keep, as asked for. Seconds, and a share from 0 to 1."""

    max_rtt: float | None = None
    max_loss: float | None = None

    @property
    def wanted(self) -> bool:
        """Whether anything was asked for."""
        return self.max_rtt is not None or self.max_loss is not None


class Facts(msgspec.Struct):
    """All that is known of one try to connect."""

    host: str
    port: int
    tls: bool
    name: NameFacts | None = None
    tls_seen: TlsFacts | None = None
    health: HttpFacts | None = None
    token: TokenFacts = msgspec.field(default_factory=TokenFacts)
    upgrade: UpgradeFacts | None = None
    talk: TalkFacts | None = None
    second: SecondLooks = msgspec.field(default_factory=SecondLooks)
    quality: Quality = msgspec.field(default_factory=Quality)

    @property
    def connected(self) -> AddressFacts | None:
        """The address in use."""
        tried = self.name.addresses if self.name else []
        return next((one for one in tried if one.outcome is TcpOutcome.CONNECTED), None)
