"""A device at another address: one conversation with the websockets package's own client.

Run by the tests inside a network namespace: ``python namespace_visit.py URL``. The first line on
standard input is the token, or empty; a second one lets it leave. Prints one JSON object a line:
its own address, the answers, the end.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from typing import Any

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

PATIENCE = 30
"""Seconds after which the visit is ended: a test must not wait for ever."""


def tell(**fact: Any) -> None:
    """Print a fact to the test that waits for it."""
    sys.stdout.write(json.dumps(fact) + "\n")
    sys.stdout.flush()


def leave_when_told(device: ClientConnection) -> None:
    """Close once the test says so."""
    if sys.stdin.readline():
        device.close()


def visit(url: str, token: str) -> None:
    """Connect, say hello, send one measurement, stay until the gateway closes."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        with connect(url, additional_headers=headers, proxy=None) as device:
            tell(local=device.local_address[0])
            device.send('{"type":"connect","device":"shed","version":"1.0.0"}')
            tell(answer=json.loads(device.recv()))
            device.send('{"type":"telemetry","id":"t-1","data":{"celsius":21.5}}')
            tell(answer=json.loads(device.recv()))
            threading.Thread(target=leave_when_told, args=(device,), daemon=True).start()
            device.recv()
    except InvalidStatus as refused:
        body = json.loads(refused.response.body or b"{}")
        tell(status=refused.response.status_code, body=body)
    except ConnectionClosed as closed:
        tell(closed=None if closed.rcvd is None else closed.rcvd.code)


if __name__ == "__main__":
    signal.alarm(PATIENCE)
    visit(sys.argv[1], sys.stdin.readline().strip())
