"""A visit as one Markdown file for a support ticket, without secrets."""

from __future__ import annotations

import datetime
import platform

import msgspec

from wsdev.report import Report, interruption
from wsdev.sanitize import printable
from wsdev.token_format import without_tokens


def ticket(report: Report, now: datetime.datetime) -> str:
    """The text of the file.

    Args:
        now: With a time zone; when the visit ended.
    """
    result = "all layers work" if report.ok else interruption(report)
    if report.verdict is not None:
        result = f"broken at the layer {report.verdict.layer.value}: {report.verdict.what}"
    parts = [
        "# wsdev connect: a report",
        "",
        f"- result: {_text(result)} (exit code {report.exit_code})",
        f"- visited: {_text(report.url)}",
        f"- at: {now.astimezone(datetime.UTC):%Y-%m-%d %H:%M:%S} UTC",
        f"- with: wsdev {report.wsdev}, {_text(_system())}",
        *_verdict(report),
        *_steps(report),
        *_remarks(report),
        "",
        "## Everything that was seen",
        "",
        "```json",
        _facts(report),
        "```",
        "",
    ]
    return without_tokens("\n".join(parts))


def _system() -> str:
    return f"Python {platform.python_version()}, {platform.platform(terse=True)}"


def _verdict(report: Report) -> list[str]:
    if report.verdict is None:
        return []
    return [
        "",
        f"## What broke: `{report.verdict.code}`",
        "",
        *[f"- seen: {_text(line)}" for line in report.verdict.evidence],
        f"- why: {_text(report.verdict.why)}",
        f"- try: {_text(report.verdict.fix)}",
    ]


def _steps(report: Report) -> list[str]:
    rows = [
        f"| {step.name.value} | {'ok' if step.ok else '**no**'} | {step.ms:.1f} |"
        f" {_text(step.detail)} |"
        for step in report.steps
    ]
    lines = ["", "## Steps", "", "| layer | | ms | seen |", "|---|---|---|---|", *rows]
    if report.round_trip_ms is not None:
        told = msgspec.to_builtins(report.round_trip_ms)
        lines += ["", "Round trips: " + ", ".join(f"{key} {value}" for key, value in told.items())]
    return lines


def _remarks(report: Report) -> list[str]:
    if not report.remarks:
        return []
    return ["", "## Notes", ""] + [
        f"- {_text(remark.what)}: {_text(remark.fix)}" for remark in report.remarks
    ]


def _facts(report: Report) -> str:
    """Indented, so that no line of a peer's text can begin one, and end the block."""
    encoded = msgspec.json.format(msgspec.json.encode(report.facts), indent=2).decode()
    return "\n".join(printable(line, limit=20_000) for line in encoded.split("\n"))


def _text(text: str) -> str:
    """Text that Markdown takes as it is."""
    text = printable(text, limit=2000)
    for mark in "\\`*_[]<>|#":
        text = text.replace(mark, f"\\{mark}")
    return text
