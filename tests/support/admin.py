# The operator of a gateway: asks its admin listener, and holds each answer against the OpenAPI document there.

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from tests.support.client import Client, Response
from tests.support.program import GatewayProgram

JSON = ("Content-Type", "application/json")
HARMLESS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}
"""Fields that each answer has, whatever was asked."""


class Operator:
    """Mutable state: the document, once it was read; which of its operations were asked, and how they answered."""

    def __init__(self, program: GatewayProgram, token: str | None = None) -> None:
        self._program = program
        self._headers = [] if token is None else [("Authorization", f"Bearer {token}")]
        self._document: dict[str, Any] = {}
        self.seen: set[tuple[str, int]] = set()
        """Which operations answered with which status."""

    async def document(self) -> dict[str, Any]:
        """The OpenAPI document."""
        if not self._document:
            async with Client(self._program.admin_port) as client:
                self._document = (await client.request("GET", "/openapi.json", self._headers)).json()
        return self._document

    async def ask(
        self, method: str, target: str, body: object = None, headers: Iterable[tuple[str, str]] = ()
    ) -> Response:
        """Send one request, with a body of JSON where there is one, and check the answer."""
        sent = [*self._headers, *headers]
        data = None
        if method == "POST":
            sent.append(JSON)
            data = json.dumps({} if body is None else body).encode()
        async with Client(self._program.admin_port) as client:
            answer = await client.request(method, target, sent, data)
        await self._check(method, target, answer)
        return answer

    async def get(self, target: str) -> Any:
        """The JSON that is answered with 200."""
        answer = await self.ask("GET", target)
        assert answer.status == 200, answer.body
        return answer.json()

    async def claims(self, query: str = "") -> list[dict[str, Any]]:
        """All claims that a query lists, page by page."""
        found, cursor = [], ""
        while True:
            page = await self.get(f"/claims?{query}{cursor}")
            found += page["claims"]
            if page["next"] is None:
                return found
            cursor = f"&cursor={page['next']}"

    async def post(self, target: str, **body: Any) -> Response:
        """Send a JSON object."""
        return await self.ask("POST", target, body)

    async def _check(self, method: str, target: str, answer: Response) -> None:
        for name, value in HARMLESS.items():
            assert answer.header(name) == value, f"{target}: {name}"
        document = await self.document()
        path, operation = _operation(document, method, target.partition("?")[0])
        described = operation["responses"].get(str(answer.status))
        if described is None:
            described = document["components"]["responses"]["failure"]
            assert answer.status >= 400, f"{path} does not describe its answer {answer.status}"
        schema = described["content"]["application/json"]["schema"]
        everything = DRAFT202012.create_resource(
            {**document, "$schema": "https://json-schema.org/draft/2020-12/schema"}
        )
        registry = Registry().with_resource("urn:api", everything)
        reference = {"$ref": f"urn:api{schema['$ref']}"} if "$ref" in schema else schema
        Draft202012Validator(reference, registry=registry).validate(answer.json())
        self.seen.add((operation["operationId"], answer.status))


def _operation(document: dict[str, Any], method: str, path: str) -> tuple[str, dict[str, Any]]:
    for template, operations in sorted(document["paths"].items(), key=lambda item: "{" in item[0]):
        pattern = re.sub(r"\\{\w+\\}", "[^/]+", re.escape(template))
        if re.fullmatch(pattern, path) and method.lower() in operations:
            return template, operations[method.lower()]
    raise AssertionError(f"{method} {path} is not described")


def audit_lines(file: Path) -> list[dict[str, Any]]:
    """What is in an audit file."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
