"""What ``wsdev logs --refusals`` prints."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text

from wsdev.commands import amounts
from wsdev.commands.log_lines import whole
from wsdev.commands.log_streams import make_console, quiet_end
from wsdev.commands.log_views import parse_count, tell_unknown_devices
from wsdev.errors import UsageError
from wsdev.journal_entries import KINDS, json_line, moment
from wsdev.journal_query import Wanted
from wsdev.journal_reader import JournalReader
from wsdev.layers import guide_to
from wsdev.refusal_groups import Group, RefusalGroups, Tally
from wsdev.refusal_report import hidden_count, report
from wsdev.remedies import fix_for

GROUPS: Final = 20
"""Groups that are shown if nothing else is said."""

SORTS: Final = ("count", "last")

_KINDS: Final = frozenset({"refusal", "session"})
_TIMES: Final = "\N{MULTIPLICATION SIGN}"
_NO_AGENT: Final = "no user agent"


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupView:
    """How groups are shown.

    Attributes:
        count: How many at most; None for all.
        sort: One of :data:`SORTS`.
    """

    count: int | None
    sort: str
    relative: bool
    as_json: bool


def check(
    wanted: Wanted, *, lines: str | None, sort: str | None, unfit: dict[str, bool]
) -> tuple[Wanted, int | None, str]:
    """What is wanted, how many groups and how sorted.

    Args:
        unfit: Options that do not go with groups, and whether each is given.

    Raises:
        UsageError: one of them is given, or a value cannot be meant.
    """
    for option, is_given in unfit.items():
        if is_given:
            raise UsageError(f"{option} does not go with --refusals", "leave one of them out")
    # All kinds stand for none that was named.
    kinds = _KINDS if wanted.kinds == frozenset(KINDS) else wanted.kinds
    if not kinds <= _KINDS:
        raise UsageError(
            "--refusals counts refusals and broken links only",
            "leave --kind out, or use --kind refusal or --kind session",
        )
    sort = SORTS[0] if sort is None else sort
    if sort not in SORTS:
        raise UsageError(f"--sort: {sort!r} is no order", f"use {' or '.join(SORTS)}")
    count = GROUPS if lines is None else parse_count(lines, wanted)
    return replace(wanted, kinds=kinds, broken_only=True), count, sort


def show_groups(folder: Path, wanted: Wanted, view: GroupView) -> None:
    """Print the groups of refusals and broken links that are wanted.

    Raises:
        JournalError, StateFolderError: as the reader gives it.
    """
    groups = RefusalGroups()
    with JournalReader(folder) as reader, quiet_end(exact=view.as_json) as out:
        tell_unknown_devices(reader, wanted)
        for page in reader.entries(wanted):
            groups.take(page.entries)
        ranked = groups.by_last() if view.sort == "last" else groups.by_count()
        shown = ranked if view.count is None else ranked[: view.count]
        codes = groups.codes()
        fixes = [fix_for(group, codes[group.address]) for group in shown]
        if view.as_json:
            out.write(json_line(report(groups, shown, fixes, len(ranked))) + "\n")
            return
        console = make_console(out)
        for group, fix in zip(shown, fixes, strict=True):
            _print(console, group, fix, relative=view.relative)
        for line in _left_out(groups, shown, len(ranked)):
            console.print(Text(line, "dim"), soft_wrap=True)
    if not groups.count and sys.stderr.isatty():
        sys.stderr.write("nothing that fits is in the journal\n")


def _left_out(groups: RefusalGroups, shown: list[Group], known: int) -> Iterator[str]:
    if hidden := known - len(shown):
        count = hidden_count(groups, shown)
        yield f"{count:,} more in {amounts.counted(hidden, 'group')}: show all with -n all"
    if groups.forgotten:
        yield (
            f"{groups.forgotten:,} more of addresses that came seldom are not told apart:"
            " choose with --since or --address"
        )


# Text


def _print(console: Console, group: Group, fix: str | None, *, relative: bool) -> None:
    times = _times(group, relative=relative, is_terminal=console.file.isatty())
    head = Text.assemble(
        (f"{group.count:,} {_TIMES}", "bold"), " ", (whole(group.code), "red"),
        f" from {whole(group.address)}{_via(group)}", ("  " + times, "dim"),
    )  # fmt: skip
    lines = [Text(f"  {who}") for who in _who(group)]
    meaning = group.meaning
    if meaning is not None:
        lines.append(Text(f"  {meaning.message}"))
    if fix is not None:
        lines.append(Text(f"  try: {whole(fix)}"))
    lines.append(Text(f"  see: {guide_to(group.code)}", "dim"))
    for line in (head, *lines):
        console.print(line, soft_wrap=True)


def _via(group: Group) -> str:
    via = group.vias.commonest
    return "" if via is None else f" via {whole(via)}"


def _times(group: Group, *, relative: bool, is_terminal: bool) -> str:
    now = datetime.now(UTC).astimezone()
    moments = [moment(when).astimezone() for when in (group.first, group.last)]
    if relative:
        shown = [amounts.age((now - when).total_seconds()) for when in moments]
    elif is_terminal:
        shown = [amounts.moment(when, now) for when in moments]
    else:
        shown = [when.isoformat(timespec="milliseconds") for when in moments]
    return shown[0] if shown[0] == shown[1] else f"{shown[0]} to {shown[1]}"


def _who(group: Group) -> Iterator[str]:
    wanted = [
        f"{word} {_ranked(tally)}"
        for word, tally in (("asked for", group.paths), ("device", group.devices))
        if tally.counts
    ]
    if group.tails.counts:
        wanted.append(f"token …{_ranked(group.tails)}")
    if group.longest is not None:
        spans = [amounts.duration(group.shortest or 0), amounts.duration(group.longest)]
        wanted.append("lasted " + " to ".join(dict.fromkeys(spans)))
    if wanted:
        yield ", ".join(wanted)
    if list(group.user_agents.counts) != [None]:
        yield f"user agent {_ranked(group.user_agents, _NO_AGENT)}"


def _ranked(tally: Tally, nothing: str = "") -> str:
    """The commonest text, and how many came otherwise."""
    (text, count), *others = tally.ranked()
    shown = nothing if text is None else whole(text)
    rest = sum(number for _, number in others) + tally.others
    if not rest:
        return shown
    more = f"{len(others)}{'+' if tally.others else ''} other{'' if len(others) == 1 else 's'}"
    return f"{shown} ({count:,} of {count + rest:,}; {more})"
