"""``GET /api/journal`` and ``GET /api/refusals``: what is on record.

Read in a thread, in pages with bounds on their number, size and time: a search that finds little
says how far it came and is gone on with.
"""

from __future__ import annotations

import re
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

import msgspec
from starlette.responses import Response

from wsdev.console.inputs import Query
from wsdev.console.operations import Call, Operation, json_answer
from wsdev.journal_entries import KINDS, Entry, document
from wsdev.journal_filters import make_wanted
from wsdev.journal_query import LAST, Wanted
from wsdev.journal_reader import JournalReader
from wsdev.refusal_groups import RefusalGroups
from wsdev.refusal_report import report
from wsdev.remedies import fix_for
from wsdev.translation import Language, translation

MOST_ENTRIES: Final = 1000
MOST_BYTES: Final = 4 * 1024 * 1024
"""Of the bodies in one answer."""

MOST_SECONDS: Final = 2.0
"""That one answer may take to be found."""

MOST_GROUPS: Final = 500

_FIRST_SPAN: Final = 512
_MOST_SPAN: Final = 16_384

Kind = Annotated[str, msgspec.Meta(extra_json_schema={"enum": list(KINDS)})]
Moment = Annotated[
    str,
    msgspec.Meta(
        description="1h (ago), 08:30 (today), today, yesterday, 2026-01-31T08:30", examples=["1h"]
    ),
]
Address = Annotated[
    str,
    msgspec.Meta(description="An address, or a network as 192.0.2.0/24", examples=["192.0.2.7"]),
]
ClassName = Annotated[
    str, msgspec.Meta(extra_json_schema={"pattern": "^[a-z0-9][a-z0-9_-]{0,23}$"})
]
Number = Annotated[int, msgspec.Meta(ge=1, le=LAST)]


class Filters(Query, frozen=True, kw_only=True, rename={"device_class": "class"}):
    """What ``wsdev logs`` takes. ``text`` is found as it is: no regular expression, which could
    keep the whole gateway busy."""

    device: tuple[str, ...] = ()
    device_class: tuple[ClassName, ...] = ()
    address: tuple[Address, ...] = ()
    kind: tuple[Kind, ...] = ()
    since: Moment | None = None
    until: Moment | None = None
    text: str | None = None
    ignore_case: bool = False
    session: str | None = None
    request_id: str | None = None

    def wanted(self) -> Wanted:
        """The choice of entries.

        Raises:
            UsageError: one of them cannot be meant.
        """
        return make_wanted(
            device=list(self.device),
            device_class=list(self.device_class),
            address=list(self.address),
            kind=list(self.kind),
            since=self.since,
            until=self.until,
            grep=None if self.text is None else re.escape(self.text),
            ignore_case=self.ignore_case and self.text is not None,
            session=self.session,
            request_id=self.request_id,
            now=datetime.now(UTC),
            prefix="",
        )


class JournalQuery(Filters, frozen=True, kw_only=True):
    """Which entries, and where to go on."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=MOST_ENTRIES)] = 100
    before: Number | None = None
    after: Annotated[int, msgspec.Meta(ge=0, le=LAST)] | None = None


class JournalPage(msgspec.Struct, frozen=True):
    """Entries, the oldest first, in the form of ``wsdev logs --json``.

    Attributes:
        before: Ask with it for what came before; None at the beginning of the journal.
        after: Ask with it for what came after, and for what will come.
        complete: Whether the search went as far as was asked; else go on with ``before``, or with
            ``after`` if that was given.
    """

    entries: list[dict[str, Any]]
    before: int | None
    after: int
    complete: bool


class _Found:
    """Entries of one answer, within its bounds."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._bytes = 0
        self._deadline = time.monotonic() + MOST_SECONDS
        self.entries: list[Entry] = []

    def take(self, entry: Entry) -> bool:
        """Take one more; False if it has no room."""
        size = len(getattr(entry, "body", None) or "")
        if len(self.entries) >= self._limit or (self.entries and self._bytes + size > MOST_BYTES):
            return False
        self._bytes += size
        self.entries.append(entry)
        return True

    @property
    def is_late(self) -> bool:
        """Whether the time is over."""
        return time.monotonic() > self._deadline


def read_back(reader: JournalReader, wanted: Wanted, limit: int, before: int | None) -> JournalPage:
    """The last wanted entries before a number."""
    newest = reader.last_sequence()
    high = newest if before is None else min(before - 1, newest)
    after, span, found, complete = max(high, 0), _FIRST_SPAN, _Found(limit), True
    low = high + 1
    while high >= 1 and complete:
        start = max(1, high - span + 1)
        entries = [e for page in reader.entries(wanted, start, high) for e in page.entries]
        low = start
        for entry in reversed(entries):
            if not found.take(entry):
                low, high, complete = found.entries[-1].sequence, 0, False
                break
        if complete:
            high, span = start - 1, min(span * 2, _MOST_SPAN)
            complete = not (found.is_late and high >= 1)
    complete = complete or bool(found.entries)
    rest = low if low > 1 else None
    return _page(found.entries[::-1], rest, after, complete=complete)


def read_on(reader: JournalReader, wanted: Wanted, limit: int, after: int) -> JournalPage:
    """The first wanted entries after a number."""
    found, reached, complete = _Found(limit), after, True
    for page in reader.entries(wanted, after + 1):
        for entry in page.entries:
            if not found.take(entry):
                complete = False
                break
            reached = entry.sequence
        if not complete:
            break
        reached = page.reached
        if found.is_late:
            complete = False
            break
    return _page(found.entries, after + 1 if after else None, reached, complete=complete)


def _page(entries: list[Entry], before: int | None, after: int, *, complete: bool) -> JournalPage:
    return JournalPage([_document(entry) for entry in entries], before, after, complete)


def _document(entry: Entry) -> dict[str, Any]:
    fields = document(entry)
    fields.pop("picture", None)  # a path on this host
    return fields


async def show_journal(call: Call) -> Response:
    """A page of the journal: the last entries, those before a cursor, or those after one."""
    query = call.query
    wanted = query.wanted()

    def read() -> JournalPage:
        with JournalReader(call.plane.gateway.folder) as reader:
            if query.after is not None:
                return read_on(reader, wanted, query.limit, query.after)
            return read_back(reader, wanted, query.limit, query.before)

    return json_answer(await call.plane.aside(read))


# Refusals


class RefusalQuery(Query, frozen=True, kw_only=True, rename={"device_class": "class"}):
    """Which refusals and broken links, and in which language they are explained."""

    device: tuple[str, ...] = ()
    device_class: tuple[ClassName, ...] = ()
    address: tuple[Address, ...] = ()
    since: Moment | None = None
    until: Moment | None = None
    sort: Literal["count", "last"] = "count"
    lang: Language = "en"
    limit: Annotated[int, msgspec.Meta(ge=1, le=MOST_GROUPS)] = 50


class RefusalReport(msgspec.Struct, frozen=True):
    """Groups by address and cause, as ``wsdev logs --refusals --json`` has them.

    Attributes:
        complete: Whether all that was asked for was looked at; else it was too much, and what came
            first is not in it.
    """

    count: int
    groups: list[dict[str, Any]]
    groups_left_out: int
    count_left_out: int
    count_forgotten: int
    complete: bool


async def show_refusals(call: Call) -> Response:
    """Refusals and broken links, counted by address and cause, each with its fix."""
    query = call.query
    filters = Filters(
        device=query.device,
        device_class=query.device_class,
        address=query.address,
        since=query.since,
        until=query.until,
    )
    kinds = frozenset({"refusal", "session"})
    wanted = replace(filters.wanted(), kinds=kinds, broken_only=True)

    def read() -> RefusalReport:
        groups, complete = RefusalGroups(), True
        deadline = time.monotonic() + MOST_SECONDS
        with JournalReader(call.plane.gateway.folder) as reader:
            for page in reader.entries(wanted):
                groups.take(page.entries)
                if time.monotonic() > deadline:
                    complete = False
                    break
        ranked = groups.by_last() if query.sort == "last" else groups.by_count()
        shown, codes = ranked[: query.limit], groups.codes()
        words = translation(query.lang)
        fixes = [fix_for(group, codes[group.address], words) for group in shown]
        told = report(groups, shown, fixes, len(ranked), words)
        return RefusalReport(**told, complete=complete)

    return json_answer(await call.plane.aside(read))


OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/api/journal",
        handler=show_journal,
        summary="What is on record, in pages: the last entries first.",
        query=JournalQuery,
        answer=JournalPage,
    ),
    Operation(
        method="GET",
        path="/api/refusals",
        handler=show_refusals,
        summary="Who was refused or cut off, by address and cause, each with its fix.",
        query=RefusalQuery,
        answer=RefusalReport,
    ),
)
