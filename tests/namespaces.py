"""Two machines on one network, as far as the kernel is concerned.

Two network namespaces joined by a pair of virtual interfaces: the gateway in one, the devices in
the other. Nothing but the other end and loopback can be reached from there, so no firewall, no
address of this machine and no other test run gets in the way. Addresses are those of RFC 5737
and RFC 3849, made for documentation.
"""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest

GATEWAY = {4: "198.51.100.1", 6: "2001:db8:1::1"}
DEVICE = {4: "198.51.100.2", 6: "2001:db8:1::2"}

UPLINK = "uplink"
"""What the interface between the two is called, on both sides."""

_CLONE_NEWNET = 0x40000000  # linux/sched.h
_NAMES = Path("/run/netns")

_WITH_FILES = 'while [ "$1" != -- ]; do mount --bind "$1" "$2"; shift 2; done; shift; exec "$@"'

Made = TypeVar("Made")


@dataclass(frozen=True)
class Network:
    """Both namespaces: by name, and each as the command that starts another one inside."""

    ip: str
    gateway: str
    device: str

    @property
    def gateway_side(self) -> tuple[str, ...]:
        return self.ip, "netns", "exec", self.gateway

    @property
    def device_side(self) -> tuple[str, ...]:
        return self.ip, "netns", "exec", self.device

    def device_side_with(self, files: Mapping[str, Path]) -> tuple[str, ...]:
        """The devices' side for a command that sees these files, by path, in place of others."""
        pairs = [word for path, file in files.items() for word in (str(file), path)]
        return *self.device_side, "sh", "-ec", _WITH_FILES, "sh", *pairs, "--"

    def on_gateway(self, *command: str) -> None:
        """Run a command on the gateway's side."""
        _run(*self.gateway_side, *command)

    def on_device(self, *command: str) -> None:
        """Run a command on the devices' side."""
        _run(*self.device_side, *command)

    def gateway_listens(self, host: str, port: int) -> socket.socket:
        """A socket of the gateway's side that takes connections; nobody accepts them."""
        return made_inside(self.gateway, lambda: socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET
        ))  # fmt: skip

    def device_listens(self, host: str, port: int) -> socket.socket:
        """The same of the devices' side."""
        return made_inside(self.device, lambda: socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET
        ))  # fmt: skip


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    assert done.returncode == 0, (command, done.stderr)


def made_inside(namespace: str, make: Callable[[], Made]) -> Made:
    """What ``make`` makes inside; a socket stays there, wherever it is used."""
    made: list[Made] = []
    failed: list[BaseException] = []

    def go() -> None:
        # The namespace is the thread's own, and ends with it.
        libc = ctypes.CDLL(None, use_errno=True)
        with open(_NAMES / namespace, "rb") as entry:
            if libc.setns(entry.fileno(), _CLONE_NEWNET):
                failed.append(OSError(ctypes.get_errno(), "setns"))
                return
        try:
            made.append(make())
        except OSError as exc:
            failed.append(exc)

    thread = threading.Thread(target=go)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return made[0]


def namespace_names() -> tuple[str, str]:
    """Of this process alone, so that test runs side by side do not meet."""
    return f"wsdev-test-{os.getpid()}-gateway", f"wsdev-test-{os.getpid()}-device"


@contextmanager
def made_network(ip: str) -> Iterator[Network]:
    """Both namespaces and the pair between them, gone when the block has ended in any way.

    Skips the test where the kernel or the rights do not allow it.
    """

    def run(*arguments: str) -> None:
        subprocess.run([ip, *arguments], capture_output=True, check=True, text=True)

    names = namespace_names()
    with ExitStack() as undo:
        for name in names:
            try:
                run("netns", "add", name)
            except subprocess.CalledProcessError as failed:
                pytest.skip(f"no network namespace can be made here: {failed.stderr.strip()}")
            # With a namespace go its interfaces, and with one of a pair the other.
            undo.callback(run, "netns", "delete", name)
        pair = ("type", "veth", "peer", "name", UPLINK, "netns", names[1])
        run("link", "add", UPLINK, "netns", names[0], *pair)
        for name, addresses in zip(names, (GATEWAY, DEVICE), strict=True):
            run("-netns", name, "link", "set", "lo", "up")
            run("-netns", name, "link", "set", UPLINK, "up")
            run("-netns", name, "address", "add", f"{addresses[4]}/24", "dev", UPLINK)
            # Nobody else can have the address: usable at once, without asking around first.
            six = (f"{addresses[6]}/64", "dev", UPLINK, "nodad")
            run("-netns", name, "address", "add", *six)
        yield Network(ip, *names)
