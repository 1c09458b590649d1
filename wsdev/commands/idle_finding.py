"""``wsdev connect --find-idle-cut``: from options to a search, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import Any, Final

import msgspec

from wsdev import __version__, idle_finder, probe
from wsdev.commands import idle_views, visit_views
from wsdev.commands.option_values import seconds
from wsdev.commands.visiting import error_document, plain_console
from wsdev.errors import ExitCode, LinkCut, WsdevError
from wsdev.idle_cut import Judgement, Plan, make_plan
from wsdev.idle_finder import Search
from wsdev.report import encode_report, make_report
from wsdev.target import Target, fetch_token

FORM: Final = "wsdev.idle-cut/1"
"""Raised when a field changes its meaning or goes; new fields may come without."""

DEFAULT_UP_TO: Final = "10m"


def run(target: Target, up_to: str | None, *, messages: int, as_json: bool, quiet: bool) -> None:
    """Visit the gateway, then look for the idle cut; ends the program with the code it deserves."""
    plan = make_plan(seconds("--up-to", up_to or DEFAULT_UP_TO, least=1.0), target.patience)
    asyncio.run(find(target, plan, messages=messages, as_json=as_json, quiet=quiet))


async def find(target: Target, plan: Plan, *, messages: int, as_json: bool, quiet: bool) -> None:
    """Visit, search, and print both.

    Raises:
        LinkCut: the path cuts before the gateway's ping, or what it does is no idle cut.
        WsdevError: the search could not be done.
        SystemExit: the visit failed, or Ctrl-C.
    """
    await _visit(target, messages, as_json=as_json, quiet=quiet)
    search = Search(target, target.token, plan)
    view = idle_views.view_for(plan, plain_console(quiet=quiet or as_json))
    error: WsdevError | None = None
    interrupted = False
    try:
        with view:
            search.token = target.token or await fetch_token(target)
            await idle_finder.find_idle_cut(search, view)
        error = _bad_news(search)
    except WsdevError as exc:
        error = exc
    except asyncio.CancelledError:
        interrupted = True
    code = ExitCode.INTERRUPTED if interrupted else error.exit_code if error else ExitCode.OK
    if as_json:
        sys.stdout.write(msgspec.json.encode(_document(search, error, code)).decode() + "\n")
        sys.stdout.flush()
        if code:
            raise SystemExit(code)
    if interrupted:
        plain_console(quiet=False, stderr=True).print("wsdev: interrupted; known until then:")
    if search.outcomes or interrupted:
        idle_views.print_finding(search, plain_console(quiet=quiet or as_json))
    if interrupted:
        raise SystemExit(code)
    if error is not None:
        raise error


async def _visit(target: Target, messages: int, *, as_json: bool, quiet: bool) -> None:
    """The way in, step by step: what is broken there is no idle cut."""
    visit = probe.Visit(target, messages)
    console = plain_console(quiet=quiet or as_json)
    live = visit_views.LiveSteps(console)
    live.title(
        f"{target.device_class.name} at {target.address.websocket_url(target.device_class.name)}"
    )
    with contextlib.suppress(asyncio.CancelledError):  # Ctrl-C: what is known is told below
        try:
            await probe.visit(visit, live)
        finally:
            live.stop()
    report = make_report(visit)
    if report.ok:
        return
    if as_json:
        sys.stdout.write(encode_report(report) + "\n")
        sys.stdout.flush()
    else:
        visit_views.print_end(report, console, plain_console(quiet=False, stderr=True))
    raise SystemExit(report.exit_code)


def _bad_news(search: Search) -> LinkCut | None:
    """The error that the finding is, if it is one."""
    finding, interval = search.finding, search.ping_interval
    assert interval is not None
    judgement = finding.judge(interval)
    if judgement is Judgement.NOT_IDLE:
        return LinkCut(
            f"a connection that was not silent ended as well, after"
            f" {idle_views.told(finding.busy_cut or 0)}: this is no idle cut",
            "look at the gateway's log, at the Wi-Fi, and for a proxy that bounds how long a"
            " connection may last; then look again",
            code="not_idle",
        )
    if judgement is Judgement.TOO_SOON:
        return LinkCut(
            f"{idle_views.sentence(finding)}, and the gateway pings only after"
            f" {idle_views.told(interval)}",
            idle_views.remedy(finding),
            code="idle_cut",
        )
    return None


def _document(search: Search, error: WsdevError | None, code: ExitCode) -> dict[str, Any]:
    finding, target, interval = search.finding, search.target, search.ping_interval
    return {
        "form": FORM,
        "wsdev": __version__,
        "url": target.address.websocket_url(target.device_class.name),
        "ok": code is ExitCode.OK,
        "exit_code": int(code),
        "judgement": finding.judge(interval) if interval else Judgement.UNKNOWN,
        "interrupted": code is ExitCode.INTERRUPTED,
        "up_to": search.plan.up_to,
        "gateway_ping_interval": interval,
        "finding": finding,
        "outcomes": search.outcomes,
        "error": None if error is None else error_document(error),
    }
