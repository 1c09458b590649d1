from __future__ import annotations

import os
import resource
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest

from wsdev.findings.facts import Listening
from wsdev.proc_files import (
    default_interfaces,
    file_limits,
    listening_sockets,
    process_name,
    process_user,
    proxies_in_front,
)

TCP = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  inode\n"
ROW = (
    "   0: {local} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000     0        0"
    " {inode} 1\n"
)


def made_proc(folder: Path, *rows: str, programs: Mapping[int, str] = {}) -> Path:
    """A /proc with these sockets, and programs whose files nobody may see."""
    (folder / "net").mkdir()
    (folder / "net" / "tcp").write_text(TCP + "".join(rows))
    for pid, name in programs.items():
        (folder / str(pid)).mkdir()
        (folder / str(pid) / "comm").write_text(f"{name}\n")
    return folder


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::1", "::"])
def test_own_listening_socket_is_found_with_its_program(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with closing(socket.create_server((host, 0), family=family)) as sock:
        port = sock.getsockname()[1]
        (found,) = (each for each in listening_sockets() if each.port == port)
    assert (found.address, found.pid) == (host, os.getpid())
    assert found.owner == process_name(os.getpid())


def test_socket_that_does_not_listen_is_left_out() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        address = server.getsockname()
        with closing(socket.create_connection(address)) as client:
            accepted, _ = server.accept()
            accepted.close()
            ports = [each.port for each in listening_sockets()]
            assert client.getsockname()[1] not in ports
            assert ports.count(address[1]) == 1


def test_owner_that_may_not_be_seen_is_none(tmp_path: Path) -> None:
    proc = made_proc(tmp_path, ROW.format(local="0100007F:0BB8", state="0A", inode=77))
    assert listening_sockets(proc) == [Listening("127.0.0.1", 3000)]


def test_without_proc_nothing_is_told(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    assert listening_sockets(gone) == []
    assert proxies_in_front([Listening("0.0.0.0", 80)], gone) == []
    assert file_limits(1, gone) is None
    assert process_name(1, gone) is None
    assert process_user(1, gone) is None
    assert default_interfaces(gone) == []


# Proxies


def test_proxy_is_a_known_program_on_a_port_of_the_web(tmp_path: Path) -> None:
    proc = made_proc(tmp_path)
    web, own = Listening("0.0.0.0", 443, 9, "nginx"), Listening("0.0.0.0", 80, 8, "python3")
    other = Listening("0.0.0.0", 8443, 9, "nginx")
    assert proxies_in_front([web, own, other], proc) == [web]


def test_hidden_socket_is_taken_for_that_of_a_proxy_that_runs(tmp_path: Path) -> None:
    proc = made_proc(tmp_path, programs={9: "caddy", 8: "bash"})
    assert proxies_in_front([Listening("::", 443)], proc) == [Listening("::", 443, None, "caddy")]
    assert proxies_in_front([Listening("::", 3000)], proc) == []


def test_hidden_socket_without_any_proxy_is_somebody_elses(tmp_path: Path) -> None:
    proc = made_proc(tmp_path, programs={8: "bash"})
    assert proxies_in_front([Listening("::", 443)], proc) == []


# Processes


def test_file_limits_are_those_of_the_process() -> None:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    told = file_limits(os.getpid())
    assert told is not None
    assert told.most == soft
    assert told.used is not None
    assert 3 <= told.used < soft


def test_another_process_has_its_own_limit() -> None:
    program = (
        "import resource as r; r.setrlimit(r.RLIMIT_NOFILE, (99, 99)); print(flush=1); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        told = file_limits(child.pid)
        assert told is not None
        assert told.most == 99
        assert process_user(child.pid) == os.geteuid()
        child.communicate(b"\n")
    assert file_limits(child.pid) is None


@pytest.mark.parametrize(
    ("line", "most"),
    [
        ("Max open files            1024                 4096                 files", 1024),
        ("Max open files            unlimited            unlimited            files", 1 << 30),
        ("Max processes             1024                 4096                 processes", None),
    ],
)
def test_limits_are_read_as_the_kernel_writes_them(
    tmp_path: Path, line: str, most: int | None
) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "limits").write_text(f"Limit  Soft Limit  Hard Limit  Units\n{line}\n")
    told = file_limits(7, tmp_path)
    assert (told and told.most) == most
    assert told is None or told.used is None


def test_name_of_a_program_is_its_own(tmp_path: Path) -> None:
    program = tmp_path / "nginx"
    shutil.copy("/bin/cat", program)
    with subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(b"here\n")
        child.stdin.flush()
        child.stdout.readline()
        assert process_name(child.pid) == "nginx"


def test_way_out_is_the_default_route(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "route").write_text(
        "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
        "eth0\t00000000\t0102A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        "wg0\t0000000A\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0\n"
    )
    assert default_interfaces(tmp_path) == ["eth0"]


def test_looking_at_processes_that_come_and_go_is_no_error() -> None:
    done = threading.Event()

    def come_and_go() -> None:
        while not done.is_set():
            subprocess.run(["/bin/true"], check=True)

    thread = threading.Thread(target=come_and_go)
    thread.start()
    try:
        for _ in range(20):
            listening_sockets()
            proxies_in_front([Listening("0.0.0.0", 80)])
    finally:
        done.set()
        thread.join()
