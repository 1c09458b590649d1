"""What ``wsdev tokens`` prints."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from wsdev import client
from wsdev.commands.option_values import seconds
from wsdev.errors import WsdevError
from wsdev.failures import no_token_error
from wsdev.sanitize import printable
from wsdev.token_format import parse_token
from wsdev.tokens import TokenBook, TokenKind, TokenRecord
from wsdev.urls import parse_gateway_address

_WIDTH = 320
"""A token is there to be copied: a table is wider than the terminal rather than cut."""


def _console() -> Console:
    # Without markup: a gateway's text may look like it.
    return Console(highlight=False, markup=False, emoji=False, soft_wrap=True, width=_WIDTH)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, no_wrap=True)
    return table


def _print_json(document: Any) -> None:
    sys.stdout.write(msgspec.json.encode(document).decode() + "\n")


def fetch(
    url: str,
    device: str | None,
    *,
    quiet: bool,
    as_json: bool,
    timeout: str,
    cacert: Path | None,
    insecure: bool,
) -> None:
    """Fetch over HTTP and print: a table, JSON, or with ``quiet`` the first token alone.

    Raises:
        NotAllowed: there is no token of the class; PathError and others as for a visit.
    """
    address = parse_gateway_address(url)
    tls = client.make_tls_context(cacert, insecure=insecure) if address.tls else None
    limit = seconds("--timeout", timeout)
    listed = asyncio.run(client.fetch_tokens(address, tls=tls, patience=limit))
    wanted = {name: found for name, found in listed.items() if device in (None, name) and found}
    if not wanted:
        raise no_token_error(device, listed)
    if quiet:
        typed = next(iter(wanted.values()))[0]
        sys.stdout.write(printable(typed) + "\n")
    elif as_json:
        _print_json({"url": address.tokens_url(), "tokens": wanted})
    else:
        table = _table("class", "token")
        for name, found in wanted.items():
            for token in found:
                table.add_row(printable(name), printable(token))
        _console().print(table)


def _moment(unix: float | None) -> str:
    if unix is None:
        return ""
    return datetime.fromtimestamp(unix, UTC).astimezone().strftime("%Y-%m-%d %H:%M")


def _facts(record: TokenRecord, now: float) -> dict[str, Any]:
    return {
        "id": record.id,
        "class": record.device_class,
        "device": record.name,
        "kind": record.kind.value,
        "state": record.state(now),
        "tail": record.tail,
        "created": record.created,
        "retires": record.retires,
        "revoked": record.revoked,
    }


def show_book(book: TokenBook, *, as_json: bool) -> None:
    """All tokens with their state, and the window. Only class tokens can be shown whole."""
    now = time.time()
    records = book.list()
    if as_json:
        tokens = [{**_facts(r, now), "token": r.token if r.is_live(now) else None} for r in records]
        _print_json({"window_seconds": round(book.window_left()), "tokens": tokens})
        return
    table = _table("id", "class", "device", "state", "created", "ends", "token")
    for record in records:
        state = record.state(now)
        shown = record.token if record.token and record.is_live(now) else f"…{record.tail}"
        table.add_row(
            record.id,
            record.device_class,
            record.name or ("" if record.kind is TokenKind.OPERATOR else "any"),
            Text(state, style="green" if state == "active" else "yellow"),
            _moment(record.created),
            _moment(record.revoked or record.retires),
            shown,
        )
    console = _console()
    console.print(table)
    left = book.window_left()
    console.print(
        f"handed out at /public/tokens for {left / 60:.0f} min more"
        if left
        else "not handed out now; open the window with: wsdev tokens open --for 10m"
    )


def _holder(record: TokenRecord) -> str:
    if record.kind is TokenKind.OPERATOR:
        return f"the operator {record.name}" if record.name else "an operator of the console"
    return f"the device {record.name}" if record.name else f"any {record.device_class}"


def show_new(record: TokenRecord, token: str, *, quiet: bool, as_json: bool) -> None:
    """A token that was just made."""
    if quiet:
        sys.stdout.write(token + "\n")
    elif as_json:
        _print_json({**_facts(record, time.time()), "token": token})
    else:
        who = _holder(record)
        console = _console()
        console.print(f"{record.id}: for {who}")
        console.print(Text(token, style="bold"))
        if record.kind is TokenKind.OPERATOR:
            console.print(
                "It is shown this once, and opens the console: keep it as you keep a password."
            )
        elif record.name:
            console.print("It is shown this once: put it into the device now.")


def show_revoked(records: Sequence[TokenRecord], *, as_json: bool) -> None:
    """What was revoked."""
    if as_json:
        _print_json({"revoked": [record.id for record in records]})
        return
    if not records:
        sys.stdout.write("it had ended already\n")
    for record in records:
        if record.kind is TokenKind.OPERATOR:
            sys.stdout.write(f"revoked {record.id} (for {_holder(record)}); its sessions end\n")
            continue
        who = record.name or f"any {record.device_class}"
        sys.stdout.write(f"revoked {record.id} (for {who}); its devices are being cut off\n")


def check(text: str, open_book: Callable[[], TokenBook], *, as_json: bool) -> None:
    """Say what a token is.

    Raises:
        MistypedToken, UnknownToken, RetiredToken: what is wrong with it.
    """
    try:
        parse_token(text)  # a mistyped one is told without a book
        with open_book() as book:
            record = book.check(text)
    except WsdevError as error:
        if not as_json:
            raise
        _print_json({"verdict": error.code, "cause": error.cause, "hint": error.hint})
        raise SystemExit(error.exit_code) from None
    if as_json:
        _print_json({"verdict": "good", **_facts(record, time.time())})
    else:
        who = _holder(record)
        sys.stdout.write(f"good: {record.id}, for {who}, {record.state(time.time())}\n")
