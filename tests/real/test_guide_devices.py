"""The code for devices in docs/external-connections.md, run against a gateway.

What is for a board's own compiler cannot be run here; of that the names are held to those that the
libraries' public headers have.
"""

from __future__ import annotations

import ast
import os
import re
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme
from child_lines import ChildLines
from documents import block, page
from gateway_process import LOOPBACK, GatewayProcess, running_gateway

GUIDE = page("external-connections.md")
HOST = "192.0.2.2"
"""The gateway's address in the guide, with the port 3000."""

NODE_MODULES = Path(__file__).parents[1] / "node_modules"

# A device with a token that can be revoked.
DEVICE_TOKENS = {"shed": "pico"}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """One that treats this machine as a stranger."""
    with running_gateway(tmp_path_factory.mktemp("state"), "--no-trust-local") as running:
        yield running


@contextmanager
def running(*command: str | Path, token: str = "") -> Iterator[ChildLines]:
    """The lines that a device's program prints, its errors among them; ended with the block."""
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"WSDEV_TOKEN": token, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    lines = ChildLines(process.stdout, "device's output")
    try:
        yield lines
    finally:
        process.kill()
        process.wait()
        lines.close()


def assert_says(lines: ChildLines, text: str) -> None:
    """Wait until the device prints ``text``."""
    assert lines.wait_for(lambda line: text in line) is not None, lines.so_far()


# Each maker writes the program into a folder and gives the command that runs it at a gateway.

Command = list[str | Path]


def python(folder: Path, gateway: GatewayProcess, _token: str) -> Command:
    program = folder / "device.py"
    program.write_text(block(GUIDE, "python", program.name), encoding="utf-8")
    return [sys.executable, program, gateway.url("/ws/pico")]


def node(folder: Path, gateway: GatewayProcess, _token: str) -> Command:
    program = folder / "device.mjs"
    program.write_text(block(GUIDE, "js", program.name), encoding="utf-8")
    (folder / "node_modules").symlink_to(NODE_MODULES)
    return ["node", program, gateway.url("/ws/pico")]


def micropython(folder: Path, gateway: GatewayProcess, token: str) -> Command:
    """Under CPython, whose modules of the same names have all that the program uses."""
    text, places = re.subn(
        r'"192\.0\.2\.2", 3000\b',
        f'"{LOOPBACK}", {gateway.port}',
        block(GUIDE, "python", "main.py"),
    )
    text, tokens = re.subn(r'(?<=TOKEN = )"\w+"', f'"{token}"', text)
    assert (places, tokens) == (1, 1)
    program = folder / "main.py"
    program.write_text(text, encoding="utf-8")
    return [sys.executable, "-W", "error", program]


MAKERS = {"python": python, "node": node, "micropython": micropython}


@pytest.fixture(params=MAKERS)
def make(
    request: pytest.FixtureRequest, need: Callable[[str], str]
) -> Callable[[Path, GatewayProcess, str], Command]:
    if request.param == "node":
        need("node")
        if not (NODE_MODULES / "ws").is_dir():
            pytest.skip("Node's ws is not installed: make tools")
    return MAKERS[request.param]


def test_device_says_hello_and_its_measurements_are_acknowledged(
    make: Callable[[Path, GatewayProcess, str], Command], gateway: GatewayProcess, tmp_path: Path
) -> None:
    token = gateway.tokens["pico"]
    with running(*make(tmp_path, gateway, token), token=token) as lines:
        assert_says(lines, '"connection_ack"')
        assert_says(lines, '"ack"')
        assert_says(lines, '"id":1')


def test_refused_device_tells_why(
    make: Callable[[Path, GatewayProcess, str], Command], gateway: GatewayProcess, tmp_path: Path
) -> None:
    with running(*make(tmp_path, gateway, "wsd_pico_oops"), token="wsd_pico_oops") as lines:
        assert_says(lines, '"token_mistyped"')


def test_device_whose_token_is_revoked_tells_and_stays_away(
    make: Callable[[Path, GatewayProcess, str], Command], tmp_path: Path
) -> None:
    state = tmp_path / "state"
    with running_gateway(state, "--no-trust-local", device_tokens=DEVICE_TOKENS) as gateway:
        token = gateway.tokens["shed"]
        with running(*make(tmp_path, gateway, token), token=token) as lines:
            assert_says(lines, '"ack"')
            gateway.book.revoke("shed")
            assert_says(lines, "closed with 4501")


def test_device_comes_back_after_a_restart_of_the_gateway(
    make: Callable[[Path, GatewayProcess, str], Command], tmp_path: Path
) -> None:
    state = tmp_path / "state"
    with running_gateway(state, "--no-trust-local") as first:
        token, port = first.tokens["pico"], first.port
        command = make(tmp_path, first, token)
        with running(*command, token=token) as lines:
            assert_says(lines, '"ack"')
            first.terminate()
            first.wait()
            with running_gateway(state, "--no-trust-local", "--port", str(port)) as second:
                second.wait_for_log("hello", wants="shed")


def test_micropython_program_speaks_tls_and_checks_the_issuer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ca, other = trustme.CA(), trustme.CA()
    leaf = ca.issue_cert(LOOPBACK)
    certificate = tmp_path / "gateway.pem"
    leaf.private_key_and_cert_chain_pem.write_to_path(str(certificate))
    monkeypatch.chdir(tmp_path)  # a board has one folder
    with running_gateway(tmp_path / "state", "--tls-cert", str(certificate)) as gateway:
        token = gateway.tokens["pico"]
        command = micropython(tmp_path, gateway, token)
        program = Path(command[-1])
        plain = program.read_text(encoding="utf-8")
        with_tls = re.sub(
            "^TLS = None.*\n", block(GUIDE, "python", "tls.py"), plain, flags=re.MULTILINE
        )
        assert with_tls != plain
        program.write_text(with_tls, encoding="utf-8")
        for issuer, told in ((other, "CERTIFICATE_VERIFY_FAILED"), (ca, '"ack"')):
            der = ssl.PEM_cert_to_DER_cert(issuer.cert_pem.bytes().decode())
            Path("issuer.der").write_bytes(der)
            with running(*command) as lines:
                assert_says(lines, told)


def test_micropython_program_imports_only_what_boards_have() -> None:
    tree = ast.parse(block(GUIDE, "python", "main.py"))
    imported = {
        name.name
        for found in ast.walk(tree)
        if isinstance(found, ast.Import)
        for name in found.names
    }
    assert imported == {"asyncio", "binascii", "json", "os", "random", "time"}
    assert not any(isinstance(found, ast.ImportFrom) for found in ast.walk(tree))
    # Written for boards, and still Python.
    compile(block(GUIDE, "python", "boot.py"), "boot.py", "exec")


# By hand


def shell(name: str, gateway: GatewayProcess, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a block of the guide's shell lines at a gateway."""
    script = block(GUIDE, "sh", name).replace(f"{HOST}:3000", f"{LOOPBACK}:{gateway.port}")
    inherited = {key: text for key, text in os.environ.items() if not key.startswith("WSDEV_")}
    programs = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    return subprocess.run(
        ["sh", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env=inherited | {"PATH": programs} | variables,
    )


def test_probe_comes_in_and_tells_its_exit_code(gateway: GatewayProcess) -> None:
    done = shell("probe.sh", gateway)
    assert "5 pings, 5 answered" in done.stdout, done.stderr
    assert done.stdout.endswith("exit code 0\n")


def test_health_is_told(gateway: GatewayProcess, need: Callable[[str], str]) -> None:
    need("curl")
    assert '{"status":"ok"}' in shell("health.sh", gateway).stdout


def test_device_token_is_made_and_revoked_as_the_guide_tells(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "wsdev", "--public-tokens", "off") as gateway:
        done = shell("tokens.sh", gateway, XDG_STATE_HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "wsd_pico_" in done.stdout
    assert "revoked" in done.stdout


def test_curl_shows_health_tokens_and_the_upgrade(
    gateway: GatewayProcess, need: Callable[[str], str]
) -> None:
    need("curl")
    script = block(GUIDE, "sh", "by-hand.sh").replace(f"{HOST}:3000", f"{LOOPBACK}:{gateway.port}")
    done = subprocess.run(
        ["sh", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"WSDEV_TOKEN": gateway.tokens["pico"]},
    )
    assert done.stdout.startswith('{"status":"ok"}'), done.stderr
    assert gateway.tokens["pico"] in done.stdout
    assert "HTTP/1.1 101 Switching Protocols" in done.stdout
    assert done.returncode == 28, "curl gives up after its two seconds"


# What a board's compiler would see

LINKS2004 = {
    *("begin", "beginSslWithCA", "isConnected", "loop", "onEvent", "sendTXT"),
    *("setAuthorization", "setReconnectInterval"),
}
"""Of WebSocketsClient in Links2004/arduinoWebSockets, src/WebSocketsClient.h."""
LINKS2004_EVENTS = {"WStype_t", "WStype_CONNECTED", "WStype_DISCONNECTED", "WStype_TEXT"}
"""Of src/WebSockets.h there."""
GILMAIMON = {
    *("addHeader", "available", "connect", "onMessage", "poll", "send", "sendBinary", "setCACert"),
}
"""Of WebsocketsClient in gilmaimon/ArduinoWebsockets, src/tiny_websockets/client.hpp."""
ESP_IDF = {
    *("esp_websocket_client_config_t", "esp_websocket_client_handle_t"),
    *("esp_websocket_client_init", "esp_websocket_client_send_text", "esp_websocket_client_start"),
    *("esp_websocket_event_data_t", "esp_websocket_register_events"),
    *("WEBSOCKET_EVENT_ANY", "WEBSOCKET_EVENT_CONNECTED", "WEBSOCKET_EVENT_DATA"),
    "WEBSOCKET_EVENT_ERROR",
}
"""Of espressif/esp-protocols, components/esp_websocket_client/include/esp_websocket_client.h."""
ESP_IDF_FIELDS = {
    *("uri", "headers", "reconnect_timeout_ms", "enable_close_reconnect", "crt_bundle_attach"),
}
"""Of esp_websocket_client_config_t there."""


@pytest.mark.parametrize(
    ("language", "name", "pattern", "known"),
    [
        ("cpp", "links2004.ino", r"\bwebSocket\.(\w+)\(", LINKS2004),
        ("cpp", "links2004.ino", r"\b(WStype_\w+)", LINKS2004_EVENTS),
        ("cpp", "gilmaimon.ino", r"\bclient\.(\w+)\(", GILMAIMON),
        (
            "c",
            "app_main.c",
            r"\b(esp_websocket_(?!client\.h)(?!client\b)\w+|WEBSOCKET_\w+)",
            ESP_IDF,
        ),
        ("c", "app_main.c", r"(?<=\s)\.(\w+) =", ESP_IDF_FIELDS),
    ],
    ids=["links2004", "links2004-events", "gilmaimon", "esp-idf", "esp-idf-fields"],
)
def test_code_for_boards_uses_the_libraries_own_names(
    language: str, name: str, pattern: str, known: set[str]
) -> None:
    used = set(re.findall(pattern, block(GUIDE, language, name)))
    assert used == known


@pytest.mark.parametrize(
    ("language", "name"), [("cpp", "links2004.ino"), ("cpp", "gilmaimon.ino"), ("c", "app_main.c")]
)
def test_brackets_of_the_code_for_boards_are_closed(language: str, name: str) -> None:
    code = re.sub(r'"(?:\\.|[^"\\])*"|//.*', "", block(GUIDE, language, name))
    depth: list[str] = []
    for bracket in re.findall(r"[()\[\]{}]", code):
        if bracket in "([{":
            depth.append(bracket)
        else:
            assert depth, bracket
            assert depth.pop() + bracket in {"()", "[]", "{}"}
    assert not depth
