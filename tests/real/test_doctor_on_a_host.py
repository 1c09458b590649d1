"""``wsdev doctor`` on hosts of all kinds, beside a running gateway; its advice is tried out."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from gateway_process import GatewayProcess, running_gateway
from namespaces import GATEWAY, Network, made_network
from PIL import Image

from wsdev.errors import ExitCode
from wsdev.token_file import FILE_NAME

PATIENCE = 60.0
EVERYWHERE: tuple[str, ...] = ()


@pytest.fixture
def network(need: Callable[[str], str]) -> Iterator[Network]:
    with made_network(need("ip")) as made:
        yield made


def run(inside: tuple[str, ...], *command: str) -> subprocess.CompletedProcess[str]:
    """A command to its end; wsdev's own environment stays out of it."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("WSDEV_")}
    return subprocess.run(
        [*inside, *command],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env={**environment, "COLUMNS": "80"},
        check=False,
    )


def wsdev(inside: tuple[str, ...], *arguments: str) -> subprocess.CompletedProcess[str]:
    done = run(inside, sys.executable, "-m", "wsdev", *arguments)
    assert "Traceback" not in done.stderr, done.stderr
    return done


class Findings:
    """What ``wsdev doctor --json`` says."""

    def __init__(self, inside: tuple[str, ...], state: Path, *options: str) -> None:
        done = wsdev(inside, "doctor", "--json", "--state", str(state), *options)
        self.document: dict[str, Any] = json.loads(done.stdout)
        self.found = {each["code"]: each for each in self.document["findings"]}
        problems = [c for c, each in self.found.items() if each["grade"] == "problem"]
        assert done.returncode == (ExitCode.PROBLEMS_FOUND if problems else 0)
        assert self.document["exit_code"] == done.returncode
        assert self.document["ok"] == (not problems)

    def evidence(self, code: str) -> str:
        return "\n".join(self.found[code]["evidence"])

    def problems(self) -> list[str]:
        return [code for code, each in self.found.items() if each["grade"] == "problem"]


def connect_as_told(network: Network, line: str) -> subprocess.CompletedProcess[str]:
    """Run the command that doctor printed on the devices' side."""
    program, *arguments = shlex.split(line)
    assert program == "wsdev"
    return wsdev(network.device_side, *arguments, "--timeout", "2s")


def test_host_that_is_well_and_the_command_for_the_field(network: Network, tmp_path: Path) -> None:
    with running_gateway(tmp_path, hosts=EVERYWHERE, inside=network.gateway_side) as gateway:
        told = Findings(network.gateway_side, tmp_path)
        assert told.problems() == []
        assert told.document["running"] is True
        assert told.document["port"] == gateway.port
        for address in (GATEWAY[4], f"[{GATEWAY[6]}]"):
            where = f"{address}:{gateway.port} (uplink) answers in "
            assert where in told.evidence("addresses_answer")
        assert f"process {gateway.pid}" in told.evidence("server_runs")
        assert "firewall_open" in told.found
        assert "rights_private" in told.found
        assert "tokens_window" in told.found
        line = told.document["connect"]
        assert line == f"wsdev connect --device pico --url ws://{GATEWAY[4]}:{gateway.port}"
        done = connect_as_told(network, line)
        assert done.returncode == 0, done.stderr
        assert told.document["page"] == f"http://{GATEWAY[4]}:{gateway.port}/"
        assert not any(token in json.dumps(told.document) for token in gateway.tokens.values())


def test_command_for_the_field_takes_a_token_when_the_window_is_closed(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {"shed": "pico"}
    with running_gateway(
        tmp_path, hosts=EVERYWHERE, inside=network.gateway_side, device_tokens=names
    ) as gateway:
        told = Findings(network.gateway_side, tmp_path)
        assert "tokens_kept" in told.found
        monkeypatch.chdir(tmp_path)
        Path("token.txt").write_text(gateway.tokens["pico"])
        done = connect_as_told(network, told.document["connect"])
        assert done.returncode == 0, done.stderr


def test_gateway_on_loopback_only_is_a_problem(network: Network, tmp_path: Path) -> None:
    with running_gateway(tmp_path, inside=network.gateway_side) as gateway:
        told = Findings(network.gateway_side, tmp_path)
        assert told.problems() == ["listening_inside"]
        assert told.evidence("listening_inside") == f"127.0.0.1:{gateway.port}"
        assert told.document["connect"] is None
        command = told.found["listening_inside"]["command"]
        assert command.endswith(f"serve --state {tmp_path} --port {gateway.port}")


def test_gateway_on_loopback_behind_a_proxy_is_none(network: Network, tmp_path: Path) -> None:
    proxy = (
        "import socket, sys; open('/proc/self/comm', 'w').write('nginx')\n"
        "sock = socket.create_server(('0.0.0.0', 443)); print(flush=True); sys.stdin.read()"
    )
    with (
        running_gateway(tmp_path, inside=network.gateway_side),
        subprocess.Popen(
            [*network.gateway_side, sys.executable, "-c", proxy],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as running,
    ):
        assert running.stdout is not None
        running.stdout.readline()
        told = Findings(network.gateway_side, tmp_path)
        running.communicate()
    assert "listening_behind_proxy" in told.found
    assert told.evidence("proxy_untrusted") == "nginx at 0.0.0.0:443"
    assert told.problems() == []


def test_firewall_that_blocks_and_the_command_that_mends_it(
    network: Network, tmp_path: Path, need: Callable[[str], str]
) -> None:
    nft = need("nft")
    rules = (
        "table inet filter {\nchain input {\ntype filter hook input priority 0; policy drop\n"
        "iif lo accept\nct state established accept\nmeta l4proto ipv6-icmp accept\n}\n}"
    )
    subprocess.run([*network.gateway_side, nft, "-f", "-"], input=rules, text=True, check=True)
    check_mending(network, tmp_path, "sudo nft insert rule inet filter input ")


def test_iptables_that_blocks_and_the_command_that_mends_it(
    network: Network, tmp_path: Path, need: Callable[[str], str]
) -> None:
    need("iptables")
    for tool in ("iptables", "ip6tables"):
        rule = ("-A", "INPUT", "-p", "tcp", "-m", "multiport", "--dports", "1024:65535")
        loopback = ("-A", "INPUT", "-i", "lo", "-j", "ACCEPT")
        for command in (loopback, (*rule, "-j", "REJECT")):
            assert run(network.gateway_side, tool, *command).stderr == ""
    check_mending(network, tmp_path, "sudo iptables -I INPUT ")


def check_mending(network: Network, state: Path, command: str) -> None:
    """Devices are kept out, doctor says so, and with its command pasted they get in."""
    with running_gateway(state, hosts=EVERYWHERE, inside=network.gateway_side) as gateway:
        told = Findings(network.gateway_side, state)
        assert told.problems() == ["firewall_blocks"]
        assert "addresses_answer" in told.found, "the host itself gets through"
        assert connect_as_told(network, told.document["connect"]).returncode != 0
        pasted = told.found["firewall_blocks"]["command"]
        assert pasted.startswith(command)
        done = run(network.gateway_side, "sh", "-ec", pasted.replace("sudo ", ""))
        assert done.returncode == 0, done.stderr
        mended = Findings(network.gateway_side, state)
        assert mended.problems() == []
        assert "firewall_open" in mended.found
        assert connect_as_told(network, mended.document["connect"]).returncode == 0
        assert gateway.port == mended.document["port"]


def test_rule_text_that_steers_a_terminal_is_escaped(
    network: Network, tmp_path: Path, need: Callable[[str], str]
) -> None:
    nft = need("nft")
    rules = (
        "table inet filter {\nchain input {\ntype filter hook input priority 0; policy accept\n"
        'meta mark 5 tcp dport 1-65535 drop comment "\x1b]0;owned\x07\x9b31m"\n}\n}'
    )
    subprocess.run([*network.gateway_side, nft, "-f", "-"], input=rules, text=True, check=True)
    with running_gateway(tmp_path, hosts=EVERYWHERE, inside=network.gateway_side):
        done = wsdev(network.gateway_side, "doctor", "--state", str(tmp_path))
    assert done.returncode == 0
    assert "\\x1b]0;owned\\x07\\x9b31m" in done.stdout
    assert not {"\x1b", "\x07", "\x9b"} & set(done.stdout)


def test_gateway_that_stands_still_is_told_and_nothing_hangs(tmp_path: Path) -> None:
    with running_gateway(tmp_path) as gateway:
        os.kill(gateway.pid, signal.SIGSTOP)
        try:
            told = Findings((), tmp_path)
        finally:
            os.kill(gateway.pid, signal.SIGCONT)
        assert "server_silent" in told.problems()
        assert "no answer within 3 s" in told.evidence("server_silent")


def test_host_without_any_network_is_told(tmp_path: Path, need: Callable[[str], str]) -> None:
    alone = (need("unshare"), "--net")
    told = Findings(alone, tmp_path / "none")
    assert told.problems() == ["server_missing", "addresses_none"]
    assert told.document["running"] is False
    assert told.found["server_missing"]["command"].endswith(f"serve --state {tmp_path / 'none'}")
    assert not (tmp_path / "none").exists(), "looking makes nothing"


def test_port_of_another_gateway_is_told_apart_from_a_missing_one(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "theirs") as gateway:
        told = Findings((), tmp_path / "ours", "--port", str(gateway.port))
        assert "server_elsewhere" in told.found
        assert f"127.0.0.1:{gateway.port}" in told.evidence("server_elsewhere")
        gateway.terminate()
        gateway.wait()


def test_certificate_of_a_running_gateway_is_looked_at(tmp_path: Path) -> None:
    authority, pem = trustme.CA(), tmp_path / "gw.pem"
    cert = authority.issue_cert("127.0.0.1", "gw.example")
    cert.private_key_and_cert_chain_pem.write_to_path(pem)
    with running_gateway(tmp_path / "state", "--tls-cert", str(pem)) as gateway:
        told = Findings((), tmp_path / "state")
        assert "server_runs" in told.found
        assert told.evidence("certificate_good").startswith(f"{pem}, for ")
        assert "gw.example" in told.evidence("certificate_good")
        authority.issue_cert("gw.example").private_key_and_cert_chain_pem.write_to_path(pem)
        assert "certificate_replaced" in Findings((), tmp_path / "state").found
        assert gateway.log_lines("fault") == []


def test_rights_that_are_too_wide_are_told_and_mended_by_the_command(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "s"):
        (tmp_path / "s").chmod(0o755)
        (tmp_path / "s" / FILE_NAME).chmod(0o644)
        told = Findings((), tmp_path / "s")
        assert "rights_open" in told.problems()
        assert (tmp_path / "s" / FILE_NAME).stat().st_mode & 0o777 == 0o644, "looking mends nothing"
        assert run((), "sh", "-ec", told.found["rights_open"]["command"]).returncode == 0
        assert "rights_private" in Findings((), tmp_path / "s").found


def test_user_who_may_not_see_the_rules_is_told_to_look_as_root(
    network: Network, tmp_path: Path, need: Callable[[str], str]
) -> None:
    need("nft")
    powerless = (need("setpriv"), "--bounding-set=-net_admin", "--inh-caps=-net_admin")
    with running_gateway(tmp_path, hosts=EVERYWHERE, inside=network.gateway_side):
        told = Findings((*network.gateway_side, *powerless), tmp_path)
    assert told.problems() == []
    assert "nft: " in told.evidence("firewall_unread")
    assert told.found["firewall_unread"]["command"].startswith("sudo ")
    assert told.found["firewall_unread"]["command"].endswith(f"doctor --state {tmp_path}")


def test_dead_gateway_leaves_no_word_that_counts(tmp_path: Path) -> None:
    with running_gateway(tmp_path) as gateway:
        gateway.kill()
        gateway.wait()
        assert (tmp_path / "serve.json").exists()
        told = Findings((), tmp_path)
        assert "server_missing" in told.problems()
        assert told.document["port"] == 3000


# The QR code


def picture_of(code: str, path: Path) -> None:
    """Draw what a terminal shows: half blocks, light on dark."""
    lines = code.splitlines()
    upper, lower = frozenset("█▀"), frozenset("█▄")
    picture = Image.new("L", (max(map(len, lines)), 2 * len(lines)), 0)
    for row, line in enumerate(lines):
        for column, block in enumerate(line):
            picture.putpixel((column, 2 * row), 255 * (block in upper))
            picture.putpixel((column, 2 * row + 1), 255 * (block in lower))
    picture.resize((picture.width * 8, picture.height * 8), Image.Resampling.NEAREST).save(path)


def test_qr_code_is_the_page_that_a_phone_opens(
    network: Network, tmp_path: Path, need: Callable[[str], str]
) -> None:
    zbarimg = need("zbarimg")
    with running_gateway(tmp_path, hosts=EVERYWHERE, inside=network.gateway_side) as gateway:
        done = wsdev(network.gateway_side, "doctor", "--qr", "--state", str(tmp_path))
        page = f"http://{GATEWAY[4]}:{gateway.port}/"
    assert done.returncode == 0, done.stdout
    before, _, code = done.stdout.partition(f"On a phone: {page}\n")
    assert "wsdev connect --device pico" in before
    picture_of(code, tmp_path / "code.png")
    read = run((), zbarimg, "--quiet", "--raw", str(tmp_path / "code.png"))
    assert read.stdout.strip() == page


def test_gateway_lists_its_own_state(tmp_path: Path) -> None:
    with running_gateway(tmp_path) as gateway:
        note = json.loads((tmp_path / "serve.json").read_text())
        assert note["pid"] == gateway.pid
        assert note["addresses"] == [["127.0.0.1", gateway.port]]
        assert (tmp_path / "serve.json").stat().st_mode & 0o777 == 0o600
        secrets = [*gateway.tokens.values()]
        assert not any(token in json.dumps(note) for token in secrets)
    assert not (tmp_path / "serve.json").exists()


def test_quiet_prints_only_what_is_wrong(network: Network, tmp_path: Path) -> None:
    def grades(gateway: GatewayProcess) -> set[str]:
        assert gateway.port
        done = wsdev(network.gateway_side, "doctor", "--quiet", "--state", str(tmp_path))
        assert done.returncode == 0
        return {line.split()[0] for line in done.stdout.splitlines() if not line.startswith(" ")}

    with running_gateway(tmp_path, hosts=EVERYWHERE, inside=network.gateway_side) as gateway:
        assert grades(gateway) <= {"warning"}
