"""``wsdev connect`` as a probe: from options to visits, and where their results go."""

from __future__ import annotations

import asyncio
import datetime
import sys
from dataclasses import dataclass
from pathlib import Path

from wsdev import probe
from wsdev.commands import junit_file, ticket, visit_views, watching
from wsdev.commands.option_values import seconds
from wsdev.commands.output_files import whole_file
from wsdev.commands.visiting import plain_console
from wsdev.diagnosis.facts import Quality
from wsdev.errors import UsageError
from wsdev.report import Report, encode_report, make_report
from wsdev.setting_values import parse_share
from wsdev.target import Target

SHORTEST_WATCH = 2.0
"""Seconds between two visits: a gateway hands a token out 30 times a minute to one address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """The options of a probe as they were given; see ``wsdev connect --help``."""

    messages: int
    max_rtt: str | None
    max_loss: str | None
    junit: Path | None
    report: Path | None
    watch: str | None
    duration: str | None
    as_json: bool
    quiet: bool


async def probe_as_wished(target: Target, wishes: Wishes) -> int:
    """Visit once or again and again; returns the exit code.

    Raises:
        UsageError: options that cannot be meant, or a file that cannot be written.
    """
    quality = _quality(wishes)

    def new_visit() -> probe.Visit:
        return probe.Visit(target, wishes.messages, quality=quality)

    if wishes.watch is None:
        return await _visit_once(new_visit(), wishes)
    if wishes.junit or wishes.report:
        raise UsageError("--junit and --report are for one visit", "leave --watch out")
    every = seconds("--watch", wishes.watch, least=SHORTEST_WATCH)
    until = seconds("--duration", wishes.duration) if wishes.duration else None
    return await watching.watch(new_visit, every, until, as_json=wishes.as_json, quiet=wishes.quiet)


def _quality(wishes: Wishes) -> Quality:
    quality = Quality()
    if wishes.max_rtt is not None:
        quality.max_rtt = seconds("--max-rtt", wishes.max_rtt)
    if wishes.max_loss is not None:
        try:
            quality.max_loss = parse_share(wishes.max_loss)
        except ValueError as exc:
            raise UsageError(f"--max-loss: {wishes.max_loss!r}: {exc}", "for example 5%") from None
    return quality


async def _visit_once(visit: probe.Visit, wishes: Wishes) -> int:
    """Show each step while it is walked, and the end in all forms that were asked for."""
    target = visit.target
    where = target.address.websocket_url(target.device_class.name)
    live = visit_views.LiveSteps(plain_console(quiet=wishes.quiet or wishes.as_json))
    live.title(f"{target.device_class.name} at {where}")
    try:
        await probe.visit(visit, live)
    except asyncio.CancelledError:  # Ctrl-C, and not an output that takes no more
        live.stop()
        _end(make_report(visit), wishes)
        raise
    finally:
        live.stop()
    report = make_report(visit)
    _end(report, wishes)
    return report.exit_code


def _end(report: Report, wishes: Wishes) -> None:
    _show(report, wishes)
    _write_files(report, wishes)


def _show(report: Report, wishes: Wishes) -> None:
    if wishes.as_json:
        sys.stdout.write(encode_report(report) + "\n")
        sys.stdout.flush()
        return
    err = plain_console(quiet=False, stderr=True)
    visit_views.print_end(report, plain_console(quiet=wishes.quiet), err)


def _write_files(report: Report, wishes: Wishes) -> None:
    if wishes.junit is not None:
        with whole_file(wishes.junit) as out:
            out.write(junit_file.junit(report))
    if wishes.report is not None:
        with whole_file(wishes.report) as out:
            out.write(ticket.ticket(report, datetime.datetime.now(datetime.UTC)))
