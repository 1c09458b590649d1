"""Finding the idle cut of a path: connections that stay silent for different times at once.

A silent connection says nothing and hears nothing: the gateway was asked, in the hello, not to ping
it (docs/decisions/0015). Beside them one connection is kept busy; what ends that one too is no
idle cut.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, Protocol

from msgspec import UNSET

from wsdev import client, hearing
from wsdev.codes import CloseCode
from wsdev.errors import NotAllowed, WsdevError
from wsdev.events import Closed, ClosedBy, Event, PongReceived
from wsdev.idle_cut import End, Finding, Outcome, Plan, conclude, second_round
from wsdev.limits import Limits
from wsdev.sanitize import printable
from wsdev.session import SessionPolicy
from wsdev.target import Target

LOOK: Final = client.SWEEP_INTERVAL
"""Seconds between two looks at whether the other end broke the silence: a ping that was answered
by the session makes no event."""

SPARE: Final = 5.0
"""Seconds that the gateway is asked to be quiet for beyond all that is planned."""

_NEVER: Final = float("inf")


class Watcher(Protocol):
    """Who is shown a search while it goes on."""

    def began(self, silences: Sequence[float]) -> None:
        """All connections of a round are in, and silence begins."""

    def came(self, outcome: Outcome) -> None:
        """One of them is known."""


@dataclass(slots=True)
class Search:
    """What is wanted, and all that was found so far.

    Attributes:
        token: None for none, on a gateway that trusts this host.
        busy_cut: When the busy connection ended, in seconds after silence began.
        ping_interval: The gateway's own; None before it told.
        hindrance: Why there was no second round, where one was wanted.
    """

    target: Target
    token: str | None
    plan: Plan
    outcomes: list[Outcome] = field(default_factory=list)
    busy_cut: float | None = None
    ping_interval: float | None = None
    hindrance: WsdevError | None = None

    @property
    def finding(self) -> Finding:
        """What the outcomes so far tell."""
        return conclude(self.outcomes, self.busy_cut)


async def find_idle_cut(search: Search, watcher: Watcher) -> None:
    """Look for the idle cut. What is found stands in ``search``, also if this is cancelled.

    Raises:
        WsdevError: not all connections got in.
        NotAllowed: the gateway does not agree to be quiet for so long.
    """
    await _Finder(search, watcher).go()


class _Finder:
    def __init__(self, search: Search, watcher: Watcher) -> None:
        self._search = search
        self._target = search.target
        self._plan = search.plan
        self._watcher = watcher
        self._loop = asyncio.get_running_loop()
        self._began = 0.0
        self._called_off = _NEVER

    async def go(self) -> None:
        await self._round(self._plan.first)
        elapsed = self._loop.time() - self._began
        silences = second_round(self._search.finding, self._plan, elapsed)
        if silences:
            try:
                await self._round(silences)
            except WsdevError as error:
                self._search.hindrance = error

    async def _round(self, silences: Sequence[float]) -> None:
        self._called_off = _NEVER
        all_in = asyncio.Barrier(len(silences) + 1)
        over = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._stay_busy(all_in, over, silences))
                silent = [
                    group.create_task(self._keep_silent(silence, max(silences), all_in))
                    for silence in silences
                ]
                await asyncio.wait(silent)
                over.set()
        except* WsdevError as group:
            raise _first(group) from None

    # Connections

    @asynccontextmanager
    async def _let_in(
        self, interval: float | None
    ) -> AsyncIterator[tuple[client.DeviceConnection, float]]:
        """A connection that said hello, and the ping interval that it was granted."""
        target, patience = self._target, self._target.patience
        policy = SessionPolicy(Limits(handshake_timeout=patience), _NEVER, _NEVER)
        async with client.connect(
            target.address,
            target.device_class,
            self._search.token,
            policy=policy,
            tls=target.tls,
            patience=patience,
        ) as connection:
            wish = UNSET if interval is None else interval
            connection.session.hello("", client.USER_AGENT, ping_interval=wish)
            connection.flush()
            welcome = await hearing.welcome(connection, patience)
            yield connection, welcome.ping_interval

    async def _stay_busy(
        self, all_in: asyncio.Barrier, over: asyncio.Event, silences: Sequence[float]
    ) -> None:
        """Ping on one connection until the round is over, and once more after it."""
        search = self._search
        async with self._let_in(None) as (connection, search.ping_interval):
            await all_in.wait()
            await all_in.wait()  # all have said their last word
            began = next_ping = self._loop.time()
            self._began = self._began or began
            self._watcher.began(silences)
            while True:
                is_last, now = over.is_set(), self._loop.time()
                if is_last or now >= next_ping:
                    next_ping = now + self._plan.busy_interval
                    end, _ = await self._ask(connection)
                    ended = end is not End.ANSWERED
                else:
                    ended = isinstance(await _next(connection, LOOK), Closed)
                if ended:
                    search.busy_cut = _ms(now - began)
                    connection.abort()
                if ended or is_last:
                    return

    async def _keep_silent(self, silence: float, longest: float, all_in: asyncio.Barrier) -> None:
        """One connection, from its hello to its outcome."""
        wish = longest + 2 * self._plan.patience + SPARE
        async with self._let_in(wish) as (connection, granted):
            if granted < wish:
                raise _not_quiet(longest, granted, wish - longest)
            await all_in.wait()
            end, detail = await self._ask(connection)
            await all_in.wait()
            if end is End.ANSWERED:
                outcome = await self._silence(connection, silence)
            else:
                outcome = Outcome(silence, 0.0, end, asked=True, detail=detail)
            if outcome.is_cut:
                connection.abort()
                self._call_off(outcome)
            self._search.outcomes.append(outcome)
            self._watcher.came(outcome)

    async def _silence(self, connection: client.DeviceConnection, planned: float) -> Outcome:
        session = connection.session
        began, heard = session.last_received, session.bytes_received
        while (now := self._loop.time()) < (until := min(began + planned, self._called_off)):
            event = await _next(connection, min(LOOK, until - now))
            if isinstance(event, Closed):
                end, detail = _how(event, connection)
                return Outcome(planned, _ms(self._loop.time() - began), end, detail=detail)
            if session.bytes_received != heard:
                return Outcome(planned, _ms(session.last_received - began), End.SPOKEN)
        lasted = _ms(self._loop.time() - began)
        if connection.closed is not None:  # it came while this process had no turn
            end, detail = _how(connection.closed, connection)
            return Outcome(planned, lasted, end, detail=detail)
        end, detail = await self._ask(connection)
        return Outcome(planned, lasted, end, asked=True, detail=detail)

    async def _ask(self, connection: client.DeviceConnection) -> tuple[End, str]:
        """How the connection answers a ping."""
        connection.ping()
        try:
            async with asyncio.timeout(self._plan.patience):
                while True:
                    event = await connection.next_event()
                    if isinstance(event, PongReceived):
                        return End.ANSWERED, ""
                    if isinstance(event, Closed):
                        return _how(event, connection)
        except TimeoutError:
            return End.NO_ANSWER, ""

    def _call_off(self, outcome: Outcome) -> None:
        """Let nobody be silent for much longer than was too long for one.

        If the others live when they are asked, it was no idle cut. A cut with a sign may come to
        them a little later, as it is timed by something that looks only now and then.
        """
        grace = 0.0 if outcome.asked else max(1.0, outcome.lasted / 10)
        self._called_off = min(self._called_off, self._loop.time() + grace)


async def _next(connection: client.DeviceConnection, seconds: float) -> Event | None:
    """The next event; None if there is none within ``seconds``."""
    try:
        async with asyncio.timeout(seconds):
            return await connection.next_event()
    except TimeoutError:
        return None


def _ms(seconds: float) -> float:
    """Seconds to the millisecond: more would only look exact."""
    return round(seconds, 3)


def _how(closed: Closed, connection: client.DeviceConnection) -> tuple[End, str]:
    """How a conversation ended, and what the other end said with it."""
    if closed.by is ClosedBy.HERE:
        return End.GARBAGE, printable(closed.reason)
    if closed.by is ClosedBy.PEER and closed.code != CloseCode.ABNORMAL:
        return End.CLOSE_FRAME, printable(f"{closed.code} {closed.reason}".strip())
    return (End.RESET if connection.link.was_reset else End.FIN), ""


def _first(group: BaseExceptionGroup[WsdevError]) -> WsdevError:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


def _not_quiet(longest: float, granted: float, spare: float) -> NotAllowed:
    most = granted - spare
    or_less = f"use --up-to {most:g}s, or " if most > 0 else ""
    return NotAllowed(
        f"the gateway pings after {granted:g} s, whatever it is asked: {longest:g} s of silence"
        " cannot be tried",
        f"{or_less}run wsdev serve with --limit longest_ping_interval={longest + spare:g}s",
        code="not_quiet",
    )
