"""The OpenAPI 3.1 document, made from the operations and their Structs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from wsdev import __version__
from wsdev.console.inputs import Query
from wsdev.console.operations import JSON, Operation
from wsdev.console.problems import MEDIA_TYPE, Problem

_REFERENCE: Final = "#/components/schemas/{name}"
_PATH_PART: Final = re.compile(r"\{(\w+)\}")

_WHO: Final = {
    401: "an operator token is needed, or the one sent is not good",
    403: "another site's page asked, or the guard against forgery is missing",
}


def document(operations: Iterable[Operation]) -> dict[str, Any]:
    """The whole document."""
    shown = [operation for operation in operations if operation.shown]
    answers = [op.answer for op in shown if op.answer is not None]
    bodies = [op.body for op in shown if op.body is not None]
    queries = [op.query for op in shown if op.query is not None]
    schemas, components = msgspec.json.schema_components(
        [Problem, *answers, *bodies, *queries], ref_template=_REFERENCE
    )
    del schemas
    asked = {query.__name__: components.pop(query.__name__) for query in dict.fromkeys(queries)}
    paths: dict[str, Any] = {}
    for operation in shown:
        item = paths.setdefault(operation.path, {})
        item[operation.method.lower()] = _describe(operation, asked)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "wsdev console",
            "version": __version__,
            "description": "Devices, their pictures, the journal and the tokens of one gateway.",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "operatorToken": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "wsdev_session"},
            },
        },
        "security": [{"operatorToken": []}, {"session": []}],
    }


def _describe(operation: Operation, asked: dict[str, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "summary": operation.summary,
        "operationId": operation.handler.__qualname__.rpartition(".")[2],
        "responses": {str(operation.status): _answer(operation)},
    }
    for status, meaning in (operation.also or {}).items():
        described["responses"][str(status)] = {**_answer(operation), "description": meaning}
    parameters = [
        {"name": part, "in": "path", "required": True, "schema": {"type": "string"}}
        for part in _PATH_PART.findall(operation.path)
    ]
    if operation.query is not None:
        parameters += _query_parameters(operation.query, asked[operation.query.__name__])
    if parameters:
        described["parameters"] = parameters
    if operation.body is not None:
        fields = msgspec.structs.fields(operation.body)
        described["requestBody"] = {
            "required": any(field.required for field in fields),
            "content": {JSON: {"schema": _reference(operation.body)}},
        }
    if operation.is_public:
        described["security"] = []
    for status, meaning in _problems(operation).items():
        described["responses"][str(status)] = _problem(meaning)
    return described


def _problems(operation: Operation) -> dict[int, str]:
    found: dict[int, str] = {} if operation.is_public else dict(_WHO)
    if operation.method != "GET":
        found[403] = _WHO[403]
    found[400] = "not HTTP as it should be"
    found[422] = "a parameter or the body cannot be meant"
    found[503] = "the host cannot do it now"
    if operation.body is not None:
        found |= {408: "too slow", 413: "the body is too large", 415: "the body is not JSON"}
    if operation.path == "/healthz":
        del found[503]
    return dict(sorted((found | dict(operation.problems or {})).items()))


def _answer(operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {"description": operation.summary}
    if operation.media is None:
        return described
    schema = {"type": "string"} if operation.answer is None else _reference(operation.answer)
    described["content"] = {operation.media: {"schema": schema}}
    return described


def _problem(meaning: str) -> dict[str, Any]:
    return {"description": meaning, "content": {MEDIA_TYPE: {"schema": _reference(Problem)}}}


def _reference(struct: Any) -> dict[str, Any]:
    return {"$ref": _REFERENCE.format(name=struct.__name__)}


def _query_parameters(query: type[Query], schema: dict[str, Any]) -> list[dict[str, Any]]:
    required = schema.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": _plain(field)}
        for name, field in schema["properties"].items()
    ]


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter's schema: one that may be null is one that may be left out."""
    schema = dict(schema)
    schema.pop("default", None)
    choices = [choice for choice in schema.get("anyOf", []) if choice != {"type": "null"}]
    if len(choices) == 1:
        return {**choices[0]}
    return schema
