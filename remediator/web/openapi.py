"""``/api/openapi.json``: made from the very table and types that serve, so that it can't drift."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import msgspec

from remediator.web import models
from remediator.web.endpoints import JSON, OCTETS, PROBLEM_JSON, Access, Endpoint

_REF = "#/components/schemas/{name}"
_ACCESS = {
    Access.VIEWER: "Needs a viewer's or an operator's token.",
    Access.OPERATOR: "Needs an operator's token.",
    Access.PERSON: "Needs the own token of an operator of `REMEDIATOR_OPERATORS_FILE`.",
}


def document(endpoints: Iterable[Endpoint], version: str) -> dict[str, Any]:
    """The OpenAPI 3.1 description of these endpoints."""
    table = tuple(endpoints)
    types = [models.Problem, *(each for endpoint in table for each in _types(endpoint))]
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    shapes = dict(zip(map(repr, types), schemas, strict=True))
    for endpoint in table:
        if endpoint.open_ended is not None:
            further = shapes[repr(endpoint.open_ended)]
            components[endpoint.answers[200].__name__]["additionalProperties"] = further
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in table:
        operation = _operation(endpoint, shapes, components)
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Remediator",
            "version": version,
            "summary": "What happened, what is going on, and the few verbs that people have.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "basic": {
                    "type": "http",
                    "scheme": "basic",
                    "description": "The token as the password; any user.",
                },
            },
        },
    }


def _types(endpoint: Endpoint) -> list[Any]:
    maybe = (endpoint.query, endpoint.body, endpoint.open_ended)
    return [*endpoint.answers.values(), *(each for each in maybe if each is not None)]


def _operation(endpoint: Endpoint, shapes: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    answers = {
        str(status): _content(HTTPStatus(status).phrase, OCTETS, {"type": "string", "format": "binary"})
        if type_ is bytes
        else _content(HTTPStatus(status).phrase, JSON, shapes[repr(type_)])
        for status, type_ in endpoint.answers.items()
    }
    for status in _problems(endpoint):
        problem = shapes[repr(models.Problem)]
        answers.setdefault(str(status), _content(HTTPStatus(status).phrase, PROBLEM_JSON, problem))
    operation: dict[str, Any] = {
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "description": _ACCESS.get(endpoint.access, "Needs no token."),
        "security": [] if endpoint.access is Access.ANYBODY else [{"bearer": []}, {"basic": []}],
        "parameters": [*_path_parameters(endpoint), *_query_parameters(endpoint, components)],
        "responses": answers,
    }
    if endpoint.body is not None:
        schema = shapes[repr(endpoint.body)]
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": schema}}}
    return operation


def _problems(endpoint: Endpoint) -> tuple[int, ...]:
    always = (500, 503) if endpoint.access is Access.ANYBODY else (401, 403, 500, 503)
    return tuple(sorted({*always, *endpoint.problems}))


def _content(description: str, media_type: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {media_type: {"schema": schema}}}


def _path_parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "description": what, "schema": {"type": "string"}}
        for name, what in endpoint.parameters.items()
    ]


def _query_parameters(endpoint: Endpoint, components: dict[str, Any]) -> list[dict[str, Any]]:
    if endpoint.query is None:
        return []
    # A query is no object of the document: its fields are parameters of their own.
    shape = components.pop(endpoint.query.__name__)
    return [
        {"name": name, "in": "query", "required": name in shape.get("required", ()), "schema": schema}
        for name, schema in shape["properties"].items()
    ]
