"""The metrics over HTTP: who is answered, with what, and what slow clients can hold up."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import select
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest
from harness import PATIENCE, captured_log
from hypothesis import example, given, settings
from hypothesis import strategies as st
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from wsdev.errors import AddressInUse, AddressUnavailable
from wsdev.metrics import Metrics, Totals
from wsdev.metrics_page import HEAD_BYTES, MOST_CONNECTIONS, MetricsPage, _Server, serve_metrics

CANARY = "wsd_pico_c4n4ry"


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def page(metrics: Metrics) -> Iterator[MetricsPage]:
    # So patient that a test which waits for it fails.
    with serve_metrics(metrics, 0, patience=10 * PATIENCE) as page:
        yield page


def connect(page: MetricsPage) -> socket.socket:
    return socket.create_connection(("127.0.0.1", page.port), timeout=PATIENCE)


def rest(sock: socket.socket) -> bytes:
    """All that comes until the end, be it a reset."""
    got = b""
    with contextlib.suppress(ConnectionError):
        while piece := sock.recv(65536):
            got += piece
    return got


def ask(page: MetricsPage, request: str | bytes) -> tuple[int, dict[str, str], str]:
    """Status, header fields and body of the answer to a request that is sent as it is."""
    with closing(connect(page)) as sock:
        sock.sendall(request.encode("latin-1") if isinstance(request, str) else request)
        head, _, body = rest(sock).partition(b"\r\n\r\n")
    status_line, *fields = head.decode("latin-1").split("\r\n")
    pairs = (field.partition(": ") for field in fields)
    return int(status_line.split()[1]), {name: text for name, _, text in pairs}, body.decode()


def get(target: str = "/metrics", *, host: str = "localhost", more: str = "") -> str:
    return f"GET {target} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n"


# What is answered


def test_the_metrics_are_served_as_prometheus_reads_them(
    page: MetricsPage, metrics: Metrics
) -> None:
    metrics.joined("pico")
    status, fields, body = ask(page, get())
    assert status == 200
    assert fields["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert int(fields["Content-Length"]) == len(body)
    samples = [one for family in text_string_to_metric_families(body) for one in family.samples]
    assert ("wsdev_connections_total", {"device_class": "pico"}, 1) in [one[:3] for one in samples]


def test_a_head_may_come_in_pieces_and_with_bare_line_feeds(page: MetricsPage) -> None:
    with closing(connect(page)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for character in get().replace("\r", ""):
            sock.sendall(character.encode())
        assert rest(sock).startswith(b"HTTP/1.0 200 ")


@pytest.mark.parametrize(
    "accept",
    ["application/openmetrics-text; version=1.0.0", f"text/plain; version={CANARY}", "image/png"],
)
def test_whatever_is_accepted_the_text_format_comes(page: MetricsPage, accept: str) -> None:
    status, fields, body = ask(page, get(more=f"Accept: {accept}\r\nAccept-Encoding: gzip\r\n"))
    assert status == 200
    assert "Content-Encoding" not in fields
    assert CANARY not in str(fields)
    assert body.startswith("# HELP ")


@pytest.mark.parametrize(
    "target",
    ["/", "/metrics/", "/metricsx", "/favicon.ico", f"/{CANARY}", "http://127.0.0.1/metrics", "*"],
)
def test_other_paths_are_told_where_the_metrics_are(page: MetricsPage, target: str) -> None:
    status, _, body = ask(page, get(target))
    assert status == 404
    assert body == "404 Not Found. The metrics are at /metrics.\n"


def test_a_query_changes_nothing(page: MetricsPage) -> None:
    status, _, body = ask(page, get(f"/metrics?name[]={CANARY}"))
    assert status == 200
    assert "wsdev_connections_total" in body
    assert CANARY not in body


@pytest.mark.parametrize("method", ["POST", "OPTIONS", CANARY])
def test_other_methods_are_refused_without_an_echo(page: MetricsPage, method: str) -> None:
    status, fields, body = ask(page, get().replace("GET", method))
    assert status == 501
    assert "Access-Control-Allow-Origin" not in fields
    assert body == "501 Not Implemented.\n"


def test_head_gets_no_body(page: MetricsPage) -> None:
    status, _, body = ask(page, get().replace("GET", "HEAD"))
    assert (status, body) == (501, "")


# Who is answered


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:9100", "127.0.0.1:9100", "[::1]:9100", "127.0.0.2", "LocalHost."],
)
def test_names_of_loopback_are_answered(page: MetricsPage, host: str) -> None:
    assert ask(page, get(host=host))[0] == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:9100",
        "127.0.0.1.evil.example",
        "0.0.0.0",
        "192.0.2.1",
        "",
        "a b",
    ],
)
def test_a_name_that_was_rebound_to_loopback_is_refused(page: MetricsPage, host: str) -> None:
    status, _, body = ask(page, get(host=host))
    assert status == 403
    assert body.startswith("403 Forbidden. ")
    assert "wsdev_" not in body
    assert "evil" not in body


@pytest.mark.parametrize(
    "more",
    [
        "Host: evil.example\r\n",
        "Origin: http://evil.example\r\n",
        "X-Forwarded-For: 203.0.113.9\r\n",
        "Forwarded: for=203.0.113.9\r\n",
    ],
)
def test_a_second_host_a_foreign_page_and_a_proxy_are_refused(page: MetricsPage, more: str) -> None:
    assert ask(page, get(more=more))[0] == 403


def test_a_request_without_host_is_refused(page: MetricsPage) -> None:
    assert ask(page, "GET /metrics HTTP/1.1\r\n\r\n")[0] == 403


def test_only_one_address_of_loopback_is_listened_on(page: MetricsPage) -> None:
    with closing(socket.socket()) as sock:
        assert sock.connect_ex(("127.0.0.2", page.port)) == errno.ECONNREFUSED


def test_no_bytes_make_it_fail_or_repeat_them(page: MetricsPage) -> None:
    @given(st.binary(max_size=200) | st.text(max_size=100).map(lambda text: text.encode()))
    @example(b"\x16\x03\x01\x02\x00\x01\x00")
    @example(b"GET /metrics")
    @example(b"GET /metrics HTTP/9.9\r\nHost: localhost")
    @example(b"GET /metrics HTTP/1.1\r\n" + b"a: b\r\n" * 200)
    @example(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive")
    @example(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: text/plain; version=\xb2")
    @settings(max_examples=60)
    def check(junk: bytes) -> None:
        with closing(connect(page)) as sock:
            sock.sendall(junk + b"\r\n" + CANARY.encode() + b": x\r\n\r\n")
            sock.shutdown(socket.SHUT_WR)
            answer = rest(sock)
        assert CANARY.encode() not in answer
        assert not answer or answer.startswith(b"HTTP/1.0 ")

    with captured_log() as log, contextlib.redirect_stderr(io.StringIO()) as stderr:
        check()
    assert not log.lines
    assert not stderr.getvalue()
    assert ask(page, get())[0] == 200


# A gateway in trouble


def test_a_stalled_loop_leaves_the_rest_of_the_page(page: MetricsPage, metrics: Metrics) -> None:
    metrics.watch(
        lambda *_: None,
        totals=lambda: Totals(0, 0, 0, 0),
        queue=lambda: (0, 0),
        journal_trouble=lambda: False,
        refusals_left_out=lambda: 0,
        patience=0,
    )
    metrics.loop_lag(3)
    status, _, body = ask(page, get())
    assert status == 200
    assert "wsdev_event_loop_responsive 0.0\n" in body
    assert "wsdev_event_loop_lag_seconds_count 1.0\n" in body
    assert "\nwsdev_messages_total{" not in body


def test_a_fault_of_ours_is_one_line_in_the_log(page: MetricsPage, metrics: Metrics) -> None:
    metrics.watch(
        lambda function, *arguments: function(*arguments),
        totals=lambda: Totals(0, 0, 0, 0),
        queue=lambda: (1 // 0, 0),
        journal_trouble=lambda: False,
        refusals_left_out=lambda: 0,
    )
    with (
        captured_log() as log,
        contextlib.redirect_stderr(io.StringIO()) as stderr,
        closing(connect(page)) as sock,
    ):
        sock.sendall(get().encode())
        assert rest(sock) == b""
    (line,) = log.all("fault", doing="metrics")
    assert line["error"].startswith("ZeroDivisionError")
    assert not stderr.getvalue()


# Slow clients


@pytest.fixture
def hasty(metrics: Metrics) -> Iterator[MetricsPage]:
    with serve_metrics(metrics, 0, patience=0.2) as page:
        yield page


def test_a_client_that_says_nothing_is_cut_off(hasty: MetricsPage) -> None:
    with closing(connect(hasty)) as sock:
        assert rest(sock) == b""


def test_a_client_that_sends_a_byte_now_and_then_is_cut_off_too(hasty: MetricsPage) -> None:
    with closing(connect(hasty)) as sock:
        for _ in range(HEAD_BYTES // 2):
            with contextlib.suppress(ConnectionError):
                sock.sendall(b"G")
            if select.select([sock], [], [], 0.02)[0]:
                break
        else:
            pytest.fail("each byte bought more time")
        assert rest(sock) == b""


def test_a_head_without_end_is_cut_off(page: MetricsPage) -> None:
    with closing(connect(page)) as sock:
        with contextlib.suppress(ConnectionError):
            sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: " + b"a" * HEAD_BYTES)
        assert rest(sock) == b""


class Huge(Collector):
    """More than the kernel's buffers take."""

    def collect(self) -> Iterable[Metric]:
        return [GaugeMetricFamily("huge", "a" * 32 * 1024 * 1024)]


def test_a_client_that_does_not_read_is_cut_off(hasty: MetricsPage, metrics: Metrics) -> None:
    metrics.registry.register(Huge())
    before = set(threading.enumerate())
    with closing(connect(hasty)) as sock:
        sock.sendall(get().encode())
        assert select.select([sock], [], [], PATIENCE)[0]
        for thread in set(threading.enumerate()) - before:
            thread.join(PATIENCE)
            assert not thread.is_alive()
        head, _, body = rest(sock).partition(b"\r\n\r\n")
    fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    assert len(body) < int(fields["Content-Length"])


def test_silent_clients_neither_pile_up_nor_keep_prometheus_out(page: MetricsPage) -> None:
    with ExitStack() as stack:
        before = threading.active_count()
        silent = [stack.enter_context(closing(connect(page))) for _ in range(3 * MOST_CONNECTIONS)]
        assert ask(page, get())[0] == 200
        assert threading.active_count() <= before + MOST_CONNECTIONS
        # Those that have waited longest made room.
        for sock in silent[: 2 * MOST_CONNECTIONS]:
            assert rest(sock) == b""
        assert select.select([silent[-1]], [], [], 0)[0] == []


class Exhausted(socket.socket):
    """A listening socket in a process that for a while has no file descriptor left."""

    failures = 2

    def accept(self) -> tuple[socket.socket, Any]:
        if self.failures:
            self.failures -= 1
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return super().accept()


def test_it_answers_again_once_a_file_descriptor_is_free(metrics: Metrics) -> None:
    sock = Exhausted()
    sock.bind(("127.0.0.1", 0))
    sock.listen()
    with MetricsPage(_Server(sock, metrics, PATIENCE)) as page:
        assert ask(page, get())[0] == 200
    assert not sock.failures


# Start and end


def test_a_port_in_use_names_the_option_to_change(page: MetricsPage, metrics: Metrics) -> None:
    with pytest.raises(AddressInUse) as caught:
        serve_metrics(metrics, page.port)
    assert caught.value.cause == f"port {page.port} is in use on 127.0.0.1"
    assert "--metrics-port" in caught.value.hint


def test_a_port_that_needs_more_rights_names_the_option_too(
    metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_right(_: socket.socket, __: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("wsdev.interfaces.socket.socket.bind", no_right, raising=False)
    with pytest.raises(AddressUnavailable, match="no right") as caught:
        serve_metrics(metrics, 80)
    assert "--metrics-port" in caught.value.hint


def test_closing_ends_all_threads_and_frees_the_port(metrics: Metrics) -> None:
    before = set(threading.enumerate())
    page = serve_metrics(metrics, 0, patience=10 * PATIENCE)
    with closing(connect(page)) as silent:
        assert ask(page, get())[0] == 200
        page.close()
        assert set(threading.enumerate()) == before
        assert rest(silent) == b""
    serve_metrics(metrics, page.port).close()


def test_closing_twice_does_no_harm(page: MetricsPage) -> None:
    page.close()
    page.close()
