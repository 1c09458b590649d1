"""The metrics over HTTP, for Prometheus on this host: ``GET /metrics`` on loopback.

In threads of its own, so that it answers while the event loop stalls. They are few, whatever other
users of the host do to the port.
"""

from __future__ import annotations

import contextlib
import io
import socket
import socketserver
import sys
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Any, Final, Self

from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from wsdev.callers import local_trust_reason, parse_ip
from wsdev.errors import AddressInUse, AddressUnavailable
from wsdev.interfaces import listen
from wsdev.logs import log_fault
from wsdev.metrics import Metrics
from wsdev.request_head import Fields

HOST: Final = "127.0.0.1"
METRICS_PATH: Final = "/metrics"

MOST_CONNECTIONS: Final = 8
"""Each has a thread. Prometheus needs one, and a person with a browser two."""

PATIENCE: Final = 5.0
"""Seconds for a request's head in all, and for each of the two writes of an answer."""

HEAD_BYTES: Final = 8192
_STOP_INTERVAL: Final = 0.1
_PAUSE: Final = 0.1

_HINTS: Final = {
    HTTPStatus.FORBIDDEN: "Answered are programs of this host that come without a proxy"
    f" and ask for localhost or {HOST}.",
    HTTPStatus.NOT_FOUND: f"The metrics are at {METRICS_PATH}.",
}


class MetricsPage:
    """The page while it is served.

    Attributes:
        port: Where it is served.
    """

    def __init__(self, server: _Server) -> None:
        self.port: int = server.server_address[1]
        self._server = server
        self._thread = threading.Thread(
            target=server.serve_forever, args=(_STOP_INTERVAL,), name="metrics", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop, and end all threads.

        Waits for a tenth of a second; on the event loop, while somebody scrapes, as long as a
        scrape waits for the loop.
        """
        self._server.close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def serve_metrics(metrics: Metrics, port: int, *, patience: float = PATIENCE) -> MetricsPage:
    """Serve the metrics on loopback until :meth:`MetricsPage.close`, or as a context.

    Args:
        port: 0 picks a free one.
        patience: Seconds for a request's head in all, and for each write of an answer.

    Raises:
        AddressInUse: another program listens there.
        AddressUnavailable: the port needs more rights.
    """
    try:
        (sock,) = listen((HOST,), port)
    except AddressInUse as error:
        raise AddressInUse(
            error.cause,
            f"choose another --metrics-port (ss -ltnp 'sport = :{port}' names its user)",
        ) from None
    except AddressUnavailable as error:
        raise AddressUnavailable(
            error.cause, "choose a --metrics-port from 1024 on, which needs no rights"
        ) from None
    return MetricsPage(_Server(sock, metrics, patience))


class _Server(socketserver.ThreadingTCPServer):
    """A thread for each connection, but for a few at most; one more cuts the oldest off.

    So a program that holds connections open cannot keep Prometheus out. ``http.server`` would add
    a look-up of this host's name, which may take seconds, and nothing else of use.
    """

    daemon_threads = False  # or server_close would not wait for them

    def __init__(self, sock: socket.socket, metrics: Metrics, patience: float) -> None:
        super().__init__(sock.getsockname(), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = sock
        self.registry = metrics.registry
        self.patience = patience
        self._slots = threading.BoundedSemaphore(MOST_CONNECTIONS)
        self._lock = threading.Lock()
        self._open: dict[socket.socket, None] = {}
        self._closing = threading.Event()

    def close(self) -> None:
        """Stop, cut all connections, and wait for their threads."""
        self._closing.set()
        self.shutdown()
        with self._lock:
            for request in self._open:
                _cut(request)
        self.server_close()

    def get_request(self) -> tuple[socket.socket, Any]:
        """A connection that came in."""
        try:
            return super().get_request()
        except OSError:
            # Without a free file descriptor it stays in the backlog, and would be tried again at
            # once, for ever.
            self._closing.wait(_PAUSE)
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start a thread for it, once there is room."""
        if not self._slots.acquire(blocking=False):
            with self._lock:
                for oldest in self._open:
                    _cut(oldest)
                    break
            self._slots.acquire()
        with self._lock:
            self._open[request] = None
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close it, the last thing that is done with it."""
        with self._lock:
            del self._open[request]
            super().shutdown_request(request)
        self._slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log a fault of ours; a client that goes away is none."""
        error = sys.exception()
        if not isinstance(error, OSError):
            log_fault("fault", error, doing="metrics")


def _cut(request: socket.socket) -> None:
    """Wake the thread that reads from it or writes to it; the thread closes it."""
    with contextlib.suppress(OSError):
        request.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    """One request, one answer. Nothing of the request is repeated in the answer or a log.

    prometheus_client's own handler repeats a version from ``Accept`` in its answer's head, and
    fails on one that is no number.
    """

    server: _Server

    def handle(self) -> None:
        """Read the head with one deadline for all of it, then let the library parse it."""
        head = _read_head(self.connection, self.server.patience)
        if not head:
            return
        self.rfile.close()
        self.rfile = io.BytesIO(head)
        self.connection.settimeout(self.server.patience)
        super().handle()

    def do_GET(self) -> None:
        """The metrics, in the text format, which every Prometheus reads."""
        peer = parse_ip(self.client_address[0])
        fields = Fields(self.headers.items())
        if peer is None or local_trust_reason(peer, fields) is not None:
            self.send_error(HTTPStatus.FORBIDDEN)
        elif self.path.partition("?")[0] != METRICS_PATH:
            self.send_error(HTTPStatus.NOT_FOUND)
        else:
            text = generate_latest(self.server.registry)
            self._answer(HTTPStatus.OK, CONTENT_TYPE_PLAIN_0_0_4, text)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer with our own words; the library's hold pieces of the request."""
        status = HTTPStatus(code)
        text = f"{status.value} {status.phrase}. {_HINTS.get(status, '')}".rstrip() + "\n"
        self._answer(status, "text/plain; charset=utf-8", text.encode())

    def _answer(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
        # Else a request that names no version, as HTTP/0.9 did, gets a body without a head.
        self.request_version = self.protocol_version
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def version_string(self) -> str:
        """What the Server header says."""
        return "wsdev"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the library's name)
        """Scrapes are too many to log."""


def _read_head(sock: socket.socket, patience: float) -> bytes:
    """A request's head; empty if it does not come whole, in time and in bounds."""
    deadline = time.monotonic() + patience
    head = b""
    try:
        while b"\r\n\r\n" not in head and b"\n\n" not in head:
            sock.settimeout(max(deadline - time.monotonic(), 0.001))
            piece = sock.recv(4096)
            head += piece
            if not piece or len(head) > HEAD_BYTES or time.monotonic() > deadline:
                return b""
    except OSError:  # late, or cut
        return b""
    return head
