"""A visit as a whole: its steps, its end, Ctrl-C at each step, and secrets that stay secret."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from fake_gateways import (
    LOOPBACK,
    Behaviour,
    answer,
    full_backlog,
    serving,
    stay_silent,
    upgrading,
)
from harness import PATIENCE, RunningGateway, running_gateway
from relay import PONG, Rules, frames_of, frames_over, relaying
from visits import Watcher, connect, start, url_of, visit
from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from wsdev import probe
from wsdev.diagnosis.facts import Quality
from wsdev.errors import ExitCode
from wsdev.hub import Outcome, SentCommand
from wsdev.probe import Step, Visit
from wsdev.protocol import BUILTIN_CLASSES
from wsdev.target import Target
from wsdev.token_format import new_token
from wsdev.urls import GatewayAddress

ALL = ["name", "route", "tcp", "http", "token", "upgrade", "hello", "message", "keepalive"]


def visit_of(gateway: RunningGateway, device_class: str = "pico", **wanted: Any) -> Visit:
    address = GatewayAddress(LOOPBACK, gateway.port)
    target = Target(address, BUILTIN_CLASSES[device_class], "kitchen", gateway.token(device_class))
    return Visit(target, **wanted)


# A visit


@pytest.mark.parametrize("device_class", ["pico", "esp32cam"])
async def test_visit_tells_each_step_and_leaves_politely(tmp_path: Path, device_class: str) -> None:
    async with running_gateway(tmp_path) as gateway:
        made = visit_of(gateway, device_class, messages=3)
        watcher = Watcher()
        await probe.visit(made, watcher)
        line = await gateway.log.wait_for("disconnected")
    assert [step.layer for step in made.steps] == watcher.tried == ALL
    assert watcher.steps == made.steps
    assert all(step.ok and step.seconds >= 0 and step.detail for step in made.steps)
    assert (made.verdict, made.trying) == (None, None)
    assert (line["code"], line["by"]) == (1000, "peer")
    talk = made.facts.talk
    assert talk is not None
    assert (talk.device, talk.session) == ("kitchen", line["session"])
    assert len(talk.round_trips) == 6
    assert talk.messages_acked == 4
    assert talk.bytes_sent > talk.bytes_received > 0
    assert ("picture" in made.steps[-2].detail) == (device_class == "esp32cam")


async def test_visit_over_a_path_that_is_too_slow_leaves_politely_too(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        made = visit_of(gateway, messages=1, quality=Quality(max_rtt=1e-9))
        await probe.visit(made, Watcher())
        line = await gateway.log.wait_for("disconnected")
    assert made.verdict is not None
    assert made.verdict.code == "too_slow"
    assert (line["code"], line["by"]) == (1000, "peer")


async def test_real_program_ends_well_and_tells_it_as_json(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, public_tokens="open") as gateway:
        seen = await connect(gateway.port)
    assert (seen.exit_code, seen.report["ok"], seen.code) == (0, True, None)
    assert seen.steps == ALL


async def test_large_message_can_be_left_out(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        made = visit_of(gateway, messages=2, large=0)
        await probe.visit(made, Watcher())
    assert made.facts.talk is not None
    assert made.facts.talk.messages_acked == 2
    assert made.facts.talk.large_size is None


async def test_command_during_a_visit_disturbs_nothing(tmp_path: Path) -> None:
    sent: list[SentCommand] = []
    async with running_gateway(tmp_path) as gateway:

        def command(step: Step) -> None:
            if step.layer == "hello":
                gateway.hub.send("kitchen", {"type": "blink"}, sent.append, now=gateway.clock())

        made = visit_of(gateway, messages=2)
        await probe.visit(made, Watcher(command))
        await gateway.log.wait_for("disconnected")
    assert made.verdict is None
    assert [done.outcome for done in sent] == [Outcome.LOST]


async def test_health_that_a_proxy_does_not_pass_on_is_no_fault(tmp_path: Path) -> None:
    def only_devices(connection: ServerConnection, request: Request) -> Response | None:
        del connection
        if request.path.startswith("/ws/"):
            return None
        return Response(404, "Not Found", Headers(), b"")

    async def greet(connection: ServerConnection) -> None:
        said = json.loads(await connection.recv())
        await connection.send(welcome(said["device"]))
        async for text in connection:
            await connection.send(json.dumps({"type": "ack", "id": json.loads(text)["id"]}))

    async with upgrading(greet, process_request=only_devices) as port:
        seen = await visit(port, token=new_token("pico"))
    assert seen.code is None
    assert "answers, but not as a gateway: HTTP 404" in seen.report["steps"][3]["detail"]


def welcome(device: str = "kitchen", session: str = "s") -> str:
    return json.dumps({
        "type": "connection_ack", "device": device, "session": session, "server_time": 0.0,
        "ping_interval": 20, "max_message_bytes": 65536,
    })  # fmt: skip


# Ctrl-C

OK = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n"
    b'{"status":"ok"}'
)


def stalling(at: bytes, reached: asyncio.Event) -> Behaviour:
    """A gateway that is healthy, and silent to a request that starts with ``at``."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(at):
            reached.set()
            await reader.read(-1)
        writer.write(OK)
        await writer.drain()

    return behave


@asynccontextmanager
async def stuck_at(layer: str, folder: Path) -> AsyncIterator[tuple[str, str, asyncio.Event]]:
    """A URL at which a visit stops in that layer, a token for it, and when it has got there."""
    reached, token = asyncio.Event(), new_token("pico")
    if layer in ("http", "token", "upgrade"):
        at = {"http": b"GET /healthz", "token": b"GET /public", "upgrade": b"GET /ws/"}[layer]
        async with serving(stalling(at, reached)) as port:
            yield url_of(port), "" if layer == "token" else token, reached
    elif layer == "tls":

        async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            reached.set()
            await stay_silent(reader, writer)

        async with serving(behave) as port:
            yield url_of(port, "wss"), token, reached
    elif layer == "hello":

        async def talk(connection: ServerConnection) -> None:
            await connection.recv()
            reached.set()
            await connection.wait_closed()

        async with upgrading(talk) as port:
            yield url_of(port), token, reached
    else:
        is_lost = {"message": frames_over(4096), "keepalive": frames_of(PONG)}[layer]

        def drop(opcode: int, length: int) -> bool:
            if lost := is_lost(opcode, length):
                reached.set()
            return lost

        rules = Rules(drop_up=drop) if layer == "message" else Rules(drop_down=drop)
        async with running_gateway(folder) as gateway, relaying(gateway.port, rules) as port:
            yield url_of(port), gateway.token(), reached


@pytest.mark.parametrize(
    "layer", ["tls", "http", "token", "upgrade", "hello", "message", "keepalive"]
)
async def test_ctrl_c_tells_what_is_known_so_far(layer: str, tmp_path: Path) -> None:
    async with stuck_at(layer, tmp_path) as (url, token, reached):
        process = await start(url, "--json", "--timeout", "60s", token=token or None)
        out, err = await interrupted(process, reached)
    report = json.loads(out)
    assert process.returncode == report["exit_code"] == ExitCode.INTERRUPTED, err
    assert (report["interrupted_in"], report["ok"], report["verdict"]) == (layer, False, None)
    names = [step["name"] for step in report["steps"]]
    wanted = ["name", "route", "tcp", "tls", *ALL[3:]] if layer == "tls" else ALL
    assert names == wanted[: wanted.index(layer)]
    assert b"Traceback" not in err


async def interrupted(
    process: asyncio.subprocess.Process, reached: asyncio.Event
) -> tuple[bytes, bytes]:
    """The output of a program that gets SIGINT there, and has to end at once."""
    try:
        async with asyncio.timeout(2 * PATIENCE):
            await reached.wait()
            process.send_signal(signal.SIGINT)
            return await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_ctrl_c_while_nobody_takes_the_connection() -> None:
    with full_backlog() as port:
        process = await start(url_of(port), "--timeout", "60s")
        assert process.stdout is not None
        async with asyncio.timeout(2 * PATIENCE):
            while b"route" not in await process.stdout.readline():
                pass
        reached = asyncio.Event()
        reached.set()
        out, err = await interrupted(process, reached)
    assert process.returncode == ExitCode.INTERRUPTED
    assert err.startswith(b"wsdev: interrupted at tcp: connecting to 127.0.0.1, for ")
    assert b"Traceback" not in out


# Deadlines


@pytest.mark.parametrize("layer", ["tls", "http", "token", "upgrade", "hello", "message"])
async def test_silence_at_any_step_ends_with_the_patience(layer: str, tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    async with stuck_at(layer, tmp_path) as (url, token, reached):
        started = loop.time()
        seen = await visit(url, token=token or None, patience=1.0)
        took = loop.time() - started
    assert reached.is_set()
    assert seen.report["steps"][-1]["name"] == layer
    assert seen.code is not None
    assert 1.0 <= took < 10.0


async def test_endless_flood_ends_with_the_patience(tmp_path: Path) -> None:
    async def flood(connection: ServerConnection) -> None:
        await connection.send(welcome())
        while True:
            await connection.ping()
            await connection.send(b"x" * 1000)
            await asyncio.sleep(0)  # it is in this process, and others have to do something too

    async with upgrading(flood, ping_interval=None) as port:
        seen = await visit(port, token=new_token("pico"), patience=1.0)
    seen.names("message_unanswered", "message", ExitCode.CUT)


# Secrets

CANARIES = {
    "of the right form": new_token("pico"),
    "without its first letters": new_token("pico")[3:],
    "of another kind": "s3cret~token/of=another+system",
}


def echoing(token: str, kind: str) -> Behaviour:
    """A server that says the token back, wherever it can."""
    said = token.encode()
    if kind == "first bytes":
        whole = b"\x00" + said
    elif kind == "bad upgrade":
        whole = b"HTTP/1.1 101 OK\r\nUpgrade: %b\r\nConnection: %b\r\n\r\n" % (said, said)
    elif kind == "refusal":
        fields = {"code": token, "message": token, "hint": token, "request_id": token}
        body = json.dumps(fields | {"paths": [token]})
        return answer("403 Forbidden", body.encode(), "Content-Type: application/json")
    else:
        page = b"<html><title>" + said + b"</title>" + said
        headers = [f"{name}: {token}" for name in ("Server", "Location", "WWW-Authenticate")]
        return answer(f"{kind} {token}", page, "Content-Type: text/html", *headers)

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(whole)
        await writer.drain()

    return behave


@pytest.mark.parametrize("canary", CANARIES)
@pytest.mark.parametrize(
    "kind", ["200", "302", "401", "404", "502", "refusal", "first bytes", "bad upgrade"]
)
async def test_token_that_the_other_end_says_back_is_not_told(kind: str, canary: str) -> None:
    token = CANARIES[canary]
    echo = echoing(token, kind)

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"Upgrade" not in head:
            writer.write(OK)
            return
        assert token.encode() in head
        again = asyncio.StreamReader()
        again.feed_data(head)
        await echo(again, writer)

    async with serving(behave) as port:
        seen = await visit(port, token=token)
    assert seen.code is not None
    assert token[5:20] not in seen.text


@pytest.mark.parametrize("canary", CANARIES)
@pytest.mark.parametrize("kind", ["close", "error", "welcome", "echo"])
async def test_token_that_is_said_back_in_the_talk_is_not_told(kind: str, canary: str) -> None:
    token = CANARIES[canary]

    async def talk(connection: ServerConnection) -> None:
        await connection.recv()
        if kind == "close":
            await connection.close(4000, token)
        elif kind == "error":
            error = {"type": "error", "code": token, "message": token, "hint": token}
            await connection.send(json.dumps(error))
        elif kind == "welcome":
            await connection.send(welcome(token, token))
        else:
            await connection.send(json.dumps({"type": "what", "sent": token}))
        await connection.wait_closed()

    async with upgrading(talk) as port:
        seen = await visit(port, token=token, patience=0.5)
    assert seen.code is not None
    assert token[5:20] not in seen.text


async def test_fetched_tokens_are_not_told(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, public_tokens="open") as gateway:
        tokens = [gateway.token("pico"), gateway.token("esp32cam")]
        seen = await visit(gateway.port)
        other = await visit(gateway.port, device="toaster")
    assert not any(token in found.text for token in tokens for found in (seen, other))


async def test_no_token_is_sent_before_the_upgrade() -> None:
    token = new_token("pico")
    heads: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.read(4096))

    async with serving(listen) as port:
        seen = await visit(port, token=token)
    seen.names("service_hangs_up", "http", ExitCode.HTTP)
    assert len(heads) == 3  # the request, then MQTT and TLS
    assert not any(token.encode() in head for head in heads)


async def test_hostile_text_comes_out_escaped() -> None:
    hostile = "\x1b]0;owned\x07\u202e"

    async def greet(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.send(welcome(hostile, hostile))
        await connection.close(4000, hostile)

    async with upgrading(greet) as port:
        seen = await visit(port, token=new_token("pico"))
    verdict = seen.report["verdict"]
    shown = [seen.report["device"], *verdict["evidence"]]
    shown += [step["detail"] for step in seen.report["steps"]]
    assert not set("\x1b\x07\u202e") & set("".join(shown))
