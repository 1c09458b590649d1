"""The device plane: listening, the sweep over all links, names, the drain."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from wsdev.callers import IPAddress
from wsdev.codes import CloseCode
from wsdev.connection import Connection
from wsdev.errors import WsdevError
from wsdev.front_desk import FrontDesk, Visitor
from wsdev.gateway_session import GatewaySession
from wsdev.hub import Hub, Member
from wsdev.interfaces import BACKLOG
from wsdev.journal_interface import Journal
from wsdev.link import Hold, Link, read_buffer
from wsdev.logs import LOGGER, log
from wsdev.metrics import Metrics, Totals
from wsdev.quotas import SiteKey, site_key
from wsdev.session import Session, SessionPolicy
from wsdev.settings import ServeSettings
from wsdev.tls_port import TlsPort
from wsdev.tokens import TokenBook

SWEEP_INTERVAL: Final = 0.25
"""Seconds between two looks at all deadlines; a sweep of 5,000 links takes under a millisecond."""

FROZEN: Final = 2.0
"""Seconds by which a sweep is late when the process stood still: the silence was ours."""

BOOK_INTERVAL: Final = 1.0
"""Seconds between two looks at the token book: a revoked token's links close within 2 s."""

SPARE_FILES: Final = 64
"""File descriptors kept for everything that is not a device."""

FIRST_WINDOW: Final = 600.0
"""Seconds for which a brand-new gateway hands its tokens out."""

DRAIN_STEP: Final = 0.1
SECOND_CHANCE: Final = 1.0
"""Seconds after a drain for the last close frames to get out."""


def raise_file_limit() -> int:
    """Lift the soft limit of open files to the hard one; returns it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def _plus(totals: Totals, session: Session) -> Totals:
    return Totals(
        totals.messages_in + session.messages_received,
        totals.bytes_in + session.bytes_received,
        totals.messages_out + session.messages_sent,
        totals.bytes_out + session.bytes_sent,
    )


@dataclass(slots=True)
class NameDispute:
    """A device that wants a name another one holds; the holder is asked for a sign of life."""

    newcomer: Connection
    holder: Member
    wanted: str
    since: float
    asked_at: float
    greet: bool


class Gateway:
    """The server of the device plane.

    Args:
        settings: What the operator said.
        tokens: The open token book.
        hub: Where devices are registered.
        journal: Where everything is recorded.
        metrics: What is counted.
        clock: Monotonic seconds, finer than a round trip.
        wall_clock: Unix seconds.
        max_connections: Sockets in all.
    """

    def __init__(
        self,
        settings: ServeSettings,
        tokens: TokenBook,
        hub: Hub,
        journal: Journal,
        metrics: Metrics,
        *,
        clock: Callable[[], float],
        wall_clock: Callable[[], float] = time.time,
        max_connections: int,
    ) -> None:
        self._settings = settings
        self.tokens = tokens
        self.hub = hub
        self.journal = journal
        self.metrics = metrics
        self.now = clock
        self.limits = settings.limits()
        self.policy = SessionPolicy(
            self.limits, wall_clock=wall_clock, compression=settings.compression
        )
        self.desk = FrontDesk(
            settings, tokens, journal, metrics, clock=clock, wall_clock=wall_clock
        )
        self._max_connections = min(self.limits.connections or max_connections, max_connections)
        self._read_buffer = read_buffer()
        self._connections: dict[Connection, None] = {}
        self._per_peer: Counter[SiteKey] = Counter()
        self._throttled: dict[Connection, float] = {}
        self._disputes: list[NameDispute] = []
        self._book_due = clock()
        self._sweep_due: float | None = None
        self._journal_trouble = ""
        self._totals = Totals(0, 0, 0, 0)
        self._sweeper: asyncio.TimerHandle | None = None
        self._servers: list[asyncio.Server | TlsPort] = []
        self._shaking_hands: Counter[SiteKey] = Counter()
        self._empty = asyncio.Event()
        self._empty.set()

    # Life

    async def start(
        self, sockets: Sequence[socket.socket], tls: ssl.SSLContext | None = None
    ) -> None:
        """Accept on listening sockets; ready when this returns."""
        loop = asyncio.get_running_loop()
        for sock in sockets:
            self._servers.append(
                TlsPort(sock, tls, self._make_link, self)
                if tls
                else await loop.create_server(self._make_link, sock=sock, backlog=BACKLOG)
            )
        self._sweep()

    async def drain(self, seconds: float) -> None:
        """Send all away over ``seconds``; new ones get 503 meanwhile; then stop listening.

        What they said until then is recorded and acknowledged first, if the disk takes it in
        time. Devices of a class whose library takes a clean close as final get a TCP reset.
        """
        self.desk.draining = True
        there = [c for c in self._connections if c.member is not None]
        steps = max(1, int(seconds / DRAIN_STEP))
        size = -(-len(there) // steps)
        clock = asyncio.get_running_loop().time
        takes, due = True, clock()
        ends = due + seconds + SECOND_CHANCE
        for start in range(0, len(there), size or 1):
            batch = there[start : start + size]
            for connection in batch:
                connection.link.hold(Hold.DRAIN)
            takes = takes and await self._recorded(ends)
            for connection in batch:
                self._send_away(connection)
            if start + size < len(there):
                due += DRAIN_STEP
                await asyncio.sleep(max(0.0, due - clock()))
        for server in self._servers:
            server.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SECOND_CHANCE):
                await self._empty.wait()
        self.stop()
        await self._empty.wait()
        for server in self._servers:
            if isinstance(server, TlsPort):  # one of asyncio's may wait for what came last
                await server.wait_closed()

    async def _recorded(self, ends: float) -> bool:
        """Wait until what was said so far is on disk: a second, and until ``ends`` at most."""
        recorded = asyncio.Event()
        self.journal.when_recorded(recorded.set)
        left = ends - asyncio.get_running_loop().time()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0 if self.journal.trouble else min(SECOND_CHANCE, left)):
                await recorded.wait()
        return recorded.is_set()

    def _send_away(self, connection: Connection) -> None:
        device_class = connection.device_class
        if device_class is not None and device_class.reset_on_drain:
            connection.link.cut(CloseCode.RESTART, "the gateway restarts", reset=True)
        else:
            connection.link.close(CloseCode.RESTART, "the gateway restarts")
            connection.link.release(Hold.DRAIN)  # its close frame is to be read

    def stop(self) -> None:
        """Drop everything at once."""
        for server in self._servers:
            server.close()
        for connection in list(self._connections):
            connection.link.abort()
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None

    # Connections come and go

    def _make_link(self) -> Link:
        now = self.now()
        session = GatewaySession(self.policy, now)
        link = Link(session, self.now, self._read_buffer)
        link.attach(Connection(self, session, link))
        return link

    def entered(self, connection: Connection) -> str | None:
        """Count a new socket; the code of its refusal if there are too many."""
        full = len(self._connections) >= self._max_connections
        self._connections[connection] = None
        self._empty.clear()
        peer = connection.visitor.address
        site = site_key(peer)
        self._per_peer[site] += 1
        if full:
            return "full"
        return "too_many_connections" if self._are_too_many(peer, self._per_peer[site]) else None

    def _are_too_many(self, peer: IPAddress, count: int) -> bool:
        cap = self.limits.connections_per_address
        exempt = peer.is_loopback or any(peer in net for net in self._settings.trusted_proxy)
        return 0 < cap < count and not exempt

    def left(self, connection: Connection) -> None:
        """A socket is gone."""
        del self._connections[connection]
        self._totals = _plus(self._totals, connection.link.session)
        self._throttled.pop(connection, None)
        site = site_key(connection.visitor.address)
        self._per_peer[site] -= 1
        if not self._per_peer[site]:
            del self._per_peer[site]
        if not self._connections:
            self._empty.set()

    def knocked(self, visitor: Visitor) -> str | None:
        """Count a socket that begins a TLS handshake; why there is no room for it, if so."""
        site = site_key(visitor.address)
        self._shaking_hands[site] += 1
        # Beyond the connections, so that one too many still gets the answer that says so.
        room = self._max_connections + SPARE_FILES // 2
        if len(self._connections) + self._shaking_hands.total() > room:
            return "no_room"
        is_one_too_many = self._are_too_many(visitor.address, self._shaking_hands[site])
        return "too_many_handshakes" if is_one_too_many else None

    def knocked_off(self, visitor: Visitor) -> None:
        """Its handshake is over."""
        site = site_key(visitor.address)
        self._shaking_hands[site] -= 1
        if not self._shaking_hands[site]:
            del self._shaking_hands[site]

    def never_came_in(self, visitor: Visitor, code: str, reason: str | None) -> None:
        """Its handshake failed, or there was no room for it."""
        self.desk.broke(code, visitor, reason=reason)

    def __len__(self) -> int:
        """Sockets that are open, devices or not."""
        return len(self._connections)

    def totals(self) -> Totals:
        """What came in and went out since the start."""
        total = self._totals
        for connection in self._connections:
            total = _plus(total, connection.link.session)
        return total

    def throttle(self, connection: Connection, until: float) -> None:
        """Wake a link that spent its message budget at ``until``."""
        self._throttled[connection] = until

    # Time

    def _sweep(self) -> None:
        # First of all the next one: whatever goes wrong below, time does not stop.
        self._sweeper = asyncio.get_running_loop().call_later(SWEEP_INTERVAL, self._sweep)
        now = self.now()
        late = 0.0 if self._sweep_due is None else max(0.0, now - self._sweep_due)
        if self._sweep_due is not None:
            self.metrics.loop_lag(late)
        if late > FROZEN:
            # uvloop has not read yet. Not twice in a row: deadlines hold.
            self._sweep_due = None
            return
        self._sweep_due = now + SWEEP_INTERVAL
        for connection in [c for c in self._connections if c.link.is_due(now)]:
            try:
                connection.link.sweep(now)
            except Exception:  # a fault met by one link is not for the others to suffer
                LOGGER.exception("sweep_failed")
                connection.link.abort()
        if now >= self._book_due:
            self._book_due = now + BOOK_INTERVAL
            self._read_book()
        self._look_at_journal()
        for connection in [c for c, until in self._throttled.items() if until <= now]:
            del self._throttled[connection]
            connection.budget_refilled()
        self._settle_disputes(now)
        self.hub.expire(now)

    def _look_at_journal(self) -> None:
        trouble = self.journal.trouble
        if trouble == self._journal_trouble:
            return
        self._journal_trouble = trouble
        if trouble:
            hint = "nothing is acknowledged until it is recorded; devices wait"
            log(logging.ERROR, "journal_trouble", cause=trouble, hint=hint)
        else:
            log(logging.INFO, "journal_recovered")

    def _read_book(self) -> None:
        try:
            changed = self.tokens.refresh()
        except WsdevError as exc:
            if not self.desk.trouble:
                log(logging.ERROR, "token_book", cause=exc.cause, hint=exc.hint)
            self.desk.trouble = exc.cause
            return
        self.desk.trouble = ""
        if not changed:
            return
        revoked = {record.id for record in self.tokens.list() if record.revoked is not None}
        for connection in [c for c in self._connections if c.token_id in revoked]:
            connection.link.close(CloseCode.TOKEN_REVOKED, "the token was revoked")

    # Names

    def settle_name(self, newcomer: Connection, wanted: str, *, greet: bool) -> None:
        """Ask the holder of a name for a sign of life, to find out who may bear it."""
        holder = self.hub.get(wanted)
        assert holder is not None
        now = self.now()
        self._disputes.append(NameDispute(newcomer, holder, wanted, now, now, greet))
        holder.port.ask_for_proof()

    def _settle_disputes(self, now: float) -> None:
        # The newest first: after a reboot it is the one that is alive.
        for dispute in self._disputes[::-1]:
            if self._is_settled(dispute, now):
                self._disputes.remove(dispute)

    def _is_settled(self, dispute: NameDispute, now: float) -> bool:
        newcomer, holder, wanted = dispute.newcomer, dispute.holder, dispute.wanted
        member = newcomer.member
        if member is None:
            return True
        current = self.hub.get(wanted)
        if current is None:
            newcomer.name_settled(wanted, greet=dispute.greet)
            return True
        if current is not holder and now - dispute.since < self.limits.name_probe:
            # Somebody else came first: ask that one.
            dispute.holder, dispute.asked_at = current, now
            current.port.ask_for_proof()
            return False
        # Nobody waits for one holder after the other: a crowd of silent ones could go on for long.
        if current is not holder or holder.port.last_proof() > dispute.asked_at:
            name = self.hub.free_name(member, wanted, self.tokens.is_claimed)
            log(
                logging.WARNING,
                "two_devices_one_name",
                name=wanted,
                address=current.address,
                newcomer=member.address,
                becomes=name,
            )
            newcomer.name_settled(name, greet=dispute.greet)
            return True
        if now - dispute.asked_at < self.limits.name_probe:
            return False
        holder.port.close(CloseCode.REPLACED, "a newer link of this device took over")
        newcomer.name_settled(wanted, greet=dispute.greet)
        return True
