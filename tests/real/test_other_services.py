"""Real programs that are no gateway on the port: sshd, mosquitto, nginx with files."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from child_lines import PATIENCE, ChildLines
from reverse_proxies import LOOPBACK, held_port, running_proxy
from visits import connect, visit

from wsdev.errors import ExitCode

HTTP = ExitCode.HTTP

Need = Callable[[str], str]


@contextmanager
def running(command: Sequence[str], ready: str) -> Iterator[None]:
    """A program that writes ``ready`` to its log once it listens."""
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert process.stderr is not None
    log = ChildLines(process.stderr, command[0])
    try:
        assert log.wait_for(lambda line: ready in line) is not None, log.so_far()
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE)
        log.close()


@contextmanager
def running_sshd(need: Need, folder: Path, port: int) -> Iterator[None]:
    """OpenSSH's server, with a key of its own; nobody could log in."""
    key = folder / "key"
    subprocess.run([need("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    options = [f"ListenAddress={LOOPBACK}:{port}", f"HostKey={key}", "PidFile=none"]
    command = [need("sshd"), "-D", "-e", "-f", "/dev/null"]
    command += [part for option in options for part in ("-o", option)]
    if os.geteuid() == 0:
        # As root it wants a folder in /run, which here is a file system of its own.
        need("mount")
        own = 'mount -t tmpfs none /run && mkdir -m 755 /run/sshd && exec "$@"'
        command = [need("unshare"), "--mount", "sh", "-c", own, "sh", *command]
    with running(command, "Server listening on"):
        yield


async def test_ssh_server(need: Need, tmp_path: Path) -> None:
    with held_port() as port, running_sshd(need, tmp_path, port):
        seen = await connect(port)
    seen.names("other_service", "http", HTTP, "the answer is that of SSH", "SSH-2.0-OpenSSH")


@pytest.mark.parametrize("anonymous", ["true", "false"])
async def test_mqtt_broker(anonymous: str, need: Need, tmp_path: Path) -> None:
    config = tmp_path / "mosquitto.conf"
    with held_port() as port:
        config.write_text(
            f"listener {port} {LOOPBACK}\nallow_anonymous {anonymous}\nlog_dest stderr\n"
        )
        with running([need("mosquitto"), "-c", str(config)], "running"):
            seen = await visit(port)
    seen.names("mqtt_broker", "http", HTTP, "CONNECT is answered with a CONNACK")


async def test_site_of_files(need: Need, tmp_path: Path) -> None:
    need("nginx")
    (tmp_path / "index.html").write_text("<html><title>Welcome</title>")
    config = f"server {{ listen 80; root {tmp_path}; }}  # 127.0.0.1:3000"
    with running_proxy("nginx", config, tmp_path / "nginx", gateway_port=1) as proxy:
        seen = await visit(proxy.port)
    seen.names("path_missing", "http", HTTP, "HTTP 404 Not Found", "server: nginx")


async def test_app_of_one_page_for_every_path(need: Need, tmp_path: Path) -> None:
    need("nginx")
    (tmp_path / "index.html").write_text("<html><title>Dashboard</title>")
    site = f"server {{ listen 80; root {tmp_path}; try_files /index.html =404; types {{ text/html"
    config = f"{site} html; }} }}  # 127.0.0.1:3000"
    with running_proxy("nginx", config, tmp_path / "nginx", gateway_port=1) as proxy:
        seen = await visit(proxy.port)
    seen.names("web_server", "http", HTTP, "its title: Dashboard", "server: nginx")
