# The OpenAPI document of the admin listener, out of its routes and shapes. Pure.

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from gateway.process.admin.answers import JSON
from gateway.process.admin.routes import Route
from gateway.process.admin.shapes import Failure

_REFERENCE = "#/components/schemas/{name}"
_VARIABLE = re.compile(r"\{([a-z_]+)\}")
_DESCRIPTION = """\
What operators ask of a running gateway. State is changed by POST with a JSON body only. Requests whose Host is no name
of the listener, or that come from a page of another site, are refused.
"""


def describe(routes: Sequence[Route], version: str) -> dict[str, Any]:
    """Describe all routes, in OpenAPI 3.1."""
    answers = [shape for route in routes for shape in route.answers.values() if not isinstance(shape, str)]
    bodies = [route.body for route in routes if route.body is not None]
    queries = [route.query for route in routes if route.query is not None]
    shapes: set[type[msgspec.Struct]] = {*answers, *bodies, *queries, Failure}
    named = sorted(shapes, key=lambda shape: shape.__name__)
    _, components = msgspec.json.schema_components(named, ref_template=_REFERENCE)
    parameters = {query: components.pop(query.__name__) for query in queries}
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, parameters)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Idempotency gateway, admin listener", "version": version, "description": _DESCRIPTION},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "admin.token"}},
            "responses": {
                "failure": {"description": "Why it was not done.", "content": _content(Failure)},
            },
        },
    }


def _operation(route: Route, parameters: dict[type[msgspec.Struct], dict[str, Any]]) -> dict[str, Any]:
    operation: dict[str, Any] = {"operationId": route.name, "summary": route.summary}
    asked: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _VARIABLE.findall(route.path)
    ]
    if route.query is not None:
        schema = parameters[route.query]
        asked += [{"name": name, "in": "query", "schema": each} for name, each in schema["properties"].items()]
    if asked:
        operation["parameters"] = asked
    if route.body is not None:
        operation["requestBody"] = {"required": True, "content": _content(route.body)}
    operation["responses"] = {
        str(status): {"description": _meaning(status), "content": _content(shape)}
        for status, shape in route.answers.items()
    }
    operation["responses"]["default"] = {"$ref": "#/components/responses/failure"}
    operation["security"] = {"open": [], "metrics": [{"token": []}, {}], "token": [{"token": []}]}[route.access]
    return operation


def _content(shape: type[msgspec.Struct] | str) -> dict[str, Any]:
    if isinstance(shape, str):
        return {shape: {"schema": {"type": "object" if shape == JSON else "string"}}}
    return {JSON: {"schema": {"$ref": _REFERENCE.format(name=shape.__name__)}}}


def _meaning(status: int) -> str:
    return {200: "Done.", 422: "The rules file has problems: nothing has changed.", 503: "Not ready."}[status]
