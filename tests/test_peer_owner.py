from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from harness import AS_NOBODY, PATIENCE, is_root

from wsdev.peer_owner import PROC_NET, is_own_process

Address = tuple[str, int]

HEADER = (
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout"
    " inode\n"
)
PEER, LOCAL = ("127.0.0.1", 40000), ("127.0.0.1", 3000)

needs_proc = pytest.mark.skipif(not PROC_NET.is_dir(), reason="needs Linux's /proc")


def native(packed: bytes) -> str:
    """An address in hex as the kernel prints it, word by word in host byte order."""
    words = struct.unpack(f"={len(packed) // 4}I", packed)
    return "".join(f"{word:08X}" for word in words)


def row(local: str, remote: str, *, uid: int, inode: int = 4711, state: str = "01") -> str:
    return (
        f"   0: {local} {remote} {state} 00000000:00000000 00:00000000 00000000 {uid} 0 {inode}\n"
    )


V4_PEER = native(bytes([127, 0, 0, 1])) + ":9C40"
V4_LOCAL = native(bytes([127, 0, 0, 1])) + ":0BB8"
MAPPED = bytes(10) + b"\xff\xff"
V6_PEER = native(MAPPED + bytes([127, 0, 0, 1])) + ":9C40"
V6_LOCAL = native(MAPPED + bytes([127, 0, 0, 1])) + ":0BB8"
ME, ANOTHER = os.geteuid(), os.geteuid() + 1


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    (tmp_path / "tcp").write_text(HEADER)
    (tmp_path / "tcp6").write_text(HEADER)
    return tmp_path


def add(tables: Path, name: str, line: str) -> None:
    with (tables / name).open("a") as table:
        table.write(line)


def test_socket_of_the_own_user_is_own(tables: Path) -> None:
    add(tables, "tcp", row(V4_PEER, V4_LOCAL, uid=ME))
    assert is_own_process(PEER, LOCAL, tables)


def test_socket_of_another_user_is_not_own(tables: Path) -> None:
    add(tables, "tcp", row(V4_PEER, V4_LOCAL, uid=ANOTHER))
    assert not is_own_process(PEER, LOCAL, tables)


def test_our_own_end_of_the_connection_says_nothing_about_the_peer(tables: Path) -> None:
    add(tables, "tcp", row(V4_LOCAL, V4_PEER, uid=ME))
    assert not is_own_process(PEER, LOCAL, tables)


def test_ipv4_connection_of_a_dual_stack_socket_is_found(tables: Path) -> None:
    # Java and many a Go program: an IPv6 socket connected to ::ffff:127.0.0.1.
    add(tables, "tcp6", row(V6_PEER, V6_LOCAL, uid=ME))
    assert is_own_process(PEER, LOCAL, tables)


def test_dual_stack_socket_of_another_user_is_not_own(tables: Path) -> None:
    add(tables, "tcp6", row(V6_PEER, V6_LOCAL, uid=ANOTHER))
    assert not is_own_process(PEER, LOCAL, tables)


def test_socket_that_its_process_left_belongs_to_nobody(tables: Path) -> None:
    # The kernel shows such a socket with inode 0, and older ones with user 0: root's, if believed.
    add(tables, "tcp", row(V4_PEER, V4_LOCAL, uid=ME, inode=0, state="05"))
    assert not is_own_process(PEER, LOCAL, tables)


def test_socket_that_is_not_listed_is_not_own(tables: Path) -> None:
    add(tables, "tcp", row(V4_PEER, native(bytes(4)) + ":0BB9", uid=ME))
    assert not is_own_process(PEER, LOCAL, tables)


def test_system_that_does_not_tell_is_believed(tmp_path: Path) -> None:
    assert is_own_process(PEER, LOCAL, tmp_path)


def test_one_table_is_enough_to_tell(tables: Path) -> None:
    (tables / "tcp6").unlink()
    assert not is_own_process(PEER, LOCAL, tables)


# Real sockets


@contextmanager
def accepted(family: socket.AddressFamily, host: str) -> Iterator[tuple[Address, Address]]:
    """A connection of this process to itself: the peer's address, and our own."""
    with (
        closing(socket.create_server((host, 0), family=family)) as server,
        closing(socket.create_connection(server.getsockname()[:2])),
    ):
        ours, peer = server.accept()
        with closing(ours):
            yield peer[:2], ours.getsockname()[:2]


@needs_proc
@pytest.mark.parametrize(
    ("family", "host"),
    [
        (socket.AF_INET, "127.0.0.1"),
        (socket.AF_INET, "127.0.0.2"),
        (socket.AF_INET6, "::1"),
    ],
)
def test_real_connection_of_this_process_is_own(family: socket.AddressFamily, host: str) -> None:
    with accepted(family, host) as (peer, local):
        assert is_own_process(peer, local)
        assert not is_own_process(peer, (local[0], local[1] ^ 1))


@needs_proc
def test_real_dual_stack_connection_of_this_process_is_own() -> None:
    with (
        closing(socket.create_server(("127.0.0.1", 0))) as server,
        closing(socket.socket(socket.AF_INET6)) as client,
    ):
        client.connect(("::ffff:127.0.0.1", server.getsockname()[1]))
        ours, peer = server.accept()
        with closing(ours):
            assert peer[0] == "127.0.0.1"
            assert is_own_process(peer, ours.getsockname())


CONNECTS = """
port, conduct = sys.argv[1:]
client = socket.create_connection(("127.0.0.1", int(port)))
client.sendall(b"hello")
if conduct == "stay":
    sys.stdin.read()
"""


@needs_proc
@pytest.mark.skipif(not is_root(), reason="only root can start a process of another user")
@pytest.mark.parametrize("conduct", ["stay", "leave"])
def test_real_connection_of_another_user_is_not_own(conduct: str) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        server.settimeout(PATIENCE)
        port = str(server.getsockname()[1])
        with subprocess.Popen(
            [sys.executable, "-I", "-c", AS_NOBODY + CONNECTS, port, conduct],
            stdin=subprocess.PIPE,
        ) as child:
            if conduct == "leave":
                child.wait()
            ours, peer = server.accept()
            with closing(ours):
                assert not is_own_process(peer, ours.getsockname())
            assert child.stdin is not None
            child.stdin.close()
