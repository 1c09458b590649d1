from __future__ import annotations

import asyncio
import json

import pytest
from fake_gateways import (
    LOOPBACK,
    EndlessAnswer,
    Issuer,
    answer,
    closed_port,
    complain_about_tls,
    serving,
)
from hypothesis import given
from hypothesis import strategies as st

from wsdev.diagnosis.facts import AddressFacts, Ending
from wsdev.http_look import (
    KEPT_FIRST_BYTES,
    KEPT_HEADERS,
    KEPT_OF_BODY,
    KEPT_OF_HEADER,
    MAX_ANSWER,
    MAX_REFUSAL,
    Way,
    get,
    make_answer,
    parse_answer,
    parse_refusal,
)
from wsdev.token_format import new_token
from wsdev.urls import GatewayAddress

REFUSAL = {"code": "full", "message": "The gateway is full.", "hint": "Wait.", "request_id": "r"}


def way_to(port: int, *, patience: float = 10.0, host: str = LOOPBACK) -> Way:
    return Way(GatewayAddress(host, port), AddressFacts(LOOPBACK, port), None, patience)


# One request


async def test_whole_answer_is_read_and_its_parts_are_kept() -> None:
    async with serving(answer("200 Fine", b"hello", "Server: me")) as port:
        look = await get(way_to(port), "/x")
    told = look.facts.answer
    assert told is not None
    assert (told.status, told.reason, told.http_version, told.start) == (
        200,
        "Fine",
        "1.1",
        "hello",
    )
    assert told.header("server") == "me"
    assert look.body == b"hello"
    assert (look.facts.ended, look.facts.first_bytes, look.tls_reason) == (None, "", "")
    assert look.facts.seconds is not None


async def test_request_is_plain_and_without_a_token() -> None:
    heads: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))

    async with serving(listen) as port:
        await get(way_to(port, host="gateway.example"), "/healthz")
    lines = heads[0].decode().split("\r\n")
    assert lines[0] == "GET /healthz HTTP/1.1"
    assert lines[1] == f"Host: gateway.example:{port}"
    assert "Connection: close" in lines
    assert not any(line.lower().startswith(("authorization", "cookie")) for line in lines)


async def test_connection_that_stays_open_does_not_keep_us() -> None:
    async def stay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await reader.read(-1)

    async with serving(stay) as port:
        look = await get(way_to(port, patience=600), "/")
    assert look.body == b"ok"


async def test_chunks_are_joined_and_a_103_is_passed_over() -> None:
    async def chunks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n")
        writer.write(b"0\r\n\r\n")
        await reader.read(-1)

    async with serving(chunks) as port:
        look = await get(way_to(port), "/")
    assert look.body == b"abc"


async def test_endless_answer_is_left_and_its_head_is_known() -> None:
    behave = EndlessAnswer()
    async with serving(behave) as port:
        look = await get(way_to(port), "/")
        await behave.was_left.wait()
    assert look.facts.answer is not None
    assert len(look.body) < 2 * MAX_ANSWER


async def test_refused_connection_is_a_reset() -> None:
    look = await get(way_to(closed_port()), "/")
    assert (look.facts.answer, look.facts.ended) == (None, Ending.RESET)


async def test_tls_that_fails_tells_openssls_reason() -> None:
    issuer = Issuer()
    async with serving(complain_about_tls) as port:
        way = Way(
            GatewayAddress(LOOPBACK, port, tls=True),
            AddressFacts(LOOPBACK, port),
            issuer.trust(),
            9,
        )
        look = await get(way, "/")
    assert look.tls_reason == "WRONG_VERSION_NUMBER"


@pytest.mark.parametrize(
    ("said", "ended"),
    [
        (b"", Ending.CLOSED),
        (b"HTTP/1.1 200", Ending.CLOSED),
        (b"HTTQ", Ending.GARBAGE),
        (b"HTTP/1.1 two hundred\r\n\r\n", Ending.GARBAGE),
        (b"\x00" * 1000, Ending.GARBAGE),
    ],
)
async def test_end_without_an_answer_is_told_with_the_first_bytes(
    said: bytes, ended: Ending
) -> None:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        await writer.drain()

    async with serving(behave) as port:
        look = await get(way_to(port), "/")
    assert (look.facts.answer, look.facts.ended) == (None, ended)
    assert look.facts.first_bytes == said[:KEPT_FIRST_BYTES].decode("latin-1")


# What is kept


def test_refusal_is_understood() -> None:
    found = parse_refusal(json.dumps(REFUSAL | {"paths": ["/x"], "more": 1}).encode())
    assert found is not None
    assert (found.code, found.hint, found.paths) == ("full", "Wait.", ["/x"])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"code":1,"message":2,"hint":3,"request_id":4}',
        b"[" * (MAX_REFUSAL - 1),
        json.dumps(REFUSAL | {"message": "x" * MAX_REFUSAL}).encode(),
    ],
    ids=["nothing", "list", "empty", "numbers", "deep", "long"],
)
def test_other_bodies_are_no_refusal(body: bytes) -> None:
    assert parse_refusal(body) is None


def test_tokens_are_kept_out_of_all_parts() -> None:
    token = new_token("pico")
    told = make_answer(200, token, [("Server", token)], f'{{"pico_tokens":["{token}"]}}'.encode())
    assert token[:12] not in repr(told)


@given(st.binary(max_size=400))
def test_any_bytes_are_an_answer_or_none(raw: bytes) -> None:
    parse_answer(raw)


@given(
    st.sampled_from([b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 404 \r\n", b"HTTP/1.1 101 Switch\r\n"]),
    st.lists(st.sampled_from([b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n",
                              b"X: y\r\n", b"Location: \xff\r\n", b": \r\n"]), max_size=4),
    st.binary(max_size=200),
)  # fmt: skip
def test_any_answer_is_cut_to_what_is_kept(first: bytes, heads: list[bytes], body: bytes) -> None:
    told, whole = parse_answer(first + b"".join(heads) + b"\r\n" + body)
    assert told is None or len(told.start) <= KEPT_OF_BODY
    assert len(whole) <= len(body)


@given(st.integers(0, 200), st.integers(0, 5000), st.binary(max_size=9000))
def test_kept_parts_are_bounded(count: int, length: int, body: bytes) -> None:
    told = make_answer(200, "x" * length, [("a", "b" * length)] * count, body)
    assert len(told.headers) <= KEPT_HEADERS
    assert all(len(value) <= KEPT_OF_HEADER for _, value in told.headers)
    assert len(told.start) <= KEPT_OF_BODY
    assert len(told.reason) <= KEPT_OF_HEADER
