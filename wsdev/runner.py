"""The gateway as a process: parts put together, banner, signals, the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import shlex
import signal
import socket
import ssl
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from wsdev import __version__, event_loop, logs
from wsdev.command_archive import FileArchive
from wsdev.command_desk import CommandDesk
from wsdev.errors import UsageError
from wsdev.hub import Hub
from wsdev.interfaces import is_beyond_loopback, is_public, listen, own_addresses, reachable_urls
from wsdev.journal import FileJournal
from wsdev.journal_interface import CommandArchive, Journal
from wsdev.journal_schema import FILE_NAME
from wsdev.log_writer import written_aside
from wsdev.metrics import Metrics
from wsdev.metrics_page import serve_metrics
from wsdev.serve_note import NOTE_NAME, make_note
from wsdev.server import FIRST_WINDOW, SPARE_FILES, Gateway, raise_file_limit
from wsdev.setting_values import duration_text, size_text
from wsdev.settings import ServeSettings
from wsdev.state_lock import hold_state_folder, left_note
from wsdev.tls_port import make_tls_context
from wsdev.tokens import TokenBook

Echo = Callable[[str], None]

Recording = Callable[[ServeSettings, Path, Metrics], AbstractContextManager[Journal]]
"""Opens the journal of a state folder for as long as the gateway runs."""

CONSOLE_FILES: Final = 320
"""File descriptors that the console may take."""

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def recording(settings: ServeSettings, folder: Path, metrics: Metrics) -> Iterator[Journal]:
    """The journal in the state folder; all of it is on disk when the block ends.

    Raises:
        JournalError, StateFolderError: it cannot be opened.
    """
    journal = FileJournal(
        folder,
        full_sync=settings.journal_sync == "full",
        keep=settings.journal_keep,
        most=settings.journal_max,
        pictures=settings.record_pictures,
        limits=settings.limits(),
        on_commit=metrics.committed,
        on_step=metrics.deleted,
    )
    if (aside := journal.set_aside) is not None:
        logs.log(logging.WARNING, "journal_set_aside", cause=aside.cause, kept_as=aside.kept_as)
    if journal.pictures_aside is not None:
        logs.log(logging.WARNING, "pictures_set_aside", kept_as=journal.pictures_aside)
    if lost := journal.lost_sessions:
        logs.log(logging.WARNING, "lost_with_the_server", sessions=lost)
    try:
        yield journal
    finally:
        if left := journal.close():
            logs.log(
                logging.ERROR, "not_recorded", rows=left, cause=journal.trouble or "disk too slow"
            )


def run(settings: ServeSettings, echo: Echo, recording: Recording = recording) -> None:
    """Serve until a signal says stop.

    Args:
        echo: Prints a line of the banner to the operator.
        recording: Gives the journal.

    Raises:
        UsageError, AddressInUse, AddressUnavailable, StateFolderError, CertificateError,
        AlreadyRunning, TokenBookError, JournalError: see :mod:`wsdev.errors`.
    """
    logs.set_up(settings.log_format, settings.log_level)
    tls = _tls(settings)
    folder = settings.state_folder()
    metrics = Metrics(settings.classes())
    with contextlib.ExitStack() as stack:
        stack.enter_context(written_aside(logs.LOGGER))
        stack.enter_context(hold_state_folder(folder))
        book = stack.enter_context(TokenBook.open(folder))
        book.ensure_classes(settings.classes())
        sockets = listen(settings.host, settings.port)
        for sock in sockets:
            stack.enter_context(contextlib.closing(sock))
        console = open_console(settings, stack)
        if settings.metrics_port is not None:
            page = stack.enter_context(serve_metrics(metrics, settings.metrics_port))
            logs.log(logging.INFO, "metrics", url=f"http://127.0.0.1:{page.port}/metrics")
        journal = stack.enter_context(recording(settings, folder, metrics))
        if book.is_new and settings.public_tokens == "window":
            book.open_window(FIRST_WINDOW)
        parts = Parts(book, journal, FileArchive(folder), metrics)
        event_loop.run(_serve(settings, parts, Sockets(sockets, console), tls, echo))


@dataclass(frozen=True, slots=True)
class Sockets:
    """Where the device plane listens, and the console; that is empty without one."""

    devices: Sequence[socket.socket]
    console: Sequence[socket.socket] = ()


def open_console(settings: ServeSettings, stack: contextlib.ExitStack) -> list[socket.socket]:
    """The console's listening sockets, closed with ``stack``; none without a console."""
    if not settings.console:
        return []
    from wsdev.console.serving import open_sockets  # noqa: PLC0415  (brings Starlette and uvicorn)

    sockets = open_sockets(settings)
    for sock in sockets:
        stack.enter_context(contextlib.closing(sock))
    return sockets


@contextlib.asynccontextmanager
async def _console(
    settings: ServeSettings,
    gateway: Gateway,
    desk: CommandDesk,
    sockets: Sequence[socket.socket],
    tls: ssl.SSLContext | None,
) -> AsyncIterator[None]:
    """The console while the block runs, if there is one."""
    if not sockets:
        yield
        return
    from wsdev.console import serving  # noqa: PLC0415
    from wsdev.console.plane import GatewayParts  # noqa: PLC0415

    parts = GatewayParts(
        settings,
        gateway.tokens,
        gateway.hub,
        desk,
        gateway.metrics,
        settings.state_folder(),
        gateway.desk.health,
        gateway.now,
        gateway.policy.wall_clock,
    )
    async with serving.serving(parts, sockets, tls if is_beyond_loopback(sockets) else None):
        yield


@dataclass(frozen=True, slots=True)
class Parts:
    """What outlives the event loop."""

    book: TokenBook
    journal: Journal
    archive: CommandArchive
    metrics: Metrics


def _tls(settings: ServeSettings) -> ssl.SSLContext | None:
    if settings.tls_cert is None:
        if settings.tls_key is not None:
            raise UsageError("--tls-key is given without --tls-cert", "give both")
        return None
    return make_tls_context(settings.tls_cert, settings.tls_key)


def log_loop_fault(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """The loop's exception handler: one line of our log, instead of a traceback in between."""
    logs.log_fault("fault", context.get("exception"), doing=context.get("message"))


async def _serve(
    settings: ServeSettings,
    parts: Parts,
    sockets: Sockets,
    tls: ssl.SSLContext | None,
    echo: Echo,
) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(log_loop_fault)
    stop = asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            # The operator means it: no more politeness.
            logs.log(logging.WARNING, "stopped", reason="second signal")
            for handler in logs.LOGGER.handlers:
                handler.flush()
            os._exit(128 + signal.SIGTERM)
        stop.set()

    for number in SIGNALS:
        loop.add_signal_handler(number, on_signal)
    parts.journal.start(loop.call_soon_threadsafe)
    hub = Hub(max_command=settings.limits().command_bytes)
    desk = CommandDesk(
        hub,
        parts.journal,
        parts.archive,
        clock=time.monotonic,
        on_over=parts.metrics.commanded,
    )
    gateway = Gateway(
        settings,
        parts.book,
        hub,
        parts.journal,
        parts.metrics,
        # Not the loop's: uvloop counts whole milliseconds, and a pong on a fast network takes less.
        clock=time.monotonic,
        max_connections=(room := _room_for_devices(sockets)),
    )
    parts.metrics.watch(
        loop.call_soon_threadsafe,
        totals=gateway.totals,
        queue=lambda: parts.journal.waiting,
        journal_trouble=lambda: bool(parts.journal.trouble),
        refusals_left_out=lambda: parts.journal.left_out,
    )
    await gateway.start(sockets.devices, tls)
    async with _console(settings, gateway, desk, sockets.console, tls):
        # What start-up made lives as long as the process; the collector need not look at it again.
        gc.freeze()
        with _told(settings, sockets.devices, room):
            for line in banner(settings, parts.book, sockets, own_addresses()):
                echo(line)
            sys.stdout.flush()
            await stop.wait()
            logs.log(logging.INFO, "draining", devices=len(gateway.hub), seconds=settings.drain)
            await gateway.drain(settings.drain)
    logs.log(logging.INFO, "stopped")


def _room_for_devices(sockets: Sockets) -> int:
    """Connections that the process's file limit leaves for devices."""
    return raise_file_limit() - SPARE_FILES - (CONSOLE_FILES if sockets.console else 0)


@contextlib.contextmanager
def _told(
    settings: ServeSettings, sockets: Sequence[socket.socket], max_connections: int
) -> Iterator[None]:
    """Tell the commands beside what runs here; a full disk is no reason not to serve."""
    note = make_note(
        settings,
        [(str(name[0]), int(name[1])) for name in (sock.getsockname() for sock in sockets)],
        pid=os.getpid(),
        version=__version__,
        started=time.time(),
        max_connections=max_connections,
    )
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(left_note(settings.state_folder(), note))
        except OSError as exc:
            logs.log(logging.WARNING, "not_told", cause=exc.strerror, file=NOTE_NAME)
        yield


def banner(
    settings: ServeSettings,
    book: TokenBook,
    sockets: Sockets,
    own: Sequence[str],
) -> list[str]:
    """What the operator should know at the start: addresses, tokens, warnings.

    Args:
        own: The host's addresses.
    """
    scheme = "wss" if settings.tls_cert else "ws"
    urls = reachable_urls(sockets.devices, scheme, own)
    outside = [url for url, beyond_loopback in urls if beyond_loopback]
    classes = list(settings.classes())
    lines = [f"wsdev {__version__} gateway is ready.", "", "Devices connect at"]
    lines += [f"  {url}/ws/<class>" for url, _ in urls]
    lines.append(f"  classes: {', '.join(classes)}")
    left = book.window_left()
    lines += ["", "Tokens", f"  {_token_policy(settings, left)}"]
    if settings.trust_local:
        lines.append("  your own programs on this host need none (--no-trust-local ends that)")
    lines += ["", "Journal", *_journal_policy(settings)]
    lines += ["", "Console", *_console_lines(settings, sockets.console, own)]
    warnings = []
    if settings.public_tokens == "open" and outside:
        warnings.append("anyone who can reach this port can fetch a token: --public-tokens is open")
    if is_beyond_loopback(sockets.console) and settings.tls_cert is None:
        warnings.append(
            "the console listens beyond this host without TLS: whoever hears the network can take"
            " an operator token and run this gateway; use --tls-cert, or leave --console-host out"
        )
    if is_public(sockets.devices, own) and settings.tls_cert is None:
        warnings.append(
            "an address is public and there is no TLS: tokens and messages travel in the clear;"
            " use --tls-cert, or put a TLS proxy in front"
        )
    if not outside:
        warnings.append("only this host can connect: no address beyond loopback is listened on")
    if warnings:
        lines += ["", *(f"WARNING: {warning}" for warning in warnings)]
    shown = (outside or [url for url, _ in urls])[0]
    lines += [
        "",
        f"Try it from the field: wsdev connect --device {classes[0]} --url {shown}",
        "Stop with Ctrl-C.",
        "",
    ]
    return lines


def _console_lines(
    settings: ServeSettings, sockets: Sequence[socket.socket], own: Sequence[str]
) -> list[str]:
    if not sockets:
        return ["  off (--no-console)"]
    tls = settings.tls_cert is not None and is_beyond_loopback(sockets)
    lines = [f"  {url}/" for url, _ in reachable_urls(sockets, "https" if tls else "http", own)]
    if not settings.trust_local or is_beyond_loopback(sockets):
        lines.append("  log in with a token of: wsdev tokens create --operator")
    return lines


def _journal_policy(settings: ServeSettings) -> list[str]:
    path = settings.state_folder() / FILE_NAME
    with contextlib.suppress(ValueError):
        path = "~" / path.relative_to(Path.home())
    kept = [
        f"kept for {duration_text(settings.journal_keep)}" if settings.journal_keep else "",
        f"at most {size_text(settings.journal_max)}" if settings.journal_max else "",
    ]
    chosen = f" --state {shlex.quote(str(settings.state))}" if settings.state else ""
    return [
        f"  {', '.join([str(path), *filter(None, kept)])}",
        f"  read what happened with: wsdev logs{chosen}",
    ]


def _token_policy(settings: ServeSettings, left: float) -> str:
    if settings.public_tokens == "open":
        return "handed out at /public/tokens to anyone (--public-tokens open)"
    if settings.public_tokens == "off":
        return "never handed out (--public-tokens off); wsdev tokens list shows them here"
    if left > 0:
        minutes, seconds = divmod(int(left), 60)
        return f"handed out at /public/tokens for {minutes} min {seconds:02} s more"
    return "not handed out now; open the window with: wsdev tokens open --for 10m"
