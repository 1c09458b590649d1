"""Which entries of the journal are wanted, and what that means to SQLite.

Nothing in the file has an index for this: it would cost every message that is written. Sessions
are few beside their messages, and the blocks tell where a time is, so both say which parts of the
messages need not be looked at.
"""

from __future__ import annotations

import functools
import ipaddress
import re
import sqlite3
from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from wsdev.codes import BROKEN_CLOSES
from wsdev.journal_entries import KINDS, Entry, RefusalEntry, texts
from wsdev.setting_values import IPNetwork

Range = tuple[int, int]
"""Sequence numbers from the first to the last, both included."""

LAST: Final = 2**63 - 1
"""The highest sequence number that there can be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which entries are wanted: those that fit all that is given.

    What says nothing about a thing leaves it out: a refusal has no device, a command no address.

    Attributes:
        devices: Names, exactly, one of which it must have; none means any, here and below.
        device_classes: Of the device; for a refusal the one in its path.
        networks: Where it came from.
        since, until: Unix milliseconds; from the first, before the second.
        pattern: Is found in the entry's texts, see :func:`~wsdev.journal_entries.texts`.
        session: The public id of the session that it belongs to.
        request_id: What a refused client was shown, or the public id of a session, of which only
            start and end are meant then.
        broken_only: Of sessions only the ends of those that broke.
    """

    kinds: frozenset[str] = frozenset(KINDS)
    devices: frozenset[str] = frozenset()
    device_classes: frozenset[str] = frozenset()
    networks: frozenset[IPNetwork] = frozenset()
    since: int | None = None
    until: int | None = None
    pattern: re.Pattern[str] | None = None
    session: str | None = None
    request_id: str | None = None
    broken_only: bool = False

    @property
    def sessions_matter(self) -> bool:
        """Whether only some sessions are wanted."""
        return bool(self.devices or self.device_classes or self.networks or self.session)

    def fits(self, entry: Entry) -> bool:
        """The part of the choice that is not made in SQL."""
        if self.device_classes and isinstance(entry, RefusalEntry):
            path = (entry.path or "").partition("?")[0].rstrip("/")
            if path not in {f"/ws/{name}" for name in self.device_classes}:
                return False
        pattern = self.pattern
        return pattern is None or pattern.search(texts(entry)) is not None


@dataclass(frozen=True, slots=True)
class Source:
    """A table's part in the entries: a query for some sequence numbers, and what its rows are.

    Attributes:
        sql: Takes ``:low`` and ``:high``; gives rows that begin with the sequence number.
        is_messages: Whether its rows are messages, of which there are most.
    """

    name: str
    sql: str
    is_messages: bool


LAST_SESSION: Final = """
    SELECT session, device, started, sequence, end_sequence FROM sessions
    WHERE device = coalesce(?1, device) AND session = coalesce(?2, session)
        AND (?3 IS NULL OR ended IS NULL OR ended >= ?3) AND (?4 IS NULL OR started < ?4)
    ORDER BY sequence DESC LIMIT 1
"""
"""Takes device, session, since and until, each of them or NULL."""

_BROKEN: Final = (
    f"(s.code IN ({', '.join(str(int(code)) for code in sorted(BROKEN_CLOSES))})"
    " OR s.closed_by = 'lost')"
)

_REFUSED: Final = "CASE r.status WHEN 0 THEN 'broken' ELSE 'refused' END"

_SESSION: Final = "s.session, s.device, s.device_class, s.address, s.via, s.user_agent, s.token"


def make_sources(db: sqlite3.Connection, wanted: Wanted) -> tuple[list[Source], dict[str, Any]]:
    """The queries for what is wanted, messages first, and the values that they take."""
    _teach(db, wanted.networks)
    values = {
        name: value
        for name in ("since", "until", "session", "request_id")
        if (value := getattr(wanted, name)) is not None
    }
    values |= _numbered("device", wanted.devices) | _numbered("class", wanted.device_classes)
    of_session = _conditions(wanted, "s")
    kinds = wanted.kinds
    sources: list[Source] = []
    if "message" in kinds and wanted.request_id is None:
        # CROSS: the messages in the outer loop, in their order, whatever the planner thinks.
        join = "CROSS JOIN" if of_session else "LEFT JOIN"
        sources.append(
            _source(
                "messages",
                "m.sequence, m.time, m.kind, s.session, s.device, s.device_class, s.address, m.id,"
                " m.body, m.size, m.sha256, m.picture",
                f"messages m {join} sessions s ON s.sequence = m.session",
                "m.sequence",
                [*of_session, *_between("m.time", wanted)],
            )
        )
    if "session" in kinds:
        if wanted.request_id is not None:
            of_session = [*of_session, "s.session = :request_id"]
        if wanted.broken_only:
            of_session = [*of_session, _BROKEN]
        else:
            sources.append(
                _source(
                    "starts",
                    f"s.sequence, s.started, 'connected', {_SESSION}",
                    "sessions s",
                    "s.sequence",
                    [*of_session, *_between("s.started", wanted)],
                )
            )
        sources.append(
            _source(
                "ends",
                f"s.end_sequence, s.ended, 'disconnected', {_SESSION}, s.code, s.reason,"
                " s.closed_by, s.seconds, s.messages_in, s.bytes_in, s.messages_out, s.bytes_out,"
                " s.median_rtt",
                "sessions s",
                "s.end_sequence",
                [*of_session, *_between("s.ended", wanted)],
            )
        )
    return [*sources, *_other_sources(wanted)], values


def _other_sources(wanted: Wanted) -> list[Source]:
    """The queries for what is neither a message nor a session."""
    kinds = wanted.kinds
    sources: list[Source] = []
    if "refusal" in kinds and not wanted.devices and wanted.session is None:
        conditions = _between("r.time", wanted)
        if wanted.networks:
            conditions.append("in_networks(r.address)")
        if wanted.request_id is not None:
            conditions.append("r.request_id = :request_id")
        sources.append(
            _source(
                "refusals",
                f"r.sequence, r.time, {_REFUSED}, r.request_id, r.address, r.via, r.path, r.code,"
                " nullif(r.status, 0), r.token_tail, r.user_agent",
                "refusals r",
                "r.sequence",
                conditions,
            )
        )
    of_device = wanted.request_id is None and not (wanted.device_classes or wanted.networks)
    if "command" in kinds and of_device:
        sources.append(
            _source(
                "commands",
                "c.sequence, c.time, c.state, c.device, c.id, c.type, c.asked_by, c.body,"
                " c.timeout, c.queue_until, c.session, c.reason, c.detail",
                "commands c",
                "c.sequence",
                [*_conditions(wanted, "c"), *_between("c.time", wanted)],
            )
        )
    if "gateway" in kinds and wanted.request_id is None and not wanted.sessions_matter:
        for name, number, time, event in (
            ("run_starts", "r.sequence", "r.started", "'started'"),
            ("run_ends", "r.end_sequence", "r.ended", "r.how"),
        ):
            columns = f"{number}, {time}, {event}, r.version"
            sources.append(_source(name, columns, "runs r", number, _between(time, wanted)))
    return sources


def _source(name: str, columns: str, tables: str, order: str, conditions: Iterable[str]) -> Source:
    where = " AND ".join([f"{order} BETWEEN :low AND :high", *conditions])
    sql = f"SELECT {columns} FROM {tables} WHERE {where} ORDER BY {order}"
    return Source(name, sql, name == "messages")


def _between(column: str, wanted: Wanted) -> list[str]:
    conditions = []
    if wanted.since is not None:
        conditions.append(f"{column} >= :since")
    if wanted.until is not None:
        conditions.append(f"{column} < :until")
    return conditions


def _conditions(wanted: Wanted, table: str) -> list[str]:
    conditions = []
    if wanted.devices:
        conditions.append(f"{table}.device IN ({_names('device', wanted.devices)})")
    if wanted.device_classes:
        conditions.append(f"{table}.device_class IN ({_names('class', wanted.device_classes)})")
    if wanted.networks:
        conditions.append(f"in_networks({table}.address)")
    if wanted.session is not None:
        conditions.append(f"{table}.session = :session")
    return conditions


def _numbered(name: str, values: Iterable[str]) -> dict[str, str]:
    return {f"{name}_{number}": value for number, value in enumerate(sorted(values))}


def _names(name: str, values: Iterable[str]) -> str:
    return ", ".join(f":{numbered}" for numbered in _numbered(name, values))


def _teach(db: sqlite3.Connection, networks: frozenset[IPNetwork]) -> None:
    if networks:
        db.create_function("in_networks", 1, _membership(networks), deterministic=True)


def _membership(networks: frozenset[IPNetwork]) -> Callable[[str], bool]:
    @functools.lru_cache(maxsize=10_000)
    def is_in(text: str) -> bool:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return False
        return any(address in network for network in networks)

    return is_in


# Which parts need a look


def time_ranges(db: sqlite3.Connection, wanted: Wanted) -> list[Range]:
    """Where the wanted times are, and perhaps others; the clock may have jumped in between.

    What is before the first block has no times known: sessions that began there and are still
    open, or ended later, are kept longer than the messages around them.
    """
    if wanted.since is None and wanted.until is None:
        return [(1, LAST)]
    blocks = db.execute(
        "SELECT sequence, earliest, latest FROM blocks ORDER BY sequence"
    ).fetchall()
    if not blocks:
        return [(1, LAST)]
    ends = [first - 1 for first, _, _ in blocks[1:]] + [LAST]
    since = -LAST if wanted.since is None else wanted.since
    until = LAST if wanted.until is None else wanted.until
    fitting = [
        (first, end)
        for (first, earliest, latest), end in zip(blocks, ends, strict=True)
        # The last block grows.
        if end == LAST or (latest >= since and earliest < until)
    ]
    return union([(1, blocks[0][0] - 1), *fitting])


def session_ranges(
    db: sqlite3.Connection, wanted: Wanted, values: dict[str, Any], last: int
) -> list[Range]:
    """Where messages of the wanted sessions are; after ``last`` is anything."""
    if not wanted.sessions_matter:
        return [(1, LAST)]
    rows = db.execute(
        "SELECT s.sequence, CASE WHEN s.end_sequence IS NULL THEN :high ELSE s.last_message END"
        f" FROM sessions s WHERE {' AND '.join(_conditions(wanted, 's'))} ORDER BY s.sequence",
        {**values, "high": LAST},
    )
    spans = [(first, end) for first, end in rows if end is not None]
    return union([*spans, (last + 1, LAST)])


def union(ranges: Iterable[Range]) -> list[Range]:
    """The same numbers in as few ranges as can be; takes them by their first numbers in order."""
    joined: list[Range] = []
    for low, high in ranges:
        if low > high:
            continue
        if joined and low <= joined[-1][1] + 1:
            if high > joined[-1][1]:
                joined[-1] = (joined[-1][0], high)
        else:
            joined.append((low, high))
    return joined


def clip(ranges: list[Range], low: int, high: int) -> Range | None:
    """The smallest part of ``low`` to ``high`` with all that is of ``ranges`` in it, if any.

    Args:
        ranges: As :func:`union` gives them.
    """
    first = bisect_left(ranges, low, key=lambda span: span[1])
    after = bisect_left(ranges, high + 1, key=lambda span: span[0])
    if first >= after:
        return None
    return max(low, ranges[first][0]), min(high, ranges[after - 1][1])
