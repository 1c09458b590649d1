"""The host's side of the diagnosis: gathers the facts. Looks only, and each look has an end."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import ssl
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final

import msgspec

from wsdev import __version__
from wsdev.certificate import unverified_context
from wsdev.clock_state import clock_state
from wsdev.errors import StateFolderError, WsdevError
from wsdev.findings.facts import (
    ClockFacts,
    DiskFacts,
    HostFacts,
    Listening,
    Outcome,
    Rights,
    TokenFacts,
    Visit,
)
from wsdev.firewall_reader import look_at_firewall
from wsdev.interfaces import ALL_INTERFACES, addresses_and_interfaces
from wsdev.journal_schema import FILE_NAME as JOURNAL_NAME
from wsdev.journal_schema import PICTURES_FOLDER
from wsdev.proc_files import (
    default_interfaces,
    file_limits,
    listening_sockets,
    process_user,
    proxies_in_front,
)
from wsdev.protocol import HEALTH_PATH
from wsdev.serve_note import ServeNote, make_note
from wsdev.served_certificate import look_at_certificate
from wsdev.settings import ServeSettings
from wsdev.state_lock import holder, note_of
from wsdev.token_file import FILE_NAME as BOOK_NAME
from wsdev.token_file import TokenFile

PATIENCE: Final = 3.0
"""Seconds for one connection of the host to itself, which takes a millisecond."""

MOST_ADDRESSES: Final = 64
"""Addresses that are visited: a host of containers has hundreds, and they are all alike."""

_MOST_BYTES: Final = 16_384

_VIRTUAL: Final = ("docker", "br-", "veth", "virbr", "lxc", "lxd", "cni", "podman", "tun", "wg")
"""Interfaces whose addresses devices seldom see."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be looked at.

    Attributes:
        folder: The state folder.
        state_option: As in :class:`~wsdev.findings.facts.HostFacts`.
        port: That of the running gateway if None.
        settings: Those with which a gateway would be started, for when none runs.
        command, program: How this wsdev is called, plainly and with its path.
    """

    folder: Path
    state_option: str
    port: int | None
    settings: ServeSettings
    command: str
    program: str


async def examine(question: Question, patience: float = PATIENCE) -> HostFacts:
    """Gather everything that :func:`wsdev.findings.host.diagnose` judges."""
    folder = question.folder
    pid, trouble = _find_holder(folder)
    told = note_of(folder, pid) if pid else None
    note = told or _planned_note(question.settings)
    port = question.port or note.port
    # Before anything is opened: SQLite makes files beside the book.
    rights = _rights(folder)
    addresses = _likeliest_first(addresses_and_interfaces())
    sockets = await asyncio.to_thread(listening_sockets)
    ours = tuple(sock for sock in sockets if sock.port == port)
    visits, firewall, tokens = await asyncio.gather(
        _visit_all(_with_bound(addresses, ours), port, note.tls_cert is not None, patience),
        asyncio.to_thread(
            look_at_firewall, [each for each in addresses if not _is_loopback(each[0])], port
        ),
        asyncio.to_thread(_look_at_tokens, folder),
    )
    certificate = None
    if note.tls_cert is not None:
        answering = next((v.address for v in visits if v.outcome == "gateway"), None)
        certificate = await look_at_certificate(answering, port, note.tls_cert, patience)
    synchronized, told_by = await asyncio.to_thread(clock_state)
    user = process_user(pid) if pid else next((r.owner for r in rights if r.name == "."), None)
    return HostFacts(
        command=question.command,
        program=question.program,
        state=str(folder),
        state_shown=_shown(folder),
        state_option=question.state_option,
        holder=pid,
        holder_trouble=trouble,
        note=note,
        is_told=told is not None,
        port=port,
        listening=ours,
        visits=visits,
        firewall=firewall,
        proxies=tuple(await asyncio.to_thread(proxies_in_front, sockets)),
        certificate=certificate,
        tokens=tokens,
        files=file_limits(pid) if pid else None,
        clock=ClockFacts(time.time(), synchronized, told_by, _newest(folder)),
        disk=await asyncio.to_thread(_look_at_disk, folder),
        rights=rights,
        user=os.geteuid(),
        gateway_user=os.geteuid() if user is None else user,
    )


def _find_holder(folder: Path) -> tuple[int | None, str]:
    try:
        return holder(folder), ""
    except StateFolderError as exc:
        return None, exc.cause


def _shown(folder: Path) -> str:
    with contextlib.suppress(ValueError, RuntimeError):  # not below it; or there is no home
        return str("~" / folder.relative_to(Path.home()))
    return str(folder)


def _planned_note(settings: ServeSettings) -> ServeNote:
    """How a gateway would run with these settings."""
    addresses = [(host, settings.port) for host in settings.host or ALL_INTERFACES]
    return make_note(
        settings, addresses, pid=0, version=__version__, started=0.0, max_connections=0
    )


# Addresses


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address).is_loopback


def _likeliest_first(addresses: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The address that a device is most likely to reach comes first."""
    ways_out = default_interfaces()
    return sorted(
        addresses,
        key=lambda each: (
            _is_loopback(each[0]),
            each[1] not in ways_out,
            each[1].startswith(_VIRTUAL),
        ),
    )[:MOST_ADDRESSES]


def _with_bound(
    addresses: Sequence[tuple[str, str]], sockets: Iterable[Listening]
) -> list[tuple[str, str]]:
    """All addresses, and those of sockets that no interface lists, as 127.0.0.2."""
    listed = {address for address, _ in addresses}
    bound = {sock.address for sock in sockets if sock.address not in {*listed, *ALL_INTERFACES}}
    return [*addresses, *((address, "") for address in sorted(bound))]


async def _visit_all(
    addresses: Sequence[tuple[str, str]], port: int, tls: bool, patience: float
) -> tuple[Visit, ...]:
    visits = (visit(address, interface, port, tls, patience) for address, interface in addresses)
    return tuple(await asyncio.gather(*visits))


async def visit(address: str, interface: str, port: int, tls: bool, patience: float) -> Visit:
    """Connect to an address and ask for ``/healthz``."""
    started = time.monotonic()
    outcome: Outcome
    try:
        async with asyncio.timeout(patience):
            answer = await _ask(address, port, tls)
    except TimeoutError:
        return Visit(address, interface, "no answer", detail=f"no answer within {patience:g} s")
    except ConnectionRefusedError:
        return Visit(address, interface, "refused", detail="refuses the connection")
    except ssl.SSLError:
        return Visit(address, interface, "other", detail="does not speak TLS")
    except ConnectionResetError:
        return Visit(address, interface, "other", detail="cuts the connection")
    except OSError as exc:
        return Visit(address, interface, "no answer", detail=exc.strerror or "cannot be reached")
    outcome, health, detail = _read_answer(answer)
    return Visit(address, interface, outcome, health, detail, time.monotonic() - started)


async def _ask(address: str, port: int, tls: bool) -> bytes:
    context = unverified_context() if tls else None  # whom to trust is the certificate's finding
    reader, writer = await asyncio.open_connection(address, port, ssl=context)
    try:
        host = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        lines = (f"GET {HEALTH_PATH} HTTP/1.1", f"Host: {host}", "Connection: close")
        agent = f"User-Agent: wsdev-doctor/{__version__}"
        writer.write("\r\n".join((*lines, agent, "", "")).encode("ascii"))
        answer = b""
        while len(answer) < _MOST_BYTES and (more := await reader.read(_MOST_BYTES)):
            answer += more
        return answer
    finally:
        writer.transport.abort()


class _Health(msgspec.Struct):
    """What ``/healthz`` answers; a refusal has a code instead of a state of health."""

    status: str
    reason: str = ""
    code: str = ""


def _read_answer(answer: bytes) -> tuple[Outcome, str, str]:
    """Who answered, its state of health, and more about it."""
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head:
        return "other", "", "closes without an answer"
    if not head.startswith(b"HTTP/1."):
        return "other", "", "does not speak HTTP there"
    try:
        told = msgspec.json.decode(body, type=_Health)
    except (msgspec.MsgspecError, RecursionError):
        status = head.split(b"\r\n")[0].decode("latin-1")
        return "other", "", f"answers {status}, but not as a wsdev gateway does"
    if told.status in ("ok", "draining", "degraded"):
        return "gateway", told.status, told.reason
    if told.code:
        refused = head.split(b" ")[1:2] or [str(HTTPStatus.OK).encode()]
        return "gateway", "", f"{told.code} (HTTP {refused[0].decode('latin-1')})"
    return "other", "", "answers JSON, but not as a wsdev gateway does"


# The state folder


def _rights(folder: Path) -> tuple[Rights, ...]:
    found = []
    with contextlib.suppress(OSError):
        status = folder.stat()
        found.append(Rights(".", status.st_mode & 0o7777, status.st_uid))
        for entry in sorted(os.scandir(folder), key=lambda each: each.name):
            with contextlib.suppress(OSError):
                status = entry.stat(follow_symlinks=False)
                found.append(Rights(entry.name, status.st_mode & 0o7777, status.st_uid))
    return tuple(found)


def _newest(folder: Path) -> float:
    newest = 0.0
    with contextlib.suppress(OSError):
        for entry in os.scandir(folder):
            with contextlib.suppress(OSError):
                newest = max(newest, entry.stat(follow_symlinks=False).st_mtime)
    return newest


def _look_at_tokens(folder: Path) -> TokenFacts:
    if not os.path.exists(folder / BOOK_NAME):  # also for one who may not look into the folder
        return TokenFacts(is_missing=True)
    try:
        book = TokenFile(folder / BOOK_NAME, read_only=True)
        with contextlib.closing(book):
            now = time.time()
            live = sum(record.is_live(now) for record in book.records())
            return TokenFacts(window_left=book.window().left(now), live=live)
    except WsdevError as exc:
        return TokenFacts(trouble=exc.cause)


def _look_at_disk(folder: Path) -> DiskFacts | None:
    place = folder
    while not os.path.exists(place) and place != place.parent:
        place = place.parent
    try:
        told = os.statvfs(place)
    except OSError:
        return None
    return DiskFacts(
        free=told.f_bavail * told.f_frsize,
        size=told.f_blocks * told.f_frsize,
        has_inodes=bool(told.f_favail) or not told.f_files,
        is_read_only=bool(told.f_flag & os.ST_RDONLY),
        used_by_journal=_size_of_journal(folder),
    )


def _size_of_journal(folder: Path) -> int:
    total = 0
    for place, prefix in ((folder, JOURNAL_NAME), (folder / PICTURES_FOLDER, "")):
        with contextlib.suppress(OSError):
            for entry in os.scandir(place):
                if entry.name.startswith(prefix):
                    with contextlib.suppress(OSError):
                        total += entry.stat(follow_symlinks=False).st_size
    return total
