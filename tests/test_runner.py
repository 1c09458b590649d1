from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
from child_lines import PATIENCE
from gateway_process import GatewayProcess, running_gateway
from harness import (
    Clock,
    LogLines,
    bearer,
    captured_log,
    head,
    held_journal,
    text_frame,
    upgrade_head,
)
from journal_bench import JPEG, PICTURE, a_refusal, rows, start_of

from wsdev.errors import ExitCode
from wsdev.interfaces import listen
from wsdev.journal_interface import Journal
from wsdev.metrics import Metrics
from wsdev.runner import Sockets, banner, log_loop_fault, recording
from wsdev.serve_note import NOTE_NAME
from wsdev.settings import load
from wsdev.state_lock import note_of
from wsdev.token_file import FILE_NAME
from wsdev.tokens import TokenBook

# What stops a start: one line with the remedy, and an exit code of its own


SERVE = [sys.executable, "-m", "wsdev", "serve", "--host", "127.0.0.1"]


def start(*options: object) -> subprocess.CompletedProcess[str]:
    """Run ``wsdev serve`` on loopback until it gives up."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("WSDEV_")}
    return subprocess.run(
        [*SERVE, *([] if "--console" in options else ["--no-console"]), *map(str, options)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env=environment,
        check=False,
    )


def check_failure(
    result: subprocess.CompletedProcess[str], code: ExitCode, cause: str, remedy: str
) -> None:
    assert result.returncode == code, result.stderr
    first, second = result.stderr.splitlines()
    assert first.startswith("wsdev: ")
    assert cause in first
    assert second.startswith("  try: ")
    assert remedy in second
    assert result.stdout == ""


def test_port_in_use_is_told(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]
        result = start("--port", port, "--state", tmp_path)
    check_failure(result, ExitCode.ADDRESS_IN_USE, f"port {port} is in use", "--port")


def test_address_of_another_host_is_told(tmp_path: Path) -> None:
    result = start("--host", "203.0.113.7", "--port", 0, "--state", tmp_path)
    check_failure(result, ExitCode.ADDRESS_UNAVAILABLE, "203.0.113.7", "--host")


def test_state_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = start("--port", 0, "--state", tmp_path / "file")
    check_failure(result, ExitCode.STATE_FOLDER, str(tmp_path / "file"), "--state")


def test_bad_option_is_told(tmp_path: Path) -> None:
    result = start("--port", "http", "--state", tmp_path)
    check_failure(result, ExitCode.USAGE, "--port", "wsdev serve --help")


def test_key_without_a_certificate_is_told(tmp_path: Path) -> None:
    result = start("--port", 0, "--state", tmp_path, "--tls-key", tmp_path / "key.pem")
    check_failure(result, ExitCode.USAGE, "--tls-key is given without --tls-cert", "both")


def test_certificate_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    missing, junk = tmp_path / "missing.pem", tmp_path / "junk.pem"
    junk.write_text("no certificate")
    for file, cause in ((missing, "missing.pem"), (junk, "junk.pem")):
        result = start("--port", 0, "--state", tmp_path / "state", "--tls-cert", file)
        check_failure(result, ExitCode.CERTIFICATE, cause, "")
    assert not (tmp_path / "state").exists()


def test_second_gateway_on_the_same_folder_is_told(tmp_path: Path) -> None:
    with running_gateway(tmp_path):
        result = start("--port", 0, "--state", tmp_path)
        check_failure(result, ExitCode.ALREADY_RUNNING, str(tmp_path), "--state")


def test_damaged_book_is_told(tmp_path: Path) -> None:
    TokenBook.open(tmp_path).close()
    (tmp_path / FILE_NAME).write_bytes(b"no database, but long enough to be one" * 200)
    for leftover in tmp_path.glob(f"{FILE_NAME}-*"):
        leftover.unlink()
    result = start("--port", 0, "--state", tmp_path)
    check_failure(result, ExitCode.TOKEN_BOOK, str(tmp_path), "")


# A running gateway, on the loop that people get


def request(gateway: GatewayProcess, data: bytes, context: ssl.SSLContext | None = None) -> bytes:
    """The whole answer to raw bytes."""
    with contextlib.ExitStack() as stack:
        sock = stack.enter_context(socket.create_connection(gateway.address, PATIENCE))
        if context is not None:
            sock = stack.enter_context(context.wrap_socket(sock, server_hostname="localhost"))
        sock.sendall(data)
        answer = b""
        while more := sock.recv(65536):
            answer += more
        return answer


@contextmanager
def device(gateway: GatewayProcess, device_class: str, name: str) -> Iterator[socket.socket]:
    """A connected device that has said hello."""
    with closing(socket.create_connection(gateway.address, PATIENCE)) as sock:
        sock.sendall(
            upgrade_head(f"/ws/{device_class}", bearer(gateway.tokens[device_class]))
            + text_frame({"type": "connect", "device": name})
        )
        seen = b""
        while b"connection_ack" not in seen:
            more = sock.recv(65536)
            assert more, seen
            seen += more
        yield sock


def test_first_start_opens_the_window_and_a_later_one_does_not(tmp_path: Path) -> None:
    with running_gateway(tmp_path) as gateway:
        assert re.search(
            r"handed out at /public/tokens for (10 min 00|9 min 5\d) s more", gateway.banner
        )
        assert b" 200 OK" in request(gateway, head("/public/tokens", {"Host": "elsewhere.example"}))
        gateway.book.close_window()
    with running_gateway(tmp_path) as gateway:
        assert "wsdev tokens open --for 10m" in gateway.banner
        assert b"tokens_closed" in request(
            gateway, head("/public/tokens", {"Host": "elsewhere.example"})
        )


def test_sigterm_sends_devices_away_by_their_class_and_ends_well(tmp_path: Path) -> None:
    with (
        running_gateway(tmp_path) as gateway,
        device(gateway, "pico", "kitchen") as pico,
        device(gateway, "esp32cam", "porch") as camera,
    ):
        gateway.terminate()
        assert pico.recv(1024).endswith(b"\x03\xf4the gateway restarts")
        with pytest.raises(ConnectionResetError):
            camera.recv(1024)
        pico.close()
        assert gateway.wait() == 0
        assert gateway.log_lines("draining", devices=2)
        for name in ("kitchen", "porch"):
            assert gateway.log_lines("disconnected", device=name, code=1012)
        assert gateway.log_lines("stopped")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(gateway.address).close()


def test_second_signal_ends_at_once(tmp_path: Path) -> None:
    with (
        running_gateway(tmp_path, "--drain", "1h") as gateway,
        device(gateway, "pico", "one") as first,
        device(gateway, "pico", "two"),
    ):
        gateway.terminate()
        assert first.recv(1024)[:1] == b"\x88"
        gateway.terminate()
        assert gateway.wait() == 143
        assert gateway.log_lines("stopped", reason="second signal")


def test_refusals_and_devices_over_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    chain = tmp_path / "chain.pem"
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(chain))
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    with running_gateway(tmp_path / "state", "--tls-cert", str(chain)) as gateway:
        assert f"wss://127.0.0.1:{gateway.port}/ws/<class>" in gateway.banner
        for _ in range(20):
            answer = request(gateway, upgrade_head("/ws/pico", {"Host": "far.example"}), trust)
            assert answer.startswith(b"HTTP/1.1 401 ")
            assert answer.endswith(b'"}')
        with contextlib.suppress(ConnectionResetError):
            assert b" 200 " not in request(gateway, head("/healthz"))
        assert request(gateway, head("/healthz"), trust).endswith(b'{"status":"ok"}')


def test_token_revoked_by_another_program_closes_the_link(tmp_path: Path) -> None:
    with running_gateway(tmp_path) as gateway, device(gateway, "pico", "kitchen") as pico:
        gateway.book.revoke("pico")
        assert pico.recv(1024)[2:4] == (4501).to_bytes(2, "big")
        gateway.wait_for_log("disconnected", device="kitchen", code=4501)


async def test_fault_that_nobody_expected_is_one_line_of_the_log() -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(log_loop_fault)
    with captured_log() as lines:
        loop.call_soon(lambda: 1 / 0)
        line = await lines.wait_for("fault")
        assert line["level"] == "error"
        assert line["error"] == "ZeroDivisionError: division by zero"
        assert "test_runner.py:" in line["at"]
        loop.call_exception_handler({"message": "out of files"})
        assert lines.all("fault", doing="out of files")


# The banner


@contextmanager
def shown(
    folder: Path, own: list[str], *, window: float = 0, **flags: Any
) -> Iterator[tuple[str, int]]:
    """The banner of a gateway on a host with those addresses, and its port."""
    settings = load(flags, {})
    sockets = listen(settings.host or ("0.0.0.0",), 0)
    console = listen((settings.console_host,), 0) if settings.console else []
    try:
        with TokenBook.open(folder, clock=Clock(start=1_800_000_000)) as book:
            if window:
                book.open_window(window)
            lines = banner(settings, book, Sockets(sockets, console), own)
            yield "\n".join(lines), sockets[0].getsockname()[1]
    finally:
        for sock in [*sockets, *console]:
            sock.close()


HOME = ["192.168.1.7", "127.0.0.1"]
PUBLIC = ["1.2.3.4", "127.0.0.1"]


def test_banner_lists_where_devices_can_reach_it(tmp_path: Path) -> None:
    with shown(tmp_path, HOME, device_class=["sensor"]) as (text, port):
        urls = re.findall(r"  (ws://\S+)/ws/<class>", text)
        assert urls == [f"ws://192.168.1.7:{port}", f"ws://127.0.0.1:{port}"]
        assert "classes: pico, esp32cam, sensor" in text
        assert f"wsdev connect --device pico --url ws://192.168.1.7:{port}" in text
        assert "WARNING" not in text


@pytest.mark.parametrize(
    ("flags", "window", "policy"),
    [
        ({"public_tokens": "open"}, 0, "to anyone (--public-tokens open)"),
        ({"public_tokens": "off"}, 600, "never handed out (--public-tokens off)"),
        ({}, 0, "not handed out now; open the window with: wsdev tokens open --for 10m"),
        ({}, 125.5, "handed out at /public/tokens for 2 min 05 s more"),
    ],
)
def test_banner_tells_the_token_policy(
    flags: dict[str, Any], window: float, policy: str, tmp_path: Path
) -> None:
    with shown(tmp_path, HOME, window=window, **flags) as (text, _):
        assert policy in text


@pytest.mark.parametrize(
    ("flags", "own", "warning"),
    [
        ({"public_tokens": "open"}, HOME, "anyone who can reach this port can fetch a token"),
        ({}, PUBLIC, "an address is public and there is no TLS"),
        ({"host": ["127.0.0.1"]}, PUBLIC, "only this host can connect"),
    ],
)
def test_banner_warns(flags: dict[str, Any], own: list[str], warning: str, tmp_path: Path) -> None:
    with shown(tmp_path, own, **flags) as (text, _):
        warnings = [line for line in text.splitlines() if "WARNING" in line]
        assert len(warnings) == 1
        assert warning in warnings[0]


@pytest.mark.parametrize(
    ("flags", "own"),
    [
        ({"tls_cert": "/cert.pem"}, PUBLIC),
        ({"public_tokens": "off"}, HOME),
    ],
)
def test_banner_does_not_cry_wolf(flags: dict[str, Any], own: list[str], tmp_path: Path) -> None:
    with shown(tmp_path, own, **flags) as (text, _):
        assert "WARNING" not in text


def test_banner_says_whether_own_programs_need_a_token(tmp_path: Path) -> None:
    with shown(tmp_path, HOME) as (text, _):
        assert "--no-trust-local" in text
    with shown(tmp_path, HOME, trust_local=False) as (text, _):
        assert "your own programs" not in text


def test_banner_shows_no_token(tmp_path: Path) -> None:
    with TokenBook.open(tmp_path) as book:
        _, token = book.create("pico")
    with shown(tmp_path, HOME, public_tokens="open") as (text, _):
        assert token not in text


# The journal and the metrics


@contextmanager
def recorded(folder: Path, **flags: Any) -> Iterator[tuple[Journal, LogLines]]:
    """The journal as the gateway has it for as long as it runs, and what is logged of it."""
    settings = load(flags, {})
    with captured_log() as lines, recording(settings, folder, Metrics()) as journal:
        yield journal, lines


async def test_journal_that_is_as_it_should_be_is_not_worth_a_line(tmp_path: Path) -> None:
    for _ in range(2):
        with recorded(tmp_path) as (journal, lines):
            journal.start(asyncio.get_running_loop().call_soon_threadsafe)
        assert lines.lines == []


def test_file_in_the_journals_place_is_told_with_its_new_name(tmp_path: Path) -> None:
    (tmp_path / "journal.db").write_text("dear diary")
    with recorded(tmp_path) as (_, lines):
        (line,) = lines.all("journal_set_aside", level="warning")
    assert Path(line["kept_as"]).read_text() == "dear diary"
    assert str(tmp_path / "journal.db") in line["cause"]


def test_sessions_that_a_crash_left_open_are_told(tmp_path: Path) -> None:
    with recorded(tmp_path) as (journal, _):
        for number in range(3):
            journal.start_session(start_of(f"d{number}"))
    with recorded(tmp_path) as (_, lines):
        assert lines.all("lost_with_the_server", sessions=3, level="warning")


async def test_what_the_disk_did_not_take_is_told_at_the_end(tmp_path: Path) -> None:
    with contextlib.ExitStack() as gateway, contextlib.ExitStack() as other_program:
        journal, lines = gateway.enter_context(recorded(tmp_path))
        journal.start(asyncio.get_running_loop().call_soon_threadsafe)
        other_program.enter_context(held_journal(tmp_path))
        journal.refuse(a_refusal())
        gateway.close()
    # The refusal and the end of the run.
    (line,) = lines.all("not_recorded", rows=2, level="error")
    assert "another process is writing" in line["cause"]


def test_pictures_and_bounds_are_those_of_the_settings(tmp_path: Path) -> None:
    with recorded(tmp_path, record_pictures="1", journal_sync="normal") as (journal, _):
        key = journal.start_session(start_of("porch"))
        for _ in range(2):
            journal.record(key, PICTURE, JPEG, None, None)
    query = "SELECT count(*) FROM messages WHERE picture IS NOT NULL"
    assert rows(tmp_path, query) == [(2,)]


def test_port_of_the_metrics_in_use_is_told_before_a_run_is_recorded(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]
        result = start("--port", 0, "--state", tmp_path, "--metrics-port", port)
    check_failure(result, ExitCode.ADDRESS_IN_USE, str(port), "--metrics-port")
    assert not (tmp_path / "journal.db").exists()


def test_metrics_are_served_where_the_log_says(tmp_path: Path) -> None:
    with (
        running_gateway(tmp_path, "--metrics-port", "0") as gateway,
        device(gateway, "pico", "kitchen") as pico,
    ):
        pico.sendall(text_frame({"type": "telemetry", "data": {}, "id": 1}))
        assert b'{"type":"ack","id":1}' in pico.recv(1024)
        url = gateway.wait_for_log("metrics")["url"]
        text = httpx.get(url, trust_env=False, timeout=PATIENCE).text
        for line in (
            'wsdev_connected_devices{device_class="pico"} 1.0',
            'wsdev_messages_total{direction="in"} 2.0',
            "wsdev_journal_degraded 0.0",
        ):
            assert line in text.splitlines()
        assert re.search(r"^wsdev_journal_rows_total [1-9]", text, re.MULTILINE)
        assert gateway.tokens["pico"] not in text


def test_acknowledged_message_is_on_disk_when_the_gateway_has_stopped(tmp_path: Path) -> None:
    with running_gateway(tmp_path) as gateway, device(gateway, "pico", "kitchen") as pico:
        pico.sendall(text_frame({"type": "telemetry", "data": {}, "id": 1}))
        assert b'{"type":"ack","id":1}' in pico.recv(1024)
        gateway.terminate()
        pico.recv(1024)
        pico.close()
        assert gateway.wait() == 0
    assert rows(tmp_path, "SELECT id FROM messages WHERE id IS NOT NULL") == [(1,)]
    assert rows(tmp_path, "SELECT device, code FROM sessions") == [("kitchen", 1012)]
    assert rows(tmp_path, "SELECT how FROM runs") == [("stopped",)]


# What the commands beside it are told


def test_gateway_that_cannot_leave_its_note_serves_all_the_same(tmp_path: Path) -> None:
    (tmp_path / NOTE_NAME / "in the way").mkdir(parents=True)
    with running_gateway(tmp_path) as gateway:
        assert gateway.wait_for_log("not_told")["file"] == NOTE_NAME
        assert httpx.get(gateway.url("/healthz", scheme="http"), trust_env=False).is_success


def test_note_is_left_before_the_banner_and_taken_away_at_the_end(tmp_path: Path) -> None:
    with running_gateway(tmp_path) as gateway:
        note = note_of(tmp_path, gateway.pid)
        assert note is not None
        assert note.addresses == [gateway.address]
    assert not (tmp_path / NOTE_NAME).exists()
