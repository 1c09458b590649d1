"""Real reverse proxies in front of a gateway: nginx, HAProxy, Caddy and Apache.

Each is started by hand as a child in the foreground, on a loopback port that is held for it, with
all its files in a folder of the test. A configuration is written as the guide shows it and as it
would stand on a host; the places in it that mean this machine are filled in, see :class:`Places`.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import trustme
from child_lines import PATIENCE, ChildLines

LOOPBACK = "127.0.0.1"
PROGRAMS = {"nginx": "nginx", "haproxy": "haproxy", "caddy": "caddy", "apache": "apache2"}
"""The program of each kind, for ``need``."""


@dataclass(frozen=True)
class Places:
    """What stands in a configuration for the places of this machine.

    ``443`` is where the proxy listens (``80`` where it has no TLS): alone, behind a colon or as
    ``*:443``. The certificate's two files are what HAProxy takes as one.
    """

    gateway: str = "127.0.0.1:3000"
    name: str = "gateway.example.org"
    certificate: str = "/etc/ssl/gateway.pem"
    key: str = "/etc/ssl/gateway.pem.key"


PLACES = Places()
_SITE = re.compile(rf"(https?://|){re.escape(PLACES.name)}")
_LISTENING = re.compile(r"(?<![\w.:])(?:\*?:)?(?:443|80)\b(?![.:])")


@dataclass(frozen=True)
class Kind:
    """How one program is run.

    Attributes:
        arguments: Its command line for the configuration file and the folder.
        ready: Stands in a line of its log once it listens.
        frame: What is around the configuration; gives the whole file's text.
        in_name: The port belongs to the site's name, with no line of its own.
    """

    arguments: Callable[[Path, Path], Sequence[str]]
    ready: str
    frame: Callable[[str, Path, int], str]
    in_name: bool = False


def _nginx(text: str, folder: Path, _port: int) -> str:
    user = "user root;" if os.getuid() == 0 else ""  # its workers have to reach the folder
    paths = "".join(
        f"{kind}_temp_path {folder}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return f"""{user} daemon off; worker_processes 1; pid {folder}/pid; error_log stderr notice;
events {{ worker_connections 256; }}
http {{ access_log {folder}/access.log; {paths}
{text}
}}
"""


def _haproxy(text: str, _folder: Path, _port: int) -> str:
    return f"global\n    log stderr format raw local0\n    maxconn 256\n\n{text}\n"


def _caddy(text: str, folder: Path, _port: int) -> str:
    # Without its own way to certificates, it neither asks the world nor changes this machine.
    return f"""{{
    admin off
    auto_https off
    skip_install_trust
    default_bind {LOOPBACK}
    storage file_system {folder}/storage
    servers {{
        protocols h1 h2
    }}
}}
{text}
"""


_APACHE_MODULES = (
    *("authz_core", "mpm_event"),  # of those that Debian turns on
    *("headers", "proxy", "proxy_http", "proxy_wstunnel", "rewrite", "ssl"),
)


def _apache(text: str, folder: Path, port: int) -> str:
    modules = next(
        path
        for path in map(Path, ("/usr/lib/apache2/modules", "/usr/lib64/httpd/modules"))
        if path.is_dir()
    )
    loaded = "\n".join(
        f"LoadModule {name}_module {modules}/mod_{name}.so" for name in _APACHE_MODULES
    )
    # Sites with no log of their own share one, as on Debian. It does not serve as root; all that it
    # opens as such it opens before it changes.
    user = "User nobody\nGroup nogroup" if os.getuid() == 0 else ""
    return f"""{loaded}
{user}
ServerRoot {folder}
DefaultRuntimeDir {folder}
PidFile {folder}/pid
Mutex pthread
ErrorLog /dev/stderr
LogLevel notice
CustomLog {folder}/other_vhosts_access.log "%h %r %>s"
ServerName localhost
StartServers 1
MinSpareThreads 25
Listen {LOOPBACK}:{port}
{text}
"""


KINDS: dict[str, Kind] = {
    "nginx": Kind(
        lambda file, folder: ("-e", "stderr", "-p", str(folder), "-c", str(file)),
        "start worker process ",
        _nginx,
    ),
    "haproxy": Kind(lambda file, _: ("-W", "-f", str(file)), "Loading success.", _haproxy),
    "caddy": Kind(
        lambda file, _: ("run", "--adapter", "caddyfile", "--config", str(file)),
        "serving initial configuration",
        _caddy,
        in_name=True,
    ),
    "apache": Kind(
        lambda file, _: ("-D", "FOREGROUND", "-f", str(file)),
        "resuming normal operations",
        _apache,
    ),
}


@dataclass
class Proxy:
    """A running reverse proxy.

    Attributes:
        port: Where it listens, on loopback.
        pid: Of the process that was started.
        ca_file: The issuer of its certificate, which is for ``localhost`` and 127.0.0.1.
        folder: All its files.
    """

    kind: str
    port: int
    pid: int
    ca_file: Path
    folder: Path
    _log: ChildLines

    def url(self, path: str = "", *, scheme: str = "wss", host: str = LOOPBACK) -> str:
        """The URL of ``path`` at the proxy."""
        return f"{scheme}://{host}:{self.port}{path}"

    def log_text(self) -> str:
        """All that it wrote to its error log so far."""
        return "\n".join(self._log.so_far())

    def wait_for_log(self, text: str) -> str:
        """The first line of its error log with ``text``, as soon as it is there."""
        line = self._log.wait_for(lambda line: text in line)
        assert line is not None, f"no {text!r} in {self.log_text()}"
        return line


def installed(kind: str) -> str | None:
    """The path of that kind's program, for fixtures that live longer than ``need``."""
    # Debian keeps three of them in sbin, which is not on every user's PATH.
    search = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
    return shutil.which(PROGRAMS[kind], path=search)


def filled_in(
    kind: str, text: str, *, port: int, gateway_port: int, certificate: Path, key: Path
) -> str:
    """A configuration with the places of this machine in it; the gateway has to be named."""
    assert PLACES.gateway in text, f"the configuration does not name {PLACES.gateway}"
    if KINDS[kind].in_name:
        text, count = _SITE.subn(rf"\g<1>localhost:{port}, \g<1>{LOOPBACK}:{port}", text)
        assert count, f"the configuration has no site {PLACES.name}"
    else:
        text, count = _LISTENING.subn(f"{LOOPBACK}:{port}", text)
        assert count, "the configuration listens neither on 443 nor on 80"
        text = text.replace(PLACES.name, "localhost")
    text = text.replace(PLACES.gateway, f"{LOOPBACK}:{gateway_port}")
    return text.replace(PLACES.key, str(key)).replace(PLACES.certificate, str(certificate))


@contextlib.contextmanager
def held_port() -> Iterator[int]:
    """A free port of loopback that a child may listen on and nobody else is given.

    It is bound and does not listen: Linux lets another socket bind it that says SO_REUSEADDR, as
    every server does, and hands it out to none that asks for any port. A connection is refused
    until the child listens.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((LOOPBACK, 0))
        yield holder.getsockname()[1]


@contextlib.contextmanager
def running_proxy(
    kind: str,
    config_text: str,
    folder: Path,
    *,
    gateway_port: int,
    certificate: trustme.LeafCert | None = None,
) -> Iterator[Proxy]:
    """A proxy of ``kind`` (a key of ``KINDS``) that listens; it has ended when the block has.

    Whatever goes wrong inside the block, the error tells the proxy's own log with it.

    Args:
        config_text: What would be in a file of nginx's ``conf.d``, the sections of HAProxy's file
            below ``global``, a Caddyfile's sites, or a file of Apache's ``sites-enabled``.
        folder: A folder of the test, for all its files; made if it is not there.
        certificate: Shown instead of one of its own making that is good for ``localhost`` and
            127.0.0.1 and that ``ca_file`` vouches for.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ca = trustme.CA()
    ca_file, chain, key = (folder / name for name in ("ca.pem", "gateway.pem", "gateway.pem.key"))
    ca.cert_pem.write_to_path(str(ca_file))
    leaf = certificate or ca.issue_cert("localhost", LOOPBACK)
    chain.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
    leaf.private_key_pem.write_to_path(str(key))
    file = folder / "proxy.conf"
    with held_port() as port:
        text = filled_in(
            kind, config_text, port=port, gateway_port=gateway_port, certificate=chain, key=key
        )
        file.write_text(KINDS[kind].frame(text, folder, port), encoding="utf-8")
        with _running(kind, file, folder) as (pid, log):
            proxy = Proxy(kind, port, pid, ca_file, folder, log)
            try:
                yield proxy
            except BaseException as error:
                error.add_note(f"{kind}'s log:\n{proxy.log_text()}")
                raise


@contextlib.contextmanager
def _running(kind: str, file: Path, folder: Path) -> Iterator[tuple[int, ChildLines]]:
    program = installed(kind)
    assert program is not None, f"{PROGRAMS[kind]} is not installed: ask for it with `need`"
    homes = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    process = subprocess.Popen(
        [program, *KINDS[kind].arguments(file, folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=os.environ | homes,
        start_new_session=True,  # so that its workers can be ended with it, should it hang
    )
    assert process.stderr is not None
    log = ChildLines(process.stderr, f"{kind}'s log")
    try:
        if log.wait_for(lambda line: KINDS[kind].ready in line) is None:
            raise AssertionError(f"{kind} did not start:\n" + "\n".join(log.so_far()))
        yield process.pid, log
    finally:
        _end(process)
        log.close()


def _end(process: subprocess.Popen[str]) -> None:
    """SIGTERM, which all four take as: stop now; its workers go with it."""
    process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
