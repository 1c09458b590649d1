from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
from console_harness import running_console
from gateway_process import LOOPBACK, running_gateway
from test_console_serving import console_url

from wsdev.console import commands, devices, events, health, journal, login, pictures, tokens
from wsdev.console.openapi import document
from wsdev.tokens import TokenBook

OPERATIONS = [
    *devices.OPERATIONS, *pictures.OPERATIONS, *commands.OPERATIONS, *events.OPERATIONS,
    *journal.OPERATIONS, *tokens.OPERATIONS, *login.OPERATIONS, *health.OPERATIONS,
]  # fmt: skip


LEFT_OUT = r"^/api/events|\.mjpeg$|^/log|^/api/tokens/\{id\}$"


def references(thing: Any) -> set[str]:
    if isinstance(thing, dict):
        own = {thing["$ref"]} if "$ref" in thing else set()
        return own.union(*map(references, thing.values()))
    return set().union(*map(references, thing)) if isinstance(thing, list) else set()


def test_every_reference_is_there_and_every_schema_is_used() -> None:
    made = msgspec.to_builtins(document(OPERATIONS))
    known = {f"#/components/schemas/{name}" for name in made["components"]["schemas"]}
    assert references(made) == known


def test_operation_ids_are_unique() -> None:
    made = document(OPERATIONS)
    ids = [op["operationId"] for item in made["paths"].values() for op in item.values()]
    assert len(ids) == len(set(ids)) == len(OPERATIONS)


async def test_document_is_served_and_tells_of_every_operation(tmp_path: Path) -> None:
    async with running_console(tmp_path) as console:
        made = (await console.client.get("/openapi.json")).json()
        assert made["openapi"] == "3.1.0"
        told = {(method.upper(), path) for path, item in made["paths"].items() for method in item}
        assert told == {(op.method, op.path) for op in OPERATIONS}


def test_console_does_what_its_document_says(tmp_path: Path) -> None:
    """Schemathesis asks what the document allows, and what it does not.

    ``make test`` tries all that stands at a border, the same each time; ``make test-long`` makes
    up more. Streams have no end, a token that is revoked or a session that is closed could be its
    own, and that a time or a regular name is meant is more than a schema can say.
    """
    made_up = os.environ.get("WSDEV_EXAMPLES", "0")
    phases = "examples,coverage" if made_up == "0" else "examples,coverage,fuzzing"
    # It tries each operation with a wrong token.
    limit = ("--limit", "wrong_tokens_per_minute=0")
    options = ("--console", "--console-port", "0", "--no-trust-local", *limit)
    with running_gateway(tmp_path / "state", *options) as gateway:
        with TokenBook.open(tmp_path / "state") as book:
            _, token = book.create_operator()
        url = console_url(gateway)
        (tmp_path / "schemathesis.toml").write_text("")
        done = subprocess.run(
            [
                *(Path(sys.executable).with_name("schemathesis"), "--config-file"),
                *(tmp_path / "schemathesis.toml", "run", f"{url}/openapi.json"),
                *("--header", f"Authorization: Bearer {token}"),
                *("--exclude-path-regex", LEFT_OUT),
                *("--phases", phases, "--max-examples", made_up if int(made_up) else "1"),
                *(
                    "--checks",
                    "all",
                    "--exclude-checks",
                    "use_after_free,ensure_resource_availability,positive_data_acceptance",
                ),
                *("--workers", "2", "--no-color", "--request-timeout", "10"),
            ],
            capture_output=True,
            text=True,
            timeout=120 + 10 * int(made_up),
            cwd=tmp_path,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
        tried = [op for op in OPERATIONS if not re.search(LEFT_OUT, op.path)]
        assert re.search(rf"Tested: {len(tried)}\n", done.stdout)
        assert gateway.address[0] == LOOPBACK
