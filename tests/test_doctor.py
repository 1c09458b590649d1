"""Facts about this machine, gathered for real; tests/real has whole hosts."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from fake_gateways import closed_port
from gateway_process import running_gateway
from harness import is_root

from wsdev import doctor
from wsdev.doctor import Question, examine, visit
from wsdev.findings.facts import HostFacts, Rights, TokenFacts, Visit
from wsdev.settings import ServeSettings, load
from wsdev.state_lock import LOCK_NAME
from wsdev.tokens import TokenBook

PATIENCE = 20.0


def ask(folder: Path, port: int | None = None, settings: ServeSettings | None = None) -> HostFacts:
    question = Question(folder, "", port, settings or ServeSettings(), "wsdev", "/bin/wsdev")
    return asyncio.run(examine(question, PATIENCE))


def test_running_gateway_tells_its_port_and_settings(tmp_path: Path) -> None:
    options = ("--public-tokens", "off", "--trusted-proxy", "10.0.0.0/8", "--journal-max", "5MB")
    with running_gateway(tmp_path, *options) as gateway:
        facts = ask(tmp_path)
        assert (facts.holder, facts.port, facts.is_told) == (gateway.pid, gateway.port, True)
    assert facts.note.public_tokens == "off"
    assert facts.note.trusted_proxy == ["10.0.0.0/8"]
    assert facts.note.journal_max == 5_000_000
    assert [(sock.address, sock.pid) for sock in facts.listening] == [("127.0.0.1", gateway.pid)]
    (own,) = (met for met in facts.visits if met.address == "127.0.0.1")
    assert (own.outcome, own.health, own.interface) == ("gateway", "ok", "lo")
    assert all(met.outcome == "refused" for met in facts.outside)
    assert facts.tokens == TokenFacts(live=2)
    assert facts.files is not None
    assert facts.files.most == facts.note.max_connections + 64
    assert facts.gateway_user == os.geteuid()
    assert facts.certificate is None
    assert facts.disk is not None
    assert 0 < facts.disk.used_by_journal < 10_000_000


def test_without_a_gateway_the_settings_say_what_would_be(tmp_path: Path) -> None:
    facts = ask(tmp_path / "none", settings=load({"port": "3456", "host": ["127.0.0.1"]}, {}))
    assert (facts.holder, facts.is_told, facts.port) == (None, False, 3456)
    assert facts.note.addresses == [("127.0.0.1", 3456)]
    assert facts.tokens == TokenFacts(is_missing=True)
    assert facts.rights == ()
    assert facts.files is None
    assert facts.disk is not None
    assert not (tmp_path / "none").exists()


def test_port_that_was_asked_for_outweighs_all(tmp_path: Path) -> None:
    with running_gateway(tmp_path):
        assert ask(tmp_path, port=1).port == 1


def test_rights_are_those_before_the_look(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    with running_gateway(folder):
        facts = ask(folder)
    names = {each.name: each for each in facts.rights}
    assert names["."] == Rights(".", 0o700, os.geteuid())
    assert names["tokens.db"].mode == 0o600
    assert set(names) >= {"serve.lock", "serve.json", "journal.db"}


def test_book_that_is_damaged_is_told(tmp_path: Path) -> None:
    (tmp_path / "tokens.db").write_bytes(b"no database" * 99)
    assert ask(tmp_path).tokens.trouble


def test_file_from_the_future_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.touch()
    os.utime(path, (9e9, 9e9))
    facts = ask(tmp_path)
    assert facts.clock.newest_file == 9e9
    assert facts.clock.now == pytest.approx(time.time(), abs=PATIENCE)


def test_folder_below_the_home_is_shown_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    facts = ask(tmp_path / "state")
    assert (facts.state, facts.state_shown) == (str(tmp_path / "state"), "~/state")
    assert ask(Path("/srv/none")).state_shown == "/srv/none"


def test_socket_at_an_address_that_no_interface_lists_is_visited(tmp_path: Path) -> None:
    with running_gateway(tmp_path, hosts=["127.0.0.9"]):
        facts = ask(tmp_path)
    assert [met.address for met in facts.answering] == ["127.0.0.9"]


def test_likeliest_way_in_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "default_interfaces", lambda: ["wlan0"])
    listed = [
        ("172.17.0.1", "docker0"),
        ("192.0.2.9", "eth1"),
        ("192.0.2.7", "wlan0"),
        ("2001:db8::7", "wlan0"),
        ("127.0.0.1", "lo"),
    ]
    ordered = doctor._likeliest_first(listed)
    assert [interface for _, interface in ordered] == ["wlan0", "wlan0", "eth1", "docker0", "lo"]
    many = [(f"10.0.{n}.1", f"veth{n}") for n in range(200)]
    assert len(doctor._likeliest_first(many)) == doctor.MOST_ADDRESSES


@contextlib.contextmanager
def without_rights(folder: Path) -> Iterator[None]:
    """The folder is another user's."""
    if is_root():
        os.seteuid(65534)
    else:
        folder.chmod(0)
    try:
        yield
    finally:
        if os.getuid() == 0:
            os.seteuid(0)
        folder.chmod(0o700)


def test_folder_of_another_user_is_told_and_no_error(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    TokenBook.open(folder).close()
    (folder / LOCK_NAME).touch()
    ask(folder)  # what Python imports on the way may be out of another user's sight
    with without_rights(folder):
        facts = ask(folder)
    assert "Permission denied" in facts.holder_trouble
    assert facts.holder is None
    assert facts.disk is not None


# Who answers


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[int]:
    """A server that says this to whoever comes, and hangs up; its port."""

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                peer, _ = listener.accept()
                with peer, contextlib.suppress(OSError):
                    peer.settimeout(PATIENCE)
                    if answer:
                        peer.recv(4096)
                        peer.sendall(answer)

    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        await asyncio.to_thread(thread.join)
        listener.close()


def http(body: str, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Type: x\r\n\r\n{body}".encode()


@pytest.mark.parametrize(
    ("answer", "outcome", "health", "detail"),
    [
        (http('{"status":"ok"}'), "gateway", "ok", ""),
        (http('{"status":"degraded","reason":"disk full"}'), "gateway", "degraded", "disk full"),
        (http('{"status":"draining"}'), "gateway", "draining", ""),
        (
            http('{"status":"error","code":"full"}', "503 Busy"), "gateway", "", "full (HTTP 503)"
        ),
        (http("<html>", "404 Not Found"), "other", "", "answers HTTP/1.1 404 Not Found, but"),
        (http('{"status":"up"}'), "other", "", "answers JSON, but"),
        (http("[" * 9000), "other", "", "answers HTTP/1.1 200 OK, but"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "other", "", "does not speak HTTP"),
        (b"", "other", "", ""),
    ],
    ids=["ok", "degraded", "draining", "full", "page", "json", "deep", "ssh", "nothing"],
)  # fmt: skip
async def test_who_answers_is_told_from_the_answer(
    answer: bytes, outcome: str, health: str, detail: str
) -> None:
    async with answering(answer) as port:
        met = await visit("127.0.0.1", "lo", port, False, PATIENCE)
    assert (met.outcome, met.health) == (outcome, health)
    assert met.detail.startswith(detail)
    assert met.seconds > 0 or not health


async def test_closed_port_refuses() -> None:
    met = await visit("127.0.0.1", "lo", closed_port(), False, PATIENCE)
    assert met == Visit("127.0.0.1", "lo", "refused", detail="refuses the connection")


async def test_server_that_says_nothing_is_given_up() -> None:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as silent:
        met = await visit("127.0.0.1", "lo", silent.getsockname()[1], False, 0.2)
    assert (met.outcome, met.detail) == ("no answer", "no answer within 0.2 s")


async def test_server_without_tls_is_told_where_tls_is_expected() -> None:
    async with answering(http("plain")) as port:
        met = await visit("127.0.0.1", "lo", port, True, PATIENCE)
    assert (met.outcome, met.detail) == ("other", "does not speak TLS")


async def test_address_that_cannot_be_reached_is_told() -> None:
    met = await visit("2001:db8::dead", "", 9, False, 0.5)
    assert met.outcome == "no answer"
    assert met.detail
