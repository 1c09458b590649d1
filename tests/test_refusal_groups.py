"""Groups of refusals and broken links: what is counted, and that memory is bounded."""

from __future__ import annotations

from wsdev.journal_entries import Entry, GatewayEntry, RefusalEntry, SessionEntry
from wsdev.refusal_groups import MOST_NAMES, MOST_TEXT, Group, RefusalGroups, Tally


def refusal(
    number: int = 1,
    code: str = "token_missing",
    *,
    address: str = "192.0.2.7",
    path: str | None = "/ws/pico",
    user_agent: str | None = "TinyWebsockets Client",
    tail: str | None = None,
) -> RefusalEntry:
    return RefusalEntry(
        number, number * 1000, "refused", f"r{number}", address, None, path, code, 401, tail,
        user_agent,
    )  # fmt: skip


def end(
    number: int = 1,
    code: int | None = 1006,
    seconds: float | None = 3.5,
    device: str = "kitchen",
    closed_by: str = "path",
) -> SessionEntry:
    return SessionEntry(
        number, number * 1000, "disconnected", "5e55", device, "pico", "192.0.2.7", "10.0.0.1",
        "uP", "t-1", code, "", closed_by, seconds,
    )  # fmt: skip


def grouped(*entries: Entry, most: int = 100) -> RefusalGroups:
    groups = RefusalGroups(most)
    groups.take(entries)
    return groups


def only(groups: RefusalGroups) -> Group:
    (group,) = groups.by_count()
    return group


# Tally


def test_tally_ranks_what_came_and_counts_the_rest() -> None:
    tally = Tally()
    for number in range(MOST_NAMES + 3):
        tally.take(f"n{number}")
    tally.take("n2")
    tally.take(f"n{MOST_NAMES}")
    assert tally.commonest == "n2"
    assert len(tally.ranked()) == MOST_NAMES
    assert tally.others == 4


def test_tally_tells_nothing_said_from_nothing_counted() -> None:
    tally = Tally()
    assert (tally.commonest, tally.counts) == (None, {})
    tally.take(None)
    assert (tally.commonest, tally.counts) == (None, {None: 1})


def test_long_text_is_kept_in_part() -> None:
    tally = Tally()
    tally.take("x" * 10_000)
    tally.take("x" * 9000)
    assert tally.ranked() == [("x" * MOST_TEXT, 2)]


# Groups


def test_address_and_code_make_a_group() -> None:
    groups = grouped(
        refusal(1), refusal(2), refusal(3, "not_found"), refusal(4, address="192.0.2.8")
    )
    found = [(g.address, g.code, g.count, g.first, g.last) for g in groups.by_count()]
    assert found == [
        ("192.0.2.7", "token_missing", 2, 1000, 2000),
        ("192.0.2.8", "token_missing", 1, 4000, 4000),
        ("192.0.2.7", "not_found", 1, 3000, 3000),
    ]
    assert [g.last for g in groups.by_last()] == [4000, 3000, 2000]
    assert groups.count == 4
    assert groups.codes() == {
        "192.0.2.7": {"token_missing", "not_found"},
        "192.0.2.8": {"token_missing"},
    }


def test_refusals_of_a_group_are_told_apart() -> None:
    group = only(
        grouped(
            refusal(1, tail="abcd"),
            refusal(2, path="/ws/pico?token=%E2%80%A6", user_agent=None),
            refusal(3, path="/ws/esp32cam/"),
            refusal(4, path=None),
        )
    )
    assert group.user_agents.ranked() == [("TinyWebsockets Client", 3), (None, 1)]
    assert group.paths.counts == {
        "/ws/pico": 1, "/ws/pico?token=%E2%80%A6": 1, "/ws/esp32cam/": 1,
    }  # fmt: skip
    assert group.classes.ranked() == [("pico", 2), ("esp32cam", 1)]
    assert group.tails.counts == {"abcd": 1}
    assert (group.devices.counts, group.vias.counts) == ({}, {})
    assert group.longest is None


def test_links_of_a_group_are_told_apart() -> None:
    group = only(grouped(end(1), end(2, seconds=0.0), end(3, device="garden"), end(4, seconds=60)))
    assert group.code == "cut"
    assert group.devices.ranked() == [("kitchen", 3), ("garden", 1)]
    assert group.classes.counts == {"pico": 4}
    assert group.vias.counts == {"10.0.0.1": 4}
    assert (group.shortest, group.longest) == (0.0, 60)
    assert group.paths.counts == {}


def test_link_lost_with_the_server_is_the_gateways() -> None:
    assert only(grouped(end(code=None, seconds=None, closed_by="lost"))).code == "gateway_lost"


def test_what_is_no_end_is_not_counted() -> None:
    start = SessionEntry(
        1, 0, "connected", "5e55", "kitchen", "pico", "192.0.2.7", None, None, None
    )
    assert grouped(start, GatewayEntry(2, 0, "started", "0.1.0")).count == 0


def test_what_comes_seldom_is_forgotten_and_counted() -> None:
    groups = RefusalGroups(10)
    often = refusal(1)
    for number in range(1000):
        groups.take([often, refusal(number, address=f"2001:db8::{number:x}")])
    ranked = groups.by_count()
    assert len(ranked) <= 10
    assert (ranked[0].address, ranked[0].count) == ("192.0.2.7", 1000)
    assert groups.count == 2000
    assert groups.count == groups.forgotten + sum(group.count for group in ranked)
