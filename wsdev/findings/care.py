"""Findings about what the gateway lives on: tokens, files, clock, disk, rights."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from wsdev.findings.facts import HostFacts, Rights
from wsdev.findings.finding import Finding, found, moment

FEW_CONNECTIONS: Final = 500
"""A limit of 1,024 files, the usual one without any setting, leaves room for 960 connections."""

NEARLY_ALL: Final = 0.9

CLOCK_SLACK: Final = 5.0
"""Seconds by which a file may be from the future: another host's clock, on a shared disk."""

NEVER_BEFORE: Final = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
"""No clock that is right shows less: this program is newer. A Pi without one starts in 1970."""

FULL: Final = 20_000_000
"""Bytes: SQLite needs some for each transaction, and the rest of the host for its logs."""


def tokens(facts: HostFacts) -> Iterator[Finding]:
    """Who gets a token."""
    told = facts.tokens
    if told.is_missing:
        return  # the first start makes it, and without any the server's finding says all
    if told.trouble:
        yield found("tokens_trouble", told.trouble)
        return
    policy = facts.note.public_tokens
    count = f"--public-tokens {policy}, {told.live} good tokens in the book"
    is_open = policy == "open" or (policy == "window" and told.window_left > 0)
    if policy == "open":
        command = f"{facts.command} serve{facts.state_option} --public-tokens window"
        yield found("tokens_open", count, command=command)
    elif is_open:
        yield found("tokens_window", count, f"{told.window_left / 60:.0f} min left")
    else:
        yield found("tokens_kept", count)
    if is_open and facts.is_public and facts.certificate is None:
        closing = f"{facts.command} tokens close{facts.state_option}" if policy == "window" else ""
        yield found("tokens_in_clear", count, command=closing)


def files(facts: HostFacts) -> Iterator[Finding]:
    """How many connections fit."""
    told = facts.files
    if told is None:
        return
    room = facts.note.max_connections or told.most
    wanted = facts.note.wanted_connections
    lines = [
        f"{told.most} files at most: room for {room} connections"
        + (f", and --limit connections={wanted} are wanted" if wanted else ""),
        "" if told.used is None else f"{told.used} are open",
    ]
    # For the shell, and so for what it starts.
    command = f"sudo prlimit --pid $$ --nofile={max(65_536, 2 * wanted)}"
    command += f" && {facts.command} serve{facts.state_option}"
    if told.used is not None and told.used > told.most * NEARLY_ALL:
        yield found("files_spent", *lines, command=command)
    elif room < (wanted or FEW_CONNECTIONS):
        yield found("files_few", *lines, command=command)
    else:
        yield found("files_enough", *lines)


def clock(facts: HostFacts) -> Iterator[Finding]:
    """Whether times can be believed."""
    told = facts.clock
    shown = moment(told.now)
    if told.now < NEVER_BEFORE:
        yield found("clock_wrong", shown, command="sudo timedatectl set-ntp true")
        return
    if told.newest_file > told.now + CLOCK_SLACK:
        ahead = told.newest_file - told.now
        yield found("clock_back", f"{shown}, and a file is {ahead:.0f} s ahead", command="date -u")
    if told.synchronized is None:
        yield found("clock_untold", shown, command="date -u")
    elif told.synchronized:
        yield found("clock_right", f"{shown}, by {told.told_by}")
    else:
        command = "sudo timedatectl set-ntp true"
        yield found("clock_free", f"{shown}, by {told.told_by}", command=command)


def disk(facts: HostFacts) -> Iterator[Finding]:
    """Room for the journal."""
    told = facts.disk
    if told is None:
        return
    most = facts.note.journal_max
    bound = f"--journal-max {_size(most)}" if most else "no bound (--journal-max 0)"
    room = f"{_size(told.free)} free of {_size(told.size)} at {facts.state_shown}"
    lines = [room, f"the journal has {_size(told.used_by_journal)}, {bound}"]
    if told.is_read_only:
        yield found("disk_read_only", *lines, command=f"findmnt -T {shlex.quote(facts.state)}")
    elif told.free < FULL or not told.has_inodes:
        lines += [] if told.has_inodes else ["no inode is free"]
        yield found("disk_full", *lines, command=f"df -hi {shlex.quote(facts.state)}")
    elif not most or most - told.used_by_journal > told.free - FULL:
        fitting = max(1, (told.used_by_journal + told.free // 2) // 1_000_000)
        yield found(
            "disk_tight",
            *lines,
            command=f"{facts.command} serve{facts.state_option} --journal-max {fitting}MB",
        )
    else:
        yield found("disk_room", *lines)


def _size(amount: int) -> str:
    value, unit = float(amount), "B"
    for larger in ("KB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.0f} {unit}" if value >= 10 or unit == "B" else f"{value:.1f} {unit}"


def rights(facts: HostFacts) -> Iterator[Finding]:
    """Who can read the state, and whether the gateway can write it."""
    there = facts.rights
    if not there:
        return
    folder = next((each for each in there if each.name == "."), None)
    foreign = [each for each in there if each.owner != facts.gateway_user]
    is_open = folder is None or bool(folder.mode & 0o011)
    loose = [each for each in there if each.mode & 0o077]
    where = shlex.quote(facts.state)
    commands = []
    if folder in loose:
        commands.append(f"chmod 700 {where}")
    if names := [shlex.quote(f"{facts.state}/{each.name}") for each in loose if each is not folder]:
        commands.append(f"chmod go= {' '.join(names)}")
    tell = [f"{_name(facts, each)} has {each.mode:04o}" for each in loose]
    if foreign:
        owners = [f"{_name(facts, each)} is user {each.owner}'s" for each in foreign]
        whose = f"the gateway's is {facts.gateway_user}"
        command = f"sudo chown -R {facts.gateway_user} {where}"
        yield found("rights_foreign", *owners[:6], whose, command=command)
    bare = is_open and any(each is not folder for each in loose)
    if bare or (folder is not None and folder.mode & 0o022):
        yield found("rights_open", *tell[:6], command=" && ".join(commands))
    elif loose:
        yield found("rights_loose", *tell[:6], command=" && ".join(commands))
    elif not foreign:
        yield found("rights_private", f"{facts.state_shown}, {len(there) - 1} files in it")


def _name(facts: HostFacts, each: Rights) -> str:
    return facts.state_shown if each.name == "." else each.name
