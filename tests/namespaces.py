"""Two network namespaces, joined by a pair of virtual interfaces.

The gateway is in one, the devices are in the other. Nothing but the other end and loopback can be
reached from there, so no firewall, no address of this machine and no other test run gets in the
way. Addresses are those of RFC 5737 and RFC 3849, made for documentation.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest

GATEWAY = {4: "198.51.100.1", 6: "2001:db8:1::1"}
DEVICE = {4: "198.51.100.2", 6: "2001:db8:1::2"}


@dataclass(frozen=True)
class Network:
    """Both namespaces, each as the command that starts another one inside."""

    gateway_side: tuple[str, ...]
    device_side: tuple[str, ...]


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
        pair = ("type", "veth", "peer", "name", "uplink", "netns", names[1])
        run("link", "add", "uplink", "netns", names[0], *pair)
        for name, addresses in zip(names, (GATEWAY, DEVICE), strict=True):
            run("-netns", name, "link", "set", "lo", "up")
            run("-netns", name, "link", "set", "uplink", "up")
            run("-netns", name, "address", "add", f"{addresses[4]}/24", "dev", "uplink")
            # Nobody else can have the address: usable at once, without asking around first.
            six = (f"{addresses[6]}/64", "dev", "uplink", "nodad")
            run("-netns", name, "address", "add", *six)
        gateway_side, device_side = ((ip, "netns", "exec", name) for name in names)
        yield Network(gateway_side, device_side)
