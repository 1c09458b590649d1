"""Groups of refusals as JSON: ``wsdev logs --refusals --json``, and the console's /api/refusals."""

from __future__ import annotations

from typing import Any

from wsdev.journal_entries import iso
from wsdev.layers import LAYER_OF, guide_to
from wsdev.refusal_groups import Group, RefusalGroups, Tally
from wsdev.translation import ENGLISH, Translation


def report(
    groups: RefusalGroups,
    shown: list[Group],
    fixes: list[str | None],
    known: int,
    words: Translation = ENGLISH,
) -> dict[str, Any]:
    """The groups that are shown, and how much is not.

    Args:
        fixes: For each of those shown.
        known: How many groups there are.
        words: In another language.
    """
    return {
        "count": groups.count,
        "groups": [_fields(group, fix, words) for group, fix in zip(shown, fixes, strict=True)],
        "groups_left_out": known - len(shown),
        "count_left_out": hidden_count(groups, shown),
        "count_forgotten": groups.forgotten,
    }


def _fields(group: Group, fix: str | None, words: Translation) -> dict[str, Any]:
    meaning = words.explain(group.code)
    return {
        "address": group.address,
        "code": group.code,
        "layer": LAYER_OF.get(group.code),
        "count": group.count,
        "first": iso(group.first),
        "last": iso(group.last),
        "message": None if meaning is None else meaning.message,
        "fix": fix,
        "guide": guide_to(group.code),
        "user_agents": _counted(group.user_agents),
        "paths": _counted(group.paths),
        "devices": _counted(group.devices),
        "classes": _counted(group.classes),
        "vias": _counted(group.vias),
        "token_tails": _counted(group.tails),
        "shortest": group.shortest,
        "longest": group.longest,
    }


def _counted(tally: Tally) -> dict[str, Any]:
    return {
        "values": [{"value": text, "count": count} for text, count in tally.ranked()],
        "others": tally.others,
    }


def hidden_count(groups: RefusalGroups, shown: list[Group]) -> int:
    """Entries of the groups that are not shown."""
    return groups.count - groups.forgotten - sum(group.count for group in shown)
