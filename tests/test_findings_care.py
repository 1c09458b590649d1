from __future__ import annotations

import pytest
from host_cases import CARE, NOW, WELL, changed, note

from wsdev.findings.facts import ClockFacts, DiskFacts, FileLimits, HostFacts, Rights, TokenFacts
from wsdev.findings.finding import Finding
from wsdev.findings.host import CHECKS


def findings(check: str, facts: HostFacts) -> dict[str, Finding]:
    return {finding.code: finding for finding in CHECKS[check](facts)}


@pytest.mark.parametrize("code", CARE)
def test_facts_lead_to_their_finding(code: str) -> None:
    assert code in findings(code.partition("_")[0], CARE[code])


def test_book_that_is_not_made_yet_is_no_finding() -> None:
    assert findings("tokens", changed(tokens=TokenFacts(is_missing=True))) == {}


def test_window_that_is_open_says_how_long() -> None:
    told = findings("tokens", CARE["tokens_window"])["tokens_window"]
    assert told.evidence == ("--public-tokens window, 2 good tokens in the book", "5 min left")


def test_open_window_means_nothing_if_tokens_are_never_handed_out() -> None:
    facts = changed(note(public_tokens="off"), tokens=TokenFacts(window_left=300))
    assert list(findings("tokens", facts)) == ["tokens_kept"]


@pytest.mark.parametrize(
    ("wanted", "room", "code"),
    [(0, 960, "files_enough"), (0, 192, "files_few"), (5000, 960, "files_few")],
)
def test_room_is_measured_by_what_is_wanted(wanted: int, room: int, code: str) -> None:
    facts = changed(
        note(wanted_connections=wanted, max_connections=room), files=FileLimits(room + 64, None)
    )
    told = findings("files", facts)
    assert list(told) == [code]
    assert f"room for {room} connections" in told[code].evidence[0]


def test_process_that_cannot_be_seen_has_no_finding() -> None:
    assert findings("files", changed(files=None)) == {}
    assert findings("disk", changed(disk=None)) == {}
    assert findings("rights", changed(rights=())) == {}


def test_clock_of_1970_is_told_alone() -> None:
    assert list(findings("clock", CARE["clock_wrong"])) == ["clock_wrong"]


def test_clock_that_was_set_back_is_told_beside_what_keeps_it() -> None:
    told = findings("clock", CARE["clock_back"])
    assert list(told) == ["clock_back", "clock_right"]
    assert "3600 s ahead" in told["clock_back"].evidence[0]
    close = changed(clock=ClockFacts(NOW, True, "the kernel", NOW + 3))
    assert list(findings("clock", close)) == ["clock_right"]


def test_journal_without_bound_will_fill_any_disk() -> None:
    told = findings("disk", note(journal_max=0))
    assert list(told) == ["disk_tight"]
    assert told["disk_tight"].command == "wsdev serve --journal-max 25001MB"


def test_journal_that_has_taken_its_room_already_needs_no_more() -> None:
    disk = DiskFacts(600_000_000, 3_000_000_000, True, False, 1_900_000_000)
    assert list(findings("disk", changed(disk=disk))) == ["disk_room"]


def test_disk_without_inodes_is_full() -> None:
    disk = DiskFacts(10**10, 10**11, False, False, 0)
    told = findings("disk", changed(disk=disk))["disk_full"]
    assert "no inode is free" in told.evidence


FOLDER = "/home/pi/.local/state/wsdev"


@pytest.mark.parametrize(
    ("folder", "file", "code", "command"),
    [
        (0o700, 0o600, "rights_private", ""),
        (0o755, 0o600, "rights_loose", f"chmod 700 {FOLDER}"),
        (0o700, 0o640, "rights_loose", f"chmod go= {FOLDER}/tokens.db"),
        (0o711, 0o604, "rights_open", f"chmod 700 {FOLDER} && chmod go= {FOLDER}/tokens.db"),
        (0o770, 0o600, "rights_open", f"chmod 700 {FOLDER}"),
    ],
)
def test_rights_are_those_of_folder_and_file_together(
    folder: int, file: int, code: str, command: str
) -> None:
    there = (Rights(".", folder, 1000), Rights("tokens.db", file, 1000))
    told = findings("rights", changed(rights=there))
    assert list(told) == [code]
    assert told[code].command == command


def test_file_of_another_user_is_told_with_its_mending() -> None:
    told = findings("rights", CARE["rights_foreign"])["rights_foreign"]
    assert told.evidence == ("tokens.db is user 0's", "the gateway's is 1000")
    assert told.command == f"sudo chown -R 1000 {FOLDER}"


def test_well_kept_host_has_a_finding_for_each() -> None:
    codes = {code for check in CHECKS for code in findings(check, WELL)}
    assert {"tokens_kept", "files_enough", "clock_right", "disk_room", "rights_private"} <= codes
