"""The field probe: one visit to a gateway, layer by layer, until it ends or a layer breaks."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from wsdev import client, second_looks
from wsdev.certificate import seen_certificate
from wsdev.diagnosis.answer_rules import betraying_headers, describe, is_gateway
from wsdev.diagnosis.diagnose import Remark, diagnose, remarks
from wsdev.diagnosis.facts import (
    Ending,
    Facts,
    Quality,
    TalkFacts,
    TalkTrouble,
    TlsFacts,
    UpgradeFacts,
)
from wsdev.diagnosis.path_rules import DAY, attempt
from wsdev.diagnosis.talk_rules import describe_quality
from wsdev.diagnosis.verdict import Verdict
from wsdev.errors import MistypedToken
from wsdev.events import Opened, UpgradeFailed, UpgradeRefused
from wsdev.http_look import KEPT_FIRST_BYTES, Streams, Way, get, over, parse_answer
from wsdev.layers import Layer
from wsdev.limits import Limits
from wsdev.probe_talk import Talk
from wsdev.protocol import DEVICE_PATH_PREFIX, HEALTH_PATH, TOKENS_PATH
from wsdev.reach import find_routes, look_up, open_socket, try_all
from wsdev.sanitize import printable
from wsdev.session import SessionPolicy
from wsdev.target import Target
from wsdev.token_format import parse_token, without_token, without_tokens

LARGE: Final = 8 * 1024
"""Bytes of the large message: several TCP segments, and over the frame size that small ones use."""


@dataclass(frozen=True, slots=True)
class Step:
    """One layer that was walked; ``seconds`` is what it took."""

    layer: Layer
    ok: bool
    detail: str
    seconds: float


class Watcher(Protocol):
    """Who is shown a visit while it goes on."""

    def trying(self, layer: Layer, what: str) -> None:
        """A step begins."""

    def done(self, step: Step) -> None:
        """It has ended, one way or the other."""


@dataclass(slots=True)
class Visit:
    """What is wanted of a visit, and all that it showed so far.

    Attributes:
        messages: Telemetry messages and pings, so many of each.
        large: Bytes of filler in a last, large message; 0 for none.
        verdict: What broke first; None if nothing did (so far).
        trying: The layer being walked; None before and after.
        doing: What is being done there, and since when (monotonic seconds).
    """

    target: Target
    messages: int = 5
    large: int = LARGE
    facts: Facts = field(init=False)
    steps: list[Step] = field(default_factory=list)
    verdict: Verdict | None = None
    trying: Layer | None = None
    doing: tuple[str, float] = ("", 0.0)
    quality: Quality = field(default_factory=Quality)

    def __post_init__(self) -> None:
        at = self.target.address
        self.facts = Facts(at.host, at.port, at.tls, quality=self.quality)
        self.facts.token.given = self.target.token is not None

    @property
    def remarks(self) -> list[Remark]:
        """What works and deserves a warning."""
        return remarks(self.facts)


async def visit(visit: Visit, watcher: Watcher) -> None:
    """Go in as a device, exchange messages and pings, and leave.

    What is found stands in ``visit``, also while it goes on, so that nothing is lost if it is
    cancelled. Every wait ends within the target's patience; a second look after a failure takes 3 s
    more at most.
    """
    await _Walk(visit, watcher).go()


class _Broken(Exception):
    """A layer broke: the walk ends."""


class _Walk:
    """One visit on its way through the layers."""

    def __init__(self, visit: Visit, watcher: Watcher) -> None:
        self._visit = visit
        self._facts = visit.facts
        self._target = visit.target
        self._address = visit.target.address
        self._watcher = watcher
        self._token = visit.target.token
        self._tls = visit.target.tls if self._address.tls else None
        if self._address.tls and self._tls is None:
            self._tls = client.make_tls_context(None, insecure=False)

    async def go(self) -> None:
        try:
            sock = await self._tcp()
            way = self._way()
            await self._http(way, await self._secure(sock, way))
            await self._get_token(way)
            await self._talk(way)
        except _Broken:
            pass
        self._visit.trying = None

    @asynccontextmanager
    async def _step(self, layer: Layer, what: str) -> AsyncIterator[Callable[[str], None]]:
        """One step: told before and after; judged at its end."""
        started = time.monotonic()
        detail = ""

        def tell(text: str) -> None:
            nonlocal detail
            detail = printable(text)

        self._visit.trying, self._visit.doing = layer, (what, started)
        self._watcher.trying(layer, what)
        yield tell
        verdict = diagnose(self._facts)
        self._visit.verdict = verdict
        told = verdict.what if verdict else detail
        step = Step(layer, verdict is None, told, time.monotonic() - started)
        self._visit.steps.append(step)
        self._watcher.done(step)
        if verdict is not None:
            raise _Broken

    def _way(self) -> Way:
        used = self._facts.connected
        assert used is not None
        return Way(self._address, used, self._tls, self._target.patience)

    # Name, route, TCP

    async def _tcp(self) -> socket.socket:
        host, port = self._address.host, self._address.port
        patience = self._target.patience
        async with self._step(Layer.NAME, f"looking up {printable(host)}") as tell:
            name = self._facts.name = await look_up(host, port, patience)
            found = ", ".join(address.ip for address in name.addresses)
            if found:
                tell(found if found != host else f"{host} is an address")
        async with self._step(Layer.ROUTE, "looking for a route") as tell:
            find_routes(name)
            ways = [f"{one.ip} from {one.source}" for one in name.addresses if one.source]
            tell("; ".join(ways) or "none")
        async with self._step(Layer.TCP, f"connecting to {found}") as tell:
            sock = await try_all(name, patience)
            if sock is None:
                await second_looks.look_at_failures(self._facts, patience)
            tell("; ".join(map(attempt, name.addresses)))
        assert sock is not None
        return sock

    # TLS

    async def _secure(self, sock: socket.socket, way: Way) -> Streams:
        if self._tls is None:
            return await over(sock, way)
        streams = None
        async with self._step(Layer.TLS, "TLS handshake") as tell:
            tls = self._facts.tls_seen = TlsFacts(own_issuers=self._target.own_issuers)
            streams = await self._shake_hands(sock, way, tls)
            if tls.certificate is not None and streams is not None:
                left = (tls.certificate.not_after - time.time()) / DAY
                names = ", ".join(tls.certificate.names[:3]) or tls.certificate.subject
                tell(f"{tls.version}; {names}; {left:.0f} days left; {tls.certificate.issuer}")
        assert streams is not None
        return streams

    async def _shake_hands(self, sock: socket.socket, way: Way, tls: TlsFacts) -> Streams | None:
        tls.asked_at = time.time()
        try:
            async with asyncio.timeout(way.patience):
                streams = await over(sock, way)
        except ssl.SSLCertVerificationError as exc:
            tls.verify_code, tls.verify_message = exc.verify_code, exc.verify_message
            await second_looks.look_at_certificate(way, tls)
            return None
        except ssl.SSLError as exc:
            tls.reason = "" if isinstance(exc, ssl.SSLEOFError) else exc.reason or ""
            tls.ended = Ending.CLOSED
        except TimeoutError:
            tls.ended = Ending.SILENCE
        except OSError:
            tls.ended = Ending.RESET
        else:
            connection = streams[1].get_extra_info("ssl_object")
            tls.version, tls.cipher = connection.version(), connection.cipher()[0]
            assert self._tls is not None
            tls.verified = self._tls.verify_mode is not ssl.CERT_NONE
            tls.certificate = seen_certificate(connection)
            return streams
        looks = self._facts.second
        plain = looks.plain_answer = await second_looks.what_is_plain(way)
        if plain.answer is None and not plain.first_bytes:
            if tls.ended is not Ending.SILENCE:
                tls.asks_certificate = await second_looks.asks_for_certificate(way)
            looks.speaks_mqtt = await second_looks.speaks_mqtt(replace(way, tls=None))
        return None

    # HTTP and the token

    async def _http(self, way: Way, streams: Streams) -> None:
        path = self._address.path + HEALTH_PATH
        async with self._step(Layer.HTTP, f"GET {printable(path)}") as tell:
            try:
                look = await get(way, path, streams)
            finally:
                streams[1].transport.abort()
            self._facts.health = look.facts
            if self._facts.tls_seen is not None:
                self._facts.tls_seen.reason = look.tls_reason
            await self._look_again(way)
            answer = look.facts.answer
            if answer is not None:
                kind = (
                    "a wsdev gateway" if is_gateway(look.facts) else "answers, but not as a gateway"
                )
                betrayed = betraying_headers(answer)
                tell(f"{kind}: {describe(answer)}" + (f" ({betrayed})" if betrayed else ""))

    async def _look_again(self, way: Way) -> None:
        """After a strange answer, or none, on a plain port: what speaks there?"""
        asked, looks = self._facts.health, self._facts.second
        assert asked is not None
        tls = self._facts.tls_seen
        if tls is not None:
            if asked.ended in (Ending.CLOSED, Ending.RESET) and not tls.reason:
                tls.asks_certificate = await second_looks.asks_for_certificate(way)
            return
        if asked.answer is None and not asked.first_bytes:
            looks.speaks_mqtt, looks.speaks_tls = await asyncio.gather(
                second_looks.speaks_mqtt(way), second_looks.speaks_tls(way)
            )
        elif asked.answer is None or asked.answer.status == 400:
            looks.speaks_tls = await second_looks.speaks_tls(way)

    async def _get_token(self, way: Way) -> None:
        facts = self._facts.token
        async with self._step(Layer.TOKEN, "getting a token") as tell:
            if self._token is not None:
                try:
                    parsed = parse_token(self._token)
                    tell(f"given, well formed, for the class {parsed.device_class}")
                except MistypedToken as exc:
                    facts.mistyped = exc.cause
                    tell(f"given, but {exc.cause}")
                return
            path = self._address.path + TOKENS_PATH
            look = await get(way, path)
            facts.fetched = look.facts
            answer = look.facts.answer
            listed = client.listed_tokens(look.body) if answer and answer.status == 200 else {}
            facts.offered = list(listed)
            tokens = listed.get(self._target.device_class.name)
            if listed and answer:
                answer.start = ""  # it holds the tokens
            if tokens:
                self._token, facts.usable = tokens[0], True
                tell(f"fetched from {self._address.tokens_url()}")

    # The upgrade and the talk

    async def _talk(self, way: Way) -> None:
        patience = self._target.patience
        path = f"{self._address.path}{DEVICE_PATH_PREFIX}{self._target.device_class.name}"
        upgrade = UpgradeFacts(path, self._token is not None)
        connection: client.DeviceConnection | None = None
        try:
            async with self._step(Layer.UPGRADE, f"upgrade at {printable(path)}") as tell:
                self._facts.upgrade = upgrade
                try:
                    async with asyncio.timeout(patience):
                        connection = await self._ask(way)
                        await _hear_answer(connection, upgrade)
                except OSError as exc:
                    late = isinstance(exc, TimeoutError)
                    upgrade.ended = Ending.SILENCE if late else Ending.RESET
                if connection is not None and not upgrade.accepted:
                    _read_answer(connection.session.heard, self._token, upgrade)
                if upgrade.accepted:
                    tell(f"101, let in at {self._address.websocket_url(path.rpartition('/')[2])}")
            assert connection is not None
            await self._converse(connection, way)
        except _Broken:
            if connection is not None and not _is_well(self._facts.talk):
                connection.abort()
            raise
        finally:
            if connection is not None:
                await connection.close()

    async def _ask(self, way: Way) -> client.DeviceConnection:
        sock = await open_socket(way.address.ip, way.address.port)
        # A deadline later than the one here, which knows what it was that was waited for.
        limits = Limits(handshake_timeout=self._target.patience * 2)
        return await client.ask(
            sock,
            self._address,
            self._target.device_class,
            self._token,
            policy=SessionPolicy(limits),
            tls=self._tls,
        )

    async def _converse(self, connection: client.DeviceConnection, way: Way) -> None:
        talk = Talk(connection, self._target, self._visit.quality, self._token)
        self._facts.talk = talk.facts
        count = self._visit.messages
        async with self._step(Layer.HELLO, "saying hello") as tell:
            await talk.hello()
            await self._look_at_health(way, talk)
            tell(f"welcome as {talk.facts.device}, session {talk.facts.session}")
        async with self._step(Layer.MESSAGE, f"sending {count} messages") as tell:
            size = await talk.send_picture()
            await talk.send(count)
            await talk.send_large(self._visit.large)
            await self._look_at_health(way, talk)
            tell(talk.told(count, size))
        async with self._step(Layer.KEEPALIVE, f"sending {count} pings") as tell:
            await talk.ping(count)
            tell(f"{count} pings, {count - talk.lost_pings} answered")
        talk.finish()
        if self._visit.quality.wanted:
            async with self._step(Layer.QUALITY, "judging the round trips") as tell:
                talk.facts.judged = True
                tell(describe_quality(talk.facts))

    async def _look_at_health(self, way: Way, talk: Talk) -> None:
        """After an answer that stayed out: does the gateway say why?"""
        if talk.facts.trouble is TalkTrouble.UNANSWERED:
            self._facts.second.health = await second_looks.how_is_health(way)


def _is_well(talk: TalkFacts | None) -> bool:
    """Whether the link still takes a polite goodbye: only its quality was judged bad."""
    return talk is not None and talk.trouble is None


async def _hear_answer(connection: client.DeviceConnection, upgrade: UpgradeFacts) -> None:
    """Whether the device is let in, or how it ended."""
    event = await connection.next_event()
    if isinstance(event, Opened):
        upgrade.accepted = True
    elif isinstance(event, UpgradeRefused):
        upgrade.broken = f"HTTP {event.status}, in a form that is not valid"
    elif isinstance(event, UpgradeFailed) and connection.session.bytes_received:
        upgrade.broken = event.cause
    else:
        upgrade.ended = Ending.CLOSED


def _read_answer(heard: bytes, token: str | None, upgrade: UpgradeFacts) -> None:
    """What came instead of the upgrade, also of an answer that never ended."""
    text = without_token(heard.decode("latin-1"), token)
    answer, _ = parse_answer(text.encode("latin-1"))
    if answer is not None and answer.status != 101:
        upgrade.answer, upgrade.broken = answer, ""
    upgrade.broken = without_token(upgrade.broken, token)
    if upgrade.answer is None:
        upgrade.first_bytes = without_tokens(text)[:KEPT_FIRST_BYTES]
